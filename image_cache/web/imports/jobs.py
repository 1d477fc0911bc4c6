"""What runs behind the requests: `/api/jobs`, and the form that cancels. Looking needs an account, cancelling an operator."""

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import UnknownTask
from image_cache.web.context import may_change, may_operate, services
from image_cache.web.rate_limits import limiter

jobs = Blueprint("jobs", __name__)


@jobs.before_request
def check_account() -> None:
    if not may_change():
        raise Unauthorized("Log in first.")
    if request.method == "POST" and not may_operate():
        raise Forbidden("Only an operator may do that.")


@jobs.get("/api/jobs")
@limiter.limit("240 per minute")
def every() -> Response:
    """Answer the newest tasks, newest first."""
    from image_cache.web.imports.tasks import as_json, recent

    return jsonify(jobs=[as_json(found) for found in recent(20)])


@jobs.get("/api/jobs/<int:task_id>")
@limiter.limit("240 per minute")
def one(task_id: int) -> Response:
    """Answer how far one task is, or how it ended."""
    from image_cache.web.imports.tasks import as_json, line

    state = services().tasks.rows.get(task_id)
    if state is None:
        raise UnknownTask(task_id)
    return jsonify(as_json(line(state)))


@jobs.post("/tasks/<int:task_id>/cancel")
@limiter.limit("60 per minute")
def cancel(task_id: int) -> AnyResponse:
    """End a task at its next step, then back to the page that said so. One that is over stays as it ended."""
    if services().tasks.rows.get(task_id) is None:
        raise UnknownTask(task_id)
    services().tasks.cancel(task_id)
    back = request.form.get("back", "")
    is_ours = back.startswith("/") and back[1:2] not in ("/", "\\") and back.isprintable()
    return redirect(back if is_ours else "/import", 303)
