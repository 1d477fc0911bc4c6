"""`/metrics` for Prometheus, when the settings want it: this machine may ask, and whoever has the token."""

import hmac
import logging
from collections.abc import Iterator

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound, Unauthorized

from image_cache.engine.stats.history import hosts, written_bytes
from image_cache.web.access import Role, access
from image_cache.web.context import is_local_request, services
from image_cache.web.rate_limits import limiter

logger = logging.getLogger(__name__)

metrics = access(read=Role.METRICS_POLICY)(Blueprint("metrics", __name__))

MOST_HOSTS = 50
LEAST_TOKEN = 16  # letters; a shorter one is guessed
Metric = tuple[str, str, str, list[tuple[str, float]]]  # name, kind, help, (labels, value)


@metrics.get("/metrics")
@limiter.limit("120 per minute")
def scrape() -> Response:
    """Answer the figures in the text format. Without the setting there is no such page."""
    if not services().settings.METRICS:
        raise NotFound
    if not (is_local_request() or _has_token()):
        raise Unauthorized("Send the token of the metrics.")
    lines = [line for metric in _metrics() for line in _written(metric)]
    answer = Response("\n".join(lines) + "\n", mimetype="text/plain")
    answer.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _has_token() -> bool:
    path = services().settings.METRICS_TOKEN_FILE
    if path is None:
        return False
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        logger.warning("token of the metrics not readable path=%s reason=%s", path, error)
        return False
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return len(token) >= LEAST_TOKEN and kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _metrics() -> Iterator[Metric]:
    covers, limits = services().covers, services().limits()
    stats, counts = covers.get_cache_stats(), covers.cache.counts()
    disk = covers.cache.disk
    files_free, files = disk.inodes()

    def one(name: str, kind: str, words: str, value: float) -> Metric:
        return f"vinylvault_{name}", kind, words, [("", value)]

    yield one("hits_total", "counter", "Covers answered from the cache.", stats.hits)
    yield one("misses_total", "counter", "Covers that were not there.", stats.misses)
    yield one("evictions_total", "counter", "Entries removed for the budget.", stats.evictions)
    yield one("fetches_total", "counter", "Answers of origins.", stats.fetches)
    yield one("fetched_bytes_total", "counter", "Bytes that origins sent.", stats.fetched_bytes)
    yield one("failures_total", "counter", "Loads that brought no picture.", stats.failures)
    yield one("renders_total", "counter", "Variants rendered.", counts.get("renders", 0))
    yield one("cache_bytes", "gauge", "Bytes of the covers on disk.", stats.total_size_bytes)
    yield one("cache_budget_bytes", "gauge", "Most that they may be.", stats.budget_bytes)
    yield one("cache_entries", "gauge", "Covers on disk, by variant.", stats.total_entries)
    yield one("memory_bytes", "gauge", "Bytes in the memory tier of the process that answers.", stats.memory_used_bytes)
    yield one("memory_budget_bytes", "gauge", "Most that they may be.", stats.memory_budget_bytes)
    yield one("queue_jobs", "gauge", "Covers in line.", stats.queued)
    yield one("running_jobs", "gauge", "Covers on their way.", stats.running)
    yield one("fetching_paused", "gauge", "1 while an operator wants nothing fetched.", limits.paused_at is not None)
    yield one("disk_free_bytes", "gauge", "Bytes that may still be written.", stats.disk_free_bytes)
    if files:
        yield one("disk_free_inodes", "gauge", "Files that may still be made.", files_free)
    yield one("written_bytes_total", "counter", "Bytes that the process that answers caused to be written.", written_bytes())
    found = hosts(covers.cache.index.database, covers.clock(), MOST_HOSTS)
    yield _by_host("host_fetches_total", "counter", "Answers by origin.", [(host.lane, host.fetches) for host in found])
    yield _by_host("host_failures_total", "counter", "Failed fetches by origin.", [(host.lane, host.failures) for host in found])
    yield _by_host(
        "host_paused", "gauge", "1 while an origin is left alone.", [(host.lane, host.paused_until > 0) for host in found]
    )


def _by_host(name: str, kind: str, words: str, values: list[tuple[str, float]]) -> Metric:
    return f"vinylvault_{name}", kind, words, [(f'{{host="{_escaped(lane)}"}}', value) for lane, value in values]


def _written(metric: Metric) -> Iterator[str]:
    name, kind, words, values = metric
    if values:
        yield f"# HELP {name} {words}"
        yield f"# TYPE {name} {kind}"
        for labels, value in values:
            yield f"{name}{labels} {value:.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
