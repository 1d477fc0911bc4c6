"""What can be known of a picture from its first bytes, without a decoder: format, canvas, scans.

These run before a library sees the bytes, so they take time linear in the length and trust nothing.
"""

import re
from dataclasses import dataclass

from image_cache.errors import ImageRejected

MAX_SCANS = 100  # a progressive JPEG has 10 or 11; each scan makes libjpeg walk over the whole picture once more
MAX_SEGMENTS = 20_000  # camera files have some dozens; this bounds our own loop

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # stuffing, TEM, RST and fill bytes are no markers that matter here
_SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_SOS, _EOI, _SOI = 0xDA, 0xD9, 0xD8
_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP"}
_AVIF_BRANDS = {b"avif", b"avis", b"mif1", b"msf1"}


def sniff(body: bytes) -> str | None:
    """Return the format that the content says, one of those we render, else None. Names and Content-Type are never asked."""
    for start, format_ in _STARTS.items():
        if body.startswith(start):
            return format_
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    return "AVIF" if body[4:8] == b"ftyp" and body[8:12] in _AVIF_BRANDS else None


@dataclass(frozen=True, slots=True)
class JpegLayout:
    """What the markers of a JPEG say. `size` is None without a frame header; `scans` stops counting at `MAX_SCANS` + 1;
    `coefficient_bytes` is what libjpeg keeps per pixel when there are several scans.
    """

    size: tuple[int, int] | None
    scans: int
    coefficient_bytes: float

    @property
    def holds_coefficients(self) -> bool:
        return self.scans > 1


def jpeg_layout(body: bytes) -> JpegLayout | None:
    """Walk the markers of a JPEG up to its end. None when it has more segments than any camera writes.

    A progressive picture, or a sequential one whose colours come one after the other, has several scans: libjpeg then keeps
    every coefficient in memory, and cannot save by decoding smaller. Source: libjpeg-turbo, jdmaster.c and jdcoefct.c.
    """
    size, scans, sampling, at = None, 0, 1.0, 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(body, at)
        if found is None:
            break
        marker, at = body[found.end() - 1], found.end()
        if marker == _EOI:
            break
        if marker == _SOI:
            continue
        length = int.from_bytes(body[at : at + 2], "big")
        if length < 2:
            break  # libjpeg gives up here as well
        if marker in _SOF:
            frame = body[at + 2 : at + length]
            size = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
            sampling = _sampling(frame)
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                break
        at += length
    else:
        return None
    return JpegLayout(size, scans, 2 * sampling)  # a coefficient is a 16-bit number


def _sampling(frame: bytes) -> float:
    """Return how many samples a pixel has over all components: 1.5 for 4:2:0, 3 for 4:4:4, up to 4 for CMYK."""
    components = frame[5] if len(frame) > 5 else 0
    factors = [(byte >> 4) * (byte & 15) for byte in frame[7 : 6 + 3 * components : 3]]
    return sum(factors) / max(factors) if any(factors) else 1.0


def canvas(body: bytes, format_: str) -> tuple[int, int] | None:
    """Return the size that the header of a PNG, GIF, BMP or WebP says; None when it is not where it should be.

    It is asked before Pillow is: its WebP decoder sets eight bytes a pixel aside as soon as the file is opened.
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


# Most megapixels at a budget of 256 MB; other budgets scale them. They come from measured peak memory per pixel: PNG 12 bytes,
# GIF 7, BMP and AVIF 14, WebP 20 (Pillow decodes every WebP through the animation decoder). A JPEG in one scan shrinks while it
# is decoded and needs hardly any; its figure bounds the time. With several scans libjpeg keeps all coefficients.
REFERENCE_BUDGET_BYTES = 256 << 20
MEGAPIXELS = {"JPEG": 100, "JPEG in several scans": 50, "GIF": 32, "PNG": 20, "BMP": 16, "AVIF": 16, "WEBP": 12}
COEFFICIENT_SLACK = 1.25  # what libjpeg and the pixels need besides the coefficients
MAX_SIDE_PX = 65_535
MAX_ASPECT = 200


def most_pixels(budget_bytes: int) -> int:
    """Return the pixels of the largest picture that any format may have under this budget."""
    return int(max(MEGAPIXELS.values()) * 1e6 * budget_bytes / REFERENCE_BUDGET_BYTES)


def decode_cost(size: tuple[int, int], kind: str, bytes_per_px: float, budget_bytes: int) -> int:
    """Return what decoding may need, in bytes, by the figure of its kind and by `bytes_per_px` where that is known (else 0).

    Raises `ImageRejected` that names the limit.
    """
    width, height = size
    if min(size) < 1:
        raise ImageRejected(f"{kind} of {width}x{height} px has no pixels")
    if max(size) > MAX_SIDE_PX:
        raise ImageRejected(f"{kind} of {width}x{height} px: a side may have {MAX_SIDE_PX} px")
    if max(size) > MAX_ASPECT * min(size):
        raise ImageRejected(f"{kind} of {width}x{height} px: the sides may differ by a factor of {MAX_ASPECT}")
    scale = budget_bytes / REFERENCE_BUDGET_BYTES
    limit_px = int(MEGAPIXELS[kind] * 1e6 * scale)
    if bytes_per_px:
        limit_px = min(limit_px, int(budget_bytes / bytes_per_px))
    if width * height > limit_px:
        raise ImageRejected(
            f"{kind} of {width}x{height} px: {width * height / 1e6:.1f} megapixels, the decode budget allows {limit_px / 1e6:.1f}"
        )
    return width * height * budget_bytes // limit_px
