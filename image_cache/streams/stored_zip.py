"""The ZIP format (PKWARE APPNOTE 6.3), as much of it as files that are stored, not compressed: every length is known in advance.

The headers say size and checksum before the data, so that programs that read a ZIP as it arrives can read these.
"""

import struct
import time

from image_cache.frozen import frozen

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_OFFSET_64 = struct.Struct("<2HQ")
MAX_32, MAX_16 = 0xFFFFFFFF, 0xFFFF  # what does not fit is in a field of 64 bits, and these stand in its place
UTF_8 = 0x0800
VERSION, VERSION_64 = 20, 45
UNIX_FILE = 0o100644 << 16
FIRST_YEAR, LAST_YEAR = 1980, 2107


@frozen
class ZipEntry:
    """A file of the archive: name, size in bytes and time (Unix seconds)."""

    name: str
    size_bytes: int
    at: float


class StoredZip:
    """Makes the headers of an archive, in the order in which they are sent. One thread at a time."""

    def __init__(self) -> None:
        self._offset = 0
        self._central: list[bytes] = []

    def begin(self, entry: ZipEntry, crc: int) -> bytes:
        """Return the header that comes before the data of a file."""
        name, (day, minute) = entry.name.encode(), _dos_time(entry.at)
        facts = (UTF_8, 0, minute, day, crc, entry.size_bytes, entry.size_bytes, len(name))
        local = _LOCAL.pack(b"PK\3\4", VERSION, *facts, 0) + name
        extra = _OFFSET_64.pack(1, 8, self._offset) if self._offset >= MAX_32 else b""
        version = VERSION_64 if extra else VERSION
        tail = (len(extra), 0, 0, 0, UNIX_FILE, min(self._offset, MAX_32))
        self._central.append(_CENTRAL.pack(b"PK\1\2", 3 << 8 | version, version, *facts, *tail) + name + extra)
        self._offset += len(local) + entry.size_bytes
        return local

    def end(self) -> bytes:
        """Return the directory of the archive, which comes last."""
        directory, count = b"".join(self._central), len(self._central)
        end = b""
        if count >= MAX_16 or self._offset + len(directory) >= MAX_32:
            end = _END_64.pack(b"PK\6\6", 44, VERSION_64, VERSION_64, 0, 0, count, count, len(directory), self._offset)
            end += _LOCATOR_64.pack(b"PK\6\7", 0, self._offset + len(directory), 1)
        counts = (min(count, MAX_16),) * 2
        end += _END.pack(b"PK\5\6", 0, 0, *counts, min(len(directory), MAX_32), min(self._offset, MAX_32), 0)
        return directory + end


def zip_size(entries: list[ZipEntry]) -> int:
    """Return the length of the archive in bytes: of the same headers, with another checksum."""
    archive, size = StoredZip(), 0
    for entry in entries:
        size += len(archive.begin(entry, 0)) + entry.size_bytes
    return size + len(archive.end())


def _dos_time(at: float) -> tuple[int, int]:
    """Return (day, minute) as MS-DOS wrote them: local time, to two seconds."""
    year, month, day, hour, minute, second = time.localtime(max(0.0, at))[:6]
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return 1 << 5 | 1, 0
    return (year - FIRST_YEAR) << 9 | month << 5 | day, hour << 11 | minute << 5 | min(second, 59) // 2
