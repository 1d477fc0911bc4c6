"""What a restore or another quality left to be rendered: done in the background, after what is requested, and shown."""

from pathlib import Path

from image_cache.models import ImageVisibility
from image_cache.streams import Upload, UploadLimits
from image_cache.streams.manager import StreamImageManager
from tests.support.stage import photo
from tests.support.vault import wait_until

IMAGES = 6


def filled(folder: Path) -> list[str]:
    """Make a stream with six images, the last of them sensitive; return their ids."""
    manager = StreamImageManager(folder / "stream_images", folder / "cache")
    stream = manager.create_stream("Evening", "evening")
    ids = [
        manager.uploads.store(
            stream, Upload(photo(seed), f"{seed}.jpg", ImageVisibility.PUBLIC, is_sensitive=seed == IMAGES - 1)
        ).image_id
        for seed in range(IMAGES)
    ]
    manager.run_maintenance()
    assert not manager.cache.needs_refill()
    manager.close()
    return ids


def stored(manager: StreamImageManager, image_id: str) -> set[str]:
    digest = manager.cache.key(image_id).digest
    return manager.cache.engine.index.variants_of([digest]).get(digest, set())


def test_another_quality_is_rendered_without_a_request(tmp_path: Path) -> None:
    ids = filled(tmp_path)
    manager = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(quality=20))
    try:
        assert [stored(manager, image_id) for image_id in ids] == [set()] * IMAGES
        manager.run_maintenance()
        assert manager.images.waiting_renders() > 0, "the dashboard shows it"
        wait_until(lambda: manager.images.waiting_renders() == 0, 60)
        assert all(stored(manager, image_id) >= {"stream_thumb", "stream_detail"} for image_id in ids)
        assert stored(manager, ids[-1]) >= {"stream_thumb_blurred", "stream_detail_blurred"}
        assert "stream_thumb_blurred" not in stored(manager, ids[0])
        manager.run_maintenance()
        assert not manager.cache.needs_refill()
    finally:
        manager.close()


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    ids = filled(tmp_path)
    StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(quality=20)).close()
    again = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(quality=20))
    try:
        again.run_maintenance()
        wait_until(lambda: all(stored(again, image_id) for image_id in ids), 60)
    finally:
        again.close()


def test_a_missing_original_is_tried_once(tmp_path: Path) -> None:
    ids = filled(tmp_path)
    next((tmp_path / "stream_images").glob(f"*/{ids[0]}*")).unlink()
    manager = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(quality=20))
    try:
        manager.run_maintenance()
        wait_until(lambda: manager.images.waiting_renders() == 0, 60)
        manager.run_maintenance()
        assert manager.images.waiting_renders() == 0
        assert not manager.cache.needs_refill()
        assert stored(manager, ids[0]) == set()
        assert stored(manager, ids[1])
    finally:
        manager.close()


def test_it_does_not_fill_the_cache_beyond_its_share(tmp_path: Path) -> None:
    filled(tmp_path)
    manager = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(quality=20))
    try:
        manager.cache.put(manager.cache.key("other"), b"x" * 10_000)
        manager.cache.engine.budget_bytes = 12_000
        manager.run_maintenance()
        assert manager.images.waiting_renders() == 0
        assert not manager.cache.needs_refill()
    finally:
        manager.close()
