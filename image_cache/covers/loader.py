"""Cover loader, run by workers: fetch a cover once, render every variant that is wanted, store, record. Never in a request."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from image_cache.covers.digests import NAMESPACE
from image_cache.covers.identity import identify
from image_cache.covers.local_sources import LocalSources
from image_cache.covers.states import SETTLED_FRESH_S, is_stale, missing_variants
from image_cache.covers.store import CoverContext
from image_cache.db.database import Connection, DatabaseError
from image_cache.engine.appearance_table import Appearance, AppearanceTable
from image_cache.engine.job import Job
from image_cache.engine.jobs import MAX_ATTEMPTS
from image_cache.engine.key import Key
from image_cache.engine.registry import ImageRecord
from image_cache.engine.stats.history import Failure, store_failure
from image_cache.errors import CacheError, DecoderFailed, ImageRejected, LeaseLost, OriginError, OriginUnavailable, StorageError
from image_cache.imaging.color import packed
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Rendered, Variant
from image_cache.net.fetch_result import FetchResult

logger = logging.getLogger(__name__)

MAX_FRESH_S = 30 * 86400.0  # an origin may declare more freshness than our setting, up to this
REJECTED_RETRY_S = 86400.0  # a file that is no image is retried after a day, doubled each time, at most a month
STORAGE_RETRY_S = 300.0  # a full disk
SHARED_RETRY_S = 5.0
CRASH_RETRY_S = 60.0  # a decoder that ran out of time on a busy machine: retried soon, eight times later with each failure,
CRASHES = 3  # before the file is treated like one that was rejected
USABLE = (200, 203, 304)  # statuses of a response whose bytes, or their absence, are the failure
GIVE_UP_FAILURES = 12  # an origin that failed this often in a row, hours of back-off apart, is given up until a viewer asks again


class CoverLoader:
    """Runs jobs of the cover queue. Any number of threads may call `run_next` at a time."""

    def __init__(
        self,
        store: CoverContext,
        fetcher: LocalSources,
        decoder: Decoder,
        *,
        retry_delay_s: Callable[[int, CacheError], float],
    ) -> None:
        self._store = store
        self._cache = store.cache
        self._registry = store.registry
        self._jobs = store.jobs
        self._digests = store.digests
        self._appearances = AppearanceTable(store.registry.database)
        self._clock = store.clock
        self._fetcher = fetcher
        self._decoder = decoder
        self._retry_delay_s = retry_delay_s
        self._is_stopping = False
        self._ahead = threading.local()  # .is_on: the job of this thread's next turn is claimed with the end of this one; .job

    def stop(self) -> None:
        """Claim no more jobs. Call it before fetches are aborted, so that they do not count as failures."""
        self._is_stopping = True

    def run_next(self) -> bool:
        """Claim one job and run it to its end; return False if there is none to run now. Failures are recorded, not raised."""
        return self._run_jobs(is_chain=False)

    def run_due(self) -> bool:
        """Run jobs one after the other; return False if there is none. One transaction settles a job and claims the next."""
        return self._run_jobs(is_chain=True)

    def _run_jobs(self, *, is_chain: bool) -> bool:
        self._ahead.is_on, count = is_chain, 0
        try:
            job = self._jobs.claim() if self._may_claim() and self._jobs.is_waiting() else None
            while job is not None:
                count += 1
                self._ahead.job = None
                self.run(job)
                job = self._ahead.job
        except DatabaseError as error:  # a full disk, or an index that is being replaced: the job returns when its lease ends
            logger.warning("job deferred reason=%s", error)
            return False
        finally:
            self._ahead.is_on = False
        return count > 0

    def _may_claim(self) -> bool:
        # While the index is rebuilt nothing is fetched: most of it is on the disk already.
        return not (self._is_stopping or self._cache.is_adopting or self._is_paused())

    def run(self, job: Job) -> None:
        """Run a claimed job. Raises `DatabaseError`; any other exception is a bug."""
        try:
            self._run(job)
        except LeaseLost:  # this process slept, or a clear removed the job: nothing of it was recorded
            logger.info("job claimed by another worker digest=%s", job.digest)

    def run_for(self, job: Job, image: ImageRecord) -> None:
        """Run a claimed job for an image that is not the one under its digest. Raises `DatabaseError`."""
        try:
            self._run_load(job, image)
        except LeaseLost:
            logger.info("job claimed by another worker digest=%s", job.digest)

    def _run(self, job: Job) -> None:
        image = self._registry.get(job.digest)
        if image is None:  # cleared meanwhile
            self._end(job)
        else:
            self._run_load(job, image)

    def _run_load(self, job: Job, image: ImageRecord) -> None:
        try:
            if job.attempts > MAX_ATTEMPTS:
                raise DecoderFailed(f"given up: {MAX_ATTEMPTS} workers died on it")
            self._load(job, image)
        except StorageError as error:
            logger.warning("cover not stored path=%s reason=%s", error.path, error.reason)
            # With many nodes it is the disk of this one, or an uploaded cover while the store is away: another node, or soon.
            now, delay_s = self._clock(), STORAGE_RETRY_S if self._store.shared is None else SHARED_RETRY_S
            with self._registry.database.write() as conn:
                self._jobs.reschedule(conn, job, now + delay_s)
                store_failure(conn, Failure(now, image.lane, image.identity, error.reason, now + delay_s))
        except (OriginError, ImageRejected, DecoderFailed) as error:
            if self._is_stopping:  # aborted by ourselves, so nothing has failed: the job is given back with the lease
                logger.info("cover fetch interrupted by shutdown identity=%s", image.identity)
            else:
                self._failed(job, image, error)

    def _is_paused(self) -> bool:
        return self._store.limits().paused_at is not None

    def _load(self, job: Job, image: ImageRecord) -> None:
        stored = self._cache.index.variants_of([image.digest]).get(image.digest, set())
        stored = self.derive(image, self._store.take(image, stored, job.variants), job.variants)
        missing = missing_variants(self._store.variants.values(), stored, job.variants)
        if not missing and not is_stale(image, self._clock()):
            self._end(job)
            return
        # A 304 brings no bytes: validators are sent only when every variant is stored.
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
            fetched_at=self._clock(),
            fresh_until=self._fresh_until(image, fetched.fresh_s),
        )
        if is_same and not missing:
            self._end(job, image)
            return
        # Another image under the same identity gets a new digest, and all the variants that the old one had.
        is_changed = not is_same and (known is not None or bool(stored))
        if is_changed:
            missing = missing_variants(self._store.variants.values(), (), {*job.variants, *stored})
        rendered = self._render(fetched.body, missing)
        if is_changed and known is None:
            # Adopted after the index was lost, so the bytes are not known: the same image renders the same.
            is_changed = self._differs(image.digest, rendered, stored)
        if not is_changed:  # what is stored stays, also a derived variant that an earlier version made from the original
            kept = {variant.name for variant in missing if variant.source} & stored
            rendered = replace(rendered, variants={name: webp for name, webp in rendered.variants.items() if name not in kept})
        self._save(job, image, rendered, is_changed=is_changed)

    def _fetch(self, image: ImageRecord, validators: Mapping[str, str]) -> FetchResult:
        began, recorder = time.monotonic(), self._cache.recorder
        try:
            fetched = self._fetcher.fetch(image.url, **validators)
        except OriginError:
            if recorder is not None and not self._is_stopping:
                recorder.record_failure(image.lane)
            raise
        self._cache.counters.add("fetches")
        self._cache.counters.add("fetched_bytes", len(fetched.body))
        if recorder is not None:
            recorder.record_fetch(image.lane, time.monotonic() - began, len(fetched.body))
        return fetched

    def _save(self, job: Job, image: ImageRecord, rendered: Rendered, *, is_changed: bool) -> None:
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
            image = replace(image, revision=revision, digest=self._digests.digest_at(image.identity, revision))

        def record(conn: Connection) -> None:
            if is_changed:
                self._registry.revise(conn, old, image.digest, image.revision)
                self._digests.revised(conn)
                logger.info("cover changed identity=%s revision=%s", image.identity, image.revision)
            if (seen := rendered.appearance) is not None:
                found = Appearance(image.digest, seen.hash, packed(seen.colours), seen.is_blank)
                self._appearances.add(conn, found, self._clock(), is_changed=is_changed)
            self._done(conn, job, image)

        bodies = {Key(NAMESPACE, name, image.digest): webp for name, webp in rendered.variants.items()}
        self._store.put(image, bodies, record)
        if is_changed:
            self._digests.publish()

    def _render(self, body: bytes, missing: Sequence[Variant]) -> Rendered:
        """Render an original, always in the same groups, because variants that are made together influence each other."""
        groups = [[v, *(d for d in missing if d.source == v.name)] for v in missing if not v.source]
        groups.sort(key=lambda group: group[0].edge_px)
        first, *others = [self._decoder.render(body, group, analyses=group[0].name == "detail") for group in groups]
        variants = {name: webp for rendered in (first, *others) for name, webp in rendered.variants.items()}
        self._cache.counters.add("renders", len(variants))
        return replace(first, variants=variants)

    def _differs(self, digest: str, rendered: Rendered, stored: set[str]) -> bool:
        """Return True if another image is stored: by the variant that is made from the original, if that is there."""
        names = sorted(stored & rendered.variants.keys(), key=lambda name: bool(self._store.variants[name].source))
        return any(self._cache.get(Key(NAMESPACE, name, digest)) != rendered.variants[name] for name in names[:1])

    def derive(self, image: ImageRecord, stored: set[str], wants: Collection[str]) -> set[str]:
        """Make what is missing from the variant that it is always made from, without a fetch. Return what is stored then."""
        missing = missing_variants(self._store.variants.values(), stored, wants)
        for source in {variant.source for variant in missing} & stored:
            body = self._cache.get(Key(NAMESPACE, source, image.digest))
            if body is None:  # missing or truncated
                return stored - {source}
            rendered = self._decoder.render(body, [variant for variant in missing if variant.source == source])
            self._cache.counters.add("renders", len(rendered.variants))
            self._cache.put({Key(NAMESPACE, name, image.digest): webp for name, webp in rendered.variants.items()})
            stored = stored | set(rendered.variants)
        return stored

    def _fresh_until(self, image: ImageRecord, asked_s: float | None) -> float:
        if identify(image.url).is_settled:
            return self._clock() + SETTLED_FRESH_S
        return self._clock() + max(self._store.limits().ttl_hours * 3600, min(asked_s or 0.0, MAX_FRESH_S))

    def _end(self, job: Job, image: ImageRecord | None = None) -> None:
        with self._registry.database.write() as conn:
            self._done(conn, job, image)

    def _done(self, conn: Connection, job: Job, image: ImageRecord | None) -> None:
        if image is not None:
            self._registry.record_fetch(conn, image)
            self._jobs.record_host_success(conn, image.lane)
        self._jobs.finish(conn, job)
        if getattr(self._ahead, "is_on", False) and self._may_claim():
            self._ahead.job = self._jobs.claim_in(conn)

    def _failed(self, job: Job, image: ImageRecord, error: CacheError) -> None:
        failures = image.failures + 1
        is_final = not error.retryable or isinstance(error, DecoderFailed) or failures >= GIVE_UP_FAILURES
        if isinstance(error, OriginError):
            delay_s = self._retry_delay_s(failures, error)
        elif isinstance(error, DecoderFailed) and error.retryable and failures < CRASHES:
            delay_s, is_final = CRASH_RETRY_S * 8.0 ** (failures - 1), False
        else:
            delay_s = REJECTED_RETRY_S * min(2.0 ** min(failures - 1, 5), 30.0)
        logger.warning("cover failed identity=%s failures=%s reason=%s retry_s=%.0f", image.identity, failures, error, delay_s)
        self._cache.counters.add("failures")
        with self._registry.database.write() as conn:
            self._registry.record_failure(
                conn, image.digest, str(error), self._clock() + delay_s, is_final=is_final, code=_failure_code(error)
            )
            reason = getattr(error, "reason", "") or str(error)
            store_failure(
                conn, Failure(self._clock(), image.lane, image.identity, reason, 0.0 if is_final else self._clock() + delay_s)
            )
            if isinstance(error, OriginUnavailable) and error.is_host_fault:
                self._jobs.record_host_failure(conn, image.lane, error.reason, pause_s=error.retry_after_s)
            elif isinstance(error, OriginError) and error.status is not None:
                self._jobs.record_host_success(conn, image.lane)  # it answered
            if is_final:
                self._jobs.finish(conn, job, failed=True)
            else:
                self._jobs.reschedule(conn, job, self._clock() + delay_s)


def _failure_code(error: CacheError) -> str:
    """Return the HTTP status of a response that was no image, otherwise the kind of the error."""
    if isinstance(error, OriginError) and error.status not in (None, *USABLE):
        return str(error.status)
    return str(getattr(error, "kind", ""))
