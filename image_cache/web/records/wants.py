"""The wantlist: its wall, one want, the form that adds one, and what makes a want a record."""

from collections.abc import Mapping, Sequence

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected
from image_cache.frozen import frozen
from image_cache.models import Album, Cover
from image_cache.records.wants.want import Want
from image_cache.records.wants.wantlist import FIELDS
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import is_member, services
from image_cache.web.privacy import may_read_notes
from image_cache.web.rate_limits import limiter
from image_cache.web.records.browsing import wall
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

PATH = "/wants"
BOUGHT_SHOWN = 12
MAX_TYPED_CHARS = 2500
LABELS = {
    "artist": "Artist",
    "title": "Title",
    "label": "Label",
    "catno": "Catalogue number",
    "year": "Year",
    "formats": "Format",
    "barcode": "Barcode",
}
DONE = {
    "wanted": "It is on the wantlist.",
    "notes": "Notes saved.",
    "removed": "Removed from the wantlist.",
    "again": "Back on the wantlist. The record stays in your collection.",
}

wanting = declare_access(read=Role.VISITOR, change=Role.MEMBER, login=PATH)(Blueprint("wanting", __name__))


@frozen
class ShownWant:
    """A want with its sleeve. `notes` are "" for viewers who may not read them."""

    want: Want
    tile: wall.Tile
    notes: str


def shown_wants(wants: Sequence[Want]) -> list[ShownWant]:
    """Return wants as pages show them; their covers are enqueued."""
    if not wants:
        return []
    albums = [want.as_album() for want in wants]
    covers = _covers(albums)
    with_notes = may_read_notes()
    tiles = wall.tiles(albums, covers)
    return [ShownWant(want, tile, want.all_notes if with_notes else "") for want, tile in zip(wants, tiles, strict=True)]


@wanting.get(PATH)
def page() -> AnyResponse:
    """Show what is wanted, and what was bought lately."""
    wants = services().library.wants.table
    values = {
        "wants": shown_wants(wants.wanted()),
        "bought": wants.bought(BOUGHT_SHOWN),
        "done": DONE.get(request.args.get("done", ""), ""),
    }
    return page_response(render_template("records/wants.html", **values))


@wanting.get("/wants/new")
@declare_access(read=Role.MEMBER, login="/wants/new")
def new_page() -> AnyResponse:
    """Show the form, with what the address has filled in already."""
    return _form({name: request.args.get(name, "")[:MAX_TYPED_CHARS] for name in FIELDS})


@wanting.post(PATH)
@limiter.limit("60 per minute")
def add() -> AnyResponse:
    """Want what was typed, or a candidate of a lookup (form fields task, candidate)."""
    wants = services().library.wants
    if "task" in request.form:
        task, number = (whole_number(request.form.get(name, ""), 0, 2**53) for name in ("task", "candidate"))
        if task is None or number is None:
            raise BadRequest("task and candidate must be numbers.")
        want_id = wants.add(services().lookup.offer(task, number))
    else:
        typed = {name: request.form.get(name, "")[:MAX_TYPED_CHARS] for name in (*FIELDS, "notes")}
        try:
            want_id = wants.type(typed)
        except FieldRejected as error:
            answer = _form(typed, wrong={error.field: error.reason})
            answer.status_code = 400
            return answer
    return redirect(f"{PATH}/{want_id}?done=wanted", 303)


@wanting.get("/wants/<int:want_id>")
def one(want_id: int) -> AnyResponse:
    """Show one want."""
    return _one(want_id)


@wanting.post("/wants/<int:want_id>/notes")
@limiter.limit("60 per minute")
def write_notes(want_id: int) -> AnyResponse:
    """Save the notes; a text that is too long is shown again, with the reason."""
    typed = request.form.get("notes", "")
    try:
        services().library.wants.write_notes(want_id, typed)
    except FieldRejected as error:
        answer = _one(want_id, typed=typed[:MAX_TYPED_CHARS], wrong=error.reason)
        answer.status_code = 400
        return answer
    return redirect(f"{PATH}/{want_id}?done=notes", 303)


@wanting.post("/wants/<int:want_id>/remove")
@limiter.limit("60 per minute")
def remove(want_id: int) -> AnyResponse:
    services().library.wants.remove(want_id)
    return redirect(f"{PATH}?done=removed", 303)


@wanting.post("/wants/<int:want_id>/again")
@limiter.limit("60 per minute")
def want_again(want_id: int) -> AnyResponse:
    """Put what was bought back on the wantlist."""
    services().library.wants.want_again(want_id)
    return redirect(f"{PATH}?done=again", 303)


@wanting.post("/wants/<int:want_id>/bought")
@declare_access(change=Role.OWNER, login=PATH)
@limiter.limit("60 per minute")
def buy(want_id: int) -> AnyResponse:
    """Make the want a record of the collection, then show it."""
    album_id = services().library.wants.buy(want_id)
    record = services().library.album(album_id)
    if record is not None and record.picture:
        services().covers.try_register([record.picture])
    return redirect(f"/album/{album_id}?done=bought", 303)


def _one(want_id: int, *, typed: str = "", wrong: str = "") -> AnyResponse:
    want = services().library.wants.get(want_id)
    album = want.as_album()
    cover = _covers([album])[album.picture]
    values = {
        "want": want,
        "album": album,
        "cover": cover,
        "may_read": may_read_notes(),
        "may_want": is_member(),
        "notes_are_public": services().settings.PUBLIC_NOTES,
        "typed": typed,
        "wrong": wrong,
        "done": DONE.get(request.args.get("done", ""), ""),
    }
    return page_response(render_template("records/want.html", **values))


def _form(typed: Mapping[str, str], wrong: Mapping[str, str] | None = None) -> AnyResponse:
    values = {"typed": typed, "wrong": wrong or {}, "labels": LABELS}
    return page_response(render_template("records/want_new.html", **values))


def _covers(albums: Sequence[Album]) -> Mapping[str | None, Cover]:
    covers = services().covers.for_page([album.picture for album in albums])
    know_covers(covers)
    return covers
