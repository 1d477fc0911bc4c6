"""Random that pleases: what was not played for long comes up more often, and why a record came up can be said in half a line."""

import datetime
import itertools
import random
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError, parameter_marks
from image_cache.models import Album
from image_cache.records.ordering import NOWHERE, ShelfOrder, position


@dataclass(frozen=True, slots=True)
class PlayHistory:
    """When a record was played, and when it came in, in Unix seconds. `last_played_at` None: never, or nobody knows when."""

    plays: int
    last_played_at: float | None
    added_at: float


class SpinTable:
    """The last picks of all processes. Any thread."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        """Hold the only turn to pick, over all processes. Not written through to the disk: a power cut may forget the last picks."""
        with self._db.write(is_durable=False) as conn:
            yield conn

    def recent(self, conn: Connection, most: int) -> list[int]:
        """Return the last picks, newest last."""
        rows = conn.execute("SELECT album_id FROM spins ORDER BY id DESC LIMIT ?", (most,))
        return [row["album_id"] for row in rows][::-1]

    def note(self, conn: Connection, album_id: int, now: float, most: int) -> None:
        """Remember a pick, and forget those before the last `most`."""
        conn.execute("INSERT INTO spins (album_id, spun_at) VALUES (?, ?)", (album_id, now))
        conn.execute("DELETE FROM spins WHERE id <= (SELECT max(id) FROM spins) - ?", (most,))

    def gone(self) -> set[int]:
        """Return the albums that are gone from where they came from."""
        return {row["id"] for row in self._db.rows("SELECT id FROM albums WHERE gone_at IS NOT NULL")}

    def heard(self, album_ids: Sequence[int]) -> dict[int, PlayHistory]:
        """Return what is known of some albums, at most some hundred."""
        sql = f"SELECT id, plays, last_played_at, added_at FROM albums WHERE id IN ({parameter_marks(len(album_ids))})"
        return {
            row["id"]: PlayHistory(row["plays"], row["last_played_at"], row["added_at"]) for row in self._db.rows(sql, album_ids)
        }


DAY_S = 86400.0
NEVER = 1.0  # the weight of a record that was never played,
JUST_NOW = 0.05  # of one that was played a moment ago,
RESTED = 0.8  # and of one that was not played for a year
REST_S = 365 * DAY_S
UNKNOWN_S = REST_S / 2  # played, and nobody knows when
NEW_S = 7 * DAY_S
AT_A_TIME = 24  # records looked at in one go
MOST_TRIES = 30
FEW = 500  # so few are looked through instead of being tried by chance
MONTHS = tuple(datetime.date(2000, month, 1).strftime("%B") for month in range(1, 13))


def weight(heard: PlayHistory, now: float) -> float:
    """Return how likely a record is to come up, against 1 for one that was never played."""
    if heard.last_played_at is None and not heard.plays:
        return NEVER
    idle_s = UNKNOWN_S if heard.last_played_at is None else max(0.0, now - heard.last_played_at)
    return JUST_NOW + (RESTED - JUST_NOW) * min(1.0, idle_s / REST_S)


def pick(
    ids: Sequence[int],
    barred: set[int],
    heard: Callable[[Sequence[int]], Mapping[int, PlayHistory]],
    now: float,
    rng: random.Random,
) -> int:
    """Return one of `ids` that is not `barred` (one at least is not), by weight.

    By chance and rejection, so that 100,000 records cost no more than a hundred: draw evenly, keep a record with the likelihood
    of its weight. The result is exactly by weight.
    """
    if len(ids) <= FEW or 2 * len(barred) > len(ids):
        ids = list(itertools.filterfalse(barred.__contains__, ids))
    drawn: list[int] = []
    known: Mapping[int, PlayHistory] = {}
    for _ in range(MOST_TRIES):
        drawn = [one for one in rng.choices(ids, k=AT_A_TIME) if one not in barred] or drawn
        known = heard(tuple(dict.fromkeys(drawn)))
        for one in drawn:
            if one in known and rng.random() * NEVER < weight(known[one], now):
                return one
    # All of it was played lately: the least lately of what was looked at last. One that was deleted meanwhile weighs nothing.
    return max(drawn, key=lambda one: weight(known[one], now) if one in known else 0.0)


def why(album: Album | PlayHistory, now: float) -> str:
    """Say in half a line what speaks for a record: "never played", "not played since May 2024", "came in last week"."""
    if album.last_played_at is not None:
        return _since(album.last_played_at, now)
    if album.plays:
        return "not played since it came in"
    age_s = now - album.added_at
    if 0 <= age_s < 2 * NEW_S:
        return "came in this week" if age_s < NEW_S else "came in last week"
    return "never played"


def _since(at: float, now: float) -> str:
    then, today = (datetime.datetime.fromtimestamp(one).astimezone() for one in (at, now))
    days = (today.date() - then.date()).days
    if days < 1:
        return "played today already, and up again by chance"
    if days < 60:
        return f"last played {'yesterday' if days == 1 else f'{days} days ago'}"
    year = "" if then.year == today.year else f" {then.year}"
    return f"not played since {MONTHS[then.month - 1]}{year}"


NOT_AGAIN = 20  # picks before a record may come up a second time


class RandomPicker:
    """Picks albums. Any thread; what was picked stands in the catalogue, and in memory for a disk that takes no more."""

    def __init__(self, catalog: CatalogDatabase, clock: Callable[[], float], rng: random.Random) -> None:
        self._spins = SpinTable(catalog)
        self._clock = clock
        self._rng = rng
        self._guard = threading.Lock()  # protects _picked
        self._picked: deque[int] = deque(maxlen=NOT_AGAIN)  # by this process

    def pick(self, ids: Sequence[int], order: ShelfOrder, exclude: Collection[int]) -> int:
        """Return one of `ids`, which stand in `order` and are not empty, and remember it."""
        now = self._clock()
        try:
            with self._spins.turn() as conn:
                album_id = self._pick(ids, order, exclude, recent=self._spins.recent(conn, NOT_AGAIN), now=now)
                self._spins.note(conn, album_id, now, NOT_AGAIN)
        except DatabaseError:  # a full disk, or one that became read-only: then this process has to remember by itself
            with self._guard:
                recent = list(self._picked)
            album_id = self._pick(ids, order, exclude, recent=recent, now=now)
        with self._guard:
            self._picked.append(album_id)
        return album_id

    def _pick(self, ids: Sequence[int], order: ShelfOrder, exclude: Collection[int], *, recent: Sequence[int], now: float) -> int:
        def is_among(album_id: int) -> bool:
            place = position(order, album_id)
            at = bisect_left(ids, place, key=lambda one: position(order, one))
            return place != NOWHERE and at < len(ids) and ids[at] == album_id

        barred = {one for one in self._spins.gone() if is_among(one)}
        if len(barred) == len(ids):
            barred.clear()
        excluded = {one for one in exclude if one not in barred and is_among(one)}
        if len(barred) + len(excluded) < len(ids):
            barred |= excluded
        # A collection smaller than the memory gets its oldest picks back first; one is always left to pick.
        memory = min(NOT_AGAIN, len(ids) - len(barred) - 1)
        before = list(dict.fromkeys(one for one in reversed(recent) if one not in barred and is_among(one)))[:memory]
        return pick(ids, barred.union(before), self._spins.heard, now, self._rng)
