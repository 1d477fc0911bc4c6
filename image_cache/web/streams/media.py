"""The bytes of stream images: `/streams/<slug>/images/<id>/<size>`. The policy is asked first, whatever the request says it has."""

from flask import Blueprint, Response, request
from werkzeug.http import quote_etag

from image_cache.engine.key import digest_of
from image_cache.errors import NotVisible, QueueFull, StorageError
from image_cache.models import ImageVisibility, Stream, StreamImage, may_edit
from image_cache.web.access import Role, access
from image_cache.web.context import services
from image_cache.web.rate_limits import limit_key, limiter
from image_cache.web.responses import ImageResponse, x_accel_response
from image_cache.web.security import IMAGE_POLICY
from image_cache.web.streams.view_models import SIZES
from image_cache.web.streams.viewer import viewer

stream_media = access(read=Role.STREAM_POLICY)(Blueprint("stream_media", __name__))
limiter.exempt(stream_media)

ORIGINAL = "original"
COUNTED = ("detail", "large")
RETRY_AFTER_S = 5
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "bmp": "image/bmp"}


@stream_media.get("/streams/<slug>/images/<image_id>/<size>")
def image(slug: str, image_id: str, size: str) -> Response:
    """Answer an image in one size, if this viewer may see it; the untouched original to those who edit the stream."""
    if size not in SIZES and size != ORIGINAL:
        raise NotVisible
    stream, found = services().streams.queries.image(viewer(), image_id, slug)
    if size == ORIGINAL:
        return _original(stream, found)
    try:
        body = services().streams.images.body(found, SIZES[size], request.args.get("page", "") or "stream_details")
    except (StorageError, QueueFull) as error:
        return _later(error)
    if body is None:
        raise NotVisible
    answer = _answer(found, body, "image/webp", size)
    x_accel_response(answer, "streams", services().streams.cache.key(found.image_id, SIZES[size]).path)
    # Bytes of an open image may be kept, and are asked for again each time: who may see it can change at any moment.
    is_open = found.visibility is ImageVisibility.PUBLIC
    answer.headers["Cache-Control"] = "public, no-cache" if is_open else "private, no-store"
    if not is_open:
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if size in COUNTED and request.method == "GET" and answer.status_code in (200, 206) and not may_edit(viewer(), stream):
        services().streams.view_counts.record(found.image_id, _who())
    return answer


def _original(stream: Stream, found: StreamImage) -> Response:
    if not may_edit(viewer(), stream):
        raise NotVisible
    suffix = found.file_path.rpartition(".")[2]
    answer: Response = ImageResponse(mimetype=MEDIA_TYPES[suffix])
    _tag(answer, found, ORIGINAL, found.size_bytes)
    pictures = services().streams.images
    # Twenty megabytes are not read only to find out that somebody else sends them.
    if pictures.is_remote or not x_accel_response(answer, "originals", found.file_path):
        try:
            body = pictures.original(found)
        except StorageError as error:
            return _later(error)
        if body is None:
            raise NotVisible
        answer = _answer(found, body, MEDIA_TYPES[suffix], ORIGINAL)
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    # Our own name for it, not the one that it came with: a header is no place for somebody's text.
    answer.headers["Content-Disposition"] = f'attachment; filename="{found.image_id}.{suffix}"'
    return answer


def _answer(found: StreamImage, body: bytes, kind: str, size: str) -> Response:
    answer = ImageResponse(body, mimetype=kind)
    _tag(answer, found, size, len(body))
    answer.make_conditional(request.environ, accept_ranges=True, complete_length=len(body))
    return answer


def _tag(answer: Response, found: StreamImage, size: str, size_bytes: int) -> None:
    answer.headers["ETag"] = quote_etag(digest_of("streams", found.image_id, size, str(size_bytes))[:32])
    answer.headers["Content-Security-Policy"] = IMAGE_POLICY


def _later(error: Exception) -> Response:
    """Answer in place of an image that cannot be shown right now: seen by scripts, and kept by nobody."""
    answer = ImageResponse(f"{error}\n", mimetype="text/plain", status=503)
    answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _who() -> str:
    me = viewer()
    if me.account_id is not None:
        return f"account {me.account_id}"
    return f"{limit_key()} {request.headers.get('User-Agent', '')[:200]}"
