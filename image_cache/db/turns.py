"""Turns at something of which there is one: first come, first served, among the threads of a process."""

import threading
from collections import deque


class FairLock:
    """A lock that serves whoever came first. `threading.Lock`, like SQLite's own, goes to whoever asks at the right moment: a
    thread that writes in a loop takes it again before those who wait have noticed that it was free.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # protects what follows
        self._is_taken = False
        self._waiting: deque[threading.Event] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for the turn; False when it did not come in time."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        try:
            has_come = mine.wait(timeout_s)
        except BaseException:  # of a signal: a turn that came to nobody would never be handed on
            if not self._is_given_up(mine):
                self.leave()
            raise
        return has_come or not self._is_given_up(mine)

    def leave(self) -> None:
        """Hand the turn on. Only for whoever has it."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False

    def _is_given_up(self, mine: threading.Event) -> bool:
        """Leave the line; False when the turn came at the last moment."""
        with self._guard:
            if mine.is_set():
                return False
            self._waiting.remove(mine)
            return True
