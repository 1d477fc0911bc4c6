"""What the tables of records and plays say when they are counted. Read-only; each method is one statement."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Row
from image_cache.db.dialect import joined_ids

IDS_CHARS = 600  # of the ids that stand for a row in a chart: some eighty of them


class StatisticsTable:
    """Counts of the catalogue. Thread-safe."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def totals(self) -> Row:
        return self.db.rows(
            "SELECT count(*) AS records, count(DISTINCT artist_sort) AS artists, count(*) FILTER (WHERE plays = 0) AS never,"
            " avg(CAST(year AS DOUBLE PRECISION)) AS mean, min(year) AS oldest, max(year) AS newest, coalesce(sum(plays), 0) AS plays FROM albums"
        )[0]

    def by_facet(self, kind: str, most: int) -> Sequence[Row]:
        """Return (value, records, ids of some of them joined by commas), the most frequent first."""
        return self.db.rows(
            f"SELECT value, count(*), {joined_ids('album_id', IDS_CHARS)} FROM facets WHERE kind = ?"
            " GROUP BY value ORDER BY 2 DESC, 1 LIMIT ?",
            (kind, most),
        )

    def by_decade(self) -> Sequence[Row]:
        """Return (decade, records, ids as above) in order; the decade is None where no year is known."""
        return self.db.rows(
            f"SELECT year / 10 * 10, count(*), {joined_ids('id', IDS_CHARS)} FROM albums GROUP BY 1 ORDER BY 1 NULLS LAST"
        )

    def by_label(self, most: int) -> Sequence[Row]:
        return self.db.rows(
            f"SELECT label, count(*), {joined_ids('id', IDS_CHARS)} FROM albums WHERE label <> ''"
            " GROUP BY label ORDER BY 2 DESC, 1 LIMIT ?",
            (most,),
        )

    def without_genre(self) -> int:
        row = self.db.row("SELECT count(*) FROM albums WHERE genres = '[]'")
        return int(row[0]) if row else 0

    def added_by_year(self) -> dict[int | None, int]:
        """Return the records added in each year, by the clock of the server; None for a time that it cannot tell."""
        moments = _local(self.db.stream("SELECT added_at FROM albums"))
        return Counter(moment.tm_year if moment else None for moment in moments)

    def plays_by_time(self) -> tuple[dict[tuple[int, int], int], list[tuple[int, int]]]:
        """Return the plays by (weekday, 0 is Monday; hour), and (year, plays), the latest first; by the clock of the server."""
        hours, years = Counter[tuple[int, int]](), Counter[int]()
        for moment in _local(self.db.stream("SELECT played_at FROM plays")):
            if moment:
                hours[moment.tm_wday, moment.tm_hour] += 1
                years[moment.tm_year] += 1
        return dict(hours), sorted(years.items(), reverse=True)

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


def _local(rows: Iterable[tuple[float]]) -> Iterator[time.struct_time | None]:
    for (at,) in rows:
        try:
            yield time.localtime(at)
        except (OverflowError, ValueError, OSError):  # a table may say anything
            yield None
