"""Statistics of a collection, and the review of a year. Counted when a page asks, and kept until records or plays change."""

import datetime
import itertools
import threading
from collections import Counter
from collections.abc import Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Row
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.records.shelf import Shelf
from image_cache.records.statistics.table import IDS_CHARS, StatisticsTable

ROWS = 12  # genres and formats that a page shows
LABELS = 8
SHOWN = 6  # covers in a row
PLACES = 5
FIRST_YEAR = 1970
MAX_BANDS = 1500  # of a ribbon: more are narrower than a pixel


@frozen
class Portion:
    """One row of a chart: a value ("" where it is unknown), how many records have it, and the ids of some of them."""

    value: str
    count: int
    ids: tuple[int, ...] = ()


@frozen
class Statistics:
    """The whole collection. `growth` are (year, records at its end); `hours` are plays by (weekday, 0 is Monday; hour)."""

    records: int
    artists: int
    plays: int
    never: int
    mean_year: int | None
    oldest: int | None
    newest: int | None
    genres: tuple[Portion, ...]
    decades: tuple[Portion, ...]
    labels: tuple[Portion, ...]
    formats: tuple[Portion, ...]
    growth: tuple[tuple[int, int], ...]
    hours: dict[tuple[int, int], int]
    years: tuple[tuple[int, int], ...]
    most_played: tuple[int, ...]
    never_played: tuple[int, ...]


@frozen
class Month:
    """A month of a year: its number, its plays, and the record that was played most (None if there is none)."""

    number: int
    plays: int
    album_id: int | None


@frozen
class YearReview:
    """What a year sounded like. `ribbon` are the records in the order they were played; days and gaps are None without plays."""

    year: int
    plays: int
    records: int
    ribbon: tuple[int, ...]
    best: tuple[tuple[int, int], ...]
    months: tuple[Month, ...]
    first: tuple[int, float] | None
    longest_day: tuple[datetime.date, int] | None
    longest_silence_days: int
    weekday: int | None
    added: int


class StatisticsReader:
    """Counts the collection. Any thread; what was counted last is kept."""

    def __init__(self, catalog: CatalogDatabase, shelf: Shelf, appearances: RecordAppearanceTable | None) -> None:
        self._table = StatisticsTable(catalog)
        self._catalog = catalog
        self._shelf = shelf
        self._appearances = appearances
        self._guard = threading.Lock()  # protects _known
        self._known: tuple[object, Statistics] | None = None

    def whole(self) -> Statistics:
        """Return the statistics of the collection. At 100,000 records the first look after a change takes half a second."""
        version = self._shelf.revisions()
        with self._guard:
            known = self._known
        if known and known[0] == version:
            return known[1]
        found = self._count()
        with self._guard:
            self._known = (version, found)
        return found

    def colours(self, ids: Sequence[int]) -> dict[int, str]:
        """Return the average colours of the covers of these records, as far as they are known."""
        return self._appearances.averages(ids) if self._appearances else {}

    def albums(self, ids: Sequence[int]) -> list[Album]:
        return self._shelf.albums_by_id(ids)

    def year(self, year: int) -> YearReview:
        """Return the review of a year of local time, empty if nothing was played."""
        start, end = (datetime.datetime(of, 1, 1).astimezone().timestamp() for of in (year, year + 1))
        plays = list(self._table.plays_between(start, end))
        times = [datetime.datetime.fromtimestamp(at).astimezone() for _, at in plays]
        counts = Counter(album_id for album_id, _ in plays)
        months = []
        for number in range(1, 13):
            of_month = Counter(album_id for (album_id, _), when in zip(plays, times, strict=True) if when.month == number)
            best = max(of_month, key=lambda one: (of_month[one], counts[one], -one), default=None)
            months.append(Month(number, of_month.total(), best))
        days = Counter(when.date() for when in times)
        ordered = sorted(days)
        gaps = [(later - earlier).days - 1 for earlier, later in itertools.pairwise(ordered)]
        weekdays = Counter(when.weekday() for when in times)
        step = -(-len(plays) // MAX_BANDS) or 1
        return YearReview(
            year=year,
            plays=len(plays),
            records=len(counts),
            ribbon=tuple(album_id for album_id, _ in plays[::step]),
            best=tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:PLACES]),
            months=tuple(months),
            first=plays[0] if plays else None,
            longest_day=max(days.items(), key=lambda one: one[1]) if days else None,
            longest_silence_days=max(gaps, default=0),
            weekday=max(weekdays, key=lambda one: weekdays[one]) if weekdays else None,
            added=self._table.added_between(start, end),
        )

    def _count(self) -> Statistics:
        table = self._table
        totals = table.totals()
        unknown = table.without_genre()
        this_year = datetime.datetime.now().astimezone().year
        added: Counter[int] = Counter()
        for year, count in table.added_by_year().items():  # a table may say that a record was added in the year 60000
            added[this_year if year is None else min(max(year, FIRST_YEAR), this_year)] += count
        growth = tuple(zip(sorted(added), itertools.accumulate(added[year] for year in sorted(added)), strict=True))
        hours, years = table.plays_by_time()
        genres = [_share(row) for row in table.by_facet("genre", ROWS)]
        return Statistics(
            records=totals["records"],
            artists=totals["artists"],
            plays=totals["plays"],
            never=totals["never"],
            mean_year=None if totals["mean"] is None else round(totals["mean"]),
            oldest=totals["oldest"],
            newest=totals["newest"],
            genres=(*genres, *([Portion("", unknown)] if unknown else [])),
            decades=tuple(map(_share, table.by_decade())),
            labels=tuple(map(_share, table.by_label(LABELS))),
            formats=tuple(map(_share, table.by_facet("format", ROWS))),
            growth=growth,
            hours=hours,
            years=tuple((year, count) for year, count in years if year >= FIRST_YEAR),
            most_played=tuple(table.most_played(SHOWN)),
            never_played=tuple(table.never_played(SHOWN)),
        )


def _share(row: Row) -> Portion:
    """Return a row with its ids, without the last one, which may have been cut."""
    ids = str(row[2]).split(",")
    whole = ids if len(ids) == row[1] and len(str(row[2])) < IDS_CHARS else ids[:-1]
    return Portion("" if row[0] is None else str(row[0]), int(row[1]), tuple(map(int, whole)))
