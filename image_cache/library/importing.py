"""The loop of an import: rows in, batches of changes out, a report at the end."""

import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from image_cache.adapters.catalog import Catalog
from image_cache.database import Connection, Database, OperationalError
from image_cache.errors import ImportRejected, StorageError
from image_cache.library.merge import created, identity, merged, numbered
from image_cache.models import AlbumRow, ImportReport

ROWS_A_WRITE = 200  # one fsync for so many, and others get their turn to write in between
KEPT_REASONS = 1000

_COPIES = "CREATE TABLE copies (source TEXT, source_id TEXT, seen INTEGER, PRIMARY KEY (source, source_id)) WITHOUT ROWID;"


def import_rows(
    catalog: Catalog,
    rows: Iterable[AlbumRow | ImportRejected],
    *,
    now: float,
    dry_run: bool,
    progress: Callable[[int], None] | None,
) -> ImportReport:
    """Put rows into the catalogue; see `Library.import_rows`."""
    counts: Counter[str] = Counter()
    rejected: list[tuple[int, str]] = []
    read = 0
    with contextlib.ExitStack() as stack:
        # Which identities this file has shown so far. On disk: a table may have a million rows, the machine 512 MB.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vinylvault-import-"))
        copies = stack.enter_context(contextlib.closing(Database(Path(folder) / "copies.db", [_COPIES], synchronous="OFF")))
        source = iter(rows)
        while batch := list(itertools.islice(source, ROWS_A_WRITE)):
            read += len(batch)
            bad = [(row.line, row.reason) for row in batch if isinstance(row, ImportRejected)]
            rejected += bad[: KEPT_REASONS - len(rejected)]
            # Looking up and writing are one transaction: another import may run at the same time.
            try:
                with copies.write() as seen, contextlib.nullcontext() if dry_run else catalog.write() as conn:
                    done = Counter(_apply(catalog, conn, seen, row, now) for row in batch if isinstance(row, AlbumRow))
            except OperationalError as error:
                raise StorageError(str(catalog.db.path), f"{error}, {counts.total():,} rows went in") from error
            counts += done
            if progress:
                progress(read)
    return ImportReport(read, counts["new"], counts["changed"], counts["same"], tuple(rejected))


def _apply(catalog: Catalog, conn: Connection | None, seen: Connection, row: AlbumRow, now: float) -> str:
    """Insert or update the album of a row, or only compare when `conn` is None; return what happened."""
    source, source_id = identity(row)
    if not row.source_id:
        nth = seen.execute(
            "INSERT INTO copies VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET seen = seen + 1 RETURNING seen", (source, source_id)
        ).fetchone()["seen"]
        source_id = numbered(source_id, nth)
    before = catalog.by_identity(source, source_id)
    if before is None:
        if conn is not None:
            catalog.insert(conn, created(row, source, source_id, now))
        return "new"
    after = merged(before, row)
    if after == before:
        return "same"
    if conn is not None:
        catalog.update(conn, before, after)
    return "changed"
