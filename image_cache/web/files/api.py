"""JSON API of large files: `/api/files...`, and the documented `/api/cache/invalidate` and `/api/cache/cleanup`."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import BadRequest

from image_cache.errors import UnknownFile
from image_cache.files.paths import DIGEST
from image_cache.units import counted
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action, log_limits, log_speed
from image_cache.web.context import services
from image_cache.web.files.view_models import as_json, file_stats, open_groups
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import read_body, read_text

file_api = declare_access(read=Role.OWNER, change=Role.OPERATOR)(Blueprint("file_api", __name__, url_prefix="/api"))

ACTIONS = ("pause", "resume", "cancel", "pin", "unpin")


@file_api.get("/files")
@limiter.limit("240 per minute")
def list_files() -> Response:
    """Return all files, those being fetched first, the registries being downloaded, and the figures of the cache.

    `grouped` are the digests of the files that the list shows as a part of their registry.
    """
    entries = services().files.entries()
    groups, hidden = open_groups(entries)
    return jsonify(
        files=[as_json(found) for found in entries],
        groups=[asdict(group) for group in groups],
        grouped=sorted(hidden),
        stats=file_stats(),
    )


@file_api.post("/files")
@limiter.limit("60 per minute")
def add() -> tuple[Response, int]:
    """Queue the file of `url`, or the one that the registries (or `registry`) call `name`.

    `sha256` is the expected checksum of a URL, `ttl_seconds` how long it is fresh, `pin` true to pin it.
    """
    body = read_body({"url", "name", "registry", "sha256", "ttl_seconds", "pin"})
    is_pinned = body.get("pin", False)
    if not isinstance(is_pinned, bool):
        raise BadRequest("pin must be true or false.")
    if "name" in body or "registry" in body:
        return _add_named(body, is_pinned=is_pinned)
    sha256 = read_text(body["sha256"], "sha256") if body.get("sha256") else ""
    ttl_s = _seconds(body.get("ttl_seconds"))
    digest = services().files.enqueue(read_text(body.get("url"), "url"), sha256=sha256, ttl_s=ttl_s, is_pinned=is_pinned)
    return jsonify(success=True, digest=digest), 202


def _add_named(body: dict[str, Any], *, is_pinned: bool) -> tuple[Response, int]:
    """Queue a file of a registry: its URL, mirrors and checksum are those of its line. Raises `UnknownFile`."""
    if body.keys() - {"name", "registry", "pin"}:
        raise BadRequest("With name, send only registry and pin: the registry has the URL and the checksum.")
    groups = services().files.groups
    registry = read_text(body["registry"], "registry") if "registry" in body else ""
    file = groups.registries.find(read_text(body.get("name"), "name"), registry)
    groups.enqueue([file], is_pinned=is_pinned)
    return jsonify(success=True, digest=file.remote().digest), 202


@file_api.get("/files/names")
@limiter.limit("60 per minute")
def names() -> Response:
    """Return the files of all registries by name, with their digest and state: absent, waiting, working, paused, failed or done."""
    found = [
        {
            "name": member.file.name,
            "registry": group.name,
            "sha256": member.file.sha256,
            "digest": member.file.remote().digest,
            "state": member.state,
        }
        for group in services().files.groups.all()
        for member in group.members
    ]
    return jsonify(names=found)


@file_api.get("/files/<digest>")
@limiter.limit("240 per minute")
def one(digest: str) -> Response:
    return jsonify(as_json(services().files.entry(digest), with_figures=True))


@file_api.delete("/files/<digest>")
def remove(digest: str) -> Response:
    """Remove one file and its partial download."""
    services().files.remove(digest)
    log_action("deletions", "removed 1 file")
    return jsonify(success=True)


@file_api.post("/files/<digest>/<action>")
@limiter.limit("120 per minute")
def act(digest: str, action: str) -> Response:
    """Pause, resume or cancel a fetch, pin or unpin a file."""
    files = services().files
    if not DIGEST.fullmatch(digest) or action not in ACTIONS:
        raise UnknownFile("Unknown action.")
    if action in ("pin", "unpin"):
        files.pin(digest, is_pinned=action == "pin")
        log_action("limits", f"{action}ned 1 file")
    else:
        {"pause": files.pause, "resume": files.resume, "cancel": files.cancel}[action](digest)
    return jsonify(success=True)


@file_api.post("/files/<digest>/ttl")
def change_ttl(digest: str) -> Response:
    """Change the TTL of one file; null: the default."""
    body = read_body({"ttl_seconds"})
    seconds = _seconds(body.get("ttl_seconds"))
    if not DIGEST.fullmatch(digest):
        raise UnknownFile("No such file.")
    services().files.change_ttl(digest, None if seconds is None else seconds / 3600)
    return jsonify(success=True)


@file_api.post("/files/bounds")
def change_bounds() -> Response:
    """Change the budget and the TTL of all files; a lower budget evicts at once."""
    body = read_body({"max_size_mb", "ttl_hours"})
    values = {name: _number(value, name) for name, value in body.items()}
    evicted = services().files.change_limits(**values)
    log_limits("Files", {name: f"{value:g}" for name, value in values.items()})
    return jsonify(success=True, evicted=evicted)


@file_api.post("/files/speed")
def change_speed() -> Response:
    """Limit the speed of all downloads to `mb_per_s` (null: no limit), but not in `full_hours`, such as 18:00-07:00."""
    body = read_body({"mb_per_s", "full_hours"})
    speed = body.get("mb_per_s")
    hours = read_text(body["full_hours"], "full_hours") if body.get("full_hours") else ""
    services().files.change_speed(None if speed is None else _number(speed, "mb_per_s"), hours)
    log_speed(speed, hours)
    return jsonify(success=True)


@file_api.post("/files/clear")
def clear() -> Response:
    """Remove all files; fetches under way continue."""
    read_body(())
    cleared = services().files.clear()
    log_action("limits", "cleared the file cache")
    return jsonify(success=True, cleared=cleared)


@file_api.post("/cache/invalidate")
def invalidate() -> Response:
    """Remove the file of `url`; `invalidated` is false if there was none."""
    url = read_text(read_body({"url"}).get("url"), "url")
    was_there = services().files.invalidate(url)
    if was_there:
        log_action("deletions", "removed 1 file")
    return jsonify(success=True, invalidated=was_there)


@file_api.post("/cache/cleanup")
@limiter.limit("10 per minute")
def cleanup() -> Response:
    """Remove the files past their TTL whose origins answer."""
    read_body(())
    removed = services().files.remove_expired()
    log_action("limits", "removed expired files", counted(removed, "file"))
    return jsonify(success=True, removed=removed)


def _seconds(value: Any) -> float | None:
    return None if value is None else _number(value, "ttl_seconds", 87_600 * 3600)


def _number(value: Any, name: str, limit: float = 1e9) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        raise BadRequest(f"{name} must be a number from 0 to {limit:.0f}.")
    return float(value)
