"""Saved views of the wall: the form that names one, saving it, removing it."""

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected
from image_cache.web.access import Role, declare_access
from image_cache.web.context import account, services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.browsing import wall
from image_cache.web.records.browsing.filters import filters_of, in_words
from image_cache.web.responses import page_response

saved_views = declare_access(read=Role.MEMBER, change=Role.MEMBER, login="/")(Blueprint("saved_views", __name__))

MAX_TYPED_CHARS = wall.MAX_QUERY_CHARS


@saved_views.get("/views/new")
def name_view() -> AnyResponse:
    """Show the form that gives the wall of this address a name."""
    return _form(wall.read_wall(request.args, None))


@saved_views.post("/views")
@limiter.limit("60 per minute")
def save() -> AnyResponse:
    """Save a view (form fields name, address, own) and show it."""
    address = wall.wall_of(request.form.get("address", ""))
    found = account()
    account_id = found.id if found is not None and request.form.get("own") == "1" else None
    try:
        services().library.views.save(request.form.get("name", ""), address.query_string, account_id, services().covers.clock())
    except FieldRejected as error:
        answer = _form(address, wrong=error.reason, typed=request.form.get("name", "")[:MAX_TYPED_CHARS])
        answer.status_code = 400
        return answer
    return redirect(address.url(page=1), 303)


@saved_views.post("/views/<int:view_id>/remove")
@limiter.limit("60 per minute")
def remove(view_id: int) -> AnyResponse:
    """Remove a view. Its records stay."""
    found = account()
    if not services().library.views.remove(view_id, found.id if found is not None else None):
        raise NotFound(f"There is no view {view_id}.")
    return redirect("/", 303)


def _form(address: wall.WallAddress, *, wrong: str = "", typed: str = "") -> AnyResponse:
    filters = [in_words(kind, value) for kind, value in filters_of(address.query).items()]
    sorts = wall.SORTS | wall.MORE_SORTS
    values = {
        "wall": address,
        "words": [*filters, f"by {sorts[address.query.sort].lower()}" if address.query.sort in sorts else ""],
        "address": address.query_string,
        "wrong": wrong,
        "typed": typed or ", ".join(filters)[:60],
        "has_account": account() is not None,
    }
    return page_response(render_template("records/view.html", **values))
