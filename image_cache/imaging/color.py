"""What the small picture of a sleeve looks like: its five colours, a hash of its shapes, whether it shows anything. Arithmetic only.

Runs in the decoder's child. Everything is deterministic: the same pixels give the same answer on every machine.
"""

import math
import struct
from collections import Counter
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


ROUNDS = 12  # of k-means; five colours of a sleeve settle after six
GRID_PX = 32  # edge of the grey picture that is hashed
BLANK_SPREAD = 6  # levels between the darkest and the lightest of all fields; less is one colour, whatever the codec made of it
DULL_SPREAD = 4.0  # standard deviation of the grey picture; below it the hash is noise
_FREQUENCIES = sorted(((u, v) for u in range(11) for v in range(11) if u + v), key=lambda pair: (sum(pair), pair))[:64]
_MOST = max(max(pair) for pair in _FREQUENCIES) + 1
_COSINES = [[math.cos((2 * x + 1) * u * math.pi / (2 * GRID_PX)) for x in range(GRID_PX)] for u in range(_MOST)]


def analyse_pixels(rgb: bytes, grey: bytes) -> ImageAppearance:
    """Work a look out of some thousand RGB pixels and of a grey picture of 32 x 32."""
    bands = [rgb[at::3] for at in range(3)]
    is_blank = all(max(band) - min(band) <= BLANK_SPREAD for band in bands)
    mean = sum(grey) / len(grey)
    spread = math.sqrt(sum((value - mean) ** 2 for value in grey) / len(grey))
    return ImageAppearance(palette(rgb), None if spread < DULL_SPREAD else shape_hash(grey), is_blank)


def palette(rgb: bytes, count: int = COLOURS) -> tuple[Colour, ...]:
    """Return up to `count` colours by k-means in OKLab, the largest share first.

    Pixels are gathered in bins of 16 levels a channel first, so that the work depends on the colours and not on the pixels.
    """
    bins: dict[int, list[int]] = {}
    for (red, green, blue), number in Counter(zip(rgb[0::3], rgb[1::3], rgb[2::3], strict=True)).items():
        found = bins.setdefault(red >> 4 << 8 | green >> 4 << 4 | blue >> 4, [0, 0, 0, 0])
        found[0] += number
        found[1] += red * number
        found[2] += green * number
        found[3] += blue * number
    points = [(float(n), *oklab(red / n, green / n, blue / n)) for _, (n, red, green, blue) in sorted(bins.items())]
    centres = _first_centres(points, count)
    for _ in range(ROUNDS):
        sums = [[0.0, 0.0, 0.0, 0.0] for _ in centres]
        for n, lightness, a, b in points:
            nearest = sums[_nearest(centres, lightness, a, b)]
            nearest[0] += n
            nearest[1] += n * lightness
            nearest[2] += n * a
            nearest[3] += n * b
        moved = [(s[1] / s[0], s[2] / s[0], s[3] / s[0]) if s[0] else centre for s, centre in zip(sums, centres, strict=True)]
        if moved == centres:
            break
        centres = moved
    total = sum(point[0] for point in points)
    found_colours = [Colour(s[0] / total, *centre) for s, centre in zip(sums, centres, strict=True) if s[0]]
    return tuple(sorted(found_colours, key=lambda one: (-one.share, one.lightness, one.a, one.b)))


def shape_hash(grey: bytes) -> int:
    """Return 64 bits of a 32 x 32 picture: which of its lowest frequencies are above their median. Alike pictures differ in few bits."""
    rows = [grey[at : at + GRID_PX] for at in range(0, GRID_PX * GRID_PX, GRID_PX)]
    across = [[sum(map(_times, row, cosines)) for cosines in _COSINES] for row in rows]
    values = [sum(_COSINES[v][y] * across[y][u] for y in range(GRID_PX)) for u, v in _FREQUENCIES]
    ordered = sorted(values)
    median = (ordered[31] + ordered[32]) / 2
    return sum(1 << at for at, value in enumerate(values) if value > median)


def oklab(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """Return a colour of 0 to 255 a channel in OKLab. Source: the matrices of CSS Color 4."""
    r, g, b = _linear(red), _linear(green), _linear(blue)
    long = math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    medium = math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _linear(value: float) -> float:
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _times(one: int, other: float) -> float:
    return one * other


def _first_centres(points: list[tuple[float, float, float, float]], count: int) -> list[tuple[float, float, float]]:
    """Begin with the most frequent colour, then by turns with what is frequent and far from all that were taken: no chance in it."""
    heaviest = max(points)
    centres = [heaviest[1:]]
    far = [_distance(point[1:], heaviest[1:]) for point in points]
    while len(centres) < min(count, len(points)):
        at = max(range(len(points)), key=lambda at: (points[at][0] * far[at], at))
        if far[at] == 0:
            break
        centres.append(points[at][1:])
        far = [min(known, _distance(point[1:], points[at][1:])) for known, point in zip(far, points, strict=True)]
    return centres


def _nearest(centres: list[tuple[float, float, float]], lightness: float, a: float, b: float) -> int:
    best, best_distance = 0, math.inf
    for at, centre in enumerate(centres):
        distance = (centre[0] - lightness) ** 2 + (centre[1] - a) ** 2 + (centre[2] - b) ** 2
        if distance < best_distance:
            best, best_distance = at, distance
    return best


def _distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum((x - y) ** 2 for x, y in zip(one, other, strict=True))
