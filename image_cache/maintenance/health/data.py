"""Checks of the stored data: databases (readable, of a known version, intact) and the files of the caches beside their rows."""

import logging
import os
from collections import Counter
from pathlib import Path

from image_cache.db.database import Database, DatabaseError
from image_cache.db.diagnosis import advice_for, kind_of, sentence_of
from image_cache.db.integrity import page_fault
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import Index
from image_cache.engine.inspection import DiskInspection, inspect_disk
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.units import counted, megabytes

logger = logging.getLogger(__name__)

PAGE_CHECK_BYTES = 256_000_000  # a database up to this size is read page by page; that takes some seconds on a card
COLD_REQUESTS = 200  # fewer requests than this say nothing about a cache
COLD_SHARE = 0.5  # with less of the covers fetched than this, the cache is filling


def catalog(vault: ReadonlyVault, *, is_deep: bool = False) -> Check:
    """Check that the catalogue can be read."""
    path = vault.settings.catalog_path
    try:
        count = vault.count_records()
        if is_deep:
            _check_pages(vault.catalog, path)
    except DatabaseError as error:
        kind = kind_of(error)
        logger.warning("catalogue not readable reason=%s", error)
        if kind == "missing" and not vault.settings.secret_key_path.exists():
            return Check("Catalogue", "failed", "There is no vault here yet.", _no_vault(vault))
        if kind == "older":
            return Check("Catalogue", "warning", sentence_of(kind), advice_for(kind, path, is_precious=True))
        return Check("Catalogue", "failed", f"It cannot be read. {sentence_of(kind)}", advice_for(kind, path, is_precious=True))
    return Check("Catalogue", "well", f"{counted(count, 'record')}.")


def index(vault: ReadonlyVault, *, is_inside: bool = False, is_deep: bool = False) -> Check:
    """Check the cache: how full it is, its hit rate, or why its index cannot be read. `is_inside`: the service itself asks."""
    path = vault.settings.index_path
    try:
        stats = vault.stats()
        covers = vault.covers()
        if is_deep:
            _check_pages(vault.index.database, path)
    except DatabaseError as error:
        return _unreadable(path, error, is_inside=is_inside)
    if vault.cache.is_adopting:
        return Check("Cache", "working", "The index is being rebuilt from the files.")
    used = f"{counted(stats.total_entries, 'picture')}, {megabytes(stats.total_size_bytes)} of {megabytes(stats.budget_bytes)}"
    if stats.total_size_bytes > stats.budget_bytes:
        return Check(
            "Cache",
            "warning",
            f"{used}: more than its budget.",
            "The next picture that is stored makes room; so does: cache_monitor.py --action cleanup",
        )
    if covers.fetched + covers.given_up < covers.registered * COLD_SHARE:
        registered = counted(covers.registered, "cover")
        return Check("Cache", "working", f"Warming up: {covers.fetched:,} of {registered} fetched; {used}.")
    if stats.hits + stats.misses < COLD_REQUESTS:
        return Check("Cache", "well", f"{used}; too few requests to say how good it is.")
    return Check("Cache", "well", f"{used}; {stats.hit_rate or 0:.0f} % of requests answered from it.")


def _unreadable(path: Path, error: DatabaseError, *, is_inside: bool) -> Check:
    kind = kind_of(error)
    advice = advice_for(kind, path, is_precious=False)
    if is_inside:
        logger.warning("index not readable reason=%s", error)
        message = "The index cannot be read; pictures are served from their files. The log says why."
    elif kind == "missing":
        message = "There is no index."
    else:
        message = f"The index cannot be read. {sentence_of(kind)}"
    is_grave = not is_inside and kind not in ("missing", "older")
    return Check("Cache", "failed" if is_grave else "warning", message, advice)


def images(vault: ReadonlyVault) -> Check:
    """Check the rendered images of the streams, and whether some wait. Their index is rebuilt from the files."""
    path = vault.streams.database.path
    try:
        totals = vault.streams.totals(vault.stream_disk.namespace) if path.exists() else None
    except DatabaseError as error:
        kind = kind_of(error)
        return Check(
            "Images", "warning", f"Their index cannot be read. {sentence_of(kind)}", advice_for(kind, path, is_precious=False)
        )
    waiting = vault.waiting_renders()
    held = (
        f"{counted(totals.entries, 'stream image')}, {megabytes(totals.bytes)}"
        if totals and totals.entries
        else "No stream images are rendered"
    )
    return Check("Images", "working" if waiting else "well", f"{held}{f'; {waiting:,} to be rendered' if waiting else ''}.")


def files(vault: ReadonlyVault, *, is_deep: bool = False) -> Check:
    """Check the large files. A vault that never had one has no database for them, which is well."""
    path = vault.settings.files_dir / "files.db"
    if not path.exists():
        if not _is_usable(path.parent):
            advice = f"Make {path.parent} a folder of the service's account, or change VINYL_VAULT_FILES_DIR."
            return Check("Files", "warning", "The folder of the large files cannot be used.", advice)
        return Check("Files", "well", "No large files are kept.")
    try:
        count, size = vault.files.totals()
        corrupt = sum(kept.is_corrupt for kept in vault.files.files())
        states = Counter(fetch.state for fetch in vault.files.fetches())
        if is_deep:
            _check_pages(vault.files.db, path)
    except DatabaseError as error:
        kind = kind_of(error)
        state = "warning" if kind in ("older", "missing") else "failed"
        return Check(
            "Files", state, f"Their index cannot be read. {sentence_of(kind)}", advice_for(kind, path, is_precious=False)
        )
    running, waiting, paused, failed = (states[name] for name in ("working", "waiting", "paused", "failed"))
    parts = ((corrupt, "damaged"), (running, "being fetched"), (waiting, "waiting"), (paused, "paused"), (failed, "given up"))
    message = "; ".join(
        [f"{counted(count, 'large file')}, {megabytes(size)}", *(f"{number:,} {words}" for number, words in parts if number)]
    )
    # A fetch that was given up, such as that of a mistyped address, is reported only: nothing is wrong with the machine.
    state = "warning" if corrupt else "working" if running else "waiting" if waiting or paused else "well"
    advice = "The page /files names them; each can be fetched again or forgotten there." if corrupt or paused or failed else ""
    return Check("Files", state, f"{message}.", advice)


def _is_usable(folder: Path) -> bool:
    """Return True if the folder can be written, or could be made."""
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _check_pages(database: Database, path: Path) -> None:
    """Read a database of moderate size page by page. Raises `DatabaseError` when one is damaged."""
    if path.stat().st_size <= PAGE_CHECK_BYTES and (fault := page_fault(database)):
        raise DatabaseError(f"{path}: {fault}")


def _no_vault(vault: ReadonlyVault) -> str:
    return (
        f"{vault.settings.state_dir} holds nothing. The first start of the service makes it; if there was one, look at"
        " VINYL_VAULT_DATA_DIR, or give --database."
    )


OURS = frozenset({"names.json"})
OURS_OF_STREAMS = frozenset({"index.db", "index.db-wal", "index.db-shm", "index.db.broken", "index.db.broken-wal", "recipe"})
MANY_FOREIGN = 100  # a folder that another program uses
WORDS = {
    "link": ("link that is not ours", "links that are not ours"),
    "torn": ("torn", "torn"),
    "lost": ("missing", "missing"),
    "foreign": ("file that is not ours", "files that are not ours"),
    "orphan": ("without a row", "without a row"),
    "temporary": ("leftover of a process that was killed", "leftovers of processes that were killed"),
}


def pictures(vault: ReadonlyVault) -> Check:
    """Compare the files of the covers with their rows."""
    return _check_files("Pictures", vault.cache.disk, vault.index, OURS, vault)


def streams(vault: ReadonlyVault) -> Check:
    """Compare the files of stream images with their rows."""
    return _check_files("Streams", vault.stream_disk, vault.streams, OURS_OF_STREAMS, vault)


def _check_files(name: str, disk: DiskTier, index: Index, ours: frozenset[str], vault: ReadonlyVault) -> Check:
    if not disk.root.is_dir():
        if not _is_usable(disk.root):
            return Check(
                name,
                "warning",
                "Their folder cannot be used: they are made again for each process.",
                f"Make {disk.root} a folder of the service's account.",
            )
        return Check(name, "well", "Nothing is stored yet.")
    try:
        rows = None if index.is_incomplete() else index
        found = inspect_disk(disk, rows, ours, now=vault.clock())
    except DatabaseError:
        found = inspect_disk(disk, None, ours, now=vault.clock())
    return _files_check(name, found, str(disk.root))


def _files_check(name: str, found: DiskInspection, root: str) -> Check:
    wrong = {kind: found.counts[kind] for kind in WORDS if found.counts[kind]}
    rest = "" if found.is_whole else " (not all were looked at)"
    if not wrong:
        return Check(name, "well", f"{counted(found.files, 'file')}, each as its row says{rest}.")
    message = ", ".join(f"{count:,} {WORDS[kind][count != 1]}" for kind, count in wrong.items())
    named = "; ".join(", ".join(found.examples[kind][:3]) for kind in wrong)
    if set(wrong) <= {"orphan", "temporary"}:
        return Check(name, "well", f"{counted(found.files, 'file')}; {message}: swept within a day.{rest}")
    # A link where none belongs was planted, or a copy went wrong; it is never followed.
    is_grave = bool(found.counts["link"]) or found.counts["foreign"] >= MANY_FOREIGN
    repair = " cache_monitor.py --action verify --repair removes links, and has what is torn or missing made again."
    kept = " It moves what is not ours to the folder .set-aside." if found.counts["foreign"] else ""
    return Check(
        name,
        "failed" if is_grave else "warning",
        f"{counted(found.files, 'file')}; {message}{rest}.",
        f"In {root}: {named}.{repair}{kept}",
    )
