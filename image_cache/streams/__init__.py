"""Streams: images that owners upload, for those whom they allow."""

from image_cache.streams.cache import StreamImageCache
from image_cache.streams.listing import Card, Listing
from image_cache.streams.manager import Limits, StreamImageManager, narrowed
from image_cache.streams.pictures import Pictures
from image_cache.streams.texts import checked_page
from image_cache.streams.uploads import EXTENSIONS, Upload, Uploads

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
