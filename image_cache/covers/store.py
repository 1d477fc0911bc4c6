"""What the parts of the cover cache share: where covers are stored, what is known about them, and the limits in force."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.states import KnownImages
from image_cache.db.database import Connection
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import JobQueue
from image_cache.engine.key import Key
from image_cache.engine.meta import read_meta, write_meta
from image_cache.engine.registry import ImageRecord, ImageRegistry
from image_cache.engine.stats.miss_ratio import reset_uses
from image_cache.frozen import frozen
from image_cache.imaging.variants import Variant

if TYPE_CHECKING:
    from image_cache.cluster.second_tier.shared_variants import SharedVariants

AT_A_TIME = 400  # digests per SQL statement
REGISTERED_AT = "registered_at"  # in `meta` of the register

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

    With many nodes `shared` has what they have rendered, and `node_jobs` is for what this node lacks of it.
    """

    cache: Cache
    registry: ImageRegistry
    jobs: JobQueue
    digests: CoverDigests
    variants: Mapping[str, Variant]
    limits: Callable[[], CacheLimits]
    clock: Callable[[], float]
    shared: "SharedVariants | None" = None
    node_jobs: JobQueue | None = None

    def take(self, image: ImageRecord, stored: set[str], wants: Collection[str]) -> set[str]:
        """Bring what is missing here and another node has rendered; return what is stored here then."""
        return stored if self.shared is None else self.shared.take(image, stored, wants)

    def put(self, image: ImageRecord, bodies: Mapping[Key, bytes], record: Callable[[Connection], None]) -> None:
        """Store variants and record their image: in one transaction, or, with many nodes, for all of them and then here.

        Raises `StorageError` or `DatabaseError`.
        """
        if self.shared is None:
            self.cache.put(bodies, record)
        else:
            self.shared.publish(image, bodies, record)

    def clear(self) -> None:
        """Empty the register and the queue, and give every cover a new digest. Call `digests.publish` after it."""
        with self.registry.database.write() as conn:
            self.registry.clear(conn, NAMESPACE)
            self.jobs.clear(conn)
            if self.registry.database is self.cache.index.database:
                reset_uses(conn)  # every cover has another digest from now on
            self.digests.next_generation(conn)
            write_meta(conn, REGISTERED_AT, 0)  # housekeeping registers the covers of the catalogue again
        if self.registry.database is not self.cache.index.database:
            with self.cache.index.database.write() as conn:
                reset_uses(conn)

    def is_registered(self) -> bool:
        """Return True if the covers of the catalogue are in the register, as far as they were known since it was made or cleared."""
        return bool(read_meta(self.registry.database, REGISTERED_AT))

    def mark_registered(self) -> None:
        with self.registry.database.write() as conn:
            write_meta(conn, REGISTERED_AT, max(1, int(self.clock())))

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
