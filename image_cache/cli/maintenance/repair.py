"""`repair` (`--action doctor`): repair what can be repaired without losing anything, say what was done, and check again.

It may make missing cache folders, close folders to other users, give files back to their owner (as root), set a broken index aside
and rebuild it from the files, release jobs of processes that ended, remove links and leftovers, drop truncated images so that they
are made again, and save a catalogue whose records can all still be read. It never removes a catalogue or an original.
"""

import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.covers import opened_covers
from image_cache.covers import WARM, ImageCache
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Database, DatabaseError
from image_cache.db.diagnosis import kind_of, salvage
from image_cache.db.integrity import page_fault
from image_cache.db.open_catalog import open_catalog
from image_cache.engine.index import Index
from image_cache.engine.inspection import inspect_disk
from image_cache.engine.key import key_of_path
from image_cache.engine.maintenance import rebuild_from_files, sweep
from image_cache.errors import CacheError, QueueFull, StorageError
from image_cache.files.disk.index import FileIndex
from image_cache.filesystem import make_folder
from image_cache.maintenance.health.data import OURS
from image_cache.maintenance.health.examine import examine
from image_cache.records.table import AlbumTable
from image_cache.units import counted

UNTOUCHABLE = ("newer", "locked", "closed", "read-only", "full")
ALL_EXAMPLES = 1_000_000


@click.command("repair", cls=MaintenanceCommand, has_ownership_repair=True)
def repair(context: CommandContext) -> int:
    """Repair everything that can be repaired without losing data, then check again.

    It never deletes a catalogue or an original image. The exit status is that of `health` afterwards.
    """
    before = {check.name: check for check in examine(context.vault)}
    context.vault.close()
    done: list[str] = []
    if context.settings.state_dir.is_dir():  # else there is no vault, or its disk is not mounted
        kind = _kind(Index(context.settings.index_path, is_reader=True).database)
        is_usable = kind not in UNTOUCHABLE  # opened for a change, such an index would be set aside, or time out
        if not is_usable:
            done.append(f"Skipped the cache: its index is {kind}.")
        for name, step in STEPS.items():
            if name in OF_THE_CACHE and not is_usable:
                continue
            if name == "" or before[name].state in ("warning", "failed"):
                try:
                    done += step(context)
                except (CacheError, DatabaseError, OSError) as error:
                    done.append(f"Could not repair {name or 'leftover files'}: {error}.")
    context.reopen()
    if done:
        log_action(context, "limits", "ran a repair", " ".join(done))
    for sentence in done or ["Nothing to repair."]:
        context.out.wrapped("", sentence)
    context.out.line()
    return context.print_checks(context.checks(is_deep=True), repaired=done)


def _rights(context: CommandContext) -> list[str]:
    settings, done = context.settings, []
    for folder in (settings.cache_dir, settings.covers_dir):
        if not folder.exists():
            make_folder(folder)
            done.append(f"Created the missing folder {folder}.")
    for path in (settings.state_dir, settings.secret_key_path):
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            path.chmod(mode & 0o700)
            done.append(f"Removed access for other users from {path}.")
    return done


def _index(context: CommandContext) -> list[str]:
    done = _set_aside(Index(context.settings.index_path).database, context.settings.index_path, context)
    with opened_covers(context) as covers:
        if not covers.cache.is_adopting:
            return done
        adopted = rebuild_from_files(covers.cache)
        registered = _register(context, covers)
    return [*done, f"Rebuilt the index: {counted(adopted, 'image')} found, {counted(registered, 'cover')} registered."]


def _files(context: CommandContext) -> list[str]:
    path = context.settings.files_dir / "files.db"
    done = _set_aside(FileIndex(path).db, path, context)
    return [*done, "The service rebuilds it within a minute after starting."] if done else []


def _pictures(context: CommandContext) -> list[str]:
    done = []
    with opened_covers(context) as covers:
        cache = covers.cache
        found = inspect_disk(
            cache.disk, cache.index, OURS, now=context.clock(), timeout_s=float("inf"), max_examples=ALL_EXAMPLES
        ).examples
        for path in found.get("link", []):
            (cache.disk.root / path).unlink(missing_ok=True)
        if links := len(found.get("link", [])):
            done.append(f"Removed {counted(links, 'symbolic link')}; the targets were not touched.")
        parts = [path.split("/") for kind in ("torn", "lost") for path in found.get(kind, [])]
        wrong = [key for folder, _, name in parts if (key := key_of_path(cache.namespace, folder, name))]
        if wrong:
            cache.delete(wrong)
            queued = _queue(covers, [key.digest for key in wrong])
            done.append(
                f"Removed {counted(len(wrong), 'truncated or missing image')} from the index; queued {counted(queued, 'cover')} for download."
            )
    return done


def _release_jobs(context: CommandContext) -> list[str]:
    with opened_covers(context) as covers:
        freed = covers.jobs.release_dead() + covers.jobs.fix_clock_skew()
    return [f"Released {counted(freed, 'job')} of processes that died."] if freed else []


def _catalog(context: CommandContext) -> list[str]:
    """Copy a damaged catalogue into a new one if every row can be read; put it in place if no service uses the old one."""
    path = context.settings.catalog_path
    if _kind(CatalogDatabase(path, is_reader=True)) != "broken":
        return []
    copy = path.with_name(f"catalog.saved-{int(time.time())}.db")
    try:
        count = salvage(path, copy)
    except DatabaseError as error:
        return [f"The catalogue is corrupt and its records cannot be read ({error}). Restore a backup. It was not changed."]
    if context.service.answers():
        return [f"Recovered all {counted(count, 'record')} to {copy}. Stop the service and run this again to use them."]
    CatalogDatabase(path).set_aside()
    copy.rename(path)
    return [f"The catalogue was corrupt. Recovered all {counted(count, 'record')}. The old file is {path}.broken."]


def _sweep(context: CommandContext) -> list[str]:
    with opened_covers(context) as covers:
        swept = sweep(covers.cache)
    parts = (
        (swept.orphans, "file missing from the index", "files missing from the index"),
        (swept.temporaries, "leftover", "leftovers"),
        (swept.lost, "index entry without a file", "index entries without a file"),
    )
    swept_text = ", ".join(counted(count, one, many) for count, one, many in parts if count)
    return [f"Cleaned up: {swept_text}."] if swept_text else []


# The check whose failure makes a step necessary, "" for always. In this order: later steps need what earlier ones repair.
STEPS: dict[str, Callable[[CommandContext], list[str]]] = {
    "Rights": _rights,
    "Catalogue": _catalog,
    "Cache": _index,
    "Files": _files,
    "Queue": _release_jobs,
    "Covers": _pictures,
    "": _sweep,
}
OF_THE_CACHE = ("Cache", "Queue", "Covers", "")


def _set_aside(database: Database, path: Path, context: CommandContext) -> list[str]:
    """Set a disposable database aside when it is damaged, and only then."""
    reader = Index(path, is_reader=True).database if path.name == "index.db" else FileIndex(path, is_reader=True).db
    kind = _kind(reader)
    if kind in UNTOUCHABLE:
        raise StorageError(str(path), f"it is {kind}; a repair would make things worse")
    if kind != "broken":
        return []
    database.set_aside()
    return [f"{path} was corrupt and was moved to {path.name}.broken."]


def _kind(database: Database) -> str:
    """Return what is wrong with a database, read page by page; "" when nothing is."""
    try:
        return "broken" if page_fault(database) else ""
    except DatabaseError as error:
        return kind_of(error)
    finally:
        database.close()


def _register(context: CommandContext, covers: ImageCache) -> int:
    def cover_urls() -> Iterator[str]:
        catalog = open_catalog(context.settings, is_reader=True)
        try:
            yield from AlbumTable(catalog).cover_urls()
        except DatabaseError:  # the check of the catalogue says so
            return
        finally:
            catalog.close()

    return covers.register(cover_urls())


def _queue(covers: ImageCache, digests: list[str]) -> int:
    try:
        return covers.enqueue_digests(list(dict.fromkeys(digests)), WARM)
    except QueueFull:
        return 0
