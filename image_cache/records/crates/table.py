"""Table module of crates in `catalog.db`: lists of records with a name, in an order that people choose."""

from collections.abc import Callable, Iterable, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.db.dialect import lowered
from image_cache.errors import FieldRejected, UnknownCrate
from image_cache.frozen import frozen

MAX_NAME_CHARS = 60
MAX_NOTE_CHARS = 500
MAX_CRATES = 200
MAX_RECORDS = 10_000
AT_A_TIME = 500


@frozen
class Crate:
    """A crate. Visitors see one that `is_public`; its `note` is for members."""

    id: int
    name: str
    note: str
    is_public: bool
    made_at: float
    count: int


class CrateTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def crates(self, *, only_public: bool) -> list[Crate]:
        """Return the crates by name."""
        where = "WHERE is_public = 1" if only_public else ""
        return [_crate(row) for row in self.db.rows(f"{_CRATES} {where} ORDER BY lower(name), id")]

    def crate(self, crate_id: int) -> Crate | None:
        row = self.db.row(f"{_CRATES} WHERE id = ?", (crate_id,)) if 0 < crate_id < 2**63 else None
        return _crate(row) if row else None

    def of_record(self, album_id: int) -> list[Crate]:
        """Return the crates that a record is in."""
        sql = f"{_CRATES} WHERE id IN (SELECT crate_id FROM crate_records WHERE album_id = ?) ORDER BY lower(name), id"
        return [_crate(row) for row in self.db.rows(sql, (album_id,))]

    def ids(self, crate_id: int, count: int = MAX_RECORDS, first: int = 0) -> list[int]:
        """Return the records of a crate in their order."""
        sql = "SELECT album_id FROM crate_records WHERE crate_id = ? ORDER BY place, album_id LIMIT ? OFFSET ?"
        return [row[0] for row in self.db.rows(sql, (crate_id, count, first))]

    def add(self, name: str, note: str, now: float) -> int:
        """Make a crate. Raises `FieldRejected`."""
        name, note = _checked(name, note)
        with self.db.write() as conn:
            if conn.execute("SELECT count(*) FROM crates").fetchone()[0] >= MAX_CRATES:
                raise FieldRejected("name", f"You can have up to {MAX_CRATES} crates. Delete one first.")
            self._check_name(conn, name, 0)
            sql = "INSERT INTO crates (name, note, made_at) VALUES (?, ?, ?) RETURNING id"
            return int(conn.execute(sql, (name, note, now)).fetchone()[0])

    def change(self, crate_id: int, name: str, note: str, *, is_public: bool | None) -> None:
        """Rename a crate; `is_public` None leaves that as it is. Raises `FieldRejected`, `UnknownCrate`."""
        name, note = _checked(name, note)
        with self.db.write() as conn:
            self._check_name(conn, name, crate_id)
            sql = "UPDATE crates SET name = ?, note = ?, is_public = coalesce(?, is_public) WHERE id = ?"
            if not conn.execute(sql, (name, note, None if is_public is None else int(is_public), crate_id)).rowcount:
                raise UnknownCrate(crate_id)

    def delete(self, crate_id: int) -> None:
        """Delete a crate. Its records stay in the collection."""
        with self.db.write() as conn:
            conn.execute("DELETE FROM crates WHERE id = ?", (crate_id,))

    def put(self, crate_id: int, album_ids: Sequence[int]) -> int:
        """Put records at the end of a crate; return how many were not in it. Raises `FieldRejected`, `UnknownCrate`."""
        count = 0
        for start in range(0, len(album_ids), AT_A_TIME):
            with self.db.write() as conn:
                row = conn.execute("SELECT coalesce(max(place), 0), count(*) FROM crate_records WHERE crate_id = ?", (crate_id,))
                place, known = row.fetchone()
                portion = album_ids[start : start + AT_A_TIME]
                if conn.execute("SELECT 1 FROM crates WHERE id = ?", (crate_id,)).fetchone() is None:
                    raise UnknownCrate(crate_id)
                if known + len(portion) > MAX_RECORDS:
                    raise FieldRejected("ids", f"A crate can have up to {MAX_RECORDS:,} records.")
                sql = "INSERT INTO crate_records SELECT ?, id, ? FROM albums WHERE id = ? ON CONFLICT (crate_id, album_id) DO NOTHING"
                rows = [(crate_id, place + number, album_id) for number, album_id in enumerate(portion, 1)]
                count += conn.executemany(sql, rows).rowcount
        return count

    def take(self, crate_id: int, album_ids: Iterable[int]) -> None:
        """Take records out of a crate."""
        with self.db.write() as conn:
            sql = "DELETE FROM crate_records WHERE crate_id = ? AND album_id = ?"
            conn.executemany(sql, [(crate_id, album_id) for album_id in album_ids])

    def move(self, crate_id: int, album_id: int, place: int) -> int | None:
        """Move a record to a place, counted from 1, and return that; a number beyond the end is the end. None: it is not in the crate."""
        return self._move(crate_id, album_id, lambda _: place - 1)

    def step(self, crate_id: int, album_id: int, by: int) -> int | None:
        """Move a record by some places, up for a negative number, and return its place; None if it is not in the crate."""
        return self._move(crate_id, album_id, lambda index: index + by)

    def _move(self, crate_id: int, album_id: int, target: Callable[[int], int]) -> int | None:
        with self.db.write() as conn:
            before = [row[0] for row in conn.execute(_ORDER, (crate_id,))]
            if album_id not in before:
                return None
            after = [one for one in before if one != album_id]
            after.insert(max(0, target(before.index(album_id))), album_id)
            sql = "UPDATE crate_records SET place = ? WHERE crate_id = ? AND album_id = ? AND place <> ?"
            conn.executemany(sql, [(number, crate_id, one, number) for number, one in enumerate(after, 1)])
        return after.index(album_id) + 1

    def _check_name(self, conn: Connection, name: str, crate_id: int) -> None:
        sql = "SELECT 1 FROM crates WHERE lower(name) = ? AND id <> ?"
        if conn.execute(sql, (lowered(name), crate_id)).fetchone() is not None:
            raise FieldRejected("name", f"There is a crate called {name} already.")


_ORDER = "SELECT album_id FROM crate_records WHERE crate_id = ? ORDER BY place, album_id"
_CRATES = (
    "SELECT id, name, note, is_public, made_at, (SELECT count(*) FROM crate_records WHERE crate_id = crates.id) AS n FROM crates"
)


def _crate(row: Row) -> Crate:
    crate_id, name, note, is_public, made_at, count = row
    return Crate(crate_id, name, note, bool(is_public), made_at, count)


def _checked(name: str, note: str) -> tuple[str, str]:
    name = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    note = " ".join("".join(char if char.isprintable() else " " for char in note).split())
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise FieldRejected("name", f"Enter a name of 1 to {MAX_NAME_CHARS} characters.")
    if len(note) > MAX_NOTE_CHARS:
        raise FieldRejected("note", f"The note can have up to {MAX_NOTE_CHARS} characters, and this has {len(note):,}.")
    return name, note
