"""Random pick of a record: what was not played for long is more likely, and the reason can be given in half a line."""

import datetime
import itertools
import random
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import parameter_marks
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.orders.ordering import NOWHERE, ShelfOrder

DAY_S = 86400.0
NEVER = 1.0  # the weight of a record that was never played,
JUST_NOW = 0.05  # of one that was played a moment ago,
RESTED = 0.8  # and of one that was not played for a year
REST_S = 365 * DAY_S
UNKNOWN_S = REST_S / 2  # played, at an unknown time
NEW_S = 7 * DAY_S
DRAWN_AT_A_TIME = 24
MAX_DRAWS = 30
FEW = 500  # up to this many are filtered instead of being drawn and rejected
NOT_AGAIN = 20  # picks before a record may come up a second time
MONTHS = tuple(datetime.date(2000, month, 1).strftime("%B") for month in range(1, 13))


@frozen
class PlayHistory:
    """When a record was played, and when it was added, in Unix seconds. `last_played_at` None: never, or at an unknown time."""

    plays: int
    last_played_at: float | None
    added_at: float


class RandomPicker:
    """Picks albums. Any thread. Remembers its last picks in memory, because reads never write."""

    def __init__(self, catalog: CatalogDatabase, clock: Callable[[], float], rng: random.Random) -> None:
        self._rows = CandidateTable(catalog)
        self._clock = clock
        self._rng = rng
        self._guard = threading.Lock()  # protects _picked
        self._picked: deque[int] = deque(maxlen=NOT_AGAIN)

    def pick(self, ids: Sequence[int], order: ShelfOrder, exclude: Collection[int]) -> int:
        """Return one of `ids`, which are in `order` and not empty, and remember it."""
        now = self._clock()
        with self._guard:
            recent = list(self._picked)
        album_id = self._pick(ids, order, exclude, recent=recent, now=now)
        with self._guard:
            self._picked.append(album_id)
        return album_id

    def _pick(self, ids: Sequence[int], order: ShelfOrder, exclude: Collection[int], *, recent: Sequence[int], now: float) -> int:
        def is_among(album_id: int) -> bool:
            place = order.place_of(album_id)
            index = bisect_left(ids, place, key=order.place_of)
            return place != NOWHERE and index < len(ids) and ids[index] == album_id

        barred = {album_id for album_id in self._rows.gone() if is_among(album_id)}
        if len(barred) == len(ids):
            barred.clear()
        excluded = {album_id for album_id in exclude if album_id not in barred and is_among(album_id)}
        if len(barred) + len(excluded) < len(ids):
            barred |= excluded
        # A collection smaller than the memory gets its oldest picks back first; one is always left to pick.
        memory = min(NOT_AGAIN, len(ids) - len(barred) - 1)
        before = list(dict.fromkeys(one for one in reversed(recent) if one not in barred and is_among(one)))[:memory]
        return draw(ids, barred.union(before), self._rows.histories, now, self._rng)


def draw(
    ids: Sequence[int],
    barred: set[int],
    histories: Callable[[Sequence[int]], Mapping[int, PlayHistory]],
    now: float,
    rng: random.Random,
) -> int:
    """Return one of `ids` that is not `barred` (at least one is not), by weight.

    Rejection sampling, so that 100,000 records cost no more than a hundred: draw evenly, accept a record with the probability
    of its weight.
    """
    if len(ids) <= FEW or 2 * len(barred) > len(ids):
        ids = list(itertools.filterfalse(barred.__contains__, ids))
    drawn: list[int] = []
    known: Mapping[int, PlayHistory] = {}
    for _ in range(MAX_DRAWS):
        drawn = [album_id for album_id in rng.choices(ids, k=DRAWN_AT_A_TIME) if album_id not in barred] or drawn
        known = histories(tuple(dict.fromkeys(drawn)))
        for album_id in drawn:
            if album_id in known and rng.random() * NEVER < weight(known[album_id], now):
                return album_id
    # All of them were played lately: the one of the last draw played longest ago. One that was removed meanwhile weighs nothing.
    return max(drawn, key=lambda album_id: weight(known[album_id], now) if album_id in known else 0.0)


def weight(history: PlayHistory, now: float) -> float:
    """Return how likely a record is to come up, against 1 for one that was never played."""
    if history.last_played_at is None and not history.plays:
        return NEVER
    idle_s = UNKNOWN_S if history.last_played_at is None else max(0.0, now - history.last_played_at)
    return JUST_NOW + (RESTED - JUST_NOW) * min(1.0, idle_s / REST_S)


def reason_for(album: Album | PlayHistory, now: float) -> str:
    """Return in half a line why a record was picked: "never played", "not played since May 2024", "added last week"."""
    if album.last_played_at is not None:
        return _since(album.last_played_at, now)
    if album.plays:
        return "not played since you added it"
    age_s = now - album.added_at
    if 0 <= age_s < 2 * NEW_S:
        return "added this week" if age_s < NEW_S else "added last week"
    return "never played"


def _since(at: float, now: float) -> str:
    then, today = (datetime.datetime.fromtimestamp(moment).astimezone() for moment in (at, now))
    days = (today.date() - then.date()).days
    if days < 1:
        return "you already played it today"
    if days < 60:
        return f"last played {'yesterday' if days == 1 else f'{days} days ago'}"
    year = "" if then.year == today.year else f" {then.year}"
    return f"not played since {MONTHS[then.month - 1]}{year}"


class CandidateTable:
    """What is known of candidates. Any thread."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def gone(self) -> set[int]:
        """Return the albums that are gone from their source."""
        return {row["id"] for row in self._db.rows("SELECT id FROM albums WHERE gone_at IS NOT NULL")}

    def histories(self, album_ids: Sequence[int]) -> dict[int, PlayHistory]:
        """Return the history of each album, at most some hundred."""
        if not album_ids:
            return {}
        sql = f"SELECT id, plays, last_played_at, added_at FROM albums WHERE id IN ({parameter_marks(len(album_ids))})"
        return {
            row["id"]: PlayHistory(row["plays"], row["last_played_at"], row["added_at"]) for row in self._db.rows(sql, album_ids)
        }
