"""The turntable: which side plays now, for every device at once, and the plays that it counts.

A sitting is one play: sides of one record that are started within three hours of each other. A side counts at half its length, or
when the next side of the record is started.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError
from image_cache.errors import FieldRejected, UnknownAlbum
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.library import Library
from image_cache.records.playing.plays_table import IDLE, NowPlaying, Play, PlaysTable
from image_cache.records.playing.sides import Side, playable_sides

logger = logging.getLogger(__name__)

UNKNOWN_S = 20 * 60.0  # how long a side of unknown length plays: no LP side is much longer
TRACK_S = 240  # and a track
IDLE_S = 10 * 60.0  # after its end a side is still offered to be flipped
SITTING_S = 3 * 3600.0
GUEST_UNDO_S = 3600.0  # a guest at home takes back what was just counted, not the history
FIRST = (1e18, 2**62)


@frozen
class Spinning:
    """What a page about now shows. `phase` is ready, playing, flip (a side has ended), over (the last one has) or idle.

    `side` and `next_side` are of `album`; `ends_at` is None while the length is unknown. `idle_at` is when nothing plays any more. `play_id` is the play that this sitting has counted.
    """

    phase: str
    revision: int
    at: float  # when it was looked at
    album: Album | None = None
    side: Side | None = None
    next_side: Side | None = None
    started_at: float = 0.0
    ends_at: float | None = None
    idle_at: float = 0.0
    play_id: int | None = None


class Turntable:
    """Any thread, several processes. Reads never write: a side that has played long enough is counted by `settle`."""

    def __init__(self, catalog: CatalogDatabase, library: Library, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = PlaysTable(catalog)
        self._library = library
        self._clock = clock

    def revision(self) -> int:
        """Return a number that changes when another side is started or stopped, or a play is counted or undone."""
        return self._rows.revision()

    def now(self) -> Spinning:
        """Return what plays."""
        row, now = self._rows.now(), self._clock()
        album = self._library.album(row.album_id) if row.album_id else None
        if album is None:
            return Spinning("idle", row.revision, now)
        found = playable_sides(album)
        at = next((number for number, side in enumerate(found) if side.name == row.side), None)
        side = Side(row.side, (), row.length_s) if at is None else found[at]
        following = found[at + 1] if at is not None and at + 1 < len(found) else None
        ends_at = None if row.length_s is None else row.started_at + row.length_s
        idle_at = (ends_at if ends_at is not None else row.started_at + 2 * UNKNOWN_S) + IDLE_S
        if now >= idle_at:
            phase = "idle"
        elif ends_at is None or now < ends_at:
            phase = "playing"
        else:
            phase = "flip" if following else "over"
        return Spinning(phase, row.revision, now, album, side, following, row.started_at, ends_at, idle_at, row.play_id)

    def ready(self, album: Album) -> Spinning:
        """Return a record that could be started."""
        found = playable_sides(album)
        return Spinning("ready", self._rows.revision(), self._clock(), album, found[0], found[1] if len(found) > 1 else None)

    def start(self, album_id: int, side_name: str, account_id: int | None = None) -> None:
        """Start a side, the first one for "". Raises `UnknownAlbum`, and `FieldRejected` for a side that the record has not."""
        album = self._library.album(album_id)
        if album is None:
            raise UnknownAlbum(album_id)
        found = playable_sides(album)
        side = next((one for one in found if side_name in ("", one.name)), None)
        if side is None:
            raise FieldRejected("side", f"side must be one of {', '.join(one.name for one in found)}, not {side_name[:40]!r}")
        now = self._clock()
        with self._rows.db.write() as conn:
            before = self._settled(conn, self._rows.now(conn), now, is_ending=True, next_album=album_id)
            is_same = before.album_id == album_id and 0 <= now - before.started_at < SITTING_S
            play_id = before.play_id if is_same else None
            self._rows.put(conn, NowPlaying(0, album_id, side.name, now, side.total_s, play_id, False, account_id))

    def stop(self) -> None:
        """Take the record off; a side that played for half its length counts."""
        with self._rows.db.write() as conn:
            before = self._rows.now(conn)
            if before.album_id:
                self._settled(conn, before, self._clock(), is_ending=True)
                self._rows.put(conn, IDLE)

    def settle(self) -> None:
        """Count the side that plays if it has played long enough. Writes only then; call it every few seconds."""
        row = self._rows.now()
        if row.album_id and not row.is_counted and self._clock() >= _counts_at(row):
            with self._rows.db.write() as conn:
                before = self._rows.now(conn)
                after = self._settled(conn, before, self._clock())
                if after != before:
                    self._rows.put(conn, after)

    def run_maintenance(self) -> None:
        """Settle what plays. A periodic job: a catalogue that is away costs one run."""
        try:
            self.settle()
        except DatabaseError as error:
            logger.warning("play deferred reason=%s", error)

    def undo(self, play_id: int, *, as_guest: bool = False) -> int | None:
        """Undo a play. Return the id of its record, None if there is none, or if it is too long ago for a guest."""
        since = self._clock() - GUEST_UNDO_S if as_guest else 0.0
        with self._rows.db.write() as conn:
            return self._rows.remove_play(conn, play_id, since) if 0 < play_id < 2**63 else None

    def undo_last(self, album_id: int, *, as_guest: bool = False) -> None:
        """Undo the last play of a record."""
        since = self._clock() - GUEST_UNDO_S if as_guest else 0.0
        with self._rows.db.write() as conn:
            last = self._rows.last_play_of(conn, album_id)
            if last is not None:
                self._rows.remove_play(conn, last, since)

    def play(self, album_id: int, account_id: int | None = None) -> None:
        """Count a play of a whole record that has just ended. Raises `UnknownAlbum`."""
        album, now = self._library.album(album_id), self._clock()
        if album is None:
            raise UnknownAlbum(album_id)
        length_s = sum(track.duration_s if track.duration_s is not None else TRACK_S for track in album.tracks)
        with self._rows.db.write() as conn:
            play_id = self._rows.add_play(conn, album_id, now, "", account_id)
            if play_id is None:
                raise UnknownAlbum(album_id)
            self._rows.add_heard(conn, play_id, "", now - length_s, now, account_id=account_id)

    def history(self, limit: int, before: tuple[float, int] | None = None) -> list[Play]:
        """Return plays, the newest first, from before the (time, id) of the last one of a page."""
        return self._rows.plays(before or FIRST, limit)

    def mosaic(self, count: int) -> list[Album]:
        """Return records at random, for the wall that is shown while nothing plays."""
        return self._library.sample(count, random.Random(self._clock()))  # noqa: S311  which covers are shown is no secret

    def _settled(
        self, conn: Connection, row: NowPlaying, now: float, *, is_ending: bool = False, next_album: int = 0
    ) -> NowPlaying:
        """Count a side that is due, or that is flipped for another of the same record; return the row with its play.

        `is_ending`: the side is flipped, stopped, or gives way to another record.
        """
        if row.is_counted and is_ending and row.play_id is not None:
            self._rows.end_heard(conn, row.play_id, row.started_at, now)
        is_due = now >= _counts_at(row) or (is_ending and row.album_id == next_album)
        if not row.album_id or row.is_counted or not is_due:
            return row
        play_id = row.play_id
        if play_id is None or not self._rows.add_side(conn, play_id, row.side):
            play_id = self._rows.add_play(conn, row.album_id, row.started_at, row.side, row.account_id)
        if play_id is not None:
            ended_at = now if is_ending else None
            heard = {"length_s": row.length_s, "account_id": row.account_id}
            self._rows.add_heard(conn, play_id, row.side, row.started_at, ended_at, **heard)
        return replace(row, play_id=play_id, is_counted=True)


def _counts_at(row: NowPlaying) -> float:
    return row.started_at + (row.length_s if row.length_s is not None else UNKNOWN_S) / 2
