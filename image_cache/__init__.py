"""VinylVault's engine: pictures kept close to the people who look at them.

The documented functions are found here without loading anything before they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_cache.files.manager import (
        ImageCacheManager,
        clear_cache,
        get_cache_manager,
        get_cache_stats,
        get_cached_file,
    )
    from image_cache.services import close_image_cache, get_image_cache, initialize_image_cache
    from image_cache.web.controls import show_cache_controls

__version__ = "0.1.0"
__all__ = [
    "ImageCacheManager",
    "clear_cache",
    "close_image_cache",
    "get_cache_manager",
    "get_cache_stats",
    "get_cached_file",
    "get_image_cache",
    "initialize_image_cache",
    "show_cache_controls",
]
_FILES = frozenset({"ImageCacheManager", "clear_cache", "get_cache_manager", "get_cache_stats", "get_cached_file"})


def __getattr__(name: str) -> Any:
    if name in _FILES:
        from image_cache.files import manager

        return getattr(manager, name)
    if name == "show_cache_controls":
        from image_cache.web import controls

        return controls.show_cache_controls
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from image_cache import services

    return getattr(services, name)
