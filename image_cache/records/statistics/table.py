"""What the tables of records and plays say when they are counted. Read-only; each method is one statement."""

from collections.abc import Iterator, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Row

IDS_CHARS = 600  # of the ids that stand for a row in a chart: some eighty of them
LOCAL = "'unixepoch', 'localtime'"


class StatisticsTable:
    """Counts of the catalogue. Thread-safe."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def totals(self) -> Row:
        return self.db.rows(
            "SELECT count(*) AS records, count(DISTINCT artist_sort) AS artists, coalesce(sum(plays = 0), 0) AS never,"
            " avg(year) AS mean, min(year) AS oldest, max(year) AS newest, coalesce(sum(plays), 0) AS plays FROM albums"
        )[0]

    def by_facet(self, kind: str, most: int) -> Sequence[Row]:
        """Return (value, records, ids of some of them joined by commas), the most frequent first."""
        return self.db.rows(
            f"SELECT value, count(*), substr(group_concat(album_id), 1, {IDS_CHARS}) FROM facets WHERE kind = ?"
            " GROUP BY value ORDER BY 2 DESC, 1 LIMIT ?",
            (kind, most),
        )

    def by_decade(self) -> Sequence[Row]:
        """Return (decade, records, ids as above) in order; the decade is None where no year is known."""
        return self.db.rows(
            f"SELECT year / 10 * 10, count(*), substr(group_concat(id), 1, {IDS_CHARS}) FROM albums GROUP BY 1"
            " ORDER BY year IS NULL, 1"
        )

    def by_label(self, most: int) -> Sequence[Row]:
        return self.db.rows(
            f"SELECT label, count(*), substr(group_concat(id), 1, {IDS_CHARS}) FROM albums WHERE label <> ''"
            " GROUP BY label ORDER BY 2 DESC, 1 LIMIT ?",
            (most,),
        )

    def without_genre(self) -> int:
        row = self.db.row("SELECT count(*) FROM albums WHERE genres = '[]'")
        return int(row[0]) if row else 0

    def added_by_year(self) -> Sequence[Row]:
        return self.db.rows(
            f"SELECT CAST(strftime('%Y', added_at, {LOCAL}) AS INTEGER), count(*) FROM albums GROUP BY 1 ORDER BY 1"
        )

    def plays_by_hour(self) -> Sequence[Row]:
        """Return (weekday, 0 is Sunday; hour; plays)."""
        return self.db.rows(
            f"SELECT CAST(strftime('%w', played_at, {LOCAL}) AS INTEGER), CAST(strftime('%H', played_at, {LOCAL}) AS INTEGER),"
            " count(*) FROM plays GROUP BY 1, 2"
        )

    def plays_by_year(self) -> Sequence[Row]:
        return self.db.rows(
            f"SELECT CAST(strftime('%Y', played_at, {LOCAL}) AS INTEGER), count(*) FROM plays GROUP BY 1 ORDER BY 1 DESC"
        )

    def most_played(self, most: int) -> list[int]:
        sql = "SELECT id FROM albums WHERE plays > 0 ORDER BY plays DESC, artist_sort, id LIMIT ?"
        return [int(row[0]) for row in self.db.rows(sql, (most,))]

    def never_played(self, most: int) -> list[int]:
        """Return the records that have waited longest."""
        return [
            int(row[0]) for row in self.db.rows("SELECT id FROM albums WHERE plays = 0 ORDER BY added_at, id LIMIT ?", (most,))
        ]

    def plays_between(self, start: float, end: float) -> Iterator[tuple[int, float]]:
        """Yield (album id, Unix seconds) of the plays of a span, in order."""
        return self.db.stream(
            "SELECT album_id, played_at FROM plays WHERE played_at >= ? AND played_at < ? ORDER BY played_at, id", (start, end)
        )

    def added_between(self, start: float, end: float) -> int:
        row = self.db.row("SELECT count(*) FROM albums WHERE added_at >= ? AND added_at < ?", (start, end))
        return int(row[0]) if row else 0
