"""`/admin/cache`: the dashboard of operators, and their controls of the cache."""

from collections.abc import Mapping

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from image_cache.engine import maintenance
from image_cache.errors import ConfigError, QueueFull
from image_cache.maintenance.cache_figures import COVERS, STREAMS
from image_cache.maintenance.counters_since import counters_since, reset_counters
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action, log_limits
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter

HERE = "/admin/cache"

dashboard = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login=HERE)(
    Blueprint("dashboard", __name__, url_prefix=HERE)
)

FIELDS = ("max_size_mb", "memory_mb", "ttl_hours")
DEFAULT_DAYS, MIN_DAYS, MAX_DAYS = 30.0, 1.0, 36_500.0  # unused for so long


@dashboard.get("")
def page() -> AnyResponse:
    return _page()


@dashboard.post("/pause")
def pause() -> AnyResponse:
    """Pause fetching in the background, in all processes and over restarts."""
    services().limits.pause()
    log_action("limits", "paused fetching")
    return redirect(HERE, 303)


@dashboard.post("/resume")
def resume() -> AnyResponse:
    services().resume_fetching()
    log_action("limits", "resumed fetching")
    return redirect(HERE, 303)


@dashboard.post("/preload")
@limiter.limit("30 per minute")
def preload() -> AnyResponse:
    """Enqueue every cover that was never fetched, or with `cache=streams` every stream image that is not rendered."""
    try:
        if _cache(request.form) == STREAMS:
            services().streams.images.start_refill()
        else:
            services().covers.preload_missing()
    except QueueFull as error:
        return _page(503, preload_error=f"{error}.")
    return redirect(HERE, 303)


@dashboard.post("/limits")
def change_limits() -> AnyResponse:
    """Change budgets and freshness; a lower budget evicts at once."""
    given = {name: request.form.get(name, "").strip()[:20] for name in FIELDS}
    try:
        services().change_limits(**{name: float(text) for name, text in given.items() if text})
        log_limits("Covers", given)
    except ValueError:
        return _page(400, **given, limits_error="Enter a number, for example 500.")
    except ConfigError as error:
        return _page(400, **given, limits_error=f"{error}.")
    return redirect(HERE, 303)


@dashboard.get("/cleanup")
def cleanup_page() -> AnyResponse:
    """Show what would be removed."""
    text = request.args.get("days", "").strip()[:20]
    days = _days(text) if text else DEFAULT_DAYS
    if days is None:
        return _page(400, days=text, cleanup_error="Enter a number of days from 1 to 36,500.")
    return Response(render_template("admin/cleanup.html", days=f"{days:g}", unused=services().vault.unused(days)))


@dashboard.post("/cleanup")
def cleanup() -> AnyResponse:
    """Remove the covers that were not looked at for so many days."""
    days = _days(request.form.get("days", ""))
    if days is None:
        return _page(400, days=request.form.get("days", "")[:20], cleanup_error="Enter a number of days from 1 to 36,500.")
    services().covers.cleanup_cache(days)
    log_action("limits", "removed unused covers", f"unused for {days:g} days")
    return redirect(HERE, 303)


@dashboard.get("/reset")
def reset_page() -> str:
    """Ask before the counters begin again."""
    return render_template("admin/reset.html", since=counters_since(services().catalog, ()).since)


@dashboard.post("/reset")
def reset() -> AnyResponse:
    """Count hits, misses and evictions from now on; the history keeps what was."""
    caches = services().figures()
    rates = [f"{cache.name} {cache.hit_rate:.1f}% hits" for cache in caches if cache.hit_rate is not None]
    reset_counters(services().catalog, caches, services().vault.clock())
    log_action("limits", "reset the counters", ", ".join(rates))
    return redirect(HERE, 303)


@dashboard.get("/clear")
def clear_page() -> str:
    """Show what would be removed, of the covers or with `cache=streams` of the rendered stream images."""
    vault, cache = services().vault, _cache(request.args)
    totals = vault.totals() if cache == COVERS else vault.streams.totals(vault.stream_disk.namespace)
    return render_template("admin/clear.html", totals=totals, cache=cache)


@dashboard.post("/clear")
@limiter.limit("30 per minute")
def clear() -> AnyResponse:
    if _cache(request.form) == STREAMS:
        maintenance.clear(services().streams.cache.engine)
        log_action("limits", "cleared the cache of stream images")
    else:
        services().covers.clear()
        log_action("limits", "cleared the cover cache")
    return redirect(HERE, 303)


def _page(status: int = 200, **typed: str) -> AnyResponse:
    from image_cache.web.admin.dashboard_view import dashboard_values  # with the charts, which only operators look at
    from image_cache.web.admin.history_charts import SPANS

    span = SPANS.get(request.args.get("span", ""), SPANS["day"])
    answer = Response(render_template("admin/dashboard.html", **dashboard_values(services(), span), typed=typed), status)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _cache(values: Mapping[str, str]) -> str:
    """Return the cache that a form or a link means, covers without any. Raises `BadRequest`."""
    cache = values.get("cache", COVERS)
    if cache not in (COVERS, STREAMS):
        raise BadRequest(f"cache must be {COVERS} or {STREAMS}.")
    return cache


def _days(text: str) -> float | None:
    try:
        days = float(text)
    except ValueError:
        return None
    return days if MIN_DAYS <= days <= MAX_DAYS else None
