"""Cover Art Archive client: the images of a release. It redirects to the Internet Archive; each redirect is checked.

Images are requested in 1200 px: originals may have 50 MB. Source of addresses and fields: "Cover Art Archive / API"
on musicbrainz.org.
"""

from collections.abc import Callable
from typing import Any

from image_cache.errors import OriginError, OriginNotFound, OriginUnavailable
from image_cache.frozen import frozen
from image_cache.importers.artwork.musicbrainz import BUSY_S, MBID
from image_cache.net.json_values import as_object, line, lines, objects, parse_json
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.net.rate_limit import IntervalLimiter

INTERVAL_S = 1.0  # it documents no rate limit, but asks clients to be considerate
MAX_BYTES = 2_000_000
MAX_IMAGES = 200  # of a release: some box sets have every page of their booklets
SIZES = ("1200", "500")  # the first that exists; "large" of the archive is 500
DEADLINE_S = 30.0


@frozen
class ArchiveImage:
    """An image of a release. `label` describes it for users."""

    url: str
    is_front: bool
    label: str


class CoverArtArchive:
    """Calls the archive. `wait` is called with the seconds until the next call is allowed, and may raise to give up."""

    def __init__(
        self, fetcher: LazyHttpClient, base_url: str, rate_limit: IntervalLimiter, wait: Callable[[float], None]
    ) -> None:
        self._fetcher = fetcher
        self._base_url = base_url.rstrip("/")
        self._rate_limit = rate_limit
        self._wait = wait

    def of_release(self, mbid: str) -> list[ArchiveImage]:
        """Return the images of a release, front covers first; empty if it is unknown or has none.

        Raises `OriginUnavailable` or `OriginDenied`.
        """
        return self._images("release", mbid)

    def of_group(self, mbid: str) -> list[ArchiveImage]:
        """Return the images of a release group, all its pressings together. Raises as `of_release`."""
        return self._images("release-group", mbid)

    def _images(self, kind: str, mbid: str) -> list[ArchiveImage]:
        if not MBID.fullmatch(mbid):
            return []
        found = as_object(self._get(f"{self._base_url}/{kind}/{mbid}"))
        # For a group the archive names the release that the image is from: its address there is permanent.
        release = _tail(found.get("release")) if kind == "release-group" else mbid
        if not MBID.fullmatch(release):
            return []
        images = [self._image(release, image) for image in objects(found.get("images"), MAX_IMAGES)]
        return sorted((image for image in images if image is not None), key=lambda image: not image.is_front)

    def _image(self, release: str, image: dict[str, Any]) -> ArchiveImage | None:
        number = str(image.get("id", ""))  # a number in newer responses, text in older ones
        if not number.isascii() or not number.isdigit() or len(number) > 20:
            return None
        known = as_object(image.get("thumbnails"))
        size = next((size for size in SIZES if size in known), SIZES[-1] if "large" in known else SIZES[0])
        comment = line(image.get("comment"), 60).strip()
        label = (", ".join(lines(image.get("types"), 3, 60)) or "Image") + (f" ({comment})" if comment else "")
        return ArchiveImage(f"{self._base_url}/release/{release}/{number}-{size}.jpg", image.get("front") is True, label)

    def _get(self, url: str) -> Any:
        self._wait(self._rate_limit.reserve())
        try:
            with self._fetcher.open(
                url, headers={"Accept": "application/json"}, max_bytes=MAX_BYTES, deadline_s=DEADLINE_S
            ) as response:
                body = b"".join(response.chunks())
        except OriginNotFound:
            return None
        except OriginUnavailable as error:
            if error.status is not None:
                self._rate_limit.back_off(BUSY_S if error.retry_after_s is None else error.retry_after_s)
            raise
        except OriginError as error:
            if error.status == 400:  # it does not accept the id
                return None
            raise
        return parse_json(body, url)


def _tail(address: Any) -> str:
    return address.rstrip("/").rpartition("/")[2] if isinstance(address, str) else ""
