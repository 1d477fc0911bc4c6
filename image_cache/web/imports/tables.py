"""Table pages: upload a table, see a preview, import it or not; export all records. Tasks do the work."""

import datetime
from contextlib import suppress

from flask import Response, redirect, render_template
from markupsafe import Markup
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.importers.tables.service import TableConflict
from image_cache.importers.tables.task import IMPORT, PREVIEW
from image_cache.models import TaskState
from image_cache.web.actions import log_action
from image_cache.web.context import may_operate, services
from image_cache.web.imports import tasks
from image_cache.web.imports.methods import available_methods
from image_cache.web.imports.previews import UploadRefused, shown_tasks, upload_limits, uploaded_file
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import larger_body

PATH = "/import/table"
TYPES = {"csv": "text/csv", "json": "application/json"}
SPINES = 120  # that stand for the rows of a table
_HEIGHTS = (0, 2, 0, 5, 1, 0, 3, 0, 1, 7, 0)  # where the spines of a shelf begin
PARTS = ("new", "changed", "same", "rejected_count")


def page(status: int = 200, error: str = "") -> AnyResponse:
    """Show the table that waits for its import, or else the result of the last one."""
    running, last, is_waiting = shown_tasks(services().tables.status(), has_error=bool(error))
    batch_id = services().library.batches.rows.of_task(last.id) if last is not None and not is_waiting else None
    values = {
        "ways": available_methods(),
        "batch_id": batch_id,
        "alike": len(services().copies.pairs(batch_id)) if batch_id else 0,
        "running": running,
        "last": last,
        "is_waiting": is_waiting,
        "shelf": _shelf(last) if last is not None and last.outcome else "",
        "error": error,
        "limit_mb": services().settings.MAX_IMPORT_MB,
        "folder": str(services().settings.imports_dir) if may_operate() else "",
        "may_operate": may_operate(),
        "total": services().library.count(),
    }
    return Response(render_template("imports/table.html", **values), status)


@larger_body(upload_limits)
@limiter.limit("30 per minute")
def upload() -> AnyResponse:
    """Store a table and preview it; nothing is imported yet. Wait a moment for the preview: most tables are small."""
    try:
        file, name = uploaded_file("the table")
        tasks.wait(services().tables.upload(file, name))
    except UploadRefused as refused:
        return page(refused.status, str(refused))
    except TableConflict as error:
        return page(409, str(error))
    return redirect(PATH, 303)


@limiter.limit("60 per minute")
def act(task_id: int, action: str) -> AnyResponse:
    """Import a table that was previewed, or discard it."""
    try:
        if action == "take":
            tasks.wait(services().tables.start_import(task_id))
            log_action("records", "imported a table")
        elif action == "leave":
            services().tables.discard(task_id)
        else:
            raise NotFound
    except TableConflict as error:
        return page(409, str(error))
    return redirect(PATH, 303)


@limiter.limit("30 per minute")
def report(task_id: int) -> Response:
    """Send what a preview or an import rejected, cut, guessed or left out, as CSV."""
    state = services().tasks.get(task_id)
    if state is None or state.kind not in (PREVIEW, IMPORT):
        raise NotFound
    return tasks.report_csv(state, f"vinylvault-import-{task_id}.csv", first="row")


@limiter.limit("10 per minute")
def export(kind: str) -> AnyResponse:
    """Send all records as a table, `csv` or `json`. Streamed: memory and wait do not grow with the collection."""
    if kind not in TYPES:
        raise NotFound
    response = Response(services().library.table_text(kind), mimetype=TYPES[kind])
    day = datetime.datetime.now().astimezone().strftime("%Y-%m-%d")
    response.headers["Content-Disposition"] = f'attachment; filename="vinylvault-{day}.{kind}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _shelf(state: TaskState) -> Markup:
    """Draw the rows of a table as spines on a shelf: new, changed, unchanged and rejected ones."""
    counts = [0] * len(PARTS)
    with suppress(TypeError, ValueError):
        counts = [int(state.outcome.get(name) or 0) for name in PARTS]
    total = sum(counts)
    if not total:
        return Markup("")
    shown = min(SPINES, total)
    # No part is left out: a single rejected row among thousands has its spine.
    shares = [max(1, round(shown * count / total)) if count else 0 for count in counts]
    shares[counts.index(max(counts))] += shown - sum(shares)
    pieces, x = [], 0
    for name, share in zip(PARTS, shares, strict=True):
        lines = "".join(f"M{6 * (x + n) + 2} {_HEIGHTS[(x + n) * 37 % len(_HEIGHTS)]}V28" for n in range(max(0, share)))
        if lines:
            pieces.append(Markup('<path class="{}" d="{}"/>').format(name.removesuffix("_count"), lines))
        x += max(0, share)
    return Markup(
        '<svg class="taken" width="{px}" height="30" viewBox="0 0 {w} 28" preserveAspectRatio="none" aria-hidden="true" focusable="false">{paths}</svg>'
    ).format(px=8 * x - 3, w=6 * x - 2, paths=Markup("").join(pieces))
