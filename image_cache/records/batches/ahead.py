"""The albums of an import from a table, read and inserted some hundred at a time: with a server each question is a round trip."""

from collections.abc import Iterable, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.models import Album
from image_cache.records.batches.imports import ImportBatch, ImportedAlbums
from image_cache.records.columns import column_values

AT_A_TIME = 500

_Key = tuple[str, str]  # source and source id


class AlbumsAhead(ImportedAlbums):
    """For one thread. `begin` belongs at the start of each transaction, `save` at its end."""

    def __init__(self, catalog: CatalogDatabase, batch: ImportBatch | None = None) -> None:
        super().__init__(catalog, batch)
        self._conn: Connection | None = None
        self._known: dict[_Key, Album | None] = {}
        self._new: dict[_Key, tuple[Album, Sequence[float]]] = {}
        self._has_wanted = False

    def begin(self, conn: Connection | None) -> None:
        """Begin a transaction; None: one that only looks."""
        self._conn = conn
        self._known, self._new = {}, {}
        self._has_wanted = conn is not None and self.wants.has_wanted()

    def look_ahead(self, keys: Iterable[_Key]) -> None:
        """Read the albums that are likely to be asked for next."""
        self._known = self.by_identities(key for key in keys if key not in self._new)

    def by_identity(self, source: str, source_id: str) -> Album | None:
        key = source, source_id
        if key in self._new:
            self._insert_new()
        return self._known[key] if key in self._known else super().by_identity(source, source_id)

    def add(self, conn: Connection, album: Album, played_at: Sequence[float]) -> None:
        """Insert an album with plays of the past, not before `save` if nothing needs it earlier."""
        key = album.source, album.source_id
        self._known.pop(key, None)
        if self._has_wanted:  # a want may become bought
            self.add_plays(conn, self.insert(conn, album, is_found_later=True), played_at)
            return
        self._new[key] = album, played_at
        if len(self._new) >= AT_A_TIME:
            self._insert_new()

    def update(self, conn: Connection, before: Album, after: Album) -> None:
        self._known.pop((before.source, before.source_id), None)
        super().update(conn, before, after)

    def save(self, conn: Connection) -> None:
        self._insert_new()
        super().save(conn)

    def _insert_new(self) -> None:
        if not self._new or self._conn is None:
            return
        extra = {} if self._batch is None else {"import_id": self._batch.id(self._conn)}
        ids = self.insert_values(self._conn, [{**column_values(album), **extra} for album, _ in self._new.values()])
        for album_id, (_, played_at) in zip(ids, self._new.values(), strict=True):
            if self._batch is not None:
                self._batch.added(album_id)
            if played_at:
                self.add_plays(self._conn, album_id, played_at)
        self._new = {}
