"""Is all well? `/health`, for people and for monitors."""

import logging
import os

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from image_cache.database import DatabaseError
from image_cache.web.context import services
from image_cache.web.limits import limiter

logger = logging.getLogger(__name__)

ops = Blueprint("ops", __name__)

Check = tuple[str, str, str]  # what, a lamp's state (well, working, warning, waiting, failed), one sentence


@ops.get("/health")
@limiter.exempt
def health() -> Response:
    """Answer 200 while pages and pictures can be served, 503 when not; as a page or as JSON."""
    checks = all_checks()
    worst = "failed" if any(c[1] == "failed" for c in checks) else "warning" if any(c[1] == "warning" for c in checks) else "well"
    status = {"well": "healthy", "warning": "degraded", "failed": "unhealthy"}[worst]
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        verdict = {
            "well": "All is well.",
            "warning": "It works, with one thing to look at.",
            "failed": "Something needs a hand.",
        }[worst]
        answer = make_response(render_template("health.html", checks=checks, verdict=verdict))
    else:
        answer = jsonify(status=status, checks={name: {"state": state, "message": text} for name, state, text in checks})
    answer.status_code = 503 if worst == "failed" else 200
    answer.headers["Cache-Control"] = "no-store"
    return answer


def all_checks() -> list[Check]:
    """Look at everything that pages and pictures need."""
    return [_catalog(), _index(), _space(), _rights(), _queue(), _origins(), _originals()]


def _catalog() -> Check:
    try:
        return "Catalogue", "well", f"{services().library.count():,} records."
    except DatabaseError as error:
        logger.warning("catalogue not readable reason=%s", error)
        return "Catalogue", "failed", "It cannot be read. The log says why."


def _index() -> Check:
    covers = services().covers
    try:
        stats = covers.get_cache_stats()
    except DatabaseError as error:
        logger.warning("index not readable reason=%s", error)
        return "Cache", "warning", "The index cannot be read; pictures are served from their files. The log says why."
    if covers.cache.is_adopting:
        return "Cache", "working", "The index is being rebuilt from the files."
    rate = "nothing was asked for yet" if stats.hit_rate is None else f"{stats.hit_rate:.0f} % of requests answered from it"
    used = f"{stats.total_size_bytes / 1e6:,.0f} of {stats.budget_bytes / 1e6:,.0f} MB"
    return "Cache", "well", f"{stats.total_entries:,} pictures, {used}; {rate}."


def _space() -> Check:
    disk = services().covers.cache.disk
    free, floor = disk.free_bytes(), disk.floor_bytes
    if free < floor:
        return "Disk", "warning", f"{free / 1e6:,.0f} MB free. Nothing new is stored until {floor / 1e6:,.0f} MB are."
    return "Disk", "well", f"{free / 1e9:,.1f} GB free."


def _rights() -> Check:
    settings = services().settings
    folders = {"state": settings.state_dir, "cache": settings.cache_dir, "covers": settings.covers_dir}
    closed = [name for name, path in folders.items() if not os.access(path, os.R_OK | os.W_OK | os.X_OK)]
    if closed:  # their names are in the settings; where they are is nobody's business on a page that is open to all
        return "Rights", "failed", f"These folders cannot be written: {', '.join(closed)}."
    return "Rights", "well", "All folders can be read and written."


def _queue() -> Check:
    try:
        waiting = services().covers.jobs.depth()
    except DatabaseError:
        return "Queue", "warning", "It cannot be read."
    errors = services().pool.errors
    if errors:
        return "Queue", "warning", f"{waiting:,} covers in line; {errors} unexpected errors since the start, see the log."
    return "Queue", "working" if waiting else "well", f"{waiting:,} covers in line." if waiting else "Nothing in line."


def _origins() -> Check:
    try:
        paused = services().covers.jobs.paused_lanes()
    except DatabaseError:
        return "Origins", "warning", "Unknown."
    if paused:
        return "Origins", "waiting", f"{len(paused)} paused after failures; tried again by themselves."
    return "Origins", "well", "No origin is in trouble."


def _originals() -> Check:
    pictures = services().streams.pictures
    if not pictures.is_remote:
        return "Originals", "well", "They lie on this machine."
    if pictures.is_away():
        return "Originals", "warning", "Their storage does not answer. What is cached is shown, uploads are refused."
    return "Originals", "well", "Their storage answers."
