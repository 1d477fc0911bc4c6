"""Table module of copies in `catalog.db`: records that look the same, and which of them a person has said are two copies."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row, parameter_marks
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.columns import from_column
from image_cache.records.playing.sides import carrier_of
from image_cache.records.search.rules import code_key, name_key, plain, squash

MAX_ALIKE = 12  # of one name: more are a collection of untitled records, not copies
AT_A_TIME = 500
_COLUMNS = "id, source, instance_id, year, catno, barcode, formats, import_id, group_id"
_FROM = "FROM albums LEFT JOIN record_copies ON album_id = id"


@frozen
class Look:
    """What tells a record from another of the same artist and title. `group` is that of its copies, `import_id` what added it."""

    id: int
    source: str
    instance_id: str
    year: int | None
    catno: str
    barcode: str
    carrier: str
    import_id: int | None = None
    group: int | None = None

    def is_like(self, other: "Look") -> bool:
        """Return True if nothing tells the two apart, and no one has said yet that they are two copies.

        Discogs numbers the copies of a release: two numbers are two copies.
        """
        if self.group is not None and self.group == other.group:
            return False
        if self.source == other.source and self.instance_id and other.instance_id:
            return False
        if self.carrier != other.carrier:
            return False
        if self.barcode and other.barcode:
            return self.barcode.lstrip("0") == other.barcode.lstrip("0")
        return all(
            not mine or not theirs or mine == theirs for mine, theirs in ((self.year, other.year), (self.catno, other.catno))
        )


class CopiesTable:
    """Any thread, several processes. Methods with a connection belong into the caller's `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def like(self, album: Album) -> list[int]:
        """Return the records that look the same as this one, which need not be stored yet, the oldest first."""
        key = squash(name_key(plain(album.artist)) + name_key(plain(album.title)))
        if not key:
            return []
        ids = [
            row[0] for row in self.db.rows("SELECT album_id FROM keys WHERE kind = 'b' AND key = ? LIMIT ?", (key, MAX_ALIKE + 2))
        ]
        looks = self._looks([*ids, album.id])
        own = looks.get(album.id) or _of(album)
        others = [looks[one] for one in sorted(ids) if one != album.id and one in looks]
        return [other.id for other in others if own.is_like(other)] if len(others) <= MAX_ALIKE else []

    def pairs(self, import_id: int | None = None) -> list[tuple[int, int]]:
        """Return all pairs that look the same, the older record first, the newest pairs first; of an import only what it added."""
        sql = (
            "SELECT key, album_id FROM keys WHERE kind = 'b' AND key IN"
            " (SELECT key FROM keys WHERE kind = 'b' AND key <> '' GROUP BY key HAVING count(*) BETWEEN 2 AND ?) ORDER BY key"
        )
        rows = groupby(self.db.rows(sql, (MAX_ALIKE,)), key=itemgetter(0))
        groups = [[int(row[1]) for row in same] for _, same in rows]
        looks = self._looks([one for group in groups for one in group])
        found = []
        for group in groups:
            same = [looks[one] for one in sorted(group) if one in looks]
            found += [(a, b) for place, b in enumerate(same) for a in same[:place] if a.is_like(b)]
        kept = [pair for pair in found if import_id is None or import_id in (pair[0].import_id, pair[1].import_id)]
        return sorted(((a.id, b.id) for a, b in kept), key=lambda pair: (-pair[1], pair[0]))

    def keep(self, conn: Connection, first_id: int, second_id: int) -> None:
        """Store that two records are copies, and with them what was said to be copies of either."""
        sql = f"SELECT DISTINCT group_id FROM record_copies WHERE album_id IN ({parameter_marks(2)})"
        groups = [row[0] for row in conn.execute(sql, (first_id, second_id)).fetchall()]
        group = min(groups, default=first_id)
        conn.executemany("UPDATE record_copies SET group_id = ? WHERE group_id = ?", [(group, one) for one in groups])
        sql = "INSERT INTO record_copies SELECT id, ? FROM albums WHERE id = ? ON CONFLICT DO NOTHING"
        conn.executemany(sql, [(group, first_id), (group, second_id)])

    def keep_all(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Store that these pairs are copies."""
        with self.db.write() as conn:
            for first_id, second_id in pairs:
                self.keep(conn, first_id, second_id)

    def forget(self, album_id: int) -> None:
        """Take a record out of its copies again, so that it is offered once more."""
        with self.db.write() as conn:
            conn.execute("DELETE FROM record_copies WHERE album_id = ?", (album_id,))

    def of(self, album_id: int) -> list[int]:
        """Return what was said to be copies of a record, without itself."""
        sql = (
            "SELECT b.album_id FROM record_copies AS a JOIN record_copies AS b USING (group_id)"
            " WHERE a.album_id = ? AND b.album_id <> a.album_id ORDER BY b.album_id"
        )
        return [row[0] for row in self.db.rows(sql, (album_id,))]

    def _looks(self, ids: Sequence[int]) -> dict[int, Look]:
        looks = {}
        for start in range(0, len(ids), AT_A_TIME):
            portion = ids[start : start + AT_A_TIME]
            sql = f"SELECT {_COLUMNS} {_FROM} WHERE id IN ({parameter_marks(len(portion))})"
            looks.update({row["id"]: _look(row) for row in self.db.rows(sql, portion)})
        return looks


def _look(row: Row) -> Look:
    album_id, source, instance_id, year, catno, barcode, formats, import_id, group = row
    carrier = carrier_of(from_column("formats", formats))
    return Look(album_id, source, instance_id, year, code_key(plain(catno)), barcode, carrier, import_id, group)


def _of(album: Album) -> Look:
    catno = code_key(plain(album.catno))
    return Look(album.id, album.source, album.instance_id, album.year, catno, album.barcode, carrier_of(album.formats))
