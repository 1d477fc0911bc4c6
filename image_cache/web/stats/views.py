"""`/stats` and `/stats/<year>`: the collection in figures, and what a year sounded like."""

import calendar
import csv
import io
import time
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template
from markupsafe import Markup
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.records.statistics.statistics import Portion, Statistics, YearReview
from image_cache.web.access import Role, declare_access
from image_cache.web.admin import charts
from image_cache.web.context import services
from image_cache.web.records.browsing import wall
from image_cache.web.records.browsing.page_tags import revalidated
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

stats = declare_access(read=Role.VISITOR)(Blueprint("stats", __name__))

WEEKDAYS = tuple(calendar.day_name)
FIRST_YEAR, LAST_YEAR = 1970, 9000


@stats.get("/stats")
@revalidated
def collection() -> AnyResponse:
    """Show the collection in figures and charts, each with its table."""
    from image_cache.web.stats import drawing  # with the families of drawn sleeves, which a server may never need

    reader = services().library.statistics
    found = reader.whole()
    if not found.records:
        return page_response(render_template("stats/empty.html"))
    groups = [("Genres", "genre", found.genres), ("Decades", "decade", found.decades)]
    groups += [("Labels", "label", found.labels), ("Formats", "format", found.formats)]
    colours = reader.colours([album_id for _, _, rows in groups for row in rows for album_id in row.ids])
    values = {
        "found": found,
        "year": time.localtime().tm_year,
        "plays_this_year": dict(found.years).get(time.localtime().tm_year, 0),
        "groups": [_group(title, name, rows, colours) for title, name, rows in groups],
        "growth": _growth(found),
        "week": drawing.week(found.hours, _busiest(found)),
        "week_rows": [(name, sum(found.hours.get((day, hour), 0) for hour in range(24))) for day, name in enumerate(WEEKDAYS)],
        "most": _tiles(found.most_played),
        "never": _tiles(found.never_played),
        "dots": charts.dot_gauge,
        "counted_at": time.strftime("%H:%M"),
    }
    return page_response(render_template("stats/index.html", **values))


@stats.get("/stats.csv")
def table() -> Response:
    """Answer with every number of the page as a table."""
    found = services().library.statistics.whole()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("kind", "value", "count"))
    writer.writerows((("records", "", found.records), ("artists", "", found.artists), ("plays", "", found.plays)))
    writer.writerow(("never played", "", found.never))
    for kind, rows in (("genre", found.genres), ("decade", found.decades), ("label", found.labels), ("format", found.formats)):
        writer.writerows((kind, _guarded(row.value) or "unknown", row.count) for row in rows)
    writer.writerows(("records at the end of", year, count) for year, count in found.growth)
    writer.writerows(("plays in", year, count) for year, count in found.years)
    writer.writerows((f"plays on {WEEKDAYS[day]}", f"{hour}:00", count) for (day, hour), count in sorted(found.hours.items()))
    answer = Response(text.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = 'attachment; filename="statistics.csv"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


@stats.get("/stats/<int:year>")
@revalidated
def review(year: int) -> AnyResponse:
    """Show what a year sounded like. Raises `NotFound` for a year without plays."""
    from image_cache.web.stats import drawing  # with the families of drawn sleeves, which a server may never need

    reader = services().library.statistics
    found = _reviewed(year)
    shown = [album_id for album_id, _ in found.best] + [month.album_id for month in found.months if month.album_id]
    shown += [found.first[0]] if found.first else []
    tiles = {tile.album.id: tile for tile in _tiles(tuple(dict.fromkeys(shown)))}
    values = {
        "found": found,
        "years": reader.whole().years,
        "ribbon": drawing.ribbon(found.ribbon, reader.colours(found.ribbon), _ribbon_sentence(found)),
        "tiles": tiles,
        "best": [(tiles[album_id], plays) for album_id, plays in found.best if album_id in tiles],
        "weekdays": WEEKDAYS,
        "is_running": year == time.localtime().tm_year,
        "month_names": calendar.month_name[1:],
    }
    return page_response(render_template("stats/year.html", **values))


@stats.get("/stats/<int:year>.svg")
def picture(year: int) -> Response:
    """Return the year as an image. Raises `NotFound` for a year without plays."""
    from image_cache.web.stats.poster import PosterRecord, poster

    found = _reviewed(year)
    reader, covers = services().library.statistics, services().covers
    plays = dict(found.best)
    best = []
    for album in reader.albums([album_id for album_id, _ in found.best]):
        cover = covers.peek([album.picture])[0]
        body = covers.get(cover.digest, "thumbnails-2x") if cover.state == "ready" else None
        best.append(PosterRecord(album.artist, album.title, ", ".join(album.genres), plays[album.id], body))
    answer = Response(poster(found, best, reader.colours(found.ribbon)), mimetype="image/svg+xml")
    answer.headers["Content-Disposition"] = f'attachment; filename="records-{year}.svg"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _reviewed(year: int) -> YearReview:
    """Return the review of a year. Raises `NotFound` if nothing was played in it."""
    found = services().library.statistics.year(year) if FIRST_YEAR <= year <= LAST_YEAR else None
    if found is None or not found.plays:
        raise NotFound(f"Nothing was played in {year}.")
    return found


def _tiles(ids: tuple[int, ...]) -> list[wall.Tile]:
    albums = services().library.statistics.albums(ids)
    covers = services().covers.for_page([album.picture for album in albums])
    know_covers(covers)
    return wall.tiles(albums, covers, eager=0)


def _group(title: str, name: str, rows: tuple[Portion, ...], colours: dict[int, str]) -> dict[str, object]:
    from image_cache.web.stats import drawing

    each, longest = drawing.spines_each(rows), max((row.count for row in rows), default=0)
    lines = []
    for row in rows:
        label = f"{row.value}s" if name == "decade" and row.value else row.value or "Unknown"
        address = f"/?{urlencode({name: row.value})}" if row.value and (name != "decade" or len(row.value) == 4) else ""
        lines.append((label, address, drawing.spine_row(row, each, longest, colours), row.count))
    return {"title": title, "each": each, "lines": lines}


def _growth(found: Statistics) -> Markup:
    years = dict(found.growth)
    first, last = min(years), max(time.localtime().tm_year, *years)
    values: list[float | None] = []
    count = 0
    for year in range(first, last + 1):
        count = years.get(year, count)
        values.append(float(count))
    ticks = [(at / max(1, last - first), str(first + at)) for at in range(0, last - first, max(1, (last - first) // 3))]
    sentence = f"Records in the collection: {years[first]:,} at the end of {first}, {found.records:,} now."
    top = charts.top_of(found.records, 3)
    return charts.lines_chart([charts.LineChart(values)], ticks, sentence, top=top, write=lambda value: f"{value:,.0f}")


def _busiest(found: Statistics) -> str:
    if not found.hours:
        return "No plays are counted yet."
    day, hour = max(found.hours, key=lambda one: found.hours[one])
    return f"Plays by weekday and hour. Most often {WEEKDAYS[day]} at {hour}:00, {found.hours[day, hour]:,} times."


def _ribbon_sentence(found: YearReview) -> str:
    return f"{found.plays:,} plays of {found.year} in order, each in the colour of its cover."


def _guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@" and text else text
