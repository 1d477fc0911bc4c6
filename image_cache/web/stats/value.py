"""`/stats/value`: what the collection cost and what it is worth, for members: a page to print, and a table for an insurance."""

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, render_template
from werkzeug.wrappers import Response as AnyResponse

from image_cache.records.values.summary import summary
from image_cache.records.values.table import ValuesTable
from image_cache.tables.csv import guarded
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services

PATH = "/stats/value"
MAX_ROWS = 5000  # of the page; the table has all
COLUMNS = (
    "artist",
    "title",
    "condition",
    "shelf",
    "paid",
    "paid currency",
    "bought",
    "value",
    "value currency",
    "value is",
    "valued on",
)

valuing = declare_access(read=Role.MEMBER, login=PATH)(Blueprint("valuing", __name__))


@valuing.get(PATH)
def page() -> AnyResponse:
    """Show the sums and every record, the dearest first."""
    table = ValuesTable(services().catalog)
    found = summary(table.prices())
    values = {
        "found": found,
        "rows": list(table.listing(MAX_ROWS)),
        "has_values": services().settings.DISCOGS_VALUES,
        "has_token": services().discogs.tokens.exists(),
        "today": time.time(),
    }
    answer = Response(render_template("stats/value.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@valuing.get("/stats/value.csv")
def table() -> Response:
    """Answer with every record as a table, row by row."""
    answer = Response(_rows(ValuesTable(services().catalog)), mimetype="text/csv")
    day = datetime.now().astimezone().date().isoformat()
    answer.headers["Content-Disposition"] = f'attachment; filename="values-{day}.csv"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _rows(table: ValuesTable) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    yield "\ufeff" + line.getvalue()  # without a byte order mark Excel does not read it as UTF-8
    for row in table.listing():
        line.seek(0)
        line.truncate()
        valued_on = datetime.fromtimestamp(row.valued_at, UTC).date().isoformat() if row.value and row.valued_at else ""
        texts = (
            row.artist,
            row.title,
            row.grade,
            row.shelf,
            *_halves(row.price),
            row.bought,
            *_halves(row.value),
            row.value_from,
        )
        writer.writerow([*map(guarded, texts), valued_on])
        yield line.getvalue()


def _halves(price: str) -> tuple[str, str]:
    amount, _, code = price.partition(" ")
    return amount, code
