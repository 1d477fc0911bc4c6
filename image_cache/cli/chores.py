"""`cleanup` and `clear`: what they removed, and what that freed."""

import sys

from image_cache.cli.context import CommandContext
from image_cache.covers import ImageCache
from image_cache.maintenance.health import megabytes, things

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
