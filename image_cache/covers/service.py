"""Cover cache: the URL of a cover in, WebP variants out. A viewer's request is answered from the cache or not at all.

A cold cover: a page calls `for_page`, which registers its URL, says what is known and enqueues what is missing. The browser's
request is a miss: the web layer answers with a placeholder, and `request` leaves a job. A worker runs `CoverLoader`.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from image_cache.covers.demand import DemandQueue
from image_cache.covers.digests import NAMESPACE
from image_cache.covers.load_now import load_now
from image_cache.covers.loader import CoverLoader
from image_cache.covers.registration import CoverRegistry
from image_cache.covers.states import cover_of, is_resting
from image_cache.covers.stats import CacheStats, Progress, ProgressEstimator, collect_stats
from image_cache.covers.store import CoverContext
from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance as upkeep
from image_cache.engine.job import LoadRequest
from image_cache.engine.jobs import PAGE, VISIBLE, WARM
from image_cache.engine.key import DIGEST, Key
from image_cache.engine.registry import ImageRecord
from image_cache.errors import QueueFull, UnknownImage
from image_cache.imaging.decoder import Decoder
from image_cache.models import Cover

logger = logging.getLogger(__name__)


class ImageCache:
    """The covers. Thread-safe; only the methods that say so touch the network, and those are not for request threads.

    `loader` is for `get_image` alone; `wake` is called when jobs were enqueued.
    """

    def __init__(
        self, store: CoverContext, loader: CoverLoader, decoder: Decoder, *, wake: Callable[[], None] = lambda: None
    ) -> None:
        self.cache = store.cache
        self.registry = store.registry
        self.jobs = store.jobs
        self.digests = store.digests
        self.shared = store.shared
        self.variants = store.variants
        self.clock = store.clock
        self.wake = wake
        self._store = store
        self._loader = loader
        self._decoder = decoder
        self.urls = CoverRegistry(store)
        self._demand = DemandQueue(store, wake)
        self.is_registered, self.mark_registered = store.is_registered, store.mark_registered
        self._progress = ProgressEstimator(store.registry, store.jobs)

    # What a page needs

    def for_page(
        self, urls: Collection[str | None], *, load: Collection[str | None] | None = None, priority: int = PAGE, also: str = ""
    ) -> dict[str | None, Cover]:
        """Return the cover of each URL on a page; register the new ones and enqueue what is missing or stale.

        Each URL is identified and hashed once, each row read once. `load` are the URLs to enqueue, None all of them; `also` is
        a variant to make that no fetch renders by itself. The page is shown even if the queue is full, the disk takes no more or
        the index cannot be read. None, for a record without a cover, is always among the keys.
        """
        resolved = self.urls.resolve(urls)
        now = self.clock()
        try:
            known = self._store.known(resolved.identities, self.urls.images_for_page(resolved))
        except DatabaseError as error:
            logger.warning("covers not looked up reason=%s", error)
            return {**{url: Cover(digest, "waiting") for url, digest in resolved.digests.items()}, None: Cover("", "none")}
        covers = known.covers(list(resolved.digests.values()), now, unknown="waiting")
        wanted = [resolved.digests[url] for url in (urls if load is None else load) if url]
        self._enqueue(known.loads(wanted, now, also), priority)
        return {**dict(zip(resolved.digests, covers, strict=True)), None: Cover("", "none")}

    def peek(self, urls: Sequence[str | None]) -> list[Cover]:
        """Return what is known about each URL, in order; `none` for None. Registers and enqueues nothing."""
        known = self.urls.resolve(urls).digests
        return self._states([known[url] if url else "" for url in urls], unknown="waiting")

    def digest_of(self, url: str) -> str:
        """Return the digest of a URL, whether it is registered or not."""
        return self.digests.of(url)[1]

    def images_at(self, urls: Sequence[str | None]) -> list[ImageRecord | None]:
        """Return what is known about the image at each URL, in order; None for one that is not registered."""
        known = self.urls.resolve(urls).digests
        images = self._store.images(dict.fromkeys(known.values()))
        return [images.get(known[url]) if url else None for url in urls]

    def register(self, urls: Iterable[str | None]) -> int:
        """Register the URLs that are not known yet, any number of them; returns how many."""
        return self.urls.register(urls)

    def try_register(self, urls: Iterable[str | None]) -> None:
        """Register the URLs of records that are stored already; the pages do it later if the index does not take them now."""
        self.urls.try_register(urls)

    def register_addresses(self, urls: Sequence[str]) -> dict[str, str]:
        """Register URLs that an operator names; returns those that cannot be fetched, with the reason."""
        return self.urls.register_addresses(urls)

    def enqueue_missing(self, urls: Iterable[str | None], priority: int = PAGE) -> int:
        """Enqueue what is missing or stale among registered URLs, unless the queue is full; returns how many jobs are new."""
        try:
            return self.enqueue_digests(list(self.urls.resolve(urls).identities), priority)
        except (QueueFull, DatabaseError) as error:
            logger.warning("covers not queued reason=%s", error)
            return 0

    def enqueue_digests(self, digests: Sequence[str], priority: int = PAGE) -> int:
        """Like `enqueue_missing`, for digests. Unknown ones and those given up are left out. Raises `QueueFull`."""
        return self._demand.enqueue_missing(digests, priority)

    def preload_digests(self, digests: Sequence[str], priority: int = WARM) -> str:
        """Enqueue registered images as one batch; returns its name. Raises `QueueFull`."""
        name = secrets.token_hex(8)
        self._demand.enqueue_missing(digests, priority, batch=name)
        return name

    def preload_missing(self) -> str:
        """Enqueue the images that were never fetched and may be tried now, as many as fit; returns the batch's name."""
        room = max(0, self.jobs.limit - self.jobs.depth())
        return self.preload_digests(self.registry.unfetched(NAMESPACE, self.clock(), room), PAGE)

    def fetch_again(self, urls: Iterable[str]) -> None:
        """Ask the origins of URLs now, whether their images failed or are here already."""
        urls = list(urls)
        self.register(urls)
        digests = [self.digest_of(url) for url in urls]
        with self.registry.database.write() as conn:
            self.registry.clear_failures(conn, digests)
            self.registry.expire(conn, digests)
        self.enqueue_missing(urls, VISIBLE)

    def clear_failures(self, urls: Iterable[str]) -> None:
        """Reset the failures of URLs, so that they are retried now."""
        digests = [self.digest_of(url) for url in urls]
        with self.registry.database.write() as conn:
            self.registry.clear_failures(conn, digests)

    def progress(self) -> Progress | None:
        """Return how far the fetching of covers is, or None when nothing is being fetched."""
        try:
            progress = self._progress.progress()
        except DatabaseError:  # the health check says why
            return None
        return replace(progress, is_paused=self.is_paused()) if progress is not None else None

    def is_paused(self) -> bool:
        """Return True while an operator has paused fetching."""
        return self._store.limits().paused_at is not None

    # What a request for an image needs

    def get(self, digest: str, variant: str, scope: str = "") -> bytes | None:
        """Return the bytes of a variant, or None on a miss. A warm one costs a dictionary lookup: no SQL, no disk."""
        body = self.cache.get(Key(NAMESPACE, variant, digest), scope)
        return body if body is not None else self._smaller(digest, variant)

    def larger(self, digest: str, variant: str) -> bytes | None:
        """Return the next larger stored variant, the placeholder of one that is not made yet; None if there is none."""
        return self._store.larger(digest, variant)

    def get_jpeg(self, digest: str, variant: str, *, wait_s: float | None = None) -> bytes | None:
        """Return a stored variant as JPEG, made once and cached; None if the variant is not stored.

        Raises `DecoderFailed`, or `DecoderBusy` after waiting `wait_s` for other images. No fetch, but a decode: for the few
        browsers that cannot read WebP.
        """
        webp = self.get(digest, variant)
        if webp is None:
            return None
        key = Key(NAMESPACE, f"{variant}.jpg", digest)
        return self.cache.get_or_load(key, lambda: {key: self._decoder.jpeg(webp, wait_s=wait_s)})

    def request(self, digest: str, variant: str) -> Cover:
        """Enqueue a missing cover that a viewer looks at, in front of all others. Returns its state.

        Raises `UnknownImage` for a digest that is not registered: that keeps this from being an open proxy.
        """
        image = self.registry.get(digest)
        if image is None:
            if self.cache.is_adopting:  # the registry is being rebuilt, too: nothing is known yet
                return Cover(digest, "waiting")
            raise UnknownImage(f"no image is registered under {digest}")
        now, is_own = self.clock(), self._demand.is_own(image)
        if is_own or not is_resting(image, now):
            self._demand.request(image, variant)
        return cover_of(image, (), is_running=False, is_elsewhere=is_own, now=now)

    def demote(self, digests: Iterable[str]) -> None:
        """Lower the priority of covers that have scrolled out of view."""
        if known := [digest for digest in digests if DIGEST.fullmatch(digest)]:
            self._demand.demote(known)

    def states(self, digests: Sequence[str]) -> list[Cover]:
        """Return the state of each digest; `none` for one that is not registered."""
        return self._states(digests, unknown="waiting" if self.cache.is_adopting else "none")

    def batch(self, name: str) -> dict[str, int] | None:
        """Return {"total", "done", "failed"} of a preload, or None for an unknown name."""
        queues = (self.jobs, self._store.node_jobs)
        found = [progress for jobs in queues if jobs is not None and (progress := jobs.batch(name)) is not None]
        return dict(zip(("total", "done", "failed"), map(sum, zip(*found, strict=True)), strict=True)) if found else None

    # The documented methods, for scripts and tests

    def get_image(self, url: str | None, size_type: str = "thumbnails") -> str | None:
        """Return the path of the cached image, fetching it first when it is missing; None when it is unavailable, or without a URL.

        Synchronous: may take as long as a fetch. Registers the URL. The file was compared with its checksum. Raises `ValueError`
        for an unknown size.
        """
        self._store.check_size(size_type)
        if not url:
            return None
        self.register([url])
        if (path := self._path(self.digest_of(url), size_type)) is None:
            load_now(self._store, self._loader, self.digest_of(url), size_type)
            path = self._path(self.digest_of(url), size_type)  # a changed image has a new digest
        return path

    def preload_images(
        self, urls: Sequence[str], progress_callback: Callable[[int, int, str], None] | None = None
    ) -> dict[str, bool]:
        """Fetch what is missing of the URLs; returns for each whether it is cached at the end. Synchronous, registers them.

        `progress_callback(done, total, url)` is called after each.
        """
        results: dict[str, bool] = {}
        for number, url in enumerate(urls, 1):
            results[url] = self.get_image(url) is not None
            if progress_callback is not None:
                progress_callback(number, len(urls), url)
        return results

    def preload(self, urls: Iterable[str], priority: int = WARM) -> str:
        """Load URLs in the background; returns the name of the batch, whose progress `batch` returns. Raises `QueueFull`."""
        urls = [url for url in urls if url]
        self.register(urls)
        return self.preload_digests([self.digest_of(url) for url in urls], priority)

    def get_cache_stats(self) -> CacheStats:
        """Return the current figures. Kept totals only: as fast with a million entries as with ten."""
        return collect_stats(self.cache, self.jobs, self._store.limits().ttl_hours)

    def cleanup_cache(self, max_age_days: float = 30) -> int:
        """Remove the entries that were not used for this many days; returns how many. Raises `ValueError` for a negative number."""
        if not max_age_days >= 0:
            raise ValueError(f"max_age_days must be 0 or more, not {max_age_days!r}")
        removed = self.cache.evict(unused_since=self.clock() - max_age_days * 86400)
        with self.cache.index.database.write() as conn:
            self.cache.index.set_meta(conn, "last_cleanup_at", int(self.clock()))
        return removed

    def clear(self, size_type: str | None = None) -> int:
        """Remove every entry, or those of one variant; returns how many. A full clear gives every cover a new digest.

        Raises `ValueError` for an unknown size.
        """
        if size_type is not None:
            self._store.check_size(size_type)
            return upkeep.clear_variant(self.cache, size_type)
        self._store.clear()
        self.digests.publish()
        self._demand.forget_recent()
        return upkeep.clear(self.cache)

    def clear_scope(self, scope: str) -> int:
        """Drop from memory what was held for one page; returns how many. Nothing is removed from the disk."""
        return self.cache.memory.clear_scope(scope)

    def free_space(self) -> tuple[int, int]:
        """Return how many bytes may still be written where the covers are, and how many have to stay free."""
        return self.cache.disk.free_bytes(), self.cache.disk.floor_bytes

    def close(self) -> None:
        """Write what is only in memory. Does not end threads: they belong to the pool."""
        try:
            self.cache.flush(is_last=True)
        except DatabaseError as error:
            logger.warning("counters lost reason=%s", error)

    def _path(self, digest: str, variant: str) -> str | None:
        """Return the path of a stored variant whose file is intact, else None. Counts as a use."""
        if self.get(digest, variant) is None:
            return None
        # An image smaller than the size requested is stored once, under the size that it fills.
        keys = dict.fromkeys((Key(NAMESPACE, variant, digest), self._store.whole_key(digest, variant)))
        return next((str(self.cache.disk.root / key.path) for key in keys if self.cache.check(key)), None)

    def _states(self, digests: Sequence[str], *, unknown: str) -> list[Cover]:
        valid = [digest if DIGEST.fullmatch(digest) else "" for digest in digests]
        asked = [digest for digest in dict.fromkeys(valid) if digest]
        try:
            known = self._store.known(asked, self._store.images(asked))
            self._demand.follow(known, self.clock())
            return known.covers(valid, self.clock(), unknown=unknown)
        except DatabaseError as error:
            logger.warning("covers not looked up reason=%s", error)
            return [Cover(digest, "waiting" if digest else "none") for digest in valid]

    def _enqueue(self, requests: Sequence[LoadRequest], priority: int) -> None:
        try:
            self._demand.enqueue(requests, priority)
        except (QueueFull, DatabaseError) as error:
            logger.warning("covers not queued reason=%s", error)

    def _smaller(self, digest: str, variant: str) -> bytes | None:
        """For a variant larger than the image itself: return the smallest one that holds all of it, cached under this name, too."""
        try:
            whole = self._store.whole_key(digest, variant)
        except DatabaseError:  # the index is away
            return None
        if whole.variant != variant and (body := self.cache.get(whole)) is not None:
            self.cache.memory.put(Key(NAMESPACE, variant, digest), body)
            return body
        return None
