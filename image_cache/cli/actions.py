"""`preload`: fetch what is missing, with a progress bar. By the service when it runs, else by this process."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from image_cache.cli.context import CommandContext
from image_cache.covers import WARM, ImageCache
from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance as upkeep
from image_cache.engine.jobs import MAX_ASKED_PAUSE_S
from image_cache.engine.pool import Pool
from image_cache.errors import CacheError, QueueFull
from image_cache.maintenance.health import megabytes, things
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
            covers.enqueue_digests(wanted, WARM)
        elif covers.jobs.depth() < PORTION:
            covers.enqueue_digests(covers.registry.unfetched(covers.cache.namespace, covers.clock(), PORTION), WARM)
    except QueueFull:
        return  # those that wait come first


def _progress(covers: ImageCache, wanted: list[str]) -> tuple[int, int, int]:
    if not wanted:
        total, done, failed = covers.registry.summary(covers.cache.namespace)
        return done, total, failed
    states = [cover.state for cover in covers.states(wanted)]
    return states.count("ready"), len(states), states.count("failed")


def _register(scene: CommandContext, covers: ImageCache) -> None:
    """Register what the catalogue knows, as the service does; a catalogue that cannot be read costs only that."""
    try:
        covers.register_all(AlbumTable(scene.reading.catalog).cover_urls())
    except DatabaseError:
        scene.out.line("The catalogue cannot be read; only covers that were registered before are fetched.")


@contextmanager
def _workers(scene: CommandContext, covers: ImageCache, is_served: bool) -> Iterator[None]:
    """Start workers of our own when there is no service to do it."""
    if is_served:
        yield
        return
    if covers.cache.is_adopting:
        upkeep.rebuild_from_files(covers.cache)
    covers.jobs.release_dead()
    pool = Pool(covers.loader.run_next, [], workers=scene.settings.MAX_CONCURRENT_DOWNLOADS)
    covers.wake = pool.wake
    pool.start()
    try:
        yield
    finally:
        covers.loader.stop()
        pool.close()
        covers.jobs.release_own()


GROUND = ("Cache", "Rights", "Clock")  # a clock in another century would make everything look unused


def cleanup(scene: CommandContext) -> int:
    """Remove the pictures that nobody looked at for so many days."""
    scene.require(*GROUND)
    days = scene.wanted.cleanup_days
    with scene.covers() as covers:
        before = _totals(covers)
        removed = covers.cleanup_cache(days)
        return _told(scene, covers, removed, before, f"not looked at for {days:g} days")


def clear(scene: CommandContext) -> int:
    """Remove every cached picture. Each is fetched anew, from its own server, when somebody looks at it."""
    scene.require("Cache", "Rights")
    if scene.out.is_terminal and not scene.wanted.is_sure and not _confirmed(scene):
        scene.out.line("Nothing was removed.")
        return 2
    with scene.covers() as covers:
        before = _totals(covers)
        removed = covers.clear()
        return _told(scene, covers, removed, before, "all there were")


def _told(scene: CommandContext, covers: ImageCache, removed: int, before: tuple[int, int], why: str) -> int:
    entries, size = _totals(covers)
    freed = max(0, before[1] - size)
    scene.out.line(
        f"{things(removed, 'picture')} removed ({why}), {megabytes(freed)} freed; {entries:,} left, {megabytes(size)}."
    )
    scene.out.json({"removed": removed, "freed_bytes": freed, "left": entries, "left_bytes": size})
    return 0


def _totals(covers: ImageCache) -> tuple[int, int]:
    totals = covers.cache.index.totals(covers.cache.namespace)
    return totals.entries, totals.bytes


def _confirmed(scene: CommandContext) -> bool:
    known = scene.reading.index.totals(scene.reading.cache.namespace)
    scene.out.line(f"This removes {things(known.entries, 'picture')}; each is fetched again when somebody looks at it.")
    print("Remove them? (yes/no) ", end="", file=scene.out.stream, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


NAMED = 10


def backup(scene: CommandContext) -> int:
    """Write a backup; into a folder one with the date in its name, of which the last `--keep` stay. 1 when something was missing."""
    from image_cache.maintenance.backup.create import back_up
    from image_cache.maintenance.backup.rotate import back_up_into

    wanted = scene.wanted
    if wanted.file is None:
        raise CacheError("backup needs a file: cache_monitor.py --action backup --file /media/usb/vault.tar")
    with_secrets, with_cache = wanted.has_secrets, wanted.is_full
    if wanted.is_folder or wanted.file.is_dir():
        report = back_up_into(
            scene.settings, wanted.file, keep=wanted.keep, secrets=with_secrets, full=with_cache, progress=scene.progress
        )
    else:
        report = back_up(scene.settings, wanted.file, secrets=with_secrets, full=with_cache, progress=scene.progress)
    scene.out.end_bar()
    cache = f", {things(report.cache_files, 'file')} of the cache" if with_cache else ""
    scene.out.wrapped(
        "",
        f"{megabytes(report.size_bytes)} written to {report.path}: the catalogue, {things(report.originals, 'original')},"
        f" {things(report.state_files, 'other file')} of the state, what is known of {things(report.covers, 'cover')}{cache}.",
    )
    if report.left_out:
        scene.out.wrapped("", f"Left out, because --secrets was not said: {', '.join(report.left_out)}.")
    _notes(scene, report.missing, report.damaged, report.notes)
    scene.out.json(report.to_dict())
    return 1 if report.missing or report.damaged or report.notes else 0


def restore(scene: CommandContext) -> int:
    """Put a backup in place. 1 when it names originals that it does not hold."""
    from image_cache.maintenance.backup.restore import restore as put_back

    wanted = scene.wanted
    if wanted.file is None:
        raise CacheError("restore needs a file: cache_monitor.py --action restore --file /media/usb/vault.tar")
    report = put_back(scene.settings, wanted.file, force=wanted.is_forced, progress=scene.progress)
    scene.out.end_bar()
    scene.out.wrapped(
        "",
        f"Restored, as it was on {report.made_at}: {things(report.albums, 'record')}, {things(report.plays, 'play')},"
        f" {things(report.accounts, 'account')}, {things(report.streams, 'stream')},"
        f" {things(report.images, 'image')} with {things(report.originals, 'original')}. Everybody logs in again.",
    )
    if report.aside:
        scene.out.wrapped("", f"What was there before is kept in {report.aside}.")
    _notes(scene, report.missing, [], report.notes)
    scene.out.wrapped("", "Start the service: sudo systemctl start vinylvault. Covers come back by themselves.")
    scene.out.json(report.to_dict())
    return 1 if report.missing else 0


def _notes(scene: CommandContext, missing: list[str], damaged: list[str], notes: list[str]) -> None:
    for word, names in (("Missing", missing), ("Damaged", damaged)):
        if names:
            rest = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            scene.out.wrapped("", f"{word} originals: {', '.join(names[:NAMED])}{rest}.")
    for note in notes[:NAMED]:
        scene.out.wrapped("", note)
