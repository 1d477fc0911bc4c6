"""Whether the last use of a folder ended well: a file that says `open` while somebody uses it, `closed` afterwards."""

import contextlib
import fcntl
import os
from pathlib import Path

NAME = ".session"


class ShutdownMarker:
    """One process's use of a folder. `was_clean` is False when those before ended without closing: a power cut, a kill.

    Users share a lock that ends with their process; whoever finds nobody else reads what the last one left behind.
    """

    def __init__(self, root: Path) -> None:
        self.was_clean = True
        self._owner = os.getpid()
        self._fd = os.open(root / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if self._is_alone():
            self.was_clean = os.pread(self._fd, 16, 0) != b"open"
            self._say(b"open")
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def close(self) -> None:
        if self._fd < 0 or self._owner != os.getpid():
            return
        with contextlib.suppress(OSError):
            if self._is_alone():
                self._say(b"closed")
        os.close(self._fd)
        self._fd = -1

    def _is_alone(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _say(self, word: bytes) -> None:
        os.pwrite(self._fd, word, 0)
        os.ftruncate(self._fd, len(word))
        os.fsync(self._fd)  # the one that must outlive a power cut
