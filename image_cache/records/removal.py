"""Removal of records: what goes with them, which are gone from their source, and the removal itself, for good or to be undone.

Plays, facets, searches for covers, queued details and places in folders go with a record by its foreign keys, its words by a trigger.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from image_cache.covers.own_covers import SCHEME, OwnCovers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError, OperationalError, parameter_marks
from image_cache.errors import StorageError
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.batches.removed_table import HAS_IMAGES, OWN, RemovedTable
from image_cache.records.columns import album_columns, album_from
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.records.search.index_table import SearchIndexTable
from image_cache.records.table import AlbumTable
from image_cache.units import counted

logger = logging.getLogger(__name__)

RECORDS_A_WRITE = 200  # others write in between: a sync, a play
AT_A_TIME = 500
EVER = 9e15  # later than any time that is stored
_GONE = "source = ? AND gone_at IS NOT NULL AND gone_at <= ?"


@frozen
class RecordDependents:
    """What a record has that no source knows. `stars` None: not rated by its owner."""

    plays: int = 0
    has_notes: bool = False
    has_cover: bool = False
    stars: int | None = None

    def __bool__(self) -> bool:
        return bool(self.plays or self.has_notes or self.has_cover or self.stars)

    def parts(self) -> list[str]:
        """Return each part in words: 2 plays, notes, own cover, 3 stars."""
        parts = [counted(self.plays, "play")] if self.plays else []
        parts += ["notes"] if self.has_notes else []
        parts += ["own cover"] if self.has_cover else []
        return [*parts, counted(self.stars, "star")] if self.stars else parts


@frozen
class GoneRecords:
    """Limits a removal to what is still gone from `source` since `until` or before; with `spares_own` to what has no dependents."""

    source: str
    until: float
    spares_own: bool = True


@frozen
class Removed:
    """A record that was removed."""

    id: int
    artist: str
    title: str
    own_cover: str | None = None
    images: tuple[str, ...] = ()


@frozen
class GoneCount:
    """How many records of a source are gone, how many of those have dependents, and when the last of them went."""

    total: int = 0
    own: int = 0
    until: float = 0.0


@frozen
class GoneList:
    """The records that are gone from a source: their count, and the first of those with and without dependents."""

    count: GoneCount
    own: tuple[Album, ...]
    plain: tuple[Album, ...]


class RecordRemoval:
    """Removes records of one vault. Any thread, several processes."""

    def __init__(
        self,
        catalog: CatalogDatabase,
        own: OwnCovers | None,
        appearances: RecordAppearanceTable | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = RemovalTable(catalog)
        self._own = own
        self._appearances = appearances
        self._clock = clock

    def dependents(self, album_ids: Sequence[int]) -> dict[int, RecordDependents]:
        """Return what each record has that no source knows, at most some hundred records."""
        return self._rows.dependents(album_ids)

    def titles(self, album_ids: Sequence[int]) -> dict[int, str]:
        """Return "artist, title (its dependents)" of each record that exists."""
        found: dict[int, str] = {}
        for start in range(0, len(album_ids), AT_A_TIME):
            chunk = album_ids[start : start + AT_A_TIME]
            own = self._rows.dependents(chunk)
            for album in AlbumTable(self._rows.db).albums(chunk):
                parts = ", ".join(own.get(album.id, RecordDependents()).parts())
                found[album.id] = f"{album.artist}, {album.title}" + (f" ({parts})" if parts else "")
        return found

    def count_gone(self, source: str) -> GoneCount:
        return self._rows.count_gone(source)

    def gone(self, source: str, limit: int) -> GoneList:
        """Return the records that are gone from a source, the first `limit` of each kind by artist."""
        own, plain = (tuple(self._rows.removable(source, limit, own=is_own)) for is_own in (True, False))
        return GoneList(self._rows.count_gone(source), own, plain)

    def is_in_folder(self, album_id: int, dirs: Sequence[str]) -> bool:
        """Return True if the last scan found a record below one of these music folders."""
        return self._rows.is_in_folder(album_id, dirs)

    def remove(self, album_ids: Iterable[int], only: GoneRecords | None = None, *, batch_id: int | None = None) -> list[Removed]:
        """Remove records with their plays, notes, ratings and uploaded covers; return those that existed.

        With `only` those alone that still match it. With a batch, that batch can put them back with all of it; else they are gone.
        What a source still has comes back with its next sync or scan.
        Raises `StorageError` when the disk refuses; what was removed before stays removed.
        """
        done = list[Removed]()
        ids = iter(album_ids)
        while portion := tuple(itertools.islice(ids, RECORDS_A_WRITE)):
            try:
                with self._rows.db.write() as conn:
                    removed = self._rows.remove(conn, portion, only, batch_id)
            except OperationalError as error:
                raise StorageError(
                    self._rows.db.path.name, f"{error}; {len(done):,} records were removed before the error"
                ) from error
            if removed:
                logger.info("records removed count=%s first=%s", len(removed), removed[0].id)
                self._forget_appearances(removed)
                if batch_id is None:
                    self.delete_covers(url for record in removed for url in (record.own_cover, *record.images))
            done += removed
        return done

    def remove_in(self, conn: Connection, album_id: int, batch_id: int) -> None:
        """Remove a record in the transaction of the caller, so that its batch can put it back."""
        self._rows.remove(conn, [album_id], None, batch_id)

    def remove_gone(self, only: GoneRecords, *, batch_id: int | None = None) -> list[Removed]:
        """Remove the records that match; see `remove`."""
        return self.remove(self._rows.gone_ids(only), only, batch_id=batch_id)

    def remove_source(self, source: str) -> int:
        """Remove every record of a source; return how many. See `remove`."""
        return len(self.remove(self._rows.ids_of_source(source)))

    def _forget_appearances(self, removed: Iterable[Removed]) -> None:
        if self._appearances is None:
            return
        try:
            with self._appearances.database.write() as conn:
                self._appearances.remove(conn, [record.id for record in removed])
                self._appearances.changed(conn, self._clock())
        except DatabaseError as error:  # the audit visits them anyway, as soon as the index can be used
            logger.warning("colour data of removed records not deleted yet reason=%s", error)

    def delete_covers(self, urls: Iterable[str | None]) -> None:
        """Delete the files of uploaded covers that no record shows."""
        if self._own is None:
            return
        for url in dict.fromkeys(urls):
            if not url or not url.startswith(SCHEME):
                continue
            try:
                # During this transaction no one can choose the same image for another record.
                with self._rows.db.write(is_durable=False) as conn:
                    if not self._rows.is_own_cover(conn, url):
                        self._own.delete(url)
            except (DatabaseError, StorageError) as error:
                logger.warning("own cover not deleted reason=%s", error)


class RemovalTable:
    """Statements about records that are removed. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def dependents(self, album_ids: Sequence[int]) -> dict[int, RecordDependents]:
        """Return the dependents of each record, at most some hundred; one that does not exist is left out."""
        if not album_ids:
            return {}
        sql = (
            f"SELECT id, plays, own_notes <> '' AS has_notes, own_cover IS NOT NULL OR {HAS_IMAGES} AS has_cover, own_rating FROM albums"
            f" WHERE id IN ({parameter_marks(len(album_ids))})"
        )
        return {row[0]: RecordDependents(row[1], bool(row[2]), bool(row[3]), row[4]) for row in self.db.rows(sql, album_ids)}

    def ids_of_source(self, source: str) -> Iterator[int]:
        """Yield the records of a source. Reads in chunks."""
        yield from self._chunks("source = ?", (source,))

    def gone_ids(self, only: GoneRecords) -> Iterator[int]:
        """Yield the records that are gone. Reads in chunks: they may be removed meanwhile."""
        spared = f" AND NOT {OWN}" if only.spares_own else ""
        yield from self._chunks(_GONE + spared, (only.source, only.until))

    def count_gone(self, source: str) -> GoneCount:
        row = self.db.row(
            f"SELECT count(*), count(*) FILTER (WHERE {OWN}), coalesce(max(gone_at), 0) FROM albums WHERE {_GONE}", (source, EVER)
        )
        return GoneCount(*row) if row else GoneCount()

    def removable(self, source: str, limit: int, *, own: bool) -> list[Album]:
        """Return the first records by artist that are gone and have `RecordDependents`, or with `own` False have none."""
        has_own = OWN if own else f"NOT {OWN}"
        sql = f"SELECT {album_columns()} FROM albums WHERE {_GONE} AND {has_own} ORDER BY artist_sort, title_sort, id LIMIT ?"
        return [album_from(row) for row in self.db.rows(sql, (source, EVER, limit))]

    def is_in_folder(self, album_id: int, dirs: Sequence[str]) -> bool:
        """Return True if the last scan found a record below one of these music folders."""
        if not dirs:
            return False
        sql = (
            "SELECT 1 FROM music_albums JOIN music_folders AS f ON f.id = folder_id JOIN music_roots AS r ON r.id = f.root_id"
            f" WHERE album_id = ? AND r.path IN ({parameter_marks(len(dirs))})"
        )
        return self.db.row(sql, (album_id, *dirs)) is not None

    def remove(
        self, conn: Connection, album_ids: Sequence[int], only: GoneRecords | None = None, batch_id: int | None = None
    ) -> list[Removed]:
        """Delete records, at most some hundred; return those that existed and match `only`. With a batch, keep what they were."""
        if not album_ids:
            return []
        where, values = f"id IN ({parameter_marks(len(album_ids))})", list[object](album_ids)
        if only is not None:
            where += f" AND {_GONE}" + (f" AND NOT {OWN}" if only.spares_own else "")
            values += [only.source, only.until]
        found = conn.execute(f"SELECT id, artist, title, own_cover FROM albums WHERE {where} ORDER BY id", values).fetchall()
        if not found:
            return []
        ids, these = [row["id"] for row in found], parameter_marks(len(found))
        images: dict[int, list[str]] = {}
        for album_id, address in conn.execute(f"SELECT album_id, address FROM record_images WHERE album_id IN ({these})", ids):
            images.setdefault(album_id, []).append(address)
        removed = [Removed(row[0], row[1], row[2], row[3], tuple(images.get(row[0], ()))) for row in found]
        if batch_id is not None:
            RemovedTable(self.db).keep(conn, batch_id, ids)
        # A scan skips unchanged folders. This one has to be read again: its record is missing now.
        conn.execute(
            f"UPDATE music_folders SET mark = ? WHERE id IN (SELECT folder_id FROM music_albums WHERE album_id IN ({these}))",
            (b"", *ids),
        )
        conn.execute(f"DELETE FROM spins WHERE album_id IN ({these})", ids)
        SearchIndexTable(self.db).remove(conn, ids)
        conn.execute(f"DELETE FROM albums WHERE id IN ({these})", ids)
        return removed

    def is_own_cover(self, conn: Connection, url: str) -> bool:
        """Return True if any record has this URL as its own cover or a further image, or had it and can be put back."""
        sql = (
            "SELECT 1 FROM albums WHERE own_cover = ?1 UNION ALL SELECT 1 FROM record_images WHERE address = ?1"
            " UNION ALL SELECT 1 FROM removed_files WHERE address = ?1 LIMIT 1"
        )
        return conn.execute(sql, (url,)).fetchone() is not None

    def _chunks(self, where: str, values: Sequence[object]) -> Iterator[int]:
        last = 0
        while rows := self.db.rows(
            f"SELECT id FROM albums WHERE {where} AND id > ? ORDER BY id LIMIT ?", (*values, last, AT_A_TIME)
        ):
            yield from (row[0] for row in rows)
            last = rows[-1][0]
