"""Miss-ratio curve: compared with an exact simulation, its size, and when there is too little data."""

import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from image_cache.engine.cache import Cache
from image_cache.engine.key import Key, digest_of
from image_cache.engine.memory import MemoryTier
from image_cache.engine.stats.miss_ratio import (
    ENOUGH_S,
    ENOUGH_USES,
    MAX_KEYS,
    MAX_PENDING,
    TAG_SHIFT,
    ReuseSampler,
    ReuseState,
    reuse_curve,
    tag_of,
)
from tests.support.clock import FakeClock
from tests.support.engine import key, open_cache, webp

NOW = 1_800_000_000.0


def keys(count: int) -> list[Key]:
    return [key(name) for name in range(count)]


def size_of(one: Key) -> int:
    return 5_000 + int(one.digest[-4:], 16) % 20_000


def skewed(names: Sequence[Key], count: int, chance: random.Random, skew: float) -> list[Key]:
    """Return uses of keys, some of them far more frequent than others."""
    weights = [1 / (rank + 1) ** skew for rank in range(len(names))]
    return chance.choices(names, weights, k=count)


def exact(uses: Sequence[Key], size_bytes: int) -> float:
    """Return the hit rate of an LRU cache of this size, by simulating it."""
    kept: OrderedDict[Key, int] = OrderedDict()
    used = hits = 0
    for one in uses:
        if one in kept:
            hits += 1
            kept.move_to_end(one)
            continue
        kept[one] = size_of(one)
        used += kept[one]
        while used > size_bytes:
            used -= kept.popitem(last=False)[1]
    return hits / len(uses)


def followed(uses: Sequence[Key]) -> ReuseState:
    """Return the state after these uses, merged a few thousand at a time as by a process."""
    state, noted = ReuseState(), ReuseSampler()
    for number, one in enumerate(uses):
        noted.record(one, size_of(one))
        noted.count(1)
        if number % 2000 == 1999:
            state.merge(*noted.drain(), NOW)
            noted.sample(state.limit)
    state.merge(*noted.drain(), NOW)
    return state


@pytest.mark.parametrize(("count", "skew", "most_wrong"), [(500, 0.8, 0.01), (40_000, 0.9, 0.03), (40_000, 0.5, 0.03)])
@pytest.mark.slow
def test_the_sampled_curve_is_within_a_few_points_of_an_exact_simulation(count: int, skew: float, most_wrong: float) -> None:
    """500 keys are all sampled, so that only the width of a slot matters; of 40,000 one in seven is sampled."""
    uses = skewed(keys(count), 60_000, random.Random(3), skew)
    state = followed(uses)
    assert (state.rate < 0.25) == (count > 4000)
    whole = sum(map(size_of, set(uses)))
    for share in (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0):
        size = int(whole * share)
        assert state.hit_rate(size) == pytest.approx(exact(uses, size), abs=most_wrong), f"at {share:.0%} of {whole:,} bytes"


def test_a_scan_of_more_than_fits_has_its_cliff_where_it_belongs() -> None:
    """Three passes over the same 300 keys: below their size there are no hits, from it on two of three uses are hits."""
    names = keys(300)
    state = followed(names * 3)
    whole = sum(map(size_of, names))
    assert state.hit_rate(int(whole * 0.85)) < 0.02
    assert state.hit_rate(int(whole * 1.15)) == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.slow
def test_the_state_stays_small_whatever_is_used() -> None:
    uses = ReuseSampler()
    state = ReuseState()
    for start in range(0, 90_000, 3000):
        for number in range(start, start + 3000):
            uses.record(key(number), 9000)
        state.merge(*uses.drain(), NOW)
        uses.sample(state.limit)
    assert len(state.sizes) <= MAX_KEYS
    assert len(state.packed()) + MAX_PENDING * 12 < 75_000
    assert 0.02 < state.rate < 0.08


def test_the_state_survives_packing_and_an_invalid_one_is_empty() -> None:
    state = followed(skewed(keys(3000), 12_000, random.Random(5), 0.8))
    again = ReuseState.unpacked(state.packed())
    assert again.packed() == state.packed()
    assert again.hit_rate(5_000_000) == state.hit_rate(5_000_000) > 0
    assert list(again.sizes) == list(state.sizes)
    assert max(abs(again.sizes[tag] - size) for tag, size in state.sizes.items()) <= 32
    for broken in (b"", b"VVR1", state.packed()[:-1], b"XXXX" + state.packed()[4:]):
        assert ReuseState.unpacked(broken).recorded == 0


def test_uses_beyond_the_buffer_are_ignored_and_do_not_distort_the_rate() -> None:
    uses, one = ReuseSampler(), key(1)
    for _ in range(MAX_PENDING + 500):
        uses.record(one, 100)
        uses.count(1)
    tags, _, seen = uses.drain()
    assert len(tags) == MAX_PENDING
    assert seen == 0
    state = ReuseState()
    state.merge(tags, [100] * len(tags), seen, NOW)
    assert state.seen == MAX_PENDING


def test_a_key_that_was_stored_before_it_was_used_has_its_size() -> None:
    uses, state = ReuseSampler(), ReuseState()
    uses.record(key(1), 7777, is_use=False)
    uses.record(key(1), 0)
    uses.record(key(2), 0)
    state.merge(*uses.drain(), NOW)
    assert state.sizes[tag_of(key(1))] == 7777
    uses.record(key(2), 4444, is_use=False)
    state.merge(*uses.drain(), NOW)
    assert state.sizes[tag_of(key(2))] == 4444
    assert state.recorded == 2


def test_all_variants_of_a_cover_are_sampled_or_none() -> None:
    digest = digest_of("a")
    tags = {
        tag_of(Key("covers", variant, digest))
        for variant in ("thumbnails", "detail", "thumbnails-2x", "detail-2x", "thumbnails.jpg", "detail.jpg")
    }
    assert len(tags) == 6
    assert len({tag >> TAG_SHIFT for tag in tags}) == 1


@pytest.fixture
def cache(tmp_path: Path, clock: FakeClock) -> Iterator[Cache]:
    opened = open_cache(tmp_path, clock, budget_bytes=50_000_000)
    opened.memory = MemoryTier(20_000, ReuseSampler())
    opened.uses = opened.memory.uses
    yield opened
    opened.index.close()


def test_the_curve_comes_from_hits_in_memory_and_on_disk_and_from_misses_and_survives_a_restart(
    cache: Cache, clock: FakeClock, tmp_path: Path
) -> None:
    names = keys(40)
    for one in names:
        assert cache.get(one) is None
        cache.put({one: webp(one.digest)})
    for _ in range(29):
        for one in names:
            assert cache.get(one) is not None
    clock.advance(ENOUGH_S + 1)
    cache.flush(is_last=True)
    cache.index.close()
    again = open_cache(tmp_path, clock)
    curve = reuse_curve(again.index.database, clock.now + ENOUGH_S, budget_bytes=50_000_000)
    again.index.close()
    assert curve.is_enough
    assert curve.uses == 1200
    assert curve.working_bytes == pytest.approx(40_000, rel=0.03)  # packed in units
    assert curve.enough_bytes == 1_000_000
    assert dict(curve.points)[1_000_000] == pytest.approx(29 / 30, abs=0.001)
    assert dict(curve.points)[50_000_000] == dict(curve.points)[1_000_000]


def test_too_little_data_is_reported_and_nothing_is_guessed(cache: Cache, clock: FakeClock) -> None:
    for _ in range(ENOUGH_USES - 1):
        cache.get(key(1))
    cache.flush(is_last=True)
    clock.advance(ENOUGH_S * 2)
    curve = reuse_curve(cache.index.database, clock.now, budget_bytes=1_000_000)
    assert not curve.is_enough
    assert curve.points == ()
    assert curve.uses == ENOUGH_USES - 1
    cache.get(key(1))
    cache.get(key(1))
    cache.flush(is_last=True)
    assert not reuse_curve(cache.index.database, curve.since + ENOUGH_S - 1, budget_bytes=1_000_000).is_enough


def test_the_uses_are_written_once_an_hour_and_not_with_every_flush(cache: Cache, clock: FakeClock) -> None:
    cache.get(key(1))
    cache.flush()
    assert cache.index.database.row("SELECT 1 FROM reuse") is None
    clock.advance(3601)
    cache.get(key(1))
    cache.flush()
    assert cache.index.database.row("SELECT 1 FROM reuse") is not None


def test_two_processes_merge_their_uses_into_one_state(cache: Cache, clock: FakeClock, tmp_path: Path) -> None:
    other = open_cache(tmp_path, clock)
    other.memory = MemoryTier(20_000, ReuseSampler())
    other.uses = other.memory.uses
    for one in keys(20):
        cache.get(one)
        other.get(one)
    cache.flush(is_last=True)
    other.flush(is_last=True)
    curve = reuse_curve(cache.index.database, clock.now, budget_bytes=1_000_000)
    other.index.close()
    assert curve.uses == 40
    row = cache.index.database.row("SELECT state FROM reuse")
    assert row is not None
    assert len(ReuseState.unpacked(row[0]).sizes) == 20


def test_a_key_that_grew_counts_with_its_present_size() -> None:
    state = ReuseState()
    state.merge([tag_of(key(1)), tag_of(key(2)), tag_of(key(1))], [1_000_000, 1_000_000, 9_000_000], 3, NOW)
    assert state.hit_rate(8_000_000) == 0
    assert state.hit_rate(12_000_000) == pytest.approx(1 / 3)
