"""What a worker does with a job: fetch the cover once, render every variant that is wanted, store, record. Never in a request."""

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.identity import identify
from image_cache.covers.local_sources import LocalSources
from image_cache.db.database import Connection, DatabaseError
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import MAX_ATTEMPTS, Job, JobQueue
from image_cache.engine.key import Key
from image_cache.engine.registry import ImageRecord, ImageRegistry
from image_cache.engine.stats.history import Failure, note_failure
from image_cache.errors import CacheError, DecoderFailed, ImageRejected, OriginError, OriginUnavailable, StorageError
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Rendered, Variant

if TYPE_CHECKING:
    from image_cache.net.lazy_client import FetchResult

logger = logging.getLogger(__name__)

BASE_VARIANTS = ("thumbnails", "detail")  # rendered with every fetch; the others when a screen asks for them
MOST_FRESH_S = 30 * 86400.0  # an origin may ask for more freshness than our setting, up to this
SETTLED_FRESH_S = 365 * 86400.0  # for identities whose bytes never change
REJECTED_RETRY_S = 86400.0  # a file that is no picture is looked at again after a day, doubled each time, at most a month
STORAGE_RETRY_S = 300.0  # a full disk
CRASH_RETRY_S = 60.0  # a decoder that ran out of time on a busy machine is asked again soon, eight times later with each failure,
CRASHES = 3  # before the picture is treated like one that was rejected
GIVE_UP_FAILURES = 12  # an origin that failed so often in a row, hours of back-off apart, is given up until somebody looks again


class CoverLoader:
    """Runs jobs of the cover queue. Any number of threads may call `run_next` at a time."""

    def __init__(
        self,
        *,
        cache: Cache,
        register: ImageRegistry,
        jobs: JobQueue,
        names: CoverDigests,
        variants: Sequence[Variant],
        fetcher: LocalSources,
        decoder: Decoder,
        retry_delay_s: Callable[[int, CacheError], float],
        fresh_s: float,
        is_paused: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cache = cache
        self.registry = register
        self.jobs = jobs
        self.names = names
        self.variants = tuple(variants)
        self._fetcher = fetcher
        self._decoder = decoder
        self._retry_delay_s = retry_delay_s
        self.fresh_s = fresh_s
        self.clock = clock
        self.is_paused = is_paused  # whether an operator paused fetching
        self.is_stopping = False

    def stop(self) -> None:
        """Claim no more jobs. Call it before fetches are aborted, so that they do not count as failures."""
        self.is_stopping = True

    def run_next(self) -> bool:
        """Claim one job and run it to its end; False when there is none to run now. Failures are recorded, not raised."""
        try:
            # While the index is rebuilt nothing is fetched: most of it is on the disk already.
            if self.is_stopping or self.cache.is_adopting or not self.jobs.is_waiting() or self.is_paused():
                return False
            job = self.jobs.claim()
            if job is None:
                return False
            self.run(job)
        except DatabaseError as error:  # a full disk, or an index that is being replaced: the lease brings the job back
            logger.warning("job left for later reason=%s", error)
            return False
        return True

    def run(self, job: Job) -> None:
        """Run a claimed job. Raises `DatabaseError`, and what is a fault of ours."""
        image = self.registry.get(job.digest)
        if image is None:  # cleared meanwhile
            self._end(job)
            return
        try:
            if job.attempts > MAX_ATTEMPTS:
                raise DecoderFailed(f"gave up after {MAX_ATTEMPTS} attempts that never came back")
            self._load(job, image)
        except StorageError as error:
            logger.warning("cover not stored path=%s reason=%s", error.path, error.reason)
            now = self.clock()
            with self.cache.index.database.write() as conn:
                self.jobs.reschedule(conn, job, now + STORAGE_RETRY_S)
                note_failure(conn, Failure(now, image.lane, image.identity, error.reason, now + STORAGE_RETRY_S))
        except (OriginError, ImageRejected, DecoderFailed) as error:
            if self.is_stopping:  # cut by ourselves, so that nobody has failed: the job is given back with the lease
                logger.info("cover left for the next start identity=%s", image.identity)
            else:
                self._failed(job, image, error)

    def jpeg_of(self, webp: bytes) -> bytes:
        """Turn a stored variant into JPEG, for browsers without WebP. Takes some 20 ms and waits for a running decode."""
        return self._decoder.jpeg(webp)

    def render(self, body: bytes, variants: Sequence[Variant]) -> Rendered:
        """Render bytes that are here already, outside of any job. Raises `ImageRejected` or `DecoderFailed`."""
        return self._decoder.render(body, variants)

    def missing(self, stored: Collection[str], wants: Collection[str] = ()) -> list[Variant]:
        """Return the variants that a job with these wants has to make."""
        return [v for v in self.variants if (v.name in BASE_VARIANTS or v.name in wants) and v.name not in stored]

    def is_stale(self, image: ImageRecord) -> bool:
        """Tell whether the picture is past its freshness. A time further ahead than we ever set was written by a wrong clock."""
        now = self.clock()
        return image.fresh_until is None or not now < image.fresh_until <= now + SETTLED_FRESH_S + 1

    def _load(self, job: Job, image: ImageRecord) -> None:
        stored = self.cache.index.variants_of([image.digest]).get(image.digest, set())
        missing = self.missing(stored, job.wants)
        if missing and self._derive(image, missing, stored):
            stored, missing = {*stored, *(variant.name for variant in missing)}, []
        if not missing and not self.is_stale(image):
            self._end(job)
            return
        # Without the bytes a 304 would help nobody: validators go along only when every variant is here.
        validators = {} if missing else {"etag": image.etag, "last_modified": image.last_modified}
        fetched = self._fetch(image, validators)
        known = image.body_sha256
        sha256 = known if fetched.status == 304 else hashlib.sha256(fetched.body).digest()
        is_same = sha256 == known
        image = replace(
            image,
            etag=fetched.etag or (image.etag if is_same else ""),
            last_modified=fetched.last_modified or (image.last_modified if is_same else ""),
            body_sha256=sha256,
            fetched_at=self.clock(),
            fresh_until=self._fresh_until(image, fetched.fresh_s),
        )
        if is_same and not missing:
            self._end(job, image)
            return
        # Another picture under the same identity gets a new digest, and all the variants that the old one had.
        is_changed = not is_same and (known is not None or bool(stored))
        rendered = self._decoder.render(fetched.body, self.missing((), {*job.wants, *stored}) if is_changed else missing)
        self.cache.counters.add("renders", len(rendered.variants))
        if is_changed and known is None:
            # Adopted after the index was lost, so nobody remembers its bytes: the same picture renders the same.
            is_changed = any(
                self.cache.get(Key(NAMESPACE, name, image.digest)) != webp
                for name, webp in rendered.variants.items()
                if name in stored
            )
        self._store(job, image, rendered, is_changed=is_changed)

    def _fetch(self, image: ImageRecord, validators: Mapping[str, str]) -> "FetchResult":
        began, recorder = time.monotonic(), self.cache.recorder
        try:
            fetched = self._fetcher.fetch(image.url, **validators)
        except OriginError:
            if recorder is not None and not self.is_stopping:
                recorder.failed(image.lane)
            raise
        self.cache.counters.add("fetches")
        self.cache.counters.add("fetched_bytes", len(fetched.body))
        if recorder is not None:
            recorder.fetched(image.lane, time.monotonic() - began, len(fetched.body))
        return fetched

    def _store(self, job: Job, image: ImageRecord, rendered: Rendered, *, is_changed: bool) -> None:
        old = image.digest
        image = replace(
            image,
            width=rendered.width,
            height=rendered.height,
            average=rendered.average,
            hue=rendered.hue,
            chroma=rendered.chroma,
        )
        if is_changed:
            revision = image.revision + 1
            image = replace(image, revision=revision, digest=self.names.digest_at(image.identity, revision))

        def record(conn: Connection) -> None:
            if is_changed:
                self.registry.revise(conn, old, image.digest, image.revision)
                self.names.revised(conn)
                logger.info("cover changed identity=%s revision=%s", image.identity, image.revision)
            self._done(conn, job, image)

        self.cache.put({Key(NAMESPACE, name, image.digest): webp for name, webp in rendered.variants.items()}, record)
        if is_changed:
            self.names.publish()

    def _derive(self, image: ImageRecord, missing: list[Variant], stored: Collection[str]) -> bool:
        """Make what is missing from a larger variant that is stored, without troubling the origin. False when there is none."""
        edge_px = max(v.edge_px for v in missing)
        whole_px = max(image.width or 0, image.height or 0) or edge_px
        larger = [v for v in self.variants if v.name in stored and v.edge_px >= min(edge_px, whole_px)]
        if not larger:
            return False
        body = self.cache.get(Key(NAMESPACE, max(larger, key=lambda v: v.edge_px).name, image.digest))
        if body is None:
            return False
        rendered = self._decoder.render(body, missing)
        self.cache.counters.add("renders", len(rendered.variants))
        self.cache.put({Key(NAMESPACE, name, image.digest): webp for name, webp in rendered.variants.items()})
        return True

    def _fresh_until(self, image: ImageRecord, asked_s: float | None) -> float:
        if identify(image.url).is_settled:
            return self.clock() + SETTLED_FRESH_S
        return self.clock() + max(self.fresh_s, min(asked_s or 0.0, MOST_FRESH_S))

    def _end(self, job: Job, image: ImageRecord | None = None) -> None:
        with self.cache.index.database.write() as conn:
            self._done(conn, job, image)

    def _done(self, conn: Connection, job: Job, image: ImageRecord | None) -> None:
        if image is not None:
            self.registry.fetched(conn, image)
            self.jobs.record_host_success(conn, image.lane)
        self.jobs.finish(conn, job)

    def _failed(self, job: Job, image: ImageRecord, error: CacheError) -> None:
        failures = image.failures + 1
        is_final = not error.retryable or failures >= GIVE_UP_FAILURES
        if isinstance(error, OriginError):
            delay_s = self._retry_delay_s(failures, error)
        elif isinstance(error, DecoderFailed) and failures < CRASHES:
            delay_s, is_final = CRASH_RETRY_S * 8.0 ** (failures - 1), False
        else:
            delay_s = REJECTED_RETRY_S * min(2.0 ** min(failures - 1, 5), 30.0)
        logger.warning("cover failed identity=%s failures=%s reason=%s retry_s=%.0f", image.identity, failures, error, delay_s)
        self.cache.counters.add("failures")
        with self.cache.index.database.write() as conn:
            self.registry.failed(conn, image.digest, str(error), self.clock() + delay_s, is_final=is_final)
            reason = getattr(error, "reason", "") or str(error)
            note_failure(
                conn, Failure(self.clock(), image.lane, image.identity, reason, 0.0 if is_final else self.clock() + delay_s)
            )
            if isinstance(error, OriginUnavailable):
                self.jobs.record_host_failure(conn, image.lane, error.reason, pause_s=error.retry_after_s)
            elif isinstance(error, OriginError) and error.status is not None:
                self.jobs.record_host_success(conn, image.lane)  # it answered
            if is_final:
                self.jobs.finish(conn, job, failed=True)
            else:
                self.jobs.reschedule(conn, job, self.clock() + delay_s)
