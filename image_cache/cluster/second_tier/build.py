"""Builds what the covers of a node share with those of the others, from the settings."""

from collections.abc import Callable, Collection, Mapping

from image_cache.cluster.node_covers import AT_ONCE
from image_cache.cluster.second_tier.shared_variants import SharedVariants
from image_cache.cluster.second_tier.tier import TIMEOUT_S, SecondTier
from image_cache.config import Settings
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import JobQueue
from image_cache.engine.registry import ImageRegistry
from image_cache.imaging.variants import Variant
from image_cache.storage.factory import open_bucket


def open_tier(settings: Settings) -> SecondTier:
    """Return the second tier; sends no request yet. Raises `ConfigError` or `StorageError`."""
    return SecondTier(open_bucket(settings, timeout_s=TIMEOUT_S))


def open_shared_variants(
    settings: Settings,
    cache: Cache,
    registry: ImageRegistry,
    *,
    variants: Mapping[str, Variant],
    base: Collection[str],
    clock: Callable[[], float],
    holder: str,
) -> SharedVariants:
    """Return the variants of all nodes. `base` are those that each fetch renders. Raises `ConfigError` or `StorageError`."""
    tier = open_tier(settings) if settings.SHARED_VARIANTS else None
    return SharedVariants(cache, registry.database, tier, variants=variants, base=base, clock=clock, holder=holder)


def open_node_queue(settings: Settings, cache: Cache) -> JobQueue:
    """Return the queue of this node, in its own index and with its own clock."""
    return JobQueue(cache.index.database, limit=settings.QUEUE_LIMIT, total=AT_ONCE, per_lane=AT_ONCE, clock=cache.clock)
