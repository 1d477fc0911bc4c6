"""Small videos for tests, made by the real ffmpeg, and hostile ones made of them byte by byte."""

import functools
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

SECRETS = (b"secret title", b"ISO6709", b"+48.1372+011.5756/", b"Phone X")


@functools.cache
def video(
    seconds: float = 3, *, suffix: str = "mp4", size: str = "320x180", colour: str = "red", codec: str = "libx264"
) -> bytes:
    """Return a video with sound, and with the metadata of a phone: place, title, camera, time."""
    program = shutil.which("ffmpeg")
    assert program, "ffmpeg is missing: install the package ffmpeg"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made.{suffix}"
        command = [
            *(program, "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"color={colour}:s={size}:d={seconds}:r=10"),
            *("-f", "lavfi", "-i", f"sine=d={seconds}", "-c:v", codec, "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"),
            *("-metadata", "title=secret title", "-metadata", "com.apple.quicktime.location.ISO6709=+48.1372+011.5756/"),
            *("-metadata", "com.apple.quicktime.model=Phone X", "-metadata", "creation_time=2026-07-11T20:00:00Z"),
            *("-movflags", "use_metadata_tags", str(path)),
        ]
        subprocess.run(command, check=True)
        return path.read_bytes()


def box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def moov_of(body: bytes) -> tuple[int, int]:
    """Return where the index of a video starts and ends."""
    at = body.index(b"moov") - 4
    return at, at + int.from_bytes(body[at : at + 4], "big")


def with_moov(body: bytes, moov: bytes) -> bytes:
    """Return a video with another index, which is at its end."""
    start, end = moov_of(body)
    assert end == len(body)
    return body[:start] + box(b"moov", moov)


def inner_moov(body: bytes) -> bytes:
    start, end = moov_of(body)
    return body[start + 8 : end]


def replaced(body: bytes, name: bytes, at: int, value: bytes) -> bytes:
    """Return a video whose index has other bytes in its first box of a name, from a place in the body of that box on."""
    place = body.index(name, body.index(b"moov")) + 4 + at
    return body[:place] + value + body[place + len(value) :]


def url_of(url: str) -> bytes:
    """Return the entry of an index that refers to a URL."""
    return box(b"url ", bytes(4) + url.encode() + b"\0")


def alias_of(path: str) -> bytes:
    """Return the entry of an index that refers to a file by its path, as QuickTime wrote them: the one that ffmpeg can follow."""
    volume, name = b"disk", path.rpartition("/")[2].encode()
    record = bytes(10) + bytes([len(volume)]) + volume.ljust(27, b"\0") + bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + bytes(4) + bytes(16)
    whole = volume + path.replace("/", ":").encode()
    whole += b"\0" * (len(whole) % 2)
    return box(b"alis", bytes(4) + record + struct.pack(">HH", 2, len(whole)) + whole + struct.pack(">HH", 0xFFFF, 0))


def external(body: bytes, entry: bytes) -> bytes:
    """Return a video whose data is where this entry of its index says."""
    inner = inner_moov(body)
    at = inner.index(b"dref") - 4
    length = int.from_bytes(inner[at : at + 4], "big")
    made = box(b"dref", bytes(4) + struct.pack(">I", 1) + entry)
    # The containers around grow by the same number of bytes.
    grown = bytearray(inner[:at] + made + inner[at + length :])
    for name in (b"trak", b"mdia", b"minf", b"dinf"):
        place = inner.index(name) - 4
        old = int.from_bytes(inner[place : place + 4], "big")
        grown[place : place + 4] = struct.pack(">I", old + len(made) - length)
    return with_moov(body, bytes(grown))
