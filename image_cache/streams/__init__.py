"""Streams: images that owners upload, for those whom they allow."""

from image_cache.streams.cache import StreamImageCache
from image_cache.streams.images import Pictures
from image_cache.streams.manager import Limits, StreamImageManager, narrowed
from image_cache.streams.queries import Card, Listing
from image_cache.streams.uploads import EXTENSIONS, Upload, Uploads
from image_cache.streams.validation import checked_page

__all__ = [
    "EXTENSIONS",
    "Card",
    "Limits",
    "Listing",
    "Pictures",
    "StreamImageCache",
    "StreamImageManager",
    "Upload",
    "Uploads",
    "checked_page",
    "narrowed",
]
