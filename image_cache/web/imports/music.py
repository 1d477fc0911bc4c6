"""The page of music folders: `/import/music`. For operators only, because it names folders of this machine.

Every view loads what it needs when it is first called: an idle server holds none of it.
"""

from typing import TYPE_CHECKING, NamedTuple

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FolderRejected
from image_cache.web.access import Role, access
from image_cache.web.context import pop_flash, services
from image_cache.web.rate_limits import limiter

if TYPE_CHECKING:
    from image_cache.importers.music.save import MusicRoot

PATH = "/import/music"

music = access(read=Role.OPERATOR, change=Role.OPERATOR, login=PATH)(Blueprint("music", __name__, url_prefix=PATH))

KIND = "music"  # of the task, and the source of its records
MOST_GONE = 50


class RootLine(NamedTuple):
    """One music folder on the page. `is_chosen`: an operator chose it there, and can take it away again."""

    path: str
    lamp: str
    records: int
    files: int
    left_out: int
    scanned_at: float | None
    says: str
    is_chosen: bool


@music.get("")
@access(read=Role.OPERATOR, login=PATH, message="Only an operator may see the folders of this machine.")
def page() -> AnyResponse:
    """Show the folders, what was found in them, and the scan that runs."""
    return _page()


@music.post("/scan")
@limiter.limit("30 per minute")
def scan() -> AnyResponse:
    """Begin to look through all folders; a scan that runs goes on."""
    services().tasks.start(KIND, {})
    return redirect(PATH, 303)


@music.post("/folders")
@limiter.limit("30 per minute")
def add() -> AnyResponse:
    """Choose a further folder, and look through it."""
    path = request.form.get("path", "").strip()[:1001]
    try:
        services().music.roots.choose(path)
    except FolderRejected as error:
        reason = error.reason
        return _page(400, typed=path, wrong=f"{reason[:1].upper()}{reason[1:]}.")
    services().tasks.start(KIND, {})
    return redirect(PATH, 303)


@music.post("/folders/remove")
@limiter.limit("30 per minute")
def remove() -> AnyResponse:
    """Look at a chosen folder no more. Its records stay."""
    if not services().music.roots.drop(request.form.get("path", "")[:1001]):
        raise NotFound("This folder was not chosen here.")
    return redirect(PATH, 303)


def _page(status: int = 200, **other: object) -> AnyResponse:
    from image_cache.importers.discogs.table import SyncTable
    from image_cache.web.imports import methods as ways
    from image_cache.web.imports import tasks as task_view

    roots, tasks = services().music.roots, services().tasks
    gone_count, gone = SyncTable(services().catalog).gone(KIND, MOST_GONE)
    latest = tasks.rows.latest(KIND)
    chosen = set(roots.chosen())
    values = {
        "ways": ways.ways(),
        "roots": [_line(root, root.path in chosen) for root in roots.known()],
        "offers": roots.offers(),
        "parents": roots.parents(),
        "task": task_view.line(latest) if latest else None,
        "found": latest.outcome if latest and latest.state == "done" else {},
        "gone_count": gone_count,
        "gone": gone,
        "notice": pop_flash(request.args.get("done", "")),
    }
    answer = AnyResponse(render_template("imports/music.html", **values | other), status, mimetype="text/html")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _line(root: "MusicRoot", is_chosen: bool) -> RootLine:
    lamp = {"well": "well" if root.scanned_at else "waiting", "part": "warning", "gone": "warning"}.get(root.state, "waiting")
    says = root.says or ("" if root.scanned_at else "Not looked through yet.")
    return RootLine(root.path, lamp, root.albums, root.files, root.left_out, root.scanned_at, says, is_chosen)
