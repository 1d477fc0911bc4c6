"""Memory tier: its budget with threads, eviction, and page scopes as references to one copy."""

import random
import threading

import pytest

from image_cache.engine.key import Key, digest_of
from image_cache.engine.memory import EVICT_SHARE, HIGH_WATER, LOW_WATER, MAX_TOUCHED, MemoryTier


def key(number: int) -> Key:
    return Key("covers", "thumbnails", digest_of(str(number)))


@pytest.mark.parametrize("seed", range(4))
def test_the_budget_holds_under_eight_threads(seed: int) -> None:
    tier = MemoryTier(20_000)
    seen: list[int] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        start.wait()
        for _ in range(1500):
            one, scope = key(chance.randrange(80)), chance.choice(["", "a", "b", "c"])
            what = chance.random()
            if what < 0.5:
                tier.put(one, bytes([len(one.digest)]) * chance.randrange(1, 2000), scope)
            elif what < 0.85:
                tier.get(one, scope)
            elif what < 0.93:
                tier.delete(one)
            elif what < 0.98:
                tier.clear_scope(scope or "a")
            else:
                tier.set_budget(chance.choice([15_000, 20_000]))
            seen.append(tier.stats().used_bytes)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) <= 20_000 * HIGH_WATER
    bodies = [body for number in range(80) if (body := tier.get(key(number))) is not None]
    assert tier.stats().used_bytes == sum(map(len, bodies))
    assert tier.stats().entries == len(bodies)
    tier.clear()
    assert tier.stats().used_bytes == 0


def test_nothing_is_evicted_up_to_the_high_water_mark() -> None:
    tier = MemoryTier(10_000)
    for number in range(9):
        tier.put(key(number), bytes(1000))
    assert (tier.stats().entries, tier.stats().evictions) == (9, 0)


def test_above_the_high_water_mark_a_fifth_is_evicted_down_to_the_low_water_mark() -> None:
    tier = MemoryTier(10_000)
    for number in range(90):
        tier.put(key(number), bytes(100))
    tier.put(key(90), bytes(100))
    stats = tier.stats()
    # 18 are a fifth of 90 entries; (90 - 18 + 1) * 100 is still above 7,200, so one more goes.
    assert stats.evictions == 19
    assert stats.used_bytes == 7200 == 10_000 * LOW_WATER
    assert [number for number in range(91) if tier.get(key(number)) is None] == list(range(19))


def test_a_fifth_of_the_entries_is_evicted_although_one_would_be_enough() -> None:
    tier = MemoryTier(10_000)
    tier.put(key(0), bytes(5000))
    for number in range(1, 41):
        tier.put(key(number), bytes(100))
    tier.put(key(41), bytes(100))
    assert tier.stats().evictions == 9  # a fifth of 41, rounded up, although the large one alone would be enough
    assert tier.stats().evictions >= 41 * EVICT_SHARE
    assert tier.get(key(0)) is None
    assert tier.get(key(9)) is not None


def test_the_most_recently_used_is_evicted_last() -> None:
    tier = MemoryTier(10_000)
    for number in range(9):
        tier.put(key(number), bytes(1000))
    assert tier.get(key(0)) is not None
    tier.put(key(9), bytes(1000))
    assert tier.get(key(0)) is not None
    assert tier.get(key(1)) is None


def test_a_body_larger_than_the_low_water_mark_is_refused_and_evicts_nothing() -> None:
    tier = MemoryTier(10_000)
    tier.put(key(1), bytes(1000))
    assert not tier.put(key(2), bytes(7201))
    assert tier.put(key(3), bytes(7200))
    assert (tier.get(key(1)) is not None, tier.get(key(2))) == (True, None)


def test_a_lower_budget_evicts_at_once() -> None:
    tier = MemoryTier(10_000)
    for number in range(9):
        tier.put(key(number), bytes(1000))
    tier.set_budget(5000)
    assert tier.stats().used_bytes <= 5000 * LOW_WATER
    assert tier.get(key(8)) is not None


def test_clearing_a_page_frees_nothing_that_another_page_holds() -> None:
    tier = MemoryTier(10_000)
    tier.put(key(1), b"shared", "gallery")
    tier.get(key(1), "browser")
    tier.put(key(2), b"alone", "gallery")
    assert tier.clear_scope("gallery") == 1
    assert tier.get(key(1)) == b"shared"
    assert tier.get(key(2)) is None
    assert tier.clear_scope("browser") == 1
    assert tier.stats().used_bytes == 0


def test_an_entry_put_again_for_one_page_stays_with_the_others() -> None:
    """Two threads that miss at the same time both put; the second put used to remove the entry from the first one's page."""
    tier = MemoryTier(10_000)
    tier.put(key(1), b"body", "gallery")
    tier.put(key(1), b"body", "browser")
    assert tier.clear_scope("browser") == 0
    assert tier.get(key(1)) == b"body"
    assert tier.clear_scope("gallery") == 1


def test_a_page_whose_entries_are_gone_leaves_no_scope() -> None:
    """Page names come from outside; an empty set for each of them would pile up."""
    tier = MemoryTier(10_000)
    for number in range(100):
        tier.put(key(1), b"body", f"page-{number}")
        tier.delete(key(1))
    assert not any(isinstance(value, dict) and value for value in vars(tier).values())
    assert tier.clear_scope("page-5") == 0


def test_pages_hold_one_copy_of_the_bytes() -> None:
    tier = MemoryTier(10_000)
    tier.put(key(1), bytes(1000), "a")
    tier.put(key(1), bytes(1000), "b")
    assert tier.stats().used_bytes == 1000


def test_hits_and_uses_are_drained_once() -> None:
    tier = MemoryTier(10_000)
    tier.put(key(1), b"body")
    tier.drain_touched()
    tier.get(key(1))
    tier.get(key(2))
    assert (tier.drain_hits(), tier.drain_hits()) == (1, 0)
    assert (tier.drain_touched(), tier.drain_touched()) == ({key(1)}, set())


def test_a_process_that_never_flushes_collects_a_limited_number_of_keys() -> None:
    tier = MemoryTier(10_000)
    for number in range(MAX_TOUCHED + 100):
        tier.put(Key("covers", "thumbnails", str(number)), b"x")
    assert len(tier.drain_touched()) == MAX_TOUCHED
