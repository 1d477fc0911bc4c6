"""Pictures: `/cache/<variant>/<digest>.webp`, their JPEG siblings, and placeholders."""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Response, abort, send_from_directory
from werkzeug.exceptions import NotFound

from image_cache.covers import NAMESPACE
from image_cache.db.database import DatabaseError
from image_cache.engine.key import DIGEST, Key
from image_cache.engine.memory import MemoryTier
from image_cache.errors import DecoderFailed, ImageRejected, UnknownImage
from image_cache.web.access import Role, access
from image_cache.web.context import STATIC_DIR, services
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import entry_headers, entry_response, matches, placeholder_response, validators

logger = logging.getLogger(__name__)

media = access(read=Role.VISITOR)(Blueprint("media", __name__))
limiter.exempt(media)

PLACEHOLDER_DIR = STATIC_DIR / "placeholders"
KIND = re.compile(r"[a-z][a-z0-9_-]{0,40}")
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class WarmCovers:
    """Answers covers that are in memory before Flask is asked: no routing, no session, no limiter, no SQL.

    A request is a dictionary lookup and a comparison of validators; everything else goes on to the application. What it answers
    is the same to the last header as what the application would. The check of the Host is for pages only: a cover's address is a
    hash that a foreign site cannot know.
    """

    def __init__(self, app: WSGIApp, memory: MemoryTier) -> None:
        self._app = app
        self._memory = memory

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith("/cache/") and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            answer = self.look(path, environ.get("HTTP_IF_NONE_MATCH"))
            if answer is not None:
                status, headers, body = answer
                start_response(status, headers)
                return (body,) if body and environ["REQUEST_METHOD"] == "GET" else ()
        return self._app(environ, start_response)

    def look(self, path: str, if_none_match: str | None) -> tuple[str, list[tuple[str, str]], bytes] | None:
        """Return (status, headers, body) for a path below `/cache/` that is in memory. Waits for nothing."""
        variant, _, name = path[7:].partition("/")
        digest, _, suffix = name.partition(".")
        key = Key(NAMESPACE, variant if suffix == "webp" else f"{variant}.{suffix}", digest)
        # A variant of the address has no suffix of its own: `/cache/detail.jpg/….webp` is no address of the JPEG.
        body = None if "." in variant else self._memory.get(key)
        if body is None:
            return None
        if if_none_match and matches(if_none_match, key.etag):
            return "304 NOT MODIFIED", validators(key), b""
        return "200 OK", entry_headers(key, len(body)), body


@media.get("/cache/<variant>/<name>.webp")
def cover(variant: str, name: str) -> Response:
    """Answer a cover from the cache; on a miss a placeholder, and a job in front of all others. Nobody waits for an origin."""
    covers = services().covers
    if variant not in covers.variants or not DIGEST.fullmatch(name):
        abort(404)
    body = covers.get(name, variant)
    if body is not None:
        return entry_response(Key(NAMESPACE, variant, name), body)
    return _stand_in(name, variant)


@media.get("/cache/<variant>/<name>.jpg")
def cover_as_jpeg(variant: str, name: str) -> Response:
    """Answer the same picture as JPEG, for browsers that cannot decode WebP; made on request from the stored WebP."""
    covers = services().covers
    if variant not in covers.variants or not DIGEST.fullmatch(name):
        abort(404)
    try:
        body = covers.get_jpeg(name, variant)
        if body is not None:
            return entry_response(Key(NAMESPACE, f"{variant}.jpg", name), body)
    except (ImageRejected, DecoderFailed):
        return placeholder_response(PLACEHOLDER_DIR, is_given_up=True)
    return _stand_in(name, variant)


@media.get("/cache/placeholders/placeholder_<kind>.webp")
def drawn_placeholder(kind: str) -> Response:
    """Answer the sleeve that stands in for a cover in templates that have nothing else to show."""
    if not KIND.fullmatch(kind):
        raise NotFound
    answer = send_from_directory(PLACEHOLDER_DIR, f"placeholder_{kind}.webp", mimetype="image/webp", max_age=86400)
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


def _stand_in(digest: str, variant: str) -> Response:
    """Answer a miss: leave a job, say whether it is worth to come again. A database in trouble is a reason to come again."""
    try:
        state = services().covers.request(digest, variant).state
    except UnknownImage:
        state = "failed"
    except DatabaseError as error:
        logger.warning("cover not asked for reason=%s", error)
        state = "waiting"
    return placeholder_response(PLACEHOLDER_DIR, is_given_up=state == "failed")
