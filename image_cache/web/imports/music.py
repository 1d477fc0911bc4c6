"""Music folders page: `/import/music`. For operators only, because it shows paths of the server."""

from typing import NamedTuple

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FolderRejected
from image_cache.importers.music.table import MUSIC, MusicRoot
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import pop_flash, services
from image_cache.web.imports import methods, tasks
from image_cache.web.rate_limits import limiter

PATH = "/import/music"
MAX_GONE = 50

music = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login=PATH)(Blueprint("music", __name__, url_prefix=PATH))


class RootLine(NamedTuple):
    """One music folder on the page. `is_chosen`: an operator added it there and can remove it again."""

    path: str
    lamp: str
    records: int
    files: int
    left_out: int
    scanned_at: float | None
    message: str
    is_chosen: bool


@music.get("")
@declare_access(read=Role.OPERATOR, login=PATH, message="Only an operator can see folders on the server.")
def page() -> AnyResponse:
    """Show the folders, what was found in them, and the scan in progress."""
    return _page()


@music.post("/scan")
@limiter.limit("30 per minute")
def scan() -> AnyResponse:
    """Scan all folders, unless a scan is in progress."""
    services().music.scan()
    log_action("records", "scanned the music folders")
    return redirect(PATH, 303)


@music.post("/folders")
@limiter.limit("30 per minute")
def add() -> AnyResponse:
    """Add a folder, and scan."""
    path = request.form.get("path", "").strip()[:1001]
    try:
        services().music.add_folder(path)
    except FolderRejected as error:
        reason = error.reason
        return _page(400, typed=path, wrong=f"{reason[:1].upper()}{reason[1:]}.")
    return redirect(PATH, 303)


@music.post("/folders/remove")
@limiter.limit("30 per minute")
def remove_folder() -> AnyResponse:
    """Stop using a folder. Its records stay."""
    if not services().music.remove_folder(request.form.get("path", "")[:1001]):
        raise NotFound("This folder was not added on this page.")
    return redirect(PATH, 303)


@music.get("/<int:task_id>/report.csv")
@limiter.limit("30 per minute")
def report(task_id: int) -> AnyResponse:
    """Send which texts a scan cut, as CSV."""
    state = services().tasks.get(task_id)
    if state is None or state.kind != MUSIC:
        raise NotFound
    return tasks.report_csv(state, f"vinylvault-scan-{task_id}.csv", first="folder")


def _page(status: int = 200, **other: object) -> AnyResponse:
    music = services().music.status(MAX_GONE)
    values = {
        "ways": methods.available_methods(),
        "roots": [_line(root, root.path in music.chosen) for root in music.roots],
        "offers": music.offers,
        "parents": music.parents,
        "task": tasks.line(music.scan) if music.scan else None,
        "found": music.scan.outcome if music.scan and music.scan.state == "done" else {},
        "gone_count": music.gone_count,
        "gone": music.gone,
        "rescan_hours": services().settings.MUSIC_RESCAN_HOURS,
        "notice": pop_flash(request.args.get("done", "")),
    }
    response = AnyResponse(render_template("imports/music.html", **values | other), status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


def _line(root: MusicRoot, is_chosen: bool) -> RootLine:
    lamp = {"well": "well" if root.scanned_at else "waiting", "part": "warning", "gone": "warning"}.get(root.state, "waiting")
    message = root.message or ("" if root.scanned_at else "Not scanned yet.")
    return RootLine(root.path, lamp, root.albums, root.files, root.left_out, root.scanned_at, message, is_chosen)
