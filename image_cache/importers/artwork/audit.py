"""The survey of covers: behind, through all records, in portions. It keeps what the wall by colour, the audit and the search for
covers need to know about each, so that no page has to go through all of them.

Addresses that lead to no cover are taken from their records here: pictures of nothing, and those that are gone.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice

from image_cache.covers import NAMESPACE, ImageCache
from image_cache.covers.appearance import AppearanceJob
from image_cache.covers.identity import is_dummy_address, is_dummy_size
from image_cache.db.database import DatabaseError
from image_cache.engine.appearance_table import Appearance
from image_cache.engine.registry import ImageRecord
from image_cache.filesystem import try_lock_file
from image_cache.imaging.color import Colour, unpacked
from image_cache.importers.artwork.table import ArtworkTable
from image_cache.models import Album
from image_cache.records.appearance_table import RecordAppearance, RecordAppearanceTable
from image_cache.records.colours import colour_place, palette_distance

MOST_BITS = 7  # of 64: another scan or size of a sleeve differs in 0 to 6, another sleeve in 20 and more
_BANDS = (0, 16, 32, 48)


def groups(hashes: Sequence[int], most_bits: int = MOST_BITS) -> list[list[int]]:
    """Return the places of hashes that belong together, each group in order, groups by their first place. `most_bits` up to 7.

    Seven bits over four bands of 16: one band differs in one bit at most. So a hash has to meet only those that share a band
    with it but for one bit: with 100,000 of them about a hundred instead of all.
    """
    first_at: dict[int, int] = {}
    parent = [first_at.setdefault(value, at) for at, value in enumerate(hashes)]  # equal ones meet the others once
    for shift in _BANDS:
        buckets: dict[int, list[int]] = {}
        for value in first_at:
            buckets.setdefault(value >> shift & 0xFFFF, []).append(value)
        for part, members in buckets.items():
            near = members.copy()
            for bit in range(16):  # each pair of buckets meets once: from the one without the bit
                if not part >> bit & 1 and (others := buckets.get(part | 1 << bit)):
                    near += others
            if len(near) > 1:
                for value in members:
                    for other in near:
                        if (value ^ other).bit_count() <= most_bits and value != other:
                            _join(parent, first_at[value], first_at[other])
    found: dict[int, list[int]] = {}
    for at in range(len(hashes)):
        found.setdefault(_root(parent, at), []).append(at)
    return [group for group in found.values() if len(group) > 1]


def split(group: Sequence[int], are_alike: Callable[[int, int], bool]) -> list[list[int]]:
    """Divide a group by a second opinion: everybody stays with the first one that he is alike. Groups of one are left out."""
    parts: list[list[int]] = []
    for one in group:
        for part in parts:
            if are_alike(part[0], one):
                part.append(one)
                break
        else:
            parts.append([one])
    return [part for part in parts if len(part) > 1]


def _join(parent: list[int], one: int, other: int) -> None:
    mine, theirs = _root(parent, one), _root(parent, other)
    if mine != theirs:
        parent[max(mine, theirs)] = min(mine, theirs)


def _root(parent: list[int], at: int) -> int:
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at


logger = logging.getLogger(__name__)

AT_A_TIME = 300  # records in one portion
SMALL_PX = 300
OBLONG = 1.1  # the longer side over the shorter one; scans are seldom exact
SAME_COLOURS = 0.1  # how far the palettes of two pictures of one sleeve may be apart
DEAD_FAILURES = 2  # an hour lies between them: a server that starts answers 404 for a while
DEAD = ("answered 404", "answered 410", "not a picture")  # what a fetch says when there is no cover behind an address
HOUR_S = 3600.0
PATIENCE = 30  # after a pass, so many times its length of rest: it may cost three in a hundred of a processor
MOST_GROUPS = 2000

_Row = tuple[int, str | None, str | None, str | None]


class CoverAudit:
    """Goes through all records when something has changed. A chore; one process at a time."""

    def __init__(self, rows: ArtworkTable, covers: ImageCache, looks: AppearanceJob, albums: RecordAppearanceTable) -> None:
        self._rows = rows
        self._covers = covers
        self._looks = looks
        self._albums = albums
        self._seen: object = None
        self._not_before = 0.0

    def run(self) -> bool:
        """Look at what is open, then go through the records if anything is new. Tell whether a pass was made."""
        try:
            with try_lock_file(self._covers.cache.disk.root / ".survey") as is_alone:
                if not is_alone:
                    return False
                self._looks.run()
                now = time.monotonic()
                state = self._state()
                if state == self._seen or now < self._not_before:
                    return False
                self._pass()
                self._seen = state if self._state()[0] == state[0] else None  # it has refused something: once more
                self._not_before = time.monotonic() + PATIENCE * (time.monotonic() - now)
        except (DatabaseError, OSError) as error:
            logger.warning("survey left undone reason=%s", error)
            return False
        return True

    def _state(self) -> tuple[object, ...]:
        """Return what a pass depends on: the pictures of the records, what was fetched, what was given up, what was looked at."""
        registered, fetched, given_up = self._covers.registry.summary(NAMESPACE)
        # An address is given up for good with its second failure, which changes no total: so those are looked at by the hour.
        hour = int(self._covers.clock() // HOUR_S) if given_up else 0
        return self._rows.revision(), registered, fetched, given_up, self._looks.rows.count(), hour

    def _pass(self) -> None:
        changed = 0
        last = 0
        rows = self._rows.pictures()
        while portion := list(islice(rows, AT_A_TIME)):
            changed += self._portion(last + 1, portion)
            last = portion[-1][0]
        changed += self._forget(last + 1)
        if changed:
            self._pair()

    def _portion(self, first: int, portion: Sequence[_Row]) -> int:
        """Bring the rows of some records up to date, and refuse what is no cover; return how many changed."""
        names = self._covers.digests
        names.refresh()
        digests = {album_id: names.of(str(picture))[1] for album_id, picture, _, _ in portion}
        unique = list(dict.fromkeys(digests.values()))
        images, looks = self._covers.registry.get_many(unique), self._looks.rows.get_many(unique)
        known = self._albums.between(first, portion[-1][0])
        found, wrong = [], []
        for album_id, picture, source, elsewhere in portion:
            digest = digests[album_id]
            image, look = images.get(digest), looks.get(digest)
            # What somebody chose is neither the source's nor looked up, and nobody's to refuse.
            reason = why_no_cover(str(picture), image, look) if picture in (source, elsewhere) else ""
            if reason:
                wrong.append((album_id, str(picture), reason))
            row = seen(album_id, digest, image, look)
            if known.pop(album_id, None) != row:
                found.append(row)
        if wrong:
            logger.info("covers refused count=%s first=%s", self._rows.reject_url(wrong), wrong[0][2])
        if found or known:
            with self._albums.database.write() as conn:
                self._albums.put(conn, found)
                self._albums.forget(conn, known)
                self._albums.changed(conn, self._covers.clock())
        return len(found) + len(known)

    def _forget(self, first: int) -> int:
        with self._albums.database.write() as conn:
            gone: int = conn.execute("DELETE FROM album_looks WHERE album_id >= ?", (first,)).rowcount
            if gone:
                self._albums.changed(conn, self._covers.clock())
        return gone

    def _pair(self) -> None:
        """Write which sleeves look the same. Two copies of one release do, rightly: they are left out."""
        ids, hashes = self._albums.hashes()
        pairs = []
        for group in islice(groups(hashes), MOST_GROUPS):
            palettes = self._palettes([ids[at] for at in group])
            for part in split(list(palettes), partial(_are_alike, palettes)):
                albums = [album for one in part if (album := self._rows.album(one)) is not None]
                if len({_release(album) for album in albums}) > 1:
                    pairs.append([album.id for album in albums])
        with self._albums.database.write() as conn:
            self._albums.pair(conn, pairs)

    def _palettes(self, album_ids: Sequence[int]) -> dict[int, tuple[Colour, ...]]:
        digests = self._albums.digests(album_ids[:AT_A_TIME])
        looks = self._looks.rows.get_many(list(set(digests.values())))
        return {one: unpacked(look.colours) for one, digest in digests.items() if (look := looks.get(digest)) and look.colours}


def seen(album_id: int, digest: str, image: ImageRecord | None, look: Appearance | None) -> RecordAppearance:
    """Return what is known about the sleeve of a record."""
    band, place = colour_place(unpacked(look.colours)) if look is not None and look.colours else (None, None)
    return RecordAppearance(album_id, digest, band, place, flaw_of(image))


def flaw_of(image: ImageRecord | None) -> str:
    """Return what could be better about a picture: `small`, `oblong`, or nothing."""
    if image is None or not image.width or not image.height:
        return ""
    if max(image.width, image.height) < SMALL_PX:
        return "small"
    return "oblong" if max(image.width, image.height) > OBLONG * min(image.width, image.height) else ""


def why_no_cover(address: str, image: ImageRecord | None, look: Appearance | None) -> str:
    """Return why what an address leads to is no cover, empty when it may be one."""
    if is_dummy_address(address):
        return "Its source has only a stand-in"
    if image is None:
        return ""
    if image.width and image.height and is_dummy_size(image.width, image.height):
        return f"Its source has only a blank of {image.width} by {image.height} px"
    if look is not None and look.is_blank:
        return "Its source has only a blank"
    is_dead = image.is_final and image.fetched_at is None and image.failures >= DEAD_FAILURES and image.failure.startswith(DEAD)
    return "The address of its source leads to no picture" if is_dead else ""


def _are_alike(palettes: Mapping[int, Sequence[Colour]], one: int, other: int) -> bool:
    return palette_distance(palettes[one], palettes[other]) <= SAME_COLOURS


def _release(album: Album) -> tuple[str, ...]:
    # The same release at the same source, or the same words: copies on one shelf.
    if album.source == "discogs":
        return (album.source, album.release_id)
    return (album.source, album.artist_sort, album.title_sort, str(album.year))
