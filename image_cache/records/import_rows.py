"""Import loop: rows in, batches of changes out, a report at the end."""

import contextlib
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Database, OperationalError
from image_cache.errors import ImportRejected, StorageError
from image_cache.import_models import ImportReport, ImportRow, RowLoss
from image_cache.records.batches.ahead import AT_A_TIME, AlbumsAhead
from image_cache.records.batches.imports import ImportBatch, ImportedAlbums
from image_cache.records.merge import apply_sync, create_album, identity_of, match_copy, merge_row, numbered_id
from image_cache.records.table import AlbumTable

logger = logging.getLogger(__name__)

ROWS_A_WRITE = 8000  # at most: a transaction writes each page that it changed once, however many rows are on it
WRITE_S = 3.0  # and at most so long: other processes wait 5 s for the lock; threads of this one are let in at once
TICK_S = 0.5  # of reading rows between two looks whether the import was cancelled
UNFOUND_ROWS = 8000  # new records that an import leaves out of the index of the search: they go in sorted, which spares the card
ROWS_A_LOOK = 20  # after so many it is seen whether another thread waits to write
MAX_REASONS = 1000
NOTHING = ImportReport(0, 0, 0, 0, ())

_COPIES = "CREATE TABLE copies (source TEXT, source_id TEXT, seen INTEGER, PRIMARY KEY (source, source_id)) WITHOUT ROWID;"


def import_rows(
    catalog: CatalogDatabase,
    rows: Iterable[ImportRow | ImportRejected],
    *,
    now: float,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
    save: Callable[[Connection, ImportReport], None] | None = None,
    resume: ImportReport = NOTHING,
    each: Callable[[ImportRow, str], None] | None = None,
    import_batch: ImportBatch | None = None,
) -> ImportReport:
    """Import rows into the catalogue; see `Library.import_rows`."""
    albums = AlbumsAhead(catalog, import_batch)
    report = replace(
        resume, read=0, rejected=(), losses=(), lossy=0
    )  # what was read before a stop is read again; it is counted already
    with contextlib.ExitStack() as stack:
        # Which identities the file has listed so far. On disk: a table may have a million rows, the machine 512 MB.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vinylvault-import-"))
        copies = stack.enter_context(contextlib.closing(Database(Path(folder) / "copies.db", [_COPIES], synchronous="OFF")))
        source = iter(rows)
        # A batch must end where the one before the stop ended, or rows would be counted twice.
        failed: Exception | None = None
        while failed is None:
            batch, failed = _next_rows(source, _batch_size(resume.read - report.read), partial(progress or _nothing, report.read))
            if not batch:
                break
            is_known = report.read < resume.read
            while batch:
                done: list[tuple[ImportRow, str]] = []
                # Looking up and writing are one transaction: another import may run at the same time.
                try:
                    with (
                        copies.write() as seen,
                        contextlib.nullcontext() if dry_run or is_known else catalog.write(is_bulk=True) as conn,
                    ):
                        count = 0
                        albums.begin(conn)
                        for row in _turn(batch, catalog):
                            _look_ahead(albums, batch, count, is_needed=not is_known)
                            count += 1
                            if isinstance(row, ImportRow) and is_known:
                                _identified(seen, row, is_dry=False)
                            elif isinstance(row, ImportRow):
                                done.append((row, _apply(albums, conn, seen, row, now)))
                        report = _counted(_read(report, batch[:count]), Counter(what for _, what in done))
                        if conn is not None:
                            albums.save(conn)
                            (save or _nothing)(conn, report)
                except OperationalError as error:
                    raise StorageError(
                        str(catalog.path),
                        f"{error}, {report.new + report.changed + report.same:,} rows were imported before the error",
                    ) from error
                batch = batch[count:]
                if each:
                    for row, what in done:
                        each(row, what)
                if progress:
                    progress(report.read)
                _make_findable(albums, dry_run=dry_run, least=UNFOUND_ROWS)
        _make_findable(albums, dry_run=dry_run)
        if failed is not None:
            raise failed
    return report


def _next_rows(
    source: Iterator[ImportRow | ImportRejected], most: int, tick: Callable[[], object]
) -> tuple[list[ImportRow | ImportRejected], Exception | None]:
    """Return the next rows, at most so many, and why there are no others, if reading failed. `tick` is called now and then."""
    rows: list[ImportRow | ImportRejected] = []
    tick_at = time.monotonic() + TICK_S
    while len(rows) < most:
        try:
            rows.append(next(source))
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001  raised again when what was read before it went in
            return rows, error
        if time.monotonic() > tick_at:
            tick()
            tick_at = time.monotonic() + TICK_S
    return rows, None


def _turn(batch: Sequence[ImportRow | ImportRejected], catalog: CatalogDatabase) -> Iterator[ImportRow | ImportRejected]:
    """Yield rows of a batch until the time of a transaction is over, or another thread waits to write."""
    end = time.monotonic() + WRITE_S
    for count, row in enumerate(batch):
        if count and count % ROWS_A_LOOK == 0 and (catalog.is_write_awaited() or time.monotonic() > end):
            return
        yield row


def _read(report: ImportReport, rows: Sequence[ImportRow | ImportRejected]) -> ImportReport:
    """Return the report with what reading these rows came to."""
    bad = [(row.line, row.reason) for row in rows if isinstance(row, ImportRejected)]
    lossy = [row for row in rows if isinstance(row, ImportRow) and row.losses]
    lost = [RowLoss(row.line, row.artist, row.title, what) for row in lossy for what in row.losses]
    return replace(
        report,
        read=report.read + len(rows),
        losses=report.losses + tuple(lost[: MAX_REASONS - len(report.losses)]),
        lossy=report.lossy + len(lossy),
        rejected=report.rejected + tuple(bad[: MAX_REASONS - len(report.rejected)]),
    )


def _make_findable(albums: AlbumTable, *, dry_run: bool, least: int = 1) -> None:
    """Add new records to the index of the search, if there are so many. What fails here is done in the background."""
    try:
        if not dry_run:
            albums.index.catch_up(least=least)
    except OperationalError as error:
        logger.warning("search index deferred reason=%s", error)


def _look_ahead(albums: AlbumsAhead, batch: Sequence[ImportRow | ImportRejected], count: int, *, is_needed: bool) -> None:
    """Read what the next rows are likely to be, now and then; `count` of the batch are done."""
    if is_needed and count % AT_A_TIME == 0:
        rows = batch[count : count + AT_A_TIME]
        albums.look_ahead(identity_of(row) for row in rows if isinstance(row, ImportRow))


def _nothing(*_: object) -> None:
    """Report no progress."""


def _counted(report: ImportReport, counts: Counter[str]) -> ImportReport:
    return replace(
        report,
        new=report.new + counts["new"],
        changed=report.changed + counts["changed"],
        same=report.same + counts["same"],
        hidden=report.hidden + counts["hidden"],
    )


def _batch_size(known: int) -> int:
    return min(known, ROWS_A_WRITE) if known > 0 else ROWS_A_WRITE


def _identified(seen: Connection, row: ImportRow, *, is_dry: bool) -> tuple[str, str, bool]:
    """Return (source, source id, whether the file has listed it before, if only the file can tell)."""
    source, source_id = identity_of(row)
    is_named = bool(row.source_id) and not row.counts_copies
    if is_named and not is_dry:  # the catalogue knows the earlier rows
        return source, source_id, False
    nth = seen.execute(
        "INSERT INTO copies VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET seen = seen + 1 RETURNING seen", (source, source_id)
    ).fetchone()["seen"]
    if is_named:
        return source, source_id, nth > 1
    return source, numbered_id(source_id, nth), False


def _apply(albums: AlbumsAhead, conn: Connection | None, seen: Connection, row: ImportRow, now: float) -> str:
    """Insert or update the album of a row, or only compare if `conn` is None; return what happened."""
    source, source_id, is_again = _identified(seen, row, is_dry=conn is None)
    before = albums.by_identity(source, source_id)
    if before is None:
        if albums.hidden and albums.hidden.has(source, source_id, row.instance_id):
            return "hidden"
        if conn is not None:
            albums.add(conn, create_album(row, source, source_id, now), row.played_at)
        elif is_again:  # the first row with this id would have inserted it
            return "same"
        return "new"
    after = merge_row(before, row)
    # An export has the rating that was given here in the place of the source's.
    if after.rating != before.rating and after.rating == albums.own_rating(before.id):
        after = replace(after, rating=before.rating)
    plays = albums.plays_missing(before.id, row.played_at) if row.played_at else ()
    if after == before and not plays:
        return "same"
    if conn is not None:
        if after != before:
            albums.update(conn, before, after)
        albums.add_plays(conn, before.id, plays)
    return "changed"


def sync_rows(
    catalog: CatalogDatabase,
    rows: Iterable[ImportRow],
    *,
    now: float,
    failing: Collection[str],
    also: Callable[[Connection, Counter[str]], None],
    batch: ImportBatch | None = None,
) -> Counter[str]:
    """Write the rows of a page into the catalogue; see `Library.sync_rows`."""
    albums, counts = ImportedAlbums(catalog, batch), Counter[str]()
    try:
        with catalog.write() as conn:
            for row in rows:
                counts[_apply_synced(albums, conn, row, now, failing)] += 1
            albums.save(conn)
            also(conn, counts)
    except OperationalError as error:
        raise StorageError(catalog.path.name, str(error)) from error
    return counts


def _apply_synced(albums: ImportedAlbums, conn: Connection, row: ImportRow, now: float, failing: Collection[str]) -> str:
    known = albums.by_instance(row.source, row.instance_id) if row.instance_id else None
    album, source_id = match_copy(row, known, albums.copies(row.source, row.source_id))
    if album is None:
        if albums.hidden and albums.hidden.has(row.source, row.source_id, row.instance_id):
            return "hidden"
        albums.insert(conn, replace(create_album(row, row.source, source_id, now), seen_at=now))
        return "new"
    after = apply_sync(album, row, source_id, now, failing)
    if after == album:
        return "same"
    albums.update(conn, album, after)
    return "changed"
