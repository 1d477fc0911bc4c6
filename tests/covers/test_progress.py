"""The progress of fetching says what is: under way, waiting for an origin until a moment, or paused; its estimate never grows."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from image_cache.covers.stats import ProgressEstimator
from image_cache.engine.maintenance import rebuild_from_files
from image_cache.engine.queue_flow import queue_flow
from image_cache.web.covers.view_models import outcome_words, progress_line
from tests.support.covers import covers_at
from tests.support.inside import Inside, page_token
from tests.support.origin import Origin, jpeg
from tests.support.ports import free_port


@pytest.fixture
def dead() -> str:
    """An origin that nothing answers for."""
    return f"http://127.0.0.1:{free_port()}"


def test_covers_of_a_dead_host_wait_and_are_not_under_way(tmp_path: Path, origin: Origin, dead: str) -> None:
    with covers_at(tmp_path / "vault", origin, TRUSTED_ORIGINS=(origin.base, dead)) as covers:
        good = [origin.put(f"/{n}.jpg", jpeg(30, 30)) for n in range(3)]
        covers.show(*good, *(f"{dead}/{n}.jpg" for n in range(7)))
        progress = covers.cache.progress()
        assert progress is not None
        assert (progress.state, progress.total, progress.done, progress.waiting) == ("waiting", 10, 3, 7)
        assert progress.eta_s is None
        now = covers.clock()
        assert progress.waits_until is not None
        assert now < progress.waits_until <= now + 120
        line = progress_line(progress)
        assert line is not None
        assert line.words == "7 covers waiting for their sources, 3 of 10"
        assert (line.left, line.lamp) == (
            f"next retry at {time.strftime('%H:%M', time.localtime(progress.waits_until))}",
            "waiting",
        )
        covers.clock.advance(progress.waits_until - now + 1)
        assert queue_flow(covers.cache.jobs).is_moving
        assert covers.cache.progress().state == "working"  # type: ignore[union-attr]


def test_what_waits_is_not_part_of_the_estimate_and_the_estimate_never_grows(tmp_path: Path, origin: Origin, dead: str) -> None:
    with covers_at(tmp_path / "vault", origin, TRUSTED_ORIGINS=(origin.base, dead)) as covers:
        covers.show(*(f"{dead}/{n}.jpg" for n in range(6)))  # its host is paused now
        urls = [origin.put(f"/{n}.jpg", jpeg(30, 30)) for n in range(30)]
        covers.cache.register(urls)
        covers.cache.enqueue_missing(urls)
        estimates = []
        for step in range(12):
            if step < 6:  # then nothing moves any more, as when the line is cut
                covers.parts.loader.run_next()
            time.sleep(0.3)
            progress = covers.cache.progress()
            assert progress is not None
            assert (progress.state, progress.waiting) == ("working", 6)
            if progress.eta_s is not None:
                estimates.append((time.monotonic(), progress.eta_s))
        ends = [at + eta_s for at, eta_s in estimates]
        assert len(ends) > 3
        assert all(later <= earlier + 0.05 for earlier, later in pairwise(ends))
        assert all(later < earlier for (_, earlier), (_, later) in pairwise(estimates))


def test_an_estimate_that_has_run_out_is_not_shown(tmp_path: Path, origin: Origin) -> None:
    with covers_at(tmp_path / "vault", origin) as covers:
        urls = [origin.put(f"/{n}.jpg", jpeg(30, 30)) for n in range(5)]
        covers.cache.register(urls)
        covers.cache.enqueue_missing(urls)
        estimator = ProgressEstimator(covers.cache.registry, covers.cache.jobs)
        for _ in range(4):
            covers.parts.loader.run_next()
            estimator.progress()
            time.sleep(0.4)
        time.sleep(1.2)  # three times as long as the last one may take
        progress = estimator.progress()
        assert progress is not None
        assert progress.eta_s is None


@pytest.mark.parametrize(
    ("totals", "words"),
    [
        ((4, 4, 0), "All covers downloaded"),
        ((4, 1, 3), "1 cover downloaded, 3 failed"),
        ((4, 1, 0), "1 of 4 covers downloaded"),
    ],
)
def test_the_end_says_how_many_are_here(totals: tuple[int, int, int], words: str) -> None:
    assert outcome_words(*totals) == words


def test_the_page_without_scripts_says_the_same_as_the_api(tmp_path: Path, origin: Origin, dead: str) -> None:
    with Inside(tmp_path / "vault", trusted=(origin.base, dead), settled=False) as inside:  # no thread runs: we are the worker
        services = inside.services
        rebuild_from_files(services.covers.cache)
        for n in range(6):
            inside.album(f"{dead}/{n}.jpg", title=f"Dead {n}")
        visitor = inside.stranger()
        visitor.get("/")
        token, state = page_token(visitor), ""
        for _ in range(5):  # on a slow machine the pause of the host may end before both are asked; the next one is longer
            while services.loader.run_next():
                pass
            text = visitor.get("/").text
            answer = visitor.post("/api/cache/state", json={"digests": []}, headers={"X-CSRFToken": token}).json
            if (state := answer["progress"]["state"]) == "waiting":
                break
        assert state == "waiting"
        assert "6 covers waiting for their sources, 0 of 6" in text
        for said in (answer["progress"]["words"], answer["progress"]["left"]):
            assert said in text
        assert dead.removeprefix("http://") not in text
