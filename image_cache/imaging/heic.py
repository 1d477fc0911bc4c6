"""HEIC photos through pillow-heif, an extra. Runs in the decoder's child only, and is imported there with the first such photo."""

import contextlib
import importlib.util
import resource
from typing import Any

from image_cache.errors import ImageRejected
from image_cache.sandbox.limits import allow_threads

MISSING = "this server cannot read HEIC images. Save it as JPEG and try again, or ask the operator to install the extra heif"


def is_installed() -> bool:
    """Return True if the extra is installed, without importing it."""
    return importlib.util.find_spec("pillow_heif") is not None


def register() -> None:
    """Let Pillow open HEIC photos. Raises `ImageRejected` without the extra."""
    try:
        import pillow_heif
    except ImportError:
        raise ImageRejected(MISSING) from None
    pillow_heif.options.DECODE_THREADS = 0
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def load(image: Any) -> None:
    """Decode the pixels. libde265 needs its own thread for that."""
    is_confined = resource.getrlimit(resource.RLIMIT_NPROC)[0] == 0
    with allow_threads() if is_confined else contextlib.nullcontext():
        image.load()
