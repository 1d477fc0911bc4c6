"""Covers: the image of a record, fetched once from its origin and rendered in the sizes that pages show."""

from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.loader import CoverLoader
from image_cache.covers.local_sources import LocalSources
from image_cache.covers.service import ImageCache
from image_cache.covers.stats import CacheStats
from image_cache.engine.jobs import PAGE, VISIBLE, WARM

__all__ = [
    "NAMESPACE",
    "PAGE",
    "VISIBLE",
    "WARM",
    "CacheStats",
    "CoverDigests",
    "CoverLoader",
    "ImageCache",
    "LocalSources",
]
