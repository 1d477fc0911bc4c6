"""The storage interface for originals. Names are relative paths with slashes.

A name is used once and never overwritten with other bytes, so that no store has to support conditional writes.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from image_cache.errors import StorageError
from image_cache.filesystem import make_folder, replacing

CHUNK_BYTES = 1 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_SCHEME = re.compile(r"[a-z0-9]+://[^/]+/")

Body = bytes | Iterable[bytes]


class Storage(Protocol):
    """What every store does. All methods do I/O, may be called by any thread, and raise `StorageError`."""

    kind: str

    def put(self, name: str, body: Body) -> int:
        """Store all of the bytes or none, and return only when they would survive a power cut; returns how many."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return the bytes, None if there are none under this name."""
        ...

    def read_range(self, name: str, start: int, stop: int) -> bytes | None:
        """Return the bytes from `start` up to `stop`, None if there are none under this name."""
        ...

    def copy(self, name: str, target: str) -> bool:
        """Store the bytes of one name under another, as `put` does. Return False if there are none."""
        ...

    def delete(self, name: str) -> bool:
        """Remove the bytes. Return False if there were none."""
        ...

    def exists(self, name: str) -> bool: ...

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the names below a folder (all without one) in order, each with its size in bytes."""
        ...

    def url(self, name: str, expires_s: int = 300) -> str:
        """Return a URL from which an operator can read the bytes until it expires."""
        ...

    def upload_file(self, local_path: str | Path, remote_path: str) -> int:
        """Store a file; returns its size in bytes."""
        ...

    def download_file(self, remote_path: str, local_path: str | Path) -> int:
        """Write the bytes to a file, all or none; returns how many. Raises `StorageError` if there are none."""
        ...


def name_parts(name: str) -> list[str]:
    """Split a name into its parts. A URL such as `s3://bucket/a/b` counts as `a/b`. Raises `StorageError` for an invalid name."""
    parts = _SCHEME.sub("", name, count=1).split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise StorageError(repr(name[:200]), "not a valid storage name")
    return parts


def upload_file(storage: Storage, local_path: str | Path, remote_path: str) -> int:
    """Store a file; see `Storage.upload_file`."""
    try:
        with Path(local_path).open("rb") as file:
            return storage.put(remote_path, iter(lambda: file.read(CHUNK_BYTES), b""))
    except OSError as error:
        raise StorageError(str(local_path), error.strerror or str(error)) from error


def download_file(storage: Storage, remote_path: str, local_path: str | Path) -> int:
    """Write stored bytes to a file; see `Storage.download_file`."""
    body = storage.get(remote_path)
    if body is None:
        raise StorageError(remote_path, "not found")
    target = Path(local_path).absolute()
    try:
        make_folder(target.parent)
        with replacing(target, is_durable=True) as file:
            return file.write(body)
    except OSError as error:
        raise StorageError(str(target), error.strerror or str(error)) from error
