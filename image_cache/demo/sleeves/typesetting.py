"""Setting type on a sheet: lines, tracked lines, blocks that fill a box, and lines on a circle. All measures in units."""

import math
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from image_cache.demo.sleeves.canvas import Ink, Sheet
from image_cache.demo.sleeves.textures import blurred

FONTS = Path(__file__).resolve().parent.parent / "fonts"
Align = Literal["left", "centre", "right"]
Vertical = Literal["top", "middle", "bottom"]
SHARES = {"left": 0.0, "centre": 0.5, "right": 1.0, "top": 0.0, "middle": 0.5, "bottom": 1.0}


@lru_cache(maxsize=256)
def font(face: str, size_px: int) -> ImageFont.FreeTypeFont:
    # Pillow sets with Raqm where it was built with it, which kerns; its basic layout reads the pairs but moves nothing visibly.
    return ImageFont.truetype(str(FONTS / f"{face}.ttf"), max(4, size_px))


def width(sheet: Sheet, text: str, face: str, size: float, tracking: float = 0) -> float:
    """Return the advance of a line in units. `tracking` is in ems."""
    px = font(face, round(size * sheet.k)).getlength(text)
    return px / sheet.k + tracking * size * max(0, len(text) - 1)


def fitting(sheet: Sheet, text: str, face: str, room: float, size: float, tracking: float = 0) -> float:
    """Return the largest size up to `size` at which the line is no wider than `room`."""
    needed = width(sheet, text, face, size, tracking)
    return size if needed <= room else size * room / needed * 0.995


def line(
    sheet: Sheet,
    text: str,
    x: float,
    y: float,
    face: str,
    size: float,
    fill: Ink,
    align: Align = "left",
    room: float = 0,
    tracking: float = 0,
) -> float:
    """Set one line with its baseline at `y`, made smaller when it is wider than `room`; return the size used."""
    if room:
        size = fitting(sheet, text, face, room, size, tracking)
    k = sheet.k
    pen = x * k - SHARES[align] * width(sheet, text, face, size, tracking) * k
    chosen = font(face, round(size * k))
    if not tracking:
        sheet.draw.text((pen, y * k), text, font=chosen, fill=fill, anchor="ls")
        return size
    for letter in text:
        sheet.draw.text((pen, y * k), letter, font=chosen, fill=fill, anchor="ls")
        pen += chosen.getlength(letter) + tracking * size * k
    return size


def cap_height(sheet: Sheet, face: str, size: float) -> float:
    return -font(face, round(size * sheet.k)).getbbox("H", anchor="ls")[1] / sheet.k


def breaks(text: str, count: int) -> list[str]:
    """Break a text into at most `count` lines of most equal length; hyphenated names may break after the hyphen."""
    words = text.replace("-", "- ").split()
    count = min(count, len(words))
    best: tuple[float, list[str]] = (math.inf, [text])

    def walk(rest: list[str], lines: list[str]) -> None:
        nonlocal best
        if len(lines) == count - 1:
            whole = [*lines, " ".join(rest).replace("- ", "-")]
            cost = max(len(part) for part in whole) + 0.01 * sum(len(part) ** 2 for part in whole)
            best = min(best, (cost, whole))
            return
        for cut in range(1, len(rest) - (count - len(lines) - 1) + 1):
            walk(rest[cut:], [*lines, " ".join(rest[:cut]).replace("- ", "-")])

    walk(words, [])
    return best[1]


def block(
    sheet: Sheet,
    text: str,
    box: tuple[float, float, float, float],
    face: str,
    fill: Ink,
    align: Align = "left",
    vertical: Vertical = "top",
    most: float = 400,
    leading: float = 1.0,
    lines: int = 4,
    tracking: float = 0,
    gap: str = " ",
) -> tuple[float, float, float]:
    """Set a text as large as it fits into `box` (x0, y0, x1, y1), in up to `lines` lines; return its top, bottom and size.

    Measured by the ink: nothing leaves the box, and the first capital touches its top. `gap` is what stands between words.
    """
    x0, y0, x1, y1 = box
    plan: tuple[float, list[str]] = (0.0, [text])
    for count in range(1, lines + 1):
        parts = [part.replace(" ", gap) for part in breaks(text, count)]
        size = min(fitting(sheet, part, face, x1 - x0, most, tracking) for part in parts)
        above, below = _ink(sheet, parts, face, size)
        height = above + below + (len(parts) - 1) * size * leading
        if height > y1 - y0:
            size *= (y1 - y0) / height
        if size > plan[0] * 1.06:  # a line more must be worth it
            plan = (size, parts)
    size, parts = plan
    above, below = _ink(sheet, parts, face, size)
    height = above + below + (len(parts) - 1) * size * leading
    top = y0 + (y1 - y0 - height) * SHARES[vertical]
    anchor = x0 + (x1 - x0) * SHARES[align]
    for n, part in enumerate(parts):
        line(sheet, part, anchor, top + above + n * size * leading, face, size, fill, align, tracking=tracking)
    return top, top + height, size


def _ink(sheet: Sheet, parts: list[str], face: str, size: float) -> tuple[float, float]:
    """Return how far the first line rises above its baseline and the last one falls below it."""
    chosen = font(face, round(size * sheet.k))
    above = -chosen.getbbox(parts[0], anchor="ls")[1] / sheet.k
    below = max(0.0, chosen.getbbox(parts[-1], anchor="ls")[3] / sheet.k)
    return above, below


def on_circle(
    sheet: Sheet,
    text: str,
    x: float,
    y: float,
    radius: float,
    face: str,
    size: float,
    fill: Ink,
    middle: float = -90,
    inside_out: bool = False,
    tracking: float = 0.06,
    most: float = 320,
) -> None:
    """Set a line around a circle, its middle at `middle` degrees; `inside_out` reads along the bottom. At most `most` degrees long."""
    k = sheet.k
    # At the bottom the baseline lies on the outer side: letters stand towards the centre.
    room = math.radians(most) * radius
    size = fitting(sheet, text, face, room, size, tracking)
    chosen = font(face, round(size * k))
    turn = -1 if inside_out else 1
    along = -width(sheet, text, face, size, tracking) / 2
    for letter in text:
        advance = chosen.getlength(letter) / k
        angle = math.radians(middle) + turn * (along + advance / 2) / radius
        _turned(
            sheet,
            letter,
            chosen,
            x + radius * math.cos(angle),
            y + radius * math.sin(angle),
            math.degrees(angle) + 90 * turn,
            fill,
        )
        along += advance + tracking * size


def slanted(sheet: Sheet, text: str, x: float, y: float, face: str, size: float, fill: Ink, angle: float) -> None:
    """Set a line centred on (x, y), turned by `angle` degrees clockwise."""
    chosen = font(face, round(size * sheet.k))
    _turned(sheet, text, chosen, x, y + cap_height(sheet, face, size) / 2, angle, fill, pivot=(x, y))


def _turned(
    sheet: Sheet,
    text: str,
    chosen: ImageFont.FreeTypeFont,
    x: float,
    y: float,
    angle: float,
    fill: Ink,
    pivot: tuple[float, float] | None = None,
) -> None:
    """Stamp a text whose baseline's middle lies at (x, y), turned about that point or `pivot`."""
    k = sheet.k
    px, py = pivot or (x, y)
    left, top, right, bottom = chosen.getbbox(text, anchor="ms")
    reach = int(max(abs(left), abs(right), abs(top) + abs(y - py) * k, abs(bottom) + abs(y - py) * k) * 1.5) + 4
    stamp = Image.new("L", (2 * reach, 2 * reach), 0)
    ImageDraw.Draw(stamp).text((reach + (x - px) * k, reach + (y - py) * k), text, font=chosen, fill=255, anchor="ms")
    stamp = stamp.rotate(-angle, Image.Resampling.BICUBIC)
    sheet.image.paste(fill, (round(px * k) - reach, round(py * k) - reach, round(px * k) + reach, round(py * k) + reach), stamp)


def stretched(sheet: Sheet, text: str, box: tuple[float, float, float, float], face: str, fill: Ink) -> None:
    """Set a line so that its ink fills `box` exactly, letters drawn wider or narrower as needed."""
    k = sheet.k
    x0, y0, x1, y1 = (round(v * k) for v in box)
    chosen = font(face, max(20, y1 - y0))
    left, top, right, bottom = (int(v) for v in chosen.getbbox(text))
    stamp = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(stamp).text((-left, -top), text, font=chosen, fill=255)
    sheet.image.paste(fill, (x0, y0, x1, y1), stamp.resize((x1 - x0, y1 - y0), Image.Resampling.LANCZOS))


def outlined(
    sheet: Sheet,
    text: str,
    box: tuple[float, float, float, float],
    face: str,
    fill: Ink,
    rim: Ink,
    most: float = 200,
    lines: int = 2,
) -> None:
    """Set a centred block with a heavy rim, for words that stand on an image."""
    k = sheet.k
    layer = Sheet(Image.new("L", sheet.size, 0), round(sheet.side / 2))
    block(layer, text, box, face, 255, "centre", "middle", most=most, leading=0.98, lines=lines)
    wide = blurred(layer.image, 7 * k).point(lambda v: max(0, min(255, (v - 22) * 9)))
    area = (0, 0, *sheet.size)
    sheet.image.paste(rim, area, wide)
    sheet.image.paste(fill, area, layer.image)
