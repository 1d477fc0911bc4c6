"""An empty list of ids, digests or names is answered without the database: `IN ()` is an error in PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.engine.appearance_table import AppearanceTable
from image_cache.engine.index import Index
from image_cache.engine.jobs import JobQueue
from image_cache.engine.registry import ImageRegistry
from image_cache.importers.lookup.table import OwnedTable
from image_cache.models import Stream
from image_cache.records.batches.removed_table import RemovedTable
from image_cache.records.hidden_table import HiddenTable
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.records.playing.random_pick import CandidateTable
from image_cache.records.removal import RemovalTable
from image_cache.records.table import AlbumTable
from image_cache.scrobbling.table import ScrobbleTable
from image_cache.streams.table import StreamTable
from image_cache.tasks.table import TaskTable

OF_INDEX: dict[str, tuple[Callable[[Index], object], object]] = {
    "images": (lambda index: ImageRegistry(index.database).get_many([]), {}),
    "variants": (lambda index: index.variants_of([]), {}),
    "jobs": (lambda index: JobQueue(index.database, limit=9, total=1, per_lane=1).state_of([]), {}),
    "no closed lane": (lambda index: JobQueue(index.database, limit=9, total=1, per_lane=1).claim(), None),
    "appearances": (lambda index: AppearanceTable(index.database).get_many([]), {}),
    "digests of records": (lambda index: RecordAppearanceTable(index.database).digests([]), {}),
    "colours of records": (lambda index: RecordAppearanceTable(index.database).averages([]), {}),
    "nearest records": (lambda index: RecordAppearanceTable(index.database).nearest(1, [], 5), []),
}
OF_CATALOGUE: dict[str, tuple[Callable[[CatalogDatabase], object], object]] = {
    "records": (lambda catalog: AlbumTable(catalog).albums([]), []),
    "dependents": (lambda catalog: RemovalTable(catalog).dependents([]), {}),
    "music folders": (lambda catalog: RemovalTable(catalog).is_in_folder(1, []), False),
    "candidates": (lambda catalog: CandidateTable(catalog).histories([]), {}),
    "barcodes": (lambda catalog: OwnedTable(catalog).with_barcode([]), []),
    "names": (lambda catalog: OwnedTable(catalog).with_names([]), []),
    "tasks without kinds": (lambda catalog: TaskTable(catalog).recent(5, ()), []),
    "released tracks": (lambda catalog: ScrobbleTable(catalog).release([]), None),
    "views": (lambda catalog: StreamTable(catalog).views([], ""), {}),
    "no visible image": (lambda catalog: StreamTable(catalog).cover(STREAM, []), None),
    "hidden records": (lambda catalog: HiddenTable(catalog).hide([], 0.0), None),
}
STREAM = Stream(1, "a", "A")


@pytest.mark.parametrize("name", OF_INDEX)
def test_the_index_is_not_asked_about_nothing(name: str, tmp_path: Path) -> None:
    index = Index(tmp_path / "index.db")
    ask, wanted = OF_INDEX[name]
    assert ask(index) == wanted
    index.close()


@pytest.mark.parametrize("name", OF_CATALOGUE)
def test_the_catalogue_is_not_asked_about_nothing(name: str, catalog: CatalogDatabase) -> None:
    ask, wanted = OF_CATALOGUE[name]
    assert ask(catalog) == wanted


def test_nothing_is_removed_kept_or_hidden(catalog: CatalogDatabase) -> None:
    with catalog.write() as conn:
        assert RemovalTable(catalog).remove(conn, []) == []
        assert RemovalTable(catalog).remove(conn, [99]) == []  # there is no such record
        RemovedTable(catalog).keep(conn, 1, [])
        HiddenTable(catalog).hide_in(conn, [], 0.0)
    assert catalog.rows("SELECT 1 FROM removed_records UNION ALL SELECT 1 FROM hidden_records") == []
