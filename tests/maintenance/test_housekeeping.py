"""The periodic jobs: a lost index comes back with its covers, the dead give back what they held, and nothing is removed in a hurry."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.maintenance.housekeeping import Housekeeping
from tests.support.clock import FakeClock
from tests.support.covers import BASE, Covers, covers_at
from tests.support.engine import counted, files, key, webp
from tests.support.filled import settings_of, vault_at
from tests.support.origin import Origin, jpeg
from tests.support.statements import traced
from tests.support.vault import wait_until

DAY_S, YEAR_S = 86400.0, 365 * 86400.0


@pytest.fixture
def covers(tmp_path: Path, origin: Origin) -> Iterator[Covers]:
    with covers_at(tmp_path, origin) as opened:
        yield opened


def housekeeping(covers: Covers, *urls: str) -> Housekeeping:
    return Housekeeping(covers.cache, covers.parts.decoder, lambda: urls, retention_days=BASE.RETENTION_DAYS)


def drop_index(covers: Covers) -> None:
    for path in covers.cache.cache.index.database.path.parent.glob("index.db*"):
        path.unlink()


def test_an_index_that_was_deleted_under_the_process_comes_back_with_names_entries_and_addresses(
    covers: Covers, origin: Origin
) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(30, 30, (n, 1, 1))) for n in range(3)]
    digests = covers.show(*urls)
    later = origin.put("/later.jpg", jpeg())
    drop_index(covers)
    covers.forget_memory()
    housekeeping(covers, *urls, later).repair_index()
    assert not covers.cache.cache.is_adopting
    assert covers.digests(*urls) == digests
    assert counted(covers.cache.cache)[0] == 6
    assert covers.cache.request(covers.digests(later)[0], "thumbnails").state == "waiting"
    covers.run()
    assert covers.states(*urls, later) == ["ready"] * 4


def test_a_new_or_cleared_vault_learns_what_the_catalogue_knows(covers: Covers, origin: Origin) -> None:
    """An index without files to adopt counted as complete, and after a clear only what someone looked at came back."""
    urls = [origin.put(f"/{n}.jpg", jpeg(30, 30)) for n in range(3)]
    chores = housekeeping(covers, *urls)
    for _ in range(2):
        chores.repair_index()
        assert covers.cache.registry.summary("covers") == (3, 0, 0)
        chores.fill()
        covers.run()
        assert covers.states(*urls) == ["ready"] * 3
        covers.cache.clear()
    chores.repair_index()
    seen = traced(covers.cache.cache.index.database)
    chores.repair_index()
    assert len(seen) <= 5


def test_while_the_index_is_rebuilt_covers_are_shown_and_nothing_is_fetched_or_refused(covers: Covers, origin: Origin) -> None:
    """Until the register was back, a cold cover was unknown, which browsers were told as missing."""
    url = origin.put("/a.jpg", jpeg())
    (digest,) = covers.show(url)
    drop_index(covers)
    covers.forget_memory()
    covers.cache.cache.index.database.drop_if_replaced()
    assert covers.cache.cache.is_adopting
    assert covers.cache.get(digest, "thumbnails-2x") is not None
    assert covers.cache.request("0" * 64, "thumbnails").state == "waiting"
    covers.cache.register([origin.url("/b.jpg")])
    covers.cache.enqueue_missing([origin.url("/b.jpg")])
    assert covers.run() == 0
    assert origin.count() == 1


def test_mending_wakes_the_workers_for_what_a_dead_process_held(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg())
    covers.cache.register([url])
    covers.cache.enqueue_missing([url])
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    covers.cache.jobs.holder = f"{done.stdout.strip()}:1"
    assert covers.cache.jobs.claim() is not None
    rings: list[int] = []
    covers.cache.wake = lambda: rings.append(1)
    housekeeping(covers).repair_index()
    assert rings == [1]
    covers.run()
    assert covers.states(url) == ["ready"]


def fill(covers: Covers, number: int) -> None:
    cache = covers.cache.cache
    for start in range(0, number, 100):
        cache.put({key(n): webp(n, 100) for n in range(start, min(start + 100, number))})


@pytest.mark.parametrize("jump_s", [10 * YEAR_S, -10 * YEAR_S])
def test_a_clock_that_jumps_costs_one_percent_at_most(covers: Covers, jump_s: float) -> None:
    """Ten entries more than a hundredth went with each run, which is a tenth of a small collection."""
    fill(covers, 300)
    covers.clock.advance(jump_s)
    housekeeping(covers).retain()
    housekeeping(covers).sweep()
    assert counted(covers.cache.cache)[0] >= 297


def test_retention_removes_what_nobody_looked_at_little_by_little(covers: Covers) -> None:
    fill(covers, 300)
    covers.clock.advance(YEAR_S + DAY_S)
    for n in range(250):
        covers.cache.cache.get(key(n))
    for _ in range(3):
        housekeeping(covers).retain()
    left = [n for n in range(300) if covers.cache.cache.index.find(key(n))]
    assert len(left) == 300 - 3 - 2 - 2
    assert left[:250] == list(range(250))


def test_nothing_is_removed_while_an_origin_is_in_trouble(covers: Covers) -> None:
    fill(covers, 300)
    covers.clock.advance(YEAR_S + DAY_S)
    with covers.cache.cache.index.database.write() as conn:
        covers.cache.jobs.record_host_failure(conn, "h", "down", pause_s=60)
    housekeeping(covers).retain()
    assert counted(covers.cache.cache)[0] == 300


def test_one_process_sweeps_at_a_time(covers: Covers) -> None:
    cache = covers.cache.cache
    cache.disk.put(key("orphan"), webp("orphan"))
    os.utime(cache.disk.root / key("orphan").path, (covers.clock.now - 100, covers.clock.now - 100))
    with (cache.disk.root / ".housekeeping").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        housekeeping(covers).sweep()
        assert key("orphan").path in files(cache)
    housekeeping(covers).sweep()
    assert key("orphan").path not in files(cache)


def test_a_disk_that_fails_costs_a_run_and_raises_nothing(covers: Covers, caplog: pytest.LogCaptureFixture) -> None:
    (covers.cache.cache.disk.root / "thumbnails-2x").write_text("not a folder")
    (covers.cache.cache.disk.root / "detail").mkdir()
    (covers.cache.cache.disk.root / "detail" / "aa").mkdir(mode=0)
    chores = housekeeping(covers)
    with covers.cache.cache.index.database.reading() as conn:
        conn.execute("PRAGMA query_only = 1")
    covers.cache.cache.counters.add("misses")
    chores.flush()
    chores.repair_index()
    chores.sweep()
    chores.retain()
    assert "skipped" in caplog.text


def test_the_wall_fills_itself_behind_what_people_look_at(covers: Covers, origin: Origin) -> None:
    seen, unseen = origin.put("/seen.jpg", jpeg()), [origin.put(f"/{n}.jpg", jpeg(30, 30, (n, 9, 9))) for n in range(3)]
    covers.cache.register([*unseen, seen])
    housekeeping(covers).fill()
    assert covers.cache.jobs.depth() == 4
    covers.cache.enqueue_missing([seen])
    covers.parts.loader.run_next()
    assert covers.states(seen, *unseen) == ["ready", "waiting", "waiting", "waiting"]
    covers.run()
    housekeeping(covers).fill()
    assert covers.cache.jobs.depth() == 0
    assert origin.count() == 4


def test_a_cache_near_its_budget_is_not_filled_further(covers: Covers, origin: Origin) -> None:
    covers.show(origin.put("/a.jpg", jpeg()))
    covers.cache.cache.budget_bytes = covers.cache.cache.index.totals("covers").bytes
    covers.cache.register([origin.put("/b.jpg", jpeg())])
    housekeeping(covers).fill()
    assert covers.cache.jobs.depth() == 0


def test_every_chore_has_its_time(covers: Covers) -> None:
    times = {chore.name: (chore.first_s, chore.every_s) for chore in housekeeping(covers).periodic_jobs()}
    assert times == {"mend": (0, 5), "flush": (60, 60), "fill": (2, 30), "sweep": (3, DAY_S), "retention": (DAY_S, DAY_S)}


def test_a_clock_of_1970_serves_and_stores(tmp_path: Path, origin: Origin) -> None:
    with covers_at(tmp_path, origin, FakeClock(300.0)) as covers:
        url = origin.put("/a.jpg", jpeg())
        covers.show(url)
        housekeeping(covers, url).repair_index()
        housekeeping(covers, url).sweep()
        assert covers.states(url) == ["ready"]


def test_a_stop_that_one_database_refuses_ends_everything_else(tmp_path: Path) -> None:
    """The jobs could not be given back, and so the decoder continued, and the counts of a minute were lost."""
    settings = settings_of(tmp_path / "vault")
    with vault_at(settings, is_running=True) as services:
        index, jobs = services.covers.cache.index, services.covers.jobs
        wait_until(lambda: not services.covers.cache.is_adopting)
        with index.database.write() as conn:
            conn.execute(
                "INSERT INTO jobs (digest, wants, priority, lane, ready_at, holder, leased_until) VALUES (?, '', 2, '', 9e9, ?, 9e9)",
                (bytes(32), jobs.holder),
            )
            conn.execute("CREATE TRIGGER refused BEFORE UPDATE ON jobs BEGIN SELECT RAISE (ABORT, 'no'); END")
        services.covers.cache.get(key("cold"))  # a miss, to be counted
        services._parts.decoder.probe(jpeg())
        children = services._parts.decoder.processes()
        services.close()
        assert not [child for child in children if Path(f"/proc/{child}").exists()]
        assert index.counts()["misses"] == 1
        index.close()
