"""What was evicted and what failed today, of covers, streams and files: the same figures on every surface, from midnight on."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import CacheError
from image_cache.maintenance.cache_figures import cache_figures
from image_cache.maintenance.counters_since import counters_today, mark_day
from image_cache.streams.table import StreamTable
from tests.support.clock import FakeClock
from tests.support.filled import fill, settings_of
from tests.support.inside import Inside
from tests.support.operator import environment, operate
from tests.support.origin import Origin, jpeg

NOW = 1_800_000_000.0
DAY_S = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def inside(origin: Origin, tmp_path: Path, clock: FakeClock) -> Iterator[Inside]:
    """A vault with covers and stream images whose clock stands still, and in which nothing runs by itself."""
    fill(settings_of(tmp_path / "vault", TRUSTED_ORIGINS=(origin.base,)), origin, tmp_path)
    with Inside(tmp_path / "vault", trusted=(origin.base,), clock=clock, settled=False, FREE_SPACE_FLOOR_MB=0) as running:
        yield running


def mark(inside: Inside) -> None:
    mark_day(inside.services.catalog, inside.services.figures, inside.services.vault.clock())


def test_each_node_counts_its_own_day(inside: Inside, tmp_path: Path) -> None:
    """With one mark for all, the node whose counters are lower would count from the beginning."""
    caches = inside.services.figures()
    for name, hits in (("bob", 900), ("ada", 5)):
        catalog = CatalogDatabase(inside.services.settings.catalog_path)
        catalog.node = name
        figures = [replace(cache, hits=hits) for cache in caches]
        mark_day(catalog, lambda figures=figures: figures, NOW)  # type: ignore[misc]
        catalog.close()
    catalog = CatalogDatabase(inside.services.settings.catalog_path)
    catalog.node = "ada"
    assert [cache.hits for cache in counters_today(catalog, [replace(cache, hits=7) for cache in caches], NOW)] == [2, 2, 2]
    catalog.close()


def fail_once_each(inside: Inside, origin: Origin) -> None:
    """Let a cover, a stream image and a file fail, for real reasons."""
    services = inside.services
    inside.album(origin.url("/no-cover.jpg"))
    services.covers.enqueue_missing([origin.url("/no-cover.jpg")])
    while services.loader.run_next():
        pass
    table = StreamTable(services.catalog)
    (image, *_) = [image for stream in table.streams() for image in table.images(stream.id)]
    (services.settings.stream_images_dir / image.file_path).unlink()
    services.streams.cache.engine.delete(
        [services.streams.cache.key(image.image_id, name) for name in services.streams.images.variants]
    )
    assert services.stream_images.body(image, "stream_thumb") is None
    with pytest.raises(CacheError):
        services.files.cache.get(origin.url("/no-file.bin"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_errors_of_today_are_on_every_surface_and_gone_tomorrow(inside: Inside, origin: Origin, clock: FakeClock) -> None:
    env = environment(inside.folder, VINYL_VAULT_TRUSTED_ORIGINS=origin.base, VINYL_VAULT_FREE_SPACE_FLOOR_MB="0")
    client = inside.client()
    assert client.get("/api/cache/stats").json["caches_today"] is None, "no service has run"
    assert "Errors today" not in operate(env, "status", stream=Terminal(), clock=clock).out
    mark(inside)
    fail_once_each(inside, origin)
    told = client.get("/api/cache/stats").json["caches_today"]
    assert {name: figures["errors"] for name, figures in told.items()} == {"covers": 1, "streams": 1, "files": 1}
    page = client.get("/admin/cache").text
    row = re.search(r"<th scope=\"row\">Today</th>(.*?)</tr>", page, re.DOTALL)
    assert row
    assert re.findall(r"\d+ evicted, \d+ errors?", row[1]) == ["0 evicted, 1 error"] * 3
    inside.services.figures()  # which writes them for the commands
    for action in ("status", "report"):
        shown = operate(env, action, stream=Terminal(), clock=clock).out
        assert re.search(r"^Errors today +1 +1 +1 +3$", shown, re.MULTILINE), shown
        assert re.search(r"^Evicted today +0 +0 +0 +0$", shown, re.MULTILINE), shown
    assert operate(env, "status", "--json", clock=clock).json()["figures"]["caches_today"] == told
    clock.advance(DAY_S)
    assert client.get("/api/cache/stats").json["caches_today"] is None
    mark(inside)
    told = client.get("/api/cache/stats").json["caches_today"]
    assert {name: figures["errors"] for name, figures in told.items()} == {"covers": 0, "streams": 0, "files": 0}


def test_evictions_of_today_are_counted_for_all_three(inside: Inside, origin: Origin) -> None:
    services = inside.services
    for number in range(2):
        services.files.cache.get(origin.put(f"/{number}.bin", bytes([number]) * 600_000))
    mark(inside)
    services.covers.cache.set_budget(1)
    services.streams.cache.engine.set_budget(1)
    services.files.change_limits(max_size_mb=1)
    caches = counters_today(services.catalog, cache_figures(services.vault), NOW)
    assert [cache.name for cache in caches if not cache.evictions] == []
    assert caches[2].evictions == 1


def test_a_day_is_marked_once_and_not_before_the_clock_is_set(inside: Inside, clock: FakeClock) -> None:
    services, asked = inside.services, []

    def figures() -> object:
        asked.append(1)
        return services.figures()

    mark_day(services.catalog, figures, 5000.0)  # type: ignore[arg-type]
    assert asked == []
    for _ in range(3):
        mark_day(services.catalog, figures, clock())  # type: ignore[arg-type]
        clock.advance(60)
    assert len(asked) == 1
    clock.advance(DAY_S)
    mark_day(services.catalog, figures, clock())  # type: ignore[arg-type]
    assert len(asked) == 2


def test_the_service_marks_the_day(origin: Origin, tmp_path: Path) -> None:
    from tests.support.vault import wait_until

    with Inside(tmp_path / "vault", trusted=(origin.base,)) as running:
        client = running.client()
        wait_until(lambda: client.get("/api/cache/stats").json["caches_today"] is not None, 60)
        assert client.get("/api/cache/stats").json["caches_today"]["files"] == {
            "hits": 0,
            "misses": 0,
            "evictions": 0,
            "errors": 0,
        }


def test_counters_are_written_before_they_are_kept(inside: Inside, origin: Origin) -> None:
    """A command reads what was written: with a mark above it, everything ever counted would be of today."""
    covers = inside.services.covers
    url = origin.put("/one.jpg", jpeg(60, 60))
    for _ in range(5):
        assert covers.get_image(url) is not None
    mark(inside)
    env = environment(inside.folder, VINYL_VAULT_TRUSTED_ORIGINS=origin.base)
    told = operate(env, "status", "--json", clock=lambda: NOW).json()["figures"]
    assert told["caches_today"]["covers"]["hits"] == 0
    assert told["caches"]["covers"]["hits"] > 0
