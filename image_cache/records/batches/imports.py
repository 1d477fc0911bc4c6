"""The batch of an import: it knows what it added by one number in each new record, and of what it changed the values before.

An import that changes nothing leaves no batch.
"""

import zlib
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.models import Album
from image_cache.records.batches.table import BatchTable
from image_cache.records.columns import column_values, from_column
from image_cache.records.hidden_table import HiddenTable
from image_cache.records.table import AlbumTable

PASSING = frozenset(
    {"seen_at", "gone_at", "detailed_at", "source_id", "instance_id"}
)  # of the connection to the source, not of the record


class ImportBatch:
    """What one import changes. `words` name it for people; of a task that continues after a stop it is the same batch again."""

    def __init__(self, catalog: CatalogDatabase, words: str, *, now: float, task_id: int | None = None) -> None:
        self._rows = BatchTable(catalog)
        self._words = words
        self._now = now
        self._task_id = task_id
        self._id: int | None = None
        self._added: list[int] = []
        self._changed = 0

    def id(self, conn: Connection) -> int:
        """Return the number of the batch, which begins with the first change."""
        if self._id is None:
            self._id = self._rows.add(conn, "import", self._words, self._now, task_id=self._task_id)
        return self._id

    def added(self, album_id: int) -> None:
        self._added.append(album_id)

    def changed(self, conn: Connection, before: Album, after: Album) -> None:
        old, new = column_values(before), column_values(after)
        body = {name: [old[name], mark_of(new[name])] for name in old if old[name] != new[name] and name not in PASSING}
        if body:
            self._changed += self._rows.note(conn, self.id(conn), before.id, body)

    def save(self, conn: Connection) -> None:
        """Write the counts, in the transaction that wrote the records."""
        if self._added or self._changed:
            self._rows.count(conn, self.id(conn), len(self._added), self._changed, self._added)
        self._added, self._changed = [], 0


class ImportedAlbums(AlbumTable):
    """The table of albums, as an import writes it. `hidden` are the records that it must not bring back."""

    def __init__(self, catalog: CatalogDatabase, batch: ImportBatch | None = None) -> None:
        super().__init__(catalog)
        self._batch = batch
        self.hidden = HiddenTable(catalog).keys()

    def insert(self, conn: Connection, album: Album, *, is_found_later: bool = False, import_id: int | None = None) -> int:
        if self._batch is None:
            return super().insert(conn, album, is_found_later=is_found_later)
        made = super().insert(conn, album, is_found_later=is_found_later, import_id=self._batch.id(conn))
        self._batch.added(made)
        return made

    def update(self, conn: Connection, before: Album, after: Album) -> None:
        super().update(conn, before, after)
        if self._batch is not None:
            self._batch.changed(conn, before, after)

    def save(self, conn: Connection) -> None:
        """Write the counts of the batch, in the transaction that wrote the records."""
        if self._batch is not None:
            self._batch.save(conn)


def mark_of(value: object) -> int:
    """Return a short mark of a value, by which it is recognised later."""
    return zlib.crc32(repr(value).encode("utf-8", "surrogatepass"))


def restored(album: Album, body: dict[str, list[object]]) -> tuple[Album, list[str]]:
    """Return the album with the values from before an import, and the fields that something else has changed since."""
    now = column_values(album)
    since = [name for name, (_, mark) in body.items() if mark_of(now[name]) != mark]
    values = {name: from_column(name, value) for name, (value, _) in body.items() if name not in since}
    return replace(album, **values), since
