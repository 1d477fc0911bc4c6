"""VinylVault's engine: pictures kept close to the people who look at them.

The documented functions are found here without loading anything before they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_cache.services import close_image_cache, get_image_cache, initialize_image_cache

__version__ = "0.1.0"
__all__ = ["close_image_cache", "get_image_cache", "initialize_image_cache"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from image_cache import services

    return getattr(services, name)
