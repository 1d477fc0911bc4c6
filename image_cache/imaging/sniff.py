"""Image headers read without a decoder: format, canvas, scans; and the decode budget.

Runs before any library sees the bytes, in linear time, and trusts nothing.
"""

import datetime
import re
from typing import Literal

from image_cache.errors import ImageRejected
from image_cache.frozen import frozen

MAX_SCANS = 100  # a progressive JPEG has 10 or 11; for each scan libjpeg processes the whole image once more
MAX_SEGMENTS = 20_000  # camera files have a few dozen; this bounds our own loop
MAX_SIDE_PX = 65_535
MAX_FRAMES = 10_000  # of a GIF; counting stops there
# Limits in megapixels at a budget of 256 MB; they scale with the budget. They come from measured peak memory per pixel, which
# docs/FORMATS.md has. A JPEG in one scan is decoded at reduced size and needs little memory; its limit bounds the time. With several
# scans libjpeg holds all coefficients. An AVIF of more than 8 bits, in full colour or with alpha needs twice the memory of others.
REFERENCE_BUDGET_BYTES = 256 << 20
RICH_AVIF = "AVIF with alpha, full colour or more than 8 bits"
MEGAPIXELS = {
    "JPEG": 100,
    "JPEG in several scans": 50,
    "GIF": 32,
    "PNG": 25,
    "BMP": 16,
    "AVIF": 25,
    RICH_AVIF: 16,
    "WEBP": 13,
    "HEIC": 25,
}
COEFFICIENT_SLACK = 1.25  # for what libjpeg and the pixels need in addition

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # stuffing, TEM, RST and fill bytes are ignored
_SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_SOS, _EOI, _SOI = 0xDA, 0xD9, 0xD8
_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP"}
_AVIF_BRANDS, _HEIC_BRANDS = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"msf1"}  # the container: another brand, or the codec, tells what is in it
_EXIF_STARTS = (b"II*\0", b"MM\0*")
_EXIF_FOLDER, _TAKEN, MAX_EXIF_ENTRIES = 0x8769, 0x9003, 512
_TAKEN_FORM = re.compile(rb"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_ORIENTATION, _SHORT = 0x0112, 3


def sniff(body: bytes) -> str | None:
    """Return the format of the contents, None if it is unknown. File names and Content-Type are not considered.

    A HEIC photo is "HEIC"; decoding it needs an extra.
    """
    for start, format_ in _STARTS.items():
        if body.startswith(start):
            return format_
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    if body[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(body[:4], "big"), 256)
    brands = {body[8:12], *(body[at : at + 4] for at in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return "HEIC"
    return "AVIF" if brands & _HEIF_BRANDS else None


def avif_kind(body: bytes) -> str:
    """Return the kind of an AVIF for `decode_cost`, from what its headers say of depth, sampling and alpha."""
    at = body.find(b"av1C", 0, 1 << 16)
    flags = body[at + 6] if 0 <= at < len(body) - 6 else 0xFF
    is_deep, is_full_colour = flags & 0x60, not flags & 0x08 and not flags & 0x10  # source: AV1-ISOBMFF, 2.3.3
    return RICH_AVIF if is_deep or is_full_colour or b"auxC" in body[: 1 << 16] else "AVIF"


def exif_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data, 1 to 8; 1 unless it is there as one SHORT, as browsers read it."""
    tiff = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    order: Literal["little", "big"] = "little" if tiff[:4] == b"II*\0" else "big"
    if tiff[:4] not in _EXIF_STARTS:
        return 1
    at = int.from_bytes(tiff[4:8], order)
    for entry in range(int.from_bytes(tiff[at : at + 2], order)):
        field = tiff[at + 2 + 12 * entry : at + 14 + 12 * entry]
        if len(field) < 12:
            return 1
        if int.from_bytes(field[:2], order) == _ORIENTATION:
            is_short = int.from_bytes(field[2:4], order) == _SHORT and int.from_bytes(field[4:8], order) == 1
            return int.from_bytes(field[8:10], order) if is_short else 1
    return 1


def exif_taken(exif: bytes) -> str:
    """Return when an image was taken as ISO 8601, by the clock of the camera; "" unless EXIF data says so in the usual form.

    Only this one entry is read: nothing of the place, which other entries have.
    """
    tiff = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    order: Literal["little", "big"] = "little" if tiff[:4] == b"II*\0" else "big"
    if tiff[:4] not in _EXIF_STARTS:
        return ""
    at = int.from_bytes(_exif_entry(tiff, int.from_bytes(tiff[4:8], order), _EXIF_FOLDER, order), order)
    start = int.from_bytes(_exif_entry(tiff, at, _TAKEN, order), order) if at else 0
    found = _TAKEN_FORM.fullmatch(tiff[start : start + 19]) if start else None
    if found is None:
        return ""
    try:
        return datetime.datetime(*map(int, found.groups())).isoformat()  # type: ignore[arg-type]  # noqa: DTZ001  no zone is known
    except ValueError:
        return ""


def _exif_entry(tiff: bytes, at: int, tag: int, order: Literal["little", "big"]) -> bytes:
    """Return the four bytes of an entry's value in a directory of EXIF data; none without such an entry."""
    for entry in range(min(MAX_EXIF_ENTRIES, int.from_bytes(tiff[at : at + 2], order))):
        field = tiff[at + 2 + 12 * entry : at + 14 + 12 * entry]
        if len(field) == 12 and int.from_bytes(field[:2], order) == tag:
            return field[8:12]
    return b""


def gif_frames(body: bytes) -> int:
    """Count the frames of a GIF, at most `MAX_FRAMES`, without decoding them."""
    at, frames = 13 + _table_bytes(body[10:11]), 0
    for _ in range(3 * MAX_FRAMES):
        block = body[at : at + 1]
        if block == b"\x21":
            at = _after_blocks(body, at + 2)
        elif block == b"\x2c" and frames < MAX_FRAMES:
            frames += 1
            at = _after_blocks(body, at + 11 + _table_bytes(body[at + 9 : at + 10]))
        else:
            break
    return max(frames, 1)


def _table_bytes(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _after_blocks(body: bytes, at: int) -> int:
    while at < len(body) and (length := body[at]):
        at += 1 + length
    return at + 1


@frozen
class JpegLayout:
    """Facts from the markers of a JPEG. `size` is None without a frame header; counting of `scans` stops at `MAX_SCANS` + 1;
    `coefficient_bytes` is what libjpeg holds per pixel if there are several scans.
    """

    size: tuple[int, int] | None
    scans: int
    coefficient_bytes: float

    @property
    def holds_coefficients(self) -> bool:
        return self.scans > 1


def jpeg_layout(body: bytes) -> JpegLayout | None:
    """Read the markers of a JPEG. Return None if it has more segments than any camera writes.

    A progressive image, or a sequential one with separate scans for its components, has several scans: libjpeg then holds all
    coefficients in memory, and decoding at reduced size saves nothing. Source: libjpeg-turbo, jdmaster.c and jdcoefct.c.
    """
    size, scans, sampling, offset = None, 0, 1.0, 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(body, offset)
        if found is None:
            break
        marker, offset = body[found.end() - 1], found.end()
        if marker == _EOI:
            break
        if marker == _SOI:
            continue
        length = int.from_bytes(body[offset : offset + 2], "big")
        if length < 2:
            break  # libjpeg stops here too
        if marker in _SOF:
            frame = body[offset + 2 : offset + length]
            size = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
            sampling = _sampling(frame)
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                break
        offset += length
    else:
        return None
    return JpegLayout(size, scans, 2 * sampling)  # a coefficient is a 16-bit number


def _sampling(frame: bytes) -> float:
    """Return the samples per pixel, summed over the components: 1.5 for 4:2:0, 3 for 4:4:4, up to 4 for CMYK."""
    components = frame[5] if len(frame) > 5 else 0
    factors = [(byte >> 4) * (byte & 15) for byte in frame[7 : 6 + 3 * components : 3]]
    return sum(factors) / max(factors) if any(factors) else 1.0


def canvas(body: bytes, format_: str) -> tuple[int, int] | None:
    """Return the size in the header of a PNG, GIF, BMP or WebP; None if the header is not as expected.

    Read before Pillow opens the file, because its WebP decoder then allocates eight bytes per pixel at once.
    """
    if format_ == "PNG" and len(body) >= 24:
        return int.from_bytes(body[16:20], "big"), int.from_bytes(body[20:24], "big")
    if format_ == "GIF" and len(body) >= 10:
        return int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    if format_ == "BMP" and len(body) >= 26 and int.from_bytes(body[14:18], "little") >= 40:
        return int.from_bytes(body[18:22], "little"), abs(int.from_bytes(body[22:26], "little", signed=True))
    return _webp_canvas(body) if format_ == "WEBP" else None


def _webp_canvas(body: bytes) -> tuple[int, int] | None:
    chunk = body[12:16]
    if chunk == b"VP8 " and body[23:26] == b"\x9d\x01\x2a" and len(body) >= 30:
        return int.from_bytes(body[26:28], "little") & 0x3FFF, int.from_bytes(body[28:30], "little") & 0x3FFF
    if chunk == b"VP8L" and body[20:21] == b"\x2f" and len(body) >= 25:
        bits = int.from_bytes(body[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X" and len(body) >= 30:
        return int.from_bytes(body[24:27], "little") + 1, int.from_bytes(body[27:30], "little") + 1
    return None


def max_pixels(budget_bytes: int) -> int:
    """Return the largest number of pixels that any format may have with this budget."""
    return int(max(MEGAPIXELS.values()) * 1e6 * budget_bytes / REFERENCE_BUDGET_BYTES)


def decode_cost(size: tuple[int, int], kind: str, bytes_per_px: float, budget_bytes: int) -> int:
    """Return the memory that decoding may need, in bytes, from the limit of its kind, or from `bytes_per_px` if that is not 0.

    Raises `ImageRejected`, which states the limit.
    """
    width, height = size
    if min(size) < 1:
        raise ImageRejected(f"{kind} of {width} \N{MULTIPLICATION SIGN} {height} px has no pixels")
    if max(size) > MAX_SIDE_PX:
        raise ImageRejected(
            f"{kind} of {width} \N{MULTIPLICATION SIGN} {height} px is too large: a side can have up to {MAX_SIDE_PX} px"
        )
    scale = budget_bytes / REFERENCE_BUDGET_BYTES
    limit_px = int(MEGAPIXELS[kind] * 1e6 * scale)
    if bytes_per_px:
        limit_px = min(limit_px, int(budget_bytes / bytes_per_px))
    if width * height > limit_px:
        raise ImageRejected(
            f"{kind} of {width} \N{MULTIPLICATION SIGN} {height} px is too large: {width * height / 1e6:.1f} megapixels, the limit is {limit_px / 1e6:.1f}."
            f" Save a smaller copy{'' if kind.startswith('JPEG') else f', or a JPEG of up to {100 * scale:.0f} megapixels'}"
        )
    return width * height * budget_bytes // limit_px
