"""Single flight: concurrent loads of one key share a single load, within this process."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Call(Generic[T]):
    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: T | None = None
        self.error: BaseException | None = None


class SingleFlight(Generic[T]):
    """The first caller of a key is the leader and does the work; concurrent callers wait and get its value or its error.

    Nothing is kept after the flight. Between processes the lease of the job queue has the same purpose.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects _calls and coalesced; never held while work runs
        self._calls: dict[Hashable, _Call[T]] = {}
        self.coalesced = 0

    def do(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return what the flight of `key` returns, or raise what it raises."""
        with self._lock:
            call = self._calls.get(key)
            leads = call is None
            if call is None:
                call = self._calls[key] = _Call()
            else:
                self.coalesced += 1
        if not leads:
            call.done.wait()
            if call.error is not None:
                raise call.error
            return call.value  # type: ignore[return-value]  # set whenever there is no error
        try:
            call.value = work()
        except BaseException as error:
            call.error = error
            raise
        else:
            return call.value
        finally:
            # Removed before the waiters wake: later callers start a new flight and read the tiers first.
            with self._lock:
                del self._calls[key]
            call.done.set()
