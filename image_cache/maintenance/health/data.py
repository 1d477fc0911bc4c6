"""Checks of the three databases: readable, of a version that this program knows, whole; and what they say."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from image_cache.db.database import Database, DatabaseError
from image_cache.db.diagnosis import advice_for, kind_of, sentence_of
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import Index
from image_cache.engine.inspection import DiskInspection, inspect_disk
from image_cache.maintenance.health.check import Check, megabytes, things
from image_cache.maintenance.readonly_vault import ReadonlyVault

if TYPE_CHECKING:
    from image_cache.services import Services

logger = logging.getLogger(__name__)

WHOLE_BYTES = 256_000_000  # a database up to this size is read page by page; that takes some seconds on a card
COLD_ASKED = 200  # fewer questions than this say nothing about a cache
COLD_SHARE = 0.5  # less of the covers than this has been fetched: it is filling


def catalog(reading: ReadonlyVault, *, is_deep: bool = False) -> Check:
    """Say how many records there are, or why the catalogue cannot be read."""
    path = reading.settings.catalog_path
    try:
        count = reading.count("SELECT count(*) FROM albums", catalog=True)
        if is_deep:
            _read_all(reading.catalog, path)
    except DatabaseError as error:
        kind = kind_of(error)
        logger.warning("catalogue not readable reason=%s", error)
        if kind == "missing" and not reading.settings.secret_key_path.exists():
            return Check("Catalogue", "failed", "There is no vault here yet.", _no_vault(reading))
        if kind == "older":
            return Check("Catalogue", "warning", sentence_of(kind), advice_for(kind, path, is_precious=True))
        return Check("Catalogue", "failed", f"It cannot be read. {sentence_of(kind)}", advice_for(kind, path, is_precious=True))
    return Check("Catalogue", "well", f"{things(count, 'record')}.")


def index(reading: ReadonlyVault, services: "Services | None" = None, *, is_deep: bool = False) -> Check:
    """Say how full and how good the cache is, or why its index cannot be read."""
    path = reading.settings.index_path
    try:
        stats = reading.stats()
        registered, fetched, given_up = reading.register.summary(reading.cache.namespace)
        if is_deep:
            _read_all(reading.index.database, path)
    except DatabaseError as error:
        return _unreadable(path, error, services)
    if reading.cache.is_adopting:
        return Check("Cache", "working", "The index is being rebuilt from the files.")
    used = f"{things(stats.total_entries, 'picture')}, {megabytes(stats.total_size_bytes)} of {megabytes(stats.budget_bytes)}"
    if stats.total_size_bytes > stats.budget_bytes:
        return Check(
            "Cache",
            "warning",
            f"{used}: more than its budget.",
            "The next picture that is stored makes room; so does: cache_monitor.py --action cleanup",
        )
    if fetched + given_up < registered * COLD_SHARE:
        return Check("Cache", "working", f"Warming up: {fetched:,} of {things(registered, 'cover')} fetched; {used}.")
    if stats.hits + stats.misses < COLD_ASKED:
        return Check("Cache", "well", f"{used}; too few requests to say how good it is.")
    return Check("Cache", "well", f"{used}; {stats.hit_rate or 0:.0f} % of requests answered from it.")


def _unreadable(path: Path, error: DatabaseError, services: "Services | None") -> Check:
    kind = kind_of(error)
    advice = advice_for(kind, path, is_precious=False)
    if services is not None:
        logger.warning("index not readable reason=%s", error)
        said = "The index cannot be read; pictures are served from their files. The log says why."
    elif kind == "missing":
        said = "There is no index."
    else:
        said = f"The index cannot be read. {sentence_of(kind)}"
    is_grave = services is None and kind not in ("missing", "older")
    return Check("Cache", "failed" if is_grave else "warning", said, advice)


def files(reading: ReadonlyVault, *, is_deep: bool = False) -> Check:
    """Say what is kept of large files. A vault that never had one has no database for them, which is well."""
    path = reading.settings.files_dir / "files.db"
    if not path.exists():
        return Check("Files", "well", "No large files are kept.")
    try:
        count, size = reading.files.totals()
        corrupt = sum(kept.is_corrupt for kept in reading.files.files())
        failed = sum(coming.state == "failed" for coming in reading.files.fetches())
        if is_deep:
            _read_all(reading.files.db, path)
    except DatabaseError as error:
        kind = kind_of(error)
        state = "warning" if kind in ("older", "missing") else "failed"
        return Check(
            "Files", state, f"Their index cannot be read. {sentence_of(kind)}", advice_for(kind, path, is_precious=False)
        )
    said = f"{things(count, 'large file')}, {megabytes(size)}"
    if corrupt or failed:
        wrong = ", ".join(part for n, part in ((corrupt, f"{corrupt} damaged"), (failed, f"{failed} did not arrive")) if n)
        return Check("Files", "warning", f"{said}; {wrong}.", "The page /files names them; each can be fetched again there.")
    return Check("Files", "well", f"{said}.")


def _read_all(database: Database, path: Path) -> None:
    """Read a database of moderate size page by page. Raises `DatabaseError` when it is not whole."""
    if path.stat().st_size <= WHOLE_BYTES:
        row = database.row("PRAGMA quick_check(1)")
        if row is not None and row[0] != "ok":
            raise DatabaseError(f"{path}: {row[0]}")


def _no_vault(reading: ReadonlyVault) -> str:
    return (
        f"{reading.settings.state_dir} holds nothing. The first start of the service makes it; if there was one, look at"
        " VINYL_VAULT_DATA_DIR, or give --database."
    )


OURS = frozenset({"names.json"})
OURS_OF_STREAMS = frozenset({"index.db", "index.db-wal", "index.db-shm", "index.db.broken", "index.db.broken-wal", "recipe"})
MANY_FOREIGN = 100  # a folder that somebody else uses
WORDS = {
    "link": ("link that is not ours", "links that are not ours"),
    "torn": ("torn", "torn"),
    "lost": ("missing", "missing"),
    "foreign": ("file that is not ours", "files that are not ours"),
    "orphan": ("without a row", "without a row"),
    "temporary": ("leftover of a process that was killed", "leftovers of processes that were killed"),
}


def pictures(reading: ReadonlyVault) -> Check:
    return _check("Pictures", reading.cache.disk, reading.index, OURS, reading)


def streams(reading: ReadonlyVault) -> Check:
    return _check("Streams", reading.stream_disk, reading.streams, OURS_OF_STREAMS, reading)


def _check(name: str, disk: DiskTier, index: Index, ours: frozenset[str], reading: ReadonlyVault) -> Check:
    if not disk.root.is_dir():
        return Check(name, "well", "Nothing is stored yet.")
    try:
        rows = None if index.is_incomplete() else index
        found = inspect_disk(disk, rows, ours, now=reading.clock())
    except DatabaseError:
        found = inspect_disk(disk, None, ours, now=reading.clock())
    return _told(name, found, str(disk.root))


def _told(name: str, found: DiskInspection, root: str) -> Check:
    counted = {kind: found.counts[kind] for kind in WORDS if found.counts[kind]}
    rest = "" if found.is_whole else " (not all were looked at)"
    if not counted:
        return Check(name, "well", f"{things(found.files, 'file')}, each as its row says{rest}.")
    said = ", ".join(f"{count:,} {WORDS[kind][count != 1]}" for kind, count in counted.items())
    named = "; ".join(", ".join(found.examples[kind][:3]) for kind in counted)
    if set(counted) <= {"orphan", "temporary"}:
        return Check(name, "well", f"{things(found.files, 'file')}; {said}: swept within a day.{rest}")
    # A link where none belongs was planted, or a copy went wrong; it is never followed.
    is_grave = bool(found.counts["link"]) or found.counts["foreign"] >= MANY_FOREIGN
    mended = (
        ""
        if set(counted) <= {"foreign"}
        else (" cache_monitor.py --action verify --repair removes links, and has what is torn or missing made again.")
    )
    kept = " What is not ours is never touched: move it elsewhere." if found.counts["foreign"] else ""
    return Check(
        name,
        "failed" if is_grave else "warning",
        f"{things(found.files, 'file')}; {said}{rest}.",
        f"In {root}: {named}.{mended}{kept}",
    )
