"""Refetch list: what a backup has instead of covers and large files, and how a restored vault enqueues them in the background."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from image_cache.config import Settings
from image_cache.covers import NAMESPACE
from image_cache.covers.build import open_covers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, DatabaseError
from image_cache.engine.registry import cover_facts
from image_cache.errors import CacheError, OriginDenied
from image_cache.files.disk.index import FileIndex, file_facts
from image_cache.files.paths import parse_remote
from image_cache.maintenance.backup.staging import Staging
from image_cache.records.table import AlbumTable

CHUNK_LINES = 400
MAX_LINE_BYTES = 16384


def cover_lines(conn: Connection) -> Iterator[bytes]:
    """Yield what the registry knows of each cover, as lines of JSON."""
    return map(_line, cover_facts(conn, NAMESPACE))


def file_lines(conn: Connection) -> Iterator[bytes]:
    """Yield what is known of each large file, as lines of JSON."""
    return map(_line, file_facts(conn))


def register_for_refetch(settings: Settings, staging: Staging, notes: list[str]) -> int:
    """Register covers and large files; return how many covers there are. What failed is added to `notes`."""
    try:
        _register_files(settings, staging.path_of("files.jsonl"))
        return _register_covers(settings, staging.path_of("covers.jsonl"))
    except (CacheError, DatabaseError, OSError) as error:
        notes.append(f"Covers could not be registered now; the service does it when it starts: {error}")
        return 0


def _register_covers(settings: Settings, path: Path) -> int:
    """Register every cover with the hash that it had: a fetch with other bytes gives it another URL."""
    parts, catalog = open_covers(settings), CatalogDatabase(settings.catalog_path)
    covers = parts.covers
    try:
        covers.register(AlbumTable(catalog).cover_urls())
        for lines in _chunks(path):
            known: dict[str, bytes | None] = {}
            urls: list[str] = []
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    known[str(line["identity"])] = bytes.fromhex(line["body_sha256"]) if line["body_sha256"] else None
                    urls.append(str(line["url"]))
            covers.register_addresses(urls)  # remote ones only: the catalogue names the local ones
            with covers.registry.database.write() as conn:
                covers.registry.register_for_refetch(conn, NAMESPACE, known)
        return covers.registry.summary(NAMESPACE)[0]
    finally:
        catalog.close()
        parts.close()


def _register_files(settings: Settings, path: Path) -> None:
    index = FileIndex(settings.files_dir / "files.db")
    try:
        for lines in _chunks(path):
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError, OriginDenied):
                    target = parse_remote(str(line["url"]))
                    ttl_s = None if line["ttl_s"] is None else float(line["ttl_s"])
                    if index.find(target.digest) is None:
                        index.add_pending(target, sha256="", ttl_s=ttl_s, is_wanted=True, state="waiting")
    finally:
        index.close()


def _chunks(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the entries of a list, some hundred at a time; a line that is not an object is skipped."""
    if not path.is_file():
        return
    chunk: list[dict[str, Any]] = []
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            with contextlib.suppress(ValueError, RecursionError):
                known = json.loads(line)
                if isinstance(known, dict):
                    chunk.append(known)
            if len(chunk) >= CHUNK_LINES:
                yield chunk
                chunk = []
    if chunk:
        yield chunk


def _line(facts: dict[str, object]) -> bytes:
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in facts.items()}
    return json.dumps(plain).encode() + b"\n"
