"""The colours of a sleeve as values: what the decoder's child sends, and how the index keeps them."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = 5
REACH = 0.4  # of a and b; nothing in sRGB is further from grey
_FOUR = struct.Struct("4B")


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour of a palette in OKLab (`lightness` 0 to 1, `a` and `b` about -.4 to .4), and its share of the picture."""

    share: float
    lightness: float
    a: float
    b: float

    @property
    def chroma(self) -> float:
        return math.hypot(self.a, self.b)

    @property
    def hue(self) -> float:
        """Degrees, 0 to 360: red is about 30, yellow 110, green 145, blue 265."""
        return math.degrees(math.atan2(self.b, self.a)) % 360


@dataclass(frozen=True, slots=True)
class ImageAppearance:
    """What a sleeve looks like. `hash` None: too little in it to compare; `is_blank`: one colour and nothing else."""

    colours: tuple[Colour, ...]
    hash: int | None
    is_blank: bool


def packed(colours: Sequence[Colour]) -> bytes:
    """Return a palette in four bytes a colour; finer than an eye sees on a sleeve."""
    return b"".join(
        _FOUR.pack(_byte(one.share), _byte(one.lightness), _byte((one.a / REACH + 1) / 2), _byte((one.b / REACH + 1) / 2))
        for one in colours
    )


def unpacked(colours: bytes) -> tuple[Colour, ...]:
    """Return the palette that `packed` wrote."""
    return tuple(
        Colour(share / 255, lightness / 255, (2 * a / 255 - 1) * REACH, (2 * b / 255 - 1) * REACH)
        for share, lightness, a, b in _FOUR.iter_unpack(colours[: len(colours) // 4 * 4])
    )


def _byte(part: float) -> int:
    return round(255 * min(1.0, max(0.0, part)))
