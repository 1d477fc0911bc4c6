"""Whose turn it is: picks by chance that do not repeat themselves soon, over all processes."""

import random
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.records.catalog_spins import SpinTable
from image_cache.records.ordering import NOWHERE, ShelfOrder, position
from image_cache.records.random_pick import pick

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
