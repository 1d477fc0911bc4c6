"""Builds the streams from the settings, and has the documented functions about them. Knows no Flask."""

import time
from collections.abc import Callable
from typing import Any

from image_cache.config import Settings, load_settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import NotVisible
from image_cache.imaging.decoder import Decoder
from image_cache.models import ANONYMOUS, StreamImage, Viewer
from image_cache.streams import StreamImageManager, checked_page
from image_cache.streams.cache import StreamImageCache

_streams: StreamImageManager | None = None


def open_streams(
    settings: Settings,
    catalog: CatalogDatabase | None,
    decoder: Decoder | None,
    *,
    clock: Callable[[], float] = time.time,
    cache_clock: Callable[[], float] | None = None,
) -> StreamImageManager:
    """Build the streams, with a shared catalogue and decoder or, without them, their own. `cache_clock` is that of files, if it is another one."""
    global _streams  # noqa: PLW0603  `get_image_manager` is documented to return the same one everywhere
    cache = None if cache_clock is None else StreamImageCache(settings=settings, clock=cache_clock)
    _streams = StreamImageManager(settings=settings, catalog=catalog, decoder=decoder, cache=cache, clock=clock)
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
