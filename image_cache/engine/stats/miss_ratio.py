"""Miss-ratio curve: the hit rate of other cache sizes, estimated from a sample of the keys.

For each use of a sampled key, the reuse distance is known: the bytes of other keys that were used since its last use. A cache of
that size would have had a hit. Keys are sampled by their digest, so that all uses of a key are seen or none; in a sample of a
hundredth each distance counts a hundredfold. Source: SHARDS (Waldspurger, Park, Garthwaite, Ahmad, FAST 2015), with its fixed
number of keys and its correction for keys that are used far more often than others.

Each process records uses and merges them into one state in `index.db`, once an hour: 35 KB. In memory it holds at most 37 KB.
"""

import math
import struct
import threading
import zlib
from array import array
from collections.abc import Sequence

from image_cache.db.database import Connection, Database
from image_cache.engine.key import Key
from image_cache.frozen import frozen

UNKNOWN_BYTES = 16_000  # size of a key while no size of any key is known
MAX_KEYS = 4096  # followed at a time; beyond that the sampling rate is lowered
MAX_PENDING = 3072  # uses recorded before a merge; further ones are ignored
MERGE_S, MERGE_PENDING, MERGE_FULL_S = 3600.0, MAX_PENDING // 2, 600.0  # once an hour; earlier if half of the buffer is full
HALF_LIFE_S = 14 * 86400.0  # of old uses: what people listen to changes
ALL = 1 << 32  # limit with which every key is sampled
# A tag has 40 bits of the digest and 8 of the variant; its first 32 bits are compared with the limit.
TAG_BYTES, TAG_SHIFT = 6, 16
UNIT_BYTES = 64  # sizes are packed in units of this many bytes, as two bytes each
SMALLEST_BYTES, PER_DOUBLING, SLOTS = 1 << 14, 8, 27 * 8  # distances from 16 KB to 2 TB, each slot 9% wider than the one before
SIZE_ONLY = 1 << 31  # flag of a recorded size: the key was stored, not used

ENOUGH_USES, ENOUGH_S = 1000, 86400.0  # recorded uses, and time since the first, before a curve is shown
STEPS_BYTES = tuple(n * unit for unit in (1_000_000, 1_000_000_000) for n in (1, 2, 4, 8, 16, 32, 64, 125, 250, 500))
MAX_POINTS = 6
SAME_SHARE = 0.005  # hit rates that differ by less count as equal

_HEAD = struct.Struct("<4sIdddddI")
_MARK = b"VVR1"


@frozen
class MissRatioCurve:
    """The hit rate of each cache size: [(bytes, 0 to 1)]. First uses count as misses.

    If `is_enough` is False, there were too few uses, and `points` is empty. `enough_bytes` is the smallest size with the hit rate
    of the largest one.
    """

    points: tuple[tuple[int, float], ...]
    uses: int  # recorded since `since`, older ones weighted less
    needed: int
    since: float
    is_enough: bool
    rate: float  # the share of keys that is sampled
    working_bytes: int  # of all keys that were used
    enough_bytes: int = 0


class ReuseSampler:
    """Uses of sampled keys since the last merge. Thread-safe; `record` takes a microsecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the rest, except the limit, which may be read at any time
        self._below = "g"  # digests below this text are sampled: at first all of them
        self._tags, self._sizes = array("Q"), array("I")
        self.seen = 0  # uses of all keys, sampled or not, since the last `drain`
        self._began_at = 0.0  # of the first `is_due`

    def record(self, key: Key, size_bytes: int, *, is_use: bool = True) -> None:
        """Record a use of an entry of this size (0: unknown), or that it was stored."""
        if key.digest < self._below and len(self._sizes) < MAX_PENDING:
            with self._lock:
                self._tags.append(tag_of(key))
                self._sizes.append(min(size_bytes, SIZE_ONLY - 1) | (0 if is_use else SIZE_ONLY))

    def count(self, uses: int) -> None:
        """Add the number of uses of all keys."""
        with self._lock:
            self.seen += uses

    def is_due(self, now: float, *, is_last: bool = False) -> bool:
        """Return True if they should be merged now: once an hour, earlier if there are many, and before the process ends."""
        self._began_at = min(self._began_at or now, now)
        count, waited_s = len(self._sizes), now - self._began_at
        return count > 0 and (is_last or waited_s >= (MERGE_FULL_S if count >= MERGE_PENDING else MERGE_S))

    def drain(self) -> "tuple[array[int], array[int], int]":
        """Return (tags, sizes, uses of all keys) and reset them. The last is 0, unknown, if the buffer was full."""
        with self._lock:
            tags, sizes, seen = self._tags, self._sizes, self.seen
            self._tags, self._sizes, self.seen, self._began_at = array("Q"), array("I"), 0, 0.0
        return tags, sizes, seen if len(sizes) < MAX_PENDING else 0

    def sample(self, limit: int) -> None:
        """Record only keys whose digest begins below `limit`, of 2 to the 32."""
        self._below = "g" if limit >= ALL else f"{limit:08x}"


class ReuseState:
    """Sampled keys in the order of their last use, and the histogram of reuse distances. Not thread-safe."""

    def __init__(self) -> None:
        self.limit = ALL
        self.sizes: dict[int, int] = {}  # tag -> bytes, most recently used last
        self.slots = array("d", bytes(8 * SLOTS))  # uses by distance, each weighted with 1 / rate
        self.first = 0.0  # first uses, with the same weight
        self.seen = 0.0  # uses of all keys
        self.recorded = 0.0  # uses of sampled keys
        self.since = self.merged_at = 0.0

    @property
    def rate(self) -> float:
        return self.limit / ALL

    def merge(self, tags: Sequence[int], sizes: Sequence[int], seen: int, now: float) -> None:
        """Add recorded uses, in order. `seen` is the number of uses of all keys, 0 if unknown."""
        self._age(now)
        tree = LruDistanceTree(self.sizes, len(tags))
        weights_before = sum(self.slots) + self.first
        for tag, recorded in zip(tags, sizes, strict=True):
            if tag >> TAG_SHIFT >= self.limit:
                continue
            size = recorded & (SIZE_ONLY - 1)
            if recorded & SIZE_ONLY:
                if tag in tree.positions:
                    tree.resize(tag, size)
                elif tag not in tree.stored:
                    tree.stored[tag] = size
                continue
            distance = tree.use(tag, size)
            self.recorded += 1
            if distance is None:
                self.first += 1 / self.rate
                if len(tree.positions) > MAX_KEYS:
                    self._shrink(tree)
            else:
                self.slots[_slot(distance / self.rate)] += 1 / self.rate
        self.seen += seen or sum(self.slots) + self.first - weights_before
        self.sizes = tree.in_order()

    def curve(self, budget_bytes: int, now: float) -> MissRatioCurve:
        """Return the hit rates of sizes around the budget and around the smallest sufficient size."""
        working = int(sum(self.sizes.values()) / self.rate)
        is_enough = self.recorded >= ENOUGH_USES and now - self.since >= ENOUGH_S
        facts = (round(self.recorded), ENOUGH_USES, self.since, is_enough, self.rate, working)
        if not is_enough:
            return MissRatioCurve((), *facts)
        steps = sorted({*STEPS_BYTES, budget_bytes})
        best = self.hit_rate(steps[-1])
        enough = next(step for step in steps if self.hit_rate(step) >= best - SAME_SHARE)
        end = min(steps.index(max(enough, budget_bytes)) + 2, len(steps))
        begin = max(0, min(steps.index(enough), steps.index(budget_bytes)) - 2)
        shown = steps[begin:end]
        while len(shown) > MAX_POINTS:  # keep the two that matter, and their neighbours
            index = next((n for n, step in enumerate(shown) if step not in (enough, budget_bytes) and n > 0), None)
            if index is None:
                break
            del shown[index]
        return MissRatioCurve(tuple((step, self.hit_rate(step)) for step in shown), *facts, enough)

    def hit_rate(self, size_bytes: int) -> float:
        """Return the hit rate of a cache of this size, 0 to 1."""
        weights = sum(self.slots) + self.first
        if not weights:
            return 0.0
        # Keys that are used far more often than others may be in the sample or not. Uses that are missing or surplus, beyond the
        # standard error of the sample, are attributed to them and count as hits, because they follow each other closely.
        error = weights * math.sqrt((1 - self.rate) / max(1, len(self.sizes)))
        missing = self.seen - weights
        missing = math.copysign(max(0.0, abs(missing) - error), missing)
        hits = missing
        for slot, count in enumerate(self.slots):
            low, high = _edge(slot - 1) if slot else 0.0, _edge(slot)
            if size_bytes >= high:
                hits += count
            else:
                hits += count * max(0.0, (size_bytes - low) / (high - low))
                break
        return min(1.0, max(0.0, hits / (weights + missing)))

    def packed(self) -> bytes:
        head = _HEAD.pack(
            _MARK, self.limit - 1, self.first, self.seen, self.recorded, self.since, self.merged_at, len(self.sizes)
        )
        tags = b"".join(tag.to_bytes(TAG_BYTES, "little") for tag in self.sizes)
        sizes = array("H", (min(max(1, round(size / UNIT_BYTES)), 0xFFFF) for size in self.sizes.values()))
        return b"".join((head, self.slots.tobytes(), tags, sizes.tobytes()))

    @classmethod
    def unpacked(cls, packed: bytes) -> "ReuseState":
        """Read what `packed` wrote; anything else gives an empty state."""
        state = cls()
        if packed[:4] != _MARK or len(packed) < _HEAD.size:
            return state
        _, limit, first, seen, recorded, since, merged_at, count = _HEAD.unpack_from(packed)
        begin = _HEAD.size + 8 * SLOTS
        end = begin + TAG_BYTES * count
        if len(packed) != end + 2 * count:
            return state
        state.limit, state.first, state.seen, state.recorded = limit + 1, first, seen, recorded
        state.since, state.merged_at = since, merged_at
        state.slots = array("d", packed[_HEAD.size : begin])
        tags = (int.from_bytes(packed[start : start + TAG_BYTES], "little") for start in range(begin, end, TAG_BYTES))
        state.sizes = dict(zip(tags, (units * UNIT_BYTES for units in array("H", packed[end:])), strict=True))
        return state

    def _age(self, now: float) -> None:
        if not self.since:
            self.since = now
        elif now > self.merged_at > 0:
            kept = 0.5 ** ((now - self.merged_at) / HALF_LIFE_S)
            self.slots = array("d", (count * kept for count in self.slots))
            self.first, self.seen, self.recorded = self.first * kept, self.seen * kept, self.recorded * kept
        self.merged_at = now

    def _shrink(self, tree: "LruDistanceTree") -> None:
        """Lower the sampling rate: a tenth of the sampled keys is dropped."""
        prefixes = sorted(tag >> TAG_SHIFT for tag in tree.positions)
        self.limit = max(1, prefixes[MAX_KEYS * 9 // 10])
        for tag in [tag for tag in tree.positions if tag >> TAG_SHIFT >= self.limit]:
            tree.drop(tag)


def tag_of(key: Key) -> int:
    """Return a key as 48 bits. The digest comes first, so that all of its variants are sampled or none."""
    return (int(key.digest[:10], 16) << 8) | (zlib.crc32(key.variant.encode()) & 0xFF)


def merge_uses(conn: Connection, uses: ReuseSampler, now: float) -> None:
    """Merge the recorded uses of this process into the state of all processes."""
    row = conn.execute("SELECT state FROM reuse").fetchone()
    state = ReuseState.unpacked(row[0]) if row else ReuseState()
    state.merge(*uses.drain(), now)
    uses.sample(state.limit)
    conn.execute("INSERT OR REPLACE INTO reuse VALUES (1, ?)", (state.packed(),))


def reset_uses(conn: Connection) -> None:
    """Delete the state, because every key gets another digest."""
    conn.execute("DELETE FROM reuse")


def reuse_curve(database: Database, now: float, *, budget_bytes: int) -> MissRatioCurve:
    """Return the miss-ratio curve of all uses up to the last hour. Only reads."""
    row = database.row("SELECT state FROM reuse")
    return (ReuseState.unpacked(row[0]) if row else ReuseState()).curve(budget_bytes, now)


class LruDistanceTree:
    """Keys in the order of use, as a Fenwick tree over their sizes: a distance takes a dozen additions."""

    def __init__(self, sizes: dict[int, int], extra: int) -> None:
        self._length = len(sizes) + extra + 1
        self._tree = [0] * (self._length + 1)
        self._sizes = dict(sizes)
        self.positions: dict[int, int] = {}
        self.stored: dict[int, int] = {}  # sizes of keys that were stored before their first use
        self._next = 1
        self._total = 0
        for tag, size in sizes.items():
            self._put(tag, size)

    def use(self, tag: int, size: int) -> int | None:
        """Move a key to the end; return its reuse distance in bytes, including itself, or None for its first use."""
        size = size or self._sizes.get(tag) or self.stored.pop(tag, 0) or self._mean_size()
        position = self.positions.get(tag)
        distance = None if position is None else self._total - self._bytes_before(position) + size - self._sizes[tag]
        if position is not None:
            self.drop(tag)
        self._put(tag, size)
        return distance

    def resize(self, tag: int, size: int) -> None:
        self._change(self.positions[tag], size - self._sizes[tag])
        self._sizes[tag] = size

    def drop(self, tag: int) -> None:
        self._change(self.positions.pop(tag), -self._sizes.pop(tag))

    def in_order(self) -> dict[int, int]:
        return {tag: self._sizes[tag] for tag in sorted(self.positions, key=self.positions.__getitem__)}

    def _put(self, tag: int, size: int) -> None:
        self.positions[tag], self._sizes[tag] = self._next, size
        self._change(self._next, size)
        self._next += 1

    def _mean_size(self) -> int:
        return self._total // len(self.positions) if self.positions else UNKNOWN_BYTES

    def _change(self, position: int, by: int) -> None:
        self._total += by
        while position <= self._length:
            self._tree[position] += by
            position += position & -position

    def _bytes_before(self, position: int) -> int:
        """Return the bytes of the keys that were used before the one at this position."""
        position, found = position - 1, 0
        while position:
            found += self._tree[position]
            position -= position & -position
        return found


def _slot(distance: float) -> int:
    if distance <= SMALLEST_BYTES:
        return 0
    return min(SLOTS - 1, math.ceil(math.log2(distance / SMALLEST_BYTES) * PER_DOUBLING))


def _edge(slot: int) -> float:
    """Return the upper end of a slot."""
    return float(SMALLEST_BYTES * 2 ** (slot / PER_DOUBLING))
