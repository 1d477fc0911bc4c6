"""Links to a stream or to chosen images of it, for visitors without an account, and the images that these visitors send.

What a link shows is decided by `may_see`, for a viewer whose only right is the link. A link that expired, was revoked, or never was
is the same `NotVisible`. Knows no passwords: callers check them.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from image_cache.codes import bare_code, hash_token, new_code
from image_cache.errors import FieldRejected, NotVisible
from image_cache.frozen import frozen
from image_cache.models import ImageVisibility, SharedImages, Stream, StreamImage, Viewer
from image_cache.streams.queries import StreamQueries
from image_cache.streams.share.share_table import Share, ShareTable, VisitorImage
from image_cache.streams.upload.validation import MAX_FILENAME_CHARS, checked_plain

logger = logging.getLogger(__name__)

EXPIRY_DAYS = (1, 7, 30, 0)  # that an owner can choose; 0: never
GROUPS = 4  # of four signs each: 78 bits
MAX_WORKING = 100  # links of one stream
MAX_NAME_CHARS = 80
DAY_S = 86400.0
UNDO_S = 600.0  # how long a revocation can be undone
MAX_SENT_PER_DAY = 20  # images through one link
MAX_PENDING = 1024  # links whose opens wait to be written


@frozen
class OpenShare:
    """A link that works: its stream, and the viewer that it makes of a visitor."""

    share: Share
    stream: Stream
    viewer: Viewer


class StreamShares:
    """Any thread, several processes; opens are counted in memory and written by `flush`."""

    def __init__(
        self,
        table: ShareTable,
        queries: StreamQueries,
        find_stream: Callable[[str], Stream | None],
        is_first: Callable[[str, str], bool],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._queries = queries
        self._find_stream = find_stream
        self._is_first = is_first
        self._clock = clock
        self._lock = threading.Lock()  # protects _opens
        self._opens: dict[int, tuple[int, float]] = {}

    def create(
        self,
        stream: Stream,
        owner: Viewer,
        *,
        name: str = "",
        days: int = 7,
        password_hash: str = "",
        may_download: bool = True,
        may_upload: bool = False,
        image_ids: Sequence[str] = (),
    ) -> tuple[str, Share]:
        """Create a link; return its code, of which only the hash is stored, and its facts. Raises `FieldRejected`.

        With `image_ids` it shows these images only, also the private ones of them; else what subscribers see. `days` 0: never expires.
        """
        if days not in EXPIRY_DAYS:
            raise FieldRejected("days", "A link can be valid for 1, 7 or 30 days, or never expire.")
        name, now = checked_plain("name", name, MAX_NAME_CHARS, lines=False), self._clock()
        if owner.account_id is None:
            raise FieldRejected("name", "Log in to create a link.")
        if sum(one.works(now) for one in self._table.shares(stream.id)) >= MAX_WORKING:
            raise FieldRejected("name", f"This stream has {MAX_WORKING} links. Revoke one to create another.")
        chosen = self.chosen(stream, owner, image_ids)
        share = Share(
            id=0,
            stream_id=stream.id,
            slug=stream.slug,
            name=name,
            owner_name=owner.name,
            password_hash=password_hash,
            is_selection=bool(image_ids),
            may_download=may_download,
            may_upload=may_upload,
            created_at=now,
            expires_at=now + days * DAY_S if days else None,
            revoked_at=None,
            opens=0,
            opened_at=None,
            images=len(chosen),
            private_images=0,
        )
        code = new_code(GROUPS)
        images = [(image.image_id, image.visibility is ImageVisibility.PRIVATE) for image in chosen]
        number = self._table.add(hash_token(bare_code(code)), owner.account_id, share, images)
        logger.info("share link created id=%d stream=%s days=%d images=%d", number, stream.slug, days, len(chosen))
        return code, self.share(stream, number)

    def chosen(self, stream: Stream, owner: Viewer, image_ids: Sequence[str]) -> list[StreamImage]:
        """Return the images of the stream with these ids, in order. Raises `FieldRejected` if none of them is left."""
        wanted = frozenset(image_ids)
        found = [image for image in self._queries.images(owner, stream) if image.image_id in wanted] if wanted else []
        if wanted and not found:
            raise FieldRejected("image", "None of the chosen images is in this stream any more.")
        return found

    def shares(self, stream: Stream) -> list[Share]:
        """Return the links of a stream, the newest first; those that no longer work come last."""
        now = self._clock()
        return sorted(self._table.shares(stream.id), key=lambda one: not one.works(now))

    def share(self, stream: Stream, share_id: int) -> Share:
        """Raises `NotVisible`."""
        found = next((one for one in self._table.shares(stream.id) if one.id == share_id), None)
        if found is None:
            raise NotVisible
        return found

    def renew(self, stream: Stream, share_id: int) -> tuple[str, Share]:
        """Give a link a new code; the old one stops working. Raises `NotVisible`."""
        code = new_code(GROUPS)
        if not _is_id(share_id) or not self._table.replace_token(stream.id, share_id, hash_token(bare_code(code))):
            raise NotVisible
        logger.info("share link renewed id=%d stream=%s", share_id, stream.slug)
        return code, self.share(stream, share_id)

    def revoke(self, stream: Stream, share_id: int) -> None:
        """Stop a link from the next request on. Raises `NotVisible` if there is none that works."""
        if not _is_id(share_id) or not self._table.revoke(stream.id, share_id, self._clock()):
            raise NotVisible
        logger.info("share link revoked id=%d stream=%s", share_id, stream.slug)

    def undo_revoke(self, stream: Stream, share_id: int) -> None:
        """Let a link work again that was revoked in the last ten minutes. Raises `NotVisible`."""
        if not _is_id(share_id) or not self._table.restore(stream.id, share_id, self._clock() - UNDO_S):
            raise NotVisible
        logger.info("share link works again id=%d stream=%s", share_id, stream.slug)

    def remove(self, stream: Stream, share_id: int) -> None:
        """Remove a link from the list, and stop it. Raises `NotVisible`."""
        if not _is_id(share_id) or not self._table.remove(stream.id, share_id):
            raise NotVisible

    def can_undo(self, share: Share) -> bool:
        return share.revoked_at is not None and share.revoked_at >= self._clock() - UNDO_S

    def works(self, share: Share) -> bool:
        return share.works(self._clock())

    # What a visitor does

    def open(self, code: str) -> OpenShare:
        """Return what a code leads to. Raises `NotVisible`, whatever the reason."""
        share = self._table.share(hash_token(bare_code(code)))
        stream = self._find_stream(share.slug) if share is not None and share.works(self._clock()) else None
        if share is None or stream is None:
            raise NotVisible
        shared = SharedImages(stream.id)
        if share.is_selection:
            chosen = self._table.chosen(share.id)
            private = frozenset(image_id for image_id, was_private in chosen if was_private)
            shared = SharedImages(stream.id, frozenset(image_id for image_id, _ in chosen), private)
        return OpenShare(share, stream, Viewer(shared=shared))

    def image(self, code: str, image_id: str) -> tuple[Stream, StreamImage]:
        """Return an image that a link shows now. Raises `NotVisible`."""
        opened = self.open(code)
        return self._queries.image(opened.viewer, image_id, opened.stream.slug)

    def images(self, opened: OpenShare) -> list[StreamImage]:
        """Return the images that a link shows, in the order of the stream."""
        return self._queries.images(opened.viewer, opened.stream)

    def record_open(self, share: Share, visitor: str) -> None:
        """Count an open, once for each visitor in half an hour; `visitor` is any text that identifies one."""
        if not self._is_first(f"share {share.id}", visitor):
            return
        with self._lock:
            if len(self._opens) < MAX_PENDING or share.id in self._opens:
                self._opens[share.id] = (self._opens.get(share.id, (0, 0.0))[0] + 1, self._clock())

    def flush(self) -> int:
        """Write the pending opens and return how many. Raises `DatabaseError`, and then they stay pending."""
        with self._lock:
            opens, self._opens = self._opens, {}
        if not opens:
            return 0
        try:
            self._table.add_opens(opens)
        except BaseException:
            with self._lock:
                for share_id, (count, at) in opens.items():
                    more, later = self._opens.get(share_id, (0, at))
                    self._opens[share_id] = (count + more, later)
            raise
        return sum(count for count, _ in opens.values())

    # What visitors sent

    def left_today(self, share: Share) -> int:
        """Return how many more images can be sent through a link today."""
        return max(0, MAX_SENT_PER_DAY - self._table.count_sent(share.id, self._clock() - DAY_S))

    def note_sent(self, share: Share, image_id: str, sender: str) -> None:
        """Note who sent an image, which is private, so that it waits for approval."""
        self._table.add_sent(image_id, share.id, sender, self._clock())
        logger.info("visitor image stored image=%s share=%d", image_id, share.id)

    def note_repeat(self, share: Share, image_id: str, sender: str) -> None:
        """Note who sent an image that the stream has and the link does not show. It counts as one that was sent."""
        now = self._clock()
        self._table.add_repeat(image_id, share.id, sender, now, forget_before=now - DAY_S)
        logger.info("visitor image repeated image=%s share=%d", image_id, share.id)

    def repeats(self, stream: Stream) -> list[VisitorImage]:
        """Return what visitors sent although it was in the stream, until an owner has seen it; the oldest first."""
        return self._table.repeats(stream.id)

    def end_repeats(self, stream: Stream) -> int:
        return self._table.end_repeats(stream.id)

    def waiting(self, stream: Stream) -> list[VisitorImage]:
        """Return the images that no owner has approved, the oldest first."""
        return self._table.waiting(stream.id)

    def end_wait(self, image_id: str) -> bool:
        return self._table.approve(image_id)


def checked_sender(text: str) -> str:
    """Return the name that a visitor gives. Raises `FieldRejected`."""
    return checked_plain("name", text, MAX_FILENAME_CHARS // 4, lines=False)


def _is_id(number: int) -> bool:
    return 0 < number < 2**63
