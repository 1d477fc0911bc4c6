"""`doctor`: mends what can be mended without losing anything, says what it did, and looks again.

What it may do: make missing cache folders, close folders to others, give files back to their owner (as root), set a broken index
aside and rebuild it from the files, free jobs of processes that ended, remove links and leftovers, drop torn pictures so that
they are made again, and save a catalogue whose records can all still be read. It never removes a catalogue or an original.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from config import Settings
from image_cache.cli.context import CommandContext
from image_cache.covers import WARM, ImageCache
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Database, DatabaseError
from image_cache.db.diagnosis import kind_of, salvage
from image_cache.engine import maintenance as upkeep
from image_cache.engine.index import Index
from image_cache.engine.inspection import inspect_disk
from image_cache.engine.key import key_of_path
from image_cache.errors import CacheError, QueueFull, StorageError
from image_cache.files.index import FileIndex
from image_cache.filesystem import make_folder
from image_cache.maintenance.health import Check, examine, things
from image_cache.maintenance.health.data import OURS
from image_cache.maintenance.readonly_vault import open_reading
from image_cache.records.table import AlbumTable

UNTOUCHABLE = ("newer", "locked", "closed", "read-only", "full")


def doctor(scene: CommandContext) -> int:
    """Exit status as of `health` afterwards."""
    before = {check.name: check for check in examine(scene.reading)}
    scene.reading.close()
    done: list[str] = []
    if scene.settings.state_dir.is_dir():  # else there is no vault, or its disk is not there: nothing to mend
        kind = _kind(Index(scene.settings.index_path, is_reader=True).database)
        is_usable = kind not in UNTOUCHABLE  # to open such an index for a change would set it aside, or wait for nothing
        if not is_usable:
            done.append(f"The cache is left alone: its index is {kind}.")
        for name, mend in STEPS.items():
            if name in OF_THE_CACHE and not is_usable:
                continue
            if name == "" or before[name].state in ("warning", "failed"):
                try:
                    done += mend(scene, before)
                except (CacheError, DatabaseError, OSError) as error:
                    done.append(f"{name or 'Sweeping'} could not be mended: {error}.")
    scene.reading = open_reading(scene.settings, clock=scene.clock)
    for sentence in done or ["Nothing had to be mended."]:
        scene.out.wrapped("", sentence)
    scene.out.line()
    return scene.tell(scene.checks(is_deep=True), done=done)


def restore_ownership(settings: Settings) -> int:
    """As root: give what belongs to others below state and cache to the owner of the state; returns how many. No link is followed."""
    if not settings.state_dir.is_dir():
        return 0
    facts = settings.state_dir.stat()
    count = 0
    for folder in (settings.state_dir, settings.cache_dir):
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != facts.st_uid:
                os.chown(path, facts.st_uid, facts.st_gid, follow_symlinks=False)
                count += 1
    return count


def _rights(scene: CommandContext, before: dict[str, Check]) -> list[str]:
    settings, done = scene.settings, []
    for folder in (settings.cache_dir, settings.covers_dir):
        if not folder.exists():
            make_folder(folder)
            done.append(f"{folder} was missing and is made.")
    for path in (settings.state_dir, settings.secret_key_path):
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            path.chmod(mode & 0o700)
            done.append(f"{path} is closed to other users.")
    return done


def _index(scene: CommandContext, before: dict[str, Check]) -> list[str]:
    done = _set_aside(Index(scene.settings.index_path).database, scene.settings.index_path, scene)
    with scene.covers() as covers:
        if not covers.cache.is_adopting:
            return done
        adopted = upkeep.rebuild_from_files(covers.cache)
        registered = _register(scene, covers)
    return [*done, f"The index is rebuilt: {things(adopted, 'picture')} found, {things(registered, 'cover')} registered."]


def _files(scene: CommandContext, before: dict[str, Check]) -> list[str]:
    path = scene.settings.files_dir / "files.db"
    done = _set_aside(FileIndex(path).db, path, scene)
    return [*done, "The service rebuilds it from the files within a minute of its start."] if done else []


def _pictures(scene: CommandContext, before: dict[str, Check]) -> list[str]:
    done = []
    with scene.covers() as covers:
        cache = covers.cache
        found = inspect_disk(
            cache.disk, cache.index, OURS, now=scene.clock(), longest_s=float("inf"), examples=1_000_000
        ).examples
        for path in found.get("link", []):
            (cache.disk.root / path).unlink(missing_ok=True)
        if links := len(found.get("link", [])):
            done.append(f"{things(links, 'link')} removed; what they led to was not touched.")
        parts = [path.split("/") for kind in ("torn", "lost") for path in found.get(kind, [])]
        wrong = [key for folder, _, name in parts if (key := key_of_path(cache.namespace, folder, name))]
        if wrong:
            cache.delete(wrong)
            queued = _queue(covers, [key.digest for key in wrong])
            done.append(
                f"{things(len(wrong), 'picture')} torn or missing, dropped; {things(queued, 'cover')} queued to be made again."
            )
    return done


def _queue_of_the_dead(scene: CommandContext, before: dict[str, Check]) -> list[str]:
    with scene.covers() as covers:
        freed = covers.jobs.release_dead() + covers.jobs.fix_clock_skew()
    return [f"{things(freed, 'job')} of processes that ended are free again."] if freed else []


def _catalog(scene: CommandContext, before: dict[str, Check]) -> list[str]:
    """Copy a damaged catalogue into a new one when every row can be read; put it in place when nobody uses the old one."""
    path = scene.settings.catalog_path
    if _kind(CatalogDatabase(path, is_reader=True)) != "broken":
        return []
    copy = path.with_name(f"catalog.saved-{int(time.time())}.db")
    try:
        count = salvage(path, copy)
    except DatabaseError as error:
        return [f"The catalogue is damaged where records stand ({error}); only a backup brings it back. It was left as it is."]
    if scene.service.answers():
        return [
            f"All {things(count, 'record')} could be saved in {copy}. Stop the service and run this again to put them in place."
        ]
    CatalogDatabase(path).set_aside()
    copy.rename(path)
    return [f"The catalogue was damaged; all {things(count, 'record')} were saved. The old file is {path}.broken."]


def _sweep(scene: CommandContext, before: dict[str, Check]) -> list[str]:
    with scene.covers() as covers:
        swept = upkeep.sweep(covers.cache)
    parts = (
        (swept.orphans, "file without a row", "files without a row"),
        (swept.temporaries, "leftover", "leftovers"),
        (swept.lost, "row without a file", "rows without a file"),
    )
    said = ", ".join(things(count, one, many) for count, one, many in parts if count)
    return [f"Swept: {said}."] if said else []


# The check that makes a step necessary, "" for always. In this order: what comes later stands on what comes before.
STEPS: dict[str, Callable[[CommandContext, dict[str, Check]], list[str]]] = {
    "Rights": _rights,
    "Catalogue": _catalog,
    "Cache": _index,
    "Files": _files,
    "Queue": _queue_of_the_dead,
    "Pictures": _pictures,
    "": _sweep,
}
OF_THE_CACHE = ("Cache", "Queue", "Pictures", "")


def _set_aside(database: Database, path: Path, scene: CommandContext) -> list[str]:
    """Set a disposable database aside when it is damaged, and only then."""
    reader = Index(path, is_reader=True).database if path.name == "index.db" else FileIndex(path, is_reader=True).db
    kind = _kind(reader)
    if kind in UNTOUCHABLE:
        raise StorageError(str(path), f"its state is {kind}, which mending would make worse")
    if kind != "broken":
        return []
    database.set_aside()
    return [f"{path} was damaged and is set aside as {path.name}.broken."]


def _kind(database: Database) -> str:
    """Return what is wrong with a database, read page by page; "" when nothing is."""
    try:
        row = database.row("PRAGMA quick_check(1)")
    except DatabaseError as error:
        return kind_of(error)
    finally:
        database.close()
    return "" if row is None or row[0] == "ok" else "broken"


def _register(scene: CommandContext, covers: ImageCache) -> int:
    def known() -> Iterator[str]:
        catalog = CatalogDatabase(scene.settings.catalog_path, is_reader=True)
        try:
            yield from AlbumTable(catalog).cover_urls()
        except DatabaseError:  # a check of its own says so
            return
        finally:
            catalog.close()

    return covers.register(known())


def _queue(covers: ImageCache, digests: list[str]) -> int:
    try:
        return covers.enqueue_digests(list(dict.fromkeys(digests)), WARM)
    except QueueFull:
        return 0
