"""What the parts of the cover cache share: where covers are stored, what is known about them, and the limits in force."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.states import KnownImages
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import JobQueue
from image_cache.engine.key import Key
from image_cache.engine.registry import ImageRecord, ImageRegistry
from image_cache.frozen import frozen
from image_cache.imaging.variants import Variant

AT_A_TIME = 400  # digests per SQL statement

T = TypeVar("T")


@frozen
class CacheLimits:
    """The limits in force. `paused_at` is when an operator paused fetching, None while it continues."""

    budget_bytes: int
    memory_bytes: int  # of the memory tier of a process
    ttl_hours: float
    paused_at: float | None = None


@frozen
class CoverContext:
    """One cover cache. `variants` are by name; `limits` returns those of now; `clock` is the wall clock.

    `node_jobs` is for what this node lacks of images that any node has fetched; None if there is one node.
    """

    cache: Cache
    registry: ImageRegistry
    jobs: JobQueue
    digests: CoverDigests
    variants: Mapping[str, Variant]
    limits: Callable[[], CacheLimits]
    clock: Callable[[], float]
    node_jobs: JobQueue | None = None

    def images(self, digests: Iterable[str]) -> dict[str, ImageRecord]:
        """Return those of the digests that are registered."""
        return {digest: image for part in chunks(digests) for digest, image in self.registry.get_many(part).items()}

    def stored_variants(self, digests: Iterable[str]) -> dict[str, set[str]]:
        """Return which variants are stored, for each of the digests that has any."""
        return {digest: names for part in chunks(digests) for digest, names in self.cache.index.variants_of(part).items()}

    def larger(self, digest: str, variant: str) -> bytes | None:
        """Return the next larger stored variant, None if there is none."""
        edge_px = self.variants[variant].edge_px
        larger = sorted((v for v in self.variants.values() if v.edge_px > edge_px), key=lambda v: v.edge_px)
        return next((body for v in larger if (body := self.cache.read(Key(NAMESPACE, v.name, digest))) is not None), None)

    def is_whole(self, digest: str, variant: str) -> bool:
        """Return True if all of the image is in `detail` and in this other variant."""
        image = self.registry.get(digest) if variant in self.variants and variant != "detail" else None
        edge_px = max(image.width or 0, image.height or 0) if image is not None else 0
        return edge_px > 0 and all(edge_px <= self.variants[name].edge_px for name in ("detail", variant))

    def whole_key(self, digest: str, variant: str) -> Key:
        """Return the key of `detail` if all of the image is in it and in the given variant; else that of the variant itself."""
        return Key(NAMESPACE, "detail" if self.is_whole(digest, variant) else variant, digest)

    def check_size(self, size_type: str) -> None:
        """Raise `ValueError` for what is no name of a variant."""
        if not isinstance(size_type, str) or size_type not in self.variants:
            raise ValueError(f"size_type must be one of {', '.join(self.variants)}, not {size_type!r}")

    def known(self, digests: Collection[str], images: Mapping[str, ImageRecord]) -> KnownImages:
        """Return what is known about the digests, of which `images` are the rows."""
        queues = [self.jobs] if self.node_jobs is None else [self.jobs, self.node_jobs]
        running = {digest: runs for jobs in queues for part in chunks(digests) for digest, runs in jobs.state_of(part).items()}
        return KnownImages(images, self.stored_variants(digests), running, are_shared=self.node_jobs is not None)


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values in lists that one SQL statement takes."""
    rest = iter(values)
    while part := list(islice(rest, AT_A_TIME)):
        yield part
