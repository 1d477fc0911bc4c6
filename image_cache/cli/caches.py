"""Changes of one of the three caches by its name, beside a service that may run."""

from collections.abc import Iterator
from contextlib import contextmanager

from image_cache.cli.context import CommandContext
from image_cache.cli.covers import opened_covers
from image_cache.db.open_catalog import open_catalog
from image_cache.engine import maintenance
from image_cache.engine.cache import Cache
from image_cache.engine.stats.history import DAY_S
from image_cache.files.build import FileServices
from image_cache.maintenance.cache_figures import COVERS, STREAMS
from image_cache.streams import StreamImageCache
from image_cache.vault_lock import VaultLock


def empty(context: CommandContext, name: str) -> int:
    """Remove everything that a cache holds; return how many entries. Raises `Busy` while the vault is being restored."""
    if name == COVERS:
        with opened_covers(context) as covers:
            return covers.clear()
    if name == STREAMS:
        with _opened_streams(context) as streams:
            return maintenance.clear(streams) if streams is not None else 0
    with _opened_files(context) as files:
        return files.clear() if files.exists() else 0


def clean(context: CommandContext, name: str, days: float) -> int:
    """Remove images that were not viewed for so many days, or files past their TTL. Return how many."""
    if name == COVERS:
        with opened_covers(context) as covers:
            return covers.cleanup_cache(days)
    if name == STREAMS:
        with _opened_streams(context) as streams:
            return streams.evict(unused_since=context.clock() - days * DAY_S) if streams is not None else 0
    with _opened_files(context) as files:
        return files.remove_expired() if files.exists() else 0


@contextmanager
def _opened_streams(context: CommandContext) -> Iterator[Cache | None]:
    """Open the rendered stream images; None if there never were any."""
    folder = context.settings.stream_cache_dir
    if not folder.is_dir():
        yield None
        return
    lock = VaultLock.enter(context.settings.state_dir)
    try:
        cache = StreamImageCache(folder, 1, settings=context.settings, clock=context.clock)
        cache.repair()
        try:
            yield cache.engine
        finally:
            cache.close()
    finally:
        lock.close()


@contextmanager
def _opened_files(context: CommandContext) -> Iterator[FileServices]:
    lock = VaultLock.enter(context.settings.state_dir)
    catalog = open_catalog(context.settings, is_reader=True)
    files = FileServices(context.settings, catalog, context.clock)
    try:
        yield files
    finally:
        files.close()
        catalog.close()
        lock.close()
