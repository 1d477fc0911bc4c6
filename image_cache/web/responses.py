"""Responses with image bytes. The bytes of a key never change, so they may be cached forever; a placeholder never."""

from functools import cache
from pathlib import Path
from urllib.parse import quote

from flask import Response, request

from image_cache.engine.key import Key
from image_cache.web.context import account, services
from image_cache.web.security import IMAGE_POLICY

FOREVER = "public, max-age=31536000, immutable"
PAGE_CACHING = "private, no-cache"
MEDIA_TYPES = {"webp": "image/webp", "jpg": "image/jpeg"}
FRONT_HEADER = "X-Front"  # nginx in front sets it; without it we send the bytes ourselves
RETRY_AFTER_S = 2  # how soon a client should retry after a placeholder


class ImageResponse(Response):
    """A response with exactly the given headers: a 304 has no type to guess."""

    default_mimetype = None


def entry_headers(key: Key, size: int) -> list[tuple[str, str]]:
    """Return the headers of a 200 response; those of a 304 are the same without type and length."""
    return [("Content-Type", media_type(key)), ("Content-Length", str(size)), *validators(key)]


def validators(key: Key) -> list[tuple[str, str]]:
    return [
        ("ETag", key.etag),
        ("Cache-Control", FOREVER),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Content-Security-Policy", IMAGE_POLICY),
    ]


def media_type(key: Key) -> str:
    return MEDIA_TYPES[key.variant.partition(".")[2] or "webp"]


def matches(if_none_match: str, etag: str) -> bool:
    """Return True if If-None-Match matches: a list of tags, weak ones count as strong, `*` is any (RFC 9110 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))


def entry_response(key: Key, body: bytes) -> Response:
    """Return a cached entry, or 304 if the client has it."""
    if matches(request.headers.get("If-None-Match", ""), key.etag):
        return ImageResponse(status=304, headers=validators(key))
    return ImageResponse(body, headers=entry_headers(key, len(body)))


def page_response(html: str) -> Response:
    """Return a page that a browser may keep for going back and must revalidate otherwise; logged in, it keeps nothing."""
    answer = Response(html)
    answer.headers["Cache-Control"] = "no-store" if account() else PAGE_CACHING
    return answer


def placeholder_response(folder: Path, *, is_given_up: bool) -> Response:
    """Return a transparent image in place of a cover: 202 while it is queued, 404 if it is given up or not registered.

    The page has drawn a sleeve below it, which shows through.
    """
    response = ImageResponse(_file(folder / "transparent.webp"), mimetype="image/webp", status=404 if is_given_up else 202)
    response.headers["Cache-Control"] = "no-store"
    if not is_given_up:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def stand_in_response(body: bytes) -> Response:
    """Return a larger variant as the placeholder of one that is not made yet. It must not be cached: the URL has other bytes."""
    headers = {"Cache-Control": "no-store", "Retry-After": str(RETRY_AFTER_S)}
    return ImageResponse(body, status=202, mimetype="image/webp", headers=headers)


@cache
def _file(path: Path) -> bytes:
    return path.read_bytes()


def x_accel_response(response: Response, area: str, path: str) -> bool:
    """Have nginx send the file at `path` of an area with the headers of this response; return False if it cannot.

    The response must have a body: a 304 or a refusal needs no file. nginx handles Range itself.
    """
    folder = services().settings.FRONT_DIR
    if folder is None or request.headers.get(FRONT_HEADER) != "nginx" or response.status_code not in (200, 206):
        return False
    if not (folder / area / path).is_file():
        return False
    response.status_code = 200
    response.response = []
    for name in ("Content-Length", "Content-Range", "Accept-Ranges"):
        response.headers.pop(name, None)
    response.headers["X-Accel-Redirect"] = f"/_kept/{area}/{quote(path)}"
    return True
