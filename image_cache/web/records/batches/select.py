"""What is done to selected records: edit, export, remove, put in a crate. Each step has its page, and each deed can be undone."""

from collections.abc import Iterable

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected
from image_cache.records.batches.edit import EDITABLE, FieldEdit
from image_cache.records.batches.selection_table import Selection
from image_cache.records.columns import from_column
from image_cache.records.editing.own_values import FIELDS, LISTS, text_of_value
from image_cache.tables.write import table_text
from image_cache.units import counted, whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import account, services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.browsing.select_page import MAX_ID, known_selection
from image_cache.web.records.browsing.wall import wall_of
from image_cache.web.responses import page_response

selecting = declare_access(read=Role.MEMBER, change=Role.MEMBER, login="/")(Blueprint("selecting", __name__))

MAX_TYPED_CHARS = 2000
AT_A_TIME = 200
NONE = "Select at least one record first."
DEEDS = {"edit": "selecting.edit_page", "export": "selecting.export", "remove": "selecting.ask", "crate": "crating.choose_page"}


@selecting.post("/selection")
@limiter.limit("240 per minute")
def select() -> AnyResponse:
    """Keep what is selected, then go where the button (form field deed) leads: to another page, to all records, to a deed."""
    deed, address = request.form.get("deed", ""), wall_of(request.form.get("address", ""))
    page = whole_number(deed.removeprefix("page-"), 1, 99_999_999) if deed.startswith("page-") else None
    if deed not in DEEDS and deed != "all" and page is None:
        raise BadRequest("Choose what to do with the selected records.")
    ids = services().library.ids(address.query) if deed == "all" else _selected()
    if not ids and deed in DEEDS:
        raise FieldRejected("ids", NONE)
    kept = services().selections.save(ids, address.query_string, services().covers.clock())
    if deed in DEEDS:
        return redirect(url_for(DEEDS[deed], selection_id=kept.id), 303)
    return redirect(address.url(page=page or 1, select=kept.id), 303)


@selecting.get("/selection/<int:selection_id>/edit")
@declare_access(read=Role.OWNER, login="/")
def edit_page(selection_id: int) -> AnyResponse:
    """Show the fields that can be changed for all, with what the records have in common."""
    return _edit_form(services().selections.known(selection_id))


@selecting.post("/selection/<int:selection_id>/edit")
@declare_access(change=Role.OWNER, login="/")
@limiter.limit("30 per minute")
def edit(selection_id: int) -> AnyResponse:
    """Change the fields that were touched, of all selected records."""
    chosen = services().selections.known(selection_id)
    edits = dict(_edits())
    try:
        batch_id = services().batch_tasks.edit(chosen, edits, _who())
    except FieldRejected as problem:
        answer = _edit_form(chosen, wrong={problem.field: problem.reason})
        answer.status_code = 400
        return answer
    log_action("records", f"edited {counted(len(chosen.ids), 'record')}")
    return _done(batch_id)


@selecting.get("/selection/<int:selection_id>/records.csv")
@declare_access(read=Role.OWNER, login="/")
@limiter.limit("30 per minute")
def export(selection_id: int) -> AnyResponse:
    """Send the selected records as a table that can be imported again. Streamed."""
    ids, library = services().selections.known(selection_id).ids, services().library
    albums = (album for at in range(0, len(ids), AT_A_TIME) for album in library.albums_by_id(ids[at : at + AT_A_TIME]))
    answer = Response(table_text("csv", albums), mimetype="text/csv")
    answer.headers["Content-Disposition"] = 'attachment; filename="vinylvault-selection.csv"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


@selecting.get("/selection/<int:selection_id>/remove")
@declare_access(read=Role.OPERATOR, login="/")
def ask(selection_id: int) -> AnyResponse:
    """Ask before the selected records are removed."""
    chosen = services().selections.known(selection_id)
    first = services().library.albums_by_id(chosen.ids[:12])
    return _page("records/select_remove.html", chosen, first=first)


@selecting.post("/selection/<int:selection_id>/remove")
@declare_access(change=Role.OPERATOR, login="/")
@limiter.limit("30 per minute")
def remove(selection_id: int) -> AnyResponse:
    """Remove the selected records, with the form field hide for good; the answer has the undo."""
    chosen, library = services().selections.known(selection_id), services().library
    if request.form.get("hide") == "1":
        library.hidden.hide(chosen.ids, services().covers.clock())
    batch_id = services().batch_tasks.remove(chosen, _who())
    log_action("records", f"removed {counted(len(chosen.ids), 'record')}")
    return _done(batch_id)


def _selected() -> tuple[int, ...]:
    """Return the selected records of a form, each once.

    `kept` is the selection that goes on, `shown` are the records of the page, whose boxes count alone, `ids` and `off` are what a script
    selected and took out on other pages.
    """
    form = request.form
    kept = known_selection(form.get("kept", ""))
    gone = {*_numbers(form.get("shown", "")), *_numbers(form.get("off", ""))}
    found = [album_id for album_id in (kept.ids if kept else ()) if album_id not in gone]
    boxes = [number for text in form.getlist("id") if (number := whole_number(text, 1, MAX_ID))]
    return tuple(dict.fromkeys((*found, *boxes, *_numbers(form.get("ids", "")))))


def _numbers(text: str) -> list[int]:
    return [number for part in text.split(",") if (number := whole_number(part, 1, MAX_ID))]


def _edits() -> Iterable[tuple[str, FieldEdit]]:
    for name in EDITABLE:
        text, was = request.form.get(name, "")[:MAX_TYPED_CHARS].strip(), request.form.get(f"was_{name}", "").strip()
        if request.form.get(f"clear_{name}") == "1":
            yield name, FieldEdit("")
        elif text != was:
            yield name, FieldEdit(text, adds=bool(text) and request.form.get(f"how_{name}") == "add")


def _edit_form(chosen: Selection, wrong: dict[str, str] | None = None) -> AnyResponse:
    columns = services().selections.values(chosen.ids, EDITABLE)
    fields = []
    for name in EDITABLE:
        count, stored = columns.get(name, (1, ""))
        was = text_of_value(name, from_column(name, stored or ("[]" if name in LISTS else ""))) if count == 1 else ""
        fields.append((name, FIELDS[name], count, was, request.form.get(name, was)[:MAX_TYPED_CHARS]))
    return _page("records/select_edit.html", chosen, fields=fields, lists=LISTS, wrong=wrong or {})


def _page(template: str, chosen: Selection, **values: object) -> AnyResponse:
    back = wall_of(chosen.address).url(page=1, select=chosen.id)
    answer = page_response(render_template(template, chosen=chosen, back=back, **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _done(batch_id: int) -> AnyResponse:
    return redirect(url_for("undoing.batch_page", batch_id=batch_id), 303)


def _who() -> int | None:
    found = account()
    return found.id if found else None
