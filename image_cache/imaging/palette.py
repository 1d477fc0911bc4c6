"""Analysis of a rendered image: the tint of its page, its palette, a hash of its shapes, whether it is blank. Arithmetic only.

Runs in the decoder's child. Deterministic: the same pixels give the same result on every machine.
"""

import math
import operator
from collections import Counter
from collections.abc import Iterable, Sequence

from image_cache.imaging.color import COLOURS, Colour, hex_of, oklab
from image_cache.imaging.variants import ImageAppearance

HUE_STEP = 5
CHROMA_STEP = 0.02
MAX_BINS = (
    256  # of a palette: much grain has a thousand, each averaging four pixels, and its five colours are the same with fewer
)
ROUNDS = 12  # of k-means; the five colours of a cover settle after six
GRID_PX = 32  # edge of the grey image that is hashed
BLANK_SPREAD = 6  # levels between the darkest and the lightest pixel; less is a single colour, whatever the codec made of it
DULL_SPREAD = 4.0  # standard deviation of the grey image; below it the hash is noise
_FREQUENCIES = sorted(((u, v) for u in range(11) for v in range(11) if u + v), key=lambda pair: (sum(pair), pair))[:64]
_HIGHEST = max(max(pair) for pair in _FREQUENCIES)
_COSINES = [[math.cos((2 * x + 1) * u * math.pi / (2 * GRID_PX)) for x in range(GRID_PX)] for u in range(_HIGHEST + 1)]

_Lab = tuple[float, float, float]
_Weighted = tuple[float, float, float, float]


def tint(rgba: bytes) -> tuple[str, int, float]:
    """Return average colour ("#rrggbb"), hue and chroma of a few hundred RGBA pixels, four bytes each.

    The hue is the mean angle weighted by chroma squared: a muddy mean of orange and blue stays orange or blue. The chroma is
    that of the mean weighted by chroma^1.5 + .004. A pixel counts as much as it is opaque; if nothing is opaque, the tint is grey.
    Lightness is never taken from a cover, so that contrast cannot depend on it.
    """
    opaque = red = green = blue = 0.0
    hue_a = hue_b = mean_a = mean_b = weights = 0.0
    for index in range(0, len(rgba), 4):
        r, g, b, alpha = rgba[index : index + 4]
        if not alpha:
            continue
        opaque += alpha
        red += r * alpha
        green += g * alpha
        blue += b * alpha
        _, axis_a, axis_b = oklab(r, g, b)
        chroma = math.hypot(axis_a, axis_b)
        hue_a += axis_a * chroma * alpha  # chroma squared times the direction
        hue_b += axis_b * chroma * alpha
        weight = (chroma**1.5 + 0.004) * alpha
        mean_a += axis_a * weight
        mean_b += axis_b * weight
        weights += weight
    if not opaque:
        return "#808080", 0, 0.0
    average = hex_of(red / opaque, green / opaque, blue / opaque)
    steps = round(math.hypot(mean_a, mean_b) / weights / CHROMA_STEP)
    if not steps:
        return average, 0, 0.0  # the hue of grey is rounding noise
    hue = round(math.degrees(math.atan2(hue_b, hue_a)) / HUE_STEP) * HUE_STEP % 360
    return average, hue, round(steps * CHROMA_STEP, 2)


def analyse_pixels(rgb: bytes, grey: bytes) -> ImageAppearance:
    """Analyse some thousand RGB pixels, and a grey image of 32 x 32 px."""
    bands = [rgb[channel::3] for channel in range(3)]
    is_blank = all(max(band) - min(band) <= BLANK_SPREAD for band in bands)
    mean = sum(grey) / len(grey)
    spread = math.sqrt(sum((value - mean) ** 2 for value in grey) / len(grey))
    return ImageAppearance(palette(rgb), None if spread < DULL_SPREAD else shape_hash(grey), is_blank)


def palette(rgb: bytes, count: int = COLOURS) -> tuple[Colour, ...]:
    """Return up to `count` colours by k-means in OKLab, the largest share first.

    Pixels are first gathered in bins of 16 levels per channel, so that the work depends on the colours and not on the pixels.
    """
    points = _bins(rgb)
    centres = _first_centres(points, count)
    for _ in range(ROUNDS):
        sums = [[0.0, 0.0, 0.0, 0.0] for _ in centres]
        for n, lightness, a, b in points:
            # Written out: a call for each of the five centres would be half of the work of a cover with much grain.
            far = [(x - lightness) * (x - lightness) + (y - a) * (y - a) + (z - b) * (z - b) for x, y, z in centres]
            nearest = sums[far.index(min(far))]
            nearest[0] += n
            nearest[1] += n * lightness
            nearest[2] += n * a
            nearest[3] += n * b
        moved = [(s[1] / s[0], s[2] / s[0], s[3] / s[0]) if s[0] else centre for s, centre in zip(sums, centres, strict=True)]
        if moved == centres:
            break
        centres = moved
    total = sum(point[0] for point in points)
    found = [Colour(s[0] / total, *centre) for s, centre in zip(sums, centres, strict=True) if s[0]]
    return tuple(sorted(found, key=lambda colour: (-colour.share, colour.lightness, colour.a, colour.b)))


def shape_hash(grey: bytes) -> int:
    """Return 64 bits of a 32 x 32 image: which of its lowest frequencies are above their median. Similar images differ in few bits."""
    rows = [grey[start : start + GRID_PX] for start in range(0, GRID_PX * GRID_PX, GRID_PX)]
    across = [[sum(map(operator.mul, row, cosines)) for cosines in _COSINES] for row in rows]
    values = [sum(_COSINES[v][y] * across[y][u] for y in range(GRID_PX)) for u, v in _FREQUENCIES]
    ordered = sorted(values)
    median = (ordered[31] + ordered[32]) / 2
    return sum(1 << bit for bit, value in enumerate(values) if value > median)


def _bins(rgb: bytes) -> list[_Weighted]:
    """Return (pixels, lightness, a, b) of each bin, in a fixed order: 16 levels per channel, 8 where that gives too many bins."""
    colours = Counter(zip(rgb[0::3], rgb[1::3], rgb[2::3], strict=True))
    bins = _gather(
        (red >> 4 << 8 | green >> 4 << 4 | blue >> 4, (n, n * red, n * green, n * blue))
        for (red, green, blue), n in colours.items()
    )
    if len(bins) > MAX_BINS:
        bins = _gather((key & 0xEEE, found) for key, found in bins.items())
    return [(float(n), *oklab(red / n, green / n, blue / n)) for _, (n, red, green, blue) in sorted(bins.items())]


def _gather(parts: Iterable[tuple[int, Sequence[int]]]) -> dict[int, list[int]]:
    """Add up (pixels, sums of red, green and blue) by bin."""
    bins: dict[int, list[int]] = {}
    for key, (n, red, green, blue) in parts:
        found = bins.setdefault(key, [0, 0, 0, 0])
        found[0] += n
        found[1] += red
        found[2] += green
        found[3] += blue
    return bins


def _first_centres(points: list[_Weighted], count: int) -> list[_Lab]:
    """Start with the most frequent colour, then keep adding what is frequent and far from all centres so far. Nothing is random."""
    centres = [max(points)[1:]]
    far = _distances(points, centres[0])
    while len(centres) < min(count, len(points)):
        best = max(range(len(points)), key=lambda index: (points[index][0] * far[index], index))
        if far[best] == 0:
            break
        centres.append(points[best][1:])
        far = list(map(min, far, _distances(points, centres[-1])))
    return centres


def _distances(points: list[_Weighted], centre: _Lab) -> list[float]:
    """Return the square of the distance of each point from a centre."""
    x, y, z = centre
    return [(x - lightness) * (x - lightness) + (y - a) * (y - a) + (z - b) * (z - b) for _, lightness, a, b in points]
