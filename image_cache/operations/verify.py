"""`verify`: every file is read and compared with its row, rows and files both ways. With `--repair` what was found is mended."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field

from image_cache.covers import WARM, ImageCache
from image_cache.engine import upkeep
from image_cache.engine.index import file_is_plausible
from image_cache.engine.key import Key
from image_cache.engine.survey import SHARDS, survey
from image_cache.errors import QueueFull
from image_cache.health import megabytes, things
from image_cache.health.pictures import OURS
from image_cache.operations.scene import Scene
from image_cache.operations.status import READING

NAMED = 20


@dataclass(slots=True)
class Report:
    """What was read, and what is not as it should be: kinds are those of a survey, and `damaged` (other bytes than its hash)."""

    files: int = 0
    bytes: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[Key] = field(default_factory=list)


def verify(scene: Scene) -> int:
    """Exit status 0 when all is as it should be, or was mended; 1 when something is left."""
    scene.require("Cache", *(("Rights",) if scene.wanted.is_repairing else ()))
    seen = _read_all(scene)
    scene.out.end_bar()
    for kind, path in seen.found[:NAMED]:
        scene.out.line(f"{kind}\t{path}" if not scene.out.is_terminal else f"{kind:<10} {path}")
    if len(seen.found) > NAMED:
        scene.out.line(f"and {len(seen.found) - NAMED:,} more")
    counts = Counter(kind for kind, _ in seen.found)
    said = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common()) or "all as they should be"
    scene.out.line(f"{things(seen.files, 'picture')}, {megabytes(seen.bytes)} read: {said}.")
    left = sum(counts.values())
    if left and scene.wanted.is_repairing:
        left = _repair(scene, seen)
    elif left:
        scene.out.line("Nothing was changed. With --repair it is mended.")
    scene.out.json(
        {"files": seen.files, "bytes": seen.bytes, "found": [{"kind": k, "path": p} for k, p in seen.found], "left": left}
    )
    return 1 if left else 0


def _read_all(scene: Scene) -> Report:
    reading, report = scene.reading, Report()
    shape = survey(reading.cache.disk, reading.index, OURS, now=scene.clock(), longest_s=float("inf"), examples=1_000_000)
    report.found = [(kind, path) for kind, paths in shape.examples.items() for path in paths]
    known = {path for _, path in report.found}
    total = reading.index.totals(reading.cache.namespace).entries
    for shard in SHARDS:
        for key in reading.index.shard(reading.cache.namespace, shard):
            if key.path in known:
                continue
            body = _body(scene, key)
            if body is None:  # evicted since
                continue
            report.files += 1
            report.bytes += len(body)
            if not _is_as_recorded(scene, key, body):
                report.found.append(("damaged", key.path))
                report.damaged.append(key)
        scene.out.bar(report.files, max(total, report.files), f"{report.files:,} read")
    return report


def _is_as_recorded(scene: Scene, key: Key, body: bytes) -> bool:
    row = scene.reading.index.find(key)
    if row is None or row.size_bytes != len(body):
        return row is None  # replaced or evicted since; a torn one was found by its size
    if row.sha256 is None:
        return file_is_plausible(body[:32], body[-32:], len(body))
    return hashlib.sha256(body).digest() == row.sha256


def _body(scene: Scene, key: Key) -> bytes | None:
    try:
        with os.fdopen(os.open(scene.reading.cache.disk.root / key.path, READING), "rb") as file:
            return file.read()
    except OSError:
        return None


def _repair(scene: Scene, seen: Report) -> int:
    """Remove what is wrong and queue it to be fetched again; returns how many are left, which are not ours to touch."""
    with scene.covers() as covers:
        root = covers.cache.disk.root
        for kind, path in seen.found:
            if kind == "link":
                (root / path).unlink(missing_ok=True)
        wrong = [*seen.damaged, *(key for kind, path in seen.found if kind in ("torn", "lost") and (key := _key(covers, path)))]
        covers.cache.delete(wrong)
        upkeep.sweep(covers.cache)
        queued = _queue(covers, [key.digest for key in wrong])
    foreign = [path for kind, path in seen.found if kind == "foreign"]
    mended = len(seen.found) - len(foreign)
    scene.out.line(f"{mended:,} mended; {things(queued, 'cover')} queued to be made again.")
    if foreign:
        scene.out.line(f"{things(len(foreign), 'file')} not ours left alone; move them out of {scene.settings.covers_dir}.")
    return len(foreign)


def _queue(covers: ImageCache, digests: list[str]) -> int:
    try:
        return covers.want_digests(list(dict.fromkeys(digests)), WARM)
    except QueueFull:
        return 0  # the housekeeper queues what is missing, little by little


def _key(covers: ImageCache, path: str) -> Key | None:
    from image_cache.engine.key import key_of_path

    folder, _, name = path.split("/")
    return key_of_path(covers.cache.namespace, folder, name)
