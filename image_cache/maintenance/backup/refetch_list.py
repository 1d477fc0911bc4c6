"""What is not in a backup because it can be had again: its addresses are, and a restored vault has it fetched, behind everybody."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import Settings
from image_cache.covers import NAMESPACE
from image_cache.covers.build import open_covers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError
from image_cache.errors import CacheError, OriginDenied
from image_cache.files.index import FileIndex
from image_cache.files.paths import remote
from image_cache.maintenance.backup.staging import Staging
from image_cache.records.table import AlbumTable

LINES_AT_A_TIME = 400
MOST_LINE_BYTES = 16384


def cover_lines(conn: Connection) -> Iterator[bytes]:
    """Yield what the register knows of each cover, as lines of JSON."""
    columns = "identity, url, revision, digest, body_sha256, etag, width, height"
    return _lines(conn, f"SELECT {columns} FROM images WHERE namespace = '{NAMESPACE}' ORDER BY identity")


def file_lines(conn: Connection) -> Iterator[bytes]:
    """Yield what is known of each large file, as lines of JSON."""
    return _lines(conn, "SELECT url, name, sha256, size_bytes, ttl_s FROM files ORDER BY url")


def register_for_refetch(settings: Settings, staging: Staging, notes: list[str]) -> int:
    """Register covers and large files; returns how many covers there are now. What cannot be done now is said in `notes`."""
    try:
        _expect_files(settings, staging.path_of("files.jsonl"))
        return _expect_covers(settings, staging.path_of("covers.jsonl"))
    except (CacheError, DatabaseError, OSError) as error:
        notes.append(f"Covers are registered when the service starts, not now: {error}")
        return 0


def _expect_covers(settings: Settings, path: Path) -> int:
    """Register every cover with the hash that it had: a fetch that brings other bytes gives it another address."""
    parts, catalog = open_covers(settings), CatalogDatabase(settings.catalog_path)
    covers = parts.covers
    try:
        covers.register(AlbumTable(catalog).cover_urls())
        for lines in _portions(path):
            known: dict[str, bytes | None] = {}
            urls: list[str] = []
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    known[str(line["identity"])] = bytes.fromhex(line["body_sha256"]) if line["body_sha256"] else None
                    urls.append(str(line["url"]))
            covers.register_addresses(urls)  # those of the net alone: what lies on this machine, the catalogue names
            with covers.cache.index.database.write() as conn:
                covers.registry.register_for_refetch(conn, NAMESPACE, known)
        return covers.registry.summary(NAMESPACE)[0]
    finally:
        catalog.close()
        parts.close()


def _expect_files(settings: Settings, path: Path) -> None:
    index = FileIndex(settings.files_dir / "files.db")
    try:
        for lines in _portions(path):
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError, OriginDenied):
                    target = remote(str(line["url"]))
                    ttl_s = None if line["ttl_s"] is None else float(line["ttl_s"])
                    if index.find(target.digest) is None:
                        index.add_pending(target, sha256="", ttl_s=ttl_s, is_wanted=True, state="waiting")
    finally:
        index.close()


def _portions(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield what was known, some hundred lines at a time; a line that makes no sense is passed over."""
    if not path.is_file():
        return
    portion: list[dict[str, Any]] = []
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES):
            with contextlib.suppress(ValueError, RecursionError):
                known = json.loads(line)
                if isinstance(known, dict):
                    portion.append(known)
            if len(portion) >= LINES_AT_A_TIME:
                yield portion
                portion = []
    if portion:
        yield portion


def _lines(conn: Connection, sql: str) -> Iterator[bytes]:
    for row in conn.execute(sql):
        facts = {name: value.hex() if isinstance(value, bytes) else value for name, value in dict(row).items()}
        yield json.dumps(facts).encode() + b"\n"
