"""`preload`: fetch what is missing, with a progress bar. By the service when it runs, else by this process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from image_cache.cli.context import CommandContext
from image_cache.covers import WARM, ImageCache
from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance as upkeep
from image_cache.engine.jobs import MAX_ASKED_PAUSE_S
from image_cache.engine.pool import Pool
from image_cache.errors import QueueFull
from image_cache.maintenance.health import things
from image_cache.records.table import AlbumTable

LOOK_S = 0.5
PORTION = 500  # queued at a time, so that what somebody looks at meanwhile is not kept waiting by a full queue
MOVING = (
    "SELECT count(*) FROM jobs WHERE leased_until > ? OR (ready_at <= ? AND lane NOT IN"
    " (SELECT lane FROM lanes WHERE paused_until > ? AND paused_until <= ?))"
)


def preload(scene: CommandContext) -> int:
    """Queue and watch until nothing moves any more. Exit status 1 when something could not be had."""
    scene.require("Cache", "Rights", "Disk")
    is_served = scene.service.answers()
    with scene.covers() as covers, _workers(scene, covers, is_served):
        refused = covers.register_addresses(list(scene.wanted.urls)) if scene.wanted.urls else {}
        for url, why in refused.items():
            scene.out.line(f"{url}: {why}")
        wanted = [covers.names.of(url)[1] for url in scene.wanted.urls if url not in refused]
        if not scene.wanted.urls:
            _register(scene, covers)
        try:
            done, total, failed = _watch(scene, covers, wanted)
        except KeyboardInterrupt:
            scene.out.end_bar(is_done=False)
            scene.out.line("What is queued stays queued; the service goes on with it.")
            raise
    rest = total - done - failed
    said = f"{things(done, 'cover')} here, {failed:,} could not be had"
    waits = f", {rest:,} wait for hosts that are paused or failed a moment ago" if rest else ""
    scene.out.line(f"{said}{waits}.")
    scene.out.json({"total": total, "done": done, "failed": failed, "waiting": rest, "refused": refused})
    return 1 if failed or rest or refused else 0


def _watch(scene: CommandContext, covers: ImageCache, wanted: list[str]) -> tuple[int, int, int]:
    """Keep the queue filled and draw the bar until no job can run; returns (here, all, could not be had)."""
    while True:
        _queue(covers, wanted)
        done, total, failed = _progress(covers, wanted)
        scene.out.bar(done + failed, total, f"{done:,} of {total:,}" + (f", {failed} failed" if failed else ""))
        now = covers.clock()
        row = covers.jobs.database.row(MOVING, (now, now, now, now + MAX_ASKED_PAUSE_S))
        if done + failed >= total or row is None or not row[0]:
            scene.out.end_bar(is_done=done + failed >= total)
            return done, total, failed
        covers.wake()
        time.sleep(LOOK_S)


def _queue(covers: ImageCache, wanted: list[str]) -> None:
    try:
        if wanted:
            covers.want_digests(wanted, WARM)
        elif covers.jobs.depth() < PORTION:
            covers.want_digests(covers.register.unfetched(covers.cache.namespace, covers.clock(), PORTION), WARM)
    except QueueFull:
        return  # those that wait come first


def _progress(covers: ImageCache, wanted: list[str]) -> tuple[int, int, int]:
    if not wanted:
        total, done, failed = covers.register.summary(covers.cache.namespace)
        return done, total, failed
    states = [cover.state for cover in covers.states(wanted)]
    return states.count("ready"), len(states), states.count("failed")


def _register(scene: CommandContext, covers: ImageCache) -> None:
    """Register what the catalogue knows, as the service does; a catalogue that cannot be read costs only that."""
    try:
        covers.remember_all(AlbumTable(scene.reading.catalog).cover_urls())
    except DatabaseError:
        scene.out.line("The catalogue cannot be read; only covers that were registered before are fetched.")


@contextmanager
def _workers(scene: CommandContext, covers: ImageCache, is_served: bool) -> Iterator[None]:
    """Start workers of our own when there is no service to do it."""
    if is_served:
        yield
        return
    if covers.cache.is_adopting:
        upkeep.adopt(covers.cache)
    covers.jobs.release_dead()
    pool = Pool(covers.loader.run_next, [], workers=scene.settings.MAX_CONCURRENT_DOWNLOADS)
    covers.wake = pool.wake
    pool.start()
    try:
        yield
    finally:
        covers.loader.is_stopping = True
        pool.close()
        covers.jobs.release_own()
