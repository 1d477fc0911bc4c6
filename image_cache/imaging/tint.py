"""The colours of a cover: its average, and the hue and chroma that tint a page. Arithmetic only.

Lightness is never taken from a cover, so contrast cannot depend on it.
"""

import math

HUE_STEP = 5
CHROMA_STEP = 0.02


def _linear(value: int) -> float:
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


_LINEAR = tuple(_linear(value) for value in range(256))


def _oklab_ab(red: int, green: int, blue: int) -> tuple[float, float]:
    """Return the two colour axes of OKLab. Source: Björn Ottosson, "A perceptual color space for image processing"."""
    r, g, b = _LINEAR[red], _LINEAR[green], _LINEAR[blue]
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def tint(rgba: bytes) -> tuple[str, int, float]:
    """Return average colour ("#rrggbb"), hue and chroma of a few hundred RGBA pixels, four bytes each.

    The hue is the mean angle weighted by chroma squared: a muddy mean of orange and blue stays orange or blue. The chroma is
    that of the mean weighted by chroma^1.5 + .004. A pixel counts as much as it is opaque; with nothing opaque, it is grey.
    """
    opaque = red = green = blue = 0.0
    hue_a = hue_b = mean_a = mean_b = weights = 0.0
    for at in range(0, len(rgba), 4):
        r, g, b, alpha = rgba[at : at + 4]
        if not alpha:
            continue
        opaque += alpha
        red += r * alpha
        green += g * alpha
        blue += b * alpha
        axis_a, axis_b = _oklab_ab(r, g, b)
        chroma = math.hypot(axis_a, axis_b)
        hue_a += axis_a * chroma * alpha  # chroma squared times the direction
        hue_b += axis_b * chroma * alpha
        weight = (chroma**1.5 + 0.004) * alpha
        mean_a += axis_a * weight
        mean_b += axis_b * weight
        weights += weight
    if not opaque:
        return "#808080", 0, 0.0
    average = "#" + "".join(f"{round(part / opaque):02x}" for part in (red, green, blue))
    steps = round(math.hypot(mean_a, mean_b) / weights / CHROMA_STEP)
    if not steps:
        return average, 0, 0.0  # the hue of grey is rounding noise
    hue = round(math.degrees(math.atan2(hue_b, hue_a)) / HUE_STEP) * HUE_STEP % 360
    return average, hue, round(steps * CHROMA_STEP, 2)
