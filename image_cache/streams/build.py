"""Builds the streams from the settings, and has the documented functions about them. Knows no Flask."""

import time
from collections.abc import Callable
from typing import Any

from image_cache.config import Settings, load_settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import ConfigError, NotVisible
from image_cache.filesystem import make_folder
from image_cache.imaging.decoder import Decoder
from image_cache.models import ANONYMOUS, StreamImage, Viewer
from image_cache.storage.base import Storage
from image_cache.storage.factory import StorageFactory
from image_cache.streams import StreamImageCache, StreamImageManager, UploadLimits, checked_page
from image_cache.units import MEGABYTE

_streams: StreamImageManager | None = None


def open_storage(settings: Settings) -> Storage:
    """Return the storage of originals. Raises `ConfigError` or `StorageError`; sends no request yet."""
    floor_bytes = settings.floor_bytes
    if settings.STORAGE == "local":
        return StorageFactory.create_backend("local", root=settings.stream_images_dir, floor_bytes=floor_bytes)
    if not settings.S3_BUCKET:
        raise ConfigError("VINYL_VAULT_S3_BUCKET", "a store of kind s3 needs a bucket")
    secret = ""
    if settings.S3_SECRET_KEY_FILE is not None:
        try:
            secret = settings.S3_SECRET_KEY_FILE.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError("VINYL_VAULT_S3_SECRET_KEY_FILE", f"cannot be read: {error.strerror}") from error
    return StorageFactory.create_backend(
        "s3",
        bucket_name=settings.S3_BUCKET,
        aws_access_key=settings.S3_ACCESS_KEY,
        aws_secret_key=secret,
        endpoint=settings.S3_ENDPOINT,
        region=settings.S3_REGION,
        prefix=settings.S3_PREFIX,
    )


def open_streams(
    settings: Settings, catalog: CatalogDatabase | None, decoder: Decoder | None, *, clock: Callable[[], float] = time.time
) -> StreamImageManager:
    """Build the streams, with a shared catalogue and decoder or, without them, their own."""
    global _streams  # noqa: PLW0603  `get_image_manager` is documented to return the same one everywhere
    cache = StreamImageCache(
        settings.stream_cache_dir,
        settings.stream_memory_bytes / MEGABYTE,
        settings.IMAGE_CACHE_TTL_HOURS,
        disk_budget_bytes=int(settings.STREAM_CACHE_SIZE_MB * MEGABYTE),
        floor_bytes=settings.floor_bytes,
        page_budgets=settings.page_budgets,
        clock=clock,
    )
    make_folder(settings.stream_images_dir)
    _streams = StreamImageManager(
        settings.stream_images_dir,
        settings.stream_cache_dir,
        catalog=catalog,
        decoder=decoder,
        storage=open_storage(settings),
        cache=cache,
        limits=UploadLimits(
            settings.max_image_upload_bytes,
            settings.MAX_STREAM_IMAGES_PER_STREAM,
            settings.IMAGE_QUALITY,
            settings.RECIPE,
        ),
        clock=clock,
    )
    return _streams


def get_image_manager() -> StreamImageManager:
    """Return the manager of this process: that of the application if there is one, else one of the settings, built once."""
    if _streams is not None:
        return _streams
    return open_streams(load_settings(), None, None)


def get_stream_image_stats(stream_id: str, page: str = "stream_details") -> dict[str, Any]:
    """Return the figures of a stream, at most half an hour old and newer than the last change."""
    checked_page(page)
    return get_image_manager().cached_stats(stream_id)


def get_cached_image_display(image_id: str, stream_id: str, page: str, viewer: Viewer = ANONYMOUS) -> str | None:
    """Return the URL of the detail of an image if the viewer may see it, else None. Sensitive images are blurred."""
    checked_page(page)
    try:
        _, image = get_image_manager().queries.image(viewer, image_id, stream_id)
    except NotVisible:
        return None
    return image_address(image, "detail-blurred" if image.is_sensitive else "detail")


def image_address(image: StreamImage, size: str) -> str:
    """Return the URL of an image in one of its sizes. The policy is checked again when it is requested."""
    return f"/streams/{image.stream_id}/images/{image.image_id}/{size}"


def forget_image_manager(streams: StreamImageManager) -> None:
    """Stop returning this manager, which was closed, from `get_image_manager`."""
    global _streams  # noqa: PLW0603
    if _streams is streams:
        _streams = None
