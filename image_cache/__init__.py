"""VinylVault: the documented names for scripts, each imported on first use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_cache.covers.build import close_image_cache, get_image_cache, initialize_image_cache
    from image_cache.files.manager import ImageCacheManager, clear_cache, get_cache_manager, get_cache_stats, get_cached_file
    from image_cache.imaging.video.frames import create_thumbnail_from_video
    from image_cache.models import ImageVisibility, StreamImage
    from image_cache.storage.factory import StorageFactory
    from image_cache.streams import StreamImageCache, StreamImageManager
    from image_cache.streams.build import get_cached_image_display, get_image_manager, get_stream_image_stats
    from image_cache.web.files.controls import show_cache_controls

__version__: str  # of pyproject.toml
__all__ = [
    "ImageCacheManager",
    "ImageVisibility",
    "StorageFactory",
    "StreamImage",
    "StreamImageCache",
    "StreamImageManager",
    "clear_cache",
    "close_image_cache",
    "create_thumbnail_from_video",
    "get_cache_manager",
    "get_cache_stats",
    "get_cached_file",
    "get_cached_image_display",
    "get_image_cache",
    "get_image_manager",
    "get_stream_image_stats",
    "initialize_image_cache",
    "show_cache_controls",
]
_HOMES = {
    "ImageCacheManager": "files.manager",
    "ImageVisibility": "models",
    "StorageFactory": "storage.factory",
    "StreamImage": "models",
    "StreamImageCache": "streams",
    "StreamImageManager": "streams",
    "clear_cache": "files.manager",
    "create_thumbnail_from_video": "imaging.video.frames",
    "get_cache_manager": "files.manager",
    "get_cache_stats": "files.manager",
    "get_cached_file": "files.manager",
    "get_cached_image_display": "streams.build",
    "get_image_manager": "streams.build",
    "get_stream_image_stats": "streams.build",
    "show_cache_controls": "web.files.controls",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from image_cache.resources import version

        return version()
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"image_cache.{_HOMES.get(name, 'covers.build')}"), name)
