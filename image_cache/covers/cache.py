"""Remote covers: an address in, WebP variants out. What a viewer asks for is answered from the cache or not at all.

Order of a cold cover: a page `remember`s its address, draws itself with what `look` says, and `want`s what is missing; the
browser's request is a miss, answered by the web layer with a placeholder, and `ask` leaves a job; a worker runs `CoverLoader`.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from image_cache.adapters.address import lane, parse_url
from image_cache.adapters.identity import Identity, identify
from image_cache.adapters.variants import Variant
from image_cache.covers.loader import CoverLoader
from image_cache.covers.names import NAMESPACE, Names
from image_cache.covers.stats import CacheStats
from image_cache.database import DatabaseError
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import PAGE, VISIBLE, WARM, Job, JobQueue, Wish
from image_cache.engine.key import DIGEST, Key
from image_cache.engine.register import Image, Register
from image_cache.errors import OriginDenied, QueueFull, UnknownImage
from image_cache.models import Cover, Progress

logger = logging.getLogger(__name__)

WISH_LASTS_S = 5.0  # a wish is not written again within this time: 200 viewers of one cold cover are one row
WISHES_KEPT = 4096
AT_A_TIME = 400  # digests per SQL statement
WAIT_FOR_OTHERS_S = 60.0  # how long a synchronous caller waits for somebody else's fetch of the same cover


class ImageCache:
    """The covers. Thread-safe; only the methods that say so touch the network, and those are not for request threads."""

    def __init__(
        self,
        *,
        cache: Cache,
        register: Register,
        jobs: JobQueue,
        names: Names,
        loader: CoverLoader,
        variants: Sequence[Variant],
        ttl_hours: float = 24.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cache = cache
        self.register = register
        self.jobs = jobs
        self.names = names
        self.loader = loader
        self.variants: Mapping[str, Variant] = {v.name: v for v in variants}
        self.ttl_hours = ttl_hours
        self.clock = clock
        self.wake: Callable[[], None] = lambda: None  # rings the workers; set by whoever has some
        self._wished: dict[tuple[str, str], float] = {}  # (digest, variant) -> monotonic time; only ever a hint, so unlocked
        self._pace: list[tuple[float, int]] = []  # (monotonic time, covers done) while a collection fills

    # What a page needs

    def remember(self, urls: Iterable[str | None]) -> int:
        """Register the addresses that are not known yet; returns how many. One read, and one transaction only when there are any."""
        found = {digest: identity for identity, digest in (self.names.of(url) for url in urls if url)}
        new: list[Image] = []
        for part in _parts(list(found)):
            known = self.register.get_many(part)
            for digest in part:
                identity, image = found[digest], known.get(digest)
                if image is None or self._is_better(identity, image):
                    new.append(
                        Image(
                            digest,
                            NAMESPACE,
                            identity.name,
                            identity.url,
                            lane(identity.url),
                            self.names.revision(identity.name),
                        )
                    )
        if new:
            with self.cache.index.database.write() as conn:
                self.register.add(conn, new)
        return len(new)

    def remember_all(self, urls: Iterable[str]) -> int:
        """Register any number of addresses, a few hundred at a time; returns how many were new."""
        rest = iter(urls)
        added = 0
        while part := list(islice(rest, AT_A_TIME)):
            added += self.remember(part)
        return added

    def register_addresses(self, urls: Sequence[str]) -> dict[str, str]:
        """Register addresses that an operator names; returns those that cannot be fetched from, with the reason."""
        refused: dict[str, str] = {}
        for url in urls:
            try:
                parse_url(url)
            except OriginDenied as error:
                refused[url] = error.reason
        self.remember(url for url in urls if url not in refused)
        return refused

    def preload_digests(self, digests: Sequence[str], priority: int = WARM) -> str:
        """Queue registered images as one batch; returns its name. Raises `QueueFull`."""
        name = secrets.token_hex(8)
        self.want_digests(digests, priority, batch=name)
        return name

    def look(self, urls: Sequence[str | None]) -> list[Cover]:
        """Return what is known about each address, in order; `none` for None. A handful of reads, no writes."""
        self.names.refresh()
        digests = [self.names.of(url)[1] if url else "" for url in urls]
        return self._covers(digests)

    def want(self, urls: Iterable[str | None], priority: int = PAGE) -> int:
        """Queue what is missing or stale among known addresses; returns how many jobs are new."""
        digests = [self.names.of(url)[1] for url in urls if url]
        return self.want_digests(digests, priority)

    def want_digests(self, digests: Sequence[str], priority: int = PAGE, *, batch: str = "") -> int:
        """Like `want`, for digests. Unknown ones and those given up are passed over. Raises `QueueFull`."""
        now, wishes = self.clock(), []
        for part in _parts(digests):
            images, stored = self.register.get_many(part), self.cache.index.variants_of(part)
            for digest in part:
                image = images.get(digest)
                if image is None or _is_given_up(image, now) or (image.failures and image.retry_at > now):
                    continue
                if self.loader.missing(stored.get(digest, ())) or self.loader.is_stale(image):
                    wishes.append(Wish(digest, image.lane))
        if not wishes and not batch:
            return 0
        added = self.jobs.put(wishes, priority, batch=batch)
        self.wake()
        return added

    def progress(self) -> Progress | None:
        """Return how far the fetching of covers is, or None when nothing is being fetched."""
        if not self.jobs.depth():
            self._pace.clear()
            return None
        total, fetched, given_up = self.register.summary(NAMESPACE)
        done = fetched + given_up
        if done >= total:
            return None
        now = time.monotonic()
        self._pace = [*[(t, n) for t, n in self._pace if now - t < 60][-200:], (now, done)]
        first_at, first_done = self._pace[0]
        eta_s = (total - done) * (now - first_at) / (done - first_done) if done > first_done and now - first_at > 1 else None
        return Progress(total, done, self.jobs.running(), given_up, eta_s)

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

    def ask(self, digest: str, variant: str) -> Cover:
        """Somebody looks at a cover that is not here: leave a job in front of all others. Returns its state.

        Raises `UnknownImage` for a digest that nobody registered: that is what keeps this from being an open proxy.
        """
        image = self.register.get(digest)
        if image is None:
            raise UnknownImage(f"no image is registered under {digest}")
        now = self.clock()
        if _is_given_up(image, now):
            return _cover(image, "failed")
        if not (image.failures and image.retry_at > now):
            self._wish(image, variant)
        return _cover(image, "waiting")

    def demote(self, digests: Iterable[str]) -> None:
        """What was visible scrolled away: visible ones of others go first."""
        digests = list(digests)
        for digest in digests:
            for variant in self.variants:
                self._wished.pop((digest, variant), None)
        self.jobs.demote(digests)

    def states(self, digests: Sequence[str]) -> list[Cover]:
        """Return the state of each digest; `none` for one that is not registered."""
        self.names.refresh()
        return self._covers(digests, unknown="none")

    # The documented methods, for scripts and tests

    def get_image(self, url: str, size_type: str = "thumbnails") -> str | None:
        """Return the path of the cached picture, fetching it first when it is missing; None when there is none to be had.

        Synchronous: may take as long as a fetch. Registers the address.
        """
        self.variants[size_type]  # a KeyError names an unknown size before anything is fetched
        self.remember([url])
        key = Key(NAMESPACE, size_type, self.names.of(url)[1])
        if self.cache.get(key) is None:
            self._load_now(key.digest, size_type)
            key = Key(NAMESPACE, size_type, self.names.of(url)[1])  # a changed picture has a new digest
        return str(self.cache.disk.root / key.path) if self.get(key.digest, size_type) is not None else None

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
        self.remember(urls)
        return self.preload_digests([self.names.of(url)[1] for url in urls], priority)

    def batch(self, name: str) -> dict[str, int] | None:
        """Return {"total", "done", "failed"} of a preload, or None for an unknown name."""
        found = self.jobs.batch(name)
        return None if found is None else dict(zip(("total", "done", "failed"), found, strict=True))

    def get_cache_stats(self) -> CacheStats:
        """Return the numbers of the moment. Kept totals only: as fast with a million entries as with ten."""
        counts, memory = self.cache.counts(), self.cache.memory.stats()
        totals = self.cache.index.totals(NAMESPACE)
        hits, misses = counts.get("memory_hits", 0) + counts.get("disk_hits", 0), counts.get("misses", 0)
        ratio = hits / (hits + misses) if hits + misses else None
        return CacheStats(
            total_entries=totals.entries,
            total_size_bytes=totals.bytes,
            budget_bytes=self.cache.budget_bytes,
            hit_rate=None if ratio is None else round(ratio * 100, 2),
            hit_ratio=None if ratio is None else round(ratio, 4),
            hits=hits,
            misses=misses,
            evictions=counts.get("evictions", 0),
            memory_entries=memory.entries,
            memory_used_bytes=memory.used_bytes,
            memory_budget_bytes=memory.budget_bytes,
            queued=self.jobs.depth(),
            running=self.jobs.running(),
            fetches=counts.get("fetches", 0),
            fetched_bytes=counts.get("fetched_bytes", 0),
            renders=counts.get("renders", 0),
            failures=counts.get("failures", 0),
            disk_free_bytes=self.cache.disk.free_bytes(),
            ttl_hours=self.ttl_hours,
            paused_hosts=tuple(lane for lane, _, _ in self.jobs.paused_lanes()),
            last_cleanup_at=self.cache.index.meta("last_cleanup_at") or None,
        )

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
            return self.cache.clear_variant(size_type)
        with self.cache.index.database.write() as conn:
            self.register.clear(conn, NAMESPACE)
            self.jobs.clear(conn)
            self.names.next_generation(conn)
        self.names.publish()
        self._wished.clear()
        return self.cache.clear()

    def close(self) -> None:
        """Write what is only in memory. Does not end threads: they belong to the pool."""
        try:
            self.cache.flush()
        except DatabaseError as error:
            logger.warning("counters lost reason=%s", error)

    def _covers(self, digests: Sequence[str], unknown: str = "waiting") -> list[Cover]:
        found: dict[str, Cover] = {}
        now = self.clock()
        for part in _parts([d for d in digests if DIGEST.fullmatch(d)]):
            images = self.register.get_many(part)
            stored, jobs = self.cache.index.variants_of(part), self.jobs.state_of(part)
            for digest, image in images.items():
                if "thumbnails" in stored.get(digest, ()):
                    state = "ready"
                elif jobs.get(digest):
                    state = "working"
                else:
                    state = "failed" if _is_given_up(image, now) else "waiting"
                found[digest] = _cover(image, state)
        return [found.get(digest, Cover(digest, unknown if digest else "none")) for digest in digests]

    def _wish(self, image: Image, variant: str) -> None:
        now = time.monotonic()
        if now - self._wished.get((image.digest, variant), -WISH_LASTS_S) < WISH_LASTS_S:
            return
        if len(self._wished) >= WISHES_KEPT:
            self._wished.clear()
        self._wished[image.digest, variant] = now
        wants = () if variant in ("thumbnails", "detail") else (variant,)
        try:
            self.jobs.put([Wish(image.digest, image.lane, wants)], VISIBLE)
        except (QueueFull, DatabaseError) as error:
            logger.warning("wish not queued reason=%s", error)
        else:
            self.wake()

    def _smaller(self, digest: str, variant: str) -> bytes | None:
        """For a variant larger than the picture itself: the largest one that there is, kept under this name too."""
        wanted = self.variants.get(variant)
        if wanted is None or not variant.endswith("-2x"):
            return None
        image = self.register.get(digest)
        if image is None or image.width is None or image.height is None:
            return None
        edge_px = max(image.width, image.height)
        whole = [v for v in self.variants.values() if edge_px <= v.edge_px < wanted.edge_px]
        if not whole:
            return None
        body = self.cache.get(Key(NAMESPACE, min(whole, key=lambda v: v.edge_px).name, digest))
        if body is not None:
            self.cache.memory.put(Key(NAMESPACE, variant, digest), body)
        return body

    def _load_now(self, digest: str, variant: str) -> None:
        deadline = time.monotonic() + WAIT_FOR_OTHERS_S
        while not self.jobs.claim_one(digest):
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        wants = () if variant in ("thumbnails", "detail") else (variant,)
        self.loader.run(Job(digest, wants, VISIBLE, "", 1))

    def _is_better(self, identity: Identity, image: Image) -> bool:
        """Tell whether a new address of a known image should replace the old one: another, and not a smaller one, unless the old failed."""
        if identity.url == image.url:
            return False
        return bool(image.failures) or identity.edge_px >= identify(image.url).edge_px


def _is_given_up(image: Image, now: float) -> bool:
    return image.is_final and now < image.retry_at <= now + 60 * 86400


def _cover(image: Image, state: str) -> Cover:
    return Cover(
        image.digest,
        state,
        image.average,
        image.hue,
        image.chroma,
        image.retry_at or None,
        max(image.width or 0, image.height or 0) or None,
    )


def _parts(digests: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(digests), AT_A_TIME):
        yield list(digests[start : start + AT_A_TIME])
