"""Small images for tests: real ones made by Pillow, and headers that promise more than there is."""

import io
import random
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms


def encoded(picture: Image.Image, format_: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()


def animation(seed: int = 1, count: int = 3, format_: str = "GIF") -> bytes:
    """Frames of noise that follow each other."""
    first, *others = (noise("L", 40, 30, seed * 100 + number) for number in range(count))
    return encoded(first, format_, save_all=True, append_images=others, duration=80)


def decoded(body: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(body))
    picture.load()
    return picture


def noise(mode: str, width: int, height: int, seed: int = 1) -> Image.Image:
    """Pixels that no codec can do cheaply."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(width * height * bands))


QUARTERS = ((220, 30, 30), (30, 200, 30), (40, 40, 220), (230, 220, 40))  # top left, top right, bottom left, bottom right


def quartered(width: int = 80, height: int = 40) -> Image.Image:
    """A different colour in each quarter, so that a wrong turn shows."""
    picture = Image.new("RGB", (width, height))
    for n, colour in enumerate(QUARTERS):
        picture.paste(colour, (n % 2 * width // 2, n // 2 * height // 2, width, height))
    return picture


def quarters_of(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of each quarter."""
    w, h = picture.size
    return [picture.getpixel((w * x // 4, h * y // 4)) for y in (1, 3) for x in (1, 3)]  # type: ignore[misc]


def is_near(colour: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 12) -> bool:
    return len(colour) == len(expected) and all(abs(a - b) <= tolerance for a, b in zip(colour, expected, strict=True))


def riff_chunks(webp: bytes) -> set[bytes]:
    """The names of all chunks of a WebP, and that its length is the one it says."""
    assert struct.unpack("<I", webp[4:8])[0] + 8 == len(webp)
    names, at = set(), 12
    while at < len(webp):
        names.add(webp[at : at + 4])
        size = struct.unpack("<I", webp[at + 4 : at + 8])[0]
        at += 8 + size + size % 2
    return names


def profile_with_red_and_green_swapped() -> bytes:
    """sRGB whose red is called green and the other way round: a decoder that ignores it shows the wrong colour."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for a, b in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        profile = profile.replace(a, b"\0tmp").replace(b, a).replace(b"\0tmp", b)
    return profile.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


# --- headers without pixels


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"\x78\x9c")
    )


def gif_header(width: int, height: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame + b"\x08\x01\x00\x00;"


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIIIHHIIIIII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)


def webp_header(width: int, height: int) -> bytes:
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", 10) + canvas
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def jpeg_header(width: int, height: int, *, scans: int = 1, sampling: tuple[int, ...] = (0x22, 0x11, 0x11)) -> bytes:
    """A JPEG up to its scans, which are there in number only."""
    frame = struct.pack(">BHHB", 8, height, width, len(sampling))
    frame += b"".join(bytes((n + 1, factor, 0)) for n, factor in enumerate(sampling))
    table = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    start = b"\xff\xd8" + table + (b"\xff\xc0" if scans == 1 else b"\xff\xc2") + struct.pack(">H", len(frame) + 2) + frame
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + b"\x12\xff\x00\x34"
    return start + scan * scans + b"\xff\xd9"


def avif_header(width: int, height: int) -> bytes:
    """A real AVIF of a few pixels that says it is larger."""
    body = encoded(Image.new("RGB", (16, 16), "navy"), "AVIF", speed=10)
    at = body.index(b"ispe") + 8
    return body[:at] + struct.pack(">II", width, height) + body[at + 8 :]


HEADERS = {
    "JPEG": jpeg_header,
    "PNG": png_header,
    "GIF": gif_header,
    "BMP": bmp_header,
    "WEBP": webp_header,
    "AVIF": avif_header,
}
