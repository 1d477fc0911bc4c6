"""Covers from a real origin through the real fetch and decoder: cold, warm, stale, broken, gone, requested in every size."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_cache.config import Settings
from image_cache.covers import NAMESPACE, PAGE, VISIBLE, WARM, CacheStats
from image_cache.covers.build import open_covers
from image_cache.covers.states import SETTLED_FRESH_S, is_stale
from image_cache.engine.appearance_table import Appearance, AppearanceTable
from image_cache.engine.key import Key
from image_cache.errors import QueueFull, UnknownImage
from image_cache.imaging.color import packed
from tests.support.catalogs import Catalogs
from tests.support.clock import FakeClock
from tests.support.covers import Covers, covers_at
from tests.support.engine import counted
from tests.support.origin import Origin, jpeg
from tests.support.statements import traced

pytestmark = [pytest.mark.decoder, pytest.mark.long_on_postgres]

ROOT = Path(__file__).resolve().parents[2]
HOUR_S, DAY_S, YEAR_S = 3600.0, 86400.0, 365 * 86400.0
RED, BLUE = (200, 30, 30), (30, 30, 200)
SHOWN = {"thumbnails-2x", "detail"}  # what every fetch renders


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture
def covers(tmp_path: Path, origin: Origin, catalogs: Catalogs) -> Iterator[Covers]:
    with covers_at(tmp_path, origin, catalogs=catalogs) as opened:
        yield opened


def files(covers: Covers, digest: str) -> set[str]:
    return covers.cache.cache.index.variants_of([digest]).get(digest, set())


# Cold


def test_a_cold_cover_is_one_fetch_and_one_decode_for_both_sizes(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(900, 600, RED))
    (digest,) = covers.show(url)
    assert origin.count() == 1
    assert files(covers, digest) == SHOWN
    cover = covers.cache.peek([url])[0]
    assert (cover.state, cover.edge_px, cover.retry_at) == ("ready", 900, None)
    assert cover.average is not None
    assert cover.average.startswith("#c")
    for variant in SHOWN:
        body = covers.cache.get(digest, variant)
        assert body is not None
        assert body[8:12] == b"WEBP"
    assert covers.cache.get_cache_stats().renders == 2
    assert covers.run() == 0


def test_an_unregistered_address_is_never_fetched(covers: Covers, origin: Origin) -> None:
    with pytest.raises(UnknownImage):
        covers.cache.request("0" * 64, "thumbnails")
    assert covers.cache.enqueue_digests(["0" * 64]) == 0
    assert covers.cache.enqueue_missing([origin.url("/never-remembered.jpg")]) == 0
    covers.run()
    assert origin.count() == 0


def test_two_hundred_viewers_of_a_cold_cover_leave_one_job(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg())
    covers.cache.register([url])
    (digest,) = covers.digests(url)
    for n in range(200):
        assert covers.cache.request(digest, ("thumbnails", "detail")[n % 2]).state == "waiting"
    assert covers.cache.jobs.depth() == 1
    assert covers.run() == 1
    assert origin.count() == 1


def test_a_cover_on_screen_comes_before_a_preload(covers: Covers, origin: Origin) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(20, 20, (n, n, n))) for n in range(4)]
    covers.cache.preload(urls)
    covers.cache.request(covers.digests(urls[3])[0], "thumbnails")
    assert covers.parts.loader.run_next()
    assert covers.states(*urls) == ["waiting", "waiting", "waiting", "ready"]


def test_an_unregistered_cover_is_waiting_for_a_page_and_none_for_a_script(covers: Covers, origin: Origin) -> None:
    url = origin.url("/new.jpg")
    (cover, nothing) = covers.cache.peek([url, None])
    assert (cover.state, nothing.state, nothing.digest) == ("waiting", "none", "")
    assert [c.state for c in covers.cache.states([cover.digest, "", "../etc/passwd"])] == ["none", "none", "none"]


@pytest.mark.sqlite_only  # its statements are noted
def test_registering_known_addresses_writes_nothing(covers: Covers, origin: Origin) -> None:
    urls = [origin.url(f"/{n}.jpg") for n in range(100)]
    assert covers.cache.register([*urls, None, ""]) == 100
    seen = traced(covers.cache.cache.index.database)
    assert covers.cache.register(urls) == 0
    assert not [sql for sql in seen if not sql.startswith("SELECT")]
    assert len(seen) <= 3


def test_two_addresses_of_one_picture_are_one_image_under_the_larger(covers: Covers) -> None:
    small, large = "https://f4.bcbits.com/img/a3559269778_2.jpg", "https://img.youtube.com/vi/dQw4w9WgXcQ/default.jpg"
    covers.cache.register([small, large, "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg"])
    image = covers.cache.registry.get(covers.digests(large)[0])
    assert image is not None
    assert image.url == "https://i.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg"
    assert covers.cache.register([large]) == 0  # and the smaller one does not take its place again
    sleeves = [
        f"https://i.discogs.com/{signature}/rs:fit/g:sm/q:90/h:600/w:600/czM6Ly9kaXNjb2dz/LWRhdGFiYXNlLWlt/YWdlcy9SLTE4Mjk1/"
        "MDA5LTE2MTg0MTc0/NDctOTkyNC5qcGVn.jpeg"
        for signature in ("one", "two")
    ]
    assert [covers.cache.register([url]) for url in sleeves] == [1, 0]  # signatures do not take turns either


def test_an_address_that_cannot_be_fetched_does_not_stop_a_page(covers: Covers, origin: Origin) -> None:
    """Such an address raised an error on the page that showed the record."""
    strange = ["http://a:99999/x.jpg", "ftp://example.org/x.jpg", "no address", "http://[::1"]
    good = origin.put("/a.jpg", jpeg())
    covers.show(*strange, good)
    assert covers.states(*strange, good) == ["failed"] * 4 + ["ready"]
    assert set(covers.cache.register_addresses([*strange, good])) == set(strange)


# Warm


def test_a_restart_causes_no_request(tmp_path: Path, origin: Origin) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(30, 30, (n, 99, 9))) for n in range(5)]
    with covers_at(tmp_path, origin) as covers:
        digests = covers.show(*urls)
    origin.close()
    with covers_at(tmp_path, origin) as covers:
        assert covers.show(*urls) == digests
        assert all(covers.cache.get(digest, "detail") for digest in digests)
        assert covers.states(*urls) == ["ready"] * 5
        assert covers.cache.get_cache_stats().fetches == 5


@pytest.mark.slow
def test_a_lost_index_costs_one_look_at_each_origin_and_no_new_address(tmp_path: Path, origin: Origin) -> None:
    """The second fetch had no variant to make, which ended in an error of the decoder and a cover that counted as failed."""
    url = origin.put("/a.jpg", jpeg(700, 700, RED))
    with covers_at(tmp_path, origin) as covers:
        (digest,) = covers.show(url)
        body = covers.cache.get(digest, "detail")
    for path in (tmp_path / "cache").glob("index.db*"):
        path.unlink()
    with covers_at(tmp_path, origin) as covers:
        assert covers.cache.get(digest, "detail") == body
        assert covers.show(url) == [digest]
        cover = covers.cache.peek([url])[0]
        assert (cover.state, cover.edge_px) == ("ready", 700)
        assert covers.run() == 0
    assert origin.count() == 2


@pytest.mark.slow
def test_a_picture_that_changed_while_the_index_was_lost_gets_a_new_address(tmp_path: Path, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(700, 700, RED))
    with covers_at(tmp_path, origin) as covers:
        (old,) = covers.show(url)
    for path in (tmp_path / "cache").glob("index.db*"):
        path.unlink()
    origin.put("/a.jpg", jpeg(700, 700, BLUE))
    with covers_at(tmp_path, origin) as covers:
        (new,) = covers.show(url)
        assert new != old
        assert covers.cache.get(old, "detail") not in (None, covers.cache.get(new, "detail"))


def test_other_sizes_in_the_settings_are_new_addresses_that_work(tmp_path: Path, origin: Origin) -> None:
    """The register kept the old digests: after a change of the settings every cover was unknown, forever."""
    url = origin.put("/a.jpg", jpeg(700, 700))
    with covers_at(tmp_path, origin) as covers:
        (old,) = covers.show(url)
    with covers_at(tmp_path, origin, DETAIL_SIZE=400) as covers:
        (new,) = covers.show(url)
        assert new != old
        assert covers.states(url) == ["ready"]
        assert covers.cache.request(new, "detail").state == "waiting"


# Sizes


SMALLER = ("thumbnails", "thumbnails-2x", "stream_thumb")


@pytest.mark.parametrize("asked", [(), ("detail-2x",), SMALLER])
def test_an_address_has_the_same_bytes_again_after_its_files_were_lost(
    covers: Covers, origin: Origin, asked: tuple[str, ...]
) -> None:
    """Lost ones were made from the 600 px WebP, the first ones from the original: an immutable address changed its bytes."""

    def shown() -> dict[str, bytes | None]:
        covers.cache.demote([digest])
        for variant in (*asked, *SMALLER, "detail"):
            covers.cache.request(digest, variant)
            covers.cache.enqueue_digests([digest])
            covers.run()
        return {variant: covers.cache.get(digest, variant) for variant in (*SMALLER, "detail")}

    url = origin.put("/a.jpg", jpeg(900, 700))
    covers.cache.register([url])
    (digest,) = covers.digests(url)
    first = shown()
    assert all(first.values())
    for lost in (("thumbnails",), ("thumbnails-2x",), SMALLER, (*SMALLER, "detail"), ("detail",)):
        covers.forget_memory()
        for variant in lost:
            path = covers.cache.cache.disk.root / Key(NAMESPACE, variant, digest).path
            path.unlink()
        for variant in lost:  # looked at, and found to be gone
            assert covers.cache.get(digest, variant) is None
        assert shown() == first, lost


def test_a_smaller_size_is_made_once_from_what_is_stored(covers: Covers, origin: Origin) -> None:
    (digest,) = covers.show(origin.put("/a.jpg", jpeg(900, 700)))
    assert covers.cache.get(digest, "thumbnails") is None
    assert covers.cache.larger(digest, "thumbnails") == covers.cache.get(digest, "thumbnails-2x")
    assert covers.cache.larger(digest, "detail") is None
    covers.cache.request(digest, "thumbnails")
    covers.cache.request(digest, "thumbnails")
    assert covers.run() == 1
    assert covers.cache.get(digest, "thumbnails") is not None
    assert origin.count() == 1


def test_a_page_of_small_sleeves_has_their_size_made_along(covers: Covers, origin: Origin) -> None:
    first, second = origin.put("/a.jpg", jpeg(900, 700)), origin.put("/b.jpg", jpeg(800, 700))
    covers.show(first)
    covers.cache.for_page([first, second], also="thumbnails")
    assert covers.run() == 2
    assert [files(covers, digest) for digest in covers.digests(first, second)] == [{*SHOWN, "thumbnails"}] * 2
    covers.cache.for_page([first, second], also="thumbnails")
    assert covers.cache.jobs.depth() == 0


def test_a_cover_of_an_earlier_version_gets_what_the_wall_shows_without_a_fetch(covers: Covers, origin: Origin) -> None:
    """Earlier versions stored 150 px instead of 300."""
    url = origin.put("/a.jpg", jpeg(900, 700))
    (digest,) = covers.show(url)
    covers.cache.clear("thumbnails-2x")
    covers.cache.cache.put({Key(NAMESPACE, "thumbnails", digest): b"RIFF" + b"as it was"})
    assert covers.states(url) == ["ready"]
    assert covers.show(url) == [digest]
    assert files(covers, digest) == {*SHOWN, "thumbnails"}
    assert covers.cache.get(digest, "thumbnails") == b"RIFFas it was"
    assert origin.count() == 1


def test_a_cover_is_analysed_while_it_is_decoded(covers: Covers, origin: Origin) -> None:
    """The thumbnail was read and decoded again for its colours, in a second transaction."""
    (digest,) = covers.show(origin.put("/a.jpg", jpeg(900, 700)))
    table = AppearanceTable(covers.cache.registry.database)
    assert table.unanalysed(10) == []
    detail = covers.cache.get(digest, "detail")
    assert detail is not None
    seen = covers.parts.decoder.analyse(detail)
    assert table.get_many([digest]) == {digest: Appearance(digest, seen.hash, packed(seen.colours), seen.is_blank)}


@pytest.mark.sqlite_only  # its statements are noted
def test_the_end_of_a_job_and_the_claim_of_the_next_are_one_transaction(covers: Covers, origin: Origin) -> None:
    """Each transaction writes whole pages to the card: two a cover wrote the same ones twice."""
    urls = [origin.put(f"/{n}.jpg", jpeg(200, 200, (n, 9, 9))) for n in range(6)]
    missing = origin.url("/gone.jpg")
    covers.cache.register([*urls, missing])
    covers.cache.enqueue_missing([*urls, missing])
    begun = traced(covers.cache.cache.index.database)
    loader = covers.parts.loader
    while loader.run_due():
        pass
    assert covers.states(*urls, missing) == ["ready"] * 6 + ["failed"]
    assert (
        len([sql for sql in begun if sql.startswith("BEGIN")]) <= len(urls) + 3
    )  # the first claim, the failure, a claim after it
    assert covers.cache.jobs.depth() == 0
    covers.cache.register([origin.put("/late.jpg", jpeg())])
    covers.cache.enqueue_missing([origin.url("/late.jpg")])
    loader.stop()
    assert not loader.run_due()
    assert covers.cache.jobs.running() == 0, "nothing is claimed ahead by one that stops"


def test_a_larger_size_is_fetched_when_it_is_asked_for(covers: Covers, origin: Origin) -> None:
    (digest,) = covers.show(origin.put("/a.jpg", jpeg(900, 900)))
    covers.cache.request(digest, "detail-2x")
    covers.run()
    assert covers.cache.get(digest, "detail-2x") is not None
    assert origin.count() == 2  # 1200 px cannot be made from 600


@pytest.mark.parametrize(("edge_px", "variant"), [(500, "detail-2x"), (100, "thumbnails")])
def test_a_size_that_holds_all_of_a_small_picture_is_the_picture(
    covers: Covers, origin: Origin, edge_px: int, variant: str
) -> None:
    (digest,) = covers.show(origin.put("/a.jpg", jpeg(edge_px, edge_px)))
    assert covers.cache.get(digest, variant) == covers.cache.get(digest, "detail")
    assert variant not in files(covers, digest)
    path = covers.cache.get_image(origin.url("/a.jpg"), variant)
    assert path is not None
    assert Path(path).read_bytes() == covers.cache.get(digest, "detail")


def test_a_thumbnail_that_was_evicted_is_made_from_the_detail(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(700, 700))
    covers.show(url)
    covers.cache.clear("thumbnails-2x")
    (digest,) = covers.show(url)
    assert files(covers, digest) == SHOWN
    assert origin.count() == 1


def test_a_thumbnail_is_made_from_the_detail_although_that_is_stale_and_the_origin_down(covers: Covers, origin: Origin) -> None:
    """Past its freshness nothing was derived any more: with the origin down, a thumbnail was missing beside its own image."""
    url = origin.put("/a.jpg", jpeg(700, 700))
    covers.show(url)
    covers.cache.clear("thumbnails-2x")
    covers.clock.advance(25 * HOUR_S)
    origin.put("/a.jpg", status=503)
    covers.show(url)
    (digest,) = covers.show(url)  # one of many nodes completes its files first
    assert files(covers, digest) == SHOWN
    assert origin.count() == 2


def test_a_jpeg_is_made_once_and_kept(covers: Covers, origin: Origin) -> None:
    (digest,) = covers.show(origin.put("/a.jpg", jpeg(300, 300)))
    first = covers.cache.get_jpeg(digest, "thumbnails-2x")
    assert first is not None
    assert first[:2] == b"\xff\xd8"
    covers.forget_memory()
    assert covers.cache.get_jpeg(digest, "thumbnails-2x") == first
    assert "thumbnails-2x.jpg" in files(covers, digest)
    assert covers.cache.get_jpeg("0" * 64, "thumbnails-2x") is None


# Stale


def test_a_stale_cover_is_shown_and_revalidated_in_the_background_with_its_etag(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(), etag='"v1"', last_modified="Wed, 21 Oct 2026 07:28:00 GMT")
    (digest,) = covers.show(url)
    covers.clock.advance(25 * HOUR_S)
    assert covers.cache.get(digest, "detail") is not None
    assert covers.states(url) == ["ready"]
    assert covers.show(url) == [digest]
    asked = origin.requests[-1].headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"v1"', "Wed, 21 Oct 2026 07:28:00 GMT")
    assert covers.cache.get_cache_stats().renders == 2
    covers.show(url)
    assert origin.count() == 2  # the 304 made it fresh for another day


def test_an_unchanged_answer_without_validators_makes_it_fresh_too(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg())
    (digest,) = covers.show(url)
    covers.clock.advance(25 * HOUR_S)
    assert covers.show(url, url) == [digest, digest]
    covers.show(url)
    assert (origin.count(), covers.cache.get_cache_stats().renders) == (2, 2)


def test_an_origin_may_ask_for_more_freshness_but_not_for_less(covers: Covers, origin: Origin) -> None:
    long = origin.put("/long.jpg", jpeg(), headers={"Cache-Control": "max-age=604800"})
    short = origin.put("/short.jpg", jpeg(), headers={"Cache-Control": "no-store"})
    covers.show(long, short)
    covers.clock.advance(23 * HOUR_S)
    covers.show(long, short)
    assert origin.count() == 2
    covers.clock.advance(5 * DAY_S)
    covers.show(long, short)
    assert (origin.count("/long.jpg"), origin.count("/short.jpg")) == (1, 2)


def test_a_changed_picture_has_a_new_address_and_the_old_one_still_serves(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(700, 700, RED), etag='"v1"')
    (old,) = covers.show(url)
    covers.cache.request(old, "thumbnails")
    covers.run()
    before = covers.cache.get(old, "detail")
    origin.put("/a.jpg", jpeg(400, 400, BLUE), etag='"v2"')
    covers.clock.advance(25 * HOUR_S)
    (new,) = covers.show(url)
    assert new != old
    assert files(covers, new) == {*SHOWN, "thumbnails"}
    covers.forget_memory()
    assert covers.cache.get(old, "detail") == before != covers.cache.get(new, "detail")
    cover = covers.cache.peek([url])[0]
    assert (cover.digest, cover.edge_px, cover.state) == (new, 400, "ready")
    assert [c.state for c in covers.cache.states([old])] == ["ready"]
    covers.clock.advance(25 * HOUR_S)
    assert covers.show(url) == [new]
    assert origin.requests[-1].headers["if-none-match"] == '"v2"'


@pytest.mark.parametrize("validator", ["etag", "last_modified"])
def test_validators_of_the_old_picture_are_not_kept_for_the_new_one(covers: Covers, origin: Origin, validator: str) -> None:
    """The origin would answer 304 to a date from before, and the image that changed again would not be seen."""
    said = {"etag": '"v1"', "last_modified": "Wed, 21 Oct 2026 07:28:00 GMT"}
    url = origin.put("/a.jpg", jpeg(90, 90, RED), **{validator: said[validator]})  # type: ignore[arg-type]
    (old,) = covers.show(url)
    origin.put("/a.jpg", jpeg(90, 90, BLUE))
    covers.clock.advance(25 * HOUR_S)
    (new,) = covers.show(url)
    assert new != old
    covers.clock.advance(25 * HOUR_S)
    covers.show(url)
    assert origin.count() == 3
    assert not {"if-none-match", "if-modified-since"} & set(origin.requests[-1].headers)


@pytest.mark.parametrize("answer", [503, 500, 404, 403, 200])
def test_a_stale_cover_stays_when_its_origin_fails(covers: Covers, origin: Origin, answer: int) -> None:
    url = origin.put("/a.jpg", jpeg())
    (digest,) = covers.show(url)
    origin.put("/a.jpg", b"<html>please log in</html>", content_type="text/html", status=answer)
    covers.clock.advance(25 * HOUR_S)
    covers.show(url)
    assert origin.count() == 2
    covers.forget_memory()
    assert covers.cache.get(digest, "thumbnails") is not None
    assert covers.states(url) == ["ready"]


def test_a_clock_that_starts_in_1970_asks_for_no_cover_again(covers: Covers, origin: Origin) -> None:
    """A board without a battery asked for every cover that was looked at, and once more when its clock was set."""
    url = origin.put("/a.jpg", jpeg())
    covers.show(url)
    for seconds in (DAY_S - covers.clock.now, covers.clock.now - DAY_S):
        covers.clock.advance(seconds)
        covers.cache.for_page([url])
        covers.run()
        assert origin.count() == 1


def test_a_settled_picture_needs_no_revalidation_for_a_year(covers: Covers, origin: Origin) -> None:
    settled, plain = "https://f4.bcbits.com/img/a3559269778_10.jpg", origin.put("/a.jpg", jpeg())
    covers.cache.register([settled, plain])
    images = [covers.cache.registry.get(digest) for digest in covers.digests(settled, plain)]
    now = covers.clock.now
    assert [image is not None and is_stale(image, now) for image in images] == [True, True]
    fresh = [replace(image, fresh_until=now + SETTLED_FRESH_S) for image in images if image]
    assert not any(is_stale(image, now) for image in fresh)


# Failures


def test_a_missing_picture_is_remembered_for_an_hour_and_longer_each_time(covers: Covers, origin: Origin) -> None:
    url = origin.url("/gone.jpg")
    covers.show(url)
    cover = covers.cache.peek([url])[0]
    assert (cover.state, cover.retry_at) == ("failed", covers.clock.now + HOUR_S)
    for _ in range(3):
        covers.show(url)
        assert covers.cache.request(cover.digest, "thumbnails").state == "failed"
    assert origin.count() == 1
    covers.clock.advance(HOUR_S + 1)
    covers.show(url)
    assert origin.count() == 2
    assert covers.cache.peek([url])[0].retry_at == covers.clock.now + 2 * HOUR_S
    origin.put("/gone.jpg", jpeg())
    covers.clock.advance(2 * HOUR_S + 1)
    covers.show(url)
    assert covers.states(url) == ["ready"]
    assert covers.cache.peek([url])[0].retry_at is None


def test_retries_of_a_failing_origin_come_later_and_later(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", status=500)
    covers.show(url)
    assert covers.states(url) == ["waiting"]
    assert origin.count() == 1
    pauses = []
    for _ in range(4):
        before = covers.clock.now
        while origin.count() == len(pauses) + 1:
            covers.clock.advance(0.5)
            covers.run()
        pauses.append(covers.clock.now - before)
    assert pauses == sorted(pauses)
    assert pauses[0] >= 1.5
    assert pauses[-1] >= 12
    origin.put("/a.jpg", jpeg())
    covers.clock.advance(HOUR_S)
    covers.run()
    assert covers.states(url) == ["ready"]


def test_retry_after_pauses_the_host_and_everything_arrives_afterwards(covers: Covers, origin: Origin) -> None:
    first = origin.put("/1.jpg", status=429, headers={"Retry-After": "120"})
    second = origin.put("/2.jpg", jpeg())
    covers.cache.register([first, second])
    covers.cache.enqueue_missing([first], VISIBLE)
    covers.cache.enqueue_missing([second], PAGE)
    covers.run()
    assert (origin.count("/1.jpg"), origin.count("/2.jpg")) == (1, 0)
    assert covers.cache.get_cache_stats().paused_hosts == (f"127.0.0.1:{origin.port}",)
    origin.put("/1.jpg", jpeg())
    covers.clock.advance(119)
    assert covers.run() == 0
    covers.clock.advance(61)
    covers.run()
    assert covers.states(first, second) == ["ready", "ready"]


def test_a_dead_host_is_left_alone_after_five_failures(covers: Covers, origin: Origin) -> None:
    urls = [origin.put(f"/{n}.jpg", status=500) for n in range(20)]
    covers.show(*urls)
    assert origin.count() == 5
    covers.clock.advance(61)
    covers.run()
    assert origin.count() == 6


def test_answers_that_cannot_be_used_do_not_pause_their_host(covers: Covers, origin: Origin) -> None:
    """A fault of one object: the host answers, and what else it has is still fetched."""
    urls = [origin.put(f"/{n}.jpg", jpeg(), headers={"Content-Encoding": "br"}) for n in range(20)]
    sound = origin.put("/sound.jpg", jpeg())
    covers.show(*urls, sound)
    assert origin.count() == 21
    assert covers.cache.jobs.paused_hosts() == []
    assert covers.states(sound) == ["ready"]


def test_a_host_that_answers_404_is_not_in_trouble(covers: Covers, origin: Origin) -> None:
    """Five failures in a row pause a host; an answer in between, whatever it says, starts the count again."""
    for n in range(4):
        covers.show(origin.put(f"/{n}.jpg", status=500))
    covers.show(origin.url("/gone.jpg"))
    covers.show(origin.put("/5.jpg", status=500))
    assert origin.count() == 6
    assert covers.cache.jobs.paused_hosts() == []


def test_a_file_that_is_no_image_is_given_up_for_a_day(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", b"this is not a picture", content_type="image/jpeg")
    covers.show(url)
    cover = covers.cache.peek([url])[0]
    assert (cover.state, cover.retry_at) == ("failed", covers.clock.now + DAY_S)
    assert covers.cache.get_cache_stats().failures == 1
    assert covers.run() == 0


def test_a_job_that_never_came_back_waits_a_minute_and_is_not_lost(covers: Covers, origin: Origin) -> None:
    """After four kills it was given up for a day: a power cut cost the cover at the front of the queue."""
    url = origin.put("/a.jpg", jpeg())
    covers.cache.register([url])
    covers.cache.enqueue_missing([url])
    for _ in range(3):
        assert covers.cache.jobs.claim() is not None
        covers.clock.advance(100)  # the lease runs out
    assert covers.run() == 1
    assert origin.count() == 0
    assert covers.states(url) == ["waiting"]
    covers.clock.advance(61)
    covers.run()
    assert covers.states(url) == ["ready"]


def test_the_third_decode_that_never_came_back_is_final(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg())
    covers.cache.register([url])
    covers.cache.enqueue_missing([url])
    states = []
    for wait_s in (60, 480, 4 * DAY_S):
        for _ in range(3):
            assert covers.cache.jobs.claim() is not None
            covers.clock.advance(100)  # the lease runs out
        assert covers.run() == 1
        states += covers.states(url)
        (cover,) = covers.cache.peek([url])
        assert cover.retry_at == covers.clock.now + wait_s
        covers.clock.advance(wait_s)
    assert states == ["waiting", "waiting", "failed"]
    assert origin.count() == 0
    covers.show(url)
    assert covers.states(url) == ["ready"]


def test_a_stop_in_the_middle_of_a_fetch_is_no_failure(tmp_path: Path, origin: Origin) -> None:
    """The fetch that we cut ourselves counted as a failure of the host, and the cover waited for it after the start."""
    gate = threading.Event()
    url = origin.put("/a.jpg", jpeg(), gate=gate)
    clock = FakeClock()
    with covers_at(tmp_path, origin, clock) as covers:
        covers.cache.register([url])
        covers.cache.enqueue_missing([url])
        worker = threading.Thread(target=covers.run)
        worker.start()
        origin.wait_for(1)
        covers.parts.abort()
        worker.join(30)
        assert not worker.is_alive()
        covers.cache.jobs.release_own()
    gate.set()
    with covers_at(tmp_path, origin, clock) as covers:
        image = covers.cache.registry.get(covers.digests(url)[0])
        assert image is not None
        assert (image.failures, covers.cache.jobs.paused_hosts()) == (0, [])
        covers.run()
        assert covers.states(url) == ["ready"]


def test_a_full_disk_puts_the_cover_off_and_it_comes_when_there_is_room(tmp_path: Path, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg())
    clock = FakeClock()
    with covers_at(tmp_path, origin, clock, FREE_SPACE_FLOOR_MB=4_000_000) as covers:
        covers.show(url)
        assert covers.states(url) == ["waiting"]
        assert covers.run() == 0
    clock.advance(301)
    with covers_at(tmp_path, origin, clock) as covers:
        covers.run()
        assert covers.states(url) == ["ready"]


@pytest.mark.parametrize("jump_s", [10 * YEAR_S, -10 * YEAR_S])
def test_a_clock_that_jumps_ten_years_removes_nothing_and_blocks_no_fetch(covers: Covers, origin: Origin, jump_s: float) -> None:
    good, broken = origin.put("/a.jpg", jpeg(), etag='"v1"'), origin.put("/b.jpg", status=500)
    (digest, _) = covers.show(good, broken)
    covers.clock.advance(jump_s)
    covers.cache.jobs.fix_clock_skew()
    assert covers.cache.get(digest, "thumbnails") is not None
    origin.put("/b.jpg", jpeg())
    covers.show(good, broken)
    assert covers.states(good, broken) == ["ready", "ready"]
    covers.forget_memory()
    assert covers.cache.get(digest, "thumbnails") is not None


def test_freshness_that_a_wrong_clock_put_years_ahead_does_not_count(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg())
    covers.clock.advance(10 * YEAR_S)
    covers.show(url)
    covers.clock.advance(-10 * YEAR_S)
    covers.show(url)
    assert origin.count() == 2
    covers.show(url)
    assert origin.count() == 2


@pytest.mark.parametrize(("status", "state"), [(404, "failed"), (500, "waiting")])
def test_a_retry_that_a_wrong_clock_put_years_ahead_blocks_no_fetch(
    covers: Covers, origin: Origin, status: int, state: str
) -> None:
    url = origin.put("/a.jpg", status=status)
    covers.clock.advance(10 * YEAR_S)
    covers.show(url)
    assert covers.states(url) == [state]
    (digest,) = covers.digests(url)
    with covers.cache.registry.database.write() as conn:
        covers.cache.jobs.clear(conn)  # a job that waits is put right by `fix_clock_skew`; here the register alone decides
    covers.clock.advance(-10 * YEAR_S)
    origin.put("/a.jpg", jpeg())
    assert covers.states(url) == ["waiting"]
    assert covers.cache.enqueue_digests([digest]) == 1
    covers.run()
    assert covers.states(url) == ["ready"]


# Clearing and cleaning


def test_a_clear_gives_every_cover_a_new_address(covers: Covers, origin: Origin) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(20, 20, (n, 9, 9))) for n in range(3)]
    old = covers.show(*urls)
    covers.cache.preload([origin.url("/later.jpg")])
    assert covers.cache.clear() == 6
    assert (counted(covers.cache.cache), covers.cache.jobs.depth()) == ((0, 0), 0)
    assert [covers.cache.get(digest, "thumbnails") for digest in old] == [None] * 3
    with pytest.raises(UnknownImage):
        covers.cache.request(old[0], "thumbnails")
    new = covers.show(*urls)
    assert not set(new) & set(old)
    assert (covers.states(*urls), origin.count()) == (["ready"] * 3, 6)


def test_one_size_can_be_cleared_and_an_unknown_one_is_named(covers: Covers, origin: Origin) -> None:
    (digest,) = covers.show(origin.put("/a.jpg", jpeg()))
    assert covers.cache.clear("thumbnails-2x") == 1
    assert files(covers, digest) == {"detail"}
    with pytest.raises(ValueError, match="size_type must be one of"):
        covers.cache.clear("huge")


def test_cleanup_removes_unused_covers(covers: Covers, origin: Origin) -> None:
    old, new = origin.put("/old.jpg", jpeg()), origin.put("/new.jpg", jpeg())
    covers.show(old)
    covers.clock.advance(31 * DAY_S)
    (digest,) = covers.show(new)
    assert covers.cache.cleanup_cache() == 2
    assert files(covers, digest) == SHOWN
    assert covers.cache.get_cache_stats().last_cleanup_at == int(covers.clock.now)
    assert covers.cache.cleanup_cache(max_age_days=30) == 0


# The documented methods


def test_get_image_fetches_once_and_names_the_file(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(700, 700))
    path = covers.cache.get_image(url, "thumbnails")
    assert path is not None
    assert Path(path).read_bytes()[8:12] == b"WEBP"
    assert covers.cache.get_image(url) == path
    assert covers.cache.get_image(url, "detail") not in (None, path)
    assert covers.cache.get_image(url, "thumbnails-2x") is not None
    assert origin.count() == 1
    with pytest.raises(ValueError, match="size_type must be one of"):
        covers.cache.get_image(origin.url("/never.jpg"), "huge")
    assert covers.cache.jobs.depth() == 0


def test_get_image_does_not_ask_again_for_what_is_missing(covers: Covers, origin: Origin) -> None:
    """Scripts ignored remembered failures: each run asked every dead address again."""
    url = origin.url("/gone.jpg")
    assert [covers.cache.get_image(url) for _ in range(3)] == [None] * 3
    assert origin.count() == 1
    busy = origin.put("/busy.jpg", status=503)
    assert [covers.cache.get_image(busy) for _ in range(3)] == [None] * 3
    assert origin.count("/busy.jpg") == 1
    assert covers.cache.get_image("ftp://example.org/x.jpg") is None


def test_preload_images_tells_how_it_went_and_how_far_it_is(covers: Covers, origin: Origin) -> None:
    urls = [origin.put("/a.jpg", jpeg()), origin.url("/gone.jpg"), origin.put("/b.jpg", jpeg())]
    seen: list[tuple[int, int, str]] = []
    results = covers.cache.preload_images(urls, progress_callback=lambda *told: seen.append(told))
    assert results == {urls[0]: True, urls[1]: False, urls[2]: True}
    assert seen == [(1, 3, urls[0]), (2, 3, urls[1]), (3, 3, urls[2])]
    assert covers.cache.preload_images(urls) == results
    assert origin.count() == 3


def test_a_preload_is_a_batch_whose_progress_can_be_seen(covers: Covers, origin: Origin) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(20, 20)) for n in range(4)] + [origin.url("/gone.jpg")]
    covers.show(urls[0])
    assert covers.cache.progress() is None
    name = covers.cache.preload(urls)
    assert covers.cache.batch(name) == {"total": 4, "done": 0, "failed": 0}
    progress = covers.cache.progress()
    assert progress is not None
    assert (progress.total, progress.done, progress.failed) == (5, 1, 0)
    covers.run()
    batch = covers.cache.batch(name)
    assert batch is not None
    assert batch["failed"] == 1
    assert batch["total"] == batch["done"] + batch["failed"]
    assert covers.cache.batch("no such batch") is None
    assert covers.cache.progress() is None


def test_stats_count_what_happened(covers: Covers, origin: Origin) -> None:
    empty = covers.cache.get_cache_stats()
    assert (empty.hit_rate, empty.hit_ratio, empty.total_entries) == (None, None, 0)
    (digest,) = covers.show(origin.put("/a.jpg", jpeg(400, 400)))
    for _ in range(3):
        covers.cache.get(digest, "thumbnails-2x")
    covers.cache.get("0" * 64, "thumbnails")
    stats = covers.cache.get_cache_stats()
    assert isinstance(stats, CacheStats)
    assert (stats.hits, stats.misses, stats.hit_rate, stats.hit_ratio) == (3, 1, 75.0, 0.75)
    assert (stats.total_entries, stats.total_size_bytes) == counted(covers.cache.cache)
    assert (stats.fetches, stats.renders, stats.queued, stats.running) == (1, 2, 0, 0)
    assert stats.memory_entries == 1
    assert stats.memory_used_bytes <= stats.memory_budget_bytes
    told = stats.to_dict()
    assert {
        "hit_rate",
        "total_entries",
        "total_size_mb",
        "cache_size_mb",
        "max_size_mb",
        "memory_usage_mb",
        "eviction_count",
    } <= set(told)


def test_a_full_queue_refuses_a_preload_but_no_page(tmp_path: Path, origin: Origin) -> None:
    """A page whose covers did not fit into the queue was an error page."""
    urls = [origin.url(f"/{n}.jpg") for n in range(160)]
    with covers_at(tmp_path, origin, QUEUE_LIMIT=100) as covers:
        with pytest.raises(QueueFull):
            covers.cache.preload(urls)
        covers.cache.preload(urls[:100])
        covers.cache.register(urls)
        assert covers.cache.enqueue_missing(urls[100:], PAGE) == 0
        assert covers.cache.request(covers.digests(urls[150])[0], "thumbnails").state == "waiting"
        assert covers.cache.jobs.depth() == 101


def test_a_cover_that_scrolled_away_is_demoted_and_can_come_back(covers: Covers, origin: Origin) -> None:
    urls = [origin.put(f"/{n}.jpg", jpeg(20, 20)) for n in range(2)]
    covers.cache.register(urls)
    first, _second = covers.digests(*urls)
    covers.cache.request(first, "thumbnails")
    covers.clock.advance(1)
    covers.cache.enqueue_missing([urls[1]], WARM)
    covers.cache.demote([first, "not a digest"])
    covers.clock.advance(1)
    covers.cache.enqueue_missing([urls[1]], VISIBLE)
    assert covers.parts.loader.run_next()
    assert covers.states(*urls) == ["waiting", "ready"]
    covers.cache.request(first, "thumbnails")
    job = covers.cache.jobs.claim()
    assert job is not None
    assert (job.digest, job.priority) == (first, VISIBLE)


def test_pages_are_scopes_of_one_copy(covers: Covers, origin: Origin) -> None:
    (digest,) = covers.show(origin.put("/a.jpg", jpeg()))
    covers.cache.get(digest, "detail", "wall")
    covers.cache.get(digest, "detail", "album")
    memory = covers.cache.cache.memory
    assert memory.clear_scope("wall") == 0
    assert memory.clear_scope("album") == 1


# The module functions, and other processes

SNIPPET = """
import os
from image_cache import initialize_image_cache, get_image_cache
from pathlib import Path

# Initialize cache
cache_dir = Path("cache/covers")
database_path = Path("cache/vinylvault.db")
success = initialize_image_cache(cache_dir, database_path)

# Get cache instance
cache = get_image_cache()
assert success

discogs_url = os.environ["A_URL"]
cached_path = cache.get_image(discogs_url, 'thumbnails')
urls = [discogs_url, discogs_url + "?2"]
results = cache.preload_images(urls)
stats = cache.get_cache_stats()
cleaned = cache.cleanup_cache(max_age_days=30)
print(cached_path, list(results.values()), stats.total_entries, cleaned)
"""


def environment(origin: Origin, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("VINYL_VAULT_", "IMAGE_CACHE_", "CACHE_"))}
    return {
        **clean,
        "PYTHONPATH": str(ROOT),
        "VINYL_VAULT_TRUSTED_ORIGINS": origin.base,
        "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0",
        **more,
    }


@pytest.mark.slow
def test_the_documented_script_runs_as_written(tmp_path: Path, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg())
    done = subprocess.run(
        [sys.executable, "-c", SNIPPET],
        cwd=tmp_path,
        env=environment(origin, A_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    path, told = done.stdout.split(" ", 1)
    assert Path(path).is_relative_to(tmp_path / "cache" / "covers" / "thumbnails")
    assert told == "[True, True] 6 0\n"
    assert (tmp_path / "cache" / "index.db").is_file()


MODULE = """
import sys
from image_cache import close_image_cache, get_image_cache, initialize_image_cache
print(get_image_cache().cache.disk.root, get_image_cache() is get_image_cache())
print(initialize_image_cache("/proc/nowhere/covers", "/proc/nowhere/index.db"))
print(initialize_image_cache("covers", "index.db", 5_000_000), get_image_cache().cache.budget_bytes)
first = get_image_cache()
print(initialize_image_cache("covers", "index.db"), get_image_cache() is first)
close_image_cache()
close_image_cache()
"""


def test_the_module_functions_say_what_they_could_not_do(tmp_path: Path, origin: Origin) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MODULE],
        cwd=tmp_path,
        env=environment(origin, VINYL_VAULT_DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [f"{tmp_path}/cache/covers True", "False", "True 5000000", "True False"]
    assert "/proc/nowhere" in done.stderr


GET = """
import sys
from pathlib import Path
from image_cache import get_image_cache, initialize_image_cache
initialize_image_cache(Path("covers"), Path("index.db"))
print("ready", flush=True)
sys.stdin.readline()
print(get_image_cache().get_image(sys.argv[1]), flush=True)
"""


class Script:
    """A process that requests one cover when it is told to."""

    def __init__(self, folder: Path, origin: Origin, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", GET, url],
            cwd=folder,
            env=environment(origin),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        out, _ = self.process.communicate(timeout=120)
        return str(out).strip()


@pytest.mark.slow
def test_two_processes_that_want_one_cold_cover_cause_one_request(tmp_path: Path, origin: Origin) -> None:
    gate = threading.Event()
    url = origin.put("/a.jpg", jpeg(), gate=gate)
    scripts = [Script(tmp_path, origin, url) for _ in range(2)]
    for script in scripts:
        script.go()
    origin.wait_for(1)
    time.sleep(0.2)  # what must not happen has no event to wait for
    gate.set()
    first, second = (script.answer() for script in scripts)
    assert first == second
    assert Path(first).is_file()
    assert origin.count() == 1


@pytest.mark.slow
def test_when_the_fetching_process_is_killed_another_one_takes_over(tmp_path: Path, origin: Origin) -> None:
    """The lease of the killed process outlasted the wait of the other one, which returned nothing."""
    gate = threading.Event()
    url = origin.put("/a.jpg", jpeg(), gate=gate)
    first, second = (Script(tmp_path, origin, url) for _ in range(2))
    first.go()
    origin.wait_for(1)
    second.go()
    first.process.send_signal(signal.SIGKILL)
    first.process.communicate()
    origin.wait_for(2)
    gate.set()
    assert Path(second.answer()).is_file()
    assert origin.count() == 2


def test_several_workers_make_one_fetcher(tmp_path: Path, origin: Origin) -> None:
    """Three workers that began at once made three; two of them, with a thread and connections each, were never closed."""
    parts = open_covers(replace(Settings(), DATA_DIR=tmp_path, TRUSTED_ORIGINS=(origin.base,)))
    gate, start, before = threading.Event(), threading.Barrier(8), set(threading.enumerate())
    urls = [origin.put(f"/{n}.jpg", jpeg(), gate=gate) for n in range(8)]

    def fetch(url: str) -> None:
        start.wait()
        parts.fetcher.fetch(url)

    workers = [threading.Thread(target=fetch, args=(url,)) for url in urls]
    for worker in workers:
        worker.start()
    origin.wait_for(8)
    new = [thread for thread in threading.enumerate() if thread not in before]
    assert [thread.name for thread in new].count("fetch-deadline") == 1
    gate.set()
    for worker in workers:
        worker.join()
    parts.close()


def test_an_unreadable_file_is_fetched_again_without_validators(covers: Covers, origin: Origin) -> None:
    """A 304 would bring no bytes to render from."""
    url = origin.put("/a.jpg", jpeg(), etag='"v1"', last_modified="Wed, 21 Oct 2026 07:28:00 GMT")
    (digest,) = covers.show(url)
    for variant in ("thumbnails-2x", "detail"):
        os.truncate(covers.cache.cache.disk.root / Key("covers", variant, digest).path, 10)
    covers.forget_memory()
    assert covers.cache.get(digest, "thumbnails-2x") is None
    assert covers.cache.get(digest, "detail") is None
    covers.show(url)
    assert covers.cache.get(digest, "thumbnails-2x") is not None
    assert origin.count() == 2
    assert not {"if-none-match", "if-modified-since"} & set(origin.requests[-1].headers)


def test_a_size_that_is_missing_is_fetched_without_validators_although_others_are_stored(covers: Covers, origin: Origin) -> None:
    url = origin.put("/a.jpg", jpeg(900, 900), etag='"v1"')
    (digest,) = covers.show(url)
    covers.clock.advance(25 * HOUR_S)
    covers.cache.request(digest, "detail-2x")  # 1200 px cannot be made from 600
    covers.run()
    assert covers.cache.get(digest, "detail-2x") is not None
    assert "if-none-match" not in origin.requests[-1].headers
