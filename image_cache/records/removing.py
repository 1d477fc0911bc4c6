"""Records that go for good: in portions, with what hangs on them in the catalogue, in the index and in the folder of own covers.

What was fetched stays in the cache until its place is needed, so a record that comes back has its cover at once.
"""

import itertools
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from image_cache.covers.owncovers import SCHEME, OwnCovers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError, OperationalError
from image_cache.errors import StorageError
from image_cache.records.removal import GoneRecords, RemovalTable, Removed

if TYPE_CHECKING:
    from image_cache.records.appearance import RecordAppearances

logger = logging.getLogger(__name__)

RECORDS_A_WRITE = 200  # others write in between: a sync, somebody who says that he plays a record


def remove(
    catalog: CatalogDatabase,
    album_ids: Iterable[int],
    *,
    only: GoneRecords | None,
    own: OwnCovers | None,
    looks: "RecordAppearances | None",
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


def _forget_looks(looks: "RecordAppearances | None", removed: Iterable[Removed], now: float) -> None:
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
                    own.forget(address)
        except (DatabaseError, StorageError) as error:
            logger.warning("own cover not deleted reason=%s", error)
