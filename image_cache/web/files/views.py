"""Pages of large files: `/files`."""

import logging
import re
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, send_file
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, ConfigError, DecoderFailed, FileRejected, OriginDenied, StorageError, UnknownFile
from image_cache.files.download.bandwidth import speed_words
from image_cache.files.paths import DIGEST
from image_cache.imaging.volume.preview import Preview
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action, log_limits, log_speed
from image_cache.web.context import may_operate, services
from image_cache.web.files.view_models import GroupRow, attempt_rows, fetch_figures, file_row, file_stats, open_groups
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import x_accel_response
from image_cache.web.security import IMAGE_POLICY

files = declare_access(read=Role.OWNER, change=Role.OPERATOR, login="/files")(Blueprint("files", __name__, url_prefix="/files"))

logger = logging.getLogger(__name__)

LONGEST_URL = 2048
_PLACES = re.compile(r"[0-9]{1,5}(?:,[0-9]{1,5}){0,2}")

files.add_app_template_global(file_stats)


@files.get("")
def page() -> AnyResponse:
    return _page()


@files.post("")
@limiter.limit("60 per minute")
def add() -> AnyResponse:
    """Queue the file of a URL or of a name in a registry, or several in lines; the page says what is wrong with one."""
    files, form = services().files, request.form
    url, sha256 = form.get("url", "").strip()[: LONGEST_URL + 1], form.get("sha256", "").strip()[:100]
    lines, is_pinned = form.get("lines", ""), bool(form.get("pin"))
    typed = {"sha256": sha256, "pin": is_pinned}
    try:
        if url and "://" not in url and files.groups.registries.has(url):
            files.groups.enqueue([files.groups.registries.find(url)], is_pinned=is_pinned)
        elif url or not lines.strip():
            files.enqueue(url, sha256=sha256, is_pinned=is_pinned)
        if bad := files.groups.enqueue_lines(lines, is_pinned=is_pinned):
            return _page(400, **typed, lines="\n".join(line.text for line in bad), lines_errors=[str(line) for line in bad])
    except OriginDenied as error:
        return _page(400, **typed, url=url, lines=lines, url_error=f"{error.reason[:1].upper()}{error.reason[1:]}.")
    except UnknownFile as error:
        return _page(400, **typed, url=url, lines=lines, url_error=str(error))
    except CacheError as error:
        return _page(400, **typed, url=url, lines=lines, sha256_error=str(error))
    return redirect("/files", 303)


@files.post("/bounds")
def change_bounds() -> AnyResponse:
    """Change the disk budget and the default TTL."""
    given = {name: request.form.get(name, "").strip() for name in ("max_size_mb", "ttl_hours")}
    try:
        values = {name: float(text) for name, text in given.items() if text}
        services().files.change_limits(**values)
        log_limits("Files", {name: f"{value:g}" for name, value in values.items()})
    except ValueError:
        return _page(400, **given, bounds_error="Enter a number, for example 500.")
    except ConfigError as error:
        return _page(400, **given, bounds_error=f"{error}.")
    return redirect("/files", 303)


@files.post("/speed")
def change_speed() -> AnyResponse:
    """Limit the speed of all downloads, between two times of the day not; an empty number removes the limit."""
    given = {name: request.form.get(name, "").strip() for name in ("speed_mb_s", "full_hours")}
    try:
        services().files.change_speed(float(given["speed_mb_s"]) if given["speed_mb_s"] else None, given["full_hours"])
        log_speed(given["speed_mb_s"], given["full_hours"])
    except ValueError:
        return _page(400, **given, speed_error="Enter a number, for example 4.")
    except ConfigError as error:
        return _page(400, **given, speed_error=f"{error}.")
    return redirect("/files", 303)


@files.post("/cleanup")
def cleanup() -> AnyResponse:
    """Remove the expired files that could be fetched again."""
    services().files.remove_expired()
    log_action("limits", "removed expired files")
    return redirect("/files", 303)


@files.get("/clear")
def clear_page() -> str:
    """Ask before all files are removed."""
    return render_template("files/clear.html", stats=file_stats())


@files.post("/clear")
def clear() -> AnyResponse:
    services().files.clear()
    log_action("limits", "cleared the file cache")
    return redirect("/files", 303)


@files.get("/<digest>")
def one(digest: str) -> str:
    """Show one file: its facts, its preview if it is a volume, and the actions."""
    found = services().files.entry(_checked_digest(digest))
    values = {"row": file_row(found), "may_operate": may_operate(), "preview": _preview(digest, _places())}
    if may_operate():
        values["login"] = services().files.logins.find(found.url)
    values["figures"] = fetch_figures(found.fetch) if found.fetch else []
    values["attempts"] = attempt_rows(services().files.attempts(digest), found)
    return render_template("files/file.html", **values)


@files.get("/<digest>/slice/<int:number>.webp")
def picture(digest: str, number: int) -> Response:
    """Return one slice of a volume as an image: of the slices `at` three numbers, or of the middle ones."""
    preview = _preview(_checked_digest(digest), _places())
    if preview is None or number >= len(preview.slices):
        raise UnknownFile("This file has no such preview.")
    response = Response(preview.slices[number].body, mimetype="image/webp")
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@files.post("/<digest>/<action>")
@limiter.limit("120 per minute")
def act(digest: str, action: str) -> AnyResponse:
    """Pause, resume, cancel, remove, pin, unpin, fetch again, or change the TTL of one file."""
    files = services().files
    _checked_digest(digest)
    if action == "pause":
        files.pause(digest)
    elif action in ("resume", "again"):
        files.resume(digest)
    elif action == "cancel":
        files.cancel(digest)
    elif action == "remove":
        files.remove(digest)
        log_action("deletions", "removed 1 file")
    elif action in ("pin", "unpin"):
        files.pin(digest, is_pinned=action == "pin")
        log_action("limits", f"{action}ned 1 file")
        return redirect(f"/files/{digest}", 303)
    elif action == "ttl":
        files.change_ttl(digest, _hours(request.form.get("hours", "")))
        return redirect(f"/files/{digest}", 303)
    else:
        raise NotFound
    return redirect("/files", 303)


@files.get("/<digest>/download")
def download(digest: str) -> AnyResponse:
    """Send the file as a download; supports Range and conditional requests."""
    files = services().files
    for _ in range(2):  # a new version may replace the file before it is opened
        stored = files.usable(_checked_digest(digest))
        try:
            response = send_file(
                files.use(stored),
                mimetype="application/octet-stream",
                as_attachment=True,
                download_name=stored.name,
                conditional=True,
                etag=stored.sha256,
                last_modified=stored.stored_at,
            )
        except FileNotFoundError:
            continue
        response.headers["Content-Security-Policy"] = IMAGE_POLICY
        response.headers["Cache-Control"] = "private, no-cache"
        x_accel_response(response, "files", stored.path)
        return response
    raise UnknownFile("No such file.")


def _page(status: int = 200, **typed: Any) -> AnyResponse:
    shown, trouble = services().files, ""
    groups: list[GroupRow] = []
    try:
        entries = shown.entries()
        groups, hidden = open_groups(entries)
        rows = [file_row(found) for found in entries if found.digest not in hidden]
    except (StorageError, DatabaseError) as error:
        entries, rows, trouble = [], [], "Cannot use the folder for large files. See the log and /health for the cause."
        logger.warning("files not shown reason=%s", error)
    coming = sum((found.fetch.total_bytes or 0) for found in entries if found.fetch and found.fetch.state != "failed")
    values = {
        "rows": rows,
        "groups": groups,
        "count": len(entries),
        "stats": file_stats(),
        "coming_bytes": coming,
        "may_operate": may_operate(),
        "typed": typed,
    }
    values["trouble"] = trouble
    values["speed"] = shown.limits().speed
    values["speed_says"] = speed_words(shown.limits().speed, shown.clock())
    values["fetching_is_paused"] = shown.is_paused()
    return Response(render_template("files/index.html", **values), status)


def _places() -> tuple[int, ...]:
    """Return the numbers of the slices that the query names, such as `at=45,52,44`; empty for the middle ones."""
    text = request.args.get("at", "")
    if not _PLACES.fullmatch(text):
        return ()
    return tuple(map(int, text.split(",")))


def _preview(digest: str, at: tuple[int, ...] = ()) -> Preview | None:
    try:
        return services().files.preview(digest, at)
    except FileRejected as error:
        return Preview((), (), f"expected {error.expected}, got {error.found}")
    except DecoderFailed as error:
        return Preview((), (), error.reason)


def _checked_digest(text: str) -> str:
    if not DIGEST.fullmatch(text):
        raise NotFound
    return text


def _hours(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise ConfigError("hours", "enter a number") from None
