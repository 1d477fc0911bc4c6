"""Discogs pages: `/import/discogs`, for operators. Views start or show tasks; none of them calls Discogs.

Also what the templates of other pages show about the source and the age of the records.
"""

from flask import Blueprint, Flask, Response, g, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.db.database import DatabaseError
from image_cache.errors import FieldRejected
from image_cache.importers.discogs.service import SYNC, TEST, DataAge
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import pop_flash, services
from image_cache.web.imports import methods, tasks
from image_cache.web.rate_limits import limiter

HERE = "/import/discogs"

discogs = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login=HERE)(Blueprint("discogs", __name__, url_prefix=HERE))


def register_discogs(app: Flask) -> None:
    """Tell every template whose data it shows, and how old it is."""
    app.jinja_env.globals.update(discogs_age=discogs_age)


def discogs_age() -> DataAge | None:
    """Return how old the data from Discogs is, looked up once a request; None if that is unknown."""
    if "discogs_age" not in g:
        try:
            g.discogs_age = services().discogs.age()
        except DatabaseError:
            g.discogs_age = None
    found: DataAge | None = g.discogs_age
    return found


@discogs.get("")
def page() -> AnyResponse:
    return _page()


@discogs.post("/token")
@limiter.limit("20 per minute")
def store_token() -> AnyResponse:
    """Store a token and test it in the background; the page shows the result. The token is never shown again."""
    try:
        services().discogs.store_token(request.form.get("token", "")[:500])
    except FieldRejected as error:
        return _page(400, str(error))
    log_action("records", "saved a Discogs token")
    return redirect(HERE, 303)


@discogs.post("/test")
@limiter.limit("20 per minute")
def test() -> AnyResponse:
    services().discogs.test()
    return redirect(HERE, 303)


@discogs.post("/sync")
@limiter.limit("20 per minute")
def sync() -> AnyResponse:
    services().discogs.sync()
    log_action("records", "synced with Discogs")
    return redirect(HERE, 303)


@discogs.get("/<int:task_id>/report.csv")
@limiter.limit("30 per minute")
def report(task_id: int) -> AnyResponse:
    """Send what a sync rejected or cut, as CSV."""
    state = services().tasks.get(task_id)
    if state is None or state.kind != SYNC:
        raise NotFound
    return tasks.report_csv(state, f"vinylvault-sync-{task_id}.csv", first="number")


@discogs.get("/forget")
def forget_page() -> str:
    """Show what disconnecting does, and ask for confirmation."""
    return render_template("imports/discogs_forget.html", tie=services().discogs.status())


@discogs.post("/forget")
def forget() -> AnyResponse:
    services().discogs.forget()
    log_action("records", "removed the Discogs token")
    return redirect(HERE, 303)


def _page(status: int = 200, token_error: str = "") -> AnyResponse:
    connected = services().discogs
    gone_count, gone = connected.gone()
    values = {
        "ways": methods.available_methods(),
        "tie": connected.status(),
        "line": tasks.latest(SYNC, TEST),
        "token_error": token_error,
        "gone_count": gone_count,
        "gone": gone,
        "notice": pop_flash(request.args.get("done", "")),
        "refresh_hours": connected.refresh_hours,
    }
    return Response(render_template("imports/discogs.html", **values), status)
