"""Pages of large files: `/files`."""

import logging
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, send_file
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, ConfigError, DecoderFailed, FileRejected, OriginDenied, StorageError, UnknownFile
from image_cache.files.paths import DIGEST
from image_cache.imaging.volume import Preview
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action, log_limits
from image_cache.web.context import may_operate, services
from image_cache.web.files.view_models import file_row, file_stats
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import x_accel_response
from image_cache.web.security import IMAGE_POLICY

files = declare_access(read=Role.OWNER, change=Role.OPERATOR, login="/files")(Blueprint("files", __name__, url_prefix="/files"))

logger = logging.getLogger(__name__)

LONGEST_URL = 2048

files.add_app_template_global(file_stats)


@files.get("")
def page() -> AnyResponse:
    return _page()


@files.post("")
@limiter.limit("60 per minute")
def add() -> AnyResponse:
    """Queue the file of a URL; the page says what is wrong with one that cannot be fetched."""
    url, sha256 = request.form.get("url", "").strip()[: LONGEST_URL + 1], request.form.get("sha256", "").strip()[:100]
    try:
        services().files.enqueue(url, sha256=sha256)
    except OriginDenied as error:
        return _page(400, url=url, sha256=sha256, url_error=f"{error.reason[:1].upper()}{error.reason[1:]}.")
    except CacheError as error:
        return _page(400, url=url, sha256=sha256, sha256_error=str(error))
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
    return render_template("files/file.html", row=file_row(found), may_operate=may_operate(), preview=_preview(digest))


@files.get("/<digest>/slice/<int:number>.webp")
def picture(digest: str, number: int) -> Response:
    """Return one slice of a volume as an image."""
    preview = _preview(_checked_digest(digest))
    if preview is None or number >= len(preview.slices):
        raise UnknownFile("This file has no such preview.")
    response = Response(preview.slices[number].body, mimetype="image/webp")
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@files.post("/<digest>/<action>")
@limiter.limit("120 per minute")
def act(digest: str, action: str) -> AnyResponse:
    """Pause, resume, cancel, remove, fetch again, or change the TTL of one file."""
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
    try:
        rows = [file_row(found) for found in shown.entries()]
    except (StorageError, DatabaseError) as error:
        rows, trouble = [], "Cannot use the folder for large files. See the log and /health for the cause."
        logger.warning("files not shown reason=%s", error)
    coming = sum((row.entry.fetch.total_bytes or 0) for row in rows if row.entry.fetch and row.entry.fetch.state != "failed")
    values = {"rows": rows, "stats": file_stats(), "coming_bytes": coming, "may_operate": may_operate(), "typed": typed}
    values["trouble"] = trouble
    values["fetching_is_paused"] = shown.is_paused()
    return Response(render_template("files/index.html", **values), status)


def _preview(digest: str) -> Preview | None:
    try:
        return services().files.preview(digest)
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
