"""The bandwidth limit: what it tells downloads to wait, its hours, and that running downloads obey a change."""

import threading
import time
from pathlib import Path

import pytest

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import ConfigError
from image_cache.files.build import FileOpener, open_files
from image_cache.files.cache import FileCache
from image_cache.files.disk.runtime_limits import FileLimits, FileRuntimeLimits
from image_cache.files.download.bandwidth import SpeedLimit, Throttle, parse_hours, speed_words
from tests.files.conftest import MB, noise
from tests.support.origin import Origin
from tests.support.volumes import serve


def at(hour: int, minute: int = 0) -> float:
    return time.mktime((2026, 11, 30, hour, minute, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("hours", "full", "limited"),
    [("18:00-07:00", [(18, 0), (23, 59), (0, 0), (6, 59)], [(7, 0), (17, 59)]), ("1:30-2:00", [(1, 30)], [(1, 29), (2, 0)])],
)
def test_the_hours_of_full_speed(hours: str, full: list[tuple[int, int]], limited: list[tuple[int, int]]) -> None:
    limit = SpeedLimit(4e6, *(parse_hours(hours) or ()))
    assert [limit.in_force(at(*when)) for when in full] == [None] * len(full)
    assert [limit.in_force(at(*when)) for when in limited] == [4e6] * len(limited)


@pytest.mark.parametrize("text", ["18:00", "18-07", "24:00-07:00", "18:60-07:00", "07:00-07:00", "x"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="two times of the day"):
        parse_hours(text)


def test_the_limit_in_words() -> None:
    limit = SpeedLimit(4e6, *(parse_hours("18:00-07:00") or ()))
    assert speed_words(limit, at(12)) == "Limited to 4 MB/s until 18:00, then full speed."
    assert speed_words(limit, at(20)) == "Full speed until 07:00, then 4 MB/s."
    assert speed_words(SpeedLimit(4e6), at(20)) == "Downloads are limited to 4 MB/s."
    assert speed_words(None, at(20)) == ""


def test_two_downloads_share_one_limit_also_from_two_processes(tmp_path: Path) -> None:
    path = tmp_path / ".bandwidth"
    one, other = (Throttle(path, lambda: SpeedLimit(1000.0)) for _ in range(2))
    first, second = one.delay_s(5000), other.delay_s(5000)
    assert first == pytest.approx(5, abs=0.01)
    assert 9 < second <= 10, "the second process did not count what the first one received"


def test_full_speed_waits_for_nothing_and_old_counts_are_no_debt(tmp_path: Path) -> None:
    path = tmp_path / ".bandwidth"
    assert Throttle(path, lambda: None).delay_s(10**9) == 0
    assert not path.exists()
    path.write_bytes(b"\xff" * 8)
    assert Throttle(path, lambda: SpeedLimit(1000.0)).delay_s(1000) == pytest.approx(1, abs=0.01)


def test_a_running_download_obeys_a_limit_that_is_removed(origin: Origin, tmp_path: Path) -> None:
    """At 10 bytes per second it would take two days: it only ends because the change reaches it."""
    speed: list[SpeedLimit | None] = [SpeedLimit(10.0)]
    opener = FileOpener(Settings(FILES_DIR=tmp_path / "files", TRUSTED_ORIGINS=(origin.base,), FREE_SPACE_FLOOR_MB=0))
    settings = Settings(FILES_DIR=tmp_path / "files", FREE_SPACE_FLOOR_MB=0)
    cache: FileCache = open_files(settings, opener, lambda: FileLimits(50 * MB, 60, speed[0]))
    url, volume = serve(origin, "/x.bin", noise(2 * MB))
    waited: list[float] = []
    pause = threading.Event()

    def slow(seconds: float) -> float:
        delay = Throttle(tmp_path / ".other", lambda: speed[0]).delay_s(int(seconds))
        waited.append(delay)
        speed[0] = None
        pause.set()
        return min(delay, 0.01)

    cache.loader._throttle.delay_s = slow  # type: ignore[method-assign, assignment]
    assert cache.get(url).stat().st_size == 2 * MB
    assert waited[0] > 60
    assert set(waited[1:]) == {0.0}
    assert pause.is_set()
    assert volume.sent_bytes == 2 * MB
    cache.close()
    opener.close()


def test_a_limited_download_waits_and_is_whole(origin: Origin, tmp_path: Path) -> None:
    settings = Settings(FILES_DIR=tmp_path / "files", TRUSTED_ORIGINS=(origin.base,), FREE_SPACE_FLOOR_MB=0)
    opener = FileOpener(settings)
    cache = open_files(settings, opener, lambda: FileLimits(50 * MB, 60, SpeedLimit(1e6)))
    url, _ = serve(origin, "/x.bin", noise(500_000))
    began = time.monotonic()
    assert cache.get(url).read_bytes() == noise(500_000)
    assert time.monotonic() - began >= 0.45, "500 KB at 1 MB/s came faster than in half a second"
    cache.close()
    opener.close()


def test_the_limit_is_kept_and_reaches_other_processes(tmp_path: Path) -> None:
    catalog = CatalogDatabase(tmp_path / "catalog.db")
    settings = Settings(DATA_DIR=tmp_path)
    limits = FileRuntimeLimits(settings, catalog)
    assert limits().speed is None
    limits.change_speed(4, "18:00-7:00")
    assert limits().speed == SpeedLimit(4e6, 18 * 60, 7 * 60)
    assert FileRuntimeLimits(settings, catalog)().speed == limits().speed
    assert limits().speed is not None
    assert limits().speed.hours == "18:00-07:00"  # type: ignore[union-attr]
    limits.change(ttl_hours=5)
    assert limits().speed is not None
    for speed, hours in ((0.01, ""), (float("nan"), ""), (4, "x"), (None, "18:00-07:00")):
        with pytest.raises(ConfigError):
            limits.change_speed(speed, hours)
    limits.change_speed(None)
    assert limits().speed is None
    catalog.close()
