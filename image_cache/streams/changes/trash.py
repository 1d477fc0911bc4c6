"""The trash: what an owner deletes can be restored for 30 days, and is gone at once for everyone else.

An image in the trash has no row among the images, so no list, search, count or address finds it, and its variants leave memory and
disk. The original stays until the image is deleted for good. Its owner sees it by one small variant of its own.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from image_cache.db.database import DatabaseError
from image_cache.errors import NotVisible
from image_cache.models import Stream
from image_cache.streams.changes.trash_table import Original, TrashedImage, TrashedStream, TrashTable
from image_cache.streams.images import StreamImages
from image_cache.streams.table import StreamTable
from image_cache.streams.view_counts import ViewCounts

logger = logging.getLogger(__name__)

TRASH_DAYS = 30
DAY_S = 86400.0
SAME_IMAGE = "The same image is already in the stream."
NO_IMAGE = "It is not there any more."


@dataclass(slots=True)
class BatchResult:
    """What came of a change of many images: the ids of those that it was done to, and for the others the reason."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class StreamTrash:
    """Moves images and streams to the trash and back. Any thread, several processes. Callers have checked the viewer's rights."""

    def __init__(
        self, rows: StreamTable, images: StreamImages, views: ViewCounts, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._shown = rows
        self._rows = TrashTable(rows.db)
        self._images = images
        self._views = views
        self._clock = clock

    def images(self, stream: Stream) -> list[TrashedImage]:
        """Return the images of a stream that are in the trash, what was moved last first."""
        return self._rows.images(stream.id)

    def image(self, stream: Stream, image_id: str) -> TrashedImage:
        """Return one image of the trash. Raises `NotVisible`."""
        found = self._rows.image(stream.id, image_id)
        if found is None:
            raise NotVisible
        return found

    def slug_of(self, image_id: str) -> str | None:
        """Return the slug of the stream whose trash holds an image; None if there is none."""
        return self._rows.slug_of(image_id)

    def image_ids(self, stream: Stream) -> list[str]:
        """Return the ids of all images of a stream that are in the trash; the stream may be there itself."""
        return self._rows.image_ids(stream.id)

    def totals(self, stream: Stream) -> tuple[int, int]:
        """Return (images, bytes) of a stream in the trash."""
        return self._rows.totals(stream.id)

    def days_left(self, trashed_at: float) -> int:
        """Return in how many days VinylVault deletes what was moved at this time; at least 1 while it is still there."""
        left_s = trashed_at + TRASH_DAYS * DAY_S - self._clock()
        return min(TRASH_DAYS, max(1, -int(-left_s // DAY_S)))

    def move(self, stream: Stream, image_ids: Sequence[str]) -> BatchResult:
        """Move images to the trash. They are hidden from everyone else when this returns."""
        self._write_views()
        shown = {image.image_id: image for image in self._shown.images(stream.id)}
        moved = self._rows.move_images(stream.id, [one for one in dict.fromkeys(image_ids) if one in shown], self._clock())
        for image_id in moved:
            self._images.hide(shown[image_id])
        if moved:
            logger.info("moved to trash stream=%s images=%d", stream.slug, len(moved))
        return BatchResult(moved, {one: NO_IMAGE for one in image_ids if one not in moved})

    def restore(self, stream: Stream, image_ids: Sequence[str]) -> BatchResult:
        """Put images back to their places, with titles, visibility and views."""
        restored, same = self._rows.restore_images(stream.id, image_ids)
        for image_id in restored:
            self._images.delete_trash_variant(image_id)
        if restored:
            logger.info("restored stream=%s images=%d", stream.slug, len(restored))
        gone = {image_id: NO_IMAGE for image_id in image_ids if image_id not in restored and image_id not in same}
        return BatchResult(restored, gone | dict.fromkeys(same, SAME_IMAGE))

    def delete(self, stream: Stream, image_ids: Sequence[str] | None = None) -> int:
        """Delete images of the trash for good, all of the stream without ids: original, variants and views. Return how many."""
        deleted = self._delete_bytes(self._rows.delete_images(stream.id, image_ids))
        if deleted:
            logger.info("deleted for good stream=%s images=%d", stream.slug, deleted)
        return deleted

    def streams(self) -> list[TrashedStream]:
        """Return all streams in the trash, what was moved last first."""
        return self._rows.streams()

    def stream(self, slug: str) -> TrashedStream | None:
        """Return a stream of the trash by its name in URLs."""
        return next((one for one in self._rows.streams() if one.stream.slug == slug), None)

    def move_stream(self, stream: Stream) -> int:
        """Move a stream with its images to the trash; return how many there were. Its invite links end."""
        self._write_views()
        moved = self._rows.move_stream(stream.id, self._clock())
        if moved is None:
            return 0
        for image_id in moved:
            self._images.hide_bytes(image_id)
        logger.info("moved to trash stream=%s images=%d", stream.slug, len(moved))
        return len(moved)

    def restore_stream(self, trashed: TrashedStream) -> int:
        """Put a stream back with its people and images. Raises `NotVisible` if it is not in the trash any more."""
        restored = self._rows.restore_stream(trashed.stream.id)
        if restored is None:
            raise NotVisible
        logger.info("restored stream=%s images=%d", trashed.stream.slug, len(restored))
        return len(restored)

    def delete_stream(self, trashed: TrashedStream) -> int:
        """Delete a stream of the trash for good, with every byte of its images; return how many there were."""
        deleted = self._delete_bytes(self._rows.delete_stream(trashed.stream.id))
        self._images.remove_folder(trashed.stream.slug)
        logger.info("deleted for good stream=%s images=%d", trashed.stream.slug, deleted)
        return deleted

    def expire(self) -> int:
        """Delete for good what has been in the trash for 30 days; return how many images and streams there were."""
        before = self._clock() - TRASH_DAYS * DAY_S
        if not self._rows.has_older(before):
            return 0
        expired = [one for one in self._rows.streams() if one.trashed_at < before]
        for one in expired:
            self.delete_stream(one)
        return len(expired) + self._delete_bytes(self._rows.delete_images_before(before))

    def _write_views(self) -> None:
        try:
            self._views.flush()
        except DatabaseError as error:
            logger.warning("views lost reason=%s", error)

    def _delete_bytes(self, originals: Sequence[Original]) -> int:
        for image_id, file_path in originals:
            self._images.delete_bytes(image_id, file_path)
        return len(originals)
