"""The Cover Art Archive: which pictures it has of a release. It answers with redirects into the Internet Archive, judged at each hop.

Pictures are always asked for in 1200 px: originals may have 50 MB. Source of addresses and fields: "Cover Art Archive / API"
on musicbrainz.org.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from image_cache.errors import OriginError, OriginNotFound, OriginUnavailable
from image_cache.importers.artwork.musicbrainz import BUSY_S, MBID
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.net.rate_limit import IntervalLimiter

INTERVAL_S = 1.0  # it has no limit, and asks to be treated gently
MAX_BYTES = 2_000_000
SIZES = ("1200", "500")  # the first that there is; what the archive calls large is 500
DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class ArchiveImage:
    """A picture of a release: its address, and whether it is the front."""

    url: str
    is_front: bool
    says: str


class CoverArtArchive:
    """Asks the archive. `wait` is called with the seconds until this caller's turn, and may raise to end it."""

    def __init__(self, fetcher: LazyHttpClient, base_url: str, turns: IntervalLimiter, wait: Callable[[float], None]) -> None:
        self._fetcher = fetcher
        self._base_url = base_url.rstrip("/")
        self._turns = turns
        self._wait = wait

    def of_release(self, mbid: str) -> list[ArchiveImage]:
        """Return the pictures of a release, fronts first; none when it is not known or has none.

        Raises `OriginUnavailable` or `OriginDenied`.
        """
        return self._pictures("release", mbid)

    def of_group(self, mbid: str) -> list[ArchiveImage]:
        """Return the picture that stands for all pressings of a release group. Raises as `of_release`."""
        return self._pictures("release-group", mbid)

    def _pictures(self, kind: str, mbid: str) -> list[ArchiveImage]:
        if not MBID.fullmatch(mbid):
            return []
        found = self._ask(f"{self._base_url}/{kind}/{mbid}")
        images = found.get("images") if isinstance(found, dict) else None
        if not isinstance(images, list):
            return []
        # Of a group the archive names the release that the picture is from: there it has an address that stays.
        release = _tail(found.get("release")) if kind == "release-group" else mbid
        pictures = [self._picture(release, one) for one in images if isinstance(one, dict) and MBID.fullmatch(release)]
        return sorted((one for one in pictures if one is not None), key=lambda one: not one.is_front)

    def _picture(self, release: str, image: dict[str, Any]) -> ArchiveImage | None:
        number = str(image.get("id", ""))  # a number in newer answers, text in older ones
        if not number.isascii() or not number.isdigit() or len(number) > 20:
            return None
        thumbnails = image.get("thumbnails")
        known = thumbnails if isinstance(thumbnails, dict) else {}
        size = next((size for size in SIZES if size in known), SIZES[-1] if "large" in known else SIZES[0])
        types = [one for one in image.get("types", ()) if isinstance(one, str)][:3]
        comment = image.get("comment")
        says = " ".join(
            filter(None, [", ".join(types) or "Picture", f"({comment[:60]})" if isinstance(comment, str) and comment else ""])
        )
        return ArchiveImage(f"{self._base_url}/release/{release}/{number}-{size}.jpg", image.get("front") is True, says)

    def _ask(self, url: str) -> Any:
        self._wait(self._turns.reserve())
        try:
            with self._fetcher.open(
                url, headers={"Accept": "application/json"}, max_bytes=MAX_BYTES, deadline_s=DEADLINE_S
            ) as answer:
                body = b"".join(answer.chunks())
        except OriginNotFound:
            return None
        except OriginUnavailable as error:
            if error.status is not None:
                self._turns.back_off(BUSY_S if error.retry_after_s is None else error.retry_after_s)
            raise
        except OriginError as error:
            if error.status == 400:  # an id that it does not take for one
                return None
            raise
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise OriginUnavailable(url, "answered something that is not JSON", status=200, kind="broken") from error


def _tail(address: Any) -> str:
    return address.rstrip("/").rpartition("/")[2] if isinstance(address, str) else ""
