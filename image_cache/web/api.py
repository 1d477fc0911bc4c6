"""The cache over HTTP, for the page's own script and for operators: `/api/cache/...`. Bodies are JSON objects."""

from collections.abc import Collection
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, Forbidden, RequestEntityTooLarge, UnsupportedMediaType

from image_cache.covers import PAGE, VISIBLE, WARM
from image_cache.engine.key import DIGEST
from image_cache.errors import UnknownImage
from image_cache.web.context import may_operate, services
from image_cache.web.limits import limiter

api = Blueprint("api", __name__, url_prefix="/api")

MOST_URLS = 500  # in one request; a preload of thousands comes in parts
LONGEST_TEXT = 2048
PRIORITIES = {"visible": VISIBLE, "page": PAGE, "warm": WARM}
STATES = ("ready", "working", "waiting", "failed", "none")


@api.get("/cache/stats")
@limiter.limit("120 per minute")
def cache_stats() -> Response:
    """Answer the numbers of the cache. Hosts in trouble are named to operators only."""
    stats = services().covers.get_cache_stats().to_dict()
    if not may_operate():
        stats.pop("paused_hosts")
    return jsonify(stats)


@api.post("/cache/clear")
@limiter.limit("1 per 5 minutes", exempt_when=lambda: not may_operate())  # a refused one must not keep the operator waiting
def cache_clear() -> Response:
    """Remove all cached pictures, or those of one `size_type`, or what one `page` holds in memory."""
    if not may_operate():
        raise Forbidden("Only an operator may clear the cache.")
    body, covers = _body({"page", "size_type"}), services().covers
    if len(body) > 1:
        raise BadRequest("Name a page or a size_type, not both.")
    if "page" in body:
        cleared = covers.cache.memory.clear_scope(_text(body["page"], "page"))
    elif "size_type" in body:
        size_type = _text(body["size_type"], "size_type")
        if size_type not in covers.variants:
            raise BadRequest(f"size_type is none of {', '.join(covers.variants)}.")
        cleared = covers.clear(size_type)
    else:
        cleared = covers.clear()
    return jsonify(success=True, cleared=cleared, message=f"{cleared} pictures removed.")


@api.post("/cache/preload")
@limiter.limit("120 per minute")
def cache_preload() -> tuple[Response, int]:
    """Queue covers: `urls` holds addresses or digests, `priority` is visible, page or warm, `drop` names what scrolled away.

    Answers at once with 202, and with the digest of each accepted address: its pictures are `/cache/<variant>/<digest>.webp`.
    Addresses that nobody registered are refused one by one, unless an operator asks.
    """
    body, covers = _body({"urls", "priority", "drop"}), services().covers
    urls, drop = _texts(body, "urls"), _texts(body, "drop")
    priority = PRIORITIES.get(_text(body.get("priority", "warm"), "priority"))
    if priority is None:
        raise BadRequest(f"priority is none of {', '.join(PRIORITIES)}.")
    if not urls and not drop:
        raise BadRequest("urls is missing: a list of addresses.")
    if drop:
        covers.demote([digest for digest in drop if DIGEST.fullmatch(digest)])
    digests = {url: url if DIGEST.fullmatch(url) else "" for url in urls}
    addresses = [url for url, digest in digests.items() if not digest]
    refused: dict[str, str] = {}
    if addresses and may_operate():
        refused = covers.register_addresses(addresses)
    digests.update((url, covers.names.of(url)[1]) for url in addresses if url not in refused)
    states = {cover.digest: cover.state for cover in covers.states([d for d in digests.values() if d])}
    results = {url: states.get(digest, "none") not in ("none", "failed") for url, digest in digests.items()}
    accepted = [digests[url] for url, is_accepted in results.items() if is_accepted]
    job = covers.preload_digests(accepted, priority) if accepted and priority == WARM else ""
    if accepted and not job:
        covers.want_digests(accepted, priority)
    for url, is_accepted in results.items():
        if not is_accepted:
            refused.setdefault(url, "given up for now" if states.get(digests[url]) == "failed" else "not a registered address")
    return jsonify(
        success=True,
        preloaded=len(accepted),
        total=len(urls),
        results=results,
        digests={url: digest for url, digest in digests.items() if results[url]},
        refused=refused,
        job=job or None,
    ), 202


@api.get("/cache/jobs/<name>")
@limiter.limit("240 per minute")
def cache_job(name: str) -> Response:
    """Answer how far a preload is: {total, done, failed}."""
    found = services().covers.batch(name)
    if found is None:
        raise UnknownImage("No preload has this name; they are forgotten after a day.")
    return jsonify(found)


@api.post("/cache/state")
@limiter.limit("240 per minute")
def cache_state() -> Response:
    """Answer which of the `digests` (or `urls`) are ready, working, waiting, failed or unknown (`none`), and how far the queue is."""
    body, covers = _body({"digests", "urls"}), services().covers
    names = _texts(body, "digests") or _texts(body, "urls")
    digests = [name if DIGEST.fullmatch(name) else covers.names.of(name)[1] for name in names]
    found: dict[str, list[str]] = {state: [] for state in STATES}
    for name, cover in zip(names, covers.states(digests), strict=True):
        found[cover.state].append(name)
    progress = covers.progress()
    queue = (
        None
        if progress is None
        else {"done": progress.done, "total": progress.total, "failed": progress.failed, "eta_s": progress.eta_s}
    )
    return jsonify({**found, "progress": queue})


def _body(known: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of the request; an empty body is an empty object. A name that is not known is a typing error."""
    data = request.get_data(cache=True)
    if not data:
        return {}
    if request.max_content_length and len(data) >= request.max_content_length:
        raise RequestEntityTooLarge("The body is too large.")  # one that came in chunks is cut there without a word
    if not request.is_json:
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
    try:
        body = request.get_json()
    except (BadRequest, RecursionError):
        raise BadRequest("That is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("Send a JSON object.")
    for name in body:
        if name not in known:
            raise BadRequest(f"“{name[:40]}” is not known here; there is {', '.join(sorted(known))}.")
    return body


def _texts(body: dict[str, Any], name: str) -> list[str]:
    values = body.get(name, [])
    if not isinstance(values, list):
        raise BadRequest(f"{name} is not a list.")
    if len(values) > MOST_URLS:
        raise RequestEntityTooLarge(f"{name} has {len(values)} entries, {MOST_URLS} at a time are allowed.")
    return list(dict.fromkeys(_text(value, name) for value in values))


def _text(value: object, name: str) -> str:
    # JSON may spell half of a surrogate pair, which is no character and has no bytes.
    is_text = isinstance(value, str) and value.encode(errors="replace").decode() == value
    if not is_text or not isinstance(value, str) or not 1 <= len(value) <= LONGEST_TEXT:
        raise BadRequest(f"{name} holds something that is no text of 1 to {LONGEST_TEXT} characters.")
    return value
