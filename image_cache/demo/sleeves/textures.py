"""What paper, fog and photographs are made of: noise, gradients and blur. Plain images in, plain images out."""

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from image_cache.demo.sleeves.palettes import Colour, mix

Size = tuple[int, int]
Stop = tuple[float, Colour]


def speckle(rng: random.Random, size: Size, softness: float = 0.6) -> Image.Image:
    """Return fine grey grain around middle grey. `softness` is the blur in pixels."""
    grain = Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))
    grain = grain.filter(ImageFilter.GaussianBlur(softness))
    return ImageOps.autocontrast(grain, cutoff=1)


def clouds(rng: random.Random, size: Size, coarse: int = 3, octaves: int = 6, roughness: float = 0.55) -> Image.Image:
    """Return soft grey clouds, their contrast stretched to the full range. `coarse` cells across the first octave.

    Random bytes enlarged bicubic are smooth hills; each octave halves the hill and weighs `roughness` of the one before.
    """
    picture = Image.new("L", size, 128)
    weight = 1.0
    total = 0.0
    for octave in range(octaves):
        cells = coarse * 2**octave
        hills = Image.frombytes("L", (cells + 3, cells + 3), rng.randbytes((cells + 3) ** 2))
        # The edge of an enlarged image is flat; the margin of one cell is cut away.
        step = 1.0
        layer = hills.resize(size, Image.Resampling.BICUBIC, box=(step, step, cells + 3 - step, cells + 3 - step))
        total += weight
        picture = Image.blend(picture, layer, weight / total)
        weight *= roughness
    return ImageOps.autocontrast(picture, cutoff=0.5)


def blurred(picture: Image.Image, radius_px: float) -> Image.Image:
    """Blur; a wide blur is made small and enlarged again, which looks the same and costs a tenth."""
    factor = max(1, int(radius_px // 5))
    if factor == 1:
        return picture.filter(ImageFilter.GaussianBlur(radius_px))
    small = picture.reduce(factor).filter(ImageFilter.GaussianBlur(radius_px / factor))
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def gradient(size: Size, stops: Sequence[Stop], angle: float = 0) -> Image.Image:
    """Return a gradient through `stops` (place 0 to 1, colour), from top to bottom, turned by `angle` degrees anticlockwise."""
    ramp = Image.linear_gradient("L")
    if angle:
        # Turned on a sheet half as large again, so that no corner stays empty; the ramp is as long as the square is in its direction.
        turn = math.radians(angle)
        span = round(256 * (abs(math.cos(turn)) + abs(math.sin(turn))))
        wide = Image.new("L", (384, 384), 0)
        wide.paste(255, (0, 192, 384, 384))
        wide.paste(ramp.resize((384, span)), (0, 192 - span // 2))
        ramp = wide.rotate(angle, Image.Resampling.BICUBIC).crop((64, 64, 320, 320))
    return toned(ramp, stops).resize(size, Image.Resampling.BICUBIC)


def glow(size: Size, x: float, y: float, radius: float) -> Image.Image:
    """Return a light that is 255 at (x, y) and 0 at `radius`, all in shares of the side."""
    spot = ImageOps.invert(Image.radial_gradient("L")).point(lambda v: max(0, (v - 75) * 255 // 180))
    across = max(2, round(2 * radius * size[0] * 1.42))
    sheet = Image.new("L", size, 0)
    sheet.paste(
        spot.resize((across, across), Image.Resampling.BICUBIC),
        (round(x * size[0] - across / 2), round(y * size[1] - across / 2)),
    )
    return sheet


def toned(grey: Image.Image, stops: Sequence[Stop]) -> Image.Image:
    """Return a grey image in colour: black becomes the first stop, white the last."""
    table: list[Colour] = []
    for level in range(256):
        place = level / 255
        below = max((s for s in stops if s[0] <= place), key=lambda s: s[0], default=stops[0])
        above = min((s for s in stops if s[0] >= place), key=lambda s: s[0], default=stops[-1])
        span = above[0] - below[0]
        table.append(mix(below[1], above[1], (place - below[0]) / span) if span else below[1])
    return Image.merge("RGB", [grey.point([tone[channel] for tone in table]) for channel in range(3)])


def rubbed(sheet: Image.Image, paper: Image.Image, amount: float) -> Image.Image:
    """Return the sleeve with the ring its disc has rubbed through, and pale edges. `amount` 0 to 1."""
    side = sheet.width
    marks = Image.new("L", sheet.size, 0)
    pen = ImageDraw.Draw(marks)
    inset = side * 0.035
    pen.ellipse((inset, inset, side - inset, side - inset), outline=150, width=max(1, round(side * 0.007)))
    pen.rectangle((0, 0, side - 1, side - 1), outline=190, width=max(1, round(side * 0.004)))
    marks = marks.filter(ImageFilter.GaussianBlur(side * 0.003))
    patchy = ImageChops.multiply(marks, ImageOps.autocontrast(blurred(paper, side * 0.02), cutoff=2))
    broken = ImageChops.multiply(patchy, paper.point(lambda v: 255 if v > 110 else 90))
    white = Image.new("RGB", sheet.size, (246, 242, 233))
    return Image.composite(white, sheet, broken.point(lambda v: v * amount))
