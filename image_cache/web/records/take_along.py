"""Take it along: the page that makes the file of the collection, and the file itself."""

import datetime

from flask import Blueprint, Response, redirect, render_template, send_file
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.imports import tasks
from image_cache.web.rate_limits import limiter

PATH = "/take-along"

taking = declare_access(read=Role.VISITOR, change=Role.OWNER, login=PATH)(Blueprint("taking", __name__))


@taking.get(PATH)
def page() -> AnyResponse:
    """Offer the file, and to write it again."""
    latest = services().take_along.latest()
    values = {
        "line": tasks.line(latest) if latest is not None and latest.state != "done" else None,
        "written_at": services().take_along.written_at(),
        "total": services().library.count(),
    }
    answer = Response(render_template("records/take_along.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@taking.post(PATH)
@limiter.limit("10 per minute")
def write() -> AnyResponse:
    """Start writing the file."""
    tasks.wait(services().take_along.start())
    return redirect(PATH, 303)


@taking.get("/take-along/records.html")
def download() -> AnyResponse:
    """Answer with the file. Raises `NotFound` if none was written."""
    written_at = services().take_along.written_at()
    if written_at is None:
        raise NotFound("The file has not been made yet. Make it on the page Take it along.")
    day = datetime.datetime.fromtimestamp(written_at).astimezone().strftime("%Y-%m-%d")
    answer = send_file(
        services().take_along.path,
        mimetype="text/html",
        as_attachment=True,
        download_name=f"records-{day}.html",
        conditional=True,
    )
    answer.headers["Cache-Control"] = "no-cache"
    return answer
