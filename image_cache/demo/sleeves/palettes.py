"""Thirty palettes of five colours, mixed by hand: paper (light), ink (dark) and three that carry the image."""

from typing import NamedTuple

Colour = tuple[int, int, int]
LEGIBLE = 3.4  # large type is legible at 3:1 (WCAG 2, 1.4.3); the grain takes a little


class Palette(NamedTuple):
    paper: Colour
    ink: Colour
    a: Colour
    b: Colour
    c: Colour

    @property
    def accents(self) -> tuple[Colour, Colour, Colour]:
        return (self.a, self.b, self.c)

    def on(self, ground: Colour) -> Colour:
        """Return paper or ink, whichever reads better on `ground`."""
        return max((self.paper, self.ink), key=lambda tone: contrast(tone, ground))

    def readable(self, tone: Colour, ground: Colour) -> Colour:
        """Return `tone` where it can be read on `ground`, else the better of paper and ink."""
        return tone if contrast(tone, ground) >= LEGIBLE else self.on(ground)


def luminance(colour: Colour) -> float:
    """Return the relative luminance of WCAG 2, 0 to 1."""
    parts = [v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: Colour, other: Colour) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return `one` with `share` (0 to 1) of `other` in it."""
    r, g, b = (round(x + (y - x) * share) for x, y in zip(one, other, strict=True))
    return r, g, b


def _palette(colours: str) -> Palette:
    return Palette(*((int(h[:2], 16), int(h[2:4], 16), int(h[4:], 16)) for h in colours.split()))


PALETTES = {
    name: _palette(colours)
    for name, colours in {
        "acid": "f2f5e4 101510 b6e000 ff4f1f 1b7f79",
        "bone": "efe9dd 2a2622 b9ab93 7d7361 a5442f",
        "boreal": "e6f2ee 07161f 1ba08a 7ee0a8 6a4c93",
        "brick": "f0ded0 231815 a8402d d88c5a 2f4858",
        "citrus": "fbf6df 16321f f28c0f 8bbf1f e5383b",
        "cobalt": "f3efe6 0d0f2b 2438c9 f0532d f5d547",
        "concrete": "e8e6e1 1b1c1e 8b8f93 d5301f 4d5257",
        "cyanotype": "dfe9f0 0b2545 13497b 8da9c4 f25f3a",
        "dusk": "f7dfd3 1f1733 5a3e85 e76f6b f7b267",
        "ember": "f6e7cf 2b1512 d8452a f0a830 7a1f2b",
        "forest": "e9eadf 0e1f17 1f5a41 8fb08c d9b44a",
        "lagoon": "eaf0e6 0f2a33 1f8a8c f2b84b d9573f",
        "lilac": "f3eef7 251a3a a58fd0 f2a7b5 5d6fb5",
        "malt": "f1e1c6 1d120b 7c4a21 c88a3d 2f4a4a",
        "moss": "efe8d2 1e2a1c 5b7a3a c9a227 8c4a2f",
        "mustard": "f5e6b8 2a1e0f d99a1c 8f3b1b 3f5e5a",
        "navy": "e9e6dc 0e1a35 2f5fa8 e4572e f3c969",
        "neon": "fdf0f6 14061f ff3d8b 22c7e8 ffd23f",
        "orchard": "f4ecd6 2c2416 b83a26 6d8a3e e9b44c",
        "plum": "f3e3dc 2a1230 7b2d6b e8743b f2c14e",
        "polar": "edf3f6 14222c 88a9ba c8d8de 41616f",
        "rose": "fbeae4 3a1420 e07a8b c23b4f f6c6a0",
        "sahara": "f8e8c9 3b1d0e d98236 e9b872 7a3b1e",
        "seaglass": "eef3ee 19363a 7fb8a8 f0d9a0 d9785b",
        "signal": "f4f1e8 111111 e2231a f6c500 1f4fa3",
        "sky": "f6f3ea 15304a 5aa9d6 f4c95d ee6c4d",
        "soot": "f2efe9 161413 55504a a39c92 c9382b",
        "terracotta": "f6e3d0 33190f c65d32 e7a977 4f6b5c",
        "tropic": "fdf1d8 0b3b3c 00897b ff7043 ffca28",
        "wine": "f2e4d8 25080f 6e1423 b0413e d9a05b",
    }.items()
}
