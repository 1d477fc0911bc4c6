"""The three caches of a vault beside each other: what covers, stream images and files hold, and what waits for them."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from image_cache.frozen import frozen
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.units import counted, megabytes

COVERS, STREAMS, FILES = "covers", "streams", "files"
CACHES = (COVERS, STREAMS, FILES)
NOUNS = {COVERS: ("cached image", "cached images"), STREAMS: ("stream image", "stream images"), FILES: ("file", "files")}


@frozen
class CacheFigures:
    """One cache. Sizes and counts are of all processes, at most a minute old. `given_up` is not retried automatically.
    `errors`: downloads and renders that failed, retries included. `oldest_use_at`: when the least recently used entry was used (Unix seconds); None without entries.

    `entries` are rendered sizes of covers and stream images, or files. `waiting` stream images are those of the running service:
    elsewhere no one knows them, and there are none. `memory_bytes` is that of the responding process; None where there is no tier, and outside the service.
    """

    name: str
    root: Path
    entries: int
    size_bytes: int
    budget_bytes: int
    hits: int
    misses: int
    evictions: int
    errors: int = 0
    waiting: int = 0
    running: int = 0
    given_up: int = 0
    memory_bytes: int | None = None
    memory_budget_bytes: int | None = None
    oldest_use_at: float | None = None

    @property
    def hit_rate(self) -> float | None:
        """The share of requests that it answered, in per cent; None before the first one."""
        requests = self.hits + self.misses
        return 100 * self.hits / requests if requests else None

    def to_dict(self) -> dict[str, object]:
        """Return the figures for scripts, without the folder."""
        values = asdict(self)
        del values["root"]
        return {**values, "hit_rate": self.hit_rate}

    @property
    def holds(self) -> str:
        """What it holds in words: 76 stream images, 12 MB."""
        return f"{counted(self.entries, *NOUNS[self.name])}, {megabytes(self.size_bytes)}"


def cache_figures(vault: ReadonlyVault) -> tuple[CacheFigures, ...]:
    """Return the figures of covers, streams and files, in this order. Raises `DatabaseError`."""
    return _covers(vault), _streams(vault), _files(vault)


def _covers(vault: ReadonlyVault) -> CacheFigures:
    stats = vault.stats()
    return CacheFigures(
        name=COVERS,
        root=vault.cache.disk.root,
        entries=stats.total_entries,
        size_bytes=stats.total_size_bytes,
        budget_bytes=stats.budget_bytes,
        hits=stats.hits,
        misses=stats.misses,
        evictions=stats.evictions,
        errors=stats.failures,
        waiting=stats.queued,
        running=stats.running,
        given_up=vault.covers().given_up,
        # Outside the service this process has a memory tier of its own, which is empty.
        memory_bytes=stats.memory_used_bytes if vault.stream_cache else None,
        memory_budget_bytes=stats.memory_budget_bytes if vault.stream_cache else None,
        oldest_use_at=vault.index.oldest_use(vault.cache.namespace),
    )


def _streams(vault: ReadonlyVault) -> CacheFigures:
    counts: dict[str, int] = {}
    entries = size_bytes = 0
    oldest_use_at = None
    if vault.streams.database.path.exists():
        counts = vault.streams.counts() if vault.stream_cache is None else vault.stream_cache.counts()
        totals = vault.streams.totals(vault.stream_disk.namespace)
        entries, size_bytes = totals.entries, totals.bytes
        oldest_use_at = vault.streams.oldest_use(vault.stream_disk.namespace)
    renders = vault.waiting_renders()
    memory = None if vault.stream_cache is None else vault.stream_cache.memory.stats()
    return CacheFigures(
        name=STREAMS,
        root=vault.stream_disk.root,
        entries=entries,
        size_bytes=size_bytes,
        budget_bytes=vault.stream_budget_bytes,
        hits=counts.get("memory_hits", 0) + counts.get("disk_hits", 0),
        misses=counts.get("misses", 0),
        evictions=counts.get("evictions", 0),
        errors=counts.get("failures", 0),
        waiting=max(0, renders - 1),  # they are rendered one by one
        running=min(1, renders),
        memory_bytes=memory.used_bytes if memory else None,
        memory_budget_bytes=memory.budget_bytes if memory else None,
        oldest_use_at=oldest_use_at,
    )


def _files(vault: ReadonlyVault) -> CacheFigures:
    root = vault.settings.files_dir
    entries = size_bytes = 0
    counts: dict[str, int] = {}
    states: Counter[str] = Counter()
    oldest_use_at = None
    if (root / "files.db").exists():
        counts, states = vault.files.counts(), Counter(fetch.state for fetch in vault.files.fetches())
        entries, size_bytes = vault.files.totals()
        oldest_use_at = vault.files.oldest_use()
    return CacheFigures(
        name=FILES,
        root=root,
        entries=entries,
        size_bytes=size_bytes,
        budget_bytes=vault.file_limits().budget_bytes,
        hits=counts.get("hits", 0),
        misses=counts.get("misses", 0),
        evictions=counts.get("evictions", 0),
        errors=counts.get("failures", 0),
        waiting=states["waiting"] + states["paused"],
        running=states["working"],
        given_up=states["failed"],
        oldest_use_at=oldest_use_at,
    )
