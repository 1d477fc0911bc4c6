"""Registration of cover URLs: one row per image, under the best URL that is known for it."""

import contextlib
import logging
from collections.abc import Iterable, Sequence

from image_cache.covers.digests import NAMESPACE
from image_cache.covers.identity import Identity, identify
from image_cache.covers.store import AT_A_TIME, CoverContext, chunks
from image_cache.db.database import DatabaseError
from image_cache.engine.registry import ImageRecord
from image_cache.errors import OriginDenied
from image_cache.frozen import frozen
from image_cache.net.url import host_queue, parse_url

logger = logging.getLogger(__name__)

ROWS_A_WRITE = 8000  # of a whole collection: their digests are spread over all pages


@frozen
class ResolvedUrls:
    """What URLs mean: the digest of each, and for each digest the identity with the best URL."""

    digests: dict[str, str]
    identities: dict[str, Identity]


class CoverRegistry:
    """Registers URLs. Thread-safe and process-safe."""

    def __init__(self, store: CoverContext) -> None:
        self._store = store

    def resolve(self, urls: Iterable[str | None]) -> ResolvedUrls:
        """Identify and hash each URL once; None is left out. One small read; without the index the known numbers hold."""
        with contextlib.suppress(DatabaseError):
            self._store.digests.refresh()
        digests: dict[str, str] = {}
        identities: dict[str, Identity] = {}
        for url, (identity, digest) in self._store.digests.resolve(url for url in urls if url).items():
            digests[url] = digest
            # Of two URLs of one image, such as a thumbnail's and the full size, the larger one counts.
            if digest not in identities or identity.edge_px > identities[digest].edge_px:
                identities[digest] = identity
        return ResolvedUrls(digests, identities)

    def register(self, urls: Iterable[str | None]) -> int:
        """Register unknown URLs, and better URLs of known images; returns how many rows that changed. Any number of URLs."""
        count, changed = 0, dict[str, ImageRecord]()
        for part in chunks(urls):
            resolved = self.resolve(part)
            known = {**self._store.images(resolved.identities), **changed}
            changed |= {image.digest: image for image in self._changes(resolved, known)}
            if len(changed) >= ROWS_A_WRITE:
                count += self._write_all(changed)
        return count + self._write_all(changed)

    def try_register(self, urls: Iterable[str | None]) -> None:
        """Register them, unless the index does not take them now: a full disk, or a folder that cannot be used."""
        try:
            self.register(urls)
        except DatabaseError as error:
            logger.warning("covers not registered reason=%s", error)

    def images_for_page(self, resolved: ResolvedUrls) -> dict[str, ImageRecord]:
        """Return the images by digest; those that are unknown are registered, if the disk allows it."""
        images = self._store.images(resolved.identities)
        if changed := self._changes(resolved, images):
            try:
                self._write(changed)
            except DatabaseError as error:
                logger.warning("covers not registered reason=%s", error)
            images |= self._store.images(image.digest for image in changed)
        return images

    def register_addresses(self, urls: Sequence[str]) -> dict[str, str]:
        """Register the URLs that can be fetched; returns the others, with the reason for each."""
        refused: dict[str, str] = {}
        for url in urls:
            try:
                parse_url(url)
            except OriginDenied as error:
                refused[url] = error.reason
        self.register(url for url in urls if url not in refused)
        return refused

    def failing(self, urls: Iterable[str]) -> set[str]:
        """Return those of the URLs whose image was refused by its origin under another URL of the same identity.

        Other failures have nothing to do with the URL: a connection that is down, a host that is denied, a corrupt file.
        """
        found: set[str] = set()
        for part in chunks(urls):
            by_digest = {digest: (url, identity) for url, (identity, digest) in self._store.digests.resolve(part).items()}
            for digest, image in self._store.images(by_digest).items():
                url, identity = by_digest[digest]
                if image.is_final and image.failure_code.isdigit() and image.url != identity.url:
                    found.add(url)
        return found

    def retry_with_url(self, urls: Iterable[str]) -> None:
        """Retry failed images at these URLs."""
        with self._store.registry.database.write() as conn:
            for identity, digest in self._store.digests.resolve(urls).values():
                image = ImageRecord(digest, NAMESPACE, identity.name, identity.url, host_queue(identity.url))
                self._store.registry.retry_with_url(conn, image)

    def _changes(self, resolved: ResolvedUrls, known: dict[str, ImageRecord]) -> list[ImageRecord]:
        """Return the rows to write."""
        return [
            ImageRecord(
                digest,
                NAMESPACE,
                identity.name,
                identity.url,
                host_queue(identity.url),
                self._store.digests.revision(identity.name),
            )
            for digest, identity in resolved.identities.items()
            if (image := known.get(digest)) is None or (identity.url != image.url and _is_better(identity, image))
        ]

    def _write_all(self, changed: dict[str, ImageRecord]) -> int:
        """Write and forget rows; return how many. In the order of their pages, each of which is written once."""
        count = len(changed)
        self._write([changed[digest] for digest in sorted(changed)])
        changed.clear()
        return count

    def _write(self, images: list[ImageRecord]) -> None:
        if images:
            with self._store.registry.database.write(is_bulk=len(images) > AT_A_TIME) as conn:
                self._store.registry.add(conn, images)


def _is_better(identity: Identity, image: ImageRecord) -> bool:
    """Return True if another URL should replace the known one: that of a larger image, or any when the known one failed.

    No other does: two records with the same cover under two signatures would take turns, with a write for every page.
    """
    return image.failures > 0 or identity.edge_px > identify(image.url).edge_px
