"""A cache of its own for a test: real files, a real index, a clock that stands still."""

from pathlib import Path

from image_cache.engine.cache import Cache
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import Index
from image_cache.engine.key import Key, digest_of
from image_cache.engine.maintenance import rebuild_from_files
from image_cache.engine.memory import MemoryTier
from image_cache.engine.stats.counters import Counters
from tests.support.clock import FakeClock


def key(name: object, variant: str = "thumbnails") -> Key:
    return Key("covers", variant, digest_of(str(name)))


def webp(name: object, size: int = 1000) -> bytes:
    """Bytes in the frame of a WebP, different for each name; they cannot be decoded."""
    body = (f"{name}:".encode() * size)[: size - 13] + b"."
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def open_cache(
    root: Path,
    clock: FakeClock | None = None,
    *,
    budget_bytes: int = 1_000_000,
    memory_bytes: int = 1_000_000,
    floor_bytes: int = 0,
    is_adopted: bool = True,
) -> Cache:
    """Open the cache below `root`; `is_adopted` rebuilds a new index first, as the housekeeper does."""
    clock = clock or FakeClock()
    cache = Cache(
        "covers",
        memory=MemoryTier(memory_bytes),
        disk=DiskTier("covers", root / "covers", floor_bytes),
        index=Index(root / "index.db", clock=clock),
        counters=Counters(),
        budget_bytes=budget_bytes,
        clock=clock,
    )
    if is_adopted and cache.is_adopting:
        rebuild_from_files(cache)
    return cache


def counted(cache: Cache) -> tuple[int, int]:
    """Return (entries, bytes) as counted now, to compare with the kept totals."""
    row = cache.index.database.row("SELECT count(*), coalesce(sum(size_bytes), 0) FROM entries WHERE namespace = 'covers'")
    assert row is not None
    return row[0], row[1]


def files(cache: Cache) -> set[str]:
    """Return the paths of all files below the disk tier."""
    return {str(path.relative_to(cache.disk.root)) for path in cache.disk.root.rglob("*") if path.is_file()}
