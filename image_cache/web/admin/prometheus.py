"""Figures of a vault as metric families of Prometheus, in its text format."""

import re
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from image_cache.engine.stats.history import written_bytes
from image_cache.maintenance.cache_figures import cache_figures
from image_cache.maintenance.readonly_vault import ReadonlyVault

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MAX_HOSTS = 50
# name, help, field of `CacheFigures`
STORES = (
    ("hits_total", "Requests served from the cache, by cache.", "hits"),
    ("misses_total", "Requests not in the cache, by cache.", "misses"),
    ("evictions_total", "Entries evicted, by cache.", "evictions"),
    ("errors_total", "Downloads and renders that failed, by cache.", "errors"),
    ("bytes", "Size on disk in bytes, by cache.", "size_bytes"),
    ("budget_bytes", "Configured maximum size in bytes, by cache.", "budget_bytes"),
    ("entries", "Entries on disk, by cache.", "entries"),
    ("queue_jobs", "Queued jobs, by cache.", "waiting"),
    ("running_jobs", "Running jobs, by cache.", "running"),
)
# The library writes 78 as 78.0 and a million as 1e+06. Our numbers stay whole: scripts read this page as well.
VALUE = re.compile(r"^([^#\n].* )([-+.0-9e]+)$", re.MULTILINE)


def exposition(vault: ReadonlyVault) -> str:
    """Return all figures in the text format 0.0.4."""
    text = generate_latest(VaultCollector(vault)).decode()
    return VALUE.sub(lambda sample: f"{sample[1]}{float(sample[2]):.15g}", text)


class VaultCollector:
    """Collects the figures for each scrape: they are counted elsewhere, so no metric object holds any."""

    def __init__(self, vault: ReadonlyVault) -> None:
        self._vault = vault

    def collect(self) -> Iterator[Metric]:
        """Yield the families. Raises `DatabaseError`."""
        yield from self._covers()
        yield from self._stores()
        yield from self._machine()
        yield from self._hosts()

    def _covers(self) -> Iterator[Metric]:
        stats = self._vault.stats()
        yield _counter("hits_total", "Cover requests served from the cache.", stats.hits)
        yield _counter("misses_total", "Cover requests not in the cache.", stats.misses)
        yield _counter("evictions_total", "Cache entries evicted.", stats.evictions)
        yield _counter("fetches_total", "Responses from origins.", stats.fetches)
        yield _counter("fetched_bytes_total", "Bytes received from origins.", stats.fetched_bytes)
        yield _counter("failures_total", "Fetches that returned no usable image.", stats.failures)
        yield _counter("renders_total", "Image variants rendered.", stats.renders)
        yield _gauge("cache_bytes", "Size of cached covers on disk in bytes.", stats.total_size_bytes)
        yield _gauge("cache_budget_bytes", "Configured maximum size of the cover cache in bytes.", stats.budget_bytes)
        yield _gauge("cache_entries", "Covers on disk, by variant.", stats.total_entries)
        yield _gauge("memory_bytes", "Size of the memory cache of the responding process in bytes.", stats.memory_used_bytes)
        yield _gauge("memory_budget_bytes", "Configured maximum size of the memory cache in bytes.", stats.memory_budget_bytes)
        yield _gauge("queue_jobs", "Queued covers.", stats.queued)
        yield _gauge("running_jobs", "Covers being fetched.", stats.running)
        is_paused = self._vault.limits().paused_at is not None
        yield _gauge("fetching_paused", "1 if fetching is paused.", is_paused)
        yield _gauge("disk_free_bytes", "Free disk space in bytes.", stats.disk_free_bytes)

    def _stores(self) -> Iterator[Metric]:
        """Yield the same figures of covers, streams and files, by the label `cache`."""
        caches = cache_figures(self._vault)
        for name, help, field in STORES:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(f"vinylvault_store_{name}", help, labels=("cache",))
            for cache in caches:
                family.add_metric((cache.name,), getattr(cache, field))
            yield family

    def _machine(self) -> Iterator[Metric]:
        free, total = self._vault.cache.disk.inodes()
        if total:
            yield _gauge("disk_free_inodes", "Free inodes.", free)
        yield _counter("written_bytes_total", "Bytes written to disk by the responding process.", written_bytes())

    def _hosts(self) -> Iterator[Metric]:
        hosts = self._vault.hosts(MAX_HOSTS)
        if hosts:
            fetches = CounterMetricFamily("vinylvault_host_fetches_total", "Responses by origin.", labels=("host",))
            failures = CounterMetricFamily("vinylvault_host_failures_total", "Failed fetches by origin.", labels=("host",))
            paused = GaugeMetricFamily("vinylvault_host_paused", "1 if requests to the origin are paused.", labels=("host",))
            for host in hosts:
                fetches.add_metric((host.lane,), host.fetches)
                failures.add_metric((host.lane,), host.failures)
                paused.add_metric((host.lane,), host.paused_until > 0)
            yield from (fetches, failures, paused)


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterMetricFamily(f"vinylvault_{name}", help, value=value)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vinylvault_{name}", help, value=value)
