"""How addresses come in: one row per image, under the best address that is known for it."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.identity import Identity, identify
from image_cache.covers.loader import BASE_VARIANTS
from image_cache.db.database import DatabaseError
from image_cache.engine.cache import Cache
from image_cache.engine.jobs import VISIBLE, JobQueue, LoadRequest
from image_cache.engine.registry import ImageRecord, ImageRegistry
from image_cache.errors import OriginDenied, QueueFull
from image_cache.models import Cover
from image_cache.net.url import host_queue, parse_url

# Times further ahead than any back-off were written by a clock that was wrong; they keep nobody away.
LONGEST_REST_S, LONGEST_FINAL_REST_S = 2 * 3600.0, 60 * 86400.0


def is_given_up(image: ImageRecord, now: float) -> bool:
    """Tell whether a page should say that there is no picture, for the time being."""
    return image.is_final and is_resting(image, now)


def is_resting(image: ImageRecord, now: float) -> bool:
    """Tell whether the last load failed and it is too early for the next one."""
    longest_s = LONGEST_FINAL_REST_S if image.is_final else LONGEST_REST_S
    return image.failures > 0 and now < image.retry_at <= now + longest_s


def cover(image: ImageRecord, state: str) -> Cover:
    edge_px = max(image.width or 0, image.height or 0) or None
    return Cover(image.digest, state, image.average, image.hue, image.chroma, image.retry_at or None, edge_px)


AT_A_TIME = 400  # digests per SQL statement


class CoverRegistry:
    """Registers addresses. Thread-safe and process-safe."""

    def __init__(self, cache: Cache, register: ImageRegistry, names: CoverDigests) -> None:
        self._database = cache.index.database
        self._register = register
        self._names = names

    def register(self, urls: Iterable[str | None]) -> int:
        """Register what is not known yet, and better addresses of what is; returns how many rows that changed."""
        self._names.refresh()
        found: dict[str, Identity] = {}
        for url in urls:
            if url:
                identity, digest = self._names.of(url)
                # Of two addresses of one image, such as a thumbnail's and the picture's, the larger one counts.
                if digest not in found or identity.edge_px > found[digest].edge_px:
                    found[digest] = identity
        new: list[ImageRecord] = []
        for part in chunks(list(found)):
            known = self._register.get_many(part)
            for digest in part:
                identity, image = found[digest], known.get(digest)
                if image is None or _is_better(identity, image):
                    revision = self._names.revision(identity.name)
                    new.append(ImageRecord(digest, NAMESPACE, identity.name, identity.url, host_queue(identity.url), revision))
        if new:
            with self._database.write() as conn:
                self._register.add(conn, new)
        return len(new)

    def failing(self, urls: Iterable[str]) -> set[str]:
        """Return those of the addresses whose picture was refused by its origin under another address of the same identity.

        Other failures have nothing to do with the address: a line that is down, a host that may not be spoken to, a broken file.
        """
        found: set[str] = set()
        by_digest = {self._names.of(url)[1]: url for url in urls}
        for part in chunks(list(by_digest)):
            for digest, image in self._register.get_many(part).items():
                is_refused = image.is_final and image.failure.startswith("answered ")
                if is_refused and image.url != identify(by_digest[digest]).url:
                    found.add(by_digest[digest])
        return found

    def retry_with_url(self, urls: Iterable[str]) -> None:
        """Let the pictures of addresses, which failed elsewhere, be tried there."""
        with self._database.write() as conn:
            for url in urls:
                identity, digest = self._names.of(url)
                self._register.retry_with_url(
                    conn, ImageRecord(digest, NAMESPACE, identity.name, identity.url, host_queue(identity.url))
                )

    def registry(self, urls: Sequence[str]) -> dict[str, str]:
        """Register what can be fetched from; returns the rest, with the reason for each."""
        refused: dict[str, str] = {}
        for url in urls:
            try:
                parse_url(url)
            except OriginDenied as error:
                refused[url] = error.reason
        self.register(url for url in urls if url not in refused)
        return refused


def chunks(digests: Sequence[str]) -> Iterator[list[str]]:
    """Yield the digests in portions that one SQL statement takes."""
    for start in range(0, len(digests), AT_A_TIME):
        yield list(digests[start : start + AT_A_TIME])


def _is_better(identity: Identity, image: ImageRecord) -> bool:
    """Tell whether another address should replace the known one: a larger picture's, or any when the known one failed.

    Not any other: two records with the same sleeve under two signatures would take turns, with a write for every page.
    """
    return identity.url != image.url and (image.failures > 0 or identity.edge_px > identify(image.url).edge_px)


logger = logging.getLogger(__name__)

LASTS_S = 5.0  # a wish is not written again within this time
KEPT = 4096


class DemandQueue:
    """Puts jobs in front of all others. Thread-safe: what it remembers is only a hint, so it needs no lock."""

    def __init__(self, jobs: JobQueue) -> None:
        self._jobs = jobs
        self._made_at: dict[tuple[str, str], float] = {}  # (digest, variant) -> monotonic time

    def request(self, image: ImageRecord, variant: str) -> bool:
        """Queue the image; False when that was done a moment ago, or cannot be done now."""
        now = time.monotonic()
        if now - self._made_at.get((image.digest, variant), -LASTS_S) < LASTS_S:
            return False
        if len(self._made_at) >= KEPT:
            self.forget()
        self._made_at[image.digest, variant] = now
        try:
            self._jobs.put([LoadRequest(image.digest, image.lane, wants_of(variant))], VISIBLE)
        except (QueueFull, DatabaseError) as error:
            logger.warning("wish not queued reason=%s", error)
            return False
        return True

    def forget_recent(self, digests: Iterable[str], variants: Iterable[str]) -> None:
        """What was looked at may be wished for again at once."""
        names = list(variants)
        for digest in digests:
            for variant in names:
                self._made_at.pop((digest, variant), None)

    def forget(self) -> None:
        self._made_at = {}


def wants_of(variant: str) -> tuple[str, ...]:
    """Return what a job has to be told to make the variant: nothing when every job makes it."""
    return () if variant in BASE_VARIANTS else (variant,)
