"""`selftest`: the life of a cover from fetch to eviction, with its own origin and folder; the vault is not touched."""

import http.server
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.config import Settings
from image_cache.covers import ImageCache
from image_cache.covers.build import open_covers
from image_cache.engine.key import Key
from image_cache.engine.maintenance import sweep
from image_cache.errors import CacheError

EDGE_PX = 700
COVERS = 6
BUDGET_BYTES = 200_000


@click.command("selftest", cls=MaintenanceCommand, is_reading=True)
def selftest(context: CommandContext) -> int:
    """Test the whole cover pipeline in a temporary folder, with a test origin.

    The exit status is 0 if every test passes, 2 otherwise.
    """
    out = context.out
    with tempfile.TemporaryDirectory(prefix="vinylvault-") as folder, _origin() as (origin, requests):
        parts = open_covers(_settings(context.settings, Path(folder), origin))
        try:
            results = [_run_step(name, run) for name, run in _steps(parts.covers, origin, requests)]
        finally:
            parts.close()
    for name, why in results:
        out.line(f"{'ok  ' if not why else 'FAIL'}  {name}{': ' + why if why else ''}", state="failed" if why else "well")
    failed = [name for name, why in results if why]
    out.line(f"{len(results) - len(failed)} of {len(results)} tests passed.")
    out.json({"ok": not failed, "steps": [{"name": name, "ok": not why, "why": why} for name, why in results]})
    return 2 if failed else 0


def _steps(covers: ImageCache, origin: str, requests: list[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    first = f"{origin}/0.png"

    def digest(url: str) -> str:
        return covers.digest_of(url)

    def fetch() -> bool:
        return covers.get_image(first) is not None and covers.get_image(first, "detail") is not None and len(requests) == 1

    def hit() -> bool:
        covers.cache.memory.clear()
        return all(covers.get(digest(first), "detail") is not None for _ in range(2)) and len(requests) == 1

    def torn() -> bool:
        key = Key(covers.cache.namespace, "detail", digest(first))
        path = covers.cache.disk.root / key.path
        path.write_bytes(path.read_bytes()[:50])
        covers.cache.memory.clear()
        return covers.get(digest(first), "detail") is None and covers.get_image(first, "detail") is not None

    def lru() -> bool:
        for number in range(1, COVERS):
            covers.get_image(f"{origin}/{number}.png", "detail")
        covers.cache.set_budget(covers.cache.index.totals(covers.cache.namespace).bytes // 2)
        totals = covers.cache.index.totals(covers.cache.namespace)
        return 0 < totals.bytes <= covers.cache.budget_bytes and totals.entries < 2 * COVERS

    def refused() -> bool:
        private = f"http://127.0.0.1:{int(origin.rpartition(':')[2]) ^ 1}/a.png"
        return covers.get_image(private) is None and covers.get_image(f"{origin}/text.txt") is None

    def swept() -> bool:
        return sweep(covers.cache).lost == 0

    def counted() -> bool:
        stats = covers.get_cache_stats()
        return stats.hits > 0 and stats.misses > 0 and stats.fetches > 0

    yield "downloads a cover once and renders both sizes", fetch
    yield "serves it from disk, then from memory, without contacting the origin", hit
    yield "detects a truncated file and restores it", torn
    yield "evicts the least recently used images when the size limit is lowered", lru
    yield "rejects private addresses and files that are not images", refused
    yield "index and files match", swept
    yield "counters are correct", counted


def _run_step(name: str, run: Callable[[], object]) -> tuple[str, str]:
    try:
        return name, "" if run() else "failed"
    except (CacheError, OSError, ValueError) as error:
        return name, str(error)


def _settings(known: Settings, folder: Path, origin: str) -> Settings:
    return replace(
        known,
        DATA_DIR=folder,
        STATE_DIR=None,
        CACHE_DIR=None,
        COVERS_DIR=None,
        CACHE_MAX_SIZE_MB=100,
        FREE_SPACE_FLOOR_MB=0,
        IMAGE_CACHE_MAX_MEMORY_MB=8,
        TRUSTED_ORIGINS=(origin,),
        ORIGIN_ALLOWLIST=(),
        ORIGIN_DENYLIST=(),
        FETCH_DEADLINE_S=10,
    )


@contextmanager
def _origin() -> Iterator[tuple[str, list[str]]]:
    """Serve invented images on loopback; yield the base URL, and the list of requested paths, which grows."""
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            name = self.path.strip("/")
            is_picture = name.endswith(".png")
            body = _png(int(name.partition(".")[0])) if is_picture else b"no picture"
            self.send_response(200)
            self.send_header("Content-Type", "image/png" if is_picture else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _png(seed: int) -> bytes:
    """Return a square image whose pattern depends on the seed."""
    line = bytes(range(256)) * (3 * EDGE_PX // 256 + 2)
    rows = b"".join(b"\0" + line[start : start + 3 * EDGE_PX] for start in (y * (seed + 3) % 256 for y in range(EDGE_PX)))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", EDGE_PX, EDGE_PX, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
