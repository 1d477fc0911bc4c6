"""Add and edit records by hand: the form of all fields, own values and their source's, the changes with undo."""

from collections.abc import Mapping

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from image_cache.models import Album
from image_cache.records.editing.editor import EditOutcome
from image_cache.records.editing.own_values import FIELDS, text_of
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import account, services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.album import record_page
from image_cache.web.records.editing.add import added
from image_cache.web.records.views import get_record_or_404
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

editing = declare_access(read=Role.OWNER, change=Role.OWNER, login=record_page)(Blueprint("editing", __name__))

SOURCE_NAMES = {"discogs": "Discogs", "music": "the music folder", "demo": "the demo", "table": "the table"}
NARROW = (
    "label",
    "catno",
    "year",
    "formats",
    "genres",
    "styles",
    "barcode",
    "media_condition",
    "sleeve_condition",
    "shelf",
    "price",
    "bought",
)
MAX_ID = 2**53
MAX_TYPED_CHARS = 20_000  # of a rejected text that are shown again
HINTS = {
    "formats": "Several with a semicolon between them.",
    "genres": "Several with a semicolon between them.",
    "styles": "Several with a semicolon between them.",
    "shelf": "Where it stands, such as Kallax 3.",
    "price": "Such as 12.50 GBP.",
    "bought": "Such as 2024-05-31, or only 2024.",
    "tracks": "One a line: A1 | Title | 3:45. The sides follow from the positions.",
}


@editing.get("/add/record")
@declare_access(read=Role.OWNER, login="/add/record")
def add_page() -> AnyResponse:
    """Show the empty form, with what the address has filled in already."""
    return _form_page(None, {name: request.args.get(name, "")[:MAX_TYPED_CHARS] for name in FIELDS})


@editing.post("/add/record")
@declare_access(change=Role.OWNER, login="/add/record")
@limiter.limit("60 per minute")
def add() -> AnyResponse:
    """Add the record that was typed, then show it. One that looks the same as others must be a copy of them (form fields copy_of)."""
    copies = [number for text in request.form.getlist("copy_of") if (number := whole_number(text, 1, MAX_ID)) is not None]
    outcome = services().editor.add(_typed(), _who(), copy_of=copies)
    if not outcome.is_saved:
        return _form_page(None, _typed(), outcome)
    done = "copied" if copies and services().copies.of(outcome.album_id) else added(outcome.album_id)
    return redirect(url_for("pages.album", album_id=outcome.album_id, done=done), 303)


@editing.get("/album/<int:album_id>/edit")
def edit_page(album_id: int) -> AnyResponse:
    """Show all fields of a record, which of them are own, and the changes."""
    record = get_record_or_404(album_id)
    return _form_page(record, {name: text_of(record, name) for name in FIELDS})


@editing.post("/album/<int:album_id>/edit")
@limiter.limit("60 per minute")
def edit(album_id: int) -> AnyResponse:
    """Save what differs from what the form began with; what is wrong, or was changed meanwhile, is shown beside what was typed."""
    get_record_or_404(album_id)
    was = {name: request.form.get(f"was_{name}", "") for name in FIELDS}
    outcome = services().editor.edit(album_id, _typed(), was, _who())
    if not outcome.is_saved:
        return _form_page(get_record_or_404(album_id), _typed(), outcome)
    return redirect(url_for("pages.album", album_id=album_id, done="edited" if outcome.changed else ""), 303)


@editing.post("/album/<int:album_id>/release")
@limiter.limit("60 per minute")
def release(album_id: int) -> AnyResponse:
    """Use the source's value of a field (form field field) again."""
    get_record_or_404(album_id)
    services().editor.release(album_id, request.form.get("field", ""), _who())
    return redirect(url_for("editing.edit_page", album_id=album_id, done="released"), 303)


@editing.post("/album/<int:album_id>/undo")
@limiter.limit("60 per minute")
def undo(album_id: int) -> AnyResponse:
    """Undo a change (form field change)."""
    get_record_or_404(album_id)
    services().editor.undo(request.form.get("change", 0, type=int))
    return redirect(url_for("editing.edit_page", album_id=album_id, done="undone"), 303)


@editing.post("/album/<int:album_id>/copy")
@limiter.limit("60 per minute")
def copy(album_id: int) -> AnyResponse:
    """Add a second copy of a record, then show it."""
    get_record_or_404(album_id)
    made = services().editor.copy(album_id, _who())
    return redirect(url_for("pages.album", album_id=made, done="copied"), 303)


def _form_page(record: Album | None, typed: Mapping[str, str], outcome: EditOutcome | None = None) -> AnyResponse:
    editor = services().editor
    wrong, clashes = (outcome.wrong or {}, outcome.clashes or {}) if outcome else ({}, {})
    names = [name for name in FIELDS if name != "notes" or (record is not None and (record.notes or typed.get("notes")))]
    # What the form begins with: after a clash what is stored now, so that saving again is meant.
    was = {name: text_of(record, name) if record else "" for name in names}
    cover = None
    if record is not None:
        cover = services().pages.cover(record)
        know_covers({record.picture: cover})
    values = {
        "album": record,
        "cover": cover,
        "fields": [(name, FIELDS[name]) for name in names],
        "narrow": NARROW,
        "hints": HINTS,
        "members_only": () if services().settings.PUBLIC_NOTES else ("price", "bought"),
        "typed": typed,
        "was": was,
        "own": editor.own(record) if record else {},
        "source": SOURCE_NAMES.get(record.source, record.source) if record else "",
        "changes": editor.changes(record.id) if record else (),
        "merges": services().library.batches.merger.merges(record.id) if record else (),
        "labels": FIELDS,
        "wrong": wrong,
        "clashes": clashes,
        "alike": services().library.albums_by_id(outcome.alike) if outcome else (),
        "copies": services().library.albums_by_id(services().copies.of(record.id)) if record else (),
        "done": request.args.get("done", ""),
    }
    answer = page_response(render_template("records/edit.html", **values))
    answer.status_code = 400 if wrong else 409 if clashes or values["alike"] else 200
    return answer


def _typed() -> dict[str, str]:
    return {name: request.form[name][:MAX_TYPED_CHARS] for name in FIELDS if name in request.form}


def _who() -> int | None:
    found = account()
    return found.id if found else None
