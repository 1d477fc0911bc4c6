"""Backup archive: a plain tar that every tool can read, and a reader that trusts nothing in it.

The first member is a header with the format, the last one lists every member with its SHA-256. In between there are regular
files under relative names; anything else that a tar can hold is refused.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from image_cache.errors import ArchiveRejected
from image_cache.frozen import frozen

HEAD, LIST = "vinylvault.json", "manifest.jsonl"
FORMAT = 1
CHUNK_BYTES = 1 << 20
BLOCK = tarfile.BLOCKSIZE
MAX_NAME_CHARS = 1000
MAX_PART_BYTES = 255
MAX_LINE_BYTES = 16384  # of the list, and of the extension header of a long name
MAX_HEAD_BYTES = 65536
MAX_MEMBERS = 4_000_000
KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"5": "a folder", b"6": "a pipe"}


@frozen
class ArchiveMember:
    name: str
    size_bytes: int


class SourceFailed(Exception):
    """A source file could not be read to its end: it became shorter meanwhile, or its disk failed."""


class ArchiveWriter:
    """Writes one archive to a seekable file. One thread. Raises `OSError`."""

    def __init__(self, file: BinaryIO, head: dict[str, Any]) -> None:
        self._file = file
        # Without a name on the disk, so that a crash leaves nothing.
        self._lines = tempfile.TemporaryFile(dir=Path(file.name).parent)  # noqa: SIM115  closed by `close`
        self.members = 0
        self.add_bytes(HEAD, json.dumps({"format": FORMAT, **head}, indent=1).encode())

    def add_bytes(self, name: str, body: bytes) -> None:
        self.add(name, len(body), [body])

    def add_stream(self, name: str, file: BinaryIO) -> None:
        """Add all of a seekable file."""
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self.add(name, size, chunks_of(file))

    def add(self, name: str, size_bytes: int, chunks: Iterable[bytes]) -> bytes:
        """Add a member of exactly this size, cut if the source is longer; return its SHA-256.

        Raises `SourceFailed` when the source is shorter or cannot be read; the archive is as before then.
        """
        begin = self._file.tell()
        try:
            self._file.write(_header(name, size_bytes))
            sha256, left = hashlib.sha256(), size_bytes
            for chunk in chunks:
                part = chunk[:left]
                self._file.write(part)
                sha256.update(part)
                left -= len(part)
                if not left:
                    break
            if left:
                raise SourceFailed("the file shrank while it was being read")
            self._file.write(bytes(-size_bytes % BLOCK))
        except SourceFailed:
            self._file.seek(begin)
            self._file.truncate()
            raise
        line = {"name": name, "size": size_bytes, "sha256": sha256.hexdigest()}
        self._lines.write(json.dumps(line).encode() + b"\n")
        self.members += 1
        return sha256.digest()

    def finish(self) -> None:
        """Write the list and the end. The file is durable when this returns."""
        size = self._lines.tell()
        self._lines.seek(0)
        self._file.write(_header(LIST, size))
        for chunk in chunks_of(self._lines):
            self._file.write(chunk)
        self._file.write(bytes(-size % BLOCK + 2 * BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._lines.close()


class ArchiveReader:
    """Reads an archive once, from beginning to end. Raises `ArchiveRejected` for every deviation from the format.

    Memory does not grow with the size of members; no size in a header is trusted before the bytes are there.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = os.fstat(file.fileno()).st_size
        self._found: dict[str, tuple[int, bytes]] = {}  # of the members that were read: name -> (size, SHA-256)
        self.head = self._read_head()

    def members(self) -> Iterator[tuple[ArchiveMember, Iterator[bytes]]]:
        """Yield every member but the first and the last, with its bytes, which must be read to their end. Check the list at the end."""
        while True:
            member = self._next()
            if member is None:
                raise self._no("the file is incomplete: its manifest is missing")
            if member.name == LIST:
                break
            if member.name in self._found or len(self._found) > MAX_MEMBERS:
                raise self._no(f"{member.name!r} appears twice")
            yield member, self._body(member)
            if member.name not in self._found:
                raise RuntimeError("an entry is incomplete")
        self._compare(member)
        is_over = self._next() is None
        rest = self._file.read(CHUNK_BYTES)
        if len(rest) < BLOCK:
            raise self._no("the file is incomplete: its end is missing")
        if not is_over or rest.strip(b"\0"):
            raise self._no("there is extra data after the end of the archive")

    def _read_head(self) -> dict[str, Any]:
        try:
            member = self._next()
        except ArchiveRejected as error:
            raise self._no("not a VinylVault backup") from error
        if member is None or member.name != HEAD or member.size_bytes > MAX_HEAD_BYTES:
            raise self._no("not a VinylVault backup")
        try:
            head = json.loads(b"".join(self._body(member)))
            number = int(head["format"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._no("not a VinylVault backup") from error
        if number != FORMAT:
            raise self._no(
                f"it uses backup format {number}, but this version supports {FORMAT}; restore it with the version that created it"
            )
        return dict(head)

    def _next(self) -> ArchiveMember | None:
        """Read a header, and the extension header that may precede it with a long name or size. None at the end."""
        info = self._header()
        if info is None:
            return None
        extended: dict[str, str] = {}
        if info.type == tarfile.XHDTYPE:
            if not 0 < info.size <= MAX_LINE_BYTES:
                raise self._no("a header is too large for a VinylVault backup")
            extended = _records(self._exactly(info.size + -info.size % BLOCK)[: info.size])
            info = self._header()
            if info is None:
                raise self._no("the file is incomplete")
        name = extended.get("path", info.name)
        try:
            size = int(extended.get("size", info.size))
        except ValueError:
            raise self._no(f"{name[:80]!r} has no size") from None
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise self._no(f"{name[:80]!r} is {KINDS.get(info.type, 'of a type that does not belong in a backup')}")
        self._check_name(name)
        if not 0 <= size <= self._size - self._file.tell():
            raise self._no(f"the file is incomplete: {name[:80]!r} is cut off")
        return ArchiveMember(name, size)

    def _header(self) -> tarfile.TarInfo | None:
        block = self._exactly(BLOCK)
        if not block.strip(b"\0"):
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError) as error:
            raise self._no("a header is corrupt") from error

    def _check_name(self, name: str) -> None:
        parts = name.split("/")
        if name.startswith("/") or "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise self._no(f"{name[:80]!r} points outside the data folder; do not use this file")
        too_long = any(len(os.fsencode(part)) > MAX_PART_BYTES for part in parts)
        if len(name) > MAX_NAME_CHARS or too_long:
            raise self._no(f"the name {name[:80]!r} is too long")

    def _body(self, member: ArchiveMember) -> Iterator[bytes]:
        sha256, left = hashlib.sha256(), member.size_bytes
        while left:
            chunk = self._exactly(min(left, CHUNK_BYTES))
            sha256.update(chunk)
            left -= len(chunk)
            yield chunk
        self._exactly(-member.size_bytes % BLOCK)
        self._found[member.name] = (member.size_bytes, sha256.digest())

    def _compare(self, member: ArchiveMember) -> None:
        """Compare the members that were read with the list: their names, sizes and hashes."""
        rest, seen = b"", 0
        for chunk in self._body(member):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise self._no("its manifest is corrupt")
            for line in lines:
                self._compare_line(line)
                seen += 1
        if rest or seen != len(self._found) - 1:  # which includes the list itself
            raise self._no("its manifest does not match its contents")

    def _compare_line(self, line: bytes) -> None:
        try:
            listed = json.loads(line)
            name, size, sha256 = str(listed["name"]), int(listed["size"]), bytes.fromhex(listed["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._no("its manifest is corrupt") from error
        if name not in self._found:
            raise self._no(f"{name[:80]!r} is missing")
        if self._found[name] != (size, sha256):
            raise self._no(f"{name[:80]!r} is corrupt (checksum mismatch)")

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise self._no("the file is incomplete; it was cut short")
        return data

    def _no(self, reason: str) -> ArchiveRejected:
        return ArchiveRejected(str(self._path), reason)


def is_archive(path: Path) -> bool:
    """Return True if a file begins like one of our archives."""
    try:
        with path.open("rb") as file:
            return file.read(len(HEAD) + 1) == HEAD.encode() + b"\0"
    except OSError:
        return False


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield all of a file. Raises `SourceFailed`, to tell a source that cannot be read from an archive that cannot be written."""
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except OSError as error:
            raise SourceFailed(error.strerror or str(error)) from error
        if not chunk:
            return
        yield chunk


def _header(name: str, size_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size_bytes, 0o600
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _records(data: bytes) -> dict[str, str]:
    """Parse an extension header (pax, POSIX.1-2001): lines of length, name and value. Malformed ones are left out."""
    found: dict[str, str] = {}
    while data:
        length, _, _ = data[:12].partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(data):
            break
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        name, _, value = record.partition(b"=")
        if name in (b"path", b"size"):
            found[name.decode()] = value.decode("utf-8", "surrogateescape")
    return found
