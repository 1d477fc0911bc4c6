"""Images of the sizes that cameras make, and such as no service should have to decode. Made here, so that nothing is downloaded."""

import io
import struct
import zlib

from PIL import Image

from tests.support.pictures import avif_header, encoded, gif_header, jpeg_header, noise, png_header, webp_header


def photograph(megapixels: float, seed: int = 1, *, progressive: bool = False) -> bytes:
    """Return a JPEG of 4:3: soft shapes with the bytes per pixel of a photograph, not the cheap ones of one colour."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5 / 8) * 8
    height = round(width * 3 / 4 / 8) * 8
    soft = noise("RGB", max(width // 10, 1), max(height // 10, 1), seed)
    return encoded(soft.resize((width, height), Image.Resampling.BILINEAR), "JPEG", quality=88, progressive=progressive)


def bomb(side: int) -> bytes:
    """Return a valid PNG of one colour: many pixels in few bytes."""
    row = b"\0" + bytes(side * 3)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def animation(frames: int, side: int) -> bytes:
    out = io.BytesIO()
    images = [noise("L", side // 8, side // 8, seed).resize((side, side)) for seed in range(frames)]
    images[0].save(out, "GIF", save_all=True, append_images=images[1:])
    return out.getvalue()


def hostile() -> dict[str, bytes]:
    """Return images by name that promise more than they hold, hold more than they cost to send, or break off."""
    whole = photograph(12, 7)
    return {
        "png-30000": png_header(30_000, 30_000),
        "png-bomb-12000": bomb(12_000),
        "png-bomb-6000": bomb(6_000),
        "gif-60000": gif_header(60_000, 60_000),
        "gif-animated": animation(40, 800),
        "webp-16383": webp_header(16_383, 16_383),
        "jpeg-65000": jpeg_header(65_000, 65_000),
        "jpeg-100-scans": jpeg_header(8_000, 6_000, scans=100),
        "avif-20000": avif_header(20_000, 20_000),
        "jpeg-truncated": whole[: len(whole) // 2],
        "jpeg-cmyk-36mp": encoded(noise("CMYK", 700, 500).resize((7000, 5200)), "JPEG", quality=85),
        "tiff-12mp": encoded(noise("RGB", 400, 300).resize((4000, 3000)), "TIFF"),
        "bmp-12mp": encoded(noise("RGB", 400, 300).resize((4000, 3000)), "BMP"),
        "not-an-image": bytes(range(256)) * 400,
    }
