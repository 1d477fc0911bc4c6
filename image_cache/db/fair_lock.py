"""Fair lock: first come, first served."""

import threading
from collections import deque


class FairLock:
    """A lock whose waiters get it in the order in which they came.

    `threading.Lock`, like SQLite's own lock, goes to the thread that asks at the right moment: one that writes in a loop takes it
    again before the waiting threads have noticed that it was free.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # protects the two below
        self._is_held = False
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, timeout_s: float) -> bool:
        """Wait for the lock. Return False if the time is over."""
        with self._guard:
            if not self._is_held:
                self._is_held = True
                return True
            granted = threading.Event()
            self._waiting.append(granted)
        try:
            is_granted = granted.wait(timeout_s)
        except BaseException:  # raised by a signal handler: a lock granted to a thread that is gone would never be released
            if not self._withdraw(granted):
                self.release()
            raise
        return is_granted or not self._withdraw(granted)

    def is_awaited(self) -> bool:
        """Return True if someone waits for it."""
        return bool(self._waiting)

    def release(self) -> None:
        """Pass the lock on to the next waiter. Only its holder may call this."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_held = False

    def _withdraw(self, granted: threading.Event) -> bool:
        """Stop waiting. Return False if the lock was granted at the last moment."""
        with self._guard:
            if granted.is_set():
                return False
            self._waiting.remove(granted)
            return True
