"""Bytes of stream images: `/streams/<slug>/images/<id>/<size>`. The policy is checked before validators and ranges."""

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
    """Return an image in one size if this viewer may see it; the untouched original for editors of the stream."""
    if size not in SIZES and size != ORIGINAL:
        raise NotVisible
    stream, found = services().stream_queries.image(viewer(), image_id, slug)
    if size == ORIGINAL:
        return _original(stream, found)
    try:
        body = services().stream_images.body(found, SIZES[size], request.args.get("page", "") or "stream_details")
    except (StorageError, QueueFull) as error:
        return _unavailable(error)
    if body is None:
        raise NotVisible
    response = _response(found, body, "image/webp", size)
    x_accel_response(response, "streams", services().stream_images.path(found, SIZES[size]))
    # A public image may be cached, but must be revalidated each time: its visibility can change at any moment.
    is_public = found.visibility is ImageVisibility.PUBLIC
    response.headers["Cache-Control"] = "public, no-cache" if is_public else "private, no-store"
    if not is_public:
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if size in COUNTED and request.method == "GET" and response.status_code in (200, 206) and not may_edit(viewer(), stream):
        services().streams.record_view(found.image_id, _viewer_key())
    return response


def _original(stream: Stream, found: StreamImage) -> Response:
    if not may_edit(viewer(), stream):
        raise NotVisible
    suffix = found.file_path.rpartition(".")[2]
    response: Response = ImageResponse(mimetype=MEDIA_TYPES[suffix])
    _tag(response, found, ORIGINAL, found.size_bytes)
    images = services().stream_images
    # Do not read 20 MB that nginx sends.
    if images.is_remote or not x_accel_response(response, "originals", found.file_path):
        try:
            body = images.original(found)
        except StorageError as error:
            return _unavailable(error)
        if body is None:
            raise NotVisible
        response = _response(found, body, MEDIA_TYPES[suffix], ORIGINAL)
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    # A name of our own, not that of the upload: a header is no place for user input.
    response.headers["Content-Disposition"] = f'attachment; filename="{found.image_id}.{suffix}"'
    return response


def _response(found: StreamImage, body: bytes, kind: str, size: str) -> Response:
    response = ImageResponse(body, mimetype=kind)
    _tag(response, found, size, len(body))
    response.make_conditional(request.environ, accept_ranges=True, complete_length=len(body))
    return response


def _tag(response: Response, found: StreamImage, size: str, size_bytes: int) -> None:
    response.headers["ETag"] = quote_etag(digest_of("streams", found.image_id, size, str(size_bytes))[:32])
    response.headers["Content-Security-Policy"] = IMAGE_POLICY


def _unavailable(error: Exception) -> Response:
    """Return 503 for an image that cannot be rendered right now; must not be cached."""
    response = ImageResponse(f"{error}\n", mimetype="text/plain", status=503)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    response.headers["Cache-Control"] = "no-store"
    return response


def _viewer_key() -> str:
    """Return what identifies the viewer for counting views."""
    me = viewer()
    if me.account_id is not None:
        return f"account {me.account_id}"
    return f"{limit_key()} {request.headers.get('User-Agent', '')[:200]}"
