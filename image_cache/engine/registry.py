"""Image registry: the images that may be loaded, their URLs, and facts about them. Part of the disposable index."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from image_cache.db.database import Connection, Database, Row, parameter_marks
from image_cache.frozen import frozen


@frozen
class ImageRecord:
    """A registered image. `url` is where it is fetched from at present, `identity` is permanent. Facts are None before the first render."""

    digest: str
    namespace: str
    identity: str
    url: str
    lane: str
    revision: int = 0
    etag: str = ""
    last_modified: str = ""
    body_sha256: bytes | None = None
    fetched_at: float | None = None
    fresh_until: float | None = None
    width: int | None = None
    height: int | None = None
    average: str | None = None
    hue: int | None = None
    chroma: float | None = None
    failures: int = 0
    failure: str = ""  # for people; code looks at `failure_code`
    failure_code: str = ""
    is_final: bool = False
    retry_at: float = 0.0


COLUMNS = ", ".join(ImageRecord.__dataclass_fields__)
_IS_FINAL = list(ImageRecord.__dataclass_fields__).index("is_final") - 1


class ImageRegistry:
    """Rows of `images`. Thread-safe, process-safe; methods with a connection run in the caller's `write()` block."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, digest: str) -> ImageRecord | None:
        row = self.database.row(f"SELECT {COLUMNS} FROM images WHERE digest = ?", (bytes.fromhex(digest),))
        return None if row is None else _image(row)

    def find(self, namespace: str, identity: str) -> ImageRecord | None:
        """Return the image that is registered under an identity."""
        row = self.database.row(f"SELECT {COLUMNS} FROM images WHERE namespace = ? AND identity = ?", (namespace, identity))
        return None if row is None else _image(row)

    def get_many(self, digests: Sequence[str]) -> dict[str, ImageRecord]:
        """Return the registered images among the digests. For at most a few hundred digests."""
        if not digests:
            return {}
        rows = self.database.rows(
            f"SELECT {COLUMNS} FROM images WHERE digest IN ({parameter_marks(len(digests))})", [bytes.fromhex(d) for d in digests]
        )
        return {image.digest: image for image in map(_image, rows)}

    def add(self, conn: Connection, images: Iterable[ImageRecord]) -> None:
        """Register images; one whose identity is known gets the new URL and the new digest.

        The digest of a known identity changes with the settings of the renderer. A digest of an older revision comes from a
        process that does not know the change yet, and is ignored.
        """
        conn.executemany(
            "INSERT INTO images (digest, namespace, identity, url, lane, revision) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (namespace, identity) DO UPDATE SET url = excluded.url, lane = excluded.lane,"
            " digest = CASE WHEN excluded.revision < images.revision THEN images.digest ELSE excluded.digest END,"
            " revision = CASE WHEN excluded.revision < images.revision THEN images.revision ELSE excluded.revision END",
            [(bytes.fromhex(i.digest), i.namespace, i.identity, i.url, i.lane, i.revision) for i in images],
        )

    def record_fetch(self, conn: Connection, image: ImageRecord) -> None:
        """Write the result of a fetch: validators, facts, freshness. Clears the failure."""
        conn.execute(
            "UPDATE images SET etag = ?, last_modified = ?, body_sha256 = ?, fetched_at = ?, fresh_until = ?, width = ?, height = ?,"
            " average = ?, hue = ?, chroma = ?, failures = 0, failure = '', failure_code = '', is_final = 0, retry_at = 0 WHERE digest = ?",
            (
                image.etag,
                image.last_modified,
                image.body_sha256,
                image.fetched_at,
                image.fresh_until,
                image.width,
                image.height,
                image.average,
                image.hue,
                image.chroma,
                bytes.fromhex(image.digest),
            ),
        )

    def register_for_refetch(self, conn: Connection, namespace: str, hashes: Mapping[str, bytes | None]) -> None:
        """Record the SHA-256 of the former bytes of unfetched images, by identity: a fetch then detects whether they changed."""
        conn.executemany(
            "UPDATE images SET body_sha256 = ? WHERE namespace = ? AND identity = ? AND fetched_at IS NULL",
            [(sha256, namespace, identity) for identity, sha256 in hashes.items()],
        )

    def record_failure(
        self, conn: Connection, digest: str, failure: str, retry_at: float, *, is_final: bool, code: str = ""
    ) -> None:
        """Record a failed load. `code` is the HTTP status or the kind of the error.

        Facts and freshness of the last successful load stay: a stale image is better than none.
        """
        conn.execute(
            "UPDATE images SET failures = failures + 1, failure = ?, failure_code = ?, retry_at = ?, is_final = ? WHERE digest = ?",
            (failure[:200], code, retry_at, int(is_final), bytes.fromhex(digest)),
        )

    def retry_with_url(self, conn: Connection, image: ImageRecord) -> None:
        """Give a failed image another URL, from which it can be loaded at once."""
        conn.execute(
            "UPDATE images SET url = ?, lane = ?, failures = 0, failure = '', failure_code = '', is_final = 0, retry_at = 0 WHERE digest = ?",
            (image.url, image.lane, bytes.fromhex(image.digest)),
        )

    def clear_failures(self, conn: Connection, digests: Iterable[str]) -> None:
        """Clear the failures of images, so that their jobs can run now."""
        keys = [(bytes.fromhex(digest),) for digest in digests]
        conn.executemany(
            "UPDATE images SET failures = 0, failure = '', failure_code = '', is_final = 0, retry_at = 0 WHERE digest = ?", keys
        )
        conn.executemany("UPDATE jobs SET ready_at = 0 WHERE digest = ?", keys)

    def expire(self, conn: Connection, digests: Iterable[str]) -> None:
        """Let images be fetched again. Until the origin has answered, `fresh_until` is None."""
        conn.executemany(
            "UPDATE images SET fresh_until = NULL WHERE digest = ?", [(bytes.fromhex(digest),) for digest in digests]
        )

    def revise(self, conn: Connection, old_digest: str, new_digest: str, revision: int) -> None:
        """Give an image a new digest, because the origin's bytes changed."""
        conn.execute(
            "UPDATE images SET digest = ?, revision = ? WHERE digest = ?",
            (bytes.fromhex(new_digest), revision, bytes.fromhex(old_digest)),
        )

    def revisions(self, namespace: str) -> dict[str, int]:
        """Return the revision of each identity that has one above 0, which are few."""
        rows = self.database.rows("SELECT identity, revision FROM images WHERE namespace = ? AND revision > 0", (namespace,))
        return {row[0]: row[1] for row in rows}

    def unfetched(self, namespace: str, now: float, count: int) -> list[str]:
        """Return digests of images that were never fetched, have no job, and may be loaded now."""
        rows = self.database.rows(
            "SELECT digest FROM images WHERE namespace = ? AND fetched_at IS NULL AND retry_at <= ?"
            " AND digest NOT IN (SELECT digest FROM jobs) LIMIT ?",
            (namespace, now, count),
        )
        return [row[0].hex() for row in rows]

    def summary(self, namespace: str) -> tuple[int, int, int]:
        """Return the totals of a namespace: registered, fetched at least once, given up before that."""
        row = self.database.row("SELECT registered, fetched, given_up FROM image_totals WHERE namespace = ?", (namespace,))
        return (0, 0, 0) if row is None else (row[0], row[1], row[2])

    def count_stale(self, namespace: str, now: float) -> int:
        """Count the images that were fetched and are past their freshness."""
        row = self.database.row(
            "SELECT count(*) FROM images WHERE namespace = ? AND fetched_at IS NOT NULL"
            " AND (fresh_until IS NULL OR fresh_until <= ?)",
            (namespace, now),
        )
        return int(row[0]) if row else 0

    def remove(self, conn: Connection, digests: Iterable[str]) -> None:
        """Remove images: what was rendered of them must not come back."""
        conn.executemany("DELETE FROM images WHERE digest = ?", [(bytes.fromhex(digest),) for digest in digests])

    def clear(self, conn: Connection, namespace: str) -> None:
        conn.execute("DELETE FROM images WHERE namespace = ?", (namespace,))


def cover_facts(conn: Connection, namespace: str) -> Iterator[dict[str, object]]:
    """Yield what is needed to fetch each image of a namespace again and to see whether it changed, by identity."""
    rows = conn.execute(
        "SELECT identity, url, revision, digest, body_sha256, etag, width, height FROM images WHERE namespace = ? ORDER BY identity",
        (namespace,),
    )
    return map(dict, rows)


def _image(row: Row) -> ImageRecord:
    digest, *facts = row  # in the order of COLUMNS, the fields of ImageRecord. Fast, because a page makes many of them
    facts[_IS_FINAL] = bool(facts[_IS_FINAL])
    return ImageRecord(digest.hex(), *facts)
