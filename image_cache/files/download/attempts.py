"""Table module of the attempts to fetch a file: from which mirror, from which byte on, with which result."""

import logging

from image_cache.db.database import DatabaseError
from image_cache.files.disk.index import FileIndex
from image_cache.frozen import frozen

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 20  # that are listed for each file


@frozen
class Attempt:
    """One attempt. `source`: its URL without the query. `result`: empty for a success. `ended_at` None: it runs, or its process died."""

    id: int
    source: str
    began_at: float
    ended_at: float | None
    from_bytes: int
    received_bytes: int
    result: str


_ATTEMPT = ", ".join(Attempt.__match_args__)


class AttemptTable:
    """The attempts of one file. A list that cannot be written stops no download."""

    def __init__(self, index: FileIndex, digest: str) -> None:
        self._index = index
        self._digest = digest

    def begin(self, source: str, offset: int) -> int:
        """Add an attempt and return its key; the oldest ones beyond `MAX_ATTEMPTS` are dropped."""
        try:
            with self._index.db.write() as conn:
                added = conn.execute(
                    "INSERT INTO attempts (digest, source, began_at, from_bytes) VALUES (?, ?, ?, ?)",
                    (self._digest, source.partition("?")[0], self._index.now(), offset),
                )
                conn.execute(
                    "DELETE FROM attempts WHERE digest = ? AND id NOT IN"
                    " (SELECT id FROM attempts WHERE digest = ? ORDER BY id DESC LIMIT ?)",
                    (self._digest, self._digest, MAX_ATTEMPTS),
                )
                return int(added.lastrowid or 0)
        except DatabaseError as error:
            logger.warning("attempt not listed reason=%s", error)
            return 0

    def end(self, key: int, result: str, received_bytes: int) -> None:
        try:
            with self._index.db.write() as conn:
                conn.execute(
                    "UPDATE attempts SET ended_at = ?, result = ?, received_bytes = ? WHERE id = ?",
                    (self._index.now(), result, received_bytes, key),
                )
        except DatabaseError as error:
            logger.warning("attempt not listed reason=%s", error)

    def listed(self) -> list[Attempt]:
        """Return the attempts, the latest first."""
        rows = self._index.db.rows(f"SELECT {_ATTEMPT} FROM attempts WHERE digest = ? ORDER BY id DESC", (self._digest,))
        return [Attempt(**dict(row)) for row in rows]


def drop_orphans(index: FileIndex) -> None:
    """Drop the attempts of files that are neither stored nor to be fetched."""
    with index.db.write() as conn:
        conn.execute(
            "DELETE FROM attempts WHERE digest NOT IN (SELECT digest FROM files) AND digest NOT IN (SELECT digest FROM fetches)"
        )
