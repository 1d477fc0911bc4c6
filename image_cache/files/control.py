"""The link between a fetch and its row: others see how far it is, and can pause or cancel it from any process."""

import threading
import time
from collections.abc import Callable

from image_cache.errors import CacheError, ChecksumMismatch, FetchStopped
from image_cache.files.fetch import Progress
from image_cache.files.index import FileIndex
from image_cache.files.paths import Remote
from image_cache.net.backoff import retry_delay_s

LOOK_EVERY_S = 0.5


class RowControl:
    """Ends one fetch when its row says so, or when `stopping` is set; writes to the row how it went."""

    def __init__(self, index: FileIndex, remote: Remote, stopping: threading.Event) -> None:
        self._index = index
        self._remote = remote
        self._stopping = stopping
        self._looked_at = 0.0
        self._told_total: int | None = None

    def check(self) -> None:
        """Raise `FetchStopped` when somebody paused or cancelled the fetch, or the program stops."""
        if self._stopping.is_set():
            raise FetchStopped(self._remote.shown, "the program stops")
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        row = self._index.pending(self._remote.digest)
        if row is None:
            raise FetchStopped(self._remote.shown, "cancelled")
        if row.state == "paused":
            raise FetchStopped(self._remote.shown, "paused")

    def pause(self, seconds: float) -> None:
        """Wait, unless the fetch is to end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            self._stopping.wait(min(left, LOOK_EVERY_S))
        self.check()

    def wait(self, seconds: float) -> None:
        """Wait for another one who fetches the same file; only the end of the program ends that."""
        if self._stopping.wait(seconds):
            raise FetchStopped(self._remote.shown, "the program stops")

    def begin(self, size: int, total: int | None) -> None:
        self._index.change(self._remote.digest, began_at=time.time(), began_bytes=size, total_bytes=total)

    def telling(self, progress: Progress | None) -> Callable[[int, int | None], None]:
        """Return a progress callback that also writes the total to the row, when it becomes known or another one."""

        def tell(done: int, total: int | None) -> None:
            if total is not None and total != self._told_total:
                self._told_total = total
                self._index.change(self._remote.digest, total_bytes=total)
            if progress is not None:
                progress(done, total)

        return tell

    def finish(self, error: CacheError) -> None:
        """Write how the fetch ended: to be tried again at a time, paused, or failed."""
        row = self._index.pending(self._remote.digest)
        if row is None or row.state == "paused":
            return
        is_other = isinstance(error, ChecksumMismatch)
        reason = "checksum differs, not kept" if is_other else str(getattr(error, "reason", "") or error)[:300]
        if isinstance(error, FetchStopped):
            state = {"state": "waiting", "retry_at": 0.0, "reason": ""}
        elif row.is_wanted and error.retryable:
            failures = row.failures + 1
            state = {
                "state": "waiting",
                "reason": reason,
                "failures": failures,
                "retry_at": time.time() + retry_delay_s(failures, error),
            }
        else:
            state = {"state": "failed", "reason": reason, "failures": row.failures + 1}
        self._index.change(self._remote.digest, **state)
