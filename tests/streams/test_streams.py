"""Streams without a server: the documented classes, uploads and their refusals, caches, views, numbers, endings."""

import io
import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_cache import ImageVisibility, StreamImageCache, StreamImageManager, config
from image_cache.accounts.table import AccountTable
from image_cache.errors import (
    CacheError,
    DuplicateImage,
    FieldRejected,
    ImageRejected,
    InvitationRejected,
    NotVisible,
    QuotaExceeded,
    StorageError,
    TableRejected,
    UploadTooLarge,
)
from image_cache.models import ANONYMOUS, Stream, StreamImage, Viewer
from image_cache.storage.local import Body, LocalStorage
from image_cache.streams import Upload, UploadLimits
from image_cache.streams.build import get_image_manager
from image_cache.streams.legacy_import import import_original
from image_cache.streams.upload.orphan_table import OrphanTable
from image_cache.streams.upload.uploads import HEAD_BYTES
from image_cache.streams.upload.validation import new_image_id, slug_of
from image_cache.visibility import may_edit, may_own, may_see
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock
from tests.support.pictures import QUARTERS, decoded, encoded, is_near, quartered, quarters_of
from tests.support.stage import photo

pytestmark = pytest.mark.decoder

PUBLIC, PRIVATE, SUBSCRIBERS = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE, ImageVisibility.SUBSCRIBERS


@pytest.fixture
def manager(catalogs: Catalogs, tmp_path: Path, clock: FakeClock) -> Iterator[StreamImageManager]:
    made = StreamImageManager(
        tmp_path / "stream_images", tmp_path / "cache", catalog=catalog_at(tmp_path / "catalog.db"), clock=clock
    )
    yield made
    made.close()


def add(manager: StreamImageManager, seed: int = 1, kind: ImageVisibility = PUBLIC, **named: Any) -> str:
    return manager.upload_stream_image("evening", named.pop("body", b"") or photo(seed), f"{seed}.jpg", kind, **named)


def account(manager: StreamImageManager, name: str) -> Viewer:
    AccountTable(catalog_at(manager.images_dir.parent / "catalog.db")).add(name, name, "", "owner", 0.0, only_first=False)
    return manager.members.viewer(name)


def files_below(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


# The policy


def test_the_policy_in_one_table() -> None:
    stream = Stream(7, "evening", "Evening", owner_id=1)
    seven = frozenset({7})
    people = {
        ANONYMOUS: (True, False, False, False, False),
        Viewer(2, "other", "owner", owns=frozenset({8}), co_owns=frozenset({9}), follows=frozenset({8})): (
            True,
            False,
            False,
            False,
            False,
        ),
        Viewer(3, "operator", "operator"): (True, False, False, False, False),
        Viewer(4, "follower", "viewer", follows=seven): (True, True, False, False, False),
        Viewer(5, "helper", "owner", co_owns=seven): (True, True, True, True, False),
        Viewer(1, "owner", "owner", owns=seven): (True, True, True, True, True),
    }
    for viewer, expected in people.items():
        image = [StreamImage("i", "evening", "f", "p", kind) for kind in (PUBLIC, SUBSCRIBERS, PRIVATE)]
        seen = tuple(may_see(viewer, stream, one) for one in image)
        assert (*seen, may_edit(viewer, stream), may_own(viewer, stream)) == expected, viewer
    orphan = Stream(7, "evening", "Evening")
    assert may_own(Viewer(3, "operator", "operator"), orphan)
    assert not may_edit(Viewer(2, "other", "owner"), orphan)


# The documents


@pytest.mark.parametrize("is_given", [True, False])
def test_what_is_left_out_is_as_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_given: bool) -> None:
    """S3, limits and TTL of the settings were ignored, and a second catalogue appeared beside the folder of the originals."""
    environment = {
        "VINYL_VAULT_DATA_DIR": str(tmp_path / "vault"),
        "VINYL_VAULT_STREAM_IMAGES_DIR": str(tmp_path / "elsewhere" / "images"),
        "VINYL_VAULT_STORAGE": "s3",
        "VINYL_VAULT_S3_BUCKET": "originals",
        "VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM": "3",
        "VINYL_VAULT_MAX_IMAGE_UPLOAD_SIZE_MB": "2",
        "VINYL_VAULT_STREAM_CACHE_SIZE_MB": "9",
        "IMAGE_CACHE_TTL_HOURS": "5",
        "IMAGE_CACHE_MAX_MEMORY_MB": "40",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folders = (config.STREAM_IMAGES_DIR, config.IMAGE_CACHE_DIR) if is_given else ()
    manager = StreamImageManager(*folders)
    assert manager.images.storage.kind == "s3"
    assert (manager.limits.max_images, manager.limits.max_bytes) == (3, 2_000_000)
    stats = manager.cache.get_cache_stats()
    assert (stats["ttl_hours"], stats["memory_max_mb"], manager.cache.engine.budget_bytes) == (5, 10, 9_000_000)
    assert manager.find_stream("none") is None
    assert manager.cache.cache_dir == tmp_path / "vault" / "cache" / "streams"
    assert list(tmp_path.rglob("catalog.db")) == [tmp_path / "vault" / "state" / "catalog.db"]
    manager.close()
    cache = StreamImageCache()
    assert (cache.cache_dir, cache.ttl_hours) == (tmp_path / "vault" / "cache" / "streams", 5)
    cache.close()


def test_the_snippets_of_the_full_document_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VINYL_VAULT_DATA_DIR", str(tmp_path / "vault"))
    image_bytes = photo()
    manager = StreamImageManager(config.STREAM_IMAGES_DIR, config.IMAGE_CACHE_DIR)
    image_id = manager.upload_stream_image(
        stream_id="stream-123",
        image_data=image_bytes,
        filename="photo.jpg",
        visibility=ImageVisibility.PUBLIC,
        title="Live Event Photo",
        description="Captured during stream",
        page="stream_details",
    )
    manager.upload_stream_image("stream-123", photo(2), "b.jpg", ImageVisibility.PRIVATE, "B", "", "stream_details")
    owner = account(manager, "user-789")
    with manager.rows.db.write() as conn:
        conn.execute("UPDATE streams SET owner_id = ?", (owner.account_id,))
    images = manager.get_stream_images(stream_id="stream-123", user_id="user-456", is_owner=False, page="stream_gallery")
    assert [image.image_id for image in images] == [image_id]
    images = manager.get_stream_images(stream_id="stream-123", user_id="user-789", is_owner=True, page="stream_details")
    assert len(images) == 2
    assert (images[0].filename, images[0].title, images[0].description) == (
        "photo.jpg",
        "Live Event Photo",
        "Captured during stream",
    )
    assert (images[0].dimensions, images[0].size_bytes, images[0].view_count) == ((90, 60), len(image_bytes), 0)
    assert (manager.images_dir / images[0].file_path).read_bytes() == image_bytes
    assert (manager.cache.cache_dir / images[0].thumbnail_path).is_file()
    assert manager.cache.get_cache_stats()["ttl_hours"] == 24
    assert len(manager.get_stream_images("stream-123", user_id="user-456", is_owner=True)) == 1, "is_owner gives nothing"
    assert len(manager.get_stream_images("stream-123", user_id="user-789", is_owner=False)) == 1, "is_owner takes away"
    manager.close()


def test_the_snippets_of_the_quick_reference_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VINYL_VAULT_DATA_DIR", str(tmp_path / "vault"))
    manager = get_image_manager()
    try:
        assert get_image_manager() is manager
        img_uuid = manager.upload_stream_image(
            stream_id="stream-001",
            image_data=photo(),
            filename="photo.jpg",
            visibility=ImageVisibility.PUBLIC,
            title="Stream Photo",
            description="Optional description",
            page="stream_details",
        )
        assert (
            len(manager.get_stream_images(stream_id="stream-001", user_id="viewer-123", is_owner=False, page="stream_gallery"))
            == 1
        )
        stats = manager.get_image_stats("stream-001")
        assert {"total": 1, "public": 1, "private": 0, "most_viewed": 0}.items() <= stats.items()
        assert set(stats) == {"total", "public", "private", "subscribers", "total_size_mb", "most_viewed"}
        cache_stats = manager.cache.get_cache_stats()
        assert {"memory_used_mb", "memory_max_mb", "cached_items", "ttl_hours"} <= set(cache_stats)
        assert manager.cache.clear_page_cache("stream_details") == 1
        assert manager.delete_stream_image(stream_id="stream-001", image_id=img_uuid)
        assert not manager.delete_stream_image(stream_id="stream-001", image_id=img_uuid)
    finally:
        from image_cache.streams.build import forget_image_manager

        forget_image_manager(manager)
        manager.close()


def test_numbers_of_a_stream_that_is_not_there_are_zero(manager: StreamImageManager) -> None:
    assert manager.get_image_stats("nothing") == {
        "total": 0,
        "public": 0,
        "private": 0,
        "subscribers": 0,
        "total_size_mb": 0,
        "most_viewed": 0,
    }
    assert manager.get_stream_images("nothing", None, False, "stream_gallery") == []


# Uploads


BAD: dict[str, tuple[Callable[[], dict[str, Any]], type[CacheError]]] = {
    "not an image": (lambda: {"body": b"<html>"}, ImageRejected),
    "empty": (lambda: {"body": b"\0"[:0] or b" "}, ImageRejected),
    "half an image": (lambda: {"body": photo()[:800]}, ImageRejected),
    "an svg": (lambda: {"body": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, ImageRejected),
    "too large": (lambda: {"body": photo() + bytes(300_000)}, UploadTooLarge),
    "a title of 100 KB": (lambda: {"title": "x" * 100_000}, FieldRejected),
    "a title of markup": (lambda: {"title": "<b>bold</b>"}, FieldRejected),
    "a title of script": (lambda: {"title": "<script>alert(1)</script>"}, FieldRejected),
    "a title that is a comment": (lambda: {"title": "<!-- -->"}, FieldRejected),
    "a title with control characters": (lambda: {"title": "a\x00b"}, FieldRejected),
    "a title over two lines": (lambda: {"title": "a\nb"}, FieldRejected),
    "a title that turns the line around": (lambda: {"title": "a\u202eb"}, FieldRejected),
    "half a character": (lambda: {"title": "\ud800"}, FieldRejected),
    "a long description": (lambda: {"description": "x" * 2001}, FieldRejected),
    "a page that climbs": (lambda: {"page": "../etc"}, FieldRejected),
    "a page in capitals": (lambda: {"page": "Stream"}, FieldRejected),
    "a long page": (lambda: {"page": "x" * 41}, FieldRejected),
    "an unknown visibility": (lambda: {"kind": "everybody"}, FieldRejected),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_of_it_is_stored(tmp_path: Path, case: str) -> None:
    made = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(max_bytes=200_000))
    made.create_stream("Evening", "evening")
    make, error = BAD[case]
    with pytest.raises(error):
        add(made, **make())
    assert made.try_upload_stream_image("evening", b"x", "a.jpg") is None
    assert made.get_stream_images("evening") == []
    assert files_below(tmp_path / "stream_images") == []
    assert not [path for path in files_below(tmp_path / "cache") if path.suffix == ".webp"]
    assert OrphanTable(made.rows.db).before(float("inf")) == []
    made.close()


@pytest.mark.parametrize("slug", ["", "..", "../x", "a/b", "A", "x" * 65, "-a", "a b", "ä", "a\0"])
def test_a_stream_has_a_name_that_cannot_lead_anywhere(manager: StreamImageManager, slug: str) -> None:
    with pytest.raises((FieldRejected, NotVisible)):
        manager.upload_stream_image(slug, photo(), "a.jpg")
    assert not manager.delete_stream_image(slug, new_image_id(bytes(16)))
    assert manager.get_stream_images(slug) == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\a.jpg", "a/b/c.jpg", "\x00\x1b[31m.jpg", "x" * 5000, "", "\ud800.jpg"]
)
def test_a_file_name_is_shown_and_never_used(manager: StreamImageManager, name: str) -> None:
    image_id = manager.upload_stream_image("evening", photo(), name)
    image = manager.get_stream_images("evening")[0]
    assert image.file_path == f"evening/{image_id}_original.jpg"
    assert 1 <= len(image.filename) <= 200
    assert "/" not in image.filename
    assert image.filename.isprintable()


@pytest.mark.parametrize(
    ("format_", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "bmp")]
)
def test_the_format_is_what_decoding_says(manager: StreamImageManager, format_: str, suffix: str) -> None:
    body = photo(format_=format_)
    manager.upload_stream_image("evening", body, "it.says.svg")
    image = manager.get_stream_images("evening")[0]
    assert (image.format, image.file_path.rpartition(".")[2]) == (format_, suffix)
    assert manager.images.original(image) == body


def test_a_format_that_is_not_offered_is_refused_although_it_could_be_read(manager: StreamImageManager) -> None:
    with pytest.raises(ImageRejected, match="AVIF files are not supported"):
        manager.upload_stream_image("evening", photo(format_="AVIF"), "a.avif")


@pytest.mark.slow
def test_a_photograph_stands_upright_and_says_nothing_about_where_it_was_taken(manager: StreamImageManager) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "made by somebody"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    turned = quartered(800, 400).transpose(Image.Transpose.ROTATE_90)
    body = encoded(turned, "JPEG", exif=exif, quality=95)
    manager.upload_stream_image("evening", body, "a.jpg")
    image = manager.get_stream_images("evening")[0]
    assert image.dimensions == (800, 400)
    for variant in manager.images.variants:
        shown = manager.images.body(image, variant)
        assert shown is not None
        assert b"somebody" not in shown
        assert b"Exif" not in shown
        if "blurred" not in variant:
            assert all(is_near(a, b, 30) for a, b in zip(quarters_of(decoded(shown).convert("RGB")), QUARTERS, strict=True))


def test_the_same_bytes_twice_are_said_so(manager: StreamImageManager) -> None:
    first = add(manager)
    with pytest.raises(DuplicateImage) as caught:
        add(manager)
    assert caught.value.image_id == first
    assert manager.upload_stream_image("another", photo(1), "a.jpg") != first


def test_a_stream_holds_so_many_and_no_more_however_many_come_at_once(tmp_path: Path) -> None:
    made = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(max_images=5))
    made.create_stream("Evening", "evening")
    outcomes: list[str] = []

    def upload(seed: int) -> None:
        try:
            add(made, seed)
            outcomes.append("stored")
        except QuotaExceeded:
            outcomes.append("refused")

    threads = [threading.Thread(target=upload, args=(seed,)) for seed in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 4 + ["stored"] * 5
    assert len(files_below(tmp_path / "stream_images")) == 5
    made.close()


def test_the_same_bytes_at_the_same_moment_are_stored_once(tmp_path: Path) -> None:
    """Both had looked for a duplicate before either was stored."""
    both = threading.Barrier(2)

    class Together(LocalStorage):
        def put(self, name: str, body: Body) -> int:
            both.wait(30)
            return super().put(name, body)

    made = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", storage=Together(tmp_path / "stream_images"))
    made.create_stream("Evening", "evening")
    refused: list[DuplicateImage] = []

    def upload() -> None:
        try:
            add(made)
        except DuplicateImage as error:
            refused.append(error)

    threads = [threading.Thread(target=upload) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert len(made.get_stream_images("evening")) == 1
    assert len(files_below(tmp_path / "stream_images")) == 1
    assert OrphanTable(made.rows.db).before(float("inf")) == []
    made.close()


def test_an_upload_is_noted_before_its_bytes_are_stored(tmp_path: Path) -> None:
    """A kill between the two would leave bytes that the sweep cannot find: it goes by the note."""
    noted: list[bool] = []

    class Watched(LocalStorage):
        def put(self, name: str, body: Body) -> int:
            noted.append([path for path, _ in OrphanTable(made.rows.db).before(float("inf"))] == [name])
            return super().put(name, body)

    made = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", storage=Watched(tmp_path / "stream_images"))
    add(made)
    assert noted == [True]
    assert OrphanTable(made.rows.db).before(float("inf")) == []
    made.close()


def test_a_full_disk_refuses_an_upload_and_leaves_no_half_of_it(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "stream_images", floor_bytes=1 << 60)
    made = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", storage=storage)
    with pytest.raises(StorageError):
        add(made)
    assert made.get_stream_images("evening") == []
    assert files_below(tmp_path / "stream_images") == []
    assert not [path for path in files_below(tmp_path / "cache") if path.suffix == ".webp"]
    storage.floor_bytes = 0
    add(made)
    made.close()


def test_an_id_is_random_and_has_128_bits() -> None:
    ids = {new_image_id(bytes([n]) * 16) for n in range(256)}
    assert len(ids) == 256
    assert new_image_id(b"\xff" * 16) == "ffffffff-ffff-ffff-ffff-ffffffffffff"


# What is blurred


def test_a_sensitive_image_is_blurred_in_its_bytes(manager: StreamImageManager) -> None:
    picture = Image.new("RGB", (600, 600), "white")
    for x in range(0, 600, 20):
        picture.paste("black", (x, 0, x + 10, 600))
    stream = manager.create_stream("Evening", "evening")
    image = manager.uploads.store(stream, Upload(encoded(picture, "PNG"), "a.png", is_sensitive=True))
    sharp, blurred = (manager.images.body(image, name) for name in ("stream_detail", "stream_detail_blurred"))
    assert sharp is not None
    assert blurred is not None

    def contrast(body: bytes) -> int:
        low, high = decoded(body).convert("L").crop((100, 100, 500, 500)).getextrema()
        return int(high) - int(low)  # type: ignore[arg-type]

    assert contrast(sharp) > 200
    assert contrast(blurred) < 40, "stripes of 10 pixels are gone"
    assert decoded(blurred).size == decoded(sharp).size


def test_an_image_that_becomes_sensitive_later_is_blurred_on_request(manager: StreamImageManager) -> None:
    image_id = add(manager)
    image = manager.update_stream_image("evening", image_id, is_sensitive=True)
    assert image.is_sensitive
    assert manager.images.body(image, "stream_thumb_blurred") != manager.images.body(image, "stream_thumb")


# Changing and ending


def test_texts_visibility_and_place_change(manager: StreamImageManager) -> None:
    ids = [add(manager, seed) for seed in range(4)]
    manager.update_stream_image(
        "evening", ids[3], title="Ørsted & son", description="two\nlines", visibility="private", position=1
    )
    images = manager.get_stream_images("evening", None)
    assert [image.image_id for image in images] == ids[:3]
    _, changed = manager.rows.image(ids[3])  # type: ignore[misc]
    assert (changed.title, changed.description, changed.visibility, changed.position) == (
        "Ørsted & son",
        "two\nlines",
        PRIVATE,
        1,
    )
    manager.update_stream_image("evening", ids[3], visibility=PUBLIC)
    assert [image.image_id for image in manager.get_stream_images("evening")] == [ids[3], *ids[:3]]
    manager.update_stream_image("evening", ids[3], position=99)
    assert [image.image_id for image in manager.get_stream_images("evening")] == [*ids[:3], ids[3]]
    for bad in ({"position": 0}, {"position": True}, {"title": "<i>"}, {"visibility": "x"}, {"description": 5}):
        with pytest.raises(FieldRejected):
            manager.update_stream_image("evening", ids[0], **bad)  # type: ignore[arg-type]
    with pytest.raises(NotVisible):
        manager.update_stream_image("elsewhere", ids[0], title="x")


def test_a_deleted_image_leaves_no_byte_anywhere(manager: StreamImageManager, tmp_path: Path) -> None:
    body = photo(5)
    image_id = add(manager, body=body, title="gone")
    image = manager.get_stream_images("evening")[0]
    shown = [manager.images.body(image, variant) for variant in manager.images.variants]
    assert manager.delete_stream_image("evening", image_id)
    left = files_below(tmp_path / "stream_images") + [path for path in files_below(tmp_path / "cache") if path.suffix == ".webp"]
    assert left == []
    assert all(manager.cache.get(manager.cache.key(image.image_id, variant)) is None for variant in manager.images.variants)
    assert all(manager.images.body(image, variant) is None for variant in manager.images.variants)
    everything = b"".join(path.read_bytes() for path in files_below(tmp_path))
    assert body not in everything
    assert not any(one and one[50:150] in everything for one in shown)


def test_an_original_that_cannot_be_deleted_now_goes_later(manager: StreamImageManager, clock: FakeClock, tmp_path: Path) -> None:
    image_id = add(manager)
    folder = tmp_path / "stream_images/evening"
    image = manager.get_stream_images("evening")[0]
    real, manager.images.storage = manager.images.storage, LocalStorage("/proc/nowhere")
    assert manager.delete_stream_image("evening", image_id) is True
    manager.images.storage = real
    # What was said to be deleted is not there for anyone, and its bytes go with the next sweep.
    assert manager.get_stream_images("evening") == []
    (folder / f"{image_id}_original.jpg").touch()
    OrphanTable(manager.rows.db).record(image.file_path, image_id, 0)
    clock.advance(5)
    assert manager.images.sweep() == 1
    assert files_below(folder) == []


def test_an_image_that_is_deleted_while_it_is_rendered_leaves_nothing(tmp_path: Path) -> None:
    """The render began before the deletion, and stores what it made after it."""

    class Slow(LocalStorage):
        def get(self, name: str) -> bytes | None:
            body = super().get(name)
            assert made.delete_stream_image("evening", image.image_id)
            return body

    made = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", storage=Slow(tmp_path / "stream_images"))
    add(made)
    image = made.get_stream_images("evening")[0]
    made.images.delete_variants(image.image_id)
    assert made.images.body(image, "stream_thumb") is None
    assert not [path for path in files_below(tmp_path) if path.suffix in (".webp", ".jpg")]
    assert made.cache.get_cache_stats()["cached_items"] == 0
    made.close()


def test_an_upload_that_never_ended_is_swept_after_an_hour(manager: StreamImageManager, clock: FakeClock) -> None:
    image_id = new_image_id(bytes(16))
    path = f"evening/{image_id}_original.jpg"
    OrphanTable(manager.rows.db).record(path, image_id, clock())
    manager.images.storage.put(path, b"bytes")
    manager.images.cache_variants(image_id, {"stream_thumb": b"RIFF"})
    assert manager.images.sweep() == 0
    clock.advance(3601)
    assert manager.images.sweep() == 1
    assert manager.images.storage.get(path) is None
    assert manager.cache.get_image(image_id, "stream_details") is None


def test_tending_writes_views_sweeps_and_forgives_a_disk(manager: StreamImageManager, clock: FakeClock, tmp_path: Path) -> None:
    image_id = add(manager)
    manager.view_counts.record(image_id, "somebody")
    path = f"evening/{new_image_id(bytes(16))}_original.jpg"
    OrphanTable(manager.rows.db).record(path, new_image_id(bytes(16)), clock() - 7200)
    manager.images.storage.put(path, b"bytes")
    manager.run_maintenance()
    assert manager.get_stream_images("evening")[0].view_count == 1
    assert manager.images.storage.get(path) is None
    for file in files_below(tmp_path / "cache"):
        file.unlink()
    manager.run_maintenance()
    assert manager.images.body(manager.get_stream_images("evening")[0], "stream_thumb") is not None


# The cache


def test_a_page_is_cleared_alone(tmp_path: Path) -> None:
    cache = StreamImageCache(tmp_path / "cache", 10, 24)
    assert cache.cache_image("a", b"a" * 1000, "stream")
    assert cache.cache_image("a", b"d" * 1000, "stream_details")
    assert cache.cache_image("b", b"b" * 1000, "stream_details")
    assert cache.get_page_stats("stream")["page_items"] == 1
    assert cache.clear_page_cache("stream") == 1
    assert cache.get_page_stats("stream")["page_items"] == 0
    assert cache.get_page_stats("stream_details")["page_items"] == 2
    assert cache.clear_page_cache("stream_details") == 2
    assert cache.get_cache_stats()["cached_items"] == 0
    assert cache.get_image("a", "stream") == b"a" * 1000, "from disk again"
    cache.close()


def test_one_id_on_two_pages_is_two_images(tmp_path: Path) -> None:
    """Pages are isolated namespaces, `page:image_id`: the second page overwrote the first, and a third one saw it."""
    cache = StreamImageCache(tmp_path / "cache", 10, 24)
    assert cache.cache_image("a", b"details", "stream_details")
    assert cache.cache_image("a", b"gallery", "stream_gallery")
    for _ in range(2):
        assert cache.get_image("a", "stream_details") == b"details"
        assert cache.get_image("a", "stream_gallery") == b"gallery"
        assert cache.get_image("a", "stream") is None
        cache.engine.memory.clear()  # from disk again
    cache.close()


def test_a_deleted_image_is_gone_from_every_page(manager: StreamImageManager, tmp_path: Path) -> None:
    image_id = add(manager)
    assert manager.cache.get_image(image_id, "stream") is not None, "what an upload rendered is there for every page"
    assert manager.cache.cache_image(image_id, b"of a page", "stream_browser")
    assert manager.delete_stream_image("evening", image_id)
    assert manager.cache.get_image(image_id, "stream_browser") is None
    assert [path for path in files_below(tmp_path / "cache") if path.suffix == ".webp"] == []


def test_a_restart_restores_from_disk(tmp_path: Path) -> None:
    cache = StreamImageCache(tmp_path / "cache", 10, 24)
    cache.cache_image("a", b"bytes", "stream")
    cache.close()
    again = StreamImageCache(tmp_path / "cache", 10, 24)
    assert again.get_cache_stats()["cached_items"] == 0
    assert again.get_image("a", "stream") == b"bytes"
    assert again.get_cache_stats()["cached_items"] == 1
    again.close()


def test_an_entry_past_its_time_is_read_from_disk_again(tmp_path: Path, clock: FakeClock) -> None:
    cache = StreamImageCache(tmp_path / "cache", 10, 24, clock=clock)
    cache.cache_image("a", b"bytes", "stream")
    path = tmp_path / "cache" / cache.page_key("a", "stream").path
    path.unlink()
    clock.advance(24 * 3600 - 1)
    assert cache.get_image("a", "stream") == b"bytes"
    clock.advance(-100 * 86400)
    assert cache.get_image("a", "stream") == b"bytes", "a clock that was set back makes nothing old"
    clock.advance(100 * 86400 + 2)
    assert cache.get_image("a", "stream") is None
    cache.close()


def test_at_ninety_percent_a_fifth_goes_and_what_is_on_disk_stays(tmp_path: Path) -> None:
    cache = StreamImageCache(tmp_path / "cache", 1, 24)
    for number in range(9):
        cache.cache_image(str(number), bytes([number]) * 100_000, "stream")
    assert cache.get_cache_stats()["cached_items"] == 9
    cache.cache_image("9", b"9" * 100_000, "stream")
    stats = cache.get_cache_stats()
    assert stats["cached_items"] == 7, "a fifth at least, and down to 72 % with the new one"
    assert float(stats["memory_used_mb"]) <= 0.72
    assert cache.get_image("0", "stream") == bytes(100_000)
    cache.close()


def test_a_page_keeps_to_its_budget(tmp_path: Path) -> None:
    cache = StreamImageCache(tmp_path / "cache", 10, 24, page_budgets={"stream_browser": 250_000})
    for number in range(5):
        cache.cache_image(str(number), bytes([number]) * 100_000, "stream_browser")
        cache.cache_image(f"x{number}", bytes([number]) * 100_000, "stream_details")
    assert cache.get_page_stats("stream_browser")["page_items"] == 2
    assert cache.get_page_stats("stream_details")["page_items"] == 5
    assert cache.get_cache_stats()["cached_items"] == 7
    assert (
        not cache.cache_image("huge", bytes(300_000), "stream_browser")
        or cache.get_page_stats("stream_browser")["page_items"] <= 2
    )
    cache.close()


@pytest.mark.parametrize("page", ["", "..", "a/b", "A", "x" * 41, "ä", "a b", "a\n"])
def test_a_page_has_a_plain_name(tmp_path: Path, page: str) -> None:
    cache = StreamImageCache(tmp_path / "cache", 10, 24)
    for ask in (lambda: cache.clear_page_cache(page), lambda: cache.get_page_stats(page)):
        with pytest.raises(FieldRejected):
            ask()
    cache.close()


def test_a_thousand_operations_of_eight_threads_never_pass_the_limit(tmp_path: Path) -> None:
    cache = StreamImageCache(tmp_path / "cache", 1, 24)
    pages = ("stream", "stream_details", "stream_gallery")
    bodies = {str(number): bytes([number]) * (20_000 + 3_000 * number) for number in range(40)}
    wrong: list[str] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(125):
            name, page = chance.choice(list(bodies)), chance.choice(pages)
            match chance.randrange(4):
                case 0:
                    cache.cache_image(name, bodies[name], page)
                case 1 | 2:
                    found = cache.get_image(name, page)
                    if found is not None and found != bodies[name]:
                        wrong.append(name)
                case 3:
                    cache.clear_page_cache(page)
            stats = cache.engine.memory.stats()
            if stats.used_bytes > stats.budget_bytes:
                wrong.append(f"{stats.used_bytes} bytes")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.cache_image("last", b"last", "stream_details")
    cache.clear_page_cache("stream")
    assert cache.get_page_stats("stream_details")["page_items"]
    cache.close()


def test_another_recipe_forgets_what_the_old_one_made(tmp_path: Path) -> None:
    first = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache")
    image_id = add(first)
    before = first.cache.get_image(image_id, "stream")
    first.close()
    second = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(quality=20))
    assert second.cache.get_image(image_id, "stream") is None
    after = second.images.body(second.get_stream_images("evening")[0], "stream_thumb")
    assert after is not None
    assert before is not None
    assert len(after) < len(before)
    second.close()


def test_a_lost_cache_is_made_again_from_the_originals(tmp_path: Path) -> None:
    first = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache")
    image_id = add(first)
    before = first.cache.get_image(image_id, "stream")
    first.close()
    for path in files_below(tmp_path / "cache"):
        path.unlink()
    second = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache")
    assert second.images.body(second.get_stream_images("evening")[0], "stream_thumb") == before
    second.close()


# Views and numbers


def test_a_viewer_counts_once_in_half_an_hour_and_days_are_kept(manager: StreamImageManager, clock: FakeClock) -> None:
    image_id = add(manager)
    manager.view_counts.counters._clock = clock  # the counters of a process have their own clock
    assert manager.view_counts.record(image_id, "somebody")
    assert not manager.view_counts.record(image_id, "somebody")
    assert manager.view_counts.record(image_id, "another")
    assert manager.get_stream_images("evening")[0].view_count == 0, "not written yet"
    assert manager.view_counts.flush() == 2
    clock.advance(1801)
    assert manager.view_counts.record(image_id, "somebody")
    clock.advance(86400)
    assert manager.view_counts.record(image_id, "somebody")
    manager.view_counts.record("no-such-image", "somebody")
    manager.view_counts.flush()
    assert manager.view_counts.flush() == 0
    image = manager.get_stream_images("evening")[0]
    assert image.view_count == 4
    assert image.last_accessed is not None
    days = manager.queries.views_by_day([image_id], 3)[image_id]
    assert [count for _, count in days] == [0, 3, 1]
    assert manager.get_image_stats("evening")["most_viewed"] == 4


def test_numbers_are_remembered_until_something_changes(manager: StreamImageManager, clock: FakeClock) -> None:
    first = add(manager)
    assert manager.cached_stats("evening")["total"] == 1
    manager.rows.add_views({(first, "2026-01-01"): 5}, {})
    assert manager.cached_stats("evening")["most_viewed"] == 0, "views alone are no change"
    clock.advance(1800)
    assert manager.cached_stats("evening")["most_viewed"] == 5
    add(manager, 2, PRIVATE)
    assert manager.cached_stats("evening")["private"] == 1
    manager.update_stream_image("evening", first, visibility=SUBSCRIBERS)
    assert manager.cached_stats("evening")["subscribers"] == 1
    manager.delete_stream_image("evening", first)
    assert manager.cached_stats("evening")["total"] == 1


def test_words_are_found_in_titles_and_descriptions_whatever_their_marks(manager: StreamImageManager) -> None:
    one = add(manager, 1, title="Łódź by night", description="rain on the roof")
    two = add(manager, 2, title="Second encore")
    stream = manager.rows.stream("evening")
    assert stream is not None

    def found(text: str) -> list[str]:
        return [image.image_id for image in manager.queries.images(ANONYMOUS, stream, text)]

    assert found("lodz") == found("ŁÓDŹ nig") == found("roof rain") == [one]
    assert found("enc") == [two]
    assert found('"; DROP TABLE') == found("night NOT rain*") == []
    manager.update_stream_image("evening", two, title="Third")
    assert found("encore") == []
    manager.delete_stream_image("evening", one)
    assert found("lodz") == []


# People


@pytest.mark.sqlite_only  # reads its file
def test_an_invitation_makes_a_member_until_it_is_over(manager: StreamImageManager, clock: FakeClock) -> None:
    stream = manager.create_stream("Evening", "evening", owner=account(manager, "ida"))
    for name in ("bo", "cy", "di"):
        account(manager, name)
    token, made = manager.members.invite(stream, "subscriber", days=2, uses=2)
    assert made.uses_left == 2
    assert manager.members.accept(token, manager.members.viewer("bo").account_id or 0) == "evening"
    assert stream.id in manager.members.viewer("bo").follows
    assert manager.members.accept(token, manager.members.viewer("ida").account_id or 0) == "evening"
    assert manager.members.viewer("ida").owns == {stream.id}
    assert not manager.members.viewer("ida").follows, "the owner stays the owner"
    with pytest.raises(InvitationRejected):
        manager.members.accept(token, manager.members.viewer("cy").account_id or 0)
    token, made = manager.members.invite(stream, "co-owner", days=2)
    assert token.encode() not in (manager.images_dir.parent / "catalog.db").read_bytes()
    manager.members.accept(token, manager.members.viewer("bo").account_id or 0)
    assert stream.id in manager.members.viewer("bo").co_owns
    token, made = manager.members.invite(stream, days=2)
    clock.advance(2 * 86400 + 1)
    with pytest.raises(InvitationRejected):
        manager.members.invitation(token)
    token, made = manager.members.invite(stream)
    manager.members.revoke(stream, made.id)
    with pytest.raises(InvitationRejected):
        manager.members.accept(token, 1)
    for role, days, uses in (
        ("owner", 1, 1),
        ("subscriber", 0, 1),
        ("subscriber", 91, 1),
        ("subscriber", 1, 0),
        ("subscriber", 1, 101),
    ):
        with pytest.raises(FieldRejected):
            manager.members.invite(stream, role, days=days, uses=uses)
    manager.members.remove(stream, "BO")
    assert manager.members.viewer("bo").co_owns == frozenset()


def test_an_invitation_takes_no_rights_away(manager: StreamImageManager) -> None:
    """A co-owner who opens a link for subscribers stays a co-owner."""
    stream = manager.create_stream("Evening", "evening", owner=account(manager, "ida"))
    helper = account(manager, "bo")
    manager.members.add(stream, "bo", "co-owner")
    token, _ = manager.members.invite(stream, "subscriber")
    assert manager.members.accept(token, helper.account_id or 0) == "evening"
    assert manager.members.viewer("bo").co_owns == {stream.id}


def test_a_number_is_an_account_and_a_name_is_not_a_number(manager: StreamImageManager) -> None:
    """An account that is called 1 must not be the account with the number 1."""
    first = account(manager, "first")
    called = account(manager, str(first.account_id))
    assert manager.members.viewer(first.account_id) == first
    assert manager.members.viewer(str(first.account_id)) == called
    assert manager.members.viewer(999) == manager.members.viewer("nobody") == manager.members.viewer(None) == ANONYMOUS


def test_streams_get_an_address_from_their_title(manager: StreamImageManager) -> None:
    assert [manager.create_stream("Äther & Rauschen").slug for _ in range(3)] == [
        "ather-rauschen",
        "ather-rauschen-2",
        "ather-rauschen-3",
    ]
    assert manager.create_stream("夜").slug == "stream"
    with pytest.raises(FieldRejected, match="already"):
        manager.create_stream("Again", "stream")
    assert slug_of("x" * 500) == "x" * 64


# The original layout


def original_layout(root: Path, *, as_list: bool = False) -> Path:
    folder = root / "stream-7"
    folder.mkdir(parents=True)
    rows = {}
    for number, visibility in enumerate(("public", "private", "ImageVisibility.SUBSCRIBERS"), 1):
        image_id = f"id-{number}"
        (folder / f"{image_id}_original.jpg").write_bytes(photo(number))
        (folder / f"{image_id}_thumb.jpg").write_bytes(photo(99))
        rows[image_id] = {
            "image_id": image_id,
            "stream_id": "stream-7",
            "filename": f"party {number}.jpg",
            "file_path": f"/home/old/stream_images/stream-7/{image_id}_original.jpg",
            "visibility": visibility,
            "title": f"Party {number}",
            "description": "",
            "view_count": 10 * number,
            "created_at": "2024-05-01T20:15:00",
        }
    rows["climb"] = {"image_id": "climb", "stream_id": "../../etc", "filename": "passwd"}
    rows["gone"] = {"image_id": "gone", "stream_id": "stream-7", "filename": "../../../etc/passwd"}
    rows["broken"] = {"image_id": "broken", "stream_id": "stream-7", "filename": "broken.jpg"}
    (folder / "broken.jpg").write_bytes(b"no picture")
    path = root / "images_metadata.json"
    path.write_text(json.dumps(list(rows.values()) if as_list else rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("as_list", [False, True])
def test_the_original_layout_is_taken_in_once(manager: StreamImageManager, tmp_path: Path, as_list: bool) -> None:
    path = original_layout(tmp_path / "old", as_list=as_list)
    tried = import_original(manager, path, owner=ANONYMOUS, dry_run=True)
    assert (tried.read, tried.new, tried.same, len(tried.rejected)) == (6, 3, 0, 3)
    assert manager.rows.streams() == []
    owner = account(manager, "ida")
    done = import_original(manager, path, owner=owner, dry_run=False)
    assert (done.new, done.same, [name for name, _ in done.rejected]) == (3, 0, ["climb", "gone", "broken"])
    images = manager.get_stream_images("stream-7", "ida")
    assert [(i.title, i.visibility, i.view_count, i.created_at[:16]) for i in images] == [
        ("Party 1", PUBLIC, 10, "2024-05-01T20:15"),
        ("Party 2", PRIVATE, 20, "2024-05-01T20:15"),
        ("Party 3", SUBSCRIBERS, 30, "2024-05-01T20:15"),
    ]
    assert manager.images.original(images[0]) == photo(1)
    again = import_original(manager, path, owner=owner, dry_run=False)
    assert (again.new, again.same, len(again.rejected)) == (0, 3, 3)


@pytest.mark.parametrize("text", ["", "no json", "7", '"x"', "[" * 10_000])
def test_a_file_that_is_no_such_table_is_refused(manager: StreamImageManager, tmp_path: Path, text: str) -> None:
    path = tmp_path / "images_metadata.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableRejected):
        import_original(manager, path, owner=ANONYMOUS, dry_run=False)


class Counted(io.BytesIO):
    """A file that counts the bytes it gave away."""

    given = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.given += len(found)
        return found


def test_an_upload_reads_a_file_no_further_than_its_limit(tmp_path: Path) -> None:
    made = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache", limits=UploadLimits(max_bytes=1000))
    stream = made.create_stream("Evening", "evening")
    file = Counted(bytes(10_000_000))
    with pytest.raises(UploadTooLarge):
        made.uploads.store(stream, Upload(file, "a.jpg"))
    assert file.given == HEAD_BYTES + 1001  # the head tells a video from an image
    made.close()
