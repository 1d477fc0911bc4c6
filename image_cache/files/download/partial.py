"""Partial downloads: a locked `.part` beside the final place of a file, with a note from which any process can resume it."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from image_cache.errors import StorageError
from image_cache.files.download.checksums import Hasher
from image_cache.files.paths import note_path
from image_cache.filesystem import make_folder, replacing, try_lock
from image_cache.units import MEGABYTE

PROGRESS_BYTES = 64 * 1024  # an attempt that came this much further than any before it counts as progress
MAX_CUTS = 6  # in a row that brought bytes and no progress; a file that cannot be resumed has so many further tries
MAX_RESENT, RESENT_SLACK_BYTES = 8, 1_000_000  # received in all, as a multiple of the furthest byte
READ_BYTES = 1 << 20
FLOOR_EVERY_BYTES = 8 << 20  # how often the free space is checked
SYNC_EVERY_S = 30.0  # a power cut costs this much of a download, not all of it
LOCK_RETRY_S = 0.1  # between two tries for a lock that another process holds
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True)
class PartialMetadata:
    """The note of a part: which version of which URL its bytes belong to, and the mirror (`source`) they came from.

    `synced_bytes` have been synced to disk; bytes beyond them are valid only within the same `boot` of the machine.
    """

    url: str = ""
    source: str = ""
    etag: str = ""
    last_modified: str = ""
    is_strong_date: bool = False
    total_bytes: int | None = None
    promised: dict[str, str] = field(default_factory=dict)
    boot: str = ""
    synced_bytes: int = 0

    @property
    def validator(self) -> str:
        """The strong validator for If-Range: an ETag or a date. Empty if a resumed download could mix two versions."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified if self.is_strong_date else ""


class PartialFile:
    """One `.part`, open and locked. Use `PartialFile.locked`; only this object writes to it until it is closed or published."""

    def __init__(self, path: Path, fd: int, floor_bytes: int) -> None:
        self.path = path
        self.note = _read_note(note_path(path))
        self.hasher = Hasher()
        self.is_published = False
        self._fd = fd
        self._floor_bytes = floor_bytes
        self._size = os.fstat(fd).st_size
        self._checked_size = 0
        self._synced_at = time.monotonic()
        if self.note.boot != boot_id() and self._size > self.note.synced_bytes:
            self._truncate(self.note.synced_bytes)  # the machine went down since: the rest may be zeros

    @classmethod
    @contextlib.contextmanager
    def locked(cls, path: Path, wait: Callable[[float], object], floor_bytes: int = 0) -> Iterator[Self]:
        """Open the part exclusively. While another thread or process has it, call `wait(seconds)`; what that raises ends the wait.

        Raises `StorageError`.
        """
        with _disk(path):
            make_folder(path.parent)
        while True:
            with _disk(path):
                fd = os.open(path, _OPEN_FLAGS, 0o600)
            try:
                # Its last holder may have published it: then this is the finished file, and the part is another one.
                is_current = try_lock(fd) and os.fstat(fd).st_ino == _inode(path)
            except BaseException:
                os.close(fd)
                raise
            if is_current:
                break
            os.close(fd)
            wait(LOCK_RETRY_S)
        try:
            yield cls(path, fd, floor_bytes)
        finally:
            with contextlib.suppress(OSError):
                if not os.fstat(fd).st_size and _inode(path) == os.fstat(fd).st_ino:
                    path.unlink()
                    note_path(path).unlink(missing_ok=True)
            os.close(fd)

    @property
    def size(self) -> int:
        return self._size

    def begin(self, note: PartialMetadata) -> None:
        """Start from nothing, with a new version."""
        self._truncate(0)
        self.note = note
        self._save()

    def update_note(self, **facts: Any) -> None:
        """Add what a later response said about the same version."""
        for name, value in facts.items():
            setattr(self.note, name, value)
        self._save()

    def hash(self, algorithms: set[str], step: Callable[[], object]) -> None:
        """Hash all bytes so far with these algorithms; reads the file again if one is new. `step` is called for each MB."""
        if algorithms <= self.hasher.algorithms and self.hasher.fed_bytes == self._size:
            return
        self.hasher = Hasher(algorithms | self.hasher.algorithms)
        buffer = memoryview(bytearray(min(READ_BYTES, self._size or 1)))
        while self.hasher.fed_bytes < self._size:
            with _disk(self.path):
                count = os.preadv(self._fd, [buffer], self.hasher.fed_bytes)
            if not count:
                raise StorageError(str(self.path), "file is incomplete")
            self.hasher.feed(buffer[:count])
            step()

    def append(self, data: bytes) -> None:
        """Append. Raises `StorageError` if the disk refuses, is full, or would have less free than the floor."""
        if self._size - self._checked_size >= FLOOR_EVERY_BYTES:
            self.check_room(0)
        with _disk(self.path):
            view = memoryview(data)
            while view:
                view = view[os.pwrite(self._fd, view, self._size + len(data) - len(view)) :]
        self.hasher.feed(data)
        self._size += len(data)
        if time.monotonic() - self._synced_at > SYNC_EVERY_S:
            self.sync()

    def head(self, count: int) -> bytes:
        return os.pread(self._fd, count, 0)

    def check_room(self, coming_bytes: int) -> None:
        """Raise `StorageError` if that many further bytes would leave less free than the floor."""
        self._checked_size = self._size
        with _disk(self.path):
            state = os.fstatvfs(self._fd)
            if state.f_bavail * state.f_frsize - coming_bytes < self._floor_bytes:
                raise OSError(errno.ENOSPC, f"not enough disk space (at least {self._floor_bytes // MEGABYTE} MB must stay free)")

    def sync(self) -> None:
        """Sync what has been received so far to disk."""
        with _disk(self.path):
            os.fdatasync(self._fd)
        self._synced_at = time.monotonic()
        self.note.synced_bytes = self._size
        self._save()

    def publish(self, target: Path, note: dict[str, object]) -> int:
        """Move the finished file to its place, its note first. Returns its modification time in nanoseconds.

        Not synced: the index has its hash, and after a power cut the file is verified before it is handed out.
        """
        with _disk(target):
            write_note(note_path(target), note)
            os.replace(self.path, target)
            self.is_published = True
            note_path(self.path).unlink(missing_ok=True)
            return os.fstat(self._fd).st_mtime_ns

    def _truncate(self, size: int) -> None:
        with _disk(self.path):
            os.ftruncate(self._fd, size)
        self._size = size
        self._checked_size = min(self._checked_size, size)
        self.hasher = Hasher()
        self.note.synced_bytes = min(self.note.synced_bytes, size)

    def _save(self) -> None:
        self.note.boot = boot_id()
        with _disk(self.path):
            write_note(note_path(self.path), asdict(self.note))


def write_note(path: Path, facts: dict[str, object]) -> None:
    """Write a note atomically. Raises `OSError`."""
    # One name is enough: only the holder of the part's lock writes it.
    with replacing(path, temp=path.with_name(f"{path.name}.new")) as file:
        file.write(json.dumps(facts).encode())


def read_note(path: Path) -> dict[str, Any]:
    """Return the contents of a note; an empty dictionary if there is none that can be read."""
    try:
        with path.open(encoding="utf-8") as file:
            facts = json.loads(file.read(100_000))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def boot_id() -> str:
    """Return the id of this boot of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _read_note(path: Path) -> PartialMetadata:
    facts = read_note(path)
    try:
        note = PartialMetadata(**{row.name: facts[row.name] for row in fields(PartialMetadata) if row.name in facts})
        note.synced_bytes = max(0, int(note.synced_bytes))
        note.total_bytes = None if note.total_bytes is None else int(note.total_bytes)
        note.promised = {str(name): str(value) for name, value in note.promised.items()}
    except (TypeError, ValueError, AttributeError):
        return PartialMetadata()
    return note


def _inode(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_ino
    except FileNotFoundError:
        return -1


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error


@dataclass(slots=True)
class FetchEffort:
    """What a fetch has cost, over all turns. `cuts`: attempts in a row that brought bytes and no progress."""

    furthest_bytes: int = 0
    received_bytes: int = 0
    cuts: int = 0

    def count(self, size_bytes: int, received_bytes: int) -> bool:
        """Count an attempt that ended with a part of that size; return True if it came further than any before it."""
        self.received_bytes += received_bytes
        is_progress = size_bytes - self.furthest_bytes >= PROGRESS_BYTES
        if is_progress:
            self.furthest_bytes, self.cuts = size_bytes, 0
        elif received_bytes:
            self.cuts += 1
        return is_progress

    @property
    def is_spent(self) -> bool:
        """True when the next attempt would most likely cost as much again for nothing."""
        return self.cuts >= MAX_CUTS or self.received_bytes > MAX_RESENT * self.furthest_bytes + RESENT_SLACK_BYTES
