"""Digests of covers: from the URL of an origin to the digest in our own URL. Computed in memory; only `refresh` does I/O.

The digest hashes the canonical identity, its revision, the settings that decide the pixels, and the generation. The revision is
0 for nearly every cover and goes up when the origin's image changed; a clear raises the generation. So a digest never changes
its bytes, and responses may be cached forever. Both numbers are mirrored to a small file, because the index may be deleted
while browsers still hold images under the old digests.
"""

import json
import logging
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from image_cache.covers.identity import Identity, identify
from image_cache.db.database import Connection, DatabaseError
from image_cache.engine.key import digest_of
from image_cache.engine.meta import read_meta, write_meta
from image_cache.engine.registry import ImageRegistry
from image_cache.filesystem import replacing

logger = logging.getLogger(__name__)

NAMESPACE = "covers"


class CoverDigests:
    """Digests of one cache. Thread-safe. Call `open` first."""

    def __init__(self, registry: ImageRegistry, spec: str, mirror: Path) -> None:
        self._registry = registry
        self._database = registry.database
        self._spec = spec
        self._mirror = mirror
        self._lock = threading.Lock()  # protects the three below, which change together
        self._epoch = -1
        self._generation = 0
        self._revisions: dict[str, int] = {}

    def open(self) -> None:
        """Read the numbers from the index; for a new index, from memory or the mirror; for a new cache, draw them.

        A fresh generation is random: a cache folder that was deleted must not give its old digests to other bytes.
        Without a usable index the mirror is enough.
        """
        if self._epoch < 0:
            self._generation, self._revisions = self._read_mirror()
        try:
            if not read_meta(self._database, "generation"):
                with self._database.write() as conn:
                    conn.execute("INSERT INTO meta VALUES ('generation', ?) ON CONFLICT (name) DO NOTHING", (self._generation,))
                    # Not 0 again: other processes know the numbers of the index before this one.
                    conn.execute(
                        "INSERT INTO meta VALUES ('epoch', ?) ON CONFLICT (name) DO NOTHING", (secrets.randbelow(2**31),)
                    )
            self.refresh()
        except DatabaseError as error:
            logger.warning("index unavailable, using the cover name mirror reason=%s", error)
        self._write_mirror()

    def refresh(self) -> None:
        """Load changes of other processes: one small query, at the start of a page."""
        epoch = read_meta(self._database, "epoch")
        if epoch == self._epoch:
            return
        generation, revisions = read_meta(self._database, "generation"), self._registry.revisions(NAMESPACE)
        if not generation:  # the index was lost a moment ago: the known numbers hold until `open` has written them to the new one
            return
        with self._lock:
            # An index rebuilt from nothing knows no revisions: those of the mirror hold until their images are registered again.
            self._revisions = {**self._revisions, **revisions} if generation == self._generation else revisions
            self._epoch, self._generation = epoch, generation

    def resolve(self, urls: Iterable[str]) -> dict[str, tuple[Identity, str]]:
        """Return what each URL means, and the digest of it. Each URL is parsed and hashed once."""
        with self._lock:
            revisions, generation = self._revisions, self._generation  # replaced as a whole, never changed
        found: dict[str, tuple[Identity, str]] = {}
        for url in urls:
            if url not in found:
                identity = identify(url)
                revision = revisions.get(identity.name, 0)
                found[url] = identity, digest_of(NAMESPACE, identity.name, str(revision), self._spec, str(generation))
        return found

    def of(self, url: str) -> tuple[Identity, str]:
        """Return what the URL means, and the digest of it."""
        return self.resolve([url])[url]

    def revision(self, identity: str) -> int:
        with self._lock:
            return self._revisions.get(identity, 0)

    def digest_at(self, identity: str, revision: int) -> str:
        """Return the digest of the identity at another revision."""
        with self._lock:
            generation = self._generation
        return digest_of(NAMESPACE, identity, str(revision), self._spec, str(generation))

    def revised(self, conn: Connection) -> None:
        """Announce a changed revision to all processes, in the transaction that moves the image. Call `publish` after it."""
        write_meta(conn, "epoch", read_meta(self._database, "epoch") + 1)

    def next_generation(self, conn: Connection) -> None:
        """Give every cover a new digest, in the transaction that clears the register. Call `publish` after it."""
        write_meta(conn, "generation", read_meta(self._database, "generation") + 1)
        write_meta(conn, "epoch", read_meta(self._database, "epoch") + 1)

    def publish(self) -> None:
        """Read the changed numbers back and mirror them to the file."""
        self.refresh()
        self._write_mirror()

    def _read_mirror(self) -> tuple[int, dict[str, int]]:
        try:
            known = json.loads(self._mirror.read_text(encoding="utf-8"))
            return int(known["generation"]), {str(name): int(number) for name, number in known["revisions"].items()}
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            logger.warning("mirror unreadable path=%s reason=%s", self._mirror, error)
        return 1 + secrets.randbelow(2**31), {}

    def _write_mirror(self) -> None:
        with self._lock:
            text = json.dumps({"generation": self._generation, "revisions": self._revisions}, ensure_ascii=False)
        try:
            if self._mirror.is_file() and self._mirror.read_text(encoding="utf-8") == text:
                return
            with replacing(self._mirror) as file:
                file.write(text.encode())
        except OSError as error:  # a full or read-only disk: the index still has the numbers
            logger.warning("mirror not written path=%s reason=%s", self._mirror, error)
