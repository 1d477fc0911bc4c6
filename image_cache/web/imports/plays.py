"""Pages of old plays: upload an export, see what it would count, import it, undo it. Tasks do the work."""

import csv
import io

from flask import Response, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import StorageError, UploadTooLarge
from image_cache.importers.plays.service import IMPORT, PREVIEW
from image_cache.tables.csv import guarded
from image_cache.units import counted
from image_cache.web.actions import log_action
from image_cache.web.context import account, may_operate, services
from image_cache.web.imports import tasks
from image_cache.web.imports.methods import available_methods
from image_cache.web.imports.tables import MAX_NAME_CHARS, table_body_limits
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import UploadBuffer, larger_body

PATH = "/import/plays"
SHOWN = 100  # lines of a list; the download has more
BUSY = "Another file is being read, or this one has expired. Upload it again in a moment."


def page(status: int = 200, error: str = "") -> AnyResponse:
    """Show the file that waits for its import, the result of the last one, and what can be undone."""
    importer = services().plays_import
    found = importer.status()
    states = [state for state in (found.preview, found.imported) if state is not None]
    running = [tasks.line(state) for state in states if not state.is_over]
    last = found.preview if found.is_waiting else max(states, key=lambda state: state.id, default=None)
    was_discarded = last is found.preview and not found.is_waiting and last is not None and last.state != "failed"
    if running or error or was_discarded:
        last = None
    undone = request.args.get("undone", type=int)
    values = {
        "ways": available_methods(),
        "running": running,
        "last": last,
        "is_waiting": found.is_waiting and last is not None,
        "imports": importer.imports(),
        "undone": undone,
        "error": error,
        "limit_mb": services().settings.MAX_IMPORT_MB,
        "may_operate": may_operate(),
        "shown": SHOWN,
    }
    return Response(render_template("imports/plays.html", **values), status)


@larger_body(table_body_limits)
@limiter.limit("30 per minute")
def upload() -> AnyResponse:
    """Store a file (form field table) and preview it; nothing is counted yet."""
    file = request.files.get("table")
    if file is None or not file.filename:
        return page(400, "Choose a file first.")
    buffer = file.stream
    if isinstance(buffer, UploadBuffer):
        if buffer.is_too_large:
            return page(413, str(UploadTooLarge(services().settings.max_import_bytes, buffer.size_bytes)))
        if buffer.has_failed:
            raise StorageError("upload", "not enough disk space on the server for this file")
    name = "".join(char for char in file.filename.replace("\\", "/").rpartition("/")[2] if char.isprintable())[:MAX_NAME_CHARS]
    who = account()
    started = services().plays_import.upload(buffer, name or "the file", who.id if who else None)
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
