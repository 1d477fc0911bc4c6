"""Discogs pages: `/import/discogs`, for operators. Views start or show tasks; none of them calls Discogs.

Also what the templates of other pages show about the source and the age of the records.
"""

from typing import cast

from flask import Blueprint, Flask, Response, g, redirect, render_template, request
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from image_cache.db.database import DatabaseError
from image_cache.errors import FieldRejected
from image_cache.importers.discogs.service import SYNC, TEST, DiscogsStatus
from image_cache.web.context import may_operate, pop_flash, services
from image_cache.web.imports import methods, tasks
from image_cache.web.rate_limits import limiter
from image_cache.web.security import check_keeper

discogs = Blueprint("discogs", __name__, url_prefix="/import/discogs")

HERE = "/import/discogs"


def register_discogs(app: Flask) -> None:
    """Let every template show the source of its records, and how old they are."""
    app.jinja_env.globals.update(discogs_status=discogs_status, discogs_shown=discogs_shown)


def discogs_status() -> DiscogsStatus | None:
    """Return the state of the connection, read once per request; None if the database cannot be read."""
    if "discogs_status" not in g:
        try:
            g.discogs_status = services().discogs.status()
        except DatabaseError:
            g.discogs_status = None
    return cast(DiscogsStatus | None, g.discogs_status)


def discogs_shown() -> bool:
    """Return True if records from Discogs can be on the wall."""
    return services().discogs.has_records()


@discogs.before_request
def check_account() -> AnyResponse | None:
    refused = check_keeper(HERE)
    if refused is None and not may_operate():
        raise Forbidden("Only an operator may do that.")
    return refused


@discogs.get("")
def page() -> AnyResponse:
    return _page()


@discogs.post("/token")
@limiter.limit("20 per minute")
def offer() -> AnyResponse:
    """Store a token and test it in the background; the page shows the result. The token is never shown again."""
    try:
        services().discogs.offer(request.form.get("token", "")[:500])
    except FieldRejected as error:
        return _page(400, str(error))
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
    return redirect(HERE, 303)


@discogs.get("/forget")
def forget_page() -> str:
    """Show what disconnecting does, and ask for confirmation."""
    return render_template("imports/discogs_forget.html", tie=services().discogs.status())


@discogs.post("/forget")
def forget() -> AnyResponse:
    services().discogs.forget()
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
