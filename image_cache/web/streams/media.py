"""Bytes of stream images: `/streams/<slug>/images/<id>/<size>`. The policy is checked before validators and ranges."""

import itertools
import logging
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePath
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.http import quote_etag

from image_cache.accounts.tokens import READ
from image_cache.engine.key import digest_of
from image_cache.errors import DecoderFailed, NotVisible, QueueFull, StorageError
from image_cache.models import ImageVisibility, Stream, StreamImage
from image_cache.server.parts import body_of
from image_cache.streams import RenderJob
from image_cache.streams.archive import safe_stem
from image_cache.streams.render_queue import FAILED_S
from image_cache.visibility import may_edit
from image_cache.web.access import Role, declare_access
from image_cache.web.context import STATIC_DIR, services
from image_cache.web.rate_limits import limit_key, limiter
from image_cache.web.responses import ImageResponse, placeholder_response, x_accel_response
from image_cache.web.security import IMAGE_POLICY
from image_cache.web.streams.view_models import SIZES
from image_cache.web.streams.viewer import viewer

logger = logging.getLogger(__name__)

stream_media = declare_access(read=Role.STREAM_POLICY, read_scope=READ)(Blueprint("stream_media", __name__))
limiter.exempt(stream_media)

PLAIN = frozenset(string.ascii_letters + string.digits + " ._-()")
ORIGINAL = "original"
LARGEST = "large"
COUNTED = ("detail", "large")
RETRY_AFTER_S = 5
RANGE = re.compile(r"bytes=(?=[0-9-]{2,40}$)([0-9]*)-([0-9]*)")
AWAY = "The storage for original images is not responding. Try again in a moment."
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "bmp": "image/bmp"}
# Browsers play both; none says so of video/quicktime.
VIDEO_TYPE = "video/mp4"
ORIGINAL_TYPES = MEDIA_TYPES | {"mp4": VIDEO_TYPE, "mov": "video/quicktime"}
VIDEO = "video"

Find = Callable[[], tuple[Stream, StreamImage]]


@stream_media.get("/streams/<slug>/images/<image_id>/<size>")
def image(slug: str, image_id: str, size: str) -> Response:
    """Return an image in one size if this viewer may see it; the untouched original for editors of the stream."""
    if size not in SIZES and size not in (ORIGINAL, VIDEO):
        raise NotVisible
    find = partial(services().stream_queries.image, viewer(), image_id, slug)
    if size == VIDEO:
        return video_response(find)
    return _original(*find()) if size == ORIGINAL else variant_response(find, size)


@stream_media.get("/streams/<slug>/images/<image_id>/download")
@limiter.limit("120 per minute")
def download(slug: str, image_id: str) -> Response:
    """Return one image to keep, in its own name: the untouched original for editors of the stream, the largest variant for others."""
    find = partial(services().stream_queries.image, viewer(), image_id, slug)
    stream, found = find()
    return _original(stream, found) if may_edit(viewer(), stream) else download_response(find)


def download_response(find: Find, *, is_shared: bool = False) -> Response:
    """Return the largest variant of an image to keep. Its name is its title: names of files are for those who edit the stream."""
    stream, found = find()
    if found.is_video:
        response = video_response(find, is_shared=is_shared)
        response.headers["Content-Disposition"] = attachment(f"{safe_stem(found.title or stream.title)}.{_suffix_of(found)}")
        return response
    response = variant_response(find, LARGEST, is_shared=is_shared)
    if response.status_code == 202:  # a placeholder is nothing to keep
        raise ServiceUnavailable("This image is being prepared. Try again in a moment.", retry_after=RETRY_AFTER_S)
    if response.status_code < 400:
        response.headers["Content-Disposition"] = attachment(f"{safe_stem(found.title or stream.title)}.webp")
    return response


def video_response(find: Find, *, is_shared: bool = False) -> Response:
    """Return a video as its viewers get it: its frames and its sound. `find` and `is_shared` are as for `variant_response`."""
    stream, found = find()
    if not found.is_video:
        raise NotVisible
    response = _pieces_response(found, VIDEO, services().stream_images.shown_pieces)
    is_public = found.visibility is ImageVisibility.PUBLIC and not is_shared
    response.headers["Cache-Control"] = "public, no-cache" if is_public else "private, no-cache"
    if not is_public:
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    starts = request.range is None or request.range.ranges[0][0] == 0  # what a player asks for while it plays is no further view
    if starts and request.method == "GET" and response.status_code in (200, 206) and not may_edit(viewer(), stream):
        services().streams.record_view(found.image_id, viewer_key())
    return response


def _pieces_response(found: StreamImage, size: str, pieces: Callable[[StreamImage, int, int], Iterator[bytes]]) -> Response:
    """Return a video, or the range that the request names, piece by piece. Raises `RequestedRangeNotSatisfiable`."""
    response: Response = ImageResponse(mimetype=VIDEO_TYPE if size == VIDEO else ORIGINAL_TYPES[_suffix_of(found)])
    _tag(response, found, size, found.size_bytes)
    _make_conditional(response, found.size_bytes)
    start, stop = 0, found.size_bytes
    if response.status_code == 206 and response.content_range.start is not None:
        start, stop = response.content_range.start, response.content_range.stop or stop
    if response.status_code in (200, 206):
        parts = pieces(found, start, stop)
        if request.method == "GET":
            parts = _begun(found, parts)
        response.response = body_of(parts, request.environ, has_length=True)
        response.headers["Content-Length"] = str(stop - start)
        response.headers["Accept-Ranges"] = "bytes"
    return response


def _begun(found: StreamImage, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first piece now: if the storage does not respond, the browser gets an error page, not half a video."""
    try:
        first = next(pieces, b"")
    except StorageError as error:
        logger.warning("original not read path=%s reason=%s", error.path, error.reason)
        raise ServiceUnavailable(AWAY, retry_after=RETRY_AFTER_S) from error
    return itertools.chain((first,), pieces)


def _suffix_of(found: StreamImage) -> str:
    return found.file_path.rpartition(".")[2]


def variant_response(find: Find, size: str, *, is_shared: bool = False) -> Response:
    """Return an image in one of the rendered sizes. `find` returns it if its viewer may see it, and raises `NotVisible` else.

    `is_shared`: through a link, which can end at any moment: then no shared cache may keep even a public image.
    """
    stream, found = find()
    page = request.args.get("page", "") or "stream_details"
    body = services().stream_images.cached(found, SIZES[size], page)
    if body is None:
        job = _requested(found, SIZES[size], page)
        stream, found = find()  # the wait was long enough for the image to be hidden or deleted
        if job is None or not job.done.is_set():
            return _placeholder(is_given_up=False)
        if isinstance(job.error, StorageError):
            # Bucket and key are for the log, not for a visitor.
            logger.warning("original not read path=%s reason=%s", job.error.path, job.error.reason)
            return _unavailable(RETRY_AFTER_S)
        if isinstance(job.error, DecoderFailed):  # late or killed: logged by the queue, which tries it again after this time
            return _unavailable(int(FAILED_S))
        if job.body is None:
            return _placeholder(is_given_up=job.error is None)
        body = job.body
    response = _response(found, body, "image/webp", size)
    x_accel_response(response, "streams", services().stream_images.path(found, SIZES[size]))
    # An image may be cached, but must be revalidated each time: its visibility can change at any moment.
    is_public = found.visibility is ImageVisibility.PUBLIC and not is_shared
    response.headers["Cache-Control"] = "public, no-cache" if is_public else "private, no-cache"
    if not is_public:
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if size in COUNTED and request.method == "GET" and response.status_code in (200, 206) and not may_edit(viewer(), stream):
        services().streams.record_view(found.image_id, viewer_key())
    return response


def _original(stream: Stream, found: StreamImage) -> Response:
    if not may_edit(viewer(), stream):
        raise NotVisible
    suffix = _suffix_of(found)
    response: Response = ImageResponse(mimetype=ORIGINAL_TYPES[suffix])
    _tag(response, found, ORIGINAL, found.size_bytes)
    images = services().stream_images
    # Do not read 20 MB that nginx sends.
    if found.is_video and (images.is_remote or not x_accel_response(response, "originals", found.file_path)):
        response = _pieces_response(found, ORIGINAL, images.original_pieces)
    elif images.is_remote or not x_accel_response(response, "originals", found.file_path):
        try:
            body = images.original(found)
        except StorageError as error:
            logger.warning("original not read path=%s reason=%s", error.path, error.reason)
            raise ServiceUnavailable(AWAY, retry_after=RETRY_AFTER_S) from error
        if body is None:
            raise NotVisible
        response = _response(found, body, MEDIA_TYPES[suffix], ORIGINAL)
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Content-Disposition"] = attachment(f"{PurePath(found.filename).stem}.{suffix}")
    return response


def attachment(name: str) -> str:
    """Return a Content-Disposition with a file name: ASCII for old clients, and as UTF-8 (RFC 6266). Nothing in it is syntax."""
    plain = "".join(
        char if char in PLAIN else "_" for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char)
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _requested(found: StreamImage, variant: str, page: str) -> RenderJob | None:
    """Enqueue a variant and wait a moment for it; None if the queue is full or the store is known to be away: retried later."""
    try:
        return services().stream_images.request(found, variant, page)
    except StorageError as error:
        job = RenderJob(found, variant, page)
        job.error = error
        job.done.set()
        return job
    except QueueFull:
        return None


def _placeholder(*, is_given_up: bool) -> Response:
    """Answer an `<img>` with a transparent image: 202 while it is being rendered, 404 if its original cannot be rendered."""
    response = placeholder_response(STATIC_DIR / "placeholders", is_given_up=is_given_up)
    response.headers["Content-Security-Policy"] = IMAGE_POLICY
    return response


def _response(found: StreamImage, body: bytes, kind: str, size: str) -> Response:
    response = ImageResponse(body, mimetype=kind)
    _tag(response, found, size, len(body))
    _make_conditional(response, len(body))
    return response


def _make_conditional(response: Response, size_bytes: int) -> None:
    """Apply validators and the range of the request. Another unit, several ranges or none that can be read are ignored (RFC 9110, 14.2)."""
    environ, asked = request.environ, RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or (asked[1] and asked[2] and int(asked[1]) > int(asked[2])):
        environ = {name: value for name, value in environ.items() if name != "HTTP_RANGE"}
    response.make_conditional(environ, accept_ranges=True, complete_length=size_bytes)


def _tag(response: Response, found: StreamImage, size: str, size_bytes: int) -> None:
    response.headers["ETag"] = quote_etag(digest_of("streams", found.image_id, size, str(size_bytes))[:32])
    response.headers["Content-Security-Policy"] = IMAGE_POLICY


def _unavailable(retry_after_s: int) -> Response:
    """Return a placeholder and 503: the image is fine, and the storage or the decoder did not answer in time."""
    response = _placeholder(is_given_up=False)
    response.status_code = 503
    response.headers["Retry-After"] = str(retry_after_s)
    return response


def viewer_key() -> str:
    """Return what identifies the viewer for counting views and opens."""
    me = viewer()
    if me.account_id is not None:
        return f"account {me.account_id}"
    return f"{limit_key()} {request.headers.get('User-Agent', '')[:200]}"
