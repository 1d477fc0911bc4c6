"""VinylVault's engine: pictures kept close to the people who look at them.

The documented functions are found here without loading anything before they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_cache.adapters.storage import StorageFactory
    from image_cache.adapters.video import create_thumbnail_from_video
    from image_cache.models import ImageVisibility, StreamImage
    from image_cache.services import close_image_cache, get_image_cache, initialize_image_cache
    from image_cache.stream_services import get_cached_image_display, get_image_manager, get_stream_image_stats
    from image_cache.streams import StreamImageCache, StreamImageManager

__version__ = "0.1.0"
__all__ = [
    "ImageVisibility",
    "StorageFactory",
    "StreamImage",
    "StreamImageCache",
    "StreamImageManager",
    "close_image_cache",
    "create_thumbnail_from_video",
    "get_cached_image_display",
    "get_image_cache",
    "get_image_manager",
    "get_stream_image_stats",
    "initialize_image_cache",
]
_HOMES = {
    "ImageVisibility": "models",
    "StorageFactory": "adapters.storage",
    "StreamImage": "models",
    "StreamImageCache": "streams",
    "StreamImageManager": "streams",
    "create_thumbnail_from_video": "adapters.video",
    "get_cached_image_display": "stream_services",
    "get_image_manager": "stream_services",
    "get_stream_image_stats": "stream_services",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"image_cache.{_HOMES.get(name, 'services')}"), name)
