"""Records that go for good: each has a page that says what goes with it, and a form on it. For operators; strangers find the door.

Every view loads what it needs when it is first called: an idle server holds none of it.
"""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.exceptions import Forbidden, NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.context import may_operate, services
from image_cache.web.door_more import check_keeper
from image_cache.web.notices_more import leave
from image_cache.web.rate_limits import limiter
from image_cache.web.records.views import known_record

removing = Blueprint("removing", __name__)


@removing.before_request
def check_account() -> AnyResponse | None:
    refused = check_keeper(request.path)
    if refused is None and not may_operate():
        raise Forbidden("Only an operator may do that.")
    return refused


@removing.get("/album/<int:album_id>/remove")
def ask(album_id: int) -> AnyResponse:
    """Say what goes with a record, and what would bring it back, before it goes."""
    from image_cache.web.records import removal as removal_view

    return _page(render_template("records/remove_one.html", **removal_view.of_album(known_record(album_id))))


@removing.post("/album/<int:album_id>/remove")
@limiter.limit("60 per minute")
def remove(album_id: int) -> AnyResponse:
    """Remove a record, then back to the wall."""
    from image_cache.web.records import removal as removal_view

    known_record(album_id)
    removed = services().library.remove([album_id])
    if not removed:  # somebody else was faster
        raise NotFound(f"There is no record {album_id} on this shelf.")
    leave(removal_view.told(removed))
    return redirect(url_for("pages.grid", done="removed"), 303)


@removing.get("/import/discogs/gone")
def ask_discogs() -> AnyResponse:
    """Say what would go of the records that left the collection at Discogs."""
    return _ask_gone("discogs")


@removing.post("/import/discogs/gone")
@limiter.limit("20 per minute")
def remove_discogs() -> AnyResponse:
    return _remove_gone("discogs")


@removing.get("/import/music/gone")
def ask_music() -> AnyResponse:
    """Say what would go of the records whose folders are gone."""
    return _ask_gone("music")


@removing.post("/import/music/gone")
@limiter.limit("20 per minute")
def remove_music() -> AnyResponse:
    return _remove_gone("music")


def _ask_gone(source: str) -> AnyResponse:
    from image_cache.web.records import removal as removal_view

    return _page(render_template("records/remove_many.html", **removal_view.of_gone(source)))


def _remove_gone(source: str) -> AnyResponse:
    """Remove what the page has shown and what is still gone; with `keep` nothing that has something of one's own."""
    from image_cache.web.records import removal as removal_view

    only = removal_view.only_gone(source, request.form)
    leave(removal_view.told(removal_view.remove_gone(only), source))
    return redirect(f"/import/{source}?done=removed", 303)


def _page(html: str) -> AnyResponse:
    answer = AnyResponse(html, mimetype="text/html")
    answer.headers["Cache-Control"] = "no-store"
    return answer
