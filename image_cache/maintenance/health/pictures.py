"""Checks of the files themselves, one by one, beside their rows: what is torn, lost, or not ours."""

from image_cache.db.database import DatabaseError
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import Index
from image_cache.engine.inspection import DiskInspection, survey
from image_cache.maintenance.health.check import Check, things
from image_cache.maintenance.readonly_vault import ReadonlyVault

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
        found = survey(disk, rows, ours, now=reading.clock())
    except DatabaseError:
        found = survey(disk, None, ours, now=reading.clock())
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
