"""Cover cache over HTTP, for the scripts of the pages and for operators: `/api/cache/...`. Bodies are JSON objects."""

from contextlib import suppress

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import BadRequest

from image_cache.covers import NAMESPACE, PAGE, VISIBLE, WARM
from image_cache.covers.preload import preload
from image_cache.db.database import DatabaseError
from image_cache.engine.key import DIGEST
from image_cache.errors import UnknownImage
from image_cache.maintenance.cache_figures import cache_figures
from image_cache.maintenance.counters_since import counters_since, counters_today, today_dicts
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import may_operate, services
from image_cache.web.covers.view_models import outcome_words, progress_line
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import read_body, read_text, read_texts

api = declare_access(read=Role.VISITOR, change=Role.VISITOR)(Blueprint("api", __name__, url_prefix="/api"))

PRIORITIES = {"visible": VISIBLE, "page": PAGE, "warm": WARM}
STATES = ("ready", "working", "waiting", "failed", "none")


@api.get("/cache/stats")
@limiter.limit("120 per minute")
def cache_stats() -> Response:
    """Return the statistics of the cache. Operators also get paused hosts, streams and files, the biggest and the most requested."""
    stats = services().covers.get_cache_stats().to_dict()
    if may_operate():
        from image_cache.maintenance import top_entries  # imported with the first question of an operator

        vault = services().vault
        with suppress(DatabaseError):  # a broken catalogue takes its own figures away, not those of the covers
            caches = cache_figures(vault)
            stats["caches"] = {cache.name: cache.to_dict() for cache in caches}
            counted = counters_since(vault.catalog, caches)
            stats["since"] = counted.since or None
            stats["caches_since"] = {cache.name: cache.to_dict() for cache in counted.caches}
            stats["caches_today"] = today_dicts(counters_today(vault.catalog, caches, vault.clock()))
            stats["biggest"] = top_entries.top_dicts(top_entries.biggest(vault))
            stats["most_requested"] = top_entries.top_dicts(top_entries.most_requested(vault))
    else:
        stats.pop("paused_hosts")
    return jsonify(stats)


@api.post("/cache/clear")
@declare_access(change=Role.OPERATOR, asks_login=False, message="Only an operator can clear the cache.")
@limiter.limit("1 per 5 minutes")
def cache_clear() -> Response:
    """Clear all cached covers, or those of one `size_type`, or what one `page` holds in memory."""
    body, covers = read_body({"page", "size_type"}), services().covers
    if len(body) > 1:
        raise BadRequest("Send either page or size_type, not both.")
    if "page" in body:
        cleared = covers.clear_scope(read_text(body["page"], "page"))
    elif "size_type" in body:
        size_type = read_text(body["size_type"], "size_type")
        if size_type not in covers.variants:
            raise BadRequest(f"size_type must be one of {', '.join(covers.variants)}.")
        cleared = covers.clear(size_type)
    else:
        cleared = covers.clear()
    log_action("limits", "cleared the cover cache", str(body.get("size_type", "")) or ("the memory of a page" if body else ""))
    return jsonify(success=True, cleared=cleared, message=f"{cleared} cached images removed.")


@api.post("/cache/preload")
@limiter.limit("120 per minute")
def cache_preload() -> tuple[Response, int]:
    """Enqueue covers: `urls` holds URLs or digests, `priority` is visible, page or warm, `drop` names what scrolled out of view.

    Responds at once with 202, and with the digest of each accepted URL: its covers are `/cache/<variant>/<digest>.webp`.
    URLs that are not registered are refused one by one, except for operators.
    """
    body, covers = read_body({"urls", "priority", "drop"}), services().covers
    urls, drop = read_texts(body, "urls"), read_texts(body, "drop")
    priority = PRIORITIES.get(read_text(body.get("priority", "warm"), "priority"))
    if priority is None:
        raise BadRequest(f"priority must be one of {', '.join(PRIORITIES)}.")
    if not urls and not drop:
        raise BadRequest("urls is required and must be a list of URLs.")
    if drop:
        covers.demote(drop)
    found = preload(covers, urls, priority, may_register=may_operate())
    return jsonify(
        success=True,
        preloaded=len(found.digests),
        total=len(urls),
        results={url: found.is_accepted(url) for url in urls},
        digests=found.digests,
        refused=found.refused,
        job=found.job or None,
    ), 202


@api.get("/cache/jobs/<name>")
@limiter.limit("240 per minute")
def cache_job(name: str) -> Response:
    """Return the progress of a preload: {total, done, failed}."""
    found = services().covers.batch(name)
    if found is None:
        raise UnknownImage("No such preload job. Finished jobs are deleted after one day.")
    return jsonify(found)


@api.post("/cache/state")
@limiter.limit("240 per minute")
def cache_state() -> Response:
    """Return which of the `digests` (or `urls`) are ready, working, waiting, failed or unknown (`none`), and the progress."""
    body, covers = read_body({"digests", "urls"}), services().covers
    names = read_texts(body, "digests") or read_texts(body, "urls")
    digests = [name if DIGEST.fullmatch(name) else covers.digest_of(name) for name in names]
    found: dict[str, list[str]] = {state: [] for state in STATES}
    for name, cover in zip(names, covers.states(digests), strict=True):
        found[cover.state].append(name)
    progress = covers.progress()
    line = progress_line(progress)
    fields = ("done", "total", "failed", "eta_s", "is_paused", "state", "waiting", "waits_until")
    values = {name: getattr(progress, name) for name in fields} if progress else {}
    shown = {**values, "words": line.words, "left": line.left, "lamp": line.lamp} if line else None
    return jsonify({**found, "progress": shown, "outcome": outcome_words(*covers.registry.summary(NAMESPACE))})
