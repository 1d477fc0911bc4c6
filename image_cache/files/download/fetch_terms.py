"""What a fetch needs and what it returns: its connections, its end from outside, its sources, the log of its attempts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from image_cache.errors import ChecksumMismatch
from image_cache.frozen import frozen

if TYPE_CHECKING:
    from image_cache.net.client import HttpResponse

Progress = Callable[[int, int | None], object]  # bytes so far, bytes in all as far as known


class Opener(Protocol):
    """Opens guarded connections to origins, as `HttpClient` does; `check` raises `OriginDenied` without connecting."""

    def check(self, url: str) -> None: ...

    def open(self, url: str, **options: Any) -> "AbstractContextManager[HttpResponse]": ...


class FetchControl(Protocol):
    """Ends a fetch from outside. `check` is called often and raises `FetchStopped`; `pause` waits and does the same."""

    def check(self) -> None: ...

    def pause(self, seconds: float) -> None: ...

    def must_yield(self) -> bool:
        """Return True if other fetches are waiting for this one to pause."""
        ...


@frozen
class FetchOutcome:
    """The result of a fetch. `is_unchanged`: the origin answered 304 to the conditions."""

    is_unchanged: bool
    sha256: str = ""
    etag: str = ""
    last_modified: str = ""


class AttemptLog(Protocol):
    """Where the attempts of a fetch are listed. `begin` returns the key for `end`, whose `result` is empty for a success."""

    def begin(self, source: str, offset: int) -> int: ...

    def end(self, key: int, result: str, received_bytes: int) -> None: ...


@contextmanager
def logged(log: AttemptLog | None, source: str, offset: int, received_bytes: Callable[[], int]) -> Iterator[None]:
    """List the attempt of this block, with how it ended."""
    if log is None:
        yield
        return
    key = log.begin(source, offset)
    result = "stopped"
    try:
        yield
        result = ""
    except ChecksumMismatch:
        result = "checksum differs, discarded"
        raise
    except Exception as error:
        result = str(getattr(error, "reason", "") or error)[:300]
        raise
    finally:
        log.end(key, result, received_bytes())


class Sources:
    """The URLs of one file, in the order in which they are tried; one that cannot succeed is left out."""

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._urls = list(dict.fromkeys(urls))
        self._place = 0

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def current(self) -> str:
        return self._urls[self._place]

    def turn(self, *, is_final: bool) -> bool:
        """Go on to the next URL, without the present one if its failure is final. Return False if there is no other."""
        if len(self._urls) == 1:
            return False
        if is_final:
            self._urls.pop(self._place)
            self._place %= len(self._urls)
        else:
            self._place = (self._place + 1) % len(self._urls)
        return True
