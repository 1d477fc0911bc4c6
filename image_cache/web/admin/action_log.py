"""`/admin/log`: what was done, by whom, with filters, and as CSV."""

import csv
import io
import time
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.maintenance.actions.log import KEPT_DAYS, KINDS, SHORT_DAYS
from image_cache.maintenance.actions.table import ActionFilter, LoggedAction
from image_cache.tables.csv import guarded
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services

HERE = "/admin/log"
PER_PAGE, MAX_PAGE, MAX_ROWS = 100, 10_000, 100_000
SPANS = {"1": "1 day", "7": "7 days", "30": "30 days", "90": "90 days"}
DEFAULT_SPAN = "7"

action_log = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login=HERE)(Blueprint("action_log", __name__))


@action_log.get(HERE)
def page() -> AnyResponse:
    """Show the lines that match the filters, newest first."""
    log, chosen, asked = services().actions, _filter(), _asked()
    total = log.count(chosen)
    pages = max(1, -(-total // PER_PAGE))
    number = min(whole_number(request.args.get("page", "1"), 1, MAX_PAGE) or 1, pages)
    found = log.find(chosen, PER_PAGE, (number - 1) * PER_PAGE)
    html = render_template(
        "admin/log.html",
        rows=[(one, _place(one)) for one in found],
        names=log.names(),
        kinds=KINDS,
        spans=SPANS,
        asked=asked,
        query=urlencode({name: value for name, value in asked.items() if value}),
        total=total,
        number=number,
        pages=pages,
        kept_days=KEPT_DAYS,
        short_days=SHORT_DAYS,
    )
    answer = Response(html)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@action_log.get(f"{HERE}.csv")
def table() -> Response:
    """Answer with the lines that match the filters, as a table."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("when", "who", "what", "where", "from"))
    for one in services().actions.find(_filter(), MAX_ROWS):
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(one.at))
        writer.writerow((when, guarded(one.who), guarded(one.what), guarded(_place(one)), guarded(one.address)))
    answer = Response(text.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = 'attachment; filename="log.csv"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _asked() -> dict[str, str]:
    asked = {name: request.args.get(name, "").strip()[:100] for name in ("who", "kind", "days", "q")}
    if asked["days"] not in SPANS:
        asked["days"] = DEFAULT_SPAN
    return asked


def _filter() -> ActionFilter:
    asked = _asked()
    return ActionFilter(asked["who"], asked["kind"], services().actions.since(int(asked["days"])), asked["q"])


def _place(one: LoggedAction) -> str:
    times = f"{one.count:,} attempts" if one.count > 1 else ""
    return ", ".join(part for part in (one.place, times) if part)
