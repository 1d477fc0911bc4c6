"""The page of tables: a file comes, is looked through, and is taken in when somebody says so. The work is done by tasks."""

import datetime
import time
from contextlib import suppress

from flask import Response, redirect, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import StorageError, UnknownTask, UploadTooLarge
from image_cache.importers.tables.inbox import UploadInbox
from image_cache.models import TaskState
from image_cache.web.context import may_operate, services
from image_cache.web.imports import tasks as task_view
from image_cache.web.imports.methods import ways
from image_cache.web.request_body import BodyLimits, UploadBuffer

LOOK, TAKE = "table-look", "table"
PATIENCE_S = 2.0  # a small table is looked through before the page is drawn
TYPES = {"csv": "text/csv", "json": "application/json"}
LONGEST_NAME = 80
SPINES = 120  # that stand for the rows of a table
_HEIGHTS = (0, 2, 0, 5, 1, 0, 3, 0, 1, 7, 0)  # where the spines of a shelf begin
PARTS = ("new", "changed", "same", "rejected_count")


def page(status: int = 200, error: str = "") -> AnyResponse:
    """Draw the page. On top stands the table that waits to be taken in, else what became of the last one."""
    rows = services().tasks.rows
    look, take = rows.latest(LOOK), rows.latest(TAKE)
    states = [state for state in (look, take) if state is not None]
    running = [task_view.line(state) for state in states if not state.is_over]
    is_waiting = look is not None and look.state == "done" and _intray().has(str(look.wanted.get("path")))
    last = look if is_waiting else max(states, key=lambda state: state.id, default=None)
    if last is None or running or error or (last is look and not is_waiting and last.state != "failed"):
        last, is_waiting = None, False
    values = {
        "ways": ways(),
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


def table_body_limits() -> BodyLimits | None:
    """Return the limits of an uploaded table; None if this request may not send one."""
    max_bytes = int(services().settings.MAX_IMPORT_MB * 1_000_000)
    return BodyLimits(max_bytes, 2 * max_bytes) if may_operate() else None


def upload() -> AnyResponse:
    """Keep the file, begin to look through it, and wait a moment: most tables are small."""
    file = request.files.get("table")
    if file is None or not file.filename:
        return page(400, "Choose a file first.")
    spool = file.stream
    if isinstance(spool, UploadBuffer):
        if spool.is_too_large:
            most_bytes = int(services().settings.MAX_IMPORT_MB * 1_000_000)
            return page(
                413, f"{UploadTooLarge(most_bytes, spool.size_bytes)} A command, or the folder of imports, takes any size."
            )
        if spool.has_failed:
            raise StorageError("upload", "no space for the table on this machine")
    tasks, intray = services().tasks, _intray()
    _forget_looked_at()
    path = str(intray.store(spool))
    name = "".join(char for char in file.filename.replace("\\", "/").rpartition("/")[2] if char.isprintable())[:LONGEST_NAME]
    task_id = tasks.start(LOOK, {"path": path, "name": name or "the table", "origin": "upload"})
    if not _is_mine(task_id, path):
        intray.delete(path)
        return page(409, "Another table is looked through just now. Send this one again in a moment.")
    wait(task_id)
    return redirect("/import/table", 303)


def act(task_id: int, action: str) -> AnyResponse:
    """Take in what a task has looked through, or leave it."""
    if action not in ("take", "leave"):
        raise NotFound
    tasks, intray = services().tasks, _intray()
    state = tasks.rows.get(task_id)
    if state is None or state.kind != LOOK:
        raise UnknownTask(task_id)
    path = str(state.wanted.get("path"))
    if action == "leave":
        intray.delete(path)
        return redirect("/import/table", 303)
    if not intray.has(path):
        return page(409, "The table is not here any more. Send it again.")
    begun = tasks.start(TAKE, dict(state.wanted))
    if not _is_mine(begun, path):
        return page(409, "Another table is taken in just now. Take this one in when it is over.")
    wait(begun)
    return redirect("/import/table", 303)


def export(kind: str) -> AnyResponse:
    """Send all records, piece by piece: a large collection is no memory, and no wait either."""
    if kind not in TYPES:
        raise NotFound
    answer = Response(services().library.table_text(kind), mimetype=TYPES[kind])
    day = datetime.datetime.now().astimezone().strftime("%Y-%m-%d")
    answer.headers["Content-Disposition"] = f'attachment; filename="vinylvault-{day}.{kind}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _intray() -> UploadInbox:
    settings = services().settings
    return UploadInbox(settings.intray_dir, floor_bytes=int(settings.FREE_SPACE_FLOOR_MB * 1_000_000))


def _forget_looked_at() -> None:
    """Delete the table that was looked through before and never taken in: a new one takes its place."""
    state = services().tasks.rows.latest(LOOK)
    taken = services().tasks.rows.latest(TAKE)
    is_used = (
        taken is not None and not taken.is_over and state is not None and taken.wanted.get("path") == state.wanted.get("path")
    )
    if state is not None and state.is_over and not is_used:
        _intray().delete(str(state.wanted.get("path")))


def _is_mine(task_id: int, path: str) -> bool:
    """Tell whether a task is the one that was asked for, not another of its kind that was under way."""
    state = services().tasks.rows.get(task_id)
    return state is not None and state.wanted.get("path") == path


def wait(task_id: int) -> None:
    """Wait a moment for the end of a task, so that the next page can tell it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        state = services().tasks.rows.get(task_id)
        if state is None or state.is_over:
            return
        time.sleep(0.03)


def _shelf(state: TaskState) -> Markup:
    """Draw the rows of a table as spines on a shelf: new ones, changed ones, those that are here, those that are refused."""
    counts = [0] * len(PARTS)
    with suppress(TypeError, ValueError):
        counts = [int(state.outcome.get(name) or 0) for name in PARTS]
    total = sum(counts)
    if not total:
        return Markup("")
    shown = min(SPINES, total)
    # None that is there is left out: a single refused row among thousands has its spine.
    shares = [max(1, round(shown * count / total)) if count else 0 for count in counts]
    shares[counts.index(max(counts))] += shown - sum(shares)
    pieces, at = [], 0
    for name, share in zip(PARTS, shares, strict=True):
        lines = "".join(f"M{6 * (at + n) + 2} {_HEIGHTS[(at + n) * 37 % len(_HEIGHTS)]}V28" for n in range(max(0, share)))
        if lines:
            pieces.append(Markup('<path class="{}" d="{}"/>').format(name.removesuffix("_count"), lines))
        at += max(0, share)
    return Markup(
        '<svg class="taken" width="{px}" height="30" viewBox="0 0 {w} 28" preserveAspectRatio="none" aria-hidden="true" focusable="false">{paths}</svg>'
    ).format(px=8 * at - 3, w=6 * at - 2, paths=Markup("").join(pieces))
