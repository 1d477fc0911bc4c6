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
from image_cache.resources import own_command
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
        if is_deep and not vault.settings.DATABASE:
            _check_pages(vault.catalog, path)
    except DatabaseError as error:
        kind = kind_of(error)
        logger.warning("catalogue not readable reason=%s", error)
        if vault.settings.DATABASE:
            return Check("Catalogue", "failed", f"Cannot be read: {error}.", "Check the server that VINYL_VAULT_DATABASE names.")
        if kind == "missing" and not vault.settings.secret_key_path.exists():
            return Check("Catalogue", "failed", "No VinylVault data found here.", _no_vault(vault))
        if kind == "older":
            return Check("Catalogue", "warning", sentence_of(kind), advice_for(kind, path, is_precious=True))
        return Check("Catalogue", "failed", f"Cannot be read. {sentence_of(kind)}", advice_for(kind, path, is_precious=True))
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
        return Check("Cache", "working", "Rebuilding the index from the cached files.")
    used = (
        f"{counted(stats.total_entries, 'cached image')}, {megabytes(stats.total_size_bytes)} of {megabytes(stats.budget_bytes)}"
    )
    if stats.total_size_bytes > stats.budget_bytes:
        return Check(
            "Cache",
            "warning",
            f"{used}: over its size limit.",
            f"The cache shrinks when the next image is stored. To shrink it now: {own_command('cleanup')}",
        )
    if covers.fetched + covers.given_up < covers.registered * COLD_SHARE:
        registered = counted(covers.registered, "cover")
        return Check("Cache", "working", f"Warming up: {covers.fetched:,} of {registered} downloaded; {used}.")
    if stats.hits + stats.misses < COLD_REQUESTS:
        return Check("Cache", "well", f"{used}; hit rate not known yet (too few requests).")
    return Check("Cache", "well", f"{used}; hit rate {stats.hit_rate or 0:.0f}%.")


def _unreadable(path: Path, error: DatabaseError, *, is_inside: bool) -> Check:
    kind = kind_of(error)
    advice = advice_for(kind, path, is_precious=False)
    if is_inside:
        logger.warning("index not readable reason=%s", error)
        message = "Cannot read the index. Covers are served straight from disk. See the log for the cause."
    elif kind == "missing":
        message = "The index is missing."
    else:
        message = f"Cannot read the index. {sentence_of(kind)}"
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
            "Images", "warning", f"Cannot read the file index. {sentence_of(kind)}", advice_for(kind, path, is_precious=False)
        )
    waiting = vault.waiting_renders()
    held = (
        f"{counted(totals.entries, 'stream image')}, {megabytes(totals.bytes)}"
        if totals and totals.entries
        else "No stream images rendered yet"
    )
    return Check("Images", "working" if waiting else "well", f"{held}{f'; {waiting:,} queued' if waiting else ''}.")


def files(vault: ReadonlyVault, *, is_deep: bool = False) -> Check:
    """Check the large files. A vault that never had one has no database for them, which is well."""
    path = vault.settings.files_dir / "files.db"
    if not path.exists():
        if not _is_usable(path.parent):
            advice = f"Make {path.parent} writable for the service user, or change VINYL_VAULT_FILES_DIR."
            return Check("Files", "warning", "Cannot use the folder for large files.", advice)
        return Check("Files", "well", "No large files cached.")
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
            "Files", state, f"Cannot read the file index. {sentence_of(kind)}", advice_for(kind, path, is_precious=False)
        )
    running, waiting, paused, failed = (states[name] for name in ("working", "waiting", "paused", "failed"))
    parts = ((corrupt, "damaged"), (running, "being fetched"), (waiting, "waiting"), (paused, "paused"), (failed, "given up"))
    message = "; ".join(
        [f"{counted(count, 'large file')}, {megabytes(size)}", *(f"{number:,} {words}" for number, words in parts if number)]
    )
    # A fetch that was given up, such as that of a mistyped address, is reported only: nothing is wrong with the machine.
    state = "warning" if corrupt else "working" if running else "waiting" if waiting or paused else "well"
    advice = "Open /files to see which ones, and to retry or remove them." if corrupt or paused or failed else ""
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
        f"{vault.settings.state_dir} is empty. The first start of the service fills it. If you already had data, check"
        " VINYL_VAULT_DATA_DIR, or give --database."
    )


OURS = frozenset({"names.json"})
OURS_OF_STREAMS = frozenset({"index.db", "index.db-wal", "index.db-shm", "index.db.broken", "index.db.broken-wal", "recipe"})
MANY_FOREIGN = 100  # a folder that another program uses
WORDS = {
    "link": ("unexpected symbolic link", "unexpected symbolic links"),
    "torn": ("truncated", "truncated"),
    "lost": ("missing", "missing"),
    "foreign": ("unexpected file", "unexpected files"),
    "orphan": ("not in the index", "not in the index"),
    "temporary": ("temporary file of a killed process", "temporary files of killed processes"),
}


def pictures(vault: ReadonlyVault) -> Check:
    """Compare the files of the covers with their rows."""
    return _check_files("Covers", vault.cache.disk, vault.index, OURS, vault)


def streams(vault: ReadonlyVault) -> Check:
    """Compare the files of stream images with their rows."""
    return _check_files("Streams", vault.stream_disk, vault.streams, OURS_OF_STREAMS, vault)


def _check_files(name: str, disk: DiskTier, index: Index, ours: frozenset[str], vault: ReadonlyVault) -> Check:
    if not disk.root.is_dir():
        if not _is_usable(disk.root):
            return Check(
                name,
                "warning",
                "Cannot use their folder, so each process renders them again.",
                f"Make {disk.root} writable for the service user.",
            )
        return Check(name, "well", "Nothing stored yet.")
    try:
        rows = None if index.is_incomplete() else index
        found = inspect_disk(disk, rows, ours, now=vault.clock())
    except DatabaseError:
        found = inspect_disk(disk, None, ours, now=vault.clock())
    return _files_check(name, found, str(disk.root))


def _files_check(name: str, found: DiskInspection, root: str) -> Check:
    wrong = {kind: found.counts[kind] for kind in WORDS if found.counts[kind]}
    rest = "" if found.is_whole else " (not all files were checked)"
    if not wrong:
        return Check(name, "well", f"{counted(found.files, 'file')}, all consistent with the index{rest}.")
    message = ", ".join(f"{count:,} {WORDS[kind][count != 1]}" for kind, count in wrong.items())
    named = "; ".join(", ".join(found.examples[kind][:3]) for kind in wrong)
    if set(wrong) <= {"orphan", "temporary"}:
        return Check(name, "well", f"{counted(found.files, 'file')}; {message}: cleaned up within a day.{rest}")
    # A link where none belongs was planted, or a copy went wrong; it is never followed.
    is_grave = bool(found.counts["link"]) or found.counts["foreign"] >= MANY_FOREIGN
    repair = f" To fix: {own_command('verify --repair')} removes the links and restores truncated or missing images."
    kept = " It moves unexpected files to the folder .set-aside." if found.counts["foreign"] else ""
    return Check(
        name,
        "failed" if is_grave else "warning",
        f"{counted(found.files, 'file')}; {message}{rest}.",
        f"In {root}: {named}.{repair}{kept}",
    )
