"""How big should the cache be? A sample of the keys is followed through all their uses; the rest is arithmetic.

Of a sampled key it is known how many bytes of other keys were used since its last use: a cache that holds as much would have
answered. The sample is taken by the digest, so all uses of a key are seen or none, and a sample of a hundredth stands for the
whole with its distances a hundred times as long. Source of the idea: SHARDS (Waldspurger, Park, Garthwaite, Ahmad, FAST 2015),
with its fixed number of keys and its correction for keys that are used far more than others.

Every process notes uses and brings them into one state in `index.db`, once an hour: 35 KB. In memory a process holds 37 KB at most.
"""

import math
import struct
import threading
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from image_cache.db.database import Connection, Database
from image_cache.engine.key import Key

UNKNOWN_BYTES = 16_000  # of a key whose size nobody has said, while no other is known


class LruDistanceTree:
    """Keys in the order of use, as a Fenwick tree over their sizes: a distance costs a dozen additions, not a walk."""

    def __init__(self, sizes: dict[int, int], more: int) -> None:
        self._length = len(sizes) + more + 1
        self._tree = [0] * (self._length + 1)
        self._sizes = dict(sizes)
        self.places: dict[int, int] = {}
        self.stored: dict[int, int] = {}  # sizes of keys that were stored before they were used
        self._next = 1
        self._total = 0
        for tag, size in sizes.items():
            self._put(tag, size)

    def use(self, tag: int, size: int) -> int | None:
        """Move a key to the end; return the bytes that were used since its last use, itself among them. None: its first use."""
        size = size or self._sizes.get(tag) or self.stored.pop(tag, 0) or self._usual()
        place = self.places.get(tag)
        distance = None if place is None else self._total - self._before(place) + size - self._sizes[tag]
        if place is not None:
            self.drop(tag)
        self._put(tag, size)
        return distance

    def resize(self, tag: int, size: int) -> None:
        self._change(self.places[tag], size - self._sizes[tag])
        self._sizes[tag] = size

    def drop(self, tag: int) -> None:
        self._change(self.places.pop(tag), -self._sizes.pop(tag))

    def in_order(self) -> dict[int, int]:
        return {tag: self._sizes[tag] for tag in sorted(self.places, key=self.places.__getitem__)}

    def _put(self, tag: int, size: int) -> None:
        self.places[tag], self._sizes[tag] = self._next, size
        self._change(self._next, size)
        self._next += 1

    def _usual(self) -> int:
        return self._total // len(self.places) if self.places else UNKNOWN_BYTES

    def _change(self, place: int, by: int) -> None:
        self._total += by
        while place <= self._length:
            self._tree[place] += by
            place += place & -place

    def _before(self, place: int) -> int:
        """Return the bytes of the keys that were used before the one at this place."""
        place, found = place - 1, 0
        while place:
            found += self._tree[place]
            place -= place & -place
        return found


MOST_KEYS = 4096  # followed at a time; more, and the share of keys that is sampled shrinks
MOST_PENDING = 3072  # uses noted before they are brought in; what comes beyond is passed over
MERGE_S, MERGE_PENDING, MERGE_FULL_S = 3600.0, MOST_PENDING // 2, 600.0  # once an hour; when half of the room is taken, earlier
HALF_LIFE_S = 14 * 86400.0  # how fast the past counts less: what people listen to changes
ALL = 1 << 32  # the limit below which every key is sampled
TAG_BYTES, BELOW = 6, 16  # a tag is 40 bits of the digest and 8 of the variant; its first 32 bits are compared with the limit
UNIT_BYTES = 64  # sizes are packed in units of this many bytes, two bytes each
SMALLEST_BYTES, PER_DOUBLING, SLOTS = 1 << 14, 8, 27 * 8  # distances from 16 KB to 2 TB, each slot 9 % wider than the one before
SIZE_ONLY = 1 << 31  # in a noted size: the key was stored, not used

ENOUGH_USES, ENOUGH_S = 1000, 86400.0  # noted uses, and time since the first, before anything is told
STEPS_BYTES = tuple(
    n * unit for unit in (1_000_000, 1_000_000_000) for n in (1, 2, 4, 8, 16, 32, 64, 125, 250, 500)
)  # sizes that people think in
SHOWN = 6
SAME_SHARE = 0.005  # two hit rates that are closer are the same

_HEAD = struct.Struct("<4sIdddddI")
_MARK = b"VVR1"


@dataclass(frozen=True, slots=True)
class MissRatioCurve:
    """What share of the uses a cache of each size would have answered: [(bytes, 0 to 1)], the first uses counted as misses.

    `is_enough` False: too little was seen to tell anything, and `points` is empty. `enough_bytes` is the smallest of the sizes
    that does as well as the largest one.
    """

    points: tuple[tuple[int, float], ...]
    uses: int  # noted since `since`, older ones counted less
    needed: int
    since: float
    is_enough: bool
    rate: float  # the share of keys that is followed
    working_bytes: int  # of everything that was used at all
    enough_bytes: int = 0


class ReuseSampler:
    """Uses of sampled keys since they were last brought into the index. Thread-safe; `note` costs a microsecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects what follows, but for the limit, which may be read at any time
        self._below = "g"  # a digest below this text is sampled; all hexadecimal ones are
        self._tags, self._sizes = array("Q"), array("I")
        self.seen = 0  # uses of all keys, sampled or not, since the last `take`
        self._began_at = 0.0  # when somebody first asked whether it is time

    def record(self, key: Key, size_bytes: int, *, is_use: bool = True) -> None:
        """Note a use of an entry of this size (0: not known), or that it was stored."""
        if key.digest < self._below and len(self._sizes) < MOST_PENDING:
            with self._lock:
                self._tags.append(tag_of(key))
                self._sizes.append(min(size_bytes, SIZE_ONLY - 1) | (0 if is_use else SIZE_ONLY))

    def count(self, uses: int) -> None:
        """Say how many uses there were of all keys."""
        with self._lock:
            self.seen += uses

    def is_due(self, now: float, *, is_last: bool = False) -> bool:
        """Tell whether they should be brought in now: once an hour, earlier when there are many, and before the process ends."""
        self._began_at = min(self._began_at or now, now)
        count, waited_s = len(self._sizes), now - self._began_at
        return count > 0 and (is_last or waited_s >= (MERGE_FULL_S if count >= MERGE_PENDING else MERGE_S))

    def drain(self) -> "tuple[array[int], array[int], int]":
        """Return (tags, sizes, uses of all keys) and begin anew. When not all could be noted, the last is 0: not known."""
        with self._lock:
            tags, sizes, seen = self._tags, self._sizes, self.seen
            self._tags, self._sizes, self.seen, self._began_at = array("Q"), array("I"), 0, 0.0
        return tags, sizes, seen if len(sizes) < MOST_PENDING else 0

    def sample(self, limit: int) -> None:
        """Note only keys whose digest begins below `limit`, of 2 to the 32."""
        self._below = "g" if limit >= ALL else f"{limit:08x}"


class Reuse:
    """The state: followed keys in the order of their last use, and how far apart their uses were. Not thread-safe."""

    def __init__(self) -> None:
        self.limit = ALL
        self.sizes: dict[int, int] = {}  # tag -> bytes, the last used at the end
        self.slots = array("d", bytes(8 * SLOTS))  # uses by distance, each standing for 1 / rate of them
        self.first = 0.0  # first uses, likewise
        self.seen = 0.0  # uses of all keys
        self.noted = 0.0  # uses of followed keys
        self.since = self.merged_at = 0.0

    @property
    def rate(self) -> float:
        return self.limit / ALL

    def merge(self, tags: Sequence[int], sizes: Sequence[int], seen: int, now: float) -> None:
        """Follow noted uses in their order. `seen` is how many there were of all keys, 0 when that is not known."""
        self._age(now)
        line = LruDistanceTree(self.sizes, len(tags))
        weights_before = sum(self.slots) + self.first
        for tag, noted in zip(tags, sizes, strict=True):
            if tag >> BELOW >= self.limit:
                continue
            size = noted & (SIZE_ONLY - 1)
            if noted & SIZE_ONLY:
                if tag in line.places:
                    line.resize(tag, size)
                elif tag not in line.stored:
                    line.stored[tag] = size
                continue
            distance = line.use(tag, size)
            self.noted += 1
            if distance is None:
                self.first += 1 / self.rate
                if len(line.places) > MOST_KEYS:
                    self._shrink(line)
            else:
                self.slots[_slot(distance / self.rate)] += 1 / self.rate
        self.seen += seen or sum(self.slots) + self.first - weights_before
        self.sizes = line.in_order()

    def curve(self, budget_bytes: int, now: float) -> MissRatioCurve:
        """Return what each size would have answered, for sizes around the budget and what was used."""
        working = int(sum(self.sizes.values()) / self.rate)
        is_enough = self.noted >= ENOUGH_USES and now - self.since >= ENOUGH_S
        facts = (round(self.noted), ENOUGH_USES, self.since, is_enough, self.rate, working)
        if not is_enough:
            return MissRatioCurve((), *facts)
        steps = sorted({*STEPS_BYTES, budget_bytes})
        best = self.answered(steps[-1])
        enough = next(step for step in steps if self.answered(step) >= best - SAME_SHARE)
        most = max(enough, budget_bytes)
        end = min(steps.index(most) + 2, len(steps))
        begin = max(0, min(steps.index(enough), steps.index(budget_bytes)) - 2)
        shown = steps[begin:end]
        while len(shown) > SHOWN:  # the two that matter stay, and those around them
            at = next((n for n, step in enumerate(shown) if step not in (enough, budget_bytes) and n > 0), None)
            if at is None:
                break
            del shown[at]
        return MissRatioCurve(tuple((step, self.answered(step)) for step in shown), *facts, enough)

    def answered(self, size_bytes: int) -> float:
        """Return the share of all uses that a cache of this size would have answered, 0 to 1."""
        weights = sum(self.slots) + self.first
        if not weights:
            return 0.0
        # Keys that are used far more than all others may be in the sample or not. What is missing, or too much, beyond the
        # chance of the sample itself, is put down to them: such uses follow each other closely.
        chance = weights * math.sqrt((1 - self.rate) / max(1, len(self.sizes)))
        missing = self.seen - weights
        missing = math.copysign(max(0.0, abs(missing) - chance), missing)
        answered = missing
        for slot, count in enumerate(self.slots):
            low, high = _edge(slot - 1) if slot else 0.0, _edge(slot)
            if size_bytes >= high:
                answered += count
            else:
                answered += count * max(0.0, (size_bytes - low) / (high - low))
                break
        return min(1.0, max(0.0, answered / (weights + missing)))

    def packed(self) -> bytes:
        head = _HEAD.pack(_MARK, self.limit - 1, self.first, self.seen, self.noted, self.since, self.merged_at, len(self.sizes))
        tags = b"".join(tag.to_bytes(TAG_BYTES, "little") for tag in self.sizes)
        sizes = array("H", (min(max(1, round(size / UNIT_BYTES)), 0xFFFF) for size in self.sizes.values()))
        return b"".join((head, self.slots.tobytes(), tags, sizes.tobytes()))

    @classmethod
    def unpacked(cls, state: bytes) -> "Reuse":
        """Read what `packed` wrote; something else gives a state that has seen nothing."""
        made = cls()
        if state[:4] != _MARK or len(state) < _HEAD.size:
            return made
        _, limit, first, seen, noted, since, merged_at, count = _HEAD.unpack_from(state)
        at = _HEAD.size + 8 * SLOTS
        end = at + TAG_BYTES * count
        if len(state) != end + 2 * count:
            return made
        made.limit, made.first, made.seen, made.noted = limit + 1, first, seen, noted
        made.since, made.merged_at = since, merged_at
        made.slots = array("d", state[_HEAD.size : at])
        tags = (int.from_bytes(state[place : place + TAG_BYTES], "little") for place in range(at, end, TAG_BYTES))
        made.sizes = dict(zip(tags, (units * UNIT_BYTES for units in array("H", state[end:])), strict=True))
        return made

    def _age(self, now: float) -> None:
        if not self.since:
            self.since = now
        elif now > self.merged_at > 0:
            kept = 0.5 ** ((now - self.merged_at) / HALF_LIFE_S)
            self.slots = array("d", (count * kept for count in self.slots))
            self.first, self.seen, self.noted = self.first * kept, self.seen * kept, self.noted * kept
        self.merged_at = now

    def _shrink(self, line: "LruDistanceTree") -> None:
        """Sample fewer keys: a tenth of those that are followed are followed no more."""
        prefixes = sorted(tag >> BELOW for tag in line.places)
        self.limit = max(1, prefixes[MOST_KEYS * 9 // 10])
        for tag in [tag for tag in line.places if tag >> BELOW >= self.limit]:
            line.drop(tag)


def tag_of(key: Key) -> int:
    """Return 48 bits that stand for a key. The digest's come first, so that all its variants are sampled or none."""
    return (int(key.digest[:10], 16) << 8) | (zlib.crc32(key.variant.encode()) & 0xFF)


def merge_uses(conn: Connection, uses: ReuseSampler, now: float) -> None:
    """Bring the noted uses of this process into the state of all of them."""
    row = conn.execute("SELECT state FROM reuse").fetchone()
    state = Reuse.unpacked(row[0]) if row else Reuse()
    state.merge(*uses.drain(), now)
    uses.sample(state.limit)
    conn.execute("INSERT OR REPLACE INTO reuse VALUES (1, ?)", (state.packed(),))


def forget_uses(conn: Connection) -> None:
    """Begin anew: every key has another name from now on."""
    conn.execute("DELETE FROM reuse")


def reuse_curve(database: Database, now: float, *, budget_bytes: int) -> MissRatioCurve:
    """Return what other sizes of the cache would have answered, from all uses up to the last hour. Reads only."""
    row = database.row("SELECT state FROM reuse")
    return (Reuse.unpacked(row[0]) if row else Reuse()).curve(budget_bytes, now)


def _slot(distance: float) -> int:
    if distance <= SMALLEST_BYTES:
        return 0
    return min(SLOTS - 1, math.ceil(math.log2(distance / SMALLEST_BYTES) * PER_DOUBLING))


def _edge(slot: int) -> float:
    """Return the distance at which a slot ends."""
    return float(SMALLEST_BYTES * 2 ** (slot / PER_DOUBLING))
