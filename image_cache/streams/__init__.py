"""Streams: shared sets of images that owners upload, each with an audience."""

from image_cache.streams.cache import StreamImageCache
from image_cache.streams.changes.trash import TRASH_DAYS, BatchResult, StreamTrash
from image_cache.streams.changes.trash_table import TrashedImage, TrashedStream
from image_cache.streams.images import StreamImages
from image_cache.streams.manager import StreamImageManager
from image_cache.streams.queries import StreamCard, StreamQueries, without_edit_rights
from image_cache.streams.render_queue import RenderJob
from image_cache.streams.share.members import StreamMembers
from image_cache.streams.share.shares import OpenShare, StreamShares
from image_cache.streams.upload.uploads import EXTENSIONS, Upload, UploadLimits, Uploads
from image_cache.streams.upload.validation import checked_page

__all__ = [
    "EXTENSIONS",
    "TRASH_DAYS",
    "BatchResult",
    "OpenShare",
    "RenderJob",
    "StreamCard",
    "StreamImageCache",
    "StreamImageManager",
    "StreamImages",
    "StreamMembers",
    "StreamQueries",
    "StreamShares",
    "StreamTrash",
    "TrashedImage",
    "TrashedStream",
    "Upload",
    "UploadLimits",
    "Uploads",
    "checked_page",
    "without_edit_rights",
]
