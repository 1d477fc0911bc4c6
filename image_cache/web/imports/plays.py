"""Pages of old plays: upload an export, see what it would count, import it, undo it. Tasks do the work."""

import csv
import io

from flask import Response, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.importers.plays.service import IMPORT, PREVIEW
from image_cache.tables.csv import guarded
from image_cache.units import counted
from image_cache.web.actions import log_action
from image_cache.web.context import account, may_operate, services
from image_cache.web.imports import tasks
from image_cache.web.imports.methods import available_methods
from image_cache.web.imports.previews import UploadRefused, shown_tasks, upload_limits, uploaded_file
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import larger_body

PATH = "/import/plays"
SHOWN = 100  # lines of a list; the download has more
BUSY = "Another file is being read, or this one has expired. Upload it again in a moment."


def page(status: int = 200, error: str = "") -> AnyResponse:
    """Show the file that waits for its import, the result of the last one, and what can be undone."""
    importer = services().plays_import
    running, last, is_waiting = shown_tasks(importer.status(), has_error=bool(error))
    undone = request.args.get("undone", type=int)
    values = {
        "ways": available_methods(),
        "running": running,
        "last": last,
        "is_waiting": is_waiting,
        "imports": importer.imports(),
        "undone": undone,
        "error": error,
        "limit_mb": services().settings.MAX_IMPORT_MB,
        "may_operate": may_operate(),
        "shown": SHOWN,
    }
    return Response(render_template("imports/plays.html", **values), status)


@larger_body(upload_limits)
@limiter.limit("30 per minute")
def upload() -> AnyResponse:
    """Store a file (form field table) and preview it; nothing is counted yet."""
    try:
        file, name = uploaded_file("the file")
    except UploadRefused as refused:
        return page(refused.status, str(refused))
    who = account()
    started = services().plays_import.upload(file, name, who.id if who else None)
    if started is None:
        return page(409, BUSY)
    tasks.wait(started)
    return redirect(PATH, 303)


@limiter.limit("60 per minute")
def act(task_id: int, action: str) -> AnyResponse:
    """Import the plays of a preview, or discard its file."""
    if action == "leave":
        services().plays_import.discard(task_id)
    elif action == "take":
        started = services().plays_import.start_import(task_id)
        if started is None:
            return page(409, BUSY)
        log_action("records", "imported old plays")
        tasks.wait(started)
    else:
        raise NotFound
    return redirect(PATH, 303)


@limiter.limit("60 per minute")
def undo(number: int) -> AnyResponse:
    """Remove the plays of an import."""
    removed = services().plays_import.undo(number)
    if removed is None:
        raise NotFound
    log_action("records", f"removed {counted(removed, 'imported play')}")
    return redirect(f"{PATH}?undone={removed}", 303)


@limiter.limit("30 per minute")
def unmatched(task_id: int) -> Response:
    """Send the plays that no record was found for, as CSV."""
    state = services().tasks.get(task_id)
    if state is None or state.kind not in (PREVIEW, IMPORT) or "unmatched" not in state.outcome:
        raise NotFound
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("artist", "title", "plays", "last_played", "reason"))
    for artist, title, count, last_at, reason in state.outcome["unmatched"]:
        table.writerow((guarded(artist), guarded(title), count, round(last_at), reason))
    response = Response(text.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="vinylvault-unmatched-plays-{task_id}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response
