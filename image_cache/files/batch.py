"""Fetches many files at once, for one caller that waits: with one progress, each failure with its reason."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from image_cache.errors import CacheError
from image_cache.files.cache import FileCache
from image_cache.files.disk.pins import pin
from image_cache.files.registries.registry import RegistryFile

WORKERS = 2  # large files at a time, as in the background queue
ROUNDS = 4  # further tries of what failed for a reason that may pass, after all others
PAUSE_S = 1.0  # before each further round


@dataclass(slots=True)
class BatchProgress:
    """How far a batch is. `failed`: name to reason, of the files that no further round will try."""

    total: int
    done: int = 0
    size_bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class FileBatch:
    """Fetches files into a cache. `report` is called with the progress, by one thread at a time."""

    def __init__(
        self,
        cache: FileCache,
        files: Sequence[RegistryFile],
        report: Callable[[BatchProgress], object],
        *,
        is_pinned: bool = False,
    ) -> None:
        self.progress = BatchProgress(len(files))
        self._cache = cache
        self._files = files
        self._report = report
        self._is_pinned = is_pinned
        self._lock = threading.Lock()  # protects _received and the progress
        self._received: dict[str, int] = {}  # bytes by name, also of files that are not whole yet

    def run(self) -> BatchProgress:
        """Fetch all files; those that failed for a reason that may pass are tried again after the others."""
        waiting, round_number = list(self._files), 0
        while waiting:
            errors = self._run_round(waiting)
            before, waiting = len(waiting), [file for file in waiting if file.name in errors and errors[file.name].retryable]
            with self._lock:
                self.progress.failed.update({name: reason_of(error) for name, error in errors.items() if not error.retryable})
            round_number = round_number + 1 if len(waiting) == before else 0  # a round that brought something costs no try
            if round_number > ROUNDS or self._cache.stopping.wait(PAUSE_S if waiting else 0):
                with self._lock:
                    self.progress.failed.update({file.name: reason_of(errors[file.name]) for file in waiting})
                break
        self._report(self.progress)
        return self.progress

    def _run_round(self, files: Sequence[RegistryFile]) -> dict[str, CacheError]:
        errors: dict[str, CacheError] = {}
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="files-batch") as executor:
            running = {executor.submit(self._get, file): file for file in files}
            try:
                for ended in as_completed(running):
                    error = ended.exception()
                    if isinstance(error, CacheError):
                        errors[running[ended].name] = error
                    elif error is not None:
                        raise error
                    else:
                        with self._lock:
                            self.progress.done += 1
                            self._report(self.progress)
            except BaseException:  # interrupted: what was received so far stays
                self._cache.stopping.set()
                executor.shutdown(cancel_futures=True)
                raise
        return errors

    def _get(self, file: RegistryFile) -> None:
        def progress(done: int, _: int | None) -> None:
            self._count(file.name, done)

        path = self._cache.get(file.urls[0], sha256=file.sha256, mirrors=file.urls[1:], progress=progress)
        self._count(file.name, path.stat().st_size)
        if self._is_pinned:
            pin(self._cache, self._cache.remote(file.urls[0]).digest)

    def _count(self, name: str, done: int) -> None:
        with self._lock:
            self.progress.size_bytes += done - self._received.get(name, 0)
            self._received[name] = done
            self._report(self.progress)


def reason_of(error: CacheError) -> str:
    """Return why a file was not fetched, in short."""
    return str(getattr(error, "reason", "") or error)
