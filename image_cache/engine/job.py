"""What goes into a job queue and comes out of it."""

from image_cache.frozen import frozen


@frozen
class Job:
    """A claimed job. `variants` are those beyond the base variants; `leased_until` tells this claim from any later one."""

    digest: str
    variants: tuple[str, ...]
    priority: int
    lane: str
    attempts: int
    leased_until: float


@frozen
class Batch:
    """A preload and its progress."""

    name: str
    total: int
    done: int
    failed: int
    started_at: float


@frozen
class QueuedJob:
    """A job in the queue. `ahead` counts the jobs that are claimed before it."""

    priority: int
    leased_until: float
    ahead: int


@frozen
class LoadRequest:
    """A load to enqueue: the image's digest, its host queue, and variants beyond the base variants."""

    digest: str
    lane: str
    variants: tuple[str, ...] = ()
