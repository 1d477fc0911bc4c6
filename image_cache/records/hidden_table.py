"""Table module of hidden records in `catalog.db`: removed ones that no import brings back."""

from collections.abc import Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, parameter_marks
from image_cache.frozen import frozen
from image_cache.records.editing.own_values import HAND
from image_cache.text import sort_key

AT_A_TIME = 500
MUSIC = "music"  # its ids come from the names of folders, so that a record is known by its artist and title as well


@frozen
class HiddenRecord:
    """A record that was hidden; `album_id` is the id that it had."""

    id: int
    album_id: int
    source: str
    artist: str
    title: str
    hidden_at: float


class HiddenKeys:
    """What an import must not bring back, as it was when the import looked."""

    def __init__(self, rows: Sequence[tuple[str, str, str, str, str]]) -> None:
        self._ids = {(source, source_id): instance for source, source_id, instance, _, _ in rows}
        self._instances = {(source, instance) for source, _, instance, _, _ in rows if instance}
        self._names = {(artist, title) for source, _, _, artist, title in rows if source == MUSIC}

    def __bool__(self) -> bool:
        return bool(self._ids)

    def has(self, source: str, source_id: str, instance_id: str | None = "") -> bool:
        """Return True for a hidden record; another copy of the same release is not hidden with it."""
        if instance_id and (source, instance_id) in self._instances:
            return True
        known = self._ids.get((source, source_id))
        return known is not None and not (known and instance_id)

    def has_names(self, artist: str, title: str) -> bool:
        """Return True for a record of the music folders with these names."""
        return bool(self._names) and (sort_key(artist), sort_key(title)) in self._names


class HiddenTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def keys(self) -> HiddenKeys:
        rows = self.db.rows("SELECT source, source_id, instance_id, artist_sort, title_sort FROM hidden_records")
        return HiddenKeys([tuple(row) for row in rows])

    def records(self, count: int) -> list[HiddenRecord]:
        """Return the hidden records, the last one first; without those that are part of another one now."""
        return [HiddenRecord(*row) for row in self.db.rows(f"{_HIDDEN} ORDER BY id DESC LIMIT ?", (count,))]

    def record(self, hidden_id: int) -> HiddenRecord | None:
        row = self.db.row(f"{_HIDDEN} AND id = ?", (hidden_id,)) if 0 < hidden_id < 2**63 else None
        return HiddenRecord(*row) if row else None

    def hide(self, album_ids: Sequence[int], now: float) -> None:
        """Hide records, before they are removed. In short transactions."""
        for start in range(0, len(album_ids), AT_A_TIME):
            with self.db.write() as conn:
                self.hide_in(conn, album_ids[start : start + AT_A_TIME], now)

    def hide_in(self, conn: Connection, album_ids: Sequence[int], now: float) -> None:
        """Hide at most some hundred records in the transaction of the caller."""
        if not album_ids:
            return
        # Under a new number, so that the last one that was hidden is the first one in the list.
        these = f"FROM albums WHERE source <> ? AND id IN ({parameter_marks(len(album_ids))})"
        conn.execute(
            f"DELETE FROM hidden_records WHERE (source, source_id) IN (SELECT source, source_id {these})", (HAND, *album_ids)
        )
        conn.execute(
            "INSERT INTO hidden_records (album_id, source, source_id, instance_id, artist, title, artist_sort,"
            f" title_sort, hidden_at) SELECT id, source, source_id, instance_id, artist, title, artist_sort, title_sort, ? {these}",
            (now, HAND, *album_ids),
        )

    def show(self, hidden_id: int) -> None:
        """Let imports bring a record back."""
        with self.db.write() as conn:
            conn.execute("DELETE FROM hidden_records WHERE id = ?", (hidden_id,))

    def show_identity(self, source: str, source_id: str) -> None:
        """Let a record come back that a person adds: their word outranks the one before."""
        if self.keys().has(source, source_id):
            with self.db.write() as conn:
                conn.execute("DELETE FROM hidden_records WHERE source = ? AND source_id = ?", (source, source_id))


_HIDDEN = (
    "SELECT id, album_id, source, artist, title, hidden_at FROM hidden_records AS h WHERE NOT EXISTS"
    " (SELECT 1 FROM removed_records AS r JOIN batches AS b ON b.id = r.batch_id WHERE r.album_id = h.album_id AND b.kind = 'merge')"
)
