"""MP4 and QuickTime files read without a decoder: what a video is, and which of its bytes a viewer may get.

Runs before ffmpeg sees the bytes, in linear time, and trusts nothing. Of a file only the boxes that a player needs and the samples of
frames and sound are shown; location, camera, times, other tracks and whatever lies between are a mask of zeros over the same offsets.
"""

import datetime
import struct
import sys
from array import array
from collections.abc import Iterator
from typing import IO

from image_cache.errors import VideoRejected
from image_cache.frozen import frozen
from image_cache.imaging.video.mask import Mask, Range, gaps, merged
from image_cache.imaging.video.track import VideoTrack, chunks_of

MAX_MOOV_BYTES = 16 << 20
MAX_BOXES = 4096
MAX_TRACKS = 32
MAX_SAMPLES = 1_000_000
MAX_CHUNKS = 200_000
MAX_RANGES = 5000  # of the mask; a minute of a phone with tracks of its own has some hundred
MAX_PIXELS = 4096 * 2304
MAX_DURATION_S = 3600.0
# What the sample tables call the codecs that browsers play.
CODECS = {b"avc1", b"avc3", b"hvc1", b"hev1", b"av01", b"vp09", b"mp4v"}
_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_OLD_STARTS = {b"moov", b"mdat", b"wide"}  # of a QuickTime file without a brand
_PARTS = {
    b"moov": {b"mvhd", b"trak"},
    b"trak": {b"tkhd", b"edts", b"mdia"},
    b"edts": {b"elst"},
    b"mdia": {b"mdhd", b"hdlr", b"minf"},
    b"minf": {b"vmhd", b"smhd", b"dinf", b"stbl"},
    b"dinf": {b"dref"},
    b"stbl": {
        b"stsd",
        b"stts",
        b"ctts",
        b"cslg",
        b"stss",
        b"stps",
        b"stsc",
        b"stsz",
        b"stco",
        b"co64",
        b"sdtp",
        b"sgpd",
        b"sbgp",
    },
}
_WITH_TIMES = {b"mvhd", b"tkhd", b"mdhd"}
_FRAGMENTS = {b"moof", b"mvex", b"mfra", b"sidx"}
_EPOCH = datetime.datetime(1904, 1, 1, tzinfo=datetime.UTC)


@frozen
class VideoFacts:
    """A video that can be stored. `taken_at` is ISO 8601 by the clock of this server, "" if unknown."""

    duration_s: float
    dimensions: tuple[int, int]  # as coded: a phone that is held upright turns it
    taken_at: str
    mask: Mask
    suffix: str


@frozen
class _Box:
    name: bytes
    start: int
    body: int
    end: int


def is_video(head: bytes) -> bool:
    """Return True if the first 12 bytes are those of an MP4 or QuickTime file; photos of phones have the same container."""
    return (head[4:8] == b"ftyp" and head[8:12] not in _IMAGE_BRANDS) or head[4:8] in _OLD_STARTS


def read_video(file: IO[bytes], size: int) -> VideoFacts:
    """Return the facts of a video of `size` bytes. Raises `VideoRejected`."""
    top = list(_top_boxes(file, size))
    movies = [box for box in top if box.name == b"moov"]
    if len(movies) != 1:
        raise VideoRejected(
            "This video has no index: the end of its recording is missing." if not movies else "This video has two indexes."
        )
    movie = movies[0]
    if movie.end - movie.start > MAX_MOOV_BYTES:
        raise VideoRejected(f"The index of this video is too large: the limit is {MAX_MOOV_BYTES >> 20} MiB.")
    file.seek(movie.start)
    parsed = _Movie(file.read(movie.end - movie.start), movie.start)
    parsed.walk(_Box(b"moov", movie.start, movie.body, movie.end))
    data = [box for box in top if box.name == b"mdat"]
    kept = [*parsed.kept, *parsed.sample_ranges([(box.body, box.end) for box in data])]
    freed = list(parsed.freed)
    for box in top:
        kept.append((box.start, box.end if box.name == b"ftyp" else box.body))
        if box.name not in (b"ftyp", b"moov", b"mdat"):
            freed.append(box.start + 4)
    zeros = [*gaps(merged(kept), size), *parsed.times]
    if len(zeros) > MAX_RANGES:
        raise VideoRejected("This video is made of too many pieces. Export it again with another program.")
    return VideoFacts(
        parsed.duration_s,
        parsed.dimensions,
        parsed.taken_at,
        Mask(tuple(sorted(zeros)), tuple(sorted(freed))),
        _suffix_of(file_head(file)),
    )


def file_head(file: IO[bytes]) -> bytes:
    """Return the first bytes of a file, by which `is_video` judges."""
    file.seek(0)
    return file.read(12)


def _suffix_of(head: bytes) -> str:
    return "mov" if head[8:12] == b"qt  " or head[4:8] in _OLD_STARTS else "mp4"


def _top_boxes(file: IO[bytes], size: int) -> Iterator[_Box]:
    at = count = 0
    while at < size:
        file.seek(at)
        box = _box(file.read(16), at, 0, size)
        if box.name in _FRAGMENTS:
            raise VideoRejected("This video is in fragments, as for streaming. Export it as a plain MP4.")
        count += 1
        if count > MAX_BOXES:
            raise VideoRejected("This video has too many parts.")
        yield box
        at = box.end


def _box(head: bytes, at: int, offset: int, limit: int) -> _Box:
    """Return the box whose head is at `offset` in `head`; `at` is where that is in the file, `limit` where it must end."""
    if len(head) - offset < 8:
        raise VideoRejected("This video is cut off.")
    length, name = struct.unpack_from(">I4s", head, offset)
    body = at + 8
    if length == 1:
        if len(head) - offset < 16:
            raise VideoRejected("This video is cut off.")
        length, body = struct.unpack_from(">Q", head, offset + 8)[0], at + 16
    end = limit if length == 0 else at + length
    if end > limit:
        raise VideoRejected("This video is cut off: its end is missing.")
    if end < body:
        raise VideoRejected("This video is damaged: a part has an impossible length.")
    return _Box(name, at, body, end)


class _Movie:
    """The index of a video. Collects what is kept, what is freed, and where times are; all as offsets in the file."""

    def __init__(self, data: bytes, base: int) -> None:
        self._data = data
        self._base = base
        self._boxes = 0
        self.tracks: list[VideoTrack] = []
        self.kept: list[Range] = []
        self.freed: list[int] = []
        self.times: list[Range] = []
        self.duration_s = 0.0
        self.taken_at = ""

    def walk(self, parent: _Box, track: VideoTrack | None = None) -> None:
        """Read the boxes of a container. What a player does not need is freed."""
        wanted = _PARTS[parent.name]
        for box in self._children(parent):
            if box.name in _FRAGMENTS:
                raise VideoRejected("This video is in fragments, as for streaming. Export it as a plain MP4.")
            if box.name in (b"cmov", b"rmra"):
                raise VideoRejected("This video has a compressed index, or refers to other files. Export it as a plain MP4.")
            if box.name not in wanted or (box.name == b"trak" and self._kind_of(box) not in (b"vide", b"soun")):
                self._free(box)
                continue
            if box.name == b"trak":
                track = VideoTrack(self._kind_of(box))
                self.tracks.append(track)
                if len(self.tracks) > MAX_TRACKS:
                    raise VideoRejected(f"This video has too many tracks. The limit is {MAX_TRACKS}.")
            if box.name in _PARTS:
                self.kept.append((box.start, box.body))
                self.walk(box, track)
            else:
                self.kept.append((box.start, box.end))
                self._read(box, track)

    @property
    def dimensions(self) -> tuple[int, int]:
        return next(track.dimensions for track in self.tracks if track.codec)

    def sample_ranges(self, data: list[Range]) -> list[Range]:
        """Return where the samples of frames and sound are. They must be in the data of this file."""
        if not any(track.kind == b"vide" and track.codec for track in self.tracks):
            raise VideoRejected("This file has no video track that VinylVault knows. Use H.264, HEVC, AV1 or VP9.")
        found: list[Range] = []
        for track in self.tracks:
            found += chunks_of(track)
        whole = merged(found)
        if not all(any(start <= first and last <= stop for start, stop in data) for first, last in whole):
            raise VideoRejected("This video is damaged or cut off: its index refers to data that is not there.")
        return whole

    def _children(self, parent: _Box) -> Iterator[_Box]:
        at = parent.body
        while at + 8 <= parent.end:
            box = _box(self._data, at, at - self._base, parent.end)
            self._boxes += 1
            if self._boxes > MAX_BOXES:
                raise VideoRejected("This video has too many parts.")
            yield box
            at = box.end
        # QuickTime ends some containers with four zeros.

    def _kind_of(self, trak: _Box) -> bytes:
        for box in self._children(trak):
            if box.name == b"mdia":
                for inner in self._children(box):
                    if inner.name == b"hdlr":
                        return self._bytes(inner, 8, 12)
        return b""

    def _free(self, box: _Box) -> None:
        self.kept.append((box.start, box.body))
        self.freed.append(box.start + 4)

    def _bytes(self, box: _Box, start: int, stop: int) -> bytes:
        """Return bytes of a box by their place in its body; too few if it ends earlier."""
        return self._data[box.body - self._base + start : min(box.body + stop, box.end) - self._base]

    def _number(self, box: _Box, at: int, length: int = 4) -> int:
        found = self._bytes(box, at, at + length)
        if len(found) != length:
            raise VideoRejected("This video is damaged: a part is too short.")
        return int.from_bytes(found, "big")

    def _read(self, box: _Box, track: VideoTrack | None) -> None:
        if box.name in _WITH_TIMES:
            wide = 8 if self._number(box, 0, 1) == 1 else 4
            self.times.append((box.body + 4, box.body + 4 + 2 * wide))
            if box.name == b"mvhd":
                self._read_times(box, wide)
        elif box.name == b"dref":
            self._check_references(box)
        elif track is not None and box.name in _TABLES:
            _TABLES[box.name](self, box, track)

    def _read_times(self, box: _Box, wide: int) -> None:
        created, scale = self._number(box, 4, wide), self._number(box, 4 + 2 * wide)
        self.duration_s = self._number(box, 8 + 2 * wide, wide) / scale if scale else 0.0
        if not 0 < self.duration_s <= MAX_DURATION_S:
            raise VideoRejected(f"A video can last up to {MAX_DURATION_S / 60:.0f} minutes.")
        try:
            at = _EPOCH + datetime.timedelta(seconds=created)
            self.taken_at = f"{at.astimezone():%Y-%m-%dT%H:%M:%S}" if at.year > 1970 else ""
        except OverflowError:
            self.taken_at = ""

    def _check_references(self, box: _Box) -> None:
        """Every sample must be in this file: another one could be any file of this server, or a URL."""
        for entry in self._children(_Box(b"dref", box.start, box.body + 8, box.end)):
            if not self._number(entry, 3, 1) & 1:
                raise VideoRejected("This video refers to other files. Export it with all its data in one file.")

    def read_descriptions(self, box: _Box, track: VideoTrack) -> None:
        for entry in self._children(_Box(b"stsd", box.start, box.body + 8, box.end)):
            if track.kind != b"vide":
                continue
            if entry.name not in CODECS:
                name = entry.name.decode("ascii", "replace")
                raise VideoRejected(f"The video track of this file is coded as {name!r}. Use H.264, HEVC, AV1 or VP9.")
            width, height = self._number(entry, 24, 2), self._number(entry, 26, 2)
            if not 0 < width * height <= MAX_PIXELS:
                raise VideoRejected(f"This video has {width:,} by {height:,} px. The limit is 4,096 by 2,304 px.")
            track.codec, track.dimensions = entry.name, (width, height)

    def read_sizes(self, box: _Box, track: VideoTrack) -> None:
        same, count = self._number(box, 4), self._number(box, 8)
        if count > MAX_SAMPLES:
            raise VideoRejected("This video has too many frames.")
        track.sizes = array("I", [same]) * count if same else self._table(box, 12, count)

    def read_runs(self, box: _Box, track: VideoTrack) -> None:
        count = self._number(box, 4)
        if count > MAX_CHUNKS:
            raise VideoRejected("This video is made of too many pieces.")
        table = self._table(box, 8, count * 3)
        track.runs = list(zip(table[0::3], table[1::3], strict=True))

    def read_chunks(self, box: _Box, track: VideoTrack) -> None:
        count = self._number(box, 4)
        if count > MAX_CHUNKS:
            raise VideoRejected("This video is made of too many pieces.")
        track.chunks = list(self._table(box, 8, count, "I" if box.name == b"stco" else "Q"))

    def _table(self, box: _Box, at: int, count: int, code: str = "I") -> "array[int]":
        table: array[int] = array(code)
        found = self._bytes(box, at, at + count * table.itemsize)
        if len(found) != count * table.itemsize:
            raise VideoRejected("This video is damaged: a table is too short.")
        table.frombytes(found)
        if sys.byteorder == "little":
            table.byteswap()
        return table


_TABLES = {
    b"stsd": _Movie.read_descriptions,
    b"stsz": _Movie.read_sizes,
    b"stsc": _Movie.read_runs,
    b"stco": _Movie.read_chunks,
    b"co64": _Movie.read_chunks,
}
