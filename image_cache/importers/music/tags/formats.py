"""Tags and embedded images of music files, by mutagen. Runs in the child of `reader` only: such files may be hostile.

mutagen reads whole tags into memory, decompresses frames without a limit, and needs time that grows with the square of the number
of frames. The limits of the process guard against that; this module only knows what the tags mean.
"""

import base64
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from mutagen import FileType, MutagenError
from mutagen.aiff import AIFF
from mutagen.apev2 import BINARY, TEXT
from mutagen.asf import ASF
from mutagen.dsf import DSF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3, ID3NoHeaderError
from mutagen.monkeysaudio import MonkeysAudio
from mutagen.mp3 import MP3, HeaderNotFoundError
from mutagen.mp4 import MP4
from mutagen.musepack import Musepack
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE
from mutagen.wavpack import WavPack

from image_cache.importers.music.tags.keys import APE_KEYS, ASF_KEYS, COMMENTS_KEYS, ID3_KEYS, MP4_KEYS

MAX_PICTURE_BYTES = 10_000_000
MAX_CHARS = 300  # of one value; the catalogue stores less
MAX_VALUES = 8
FRONT = 3  # the type of a front cover, in all formats that have types
MAX_NULS = 4  # before an embedded image
LINK = "-->"  # the MIME type of an image that is only an address

# What mutagen raises for malformed files. Not MemoryError: that is the limit of the process.
BROKEN = (
    *(MutagenError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, OSError),
    *(RecursionError, AssertionError, struct.error, zlib.error),
)
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")


class NotMusic(Exception):
    """The file is no music file, or so broken that nothing of it can be read."""


class Bounded(io.BufferedReader):
    """An open file from which no more is read than it has: a tag may claim four gigabytes, for which memory would be reserved."""

    def __init__(self, file: int) -> None:
        super().__init__(io.FileIO(file))
        self._size_bytes = os.fstat(file).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > 65536:
            size = max(0, min(size, self._size_bytes - self.tell()))
        return super().read(size)


class _Picture(Picture):  # type: ignore[misc]
    """A `METADATA_BLOCK_PICTURE` of a FLAC file; a malformed one is empty, and the rest of the file is read."""

    def load(self, data: Any) -> None:
        start = data.tell()
        data.seek(start - 3)  # the length of the block
        size = int.from_bytes(data.read(3), "big")
        try:
            super().load(data)
        except BROKEN:
            self.data = b""
            data.seek(start + size)


class _Flac(FLAC):  # type: ignore[misc]
    METADATA_BLOCKS = [_Picture if block is Picture else block for block in FLAC.METADATA_BLOCKS]


class _Bare(FileType):  # type: ignore[misc]
    """An MP3 file of which only the tag can be read."""


def read(file: BinaryIO) -> dict[str, Any]:
    """Return the tags: all values as text, `seconds` None if unknown. Raises `NotMusic`."""
    try:
        found = _open(file)
        kind, values = _values(found)
        length = getattr(found.info, "length", None)
        seconds = round(length) if length and 0 < length < 1_000_000 else None
    except BROKEN as error:
        raise NotMusic(_reason(error)) from error
    usable, is_large = False, False
    for _, mime, data in _pictures(found):
        usable = usable or _is_usable(mime, data)
        is_large = is_large or len(data) > MAX_PICTURE_BYTES
    return {**values, "kind": kind, "seconds": seconds, "has_picture": usable, "has_large_picture": is_large}


def picture(file: BinaryIO) -> bytes | None:
    """Return the embedded front cover, else the first image, or None if there is none. Raises `NotMusic`."""
    try:
        found = _open(file)
    except BROKEN as error:
        raise NotMusic(_reason(error)) from error
    usable = [
        (type_ != FRONT, index, data) for index, (type_, mime, data) in enumerate(_pictures(found)) if _is_usable(mime, data)
    ]
    return min(usable)[2] if usable else None


def _open(file: BinaryIO) -> Any:
    """Parse a file by its first bytes; its name does not matter."""
    head = file.read(64)
    file.seek(0)
    if head[:4] == b"OggS":
        marks = ((b"OpusHead", OggOpus), (b"\x7fFLAC", OggFLAC), (b"", OggVorbis))
        return next(kind for mark, kind in marks if mark in head)(file)
    kinds: list[tuple[bool, Callable[[BinaryIO], Any]]] = [
        (head[:4] == b"fLaC", _Flac),
        (head[:3] == b"ID3" and _has_flac_behind(file, head), _Flac),
        (head[4:8] == b"ftyp", MP4),
        (head[:4] + head[8:12] == b"RIFFWAVE", WAVE),
        (head[:4] + head[8:11] == b"FORMAIF", AIFF),
        (head[:16] == _ASF, ASF),
        (head[:4] == b"MAC ", MonkeysAudio),
        (head[:4] == b"wvpk", WavPack),
        (head[:3] == b"MP+" or head[:4] == b"MPCK", Musepack),
        (head[:4] == b"DSD ", DSF),
        (True, _mp3),
    ]
    return next(kind for is_it, kind in kinds if is_it)(file)


def _mp3(file: BinaryIO) -> Any:
    try:
        return MP3(file)
    except HeaderNotFoundError:
        file.seek(0)
        bare = _Bare()
        try:
            bare.tags, bare.info = ID3(file), None
        except ID3NoHeaderError as error:
            raise NotMusic("not a music file, despite its name") from error
        return bare


def _has_flac_behind(file: BinaryIO, head: bytes) -> bool:
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
    file.seek(10 + size)
    mark = file.read(4)
    file.seek(0)
    return mark == b"fLaC"


def _values(found: Any) -> tuple[str, dict[str, Any]]:
    """Return the format of a file and its values under our names."""
    if isinstance(found, MP4):
        return _of_mp4(found)
    if isinstance(found, FLAC | OggFLAC | OggOpus | OggVorbis):
        kind = {"OggOpus": "Opus", "OggVorbis": "Ogg Vorbis"}.get(type(found).__name__, "FLAC")
        return kind, _of_comments(found.tags)
    if isinstance(found, ASF):
        return "WMA", _pick(ASF_KEYS, lambda key: [value.value for value in found.tags.get(key, ())])
    if isinstance(found, MonkeysAudio | WavPack | Musepack):
        kind = {"MonkeysAudio": "APE", "Musepack": "MPC"}.get(type(found).__name__, "WavPack")
        return kind, _pick(APE_KEYS, lambda key: _of_ape(found.tags, key))
    return {"WAVE": "WAV", "AIFF": "AIFF", "DSF": "DSF"}.get(type(found).__name__, "MP3"), _of_id3(found.tags)


def _of_ape(tags: Any, key: str) -> Iterable[Any]:
    value = None if tags is None else tags.get(key)
    return list(value) if value is not None and value.kind == TEXT else ()


def _of_comments(tags: Any) -> dict[str, Any]:
    values = _pick(COMMENTS_KEYS, lambda key: (tags or {}).get(key, ()))
    total = values.pop("discs")
    if total and values["disc"] and "/" not in values["disc"]:
        values["disc"] = f"{values['disc']}/{total}"
    return values


def _of_id3(tags: Any) -> dict[str, Any]:
    if tags is None:
        return _pick(ID3_KEYS, lambda key: ())
    described = {f"txxx:{frame.desc.lower()}": frame.text for frame in tags.getall("TXXX")}

    def values(key: str) -> Iterable[Any]:
        if key.startswith("txxx:"):
            return list(described.get(key, ()))
        frame = tags.get(key)
        return () if frame is None else list(frame.genres if key == "TCON" else frame.text)

    return _pick(ID3_KEYS, values)


def _of_mp4(found: Any) -> tuple[str, dict[str, Any]]:
    tags = found.tags or {}
    values = _pick(MP4_KEYS, lambda key: tags.get(key, ()))
    for name, key in (("track", "trkn"), ("disc", "disk")):
        pairs = tags.get(key) or [(0, 0)]
        number, total = pairs[0]
        values[name] = f"{number}/{total}" if number and total and name == "disc" else str(number or "")
    values["compilation"] = "1" if tags.get("cpil") else ""
    codec = getattr(found.info, "codec", "") or ""
    return ("ALAC" if codec.lower() == "alac" else "AAC"), values


def _pick(table: Mapping[str, tuple[str, ...]], values: Callable[[str], Iterable[Any]]) -> dict[str, Any]:
    """Return for each of our names the value of the first of its keys that has one."""
    picked: dict[str, Any] = {}
    for name, keys in table.items():
        texts = next((texts for key in keys if (texts := list(_texts(values(key))))), [])
        picked[name] = texts if name == "genres" else ", ".join(texts[:MAX_VALUES])[:MAX_CHARS]
    return picked


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in list(values)[:MAX_VALUES]:
        text = bytes(value[: 4 * MAX_CHARS]).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if text := text.strip("\0 \t\r\n")[:MAX_CHARS]:
            yield text


def _pictures(found: Any) -> Iterator[tuple[int, str, bytes]]:
    """Yield (type, MIME type, bytes) of every image that can be read; malformed ones are skipped.

    Programs that count one byte too few after a description leave a NUL before the image: it is no part of it.
    """
    for type_, mime, data in _raw_pictures(found):
        yield type_, mime, data[:MAX_NULS].lstrip(b"\0") + data[MAX_NULS:]


def _raw_pictures(found: Any) -> Iterator[tuple[int, str, bytes]]:
    tags = found.tags
    if isinstance(found, FLAC | OggFLAC | OggOpus | OggVorbis):
        yield from _comment_pictures(found)
    elif tags is None:
        return
    elif isinstance(found, MP4):
        for cover in tags.get("covr", ()):
            yield FRONT, "", bytes(cover)
    elif isinstance(found, ASF):
        for value in tags.get("WM/Picture", ()):
            yield from _asf_picture(value.value)
    elif isinstance(found, MonkeysAudio | WavPack | Musepack):
        yield from _ape_pictures(tags)
    else:
        for frame in tags.getall("APIC"):
            yield int(frame.type), str(frame.mime), frame.data


def _comment_pictures(found: Any) -> Iterator[tuple[int, str, bytes]]:
    tags = found.tags or {}
    blocks = list(found.pictures) if isinstance(found, FLAC) else []
    for text in tags.get("metadata_block_picture", ()):
        try:
            blocks.append(Picture(base64.b64decode(text)))
        except BROKEN:
            continue
    for block in blocks:
        yield int(block.type), str(block.mime), block.data
    for text in tags.get("coverart", ()):  # an older form than `METADATA_BLOCK_PICTURE`
        try:
            yield 0, "", base64.b64decode(text)
        except ValueError:
            continue


def _ape_pictures(tags: Any) -> Iterator[tuple[int, str, bytes]]:
    for key, type_ in (("cover art (front)", FRONT), ("cover art (back)", FRONT + 1)):
        value = tags.get(key)
        if value is not None and value.kind == BINARY:  # a file name, NUL, the image
            name, _, data = value.value.partition(b"\0")
            yield type_, "", data if len(name) < MAX_CHARS else b""


def _asf_picture(data: Any) -> Iterator[tuple[int, str, bytes]]:
    """Yield the image of a `WM/Picture`: its type, its length, MIME type and description in UTF-16 with a NUL, its bytes."""
    if not isinstance(data, bytes) or len(data) < 9:
        return
    type_, length = struct.unpack_from("<BI", data)
    at, mime = 5, ""
    for _ in range(2):
        end = next((n for n in range(at, min(len(data) - 1, at + 4 * MAX_CHARS), 2) if data[n : n + 2] == b"\0\0"), None)
        if end is None:
            return
        mime = mime or data[at:end].decode("utf-16-le", "replace")
        at = end + 2
    yield type_, mime, data[at:][:length]


def _is_usable(mime: str, data: bytes) -> bool:
    is_picture = data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
    return mime != LINK and is_picture and len(data) <= MAX_PICTURE_BYTES


def _reason(error: BaseException) -> str:
    return f"cannot be read ({os.fspath(str(error))[:120] or type(error).__name__})"
