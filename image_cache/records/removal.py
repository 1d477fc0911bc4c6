"""What is asked of `catalog.db` when records are removed: what somebody put into them here, which are gone, and the removal itself.

Statements only. Plays, facets, tries, wishes and places in folders go with a record by its foreign keys, its words by a trigger.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from image_cache.covers.own_covers import SCHEME, OwnCovers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError, OperationalError, marks
from image_cache.errors import StorageError
from image_cache.models import Album
from image_cache.records.table import album_columns, album_from

if TYPE_CHECKING:
    from image_cache.records.appearance_table import RecordAppearanceTable

AT_A_TIME = 500
_OWN = "(plays > 0 OR own_rating IS NOT NULL OR own_notes <> '' OR own_cover IS NOT NULL)"
_GONE = "source = ? AND gone_at IS NOT NULL AND gone_at <= ?"
EVER = 9e15  # later than any moment that is written down


@dataclass(frozen=True, slots=True)
class RecordDependents:
    """What is in a record that no source knows. `stars` None: none were given here."""

    plays: int = 0
    has_notes: bool = False
    has_cover: bool = False
    stars: int | None = None

    def __bool__(self) -> bool:
        return bool(self.plays or self.has_notes or self.has_cover or self.stars)


@dataclass(frozen=True, slots=True)
class GoneRecords:
    """Removes only what is still gone from `source` since `until` or before; with `spares_own` only what has no `RecordDependents`."""

    source: str
    until: float
    spares_own: bool = True


@dataclass(frozen=True, slots=True)
class Removed:
    """A record that is no more."""

    id: int
    artist: str
    title: str
    own_cover: str | None = None


@dataclass(frozen=True, slots=True)
class GoneCount:
    """How many records of a source are gone, how many of those have `RecordDependents`, and when the last of them went."""

    total: int = 0
    own: int = 0
    until: float = 0.0


class RemovalTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def dependents(self, album_ids: Sequence[int]) -> dict[int, RecordDependents]:
        """Return what each record has, at most some hundred of them; one that is not there is left out."""
        sql = (
            "SELECT id, plays, own_notes <> '' AS has_notes, own_cover IS NOT NULL AS has_cover, own_rating FROM albums"
            f" WHERE id IN ({marks(len(album_ids))})"
        )
        return {row[0]: RecordDependents(row[1], bool(row[2]), bool(row[3]), row[4]) for row in self.db.rows(sql, album_ids)}

    def ids(self, source: str) -> Iterator[int]:
        """Yield the records of a source, in chunks."""
        yield from self._chunks("source = ?", (source,))

    def gone_ids(self, only: GoneRecords) -> Iterator[int]:
        """Yield the records that are gone, in chunks: they may be removed meanwhile."""
        spared = f" AND NOT {_OWN}" if only.spares_own else ""
        yield from self._chunks(_GONE + spared, (only.source, only.until))

    def count_gone(self, source: str) -> GoneCount:
        row = self.db.row(
            f"SELECT count(*), coalesce(sum({_OWN}), 0), coalesce(max(gone_at), 0) FROM albums WHERE {_GONE}", (source, EVER)
        )
        return GoneCount(*row) if row else GoneCount()

    def gone(self, source: str, most: int, *, own: bool) -> list[Album]:
        """Return the first by artist of the records that are gone and have `RecordDependents`, or with `own` False have none."""
        sql = f"SELECT {album_columns()} FROM albums WHERE {_GONE} AND {_OWN} = ? ORDER BY artist_sort, title_sort, id LIMIT ?"
        return [album_from(row) for row in self.db.rows(sql, (source, EVER, own, most))]

    def lies_in_a_folder(self, album_id: int, dirs: Sequence[str]) -> bool:
        """Tell whether the last scan found a record below one of these music folders."""
        sql = (
            "SELECT 1 FROM music_albums JOIN music_folders AS f ON f.id = folder_id JOIN music_roots AS r ON r.id = f.root_id"
            f" WHERE album_id = ? AND r.path IN ({marks(len(dirs))})"
        )
        return self.db.row(sql, (album_id, *dirs)) is not None

    def remove(self, conn: Connection, album_ids: Sequence[int], only: GoneRecords | None = None) -> list[Removed]:
        """Delete records, at most some hundred; return those that were there and meant."""
        where, values = f"id IN ({marks(len(album_ids))})", list[object](album_ids)
        if only is not None:
            where += f" AND {_GONE}" + (f" AND NOT {_OWN}" if only.spares_own else "")
            values += [only.source, only.until]
        found = conn.execute(f"SELECT id, artist, title, own_cover FROM albums WHERE {where} ORDER BY id", values).fetchall()
        removed = [Removed(*row) for row in found]
        ids, meant = [one.id for one in removed], marks(len(removed))
        # A scan passes folders over that look as they did. This one is to be read again: its record is not here any more.
        conn.execute(
            f"UPDATE music_folders SET mark = x'' WHERE id IN (SELECT folder_id FROM music_albums WHERE album_id IN ({meant}))",
            ids,
        )
        conn.execute(f"DELETE FROM spins WHERE album_id IN ({meant})", ids)
        conn.execute(f"DELETE FROM albums WHERE id IN ({meant})", ids)
        return removed

    def is_cover(self, conn: Connection, address: str) -> bool:
        """Tell whether any record has this address as its own cover."""
        return conn.execute("SELECT 1 FROM albums WHERE own_cover = ? LIMIT 1", (address,)).fetchone() is not None

    def _chunks(self, where: str, values: Sequence[object]) -> Iterator[int]:
        last = 0
        while rows := self.db.rows(
            f"SELECT id FROM albums WHERE {where} AND id > ? ORDER BY id LIMIT ?", (*values, last, AT_A_TIME)
        ):
            yield from (row[0] for row in rows)
            last = rows[-1][0]


logger = logging.getLogger(__name__)

RECORDS_A_WRITE = 200  # others write in between: a sync, somebody who says that he plays a record


def remove(
    catalog: CatalogDatabase,
    album_ids: Iterable[int],
    *,
    only: GoneRecords | None,
    own: OwnCovers | None,
    looks: "RecordAppearanceTable | None",
    now: float,
) -> list[Removed]:
    """Remove records; see `Library.remove`."""
    rows, done = RemovalTable(catalog), list[Removed]()
    ids = iter(album_ids)
    while portion := tuple(itertools.islice(ids, RECORDS_A_WRITE)):
        try:
            with catalog.write() as conn:
                removed = rows.remove(conn, portion, only)
        except OperationalError as error:
            raise StorageError(catalog.path.name, f"{error}, {len(done):,} records were removed") from error
        if removed:
            logger.info("records removed count=%s first=%s", len(removed), removed[0].id)
            _forget_looks(looks, removed, now)
            _forget_covers(rows, own, removed)
        done += removed
    return done


def _forget_looks(looks: "RecordAppearanceTable | None", removed: Iterable[Removed], now: float) -> None:
    if looks is None:
        return
    try:
        with looks.database.write() as conn:
            looks.remove(conn, [one.id for one in removed])
            looks.changed(conn, now)
    except DatabaseError as error:  # the survey goes through them anyhow, as soon as the index can be used
        logger.warning("looks of removed records left for later reason=%s", error)


def _forget_covers(rows: RemovalTable, own: OwnCovers | None, removed: Iterable[Removed]) -> None:
    """Delete the files of own covers that no other record shows."""
    if own is None:
        return
    for address in dict.fromkeys(one.own_cover for one in removed):
        if not address or not address.startswith(SCHEME):
            continue
        try:
            # While this transaction lasts nobody can choose the same picture for another record.
            with rows.db.write(is_durable=False) as conn:
                if not rows.is_cover(conn, address):
                    own.delete(address)
        except (DatabaseError, StorageError) as error:
            logger.warning("own cover not deleted reason=%s", error)
