"""Streams: images that owners upload, for those whom they allow."""

from image_cache.streams.cache import StreamImageCache
from image_cache.streams.images import StreamImages
from image_cache.streams.manager import StreamImageManager, UploadLimits, narrowed
from image_cache.streams.queries import StreamCard, StreamQueries
from image_cache.streams.uploads import EXTENSIONS, Upload, Uploads
from image_cache.streams.validation import checked_page

__all__ = [
    "EXTENSIONS",
    "StreamCard",
    "StreamImageCache",
    "StreamImageManager",
    "StreamImages",
    "StreamQueries",
    "Upload",
    "UploadLimits",
    "Uploads",
    "checked_page",
    "narrowed",
]
