"""A page of somebody else's collection into the catalogue: one transaction with whatever has to be saved with it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, OperationalError
from image_cache.errors import StorageError
from image_cache.models import AlbumRow
from image_cache.records.merge import created, synced, whose
from image_cache.records.table import AlbumTable


def sync_rows(
    catalog: CatalogDatabase,
    rows: Iterable[AlbumRow],
    *,
    now: float,
    failing: Collection[str],
    also: Callable[[Connection, "Counter[str]"], None],
) -> "Counter[str]":
    """Put the rows of a page into the catalogue; see `Library.sync_rows`."""
    albums, counts = AlbumTable(catalog), Counter[str]()
    try:
        with catalog.write() as conn:
            for row in rows:
                counts[_apply(albums, conn, row, now, failing)] += 1
            also(conn, counts)
    except OperationalError as error:
        raise StorageError(catalog.path.name, str(error)) from error
    return counts


def _apply(albums: AlbumTable, conn: Connection, row: AlbumRow, now: float, failing: Collection[str]) -> str:
    known = albums.by_instance(row.source, row.instance_id) if row.instance_id else None
    album, source_id = whose(row, known, albums.copies(row.source, row.source_id))
    if album is None:
        albums.insert(conn, replace(created(row, row.source, source_id, now), seen_at=now))
        return "new"
    after = synced(album, row, source_id, now, failing)
    if after == album:
        return "same"
    albums.update(conn, album, after)
    return "changed"
