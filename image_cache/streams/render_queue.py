"""Renders missing variants in the background, one at a time, so that no request thread waits for the decoder or a store.

What someone requests goes first; what a restore or another quality left to be rendered comes after it.

The thread starts with the first missing variant. What a request does not get within its short wait is in the cache a moment later.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from image_cache.db.database import DatabaseError
from image_cache.engine.pool import Pool
from image_cache.errors import CacheError, DecoderFailed, QueueFull
from image_cache.models import StreamImage

logger = logging.getLogger(__name__)

MAX_QUEUED = 512
# More request threads than this never wait; the others answer with a placeholder at once.
MAX_WAITING = 1
WAIT_S = 3.0
FAILED_S = 60.0  # an original that was not rendered is not decoded again for so long

Render = Callable[[StreamImage, str, str], bytes | None]


class RenderJob:
    """One variant that is being rendered. `body` and `error` are set before `done`; neither is set if the image is gone."""

    __slots__ = ("body", "done", "error", "image", "page", "variant")

    def __init__(self, image: StreamImage, variant: str, page: str) -> None:
        self.image = image
        self.variant = variant
        self.page = page
        self.done = threading.Event()
        self.body: bytes | None = None
        self.error: Exception | None = None


class RenderQueue:
    """Jobs by image and variant, the oldest first. Any thread."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._lock = threading.Lock()  # protects _jobs, _refill and _failed
        self._jobs: dict[tuple[str, str], RenderJob] = {}
        self._refill: deque[RenderJob] = deque()  # that no one waits for
        self._failed: dict[tuple[str, str], tuple[float, Exception | None]] = {}  # until when (monotonic), and the job's error
        self._waiters = threading.BoundedSemaphore(MAX_WAITING)
        self._pool = Pool(self._run_next, (), workers=1, name="stream-renders")

    def request(self, image: StreamImage, variant: str, page: str = "") -> RenderJob:
        """Enqueue a variant and wait a moment for it. The job may still be running on return. Raises `QueueFull`."""
        job = self._enqueue((image.image_id, variant), RenderJob(image, variant, page))
        if not job.done.is_set():
            self._pool.start()  # idempotent; here and not in the constructor, because a thread does not survive a fork
            self._pool.wake()
            if self._waiters.acquire(blocking=False):
                try:
                    job.done.wait(WAIT_S)
                finally:
                    self._waiters.release()
        return job

    def refill(self, wanted: Iterable[tuple[StreamImage, str]]) -> None:
        """Render these variants when nothing is requested. Replaces what was to be refilled before."""
        with self._lock:
            self._refill = deque(RenderJob(image, variant, "") for image, variant in wanted)
            is_empty = not self._refill
        if not is_empty:
            self._pool.start()
            self._pool.wake()

    def waiting(self) -> int:
        """Return how many variants wait or are being rendered."""
        with self._lock:
            return len(self._jobs) + len(self._refill)

    def close(self) -> None:
        self._pool.close(1.0)

    def _enqueue(self, key: tuple[str, str], job: RenderJob) -> RenderJob:
        with self._lock:
            until, error = self._failed.get(key, (0.0, None))
            if until > time.monotonic():
                job.error = error
                job.done.set()
                return job
            self._failed.pop(key, None)
            if key not in self._jobs and len(self._jobs) >= MAX_QUEUED:
                raise QueueFull(MAX_QUEUED)
            return self._jobs.setdefault(key, job)

    def _run_next(self) -> bool:
        with self._lock:
            refill = self._refill[0] if self._refill and not self._jobs else None
            if not self._jobs and refill is None:
                return False
        if refill is not None:
            self._run_refill(refill)
            return True
        with self._lock:
            key, job = next(iter(self._jobs.items()))
        try:
            job.body = self._render(job.image, job.variant, job.page)
        except (CacheError, DatabaseError) as error:
            logger.warning("variant not rendered image=%s variant=%s reason=%s", key[0], key[1], error)
            job.error = error
        finally:
            with self._lock:
                self._jobs.pop(key, None)
                # A late decoder may be in time later, but each try costs seconds: a page that asks again must not repeat it.
                if job.body is None and (job.error is None or isinstance(job.error, DecoderFailed)):
                    if len(self._failed) >= MAX_QUEUED:
                        self._failed.clear()
                    self._failed[key] = (time.monotonic() + FAILED_S, job.error)
            job.done.set()
        return True

    def _run_refill(self, job: RenderJob) -> None:
        try:
            self._render(job.image, job.variant, job.page)
        except (CacheError, DatabaseError) as error:
            logger.warning("variant not rendered image=%s variant=%s reason=%s", job.image.image_id, job.variant, error)
        finally:
            with self._lock:
                if self._refill and self._refill[0] is job:
                    self._refill.popleft()
