"""The trash of a stream, and of streams: pages that show what can be restored, and delete it for good. Complete without scripts."""

from typing import Any

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected, NotVisible, QueueFull, StorageError
from image_cache.models import Stream
from image_cache.streams import TRASH_DAYS, TrashedStream
from image_cache.streams.images import TRASH_VARIANT
from image_cache.units import counted
from image_cache.visibility import may_edit, may_own
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import STATIC_DIR, services
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import ImageResponse, placeholder_response
from image_cache.web.security import IMAGE_POLICY
from image_cache.web.streams.changes.bands import trashed_by
from image_cache.web.streams.view_models import trashed_view
from image_cache.web.streams.viewer import require_editor, viewer
from image_cache.web.streams.views import page_of

stream_trash = declare_access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY)(Blueprint("stream_trash", __name__))

WRITES = "120 per minute"
MAX_SHOWN = 12  # of the images that are about to be deleted; the others are counted


@stream_trash.get("/streams/<slug>/trash")
def trash(slug: str) -> AnyResponse:
    """Show the images of a stream that can be restored, to those who edit it."""
    stream = _edited(slug)
    images = [trashed_view(one, stream) for one in services().streams.trash.images(stream)]
    size_bytes = sum(one.image.size_bytes for one in images)
    values = {"images": images, "size_bytes": size_bytes, "days": TRASH_DAYS, "done": request.args.get("done", "")}
    return page_of("streams/trash.html", stream=stream, **values)


@stream_trash.post("/streams/<slug>/trash/restore")
@limiter.limit(WRITES)
def restore(slug: str) -> AnyResponse:
    """Put the selected images back to their places."""
    stream = _edited(slug)
    result = services().streams.trash.restore(stream, _selected())
    return redirect(f"/streams/{slug}{'/trash?done=kept' if result.failed else '?done=restored'}", 303)


@stream_trash.get("/streams/<slug>/trash/delete")
def ask_delete(slug: str) -> AnyResponse:
    """Ask before images are deleted for good: the selected ones, those that a change moved to the trash, or `all`."""
    stream = _edited(slug)
    return _question(stream, [*request.args.getlist("image"), *trashed_by(stream)])


def _question(stream: Stream, ids: list[str]) -> AnyResponse:
    slug, chosen = stream.slug, frozenset(ids)
    found = services().streams.trash.images(stream)
    images = [one for one in found if one.image.image_id in chosen or "all" in request.args]
    if not images:
        return redirect(f"/streams/{slug}/trash", 303)
    shown = [trashed_view(one, stream) for one in images]
    return page_of("streams/delete.html", stream=stream, images=shown, is_all="all" in request.args, shown=MAX_SHOWN)


@stream_trash.post("/streams/<slug>/trash/delete")
@limiter.limit(WRITES)
def delete(slug: str) -> AnyResponse:
    """Delete images for good. With `ask`, ask first: the address of that question has no room for a thousand images."""
    stream = _edited(slug)
    if "ask" in request.form:
        return _question(stream, request.form.getlist("image"))
    deleted = services().streams.trash.delete(stream, None if "all" in request.form else _selected())
    log_action("deletions", f"deleted {counted(deleted, 'image')} for good", stream.title)
    return redirect(f"/streams/{slug}/trash?done=deleted", 303)


@stream_trash.get("/streams/<slug>/trash/<image_id>")
@limiter.exempt
def thumb(slug: str, image_id: str) -> Response:
    """Return what the trash shows of an image, to those who edit its stream; for others there is nothing."""
    stream = services().stream_queries.stream(viewer(), slug)
    if not may_edit(viewer(), stream):
        raise NotVisible
    found = services().streams.trash.image(stream, image_id).image
    images = services().stream_images
    body = images.cached(found, TRASH_VARIANT)
    if body is None:
        try:
            body = images.request(found, TRASH_VARIANT).body
        except (StorageError, QueueFull):
            body = None
    response: Response = (
        placeholder_response(STATIC_DIR / "placeholders", is_given_up=False)
        if body is None
        else ImageResponse(body, mimetype="image/webp")
    )
    response.headers["Content-Security-Policy"] = IMAGE_POLICY
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


@stream_trash.get("/trash")
@declare_access(read=Role.ACCOUNT, login="/trash")
def streams_trash() -> AnyResponse:
    """Show the streams of this account that can be restored."""
    found = [one for one in services().streams.trash.streams() if may_own(viewer(), one.stream)]
    return page_of("streams/trashed_streams.html", streams=_rows(found), days=TRASH_DAYS)


@stream_trash.post("/trash/<slug>/restore")
@declare_access(change=Role.ACCOUNT)
@limiter.limit(WRITES)
def restore_stream(slug: str) -> AnyResponse:
    """Put a stream back with its people and images."""
    services().streams.trash.restore_stream(_trashed(slug))
    return redirect(f"/streams/{slug}?done=stream-restored", 303)


@stream_trash.get("/trash/<slug>/delete")
@declare_access(read=Role.ACCOUNT)
def ask_delete_stream(slug: str) -> AnyResponse:
    """Ask before a stream is deleted for good."""
    found = _trashed(slug)
    return page_of("streams/delete.html", stream=found.stream, images=[], count=found.images)


@stream_trash.post("/trash/<slug>/delete")
@declare_access(change=Role.ACCOUNT)
@limiter.limit(WRITES)
def delete_stream(slug: str) -> AnyResponse:
    """Delete a stream for good."""
    found = _trashed(slug)
    services().streams.trash.delete_stream(found)
    log_action("deletions", "deleted a stream for good", found.stream.title)
    return redirect("/trash", 303)


def _edited(slug: str) -> Stream:
    stream = services().stream_queries.stream(viewer(), slug)
    require_editor(stream)
    return stream


def _selected() -> list[str]:
    ids = request.form.getlist("image")
    if not ids:
        raise FieldRejected("image", "Select at least one image.")
    return ids


def _trashed(slug: str) -> TrashedStream:
    found = services().streams.trash.stream(slug)
    if found is None or not may_own(viewer(), found.stream):
        raise NotVisible
    return found


def _rows(found: list[TrashedStream]) -> list[dict[str, Any]]:
    days_left = services().streams.trash.days_left
    return [{"trashed": one, "days_left": days_left(one.trashed_at)} for one in found]
