"""What a service did with a batch of tracks, and what its clients have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from image_cache.errors import CacheError
from image_cache.frozen import frozen
from image_cache.scrobbling.table import Scrobble

HOUR_S = 3600.0


class BatchRefused(CacheError):
    """The service refused a whole batch, perhaps for one of its tracks. `reason` is in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@frozen
class Outcome:
    """`sent` and `later` are numbers of scrobbles, `refused` has the reason of each. `later_s`: how long the later ones wait."""

    sent: Sequence[int] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    later: Sequence[int] = ()
    later_s: float = HOUR_S
    message: str = ""


class ScrobbleClient(Protocol):
    """A service with one account's token. Calls raise `SourceRefused` if it does not accept the token, and `OriginUnavailable`."""

    title: str
    batch: int  # tracks in a request

    def verify(self, token: str) -> tuple[str, str]:
        """Return the account's name there and the token to keep."""

    def submit(self, token: str, scrobbles: Sequence[Scrobble]) -> Outcome:
        """Send a batch. Also raises `BatchRefused`."""

    def arrived(self, token: str, scrobbles: Sequence[Scrobble]) -> list[int]:
        """Return those of earlier tries that the service has. Empty where sending twice does no harm."""


def is_unsent(kind: str, status: int | None) -> bool:
    """Return True if a request that failed like this was certainly not carried out."""
    return status == 429 or (status is None and kind in ("connect", "dns", "tls"))
