"""`preload`: fetch missing covers, by the service when it runs, else by workers of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.covers import opened_cover_services
from image_cache.cli.maintenance.clear import ALL, cache_option
from image_cache.cli.params import urls
from image_cache.covers import WARM, ImageCache
from image_cache.covers.build import CoverServices
from image_cache.db.database import DatabaseError
from image_cache.engine.maintenance import rebuild_from_files
from image_cache.engine.pool import Pool
from image_cache.engine.queue_flow import queue_flow
from image_cache.errors import CacheError, QueueFull
from image_cache.maintenance.cache_figures import CACHES, COVERS, FILES, STREAMS
from image_cache.records.table import AlbumTable
from image_cache.units import counted

POLL_S = 0.5
BATCH = 500  # queued at a time: a full queue would delay covers that someone is looking at


@click.command("preload", cls=MaintenanceCommand)
@urls("of covers: only this URL; repeatable")
@cache_option("the cache to fill (default: covers)")
def preload(context: CommandContext, urls: tuple[str, ...], cache: str) -> int:
    """Download all missing covers, or only some, with a progress bar.

    If the service is running it downloads them, otherwise this command does. With --cache streams, this command renders the missing
    sizes of stream images; with --cache files it downloads the missing files of all registries. The exit status is 1 if some failed.
    """
    if urls and cache not in (COVERS, ALL):
        raise CacheError("--url names covers; leave out --cache")
    chosen = CACHES if cache == ALL else (cache,)
    fill = {COVERS: lambda: _covers(context, urls), STREAMS: lambda: _streams(context), FILES: lambda: _files(context)}
    return max(fill[name]() for name in chosen)


def _streams(context: CommandContext) -> int:
    from image_cache.cli.maintenance.preload_others import fill_streams  # opens all services

    return fill_streams(context)


def _files(context: CommandContext) -> int:
    from image_cache.cli.maintenance.preload_others import fill_files

    return fill_files(context)


def _covers(context: CommandContext, urls: tuple[str, ...]) -> int:
    out = context.out
    context.require("Cache", "Rights", "Disk")
    is_served = context.service.answers()
    wakeup = threading.Event()
    with opened_cover_services(context, wakeup.set) as parts, _workers(context, parts, wakeup, is_served=is_served):
        covers = parts.covers
        refused = covers.register_addresses(list(urls)) if urls else {}
        for url, why in refused.items():
            out.line(f"{url}: {why}")
        digests = [covers.digest_of(url) for url in urls if url not in refused]
        if not urls:
            _register_all(context, covers)
        try:
            done, total, failed = _watch(context, covers, digests)
        except KeyboardInterrupt:
            out.end_bar(is_done=False)
            out.line("Stopped. Queued covers stay queued; the service continues with them.")
            raise
    waiting = total - done - failed
    result = f"{counted(done, 'cover')} cached, {failed:,} failed"
    rest = f", {waiting:,} waiting for paused origins" if waiting else ""
    out.line(f"{result}{rest}.")
    out.json({"total": total, "done": done, "failed": failed, "waiting": waiting, "refused": refused})
    return 1 if failed or waiting or refused else 0


def _watch(context: CommandContext, covers: ImageCache, digests: list[str]) -> tuple[int, int, int]:
    """Keep the queue filled and draw the bar until no job can run; return (done, total, failed)."""
    while True:
        _enqueue(covers, digests)
        done, total, failed = _progress(covers, digests)
        context.out.bar(done + failed, total, f"{done:,} of {total:,}" + (f", {failed} failed" if failed else ""))
        is_moving = queue_flow(covers.jobs).is_moving
        if done + failed >= total or not is_moving:
            context.out.end_bar(is_done=done + failed >= total)
            return done, total, failed
        covers.wake()
        time.sleep(POLL_S)


def _enqueue(covers: ImageCache, digests: list[str]) -> None:
    try:
        if digests:
            covers.enqueue_digests(digests, WARM)
        elif covers.jobs.depth() < BATCH:
            covers.enqueue_digests(covers.registry.unfetched(covers.cache.namespace, covers.clock(), BATCH), WARM)
    except QueueFull:
        return  # those in the queue come first


def _progress(covers: ImageCache, digests: list[str]) -> tuple[int, int, int]:
    if not digests:
        total, done, failed = covers.registry.summary(covers.cache.namespace)
        return done, total, failed
    states = [cover.state for cover in covers.states(digests)]
    return states.count("ready"), len(states), states.count("failed")


def _register_all(context: CommandContext, covers: ImageCache) -> None:
    """Register the covers of the catalogue, as the service does; without it those that are registered are fetched."""
    try:
        covers.register(AlbumTable(context.vault.catalog).cover_urls())
    except DatabaseError:
        context.out.line("Cannot read the catalogue. Only covers that are already registered will be downloaded.")


@contextmanager
def _workers(context: CommandContext, parts: CoverServices, wakeup: threading.Event, *, is_served: bool) -> Iterator[None]:
    """Start workers when no service runs that would fetch."""
    if is_served:
        yield
        return
    covers = parts.covers
    if covers.cache.is_adopting:
        rebuild_from_files(covers.cache)
    covers.jobs.release_dead()
    pool = Pool(parts.loader.run_next, [], workers=context.settings.MAX_CONCURRENT_DOWNLOADS, wakeup=wakeup)
    pool.start()
    try:
        yield
    finally:
        parts.loader.stop()
        pool.close()
        covers.jobs.release_own()
