"""Tasks on pages and in the API: their state, progress and message; cancelling one."""

import time
from typing import Any, NamedTuple

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import UnknownTask
from image_cache.import_models import RowLoss
from image_cache.models import TaskState
from image_cache.tables.write import report_text
from image_cache.web.access import Role, declare_access
from image_cache.web.context import may_operate, services
from image_cache.web.imports.methods import QUIET, method_of
from image_cache.web.rate_limits import limiter

LAMPS = {"waiting": "waiting", "running": "working", "done": "well", "failed": "failed", "cancelled": "waiting"}
RECENT = 8  # ended tasks that a page lists
PATIENCE_S = 2.0  # how long a page waits for a short task


class TaskLine(NamedTuple):
    """One task on a page. `share` is None while its total is unknown, and when it is over; `paused_s` is how long it still waits."""

    id: int
    kind: str
    title: str
    path: str  # of its page
    state: str
    lamp: str
    message: str
    share: float | None
    done: int
    total: int | None
    paused_s: int | None
    may_cancel: bool
    outcome: dict[str, Any]
    updated_at: float

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


def line(state: TaskState) -> TaskLine:
    """Return a task for a page. A task that is done has its message in its outcome."""
    way = method_of(state.kind)
    paused_s = None if state.paused_until is None or state.is_over else max(0, round(state.paused_until - time.time()))
    return TaskLine(
        id=state.id,
        kind=state.kind,
        title=way.title if way else state.kind.capitalize(),
        path=way.path if way else "/import",
        state=state.state,
        lamp="warning" if paused_s is not None else LAMPS[state.state],
        message=_message(state),
        share=min(1.0, state.done / state.total) if state.total and not state.is_over else None,
        done=state.done,
        total=state.total,
        paused_s=paused_s,
        may_cancel=not state.is_over and may_operate(),
        outcome=state.outcome,
        updated_at=state.updated_at,
    )


def open_lines() -> list[TaskLine]:
    """Return the tasks that wait or run, oldest first."""
    return [line(state) for state in services().tasks.open() if state.kind not in QUIET]


def latest(*kinds: str) -> TaskLine | None:
    """Return the newest task of these kinds."""
    state = services().tasks.latest(*kinds)
    return line(state) if state else None


def recent(count: int = RECENT) -> list[TaskLine]:
    """Return the newest tasks, newest first."""
    return [line(state) for state in services().tasks.recent(count, QUIET)]


def wait(task_id: int) -> None:
    """Wait a moment for the end of a task, so that the next page can show it."""
    services().tasks.wait(task_id, PATIENCE_S)


def as_json(found: TaskLine) -> dict[str, Any]:
    """Return a task under the documented names of the API."""
    values = found._asdict()
    message = values.pop("message")
    values["outcome"] = {name: value for name, value in found.outcome.items() if name != "report"}  # its own download
    return {**values, "says": message, "is_over": found.is_over}


def report_csv(state: TaskState, name: str, *, first: str) -> Response:
    """Return what a task cut, guessed or left out as a download; `first` heads its first column. Raises `NotFound` if it did not end."""
    if not state.outcome:
        raise NotFound
    losses = [RowLoss(*line) for line in state.outcome.get("report", ())]
    response = Response(report_text(losses, first), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _message(state: TaskState) -> str:
    if state.state == "done":
        return str(state.outcome.get("says") or state.message or "Done.")
    if state.state == "waiting":
        return state.message or "Queued."
    return state.message or "Starting."


jobs = declare_access(read=Role.OWNER, change=Role.OPERATOR)(Blueprint("jobs", __name__))


@jobs.get("/api/jobs")
@limiter.limit("240 per minute")
def every() -> Response:
    """Return the newest tasks, newest first."""
    return jsonify(jobs=[as_json(found) for found in recent(20)])


@jobs.get("/api/jobs/<int:task_id>")
@limiter.limit("240 per minute")
def one(task_id: int) -> Response:
    """Return one task."""
    state = services().tasks.get(task_id)
    if state is None:
        raise UnknownTask(task_id)
    return jsonify(as_json(line(state)))


@jobs.post("/tasks/<int:task_id>/cancel")
@limiter.limit("60 per minute")
def cancel(task_id: int) -> AnyResponse:
    """End a task at its next step, then return to the page that it was cancelled on. A task that is over stays as it is."""
    if services().tasks.get(task_id) is None:
        raise UnknownTask(task_id)
    services().tasks.cancel(task_id)
    back = request.form.get("back", "")
    is_internal = back.startswith("/") and back[1:2] not in ("/", "\\") and back.isprintable()
    return redirect(back if is_internal else "/import", 303)
