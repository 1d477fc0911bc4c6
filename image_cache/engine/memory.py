"""LRU memory tier, bounded in bytes."""

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping

from image_cache.engine.key import Key
from image_cache.engine.stats.miss_ratio import ReuseSampler
from image_cache.engine.stats.requests import RequestCounts
from image_cache.frozen import frozen

HIGH_WATER = 0.9  # eviction starts when a put would exceed this share of the budget
EVICT_SHARE = 0.2  # it removes at least this share of the entries, so that a full tier does not evict on every put
LOW_WATER = 0.72  # and continues until at most this share of the budget is used
MAX_TOUCHED = 65536  # for a process that never flushes, such as a long script


@frozen
class MemoryStats:
    entries: int
    used_bytes: int
    budget_bytes: int
    hits: int
    evictions: int


class MemoryTier:
    """Entries with one copy of their bytes, held by any number of page scopes.

    A scope is a page that showed the entry. Scopes are references: clearing one frees only what no other scope holds.
    Thread-safe; no method does I/O. `used_bytes` never exceeds `budget_bytes`.
    """

    def __init__(self, budget_bytes: int, uses: ReuseSampler | None = None) -> None:
        self.budget_bytes = budget_bytes
        self.uses = uses  # records every hit, for the miss-ratio curve
        self.requests = RequestCounts()  # of this process, whichever tier answered
        self.generation = 0  # counts what was dropped: who holds bytes of this tier compares it. May be read at any time
        self._lock = threading.Lock()  # protects everything below
        self._bodies: OrderedDict[Key, bytes] = OrderedDict()
        # scope -> its keys, in order of use; the two tables are the same relation in both directions
        self._keys_of: dict[str, OrderedDict[Key, None]] = {}
        self._scopes_of: dict[Key, set[str]] = {}
        self._scope_budgets: dict[str, int] = {}
        self._used_bytes = 0
        self._hits = 0
        self._evictions = 0
        self._touched: set[Key] = set()

    def get(self, key: Key, scope: str = "") -> bytes | None:
        """Return the bytes and count the hit, or return None. If a scope is given, it holds the entry from now on."""
        with self._lock:
            body = self._bodies.get(key)
            if body is None:
                return None
            self._bodies.move_to_end(key)
            self._hits += 1
            self._hold(key, scope)
        self.requests.add(key)
        if self.uses is not None:
            self.uses.record(key, len(body))
        return body

    def peek(self, key: Key) -> bytes | None:
        """Return the bytes without counting a use."""
        with self._lock:
            return self._bodies.get(key)

    def record_uses(self, uses: Mapping[Key, int]) -> None:
        """Count hits that someone served from bytes of this tier. Of several uses of a key the miss-ratio curve sees one."""
        with self._lock:
            self._hits += sum(uses.values())
            held = [(key, len(self._bodies[key])) for key in uses if key in self._bodies]
            for key, _ in held:
                self._bodies.move_to_end(key)
                self._hold(key, "")
        for key, count in uses.items():
            self.requests.add(key, count)
        if self.uses is not None:
            for key, size in held:
                self.uses.record(key, size)

    def put(self, key: Key, body: bytes, scope: str = "") -> bool:
        """Keep the bytes. Return False if they alone are larger than the tier accepts, which is not an error."""
        if len(body) > self.budget_bytes * LOW_WATER:
            return False
        with self._lock:
            # An entry that is put again, by a thread that missed it at the same time, keeps its scopes.
            holders = self._scopes_of.get(key, set()).copy()
            self._drop(key)
            if self._used_bytes + len(body) > self.budget_bytes * HIGH_WATER:
                self._make_room(len(body))
            self._bodies[key] = body
            self._used_bytes += len(body)
            for holder in (*holders, scope):
                if key in self._bodies:  # an entry larger than the budget of its scope is dropped at once
                    self._hold(key, holder)
        return True

    def delete(self, key: Key) -> None:
        with self._lock:
            self._drop(key)

    def clear(self) -> int:
        """Remove every entry and every scope; return how many entries there were."""
        with self._lock:
            count = len(self._bodies)
            self.generation += 1
            self._bodies.clear()
            self._keys_of.clear()
            self._scopes_of.clear()
            self._used_bytes = 0
            return count

    def clear_scope(self, scope: str) -> int:
        """Drop the references of a scope; return how many entries were freed because no other scope held them."""
        with self._lock:
            freed = [key for key in self._keys_of.get(scope, ()) if len(self._scopes_of[key]) == 1]
            for key in freed:
                self._drop(key)
            for key in self._keys_of.pop(scope, ()):
                self._scopes_of[key].discard(scope)
            return len(freed)

    def set_budget(self, budget_bytes: int) -> None:
        """Change the budget; a lower one evicts at once."""
        with self._lock:
            self.budget_bytes = budget_bytes
            if self._used_bytes > budget_bytes * HIGH_WATER:
                self._make_room(0)

    def set_scope_budget(self, scope: str, budget_bytes: int) -> None:
        """Limit the bytes that a scope may hold; beyond it, its least recently used references are dropped."""
        with self._lock:
            self._scope_budgets[scope] = budget_bytes
            self._trim(scope)

    def scope_stats(self, scope: str) -> tuple[int, int]:
        """Return how many entries a scope holds, and their bytes. Entries that other scopes hold too count in full."""
        with self._lock:
            keys = self._keys_of.get(scope, ())
            return len(keys), sum(len(self._bodies[key]) for key in keys)

    def scopes(self) -> list[str]:
        """Return the names of the scopes that hold entries."""
        with self._lock:
            return sorted(self._keys_of)

    def drain_touched(self) -> set[Key]:
        """Return the keys that were used since the last call, for their recency in the index."""
        with self._lock:
            touched, self._touched = self._touched, set()
            return touched

    def drain_hits(self) -> int:
        """Return the number of hits since the last call."""
        with self._lock:
            hits, self._hits = self._hits, 0
            return hits

    def stats(self) -> MemoryStats:
        with self._lock:
            return MemoryStats(len(self._bodies), self._used_bytes, self.budget_bytes, self._hits, self._evictions)

    def _hold(self, key: Key, scope: str) -> None:
        if len(self._touched) < MAX_TOUCHED:
            self._touched.add(key)
        if scope:
            keys = self._keys_of.setdefault(scope, OrderedDict())
            keys[key] = None
            keys.move_to_end(key)
            self._scopes_of.setdefault(key, set()).add(scope)
            if scope in self._scope_budgets:
                self._trim(scope)

    def _trim(self, scope: str) -> None:
        keys = self._keys_of.get(scope, OrderedDict())
        over = sum(len(self._bodies[key]) for key in keys) - self._scope_budgets[scope]
        while over > 0 and keys:
            key = next(iter(keys))
            over -= len(self._bodies[key])
            if len(self._scopes_of[key]) == 1:
                self._drop(key)  # removes it from `keys` too
            else:
                del keys[key]
                self._scopes_of[key].discard(scope)
        if not keys:
            self._keys_of.pop(scope, None)

    def _make_room(self, size: int) -> None:
        at_least = math.ceil(len(self._bodies) * EVICT_SHARE)
        while self._bodies and (at_least > 0 or self._used_bytes + size > self.budget_bytes * LOW_WATER):
            self._drop(next(iter(self._bodies)))
            self._evictions += 1
            at_least -= 1

    def _drop(self, key: Key) -> None:
        body = self._bodies.pop(key, None)
        if body is not None:
            self.generation += 1
            self._used_bytes -= len(body)
            for scope in self._scopes_of.pop(key, ()):
                keys = self._keys_of[scope]
                keys.pop(key, None)
                if not keys:
                    self._keys_of.pop(scope, None)
