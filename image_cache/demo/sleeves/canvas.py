"""The sheet a sleeve is drawn on: shapes in thousandths of its side, at twice the size, softened when it is finished.

Recipes never see pixels, so a sleeve of 90 px and one of 800 px are the same drawing.
"""

import random
from collections.abc import Callable, Iterable, Sequence

from PIL import Image, ImageChops, ImageDraw

from image_cache.demo.sleeves.palettes import Colour, Palette
from image_cache.demo.sleeves.textures import Size, blurred, rubbed, speckle

Point = tuple[float, float]
Ink = Colour | int  # a colour on the sheet, a grey on a mask
OVERSAMPLING = 2  # PIL draws without smoothing; drawing twice as large and halving is the smoothing


class Sheet:
    """A square of 1000 by 1000 units to draw on. `k` is pixels per unit."""

    def __init__(self, image: Image.Image, size_px: int) -> None:
        self.image = image
        self.side = image.width
        self.k = size_px * OVERSAMPLING / 1000
        self.draw = ImageDraw.Draw(image)

    @property
    def size(self) -> Size:
        return self.image.size

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: Ink) -> None:
        k = self.k
        if x1 > x0 and y1 > y0:
            self.draw.rectangle((x0 * k, y0 * k, max(x0 * k, x1 * k - 1), max(y0 * k, y1 * k - 1)), fill=fill)

    def frame(self, x0: float, y0: float, x1: float, y1: float, width: float, fill: Ink) -> None:
        k = self.k
        self.draw.rectangle((x0 * k, y0 * k, x1 * k, y1 * k), outline=fill, width=max(1, round(width * k)))

    def disc(self, x: float, y: float, radius: float, fill: Ink) -> None:
        self.ellipse(x, y, radius, radius, fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Ink) -> None:
        k = self.k
        self.draw.ellipse(((x - rx) * k, (y - ry) * k, (x + rx) * k, (y + ry) * k), fill=fill)

    def ring(self, x: float, y: float, radius: float, width: float, fill: Ink) -> None:
        """Draw a circle line whose outer edge has `radius`."""
        k = self.k
        box = ((x - radius) * k, (y - radius) * k, (x + radius) * k, (y + radius) * k)
        self.draw.ellipse(box, outline=fill, width=max(1, round(width * k)))

    def slice(self, x: float, y: float, radius: float, start: float, end: float, fill: Ink) -> None:
        """Draw a piece of a disc from `start` to `end` degrees, clockwise from three o'clock."""
        k = self.k
        self.draw.pieslice(((x - radius) * k, (y - radius) * k, (x + radius) * k, (y + radius) * k), start, end, fill=fill)

    def poly(self, points: Iterable[Point], fill: Ink) -> None:
        self.draw.polygon([(x * self.k, y * self.k) for x, y in points], fill=fill)

    def line(self, points: Iterable[Point], width: float, fill: Ink) -> None:
        self.draw.line(
            [(x * self.k, y * self.k) for x, y in points], fill=fill, width=max(1, round(width * self.k)), joint="curve"
        )

    def stroke(self, points: Sequence[Point], width: float, fill: Ink) -> None:
        """Draw a line with round ends."""
        self.line(points, width, fill)
        for x, y in (points[0], points[-1]):
            self.disc(x, y, width / 2, fill)

    def soften(self, radius: float) -> None:
        """Blur everything drawn so far. `radius` in units."""
        self.image.paste(blurred(self.image, radius * self.k))


class Canvas(Sheet):
    """The coloured sheet. `rng` belongs to the record: every draw from it is part of the sleeve."""

    def __init__(self, size_px: int, palette: Palette, rng: random.Random) -> None:
        side = size_px * OVERSAMPLING
        super().__init__(Image.new("RGB", (side, side), palette.paper), size_px)
        self.size_px = size_px
        self.p = palette
        self.rng = rng

    def ground(self, fill: Colour) -> None:
        self.rect(0, 0, 1001, 1001, fill)

    def mask(self, level: int = 0) -> Sheet:
        """Return an empty grey layer of the same size, to be shaped and then laid down with `lay`."""
        return Sheet(Image.new("L", self.size, level), self.size_px)

    def lay(self, mask: Sheet | Image.Image, fill: Colour | Image.Image, opacity: float = 1.0) -> None:
        """Lay a colour or an image down where the mask is light."""
        layer = mask.image if isinstance(mask, Sheet) else mask
        if opacity < 1:
            layer = layer.point(lambda v: v * opacity)
        top = fill if isinstance(fill, Image.Image) else Image.new("RGB", self.size, fill)
        self.image.paste(top, (0, 0), layer)

    def multiply(self, mask: Sheet, fill: Colour) -> None:
        """Print a colour over the sheet like a transparent ink, where the mask is light."""
        ink = Image.new("RGB", self.size, (255, 255, 255))
        ink.paste(fill, (0, 0, *self.size), mask.image)
        self.image.paste(ImageChops.multiply(self.image, ink))

    def fill_with(self, picture: Image.Image) -> None:
        """Cover the sheet with an image, stretched to it."""
        self.image.paste(picture.convert("RGB").resize(self.size, Image.Resampling.BICUBIC))

    def noise(self, make: Callable[[random.Random, Size], Image.Image], share: int = 4) -> Image.Image:
        """Return a texture made at a fraction of the size and enlarged; noise has no edges to lose."""
        small = (max(8, self.side // share), max(8, self.side // share))
        return make(self.rng, small).resize(self.size, Image.Resampling.BICUBIC)

    def finish(self, grain: float = 0.3, worn: float = 0.0) -> Image.Image:
        """Return the sleeve at its final size, on its paper. `worn` is how far the disc has rubbed through, 0 to 1."""
        sheet = self.image.reduce(OVERSAMPLING)
        paper = speckle(self.rng, sheet.size, softness=0.55 * self.size_px / 800)
        lit = ImageChops.soft_light(sheet, Image.merge("RGB", (paper, paper, paper)))
        sheet = Image.blend(sheet, lit, grain)
        return rubbed(sheet, paper, worn) if worn else sheet
