"""Cover audit: goes through all records in the background and keeps what the wall by colour, the list of flaws and the search need.

Addresses that lead to no cover (placeholders, and those that no longer work) are rejected here.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice

from image_cache.covers import NAMESPACE, ImageCache
from image_cache.covers.appearance import AppearanceJob
from image_cache.covers.identity import is_dummy_address, is_dummy_size
from image_cache.db.database import DatabaseError
from image_cache.engine.appearance_table import Appearance
from image_cache.engine.registry import ImageRecord
from image_cache.errors import UNKNOWN_FORMAT
from image_cache.frozen import frozen
from image_cache.imaging.color import Colour, unpack_palette
from image_cache.importers.artwork.similar_covers import groups, split
from image_cache.importers.artwork.table import ArtworkTable
from image_cache.locks import Locks
from image_cache.models import Album
from image_cache.records.orders.appearance_table import RecordAppearance, RecordAppearanceTable
from image_cache.records.orders.colours import colour_place, palette_distance

logger = logging.getLogger(__name__)

CHUNK = 300  # records
SMALL_PX = 300
OBLONG = 1.1  # the longer side over the shorter one; scans are seldom exact
SAME_COLOURS = 0.1  # how far the palettes of two images of one cover may be apart
DEAD_FAILURES = 2  # an hour apart: a server that is starting answers 404 for a while
DEAD = ("404", "410", UNKNOWN_FORMAT)  # codes of a failed fetch that say: this URL has no cover
PLACEHOLDER_USES = 3  # so many records with the same image of one colour: their source means that it has none
HOUR_S = 3600.0
REST_FACTOR = 30  # the rest after a pass, in lengths of the pass: so that it costs about 3% of a core
MAX_GROUPS = 2000

_Row = tuple[int, str | None, str | None, str | None]


@frozen
class BlankUses:
    """How many images of one colour have the same bytes, by SHA-256, and how many records have the same address."""

    bodies: Mapping[bytes, int]
    addresses: Mapping[str, int]

    def of(self, address: str, image: ImageRecord | None) -> int:
        """Return by how many records an image of one colour is used; 0 for few."""
        body = image.body_sha256 if image is not None else None
        return max(self.bodies.get(body, 0) if body is not None else 0, self.addresses.get(address, 0))


class CoverAudit:
    """Goes through all records when something has changed. A periodic job of one process, or of one node."""

    def __init__(
        self, rows: ArtworkTable, covers: ImageCache, looks: AppearanceJob, albums: RecordAppearanceTable, locks: Locks
    ) -> None:
        self._rows = rows
        self._locks = locks
        self._covers = covers
        self._looks = looks
        self._albums = albums
        self._seen: object = None
        self._not_before = 0.0
        self._blanks = BlankUses({}, {})
        self._is_waiting = False  # for images that a user wants fetched again

    def run(self) -> bool:
        """Analyse new covers, then go through the records if anything changed. Return True if a pass was made."""
        try:
            with self._locks.leading("survey") as leads:
                if not leads:
                    return False
                self._looks.run()
                now = time.monotonic()
                state = self._state()
                if state == self._seen or now < self._not_before:
                    return False
                self._pass()
                # It rejected addresses, or an image is still being fetched again: one more pass.
                self._seen = state if self._state()[0] == state[0] and not self._is_waiting else None
                self._not_before = time.monotonic() + REST_FACTOR * (time.monotonic() - now)
        except (DatabaseError, OSError) as error:
            logger.warning("cover survey skipped reason=%s", error)
            return False
        return True

    def _state(self) -> tuple[object, ...]:
        """Return what a pass depends on: the covers of the records, what was fetched, given up and analysed."""
        registered, fetched, given_up = self._covers.registry.summary(NAMESPACE)
        # An address is given up with its second failure, which changes no total: so those are checked once an hour.
        hour = int(self._covers.clock() // HOUR_S) if given_up else 0
        return self._rows.revision(), registered, fetched, given_up, self._looks.rows.count(), hour

    def _pass(self) -> None:
        changed = 0
        last = 0
        self._blanks = self._count_blanks()
        self._is_waiting = False
        self._reconsider()
        rows = self._rows.pictures()
        while chunk := list(islice(rows, CHUNK)):
            changed += self._update(last + 1, chunk)
            last = chunk[-1][0]
        changed += self._forget(last + 1)
        if changed:
            self._pair()

    def _count_blanks(self) -> BlankUses:
        looks = self._looks.rows
        if not looks.has_blank():
            return BlankUses({}, {})
        return BlankUses(looks.blank_bodies(PLACEHOLDER_USES), self._rows.shared_sources(PLACEHOLDER_USES))

    def _reconsider(self) -> None:
        """Show the images of sources that are rejected although nothing is wrong with them by now."""
        rows = self._rows.rejected_sources()
        while chunk := list(islice(rows, CHUNK)):
            digests = {address: self._covers.digests.of(address)[1] for _, address in chunk}
            unique = list(dict.fromkeys(digests.values()))
            images, looks = self._covers.registry.get_many(unique), self._looks.rows.get_many(unique)
            for album_id, address in chunk:
                image, look = images.get(digests[address]), looks.get(digests[address])
                is_known = image is not None and image.fetched_at is not None and look is not None
                if is_known and not self._reason(address, image, look, is_of_source=True):
                    self._rows.clear_rejection(album_id)

    def _reason(self, address: str, image: ImageRecord | None, look: Appearance | None, *, is_of_source: bool) -> str:
        if is_fetched_again(image):
            self._is_waiting = True
            return ""
        if look is not None and look.is_blank and not is_of_source:
            return "The image that was found is plain"
        uses = self._blanks.of(address, image) if look is not None and look.is_blank else 0
        return rejection_reason(address, image, uses)

    def _update(self, first: int, chunk: Sequence[_Row]) -> int:
        """Update the rows of some records and reject addresses of no cover; return how many changed."""
        names = self._covers.digests
        names.refresh()
        digests = {album_id: names.of(str(picture))[1] for album_id, picture, _, _ in chunk}
        unique = list(dict.fromkeys(digests.values()))
        images, looks = self._covers.registry.get_many(unique), self._looks.rows.get_many(unique)
        known = self._albums.between(first, chunk[-1][0])
        found, wrong = [], []
        for album_id, picture, source, elsewhere in chunk:
            digest = digests[album_id]
            image, look = images.get(digest), looks.get(digest)
            # A cover that a user chose is never rejected: only those of the source or of the search.
            may_reject = picture in (source, elsewhere)
            reason = self._reason(str(picture), image, look, is_of_source=picture == source) if may_reject else ""
            if reason:
                wrong.append((album_id, str(picture), reason))
            row = appearance_of(album_id, digest, image, look)
            if known.pop(album_id, None) != row:
                found.append(row)
        if wrong:
            logger.info("covers rejected count=%s first=%s", self._rows.reject_urls(wrong), wrong[0][2])
        if found or known:
            with self._albums.database.write() as conn:
                self._albums.put(conn, found)
                self._albums.forget(conn, known)
                self._albums.changed(conn, self._covers.clock())
        return len(found) + len(known)

    def _forget(self, first: int) -> int:
        with self._albums.database.write() as conn:
            gone = self._albums.forget_from(conn, first)
            if gone:
                self._albums.changed(conn, self._covers.clock())
        return gone

    def _pair(self) -> None:
        """Save which covers look the same, without copies of one release: those should."""
        ids, hashes = self._albums.hashes()
        pairs = []
        for group in islice(groups(hashes), MAX_GROUPS):
            palettes = self._palettes([ids[index] for index in group])
            for part in split(list(palettes), partial(_are_alike, palettes)):
                albums = [album for album_id in part if (album := self._rows.album(album_id)) is not None]
                if len({_release(album) for album in albums}) > 1:
                    pairs.append([album.id for album in albums])
        with self._albums.database.write() as conn:
            self._albums.pair(conn, pairs)

    def _palettes(self, album_ids: Sequence[int]) -> dict[int, tuple[Colour, ...]]:
        digests = self._albums.digests(album_ids[:CHUNK])
        looks = self._looks.rows.get_many(list(set(digests.values())))
        return {
            album_id: unpack_palette(look.colours)
            for album_id, digest in digests.items()
            if (look := looks.get(digest)) and look.colours
        }


def appearance_of(album_id: int, digest: str, image: ImageRecord | None, look: Appearance | None) -> RecordAppearance:
    """Return what is known about the cover of a record."""
    band, place = colour_place(unpack_palette(look.colours)) if look is not None and look.colours else (None, None)
    return RecordAppearance(album_id, digest, band, place, flaw_of(image))


def flaw_of(image: ImageRecord | None) -> str:
    """Return the flaw of a cover: `small`, `oblong`, or empty."""
    if image is None or not image.width or not image.height:
        return ""
    if max(image.width, image.height) < SMALL_PX:
        return "small"
    return "oblong" if max(image.width, image.height) > OBLONG * min(image.width, image.height) else ""


def is_fetched_again(image: ImageRecord | None) -> bool:
    """Return True if a user requested a fetched image again, and its origin has not responded yet."""
    return image is not None and image.fetched_at is not None and image.fresh_until is None


def rejection_reason(address: str, image: ImageRecord | None, blank_uses: int) -> str:
    """Return why the image of an address is no cover; empty if it may be one.

    A sleeve may well have one colour. It is a placeholder if the source has the same image for `blank_uses` different records.
    """
    if is_dummy_address(address):
        return "The source has only a placeholder"
    if image is None:
        return ""
    if image.width and image.height and is_dummy_size(image.width, image.height):
        return f"The source has only a blank image ({image.width} \N{MULTIPLICATION SIGN} {image.height} px)"
    if blank_uses >= PLACEHOLDER_USES:
        return f"The source has the same plain image for {blank_uses:,} records"
    is_dead = image.is_final and image.fetched_at is None and image.failures >= DEAD_FAILURES and image.failure_code in DEAD
    return "The source URL does not return an image" if is_dead else ""


def _are_alike(palettes: Mapping[int, Sequence[Colour]], left: int, right: int) -> bool:
    return palette_distance(palettes[left], palettes[right]) <= SAME_COLOURS


def _release(album: Album) -> tuple[str, ...]:
    # The same release at the same source, or the same artist, title and year: copies.
    if album.source == "discogs":
        return (album.source, album.release_id)
    return (album.source, album.artist_sort, album.title_sort, str(album.year))
