"""Remote covers: an address in, WebP variants out. What a viewer asks for is answered from the cache or not at all.

Order of a cold cover: a page `remember`s its address, draws itself with what `look` says, and `want`s what is missing; the
browser's request is a miss, answered by the web layer with a placeholder, and `ask` leaves a job; a worker runs `CoverLoader`.
"""

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.loader import CoverLoader
from image_cache.covers.registration import (
    AT_A_TIME,
    CoverRegistry,
    DemandQueue,
    chunks,
    cover,
    is_given_up,
    is_resting,
    wants_of,
)
from image_cache.covers.stats import CacheStats, ProgressEstimator, collect_stats
from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance as upkeep
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import PAGE, VISIBLE, WARM, Job, JobQueue, LoadRequest
from image_cache.engine.key import DIGEST, Key
from image_cache.engine.registry import ImageRegistry
from image_cache.engine.stats.miss_ratio import forget_uses
from image_cache.errors import QueueFull, UnknownImage
from image_cache.imaging.variants import Variant
from image_cache.models import Cover, Progress

logger = logging.getLogger(__name__)

WAIT_FOR_OTHERS_S = 60.0  # how long a synchronous caller waits for somebody else's fetch of the same cover,
LOOK_AGAIN_S = 0.05  # looking so often whether it is over


class ImageCache:
    """The covers. Thread-safe; only the methods that say so touch the network, and those are not for request threads."""

    def __init__(
        self,
        *,
        cache: Cache,
        register: ImageRegistry,
        jobs: JobQueue,
        names: CoverDigests,
        loader: CoverLoader,
        variants: Sequence[Variant],
        ttl_hours: float = 24.0,
        wake: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cache = cache
        self.registry = register
        self.jobs = jobs
        self.names = names
        self.loader = loader
        self.variants: Mapping[str, Variant] = {v.name: v for v in variants}
        self.ttl_hours = ttl_hours
        self.clock = clock
        self.wake = wake  # wakes the workers
        self._intake = CoverRegistry(cache, register, names)
        self._wishes = DemandQueue(jobs)
        self._pace = ProgressEstimator(register, jobs)

    # What a page needs

    def register(self, urls: Iterable[str | None]) -> int:
        """Register the addresses that are not known yet; returns how many. Two reads, and one transaction only when there are any."""
        return self._intake.register(urls)

    def register_all(self, urls: Iterable[str]) -> int:
        """Register any number of addresses, a few hundred at a time; returns how many were new."""
        rest = iter(urls)
        added = 0
        while part := list(islice(rest, AT_A_TIME)):
            added += self.register(part)
        return added

    def failing(self, urls: Iterable[str]) -> set[str]:
        """Return those of the addresses that are a new way to a picture which its origin refused under the known one. Reads only."""
        return self._intake.failing(urls)

    def retry_with_url(self, urls: Collection[str]) -> None:
        """Try pictures that failed at the addresses that `failing` returned."""
        if urls:
            self._intake.retry_with_url(urls)
            self.wake()

    def register_addresses(self, urls: Sequence[str]) -> dict[str, str]:
        """Register addresses that an operator names; returns those that cannot be fetched from, with the reason."""
        return self._intake.registry(urls)

    def preload_digests(self, digests: Sequence[str], priority: int = WARM) -> str:
        """Queue registered images as one batch; returns its name. Raises `QueueFull`."""
        name = secrets.token_hex(8)
        self.enqueue_digests(digests, priority, batch=name)
        return name

    def peek(self, urls: Sequence[str | None]) -> list[Cover]:
        """Return what is known about each address, in order; `none` for None. A handful of reads, no writes."""
        self.names.refresh()
        digests = [self.names.of(url)[1] if url else "" for url in urls]
        return self._covers(digests, unknown="waiting")

    def enqueue_missing(self, urls: Iterable[str | None], priority: int = PAGE) -> int:
        """Queue what is missing or stale among known addresses; returns how many jobs are new.

        For pages, which are shown all the same when the queue is full or the disk takes no more.
        """
        try:
            return self.enqueue_digests([self.names.of(url)[1] for url in urls if url], priority)
        except (QueueFull, DatabaseError) as error:
            logger.warning("covers not queued reason=%s", error)
            return 0

    def enqueue_digests(self, digests: Sequence[str], priority: int = PAGE, *, batch: str = "") -> int:
        """Like `want`, for digests. Unknown ones and those given up are passed over. Raises `QueueFull`."""
        now, wishes = self.clock(), []
        for part in chunks(digests):
            images, stored = self.registry.get_many(part), self.cache.index.variants_of(part)
            for digest in part:
                image = images.get(digest)
                if image is None or is_resting(image, now):
                    continue
                if self.loader.missing(stored.get(digest, ())) or self.loader.is_stale(image):
                    wishes.append(LoadRequest(digest, image.lane))
        if not wishes and not batch:
            return 0
        added = self.jobs.put(wishes, priority, batch=batch)
        self.wake()
        return added

    def clear_failures(self, urls: Iterable[str]) -> None:
        """Forget that addresses failed, because somebody wants them tried again now."""
        digests = [self.names.of(url)[1] for url in urls]
        with self.cache.index.database.write() as conn:
            self.registry.clear_failures(conn, digests)

    def progress(self) -> Progress | None:
        """Return how far the fetching of covers is, or None when nothing is being fetched."""
        progress = self._pace.progress()
        return replace(progress, is_paused=True) if progress is not None and self.loader.is_paused() else progress

    def preload_missing(self) -> str:
        """Queue the images that were never fetched and may be tried now, as many as there is room for; returns the batch's name."""
        room = max(0, self.jobs.limit - self.jobs.depth())
        return self.preload_digests(self.registry.unfetched(NAMESPACE, self.clock(), room), PAGE)

    # What a request for a picture needs

    def get(self, digest: str, variant: str, scope: str = "") -> bytes | None:
        """Return the picture's bytes, or None on a miss. A warm one costs a dictionary lookup: no SQL, no disk."""
        body = self.cache.get(Key(NAMESPACE, variant, digest), scope)
        return body if body is not None else self._smaller(digest, variant)

    def get_jpeg(self, digest: str, variant: str) -> bytes | None:
        """Return a stored picture as JPEG, made once and kept; None when the picture is not here.

        Raises `DecoderFailed`. No fetch, but a decode: for the few browsers that cannot read WebP.
        """
        webp = self.get(digest, variant)
        if webp is None:
            return None
        key = Key(NAMESPACE, f"{variant}.jpg", digest)
        return self.cache.get_or_load(key, lambda: {key: self.loader.jpeg_of(webp)})

    def request(self, digest: str, variant: str) -> Cover:
        """Somebody looks at a cover that is not here: leave a job in front of all others. Returns its state.

        Raises `UnknownImage` for a digest that nobody registered: that is what keeps this from being an open proxy.
        """
        image = self.registry.get(digest)
        if image is None:
            if self.cache.is_adopting:  # the register is being rebuilt too: nobody can tell yet
                return Cover(digest, "waiting")
            raise UnknownImage(f"no image is registered under {digest}")
        now = self.clock()
        if is_given_up(image, now):
            return cover(image, "failed")
        if not is_resting(image, now) and self._wishes.request(image, variant):
            self.wake()
        return cover(image, "waiting")

    def demote(self, digests: Iterable[str]) -> None:
        """What was visible scrolled away: visible ones of others go first."""
        digests = [digest for digest in digests if DIGEST.fullmatch(digest)]
        if not digests:
            return
        self._wishes.forget_recent(digests, self.variants)
        self.jobs.demote(digests)

    def states(self, digests: Sequence[str]) -> list[Cover]:
        """Return the state of each digest; `none` for one that is not registered."""
        return self._covers(digests, unknown="waiting" if self.cache.is_adopting else "none")

    # The documented methods, for scripts and tests

    def get_image(self, url: str, size_type: str = "thumbnails") -> str | None:
        """Return the path of the cached picture, fetching it first when it is missing; None when there is none to be had.

        Synchronous: may take as long as a fetch. Registers the address.
        """
        self.variants[size_type]  # a KeyError names an unknown size before anything is fetched
        self.register([url])
        digest = self.names.of(url)[1]
        if self.get(digest, size_type) is None:
            self._load_now(digest, size_type)
            digest = self.names.of(url)[1]  # a changed picture has a new one
            if self.get(digest, size_type) is None:
                return None
        path = self.cache.disk.root / Key(NAMESPACE, size_type, digest).path
        # A picture smaller than the size asked for is kept once, under the size that it fills.
        return str(path if path.exists() else self.cache.disk.root / self._whole(digest, size_type).path)

    def preload_images(
        self, urls: Sequence[str], progress_callback: Callable[[int, int, str], None] | None = None
    ) -> dict[str, bool]:
        """Fetch all that is missing of the addresses; returns which are here at the end. Synchronous, registers them.

        `progress_callback(done, total, url)` is called after each.
        """
        results: dict[str, bool] = {}
        for number, url in enumerate(urls, 1):
            results[url] = self.get_image(url) is not None
            if progress_callback is not None:
                progress_callback(number, len(urls), url)
        return results

    def preload(self, urls: Iterable[str], priority: int = WARM) -> str:
        """Queue addresses in the background; returns the name of the batch, whose progress `batch` tells. Raises `QueueFull`."""
        urls = list(urls)
        self.register(urls)
        return self.preload_digests([self.names.of(url)[1] for url in urls], priority)

    def batch(self, name: str) -> dict[str, int] | None:
        """Return {"total", "done", "failed"} of a preload, or None for an unknown name."""
        found = self.jobs.batch(name)
        return None if found is None else dict(zip(("total", "done", "failed"), found, strict=True))

    def get_cache_stats(self) -> CacheStats:
        """Return the numbers of the moment. Kept totals only: as fast with a million entries as with ten."""
        return collect_stats(self.cache, self.jobs, self.ttl_hours)

    def cleanup_cache(self, max_age_days: float = 30) -> int:
        """Remove the entries that nobody looked at for so many days; returns how many."""
        removed = self.cache.evict(unused_since=self.clock() - max_age_days * 86400)
        with self.cache.index.database.write() as conn:
            self.cache.index.set_meta(conn, "last_cleanup_at", int(self.clock()))
        return removed

    def clear(self, size_type: str | None = None) -> int:
        """Remove every entry, or those of one variant; returns how many. A full clear gives every cover a new address."""
        if size_type is not None:
            self.variants[size_type]
            return upkeep.clear_variant(self.cache, size_type)
        with self.cache.index.database.write() as conn:
            self.registry.clear(conn, NAMESPACE)
            self.jobs.clear(conn)
            forget_uses(conn)  # every cover has another digest from now on
            self.names.next_generation(conn)
            self.cache.index.set_meta(conn, "registered_at", 0)  # the housekeeper registers what the catalogue knows anew
        self.names.publish()
        self._wishes.forget()
        return upkeep.clear(self.cache)

    def close(self) -> None:
        """Write what is only in memory. Does not end threads: they belong to the pool."""
        try:
            self.cache.flush(is_last=True)
        except DatabaseError as error:
            logger.warning("counters lost reason=%s", error)

    def _covers(self, digests: Sequence[str], *, unknown: str) -> list[Cover]:
        found: dict[str, Cover] = {}
        now = self.clock()
        for part in chunks([d for d in digests if DIGEST.fullmatch(d)]):
            images = self.registry.get_many(part)
            stored, jobs = self.cache.index.variants_of(part), self.jobs.state_of(part)
            for digest in part:
                image, is_ready = images.get(digest), "thumbnails" in stored.get(digest, ())
                if image is None:
                    found[digest] = Cover(digest, "ready" if is_ready else unknown)
                elif is_ready:
                    found[digest] = cover(image, "ready")
                elif jobs.get(digest):
                    found[digest] = cover(image, "working")
                else:
                    found[digest] = cover(image, "failed" if is_given_up(image, now) else "waiting")
        return [found.get(digest, Cover(digest, "none")) for digest in digests]

    def _smaller(self, digest: str, variant: str) -> bytes | None:
        """For a variant larger than the picture itself: the smallest one that holds all of it, kept in memory under this name too."""
        whole = self._whole(digest, variant)
        body = None if whole.variant == variant else self.cache.get(whole)
        if body is not None:
            self.cache.memory.put(Key(NAMESPACE, variant, digest), body)
        return body

    def _whole(self, digest: str, variant: str) -> Key:
        """Return the key of the smallest variant that shows no less than the asked one: itself, unless the picture is small."""
        image = self.registry.get(digest) if variant.endswith("-2x") else None
        edge_px = max(image.width or 0, image.height or 0) if image is not None else 0
        if not edge_px or variant not in self.variants:
            return Key(NAMESPACE, variant, digest)
        name = variant.removesuffix("-2x")
        return Key(NAMESPACE, name if edge_px <= self.variants[name].edge_px else variant, digest)

    def _load_now(self, digest: str, variant: str) -> None:
        deadline = time.monotonic() + WAIT_FOR_OTHERS_S
        while True:
            image = self.registry.get(digest)
            if image is None or is_resting(image, self.clock()):
                return
            if self.jobs.claim_one(digest):
                break
            if time.monotonic() > deadline:
                return
            time.sleep(LOOK_AGAIN_S)
            self.jobs.release_dead()
        self.loader.run(Job(digest, wants_of(variant), VISIBLE, image.lane, 1))
