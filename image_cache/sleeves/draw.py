"""Which sleeve a record without a cover gets. The same words always give the same drawing, in every process.

An artist keeps one family, with a second one now and then, and two palettes; a genre has four or five families. So neither the
records of an artist nor those of a genre look alike.
"""

import unicodedata
from functools import lru_cache
from hashlib import blake2b

from image_cache.sleeves.families import FAMILIES, Palette
from image_cache.sleeves.lettering import is_latin, printable

# Ground, ink, first and second colour. Ink has a contrast of at least 9:1 on its ground, the others of at least 1.6:1.
PALETTES: tuple[Palette, ...] = (
    ("#f1e6cf", "#1f2a33", "#d9512c", "#e3a53a"),
    ("#16283a", "#f3ead8", "#e2653f", "#6fa8a3"),
    ("#e9e4da", "#221e1c", "#2f6f6a", "#c9a24b"),
    ("#3b1f2b", "#f5dcc4", "#d9694f", "#e8b04a"),
    ("#f4f1ea", "#1d1d1b", "#c8352b", "#8a8a84"),
    ("#203d36", "#f0e8cf", "#d8b14a", "#7fb08a"),
    ("#dfe7e8", "#1c2b35", "#4f7f96", "#d0765a"),
    ("#22201f", "#eee9df", "#e0a12e", "#8c857a"),
    ("#f3d9c9", "#3a1d22", "#b8433f", "#5d7f86"),
    ("#2a2348", "#f2e6ec", "#d86a8f", "#5fa8b5"),
    ("#e6ead6", "#20301f", "#5b7f3a", "#cf8a2f"),
    ("#52231a", "#f6e7cf", "#e08a3c", "#c9b58e"),
    ("#d9d3e3", "#231b33", "#7a5fa0", "#c2664f"),
    ("#0f3b4c", "#f4efe0", "#e9b44c", "#de6f57"),
    ("#f6e3a8", "#2b2113", "#d4622a", "#3f6f6b"),
    ("#1b1b1d", "#e8e8e3", "#c4452d", "#6d7f8c"),
)
# The first word that occurs in the genre decides; any family if none does.
BY_GENRE = {
    "jazz": ("bars", "arcs", "dots", "monogram", "tiles"),
    "blues": ("bars", "horizon", "slab", "diagonals"),
    "funk": ("arcs", "tiles", "dots", "slab"),
    "soul": ("arcs", "tiles", "dots", "slab"),
    "folk": ("horizon", "card", "monogram", "tiles"),
    "country": ("horizon", "card", "slab", "bars"),
    "electronic": ("score", "dots", "monogram", "bars", "diagonals"),
    "rock": ("slab", "diagonals", "monogram", "arcs", "dots"),
    "pop": ("tiles", "slab", "arcs", "bars"),
    "classical": ("card", "horizon", "monogram", "score"),
    "reggae": ("diagonals", "slab", "dots", "arcs"),
    "dub": ("diagonals", "slab", "dots", "arcs"),
    "hip hop": ("diagonals", "slab", "score", "monogram"),
    "latin": ("tiles", "arcs", "bars", "horizon"),
    "african": ("tiles", "diagonals", "arcs", "dots"),
    "stage": ("dots", "card", "score", "monogram"),
    "soundtrack": ("dots", "card", "score", "monogram"),
    "ambient": ("horizon", "monogram", "score", "dots"),
}


@lru_cache(maxsize=512)  # the records of a few pages, 800 bytes each
def drawn_sleeve(artist: str, title: str, genre: str = "") -> str:
    """Return the sleeve of a record as an SVG element whose text is escaped. It needs the font of the page and `.drawn` of its sheet."""
    numbers = _numbers(artist, title)
    palette = PALETTES[(_numbers(artist)[1] + numbers[20] % 2 * 5) % len(PALETTES)]
    if numbers[21] % 4 == 0:
        palette = (palette[0], palette[1], palette[3], palette[2])
    who, what = printable(artist) or "Unknown artist", printable(title) or "Untitled"
    inner = FAMILIES[family_of(artist, title, genre)](who, what, palette, numbers)
    return (
        '<svg class="drawn lettered" viewBox="0 0 150 150" aria-hidden="true" focusable="false">'
        f'<path fill="{palette[0]}" d="M0 0h150v150H0z"/>{inner}</svg>'
    )


@lru_cache(maxsize=64)
def _families(genre: str) -> tuple[str, ...]:
    folded = genre.casefold()
    return next((names for word, names in BY_GENRE.items() if word in folded), tuple(FAMILIES))


def family_of(artist: str, title: str, genre: str = "") -> str:
    """Return the name of the family that a record gets."""
    names = _families(genre)
    if not is_latin(title):  # its letters are stretched, which other scripts do not bear
        names = tuple(name for name in names if name != "slab")
    return names[(_numbers(artist)[0] + (_numbers(artist, title)[22] % 3 == 0)) % len(names)]


def _numbers(*words: str) -> bytes:
    """Return 24 numbers of 0 to 255 that depend on the words alone, not on their case or width."""
    text = "\0".join(unicodedata.normalize("NFKC", word).casefold().strip() for word in words)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=24).digest()
