"""Covers over HTTP: `/cache/<variant>/<digest>.webp`, the same as JPEG, and placeholders."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Blueprint, Response, abort, send_from_directory
from werkzeug.exceptions import NotFound

from image_cache.covers import NAMESPACE, ImageCache
from image_cache.db.database import DatabaseError
from image_cache.engine.key import DIGEST, Key
from image_cache.errors import DecoderBusy, DecoderFailed, ImageRejected, UnknownImage
from image_cache.server.fast_path import Stored
from image_cache.web.access import Role, declare_access
from image_cache.web.context import STATIC_DIR, services
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import entry_headers, entry_response, matches, placeholder_response, stand_in_response, validators

logger = logging.getLogger(__name__)

media = declare_access(read=Role.VISITOR)(Blueprint("media", __name__))
limiter.exempt(media)

PLACEHOLDER_DIR = STATIC_DIR / "placeholders"
KIND = re.compile(r"[a-z][a-z0-9_-]{0,40}")
JPEG_WAIT_S = 0.5  # the decoder may be busy with other images for half a minute
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[str, list[tuple[str, str]], bytes]  # status, headers, body


class WarmCovers:
    """Answers requests for stored covers before Flask does: no routing, no session, no limiter, no SQL for those in memory.

    Everything else continues to the application. The responses are the same to the last header as those of the application. The
    Host is checked for pages only: the URL of a cover is a hash that a foreign site cannot know.
    """

    def __init__(self, app: WSGIApp, covers: ImageCache) -> None:
        self._app = app
        self._cache = covers.cache
        self._memory = covers.cache.memory
        self._variants = {name for variant in covers.variants for name in (variant, f"{variant}.jpg")}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith("/cache/") and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            if_none_match = environ.get("HTTP_IF_NONE_MATCH")
            answer = self._look(path, if_none_match) or self._read(path, if_none_match)
            if answer is not None:
                status, headers, body = answer
                start_response(status, headers)
                return (body,) if body and environ["REQUEST_METHOD"] == "GET" else ()
        return self._app(environ, start_response)

    @property
    def generation(self) -> int:
        """Return another number each time something was dropped from memory."""
        return self._memory.generation

    def find(self, path: str) -> Stored | None:
        """Return what answers a path below `/cache/` that is in memory, for the main loop of the server. Never blocks."""
        key = _key_of(path)
        body = self._memory.peek(key) if key is not None else None
        if key is None or body is None:
            return None
        return Stored(key, key.etag, entry_headers(key, len(body)), validators(key), body)

    def record_uses(self, uses: Mapping[Key, int]) -> None:
        """Count what the main loop has served."""
        self._memory.record_uses(uses)

    def _look(self, path: str, if_none_match: str | None) -> Answer | None:
        """Return the response for a path that is in memory."""
        key = _key_of(path)
        body = self._memory.get(key) if key is not None else None
        if body is not None and logger.isEnabledFor(logging.DEBUG):  # in the main loop of the server
            logger.debug("cache hit tier=memory key=%s", key)
        return _answer(key, body, if_none_match) if key is not None and body is not None else None

    def _read(self, path: str, if_none_match: str | None) -> Answer | None:
        """Return the response for a path that is on the disk."""
        key = _key_of(path)
        if key is None or key.variant not in self._variants or not DIGEST.fullmatch(key.digest):  # no path into other folders
            return None
        body = self._cache.get_stored(key)
        return _answer(key, body, if_none_match) if body is not None else None


def _key_of(path: str) -> Key | None:
    variant, _, name = path[7:].partition("/")
    digest, _, suffix = name.partition(".")
    # A variant in a URL has no suffix of its own: `/cache/detail.jpg/….webp` is not the URL of the JPEG.
    return None if "." in variant else Key(NAMESPACE, variant if suffix == "webp" else f"{variant}.{suffix}", digest)


def _answer(key: Key, body: bytes, if_none_match: str | None) -> Answer:
    if if_none_match and matches(if_none_match, key.etag):
        return "304 NOT MODIFIED", validators(key), b""
    return "200 OK", entry_headers(key, len(body)), body


@media.get("/cache/<variant>/<name>.webp")
def cover(variant: str, name: str) -> Response:
    """Return a cover from the cache; on a miss with a placeholder, and enqueue a job in front of all others."""
    covers = services().covers
    if variant not in covers.variants or not DIGEST.fullmatch(name):
        abort(404)
    body = covers.get(name, variant)
    if body is not None:
        return entry_response(Key(NAMESPACE, variant, name), body)
    return _placeholder(name, variant)


@media.get("/cache/<variant>/<name>.jpg")
def cover_as_jpeg(variant: str, name: str) -> Response:
    """Return the same cover as JPEG, for browsers that cannot decode WebP; made on request from the stored WebP."""
    covers = services().covers
    if variant not in covers.variants or not DIGEST.fullmatch(name):
        abort(404)
    try:
        body = covers.get_jpeg(name, variant, wait_s=JPEG_WAIT_S)
        if body is not None:
            return entry_response(Key(NAMESPACE, f"{variant}.jpg", name), body)
    except (DecoderBusy, DecoderFailed, ImageRejected) as error:
        return placeholder_response(PLACEHOLDER_DIR, is_given_up=not error.retryable)
    return _placeholder(name, variant)


@media.get("/cache/placeholders/placeholder_<kind>.webp")
def drawn_placeholder(kind: str) -> Response:
    """Return the placeholder of a cover, for templates that have nothing else to show."""
    if not KIND.fullmatch(kind):
        raise NotFound
    answer = send_from_directory(PLACEHOLDER_DIR, f"placeholder_{kind}.webp", mimetype="image/webp", max_age=86400)
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


def _placeholder(digest: str, variant: str) -> Response:
    """Answer a miss: enqueue a job, and say whether a retry is worthwhile. It is if the database is in trouble.

    The placeholder of a size that is smaller than a stored one is that one.
    """
    try:
        state = services().covers.request(digest, variant).state
        if (body := services().covers.larger(digest, variant)) is not None:
            return stand_in_response(body)
    except UnknownImage:
        state = "failed"
    except DatabaseError as error:
        logger.warning("cover not queued reason=%s", error)
        state = "waiting"
    return placeholder_response(PLACEHOLDER_DIR, is_given_up=state == "failed")
