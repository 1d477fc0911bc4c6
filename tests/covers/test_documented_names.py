"""The documented functions for scripts: what they return for unknown images, and inside the application."""

import importlib
from pathlib import Path

import pytest

import image_cache
from image_cache import config
from image_cache.errors import OriginDenied
from tests.support.covers import Covers, covers_at
from tests.support.inside import Inside
from tests.support.origin import Origin, jpeg


@pytest.fixture
def covers(tmp_path: Path, origin: Origin):  # type: ignore[no-untyped-def]
    with covers_at(tmp_path / "vault", origin) as opened:
        yield opened


@pytest.mark.parametrize("size", ["large", "", None, "../detail", 150, ["detail"]])
def test_an_unknown_size_is_named_before_anything_is_fetched(covers: Covers, origin: Origin, size: object) -> None:
    url = origin.put("/a.jpg", jpeg())
    with pytest.raises(ValueError, match="size_type must be one of thumbnails, ") as caught:
        covers.cache.get_image(url, size)  # type: ignore[arg-type]
    assert repr(size) in str(caught.value)
    if size is not None:
        with pytest.raises(ValueError, match="size_type must be one of"):
            covers.cache.clear(size)  # type: ignore[arg-type]
    assert origin.count() == 0


def test_a_record_without_a_cover_has_no_path(covers: Covers, origin: Origin) -> None:
    assert covers.cache.get_image(None) is None
    assert covers.cache.get_image("") is None
    url = origin.put("/a.jpg", jpeg())
    assert covers.cache.preload_images([url, ""]) == {url: True, "": False}
    assert covers.cache.batch(covers.cache.preload([None, url, ""])) == {"total": 0, "done": 0, "failed": 0}  # type: ignore[list-item]
    with pytest.raises(ValueError, match="max_age_days must be 0 or more, not -1"):
        covers.cache.cleanup_cache(-1)


@pytest.mark.parametrize("url", [None, 5, b"http://a.example/x"])
def test_a_url_that_is_no_text_is_denied_by_name(tmp_path: Path, url: object) -> None:
    manager = image_cache.ImageCacheManager(tmp_path / "files")
    for method in (manager.get_file, manager.get_cached_file, manager.download_and_cache, manager.invalidate):
        with pytest.raises(OriginDenied) as caught:
            method(url)  # type: ignore[arg-type]
        assert (caught.value.url, caught.value.reason) == (repr(url), "the URL must be text")


@pytest.mark.parametrize("damage", ["torn", "other bytes", "lost"])
@pytest.mark.parametrize("is_in_memory", [True, False])
def test_the_path_of_a_damaged_file_is_never_given(covers: Covers, origin: Origin, damage: str, is_in_memory: bool) -> None:
    url = origin.put("/a.jpg", jpeg(300, 300))
    first = covers.cache.get_image(url)
    assert first is not None
    whole = Path(first).read_bytes()
    Path(first).unlink()
    if damage != "lost":
        Path(first).write_bytes(whole[:-9] if damage == "torn" else whole[:-9] + bytes(9))
    if not is_in_memory:
        covers.forget_memory()
    again = covers.cache.get_image(url)
    assert again is not None
    body = Path(again).read_bytes()
    assert (body[:4], int.from_bytes(body[4:8], "little") + 8) == (b"RIFF", len(body))
    assert body[-9:] != bytes(9)


def test_the_statistics_have_the_names_of_the_original(covers: Covers, origin: Origin) -> None:
    covers.show(*(origin.put(f"/{n}.jpg", jpeg(300, 300)) for n in range(3)))
    stats = covers.cache.get_cache_stats().to_dict()
    assert (stats["thumbnail_count"], stats["detail_count"]) == (3, 3)
    assert stats["cache_limit_bytes"] == stats["budget_bytes"]
    assert stats["available_space_bytes"] == stats["budget_bytes"] - stats["total_size_bytes"]  # type: ignore[operator]
    covers.cache.clear("detail")
    assert covers.cache.get_cache_stats().detail_count == 0


def test_inside_the_application_the_cache_is_that_of_the_application(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", settled=False) as inside:
        assert image_cache.get_image_cache() is inside.services.covers
        answer = inside.client().get("/api/cache/stats").json
        assert {"thumbnail_count", "detail_count", "cache_limit_bytes", "available_space_bytes"} <= set(answer)
        assert image_cache.initialize_image_cache(tmp_path / "own" / "covers", tmp_path / "own" / "index.db")
        assert image_cache.get_image_cache() is not inside.services.covers  # what a script opened itself goes first
        image_cache.close_image_cache()
        assert image_cache.get_image_cache() is inside.services.covers


def test_what_is_worked_out_at_start_can_be_imported_from_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VINYL_VAULT_DATA_DIR", str(tmp_path))
    read = importlib.import_module("config")
    assert tmp_path / "cache" / "covers" == read.COVERS_DIR
    assert (
        tmp_path / "cache",
        tmp_path / "state",
        tmp_path / "cache" / "files",
    ) == (read.CACHE_DIR, read.STATE_DIR, read.FILES_DIR)
    for name in ("IMAGE_CACHE_MAX_MEMORY_MB", "CACHE_MAX_SIZE_MB", "FILES_SIZE_MB", "FILES_TTL_HOURS"):
        assert getattr(read, name) > 0, name
    monkeypatch.setenv("IMAGE_CACHE_MAX_MEMORY_MB", "300")
    monkeypatch.setenv("VINYL_VAULT_COVERS_DIR", str(tmp_path / "elsewhere"))
    assert (300, tmp_path / "elsewhere") == (config.IMAGE_CACHE_MAX_MEMORY_MB, config.COVERS_DIR)  # type: ignore[attr-defined]
