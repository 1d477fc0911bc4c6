"""What was done to many records, and its undo: the answer page of each deed, the list of imports, the hidden records."""

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.exceptions import Forbidden, NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.records.batches.table import RecordBatch
from image_cache.web.access import MESSAGES, Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import account, may_operate, services
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import page_response

undoing = declare_access(read=Role.OWNER, change=Role.OWNER, login="/")(Blueprint("undoing", __name__))

BY_OPERATORS = ("remove", "import")
SHOWN_HIDDEN = 500
UNDONE = {  # how the log of actions calls what was undone
    "edit": "an edit of records",
    "remove": "a removal of records",
    "merge": "a merge of records",
    "import": "an import",
}


@undoing.get("/batches")
def list_page() -> AnyResponse:
    """List the imports of the last 30 days and what else was done to many records, each with its undo."""
    batches = services().library.batches
    return _page("records/batches.html", imports=batches.imports(), others=batches.recent(), is_open=batches.is_open)


@undoing.get("/batches/<int:batch_id>")
def batch_page(batch_id: int) -> AnyResponse:
    """Say what was done, and offer to undo it."""
    batch, batches = _known(batch_id), services().library.batches
    if message := services().batch_tasks.message(batch_id):
        return _page("records/batch_running.html", batch=batch, message=message)
    will = batches.import_undo(batch) if batch.kind == "import" and batches.is_open(batch) else None
    alike = len(services().copies.pairs(batch.id)) if batch.kind == "import" and not batch.undone_at else 0
    may_undo = batches.is_open(batch) and (batch.kind not in BY_OPERATORS or may_operate())
    return _page("records/batch.html", batch=batch, will=will, alike=alike, may_undo=may_undo, is_open=batches.is_open(batch))


@undoing.post("/batches/<int:batch_id>/undo")
@limiter.limit("30 per minute")
def undo(batch_id: int) -> AnyResponse:
    """Undo it as a whole. Removals and imports are for operators, as they were."""
    batch, own = _known(batch_id), account()
    if batch.kind in BY_OPERATORS and not may_operate():
        raise Forbidden(MESSAGES[Role.OPERATOR])
    services().batch_tasks.undo(batch, own.id if own else None)
    log_action("records", f"undid {UNDONE[batch.kind]}")
    return redirect(url_for("undoing.batch_page", batch_id=batch_id), 303)


@undoing.get("/hidden")
@declare_access(read=Role.OPERATOR, login="/hidden")
def hidden_page() -> AnyResponse:
    """List the records that no import brings back."""
    return _page("records/hidden.html", records=services().library.hidden.records(SHOWN_HIDDEN))


@undoing.post("/hidden/<int:hidden_id>/show")
@declare_access(change=Role.OPERATOR, login="/hidden")
@limiter.limit("60 per minute")
def show(hidden_id: int) -> AnyResponse:
    """Bring a hidden record back: at once if it was removed in the last 30 days, else with the next import."""
    record = services().library.hidden.record(hidden_id)
    if record is None:
        raise NotFound("This record is not hidden any more.")
    is_back = services().library.batches.bring_back(record.album_id)
    services().library.hidden.show(hidden_id)
    if is_back:
        return redirect(url_for("pages.album", album_id=record.album_id), 303)
    return redirect(url_for("undoing.hidden_page"), 303)


def _known(batch_id: int) -> RecordBatch:
    found = services().library.batches.batch(batch_id)
    if found is None:
        raise NotFound("This is more than 30 days old and cannot be undone.")
    return found


def _page(template: str, **values: object) -> AnyResponse:
    answer = page_response(render_template(template, **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer
