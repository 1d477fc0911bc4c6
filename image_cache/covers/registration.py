"""How addresses come in: one row per image, under the best address that is known for it."""

from collections.abc import Iterable, Iterator, Sequence

from image_cache.covers.digests import NAMESPACE, CoverDigests
from image_cache.covers.identity import Identity, identify
from image_cache.engine.cache import Cache
from image_cache.engine.registry import ImageRecord, ImageRegistry
from image_cache.errors import OriginDenied
from image_cache.net.url import lane, parse_url

AT_A_TIME = 400  # digests per SQL statement


class CoverRegistry:
    """Registers addresses. Thread-safe and process-safe."""

    def __init__(self, cache: Cache, register: ImageRegistry, names: CoverDigests) -> None:
        self._database = cache.index.database
        self._register = register
        self._names = names

    def remember(self, urls: Iterable[str | None]) -> int:
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
        for part in parts(list(found)):
            known = self._register.get_many(part)
            for digest in part:
                identity, image = found[digest], known.get(digest)
                if image is None or _is_better(identity, image):
                    revision = self._names.revision(identity.name)
                    new.append(ImageRecord(digest, NAMESPACE, identity.name, identity.url, lane(identity.url), revision))
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
        for part in parts(list(by_digest)):
            for digest, image in self._register.get_many(part).items():
                is_refused = image.is_final and image.failure.startswith("answered ")
                if is_refused and image.url != identify(by_digest[digest]).url:
                    found.add(by_digest[digest])
        return found

    def renew(self, urls: Iterable[str]) -> None:
        """Let the pictures of addresses, which failed elsewhere, be tried there."""
        with self._database.write() as conn:
            for url in urls:
                identity, digest = self._names.of(url)
                self._register.renew(conn, ImageRecord(digest, NAMESPACE, identity.name, identity.url, lane(identity.url)))

    def register(self, urls: Sequence[str]) -> dict[str, str]:
        """Register what can be fetched from; returns the rest, with the reason for each."""
        refused: dict[str, str] = {}
        for url in urls:
            try:
                parse_url(url)
            except OriginDenied as error:
                refused[url] = error.reason
        self.remember(url for url in urls if url not in refused)
        return refused


def parts(digests: Sequence[str]) -> Iterator[list[str]]:
    """Yield the digests in portions that one SQL statement takes."""
    for start in range(0, len(digests), AT_A_TIME):
        yield list(digests[start : start + AT_A_TIME])


def _is_better(identity: Identity, image: ImageRecord) -> bool:
    """Tell whether another address should replace the known one: a larger picture's, or any when the known one failed.

    Not any other: two records with the same sleeve under two signatures would take turns, with a write for every page.
    """
    return identity.url != image.url and (image.failures > 0 or identity.edge_px > identify(image.url).edge_px)
