"""The two volumes of the demo: scans of a seashell and of a snail, invented, as NIfTI-1 files of one byte per voxel.

Source: NIfTI-1 header, https://nifti.nimh.nih.gov/nifti-1/documentation. Pillow draws the slices and is loaded with the first one.
"""

import gzip
import math
import random
import struct
from typing import NamedTuple

UINT8, MILLIMETRES, SCANNER = 2, 2, 1
DATA_AT = 352  # the header, and four bytes that say that nothing extends it


class DemoVolume(NamedTuple):
    """One volume. `is_slow`: the origin sends it as a far one would, so that a fetch can be watched."""

    name: str
    turns: float
    slices: int
    edge: int  # voxels
    voxel_mm: float
    is_slow: bool


VOLUMES = {
    volume.name: volume
    for volume in (
        DemoVolume("seashell.nii.gz", 2.4, 56, 96, 0.5, is_slow=False),
        DemoVolume("snail.nii", 1.6, 120, 160, 0.3, is_slow=True),
    )
}


def draw_volume(volume: DemoVolume) -> bytes:
    """Return the file of a volume, the same bytes each time. Takes some tenths of a second."""
    body = _header(volume) + b"".join(_slice(volume, number) for number in range(volume.slices))
    return gzip.compress(body, 6, mtime=0) if volume.name.endswith(".gz") else body


def _slice(volume: DemoVolume, number: int) -> bytes:
    """Return one slice through a shell that winds around the long axis and narrows to its tip."""
    from PIL import Image, ImageChops, ImageDraw, ImageFilter

    edge, share = volume.edge, number / (volume.slices - 1)
    picture = Image.new("L", (edge, edge), 6)
    pen = ImageDraw.Draw(picture)
    reach = edge * 0.44 * math.sin(math.pi * min(1, 0.12 + share * 0.86)) ** 0.7
    pen.ellipse([edge / 2 - reach, edge / 2 - reach * 0.86, edge / 2 + reach, edge / 2 + reach * 0.86], fill=58)
    for step in range(240):
        along = step / 239
        angle = math.tau * (volume.turns * along + share * 1.2)
        radius = reach * (0.12 + 0.78 * along)
        x, y = edge / 2 + radius * math.cos(angle), edge / 2 + radius * 0.86 * math.sin(angle)
        wide = edge * 0.014 * (1 + 1.6 * along)
        pen.ellipse([x - wide, y - wide, x + wide, y + wide], fill=int(150 + 90 * along))
    grain = Image.frombytes("L", (edge, edge), random.Random(f"{volume.name}\n{number}").randbytes(edge * edge))
    grain = grain.filter(ImageFilter.GaussianBlur(0.7)).point(lambda level: level // 6)
    return ImageChops.add(picture.filter(ImageFilter.GaussianBlur(0.8)), grain, 1, -12).tobytes()


def _header(volume: DemoVolume) -> bytes:
    """Return the 348 bytes of a NIfTI-1 header and its empty extension, little-endian."""
    size, half = volume.voxel_mm, volume.edge * volume.voxel_mm / 2
    head = bytearray(DATA_AT)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, volume.edge, volume.edge, volume.slices, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, UINT8, 8)
    struct.pack_into("<8f", head, 76, 1, size, size, size, 0, 0, 0, 0)
    struct.pack_into("<3f", head, 108, DATA_AT, 1, 0)  # where the voxels begin, slope, intercept
    struct.pack_into("<B", head, 123, MILLIMETRES)
    struct.pack_into("<80s", head, 148, b"An invented volume of the VinylVault demo")
    struct.pack_into("<h", head, 254, SCANNER)
    for row in range(3):
        values = [0.0] * 4
        values[row], values[3] = size, -half if row < 2 else -volume.slices * size / 2
        struct.pack_into("<4f", head, 280 + 16 * row, *values)
    struct.pack_into("<4s", head, 344, b"n+1\0")
    return bytes(head)
