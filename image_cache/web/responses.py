"""Answers made of cached bytes. A key never changes its bytes, so they may be kept for ever; a placeholder never may."""

from functools import cache
from pathlib import Path
from urllib.parse import quote

from flask import Response, request

from image_cache.engine.key import Key
from image_cache.web.context import account, services
from image_cache.web.security import IMAGE_POLICY

FOREVER = "public, max-age=31536000, immutable"
MEDIA_TYPES = {"webp": "image/webp", "jpg": "image/jpeg"}
RETRY_AFTER_S = 2  # how soon a placeholder's asker should come again


class ImageResponse(Response):
    """An answer with exactly the headers it is given: a 304 has no type to guess."""

    default_mimetype = None


def entry_headers(key: Key, size: int) -> list[tuple[str, str]]:
    """Return the headers of a whole entry; those of a 304 are the same without type and length."""
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
    """Tell whether an If-None-Match names the entry: a list of tags, weak ones count as strong, `*` is any (RFC 9110 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))


def entry_response(key: Key, body: bytes) -> Response:
    """Answer with a cached entry, or 304 when the asker has it."""
    if matches(request.headers.get("If-None-Match", ""), key.etag):
        return ImageResponse(status=304, headers=validators(key))
    return ImageResponse(body, headers=entry_headers(key, len(body)))


def page_response(html: str) -> Response:
    """Answer with a page that a browser may keep for going back and must revalidate otherwise; logged in, it keeps nothing."""
    answer = Response(html)
    answer.headers["Cache-Control"] = "no-store" if account() else "private, no-cache"
    return answer


def placeholder_response(folder: Path, *, is_given_up: bool) -> Response:
    """Answer in place of a cover that is not here: 202 while it is on its way, 404 when it is given up or nobody knows it.

    The picture is transparent: what the eye sees is the sleeve that the page drew below it.
    """
    answer = ImageResponse(_file(folder / "transparent.webp"), mimetype="image/webp", status=404 if is_given_up else 202)
    answer.headers["Cache-Control"] = "no-store"
    if not is_given_up:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


@cache
def _file(path: Path) -> bytes:
    return path.read_bytes()


OFFER = "X-Front"  # the server in front says that it can; asked for directly, we send the bytes ourselves


def x_accel_response(answer: Response, area: str, path: str) -> bool:
    """Have the server in front send the file at `path` of an area with the headers of this answer; False when it cannot.

    The answer must be whole: a 304 or a refusal needs no bytes. nginx answers a Range by itself.
    """
    folder = services().settings.FRONT_DIR
    if folder is None or request.headers.get(OFFER) != "nginx" or answer.status_code not in (200, 206):
        return False
    if not (folder / area / path).is_file():
        return False
    answer.status_code = 200
    answer.response = []
    for name in ("Content-Length", "Content-Range", "Accept-Ranges"):
        answer.headers.pop(name, None)
    answer.headers["X-Accel-Redirect"] = f"/_kept/{area}/{quote(path)}"
    return True
