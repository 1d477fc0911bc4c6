"""Small inline SVG: what is behind a cover, spines over a letter, the label of a disc.

Colours are presentation attributes, which a strict content policy allows. Knows nothing of requests.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup

from image_cache.imaging import color
from image_cache.imaging.color import hex_of, oklab, rgb_of, rgb_of_oklab
from image_cache.models import Album, Cover
from image_cache.records.orders.colours import BANDS, RAMPS, is_ascending
from image_cache.records.playing.sides import carrier_of

MAX_SPINES = 11  # with more records over one letter each spine stands for several
HEX = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
WHITE_BELOW = 0.179  # luminance where white and black text reach the same contrast, 4.58:1
# Where the greys of the ruler begin and end; hues go from dark to light.
LIGHTNESS = {"White": (0.8, 0.92), "Grey": (0.5, 0.75), "Black": (0.28, 0.42)}
INITIALS_RATIO = 3.0  # WCAG 1.4.11 and 1.4.3 for large text
_PLAIN = Markup(
    '<svg class="drawn" viewBox="0 0 150 150" aria-hidden="true" focusable="false">'
    '<rect width="150" height="150" fill="{}"/>{}</svg>'
)


def sleeve(cover: Cover, album: Album | None) -> Markup:
    """Draw what is seen until the cover is loaded: its average colour with initials, or the sleeve of a record without a cover.

    Without an album nothing is known that could be drawn: a die-cut inner sleeve.
    """
    if cover.state == "ready":
        return _plain(cover.average, album.artist if album else "")
    if album is None:
        return die_cut(cover.average)
    from image_cache.sleeves.draw import drawn_sleeve  # a wall whose covers are all here never needs it

    return Markup(drawn_sleeve(album.artist, album.title, ", ".join(album.genres)))  # noqa: S704  it escapes its text


@lru_cache(maxsize=1024)  # the records of a few pages
def _plain(average: str | None, name: str) -> Markup:
    if average is None or not is_hex(average):
        return _svg("", '<rect class="unknown" width="150" height="150"/>', _initials(name, None))
    return _PLAIN.format(average, _initials(name, average))


@lru_cache(maxsize=1024)
def die_cut(average: str | None = None, name: str = "") -> Markup:
    """Draw a plain inner sleeve: paper, and through its hole the label of the disc in the average colour."""
    label = Markup('<circle cx="75" cy="75" r="25" fill="{}"/>').format(average) if is_hex(average) else Markup("")
    return _svg(
        "inner",
        '<rect class="paper" width="150" height="150"/><circle class="hole" cx="75" cy="75" r="27"/>',
        label,
        Markup('<circle class="pin" cx="75" cy="75" r="3"/>') if label else Markup(""),
        _initials(name, None),
    )


def initials(name: str) -> str:
    """Return the initials of the first two words of a name, without `The`."""
    words = [word for word in name.replace("&", " ").split() if word[0].isalnum()]
    if len(words) > 1 and words[0].lower() == "the":
        words = words[1:]
    return "".join(word[0] for word in words[:2]).upper()


def spines(count: int, each: int = 1) -> Markup:
    """Draw `count` records as spines, one for `each` records, of slightly different heights as on a shelf."""
    shown = max(1, min(MAX_SPINES, -(-count // each))) if count else 0
    lines = "".join(f"M{4 * at + 1} {(0, 1, 0, 2, 1)[(at * 7 + count) % 5]}V14" for at in range(shown))
    width = max(2, 4 * shown - 2)
    return Markup(
        '<svg class="spines" width="{w}" height="14" viewBox="0 0 {w} 14" aria-hidden="true" focusable="false">'
        '<path d="{d}" stroke="currentColor" stroke-width="2" fill="none"/></svg>'
    ).format(w=width, d=lines)


def coloured(band: str, count: int, each: int = 1) -> Markup:
    """Draw the records of a colour as spines, one for `each` records, in the colours of the band on the wall."""
    shown = max(1, min(MAX_SPINES, -(-count // each))) if count else 0
    lines = [
        Markup('<path d="M{at} 0V14" stroke="{colour}"/>').format(at=4 * at + 1, colour=colour)
        for at, colour in enumerate(ramp(band, shown))
    ]
    return Markup(
        '<svg class="spines" width="{w}" height="14" viewBox="0 0 {w} 14" stroke-width="2" aria-hidden="true" focusable="false">{lines}</svg>'
    ).format(w=max(2, 4 * shown - 2), lines=Markup("").join(lines))


def spine(cover: Cover) -> tuple[Markup, str]:
    """Return the coloured spine of a record on the shelf, and the class of the ink that is legible on it."""
    if not is_hex(cover.average):
        return Markup(""), "plain"
    back = Markup(
        '<svg class="back" aria-hidden="true" focusable="false" preserveAspectRatio="none" viewBox="0 0 1 1">'
        '<rect width="1" height="1" fill="{}"/></svg>'
    ).format(cover.average)
    return back, "light" if ink_on(cover.average or "") == "#ffffff" else "dark"


def crate(averages: Sequence[str]) -> Markup:
    """Draw the spines of a crate, seen from the front, in the colours of the covers; "" for one that has no colour yet."""
    paths = []
    for number, average in enumerate(averages):
        top = number * 7 % 4
        fill = average if is_hex(average) else "currentColor"
        paths.append(Markup('<path fill="{}" d="M{} {}h9v{}h-9z"/>').format(fill, 10 * number, top, 64 - top))
    width = max(1, 10 * len(paths) - 1)
    return Markup('<svg width="{0}" height="64" viewBox="0 0 {0} 64" aria-hidden="true" focusable="false">{1}</svg>').format(
        width, Markup("").join(paths)
    )


def disc_label(artist: str, title: str, side: str = "A", speed: str = "33 1/3", note: str = "stereo") -> Markup:
    """Draw the paper label in the middle of a disc."""
    return Markup(
        '<svg class="label" viewBox="0 0 200 200" aria-hidden="true" focusable="false">'
        '<circle class="paper" cx="100" cy="100" r="100"/><circle class="rim" cx="100" cy="100" r="92"/>'
        '<text class="who" x="100" y="47" font-size="{size}">{artist}</text><text x="100" y="66" font-size="13">{title}</text>'
        '<text class="side" x="44" y="107" font-size="20">{side}</text><text x="154" y="105" font-size="13">{speed}</text>'
        '<text x="100" y="156" font-size="13">{note}</text><circle class="pin" cx="100" cy="100" r="7"/></svg>'
    ).format(
        artist=_cut(artist, 24), title=_cut(title, 26), side=side, speed=speed, note=note, size=17 if len(artist) < 18 else 14
    )


def album_label(album: Album, side: str = "") -> Markup:
    """Draw the label of a side of an album, of its first one for "": 78 for shellac, 45 for a single, no speed for a CD."""
    carrier, formats = carrier_of(album.formats), " ".join(album.formats).lower()
    first = album.tracks[0].position[:1].upper() if album.tracks and album.tracks[0].position[:1].isalpha() else "A"
    if carrier == "shellac":
        size = next((f"{inches} inch" for inches in ("10", "12", "7") if f'{inches}"' in formats), "")
        return disc_label(album.artist, album.title, side or first, "78", size)
    if carrier == "cd":
        return disc_label(album.artist, album.title, side or "", "", "compact disc")
    speed = "45" if any(word in formats for word in ('7"', "single", "45 rpm")) else "33 1/3"
    return disc_label(album.artist, album.title, side or first, speed, "mono" if "mono" in formats else "stereo")


def _svg(kind: str, *parts: str | Markup) -> Markup:
    """Join parts that are markup already; every text in them was escaped by `Markup.format`."""
    names = f"drawn {kind}".strip()
    body = "".join(str(part) for part in parts)
    return Markup(f'<svg class="{names}" viewBox="0 0 150 150" aria-hidden="true" focusable="false">{body}</svg>')  # noqa: S704


@lru_cache(maxsize=1024)  # the records of a few pages
def _initials(name: str, ground: str | None) -> Markup:
    letters = initials(name)
    if not letters:
        return Markup("")
    paint = Markup(' fill="{}"').format(initials_on(ground)) if ground else Markup("")
    return Markup('<text x="9" y="139" font-size="34"{}>{}</text>').format(paint, letters)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


@lru_cache(maxsize=1024)
def is_hex(colour: str | None) -> bool:
    """Return True if `colour` is `#rrggbb`: the only form that is ever written into markup."""
    return colour is not None and HEX.fullmatch(colour) is not None


def ink_on(colour: str) -> str:
    """Return white or black, whichever reads better on `colour`; never below 4.5:1."""
    return "#ffffff" if luminance(colour) < WHITE_BELOW else "#000000"


@lru_cache(maxsize=4096)
def initials_on(colour: str) -> str:
    """Return the same hue, moved darker or lighter until it stands 3:1 against `colour`."""
    lightness, a, b = oklab(*rgb_of(colour))
    ground = luminance(colour)
    step = 0.02 if ground < WHITE_BELOW else -0.02
    while 0.0 <= lightness <= 1.0:
        lightness += step
        candidate = hex_of(*rgb_of_oklab(lightness, a, b))
        if _ratio(luminance(candidate), ground) >= INITIALS_RATIO:
            return candidate
    return ink_on(colour)


@lru_cache(maxsize=256)
def ramp(band: str, count: int) -> tuple[str, ...]:
    """Return `count` colours of a band of the wall by colour, in its order there; greys for what is none."""
    number = BANDS.index(band) if band in BANDS else BANDS.index("Grey")
    hue, chroma = RAMPS[number]
    low, high = LIGHTNESS.get(band, (0.36, 0.86))
    steps = [low + (high - low) * (step + 0.5) / count for step in range(count)]
    a, b = math.cos(math.radians(hue)), math.sin(math.radians(hue))
    # Very dark and very light colours have less chroma in sRGB than those between.
    chromas = [chroma * (1 - abs(2 * step - 1.2) ** 2 * 0.6) for step in steps]
    colours = [hex_of(*rgb_of_oklab(step, part * a, part * b)) for step, part in zip(steps, chromas, strict=True)]
    return tuple(colours if is_ascending(number) else reversed(colours))


@lru_cache(maxsize=4096)
def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, 0 to 1 (WCAG 2)."""
    return color.luminance(*rgb_of(colour))


def _ratio(left: float, right: float) -> float:
    return (max(left, right) + 0.05) / (min(left, right) + 0.05)
