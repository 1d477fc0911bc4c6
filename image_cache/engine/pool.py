"""Thread pool: workers that run jobs, and one thread for periodic jobs. Started after the fork, joined at the end."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from image_cache.frozen import frozen

logger = logging.getLogger(__name__)

IDLE_S = 2.0  # how often an idle worker checks for jobs that became due, or that another process enqueued
ERROR_PAUSE_S = 1.0  # after an unexpected error, so that a broken loop does not spin
RECENT_S, MAX_RECENT = 3600.0, 1000  # for how long, and how many of its errors a pool remembers


@frozen
class PeriodicJob:
    """Something that runs every `every_s` seconds, the first time after `first_s`."""

    name: str
    every_s: float
    run: Callable[[], object]
    first_s: float = 0.0


class Pool:
    """Workers call `work` until it returns False, then wait until they are woken. `start` and `close` are idempotent.

    `wakeup` wakes the workers: code that enqueues jobs can set it without knowing the pool. `name` is that of the thread for
    periodic jobs. Start it in the process that uses it, because threads do not survive a fork.
    """

    def __init__(
        self,
        work: Callable[[], bool],
        periodic_jobs: Sequence[PeriodicJob],
        *,
        workers: int,
        error_pause_s: float = ERROR_PAUSE_S,
        idle_s: float = IDLE_S,
        name: str = "housekeeper",
        wakeup: threading.Event | None = None,
    ) -> None:
        self._work = work
        self._periodic_jobs = periodic_jobs
        self._workers = workers
        self._error_pause_s = error_pause_s
        self._idle_s = idle_s
        self._name = name
        self._lock = threading.Lock()  # protects _threads
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._wakeup = wakeup or threading.Event()
        self.errors = 0  # unexpected errors since the start
        self._error_times: deque[float] = deque(maxlen=MAX_RECENT)  # monotonic, of the last ones

    @property
    def is_running(self) -> bool:
        return bool(self._threads)

    @property
    def is_healthy(self) -> bool:
        """True if every started thread is still running; also before `start` and after `close`."""
        with self._lock:
            return all(thread.is_alive() for thread in self._threads)

    def recent_errors(self, within_s: float = RECENT_S) -> int:
        """Return how many unexpected errors there were lately: an old one is in the log, and no one can do anything about it now."""
        since = time.monotonic() - within_s
        return sum(at >= since for at in self._error_times.copy())

    def start(self) -> None:
        with self._lock:
            if self._threads or self._stop.is_set():
                return
            loops = [(f"worker-{n}", self._run_worker) for n in range(self._workers)] + [(self._name, self._run_periodic_jobs)]
            for name, loop in loops:
                thread = threading.Thread(target=loop, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def wake(self) -> None:
        """Wake the workers, because there is work. Cheap; any thread."""
        self._wakeup.set()

    def close(self, timeout_s: float = 20.0) -> bool:
        """Stop and join all threads. Return False if one did not end in time (it is a daemon and dies with the process)."""
        self._stop.set()
        with self._lock:
            threads, self._threads = self._threads, []
        self._wakeup.set()
        deadline = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run_worker(self) -> None:
        while not self._stop.is_set():
            self._wakeup.clear()  # before `work`: jobs that arrive while it runs set it again
            if not self._guarded("worker", self._work):
                self._wakeup.wait(self._idle_s)

    def _run_periodic_jobs(self) -> None:
        due = {job.name: time.monotonic() + job.first_s for job in self._periodic_jobs}
        while not self._stop.is_set():
            for job in self._periodic_jobs:
                if time.monotonic() >= due[job.name]:
                    self._guarded(job.name, job.run)
                    due[job.name] = time.monotonic() + job.every_s
            self._stop.wait(max(0.05, min(due.values(), default=time.monotonic() + 60) - time.monotonic()))

    def _guarded(self, name: str, run: Callable[[], object]) -> bool:
        try:
            return bool(run())
        except Exception:
            self.errors += 1
            self._error_times.append(time.monotonic())
            logger.exception("unexpected error in %s", name)
            self._stop.wait(self._error_pause_s)
            return False
