"""Tags and embedded images of music files, by mutagen. Runs in the child of `tag_reader` only: such files may be hostile.

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
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3, ID3NoHeaderError
from mutagen.mp3 import MP3, HeaderNotFoundError
from mutagen.mp4 import MP4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

MAX_PICTURE_BYTES = 10_000_000
MAX_CHARS = 300  # of one value; the catalogue stores less
MAX_VALUES = 8
FRONT = 3  # the type of a front cover, in all formats that have types
LINK = "-->"  # the MIME type of an image that is only an address

# What mutagen raises for malformed files. Not MemoryError: that is the limit of the process.
BROKEN = (
    *(MutagenError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, OSError),
    *(RecursionError, AssertionError, struct.error, zlib.error),
)
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
    """A picture block of a FLAC file; a malformed one is empty, and the rest of the file is read."""

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
            raise NotMusic("not music, whatever its name says") from error
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
    return {"WAVE": "WAV", "AIFF": "AIFF"}.get(type(found).__name__, "MP3"), _of_id3(found.tags)


_COMMENTS = {
    "title": ("title",),
    "artist": ("artist",),
    "albumartist": ("albumartist", "album artist", "album_artist"),
    "album": ("album",),
    "date": ("date", "year", "originaldate"),
    "genres": ("genre",),
    "label": ("label", "organization", "publisher"),
    "catno": ("catalognumber", "labelno"),
    "barcode": ("barcode", "upc", "ean"),
    "mbid": ("musicbrainz_albumid",),
    "track": ("tracknumber", "track"),
    "disc": ("discnumber", "disc"),
    "compilation": ("compilation",),
}
_ID3 = {
    "title": ("TIT2",),
    "artist": ("TPE1",),
    "albumartist": ("TPE2", "txxx:albumartist", "txxx:album artist"),
    "album": ("TALB",),
    "date": ("TDRC", "TDRL", "TDOR"),
    "genres": ("TCON",),
    "label": ("TPUB", "txxx:label"),
    "catno": ("txxx:catalognumber", "txxx:catalog #"),
    "barcode": ("txxx:barcode", "txxx:upc"),
    "mbid": ("txxx:musicbrainz album id",),
    "track": ("TRCK",),
    "disc": ("TPOS",),
    "compilation": ("TCMP",),
}
_OWN = "----:com.apple.iTunes:"
_MP4 = {
    "title": ("\xa9nam",),
    "artist": ("\xa9ART",),
    "albumartist": ("aART",),
    "album": ("\xa9alb",),
    "date": ("\xa9day",),
    "genres": ("\xa9gen",),
    "label": (f"{_OWN}LABEL",),
    "catno": (f"{_OWN}CATALOGNUMBER",),
    "barcode": (f"{_OWN}BARCODE",),
    "mbid": (f"{_OWN}MusicBrainz Album Id",),
}


def _of_comments(tags: Any) -> dict[str, Any]:
    return _pick(_COMMENTS, lambda key: (tags or {}).get(key, ()))


def _of_id3(tags: Any) -> dict[str, Any]:
    if tags is None:
        return _pick(_ID3, lambda key: ())
    described = {f"txxx:{frame.desc.lower()}": frame.text for frame in tags.getall("TXXX")}

    def values(key: str) -> Iterable[Any]:
        if key.startswith("txxx:"):
            return list(described.get(key, ()))
        frame = tags.get(key)
        return () if frame is None else list(frame.genres if key == "TCON" else frame.text)

    return _pick(_ID3, values)


def _of_mp4(found: Any) -> tuple[str, dict[str, Any]]:
    tags = found.tags or {}
    values = _pick(_MP4, lambda key: tags.get(key, ()))
    for name, key in (("track", "trkn"), ("disc", "disk")):
        pairs = tags.get(key) or [(0, 0)]
        values[name] = str(pairs[0][0] or "")
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
    """Yield (type, MIME type, bytes) of every image that can be read; malformed ones are skipped."""
    tags = found.tags
    if isinstance(found, MP4):
        for cover in (tags or {}).get("covr", ()):
            yield FRONT, "", bytes(cover)
    elif isinstance(found, FLAC | OggFLAC | OggOpus | OggVorbis):
        blocks = list(found.pictures) if isinstance(found, FLAC) else []
        for text in (tags or {}).get("metadata_block_picture", ()):
            try:
                blocks.append(Picture(base64.b64decode(text)))
            except BROKEN:
                continue
        for block in blocks:
            yield int(block.type), str(block.mime), block.data
        for text in (tags or {}).get("coverart", ()):  # an older way than picture blocks
            try:
                yield 0, "", base64.b64decode(text)
            except ValueError:
                continue
    elif tags is not None:
        for frame in tags.getall("APIC"):
            yield int(frame.type), str(frame.mime), frame.data


def _is_usable(mime: str, data: bytes) -> bool:
    is_picture = data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
    return mime != LINK and is_picture and len(data) <= MAX_PICTURE_BYTES


def _reason(error: BaseException) -> str:
    return f"cannot be read ({os.fspath(str(error))[:120] or type(error).__name__})"
