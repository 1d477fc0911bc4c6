"""The pages of large files: `/files`. Looking needs an account, changing an operator; strangers see nothing."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, send_file
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import CacheError, ConfigError, DecoderFailed, FileRejected, OriginDenied, UnknownFile
from image_cache.files.listing import entries, entry
from image_cache.files.paths import DIGEST
from image_cache.imaging.volume import Preview
from image_cache.web.access import Role, access
from image_cache.web.context import may_operate, services
from image_cache.web.files.view_models import file_row, file_stats
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import x_accel_response
from image_cache.web.security import IMAGE_POLICY

files = access(read=Role.OWNER, change=Role.OPERATOR, login="/files")(Blueprint("files", __name__, url_prefix="/files"))

LONGEST_URL = 2048

files.add_app_template_global(file_stats)


@files.get("")
def page() -> AnyResponse:
    return _page()


@files.post("")
@limiter.limit("60 per minute")
def add() -> AnyResponse:
    """Queue the file of an address; the page says what is wrong with one that cannot be fetched."""
    url, sha256 = request.form.get("url", "").strip()[: LONGEST_URL + 1], request.form.get("sha256", "").strip()[:100]
    try:
        services().files.background.enqueue(url, sha256=sha256)
    except OriginDenied as error:
        return _page(400, url=url, sha256=sha256, url_error=f"{error.reason[:1].upper()}{error.reason[1:]}.")
    except CacheError as error:
        return _page(400, url=url, sha256=sha256, sha256_error=str(error))
    services().files.wake()
    return redirect("/files", 303)


@files.post("/bounds")
def change_bounds() -> AnyResponse:
    """Change how much may be kept, and for how long a file is fresh."""
    given = {name: request.form.get(name, "").strip() for name in ("max_size_mb", "ttl_hours")}
    try:
        values = {name: float(text) for name, text in given.items() if text}
        services().files.change_bounds(**values)
    except ValueError:
        return _page(400, **given, bounds_error="Numbers only.")
    except ConfigError as error:
        return _page(400, **given, bounds_error=f"{error}.")
    return redirect("/files", 303)


@files.post("/cleanup")
def cleanup() -> AnyResponse:
    """Remove what has expired, as far as it could be had again."""
    services().files.remove_expired()
    return redirect("/files", 303)


@files.get("/clear")
def clear_page() -> str:
    """Say what would go, before it goes."""
    return render_template("files/clear.html", stats=file_stats())


@files.post("/clear")
def clear() -> AnyResponse:
    services().files.cache.clear()
    return redirect("/files", 303)


@files.get("/<digest>")
def one(digest: str) -> str:
    """Show one file: its facts, its preview when it is a volume, and what can be done with it."""
    found = entry(services().files.cache, _digest(digest))
    if found is None:
        raise UnknownFile("No file of this name is kept or on its way.")
    return render_template("files/file.html", row=file_row(found), may_operate=may_operate(), preview=_preview(digest))


@files.get("/<digest>/slice/<int:number>.webp")
def picture(digest: str, number: int) -> Response:
    """Answer one slice of a volume. It is of one content, which the page names in the address."""
    preview = _preview(_digest(digest))
    if preview is None or number >= len(preview.slices):
        raise UnknownFile("This file has no such picture.")
    answer = Response(preview.slices[number].body, mimetype="image/webp")
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


@files.post("/<digest>/<action>")
@limiter.limit("120 per minute")
def act(digest: str, action: str) -> AnyResponse:
    """Pause, resume, cancel, remove, fetch again, or change how long one file is fresh."""
    work, files = services().files.background, services().files
    _digest(digest)
    if action == "pause":
        work.pause(digest)
    elif action in ("resume", "again"):
        work.enqueue_again(digest)
        files.wake()
    elif action == "cancel":
        work.cancel(digest)
    elif action == "remove":
        if not files.cache.remove(digest):
            raise UnknownFile("No file of this name is kept.")
    elif action == "ttl":
        files.change_ttl(digest, _hours(request.form.get("hours", "")))
        return redirect(f"/files/{digest}", 303)
    else:
        raise NotFound
    return redirect("/files", 303)


@files.get("/<digest>/download")
def download(digest: str) -> AnyResponse:
    """Send the file itself, as bytes that no browser shows; parts of it when asked (Range), 304 when the asker has it."""
    cache = services().files.cache
    cache.open()
    for _ in range(2):  # a new version may take its place between the two looks
        kept = cache.index.find(_digest(digest))
        if kept is None or (kept.is_corrupt or cache.usable(kept.remote) is None):
            raise UnknownFile("No file of this name is kept.")
        try:
            answer = send_file(
                cache.root / kept.path,
                mimetype="application/octet-stream",
                as_attachment=True,
                download_name=kept.name,
                conditional=True,
                etag=kept.sha256,
                last_modified=kept.stored_at,
            )
        except FileNotFoundError:
            continue
        cache.use(kept)
        answer.headers["Content-Security-Policy"] = IMAGE_POLICY
        answer.headers["Cache-Control"] = "private, no-cache"
        x_accel_response(answer, "files", kept.path)
        return answer
    raise UnknownFile("No file of this name is kept.")


def _page(status: int = 200, **typed: Any) -> AnyResponse:
    shown = services().files
    rows = [file_row(found) for found in entries(shown.cache)]
    coming = sum((row.entry.fetch.total_bytes or 0) for row in rows if row.entry.fetch and row.entry.fetch.state != "failed")
    values = {"rows": rows, "stats": file_stats(), "coming_bytes": coming, "may_operate": may_operate(), "typed": typed}
    values["fetching_is_paused"] = shown.is_paused()
    return Response(render_template("files/index.html", **values), status)


def _preview(digest: str) -> Preview | None:
    kept = services().files.cache.index.find(digest)
    if kept is None:
        return None
    try:
        return services().files.preview(kept)
    except FileRejected as error:
        return Preview((), (), f"expected {error.expected}, found {error.found}")
    except DecoderFailed as error:
        return Preview((), (), error.reason)


def _digest(text: str) -> str:
    if not DIGEST.fullmatch(text):
        raise NotFound
    return text


def _hours(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise ConfigError("hours", "that is no number") from None
