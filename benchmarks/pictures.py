"""Covers to measure with: drawn here, the same in every run, as costly to decode and encode as photographed sleeves."""

import io
import random

from PIL import Image, ImageChops


def cover(number: int, edge_px: int = 1000, quality: int = 90) -> bytes:
    """Return a JPEG of soft shapes with grain on them: about 250 KB at 1,000 px."""
    rng = random.Random(number)

    def layer(cells: int) -> Image.Image:
        few = Image.frombytes("RGB", (cells, cells), rng.randbytes(3 * cells * cells))
        return few.resize((edge_px, edge_px), Image.Resampling.BICUBIC)

    picture = Image.blend(layer(5), layer(40), 0.35)
    grain = Image.frombytes("L", (edge_px // 2, edge_px // 2), rng.randbytes((edge_px // 2) ** 2))
    grain = grain.point(lambda value: 112 + value // 8).resize((edge_px, edge_px), Image.Resampling.BILINEAR)
    picture = ImageChops.overlay(picture, Image.merge("RGB", (grain, grain, grain)))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
