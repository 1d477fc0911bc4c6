"""JSON API of streams: `/api/streams/...`, `/api/images/...`, `/api/cache/pages/...`."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from image_cache.accounts.tokens import MANAGE, READ, UPLOAD
from image_cache.errors import FieldRejected, NotVisible
from image_cache.models import Stream, StreamImage
from image_cache.streams.upload.validation import checked_image_id
from image_cache.units import counted, whole_number
from image_cache.visibility import may_edit, may_own
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import larger_body, read_body, read_texts
from image_cache.web.streams.json_views import image_json, stream_json, trashed_json
from image_cache.web.streams.uploads import set_status, store_files, stream_body_limits
from image_cache.web.streams.viewer import (
    impersonated_viewer,
    refresh_viewer,
    require_editor,
    require_owner,
    require_stream_of_token,
    viewer,
)

stream_api = declare_access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY, read_scope=READ, change_scope=MANAGE)(
    Blueprint("stream_api", __name__, url_prefix="/api")
)

READS, WRITES = "600 per minute", "240 per minute"
MAX_DAYS = 365


@stream_api.get("/streams")
@limiter.limit(READS)
def streams() -> Response:
    """Return the streams that this viewer may open; with `q` the images that match a search."""
    queries, me = services().stream_queries, viewer()
    text = request.args.get("q", "").strip()
    if text:
        found = [image_json(image, stream, me) for stream, image in queries.search(me, text)]
        return _json(images=found, total=len(found))
    found = [stream_json(card.stream, card.count, me) for card in queries.streams(me)]
    return _json(streams=found, total=len(found))


@stream_api.post("/streams")
@declare_access(change=Role.OWNER_ACCOUNT, change_scope=MANAGE)
@limiter.limit("30 per minute")
def create() -> tuple[Response, int]:
    body = read_body({"title", "slug", "description", "visibility"})
    created = services().streams.create_stream(
        body.get("title", ""),
        body.get("slug", ""),
        description=body.get("description", ""),
        visibility=body.get("visibility", "public"),
        owner=viewer(),
    )
    refresh_viewer()
    return _json(**stream_json(created, 0, viewer())), 201


@stream_api.get("/streams/<slug>")
@limiter.limit(READS)
def stream(slug: str) -> Response:
    stream = _stream(slug)
    count = services().stream_queries.stats(stream, viewer())["total"]
    return _json(**stream_json(stream, count, viewer()))


@stream_api.patch("/streams/<slug>")
@limiter.limit(WRITES)
def change(slug: str) -> Response:
    stream = _stream(slug)
    require_editor(stream)
    changed = services().streams.update_stream(stream, read_body({"title", "description", "visibility"}))
    return _json(**stream_json(changed, services().stream_queries.stats(stream)["total"], viewer()))


@stream_api.delete("/streams/<slug>")
@limiter.limit(WRITES)
def delete_stream(slug: str) -> Response:
    """Move a stream to the trash, or with `for_good` delete it with every byte; return how many images there were."""
    stream = _stream(slug)
    require_owner(stream)
    streams = services().streams
    is_for_good = _is_for_good()
    deleted = streams.delete_stream(stream) if is_for_good else streams.trash.move_stream(stream)
    log_action("deletions", "deleted a stream for good" if is_for_good else "moved a stream to the trash", stream.title)
    return _deleted(deleted)


@stream_api.get("/streams/<slug>/images")
@limiter.limit(READS)
def images(slug: str) -> Response:
    """Return the images that this viewer may see, in order, or those that match `q`; editors may look `as` others."""
    stream = _stream(slug)
    as_viewer, _ = impersonated_viewer(stream)
    found = services().stream_queries.images(as_viewer, stream, request.args.get("q", ""))
    return _json(images=[image_json(image, stream, as_viewer) for image in found], total=len(found))


@stream_api.post("/streams/<slug>/images")
@declare_access(change=Role.STREAM_POLICY, change_scope=UPLOAD)
@larger_body(stream_body_limits)
@limiter.limit(WRITES)
def upload(slug: str) -> Response:
    """Store the files of the form field `files`; 201 if at least one is stored, with the result of each."""
    stream = _stream(slug)
    require_editor(stream)
    require_stream_of_token(stream)
    rows = store_files(stream)
    if not rows:
        raise FieldRejected("files", "No file was uploaded.")
    stored = sum(row["ok"] for row in rows)
    response = _json(results=rows, stored=stored, refused=len(rows) - stored)
    set_status(response, rows, 201)
    return response


@stream_api.get("/streams/<slug>/stats")
@limiter.limit(READS)
def stats(slug: str) -> Response:
    """Return the figures of what this viewer may see; views only for editors."""
    stream = _stream(slug)
    as_viewer, _ = impersonated_viewer(stream)
    found = services().stream_queries.stats(stream, as_viewer)
    if not may_edit(as_viewer, stream):
        found.pop("most_viewed")
    return _json(**found)


@stream_api.get("/images/<image_id>")
@limiter.limit(READS)
def image(image_id: str) -> Response:
    stream, found = services().stream_queries.image(viewer(), image_id)
    return _json(**image_json(found, stream, viewer()))


@stream_api.patch("/images/<image_id>")
@limiter.limit(WRITES)
def update(image_id: str) -> Response:
    """Change what the body names. A new visibility applies at once, everywhere."""
    stream, found = _editable(image_id)
    body = read_body({"title", "description", "visibility", "sensitive", "position"})
    if "sensitive" in body:
        if not isinstance(body["sensitive"], bool):
            raise BadRequest("sensitive must be true or false.")
        body["is_sensitive"] = body.pop("sensitive")
    if "position" in body and body["position"] is None:
        raise BadRequest("position must be a whole number, 1 or higher.")
    changed = services().streams.update_stream_image(stream.slug, found.image_id, **body)
    return _json(**image_json(changed, stream, viewer()))


@stream_api.delete("/images/<image_id>")
@limiter.limit(WRITES)
def delete(image_id: str) -> Response:
    """Move an image to the trash, or with `for_good` delete every byte of it, also from the trash."""
    trash = services().streams.trash
    if not _is_for_good():
        stream, found = _editable(image_id)
        is_moved = bool(trash.move(stream, [found.image_id]).done)
        log_action("deletions", "moved 1 image to the trash", stream.title)
        return _deleted(is_moved)
    slug = trash.slug_of(checked_image_id(image_id))
    if slug is not None:
        stream = _stream(slug)
        if not may_edit(viewer(), stream):
            raise NotVisible
        is_deleted = bool(trash.delete(stream, [image_id]))
        log_action("deletions", "deleted 1 image for good", stream.title)
        return _deleted(is_deleted)
    stream, found = _editable(image_id)
    deleted = services().streams.delete_stream_image(stream.slug, found.image_id)
    log_action("deletions", "deleted 1 image for good", stream.title)
    return _deleted(deleted)


@stream_api.get("/streams/<slug>/trash")
@limiter.limit(READS)
def trashed_images(slug: str) -> Response:
    """Return the images of a stream that can be restored, for its editors."""
    stream = _stream(slug)
    require_editor(stream)
    found = services().streams.trash.images(stream)
    return _json(images=[trashed_json(one, stream) for one in found], total=len(found))


@stream_api.post("/streams/<slug>/trash/restore")
@limiter.limit(WRITES)
def restore(slug: str) -> Response:
    """Put images back to their places; return their ids, and for the others the reasons."""
    stream = _stream(slug)
    require_editor(stream)
    result = services().streams.trash.restore(stream, read_texts(read_body({"images"}), "images"))
    return _json(restored=result.done, failed=result.failed)


@stream_api.delete("/streams/<slug>/trash")
@limiter.limit(WRITES)
def empty_trash(slug: str) -> Response:
    """Delete all images of the trash for good."""
    stream = _stream(slug)
    require_editor(stream)
    deleted = services().streams.trash.delete(stream)
    log_action("deletions", f"deleted {counted(deleted, 'image')} for good", stream.title)
    return _deleted(deleted)


@stream_api.get("/deletions")
@declare_access(read=Role.OWNER, read_scope=MANAGE)
@limiter.limit(READS)
def deletions() -> Response:
    """Return for each node whether it has removed the bytes of all that was deleted so far; without other nodes there are none."""
    return _json(nodes=services().deletions_by_node())


@stream_api.post("/streams/<slug>/restore")
@limiter.limit(WRITES)
def restore_stream(slug: str) -> Response:
    """Put a stream back that its owner moved to the trash."""
    found = services().streams.trash.stream(slug)
    if found is None or not may_own(viewer(), found.stream):
        raise NotVisible
    restored = services().streams.trash.restore_stream(found)
    return _json(**stream_json(found.stream, restored, viewer()))


@stream_api.get("/images/<image_id>/views")
@limiter.limit(READS)
def image_views(image_id: str) -> Response:
    """Return the views of each of the last `days`, for editors of the stream."""
    _, found = _editable(image_id)
    number = whole_number(request.args.get("days", "30"), 1, MAX_DAYS)
    if number is None:
        raise BadRequest(f"days must be a whole number from 1 to {MAX_DAYS}.")
    days = services().stream_queries.views_by_day([image_id], number)[image_id]
    return _json(image_id=found.image_id, days=[{"day": day, "views": count} for day, count in days])


@stream_api.get("/cache/pages/<page>")
@declare_access(read=Role.OWNER)
@limiter.limit(READS)
def page_stats(page: str) -> Response:
    """Return what a page holds of the memory tier."""
    return _json(**services().streams.get_page_stats(page))


@stream_api.delete("/cache/pages/<page>")
@declare_access(change=Role.OWNER)
@limiter.limit(WRITES)
def clear_page(page: str) -> Response:
    """Drop the images of a page from memory; what another page holds too stays, and everything stays on disk."""
    return _json(page=page, cleared=services().streams.clear_page_cache(page))


def _is_for_good() -> bool:
    """Return True if the request says that nothing must remain. Raises `BadRequest` for a word that is neither yes nor no."""
    word = request.args.get("for_good", "false")
    if word not in ("true", "false"):
        raise BadRequest("for_good must be true or false.")
    return word == "true"


def _deleted(deleted: int) -> Response:
    """Answer how much was deleted, and with several nodes which of them have removed the bytes already."""
    nodes = services().deletions_by_node()
    return _json(deleted=deleted, nodes=nodes) if nodes else _json(deleted=deleted)


def _json(**values: Any) -> Response:
    response = jsonify(values)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _stream(slug: str) -> Stream:
    return services().stream_queries.stream(viewer(), slug)


def _editable(image_id: str) -> tuple[Stream, StreamImage]:
    stream, found = services().stream_queries.image(viewer(), image_id)
    require_editor(stream)
    return stream, found
