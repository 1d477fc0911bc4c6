"""Files over HTTP: `/api/files...`, and the documented `/api/cache/invalidate` and `/api/cache/cleanup`. Bodies are JSON objects."""

from typing import Any

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import BadRequest

from image_cache.errors import UnknownFile
from image_cache.files.listing import entries, entry
from image_cache.files.paths import DIGEST
from image_cache.web.access import Role, access
from image_cache.web.context import services
from image_cache.web.files.view_models import as_json, file_stats
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import read_body, read_text

file_api = access(read=Role.OWNER, change=Role.OPERATOR)(Blueprint("file_api", __name__, url_prefix="/api"))

ACTIONS = ("pause", "resume", "cancel")


@file_api.get("/files")
@limiter.limit("240 per minute")
def list_files() -> Response:
    """Answer all files, those on their way first, and the figures of the cache."""
    return jsonify(files=[as_json(found) for found in entries(services().files.cache)], stats=file_stats())


@file_api.post("/files")
@limiter.limit("60 per minute")
def add() -> tuple[Response, int]:
    """Queue the file of `url`; `sha256` is what it must be, `ttl_seconds` how long it is fresh."""
    body = read_body({"url", "sha256", "ttl_seconds"})
    sha256 = read_text(body["sha256"], "sha256") if body.get("sha256") else ""
    ttl_s = _seconds(body.get("ttl_seconds"))
    digest = services().files.background.enqueue(read_text(body.get("url"), "url"), sha256=sha256, ttl_s=ttl_s)
    services().files.wake()
    return jsonify(success=True, digest=digest), 202


@file_api.get("/files/<digest>")
@limiter.limit("240 per minute")
def one(digest: str) -> Response:
    found = entry(services().files.cache, digest) if DIGEST.fullmatch(digest) else None
    if found is None:
        raise UnknownFile("No file of this name is kept or on its way.")
    return jsonify(as_json(found))


@file_api.delete("/files/<digest>")
def remove(digest: str) -> Response:
    """Remove one file, and what came of it so far."""
    if not DIGEST.fullmatch(digest) or not services().files.cache.remove(digest):
        raise UnknownFile("No file of this name is kept.")
    return jsonify(success=True)


@file_api.post("/files/<digest>/<action>")
@limiter.limit("120 per minute")
def act(digest: str, action: str) -> Response:
    """Pause, resume or cancel a fetch."""
    work = services().files.background
    if not DIGEST.fullmatch(digest) or action not in ACTIONS:
        raise UnknownFile("There is no such thing to do with a file.")
    {"pause": work.pause, "resume": work.enqueue_again, "cancel": work.cancel}[action](digest)
    if action == "resume":
        services().files.wake()
    return jsonify(success=True)


@file_api.post("/files/<digest>/ttl")
def change_ttl(digest: str) -> Response:
    """Change how long one file is fresh; null: as all of them."""
    body = read_body({"ttl_seconds"})
    seconds = _seconds(body.get("ttl_seconds"))
    if not DIGEST.fullmatch(digest):
        raise UnknownFile("No file of this name is kept.")
    services().files.change_ttl(digest, None if seconds is None else seconds / 3600)
    return jsonify(success=True)


@file_api.post("/files/bounds")
def change_bounds() -> Response:
    """Change the budget and the TTL of all files; a lower budget evicts at once."""
    body = read_body({"max_size_mb", "ttl_hours"})
    values = {name: _number(value, name) for name, value in body.items()}
    evicted = services().files.change_bounds(**values)
    return jsonify(success=True, evicted=evicted)


@file_api.post("/files/clear")
def clear() -> Response:
    """Remove all files; what is on its way goes on."""
    read_body(())
    return jsonify(success=True, cleared=services().files.cache.clear())


@file_api.post("/cache/invalidate")
def invalidate() -> Response:
    """Remove the file of `url`. False when there was none."""
    url = read_text(read_body({"url"}).get("url"), "url")
    return jsonify(success=True, invalidated=services().files.cache.invalidate(url))


@file_api.post("/cache/cleanup")
@limiter.limit("10 per minute")
def cleanup() -> Response:
    """Remove the files past their time, as far as their origins answer."""
    read_body(())
    return jsonify(success=True, removed=services().files.remove_expired())


def _seconds(value: Any) -> float | None:
    return None if value is None else _number(value, "ttl_seconds", 87_600 * 3600)


def _number(value: Any, name: str, most: float = 1e9) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadRequest(f"{name} is not a number from 0 to {most:.0f}.")
    return float(value)
