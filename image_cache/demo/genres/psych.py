"""Psychedelia: what the light show projected, with the words still legible."""

import math

from PIL import Image, ImageChops

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around, blob, petal, star
from image_cache.demo.sleeves.textures import blurred, clouds, toned


@family("plum dusk tropic ember acid neon", grain=0.24)
def seven_waves(c: Canvas, s: Subject) -> None:
    """Seven waves out of one middle, and round words on top."""
    tones = [c.p.a, c.p.b, c.p.c, c.p.paper, c.p.ink]
    lobes, turn = 7, c.rng.uniform(0, 50)
    radius, n = 940.0, 0
    while radius > 40:
        depth = 0.16 + 0.1 * math.sin(n * 0.9)
        rim = [
            around(500, 500, radius * (1 + depth * math.sin(lobes * math.radians(a) + n * 0.42)), a + turn)
            for a in range(0, 360, 2)
        ]
        c.poly(rim, tones[n % 4] if n % 5 else c.p.ink)
        radius *= 0.87
        n += 1
    c.disc(500, 500, 36, c.p.ink)
    t.outlined(c, s.title, (70, 62, 930, 270), "swash", c.p.paper, c.p.ink, most=140, lines=2)
    t.outlined(c, s.artist, (90, 872, 910, 950), "swash", c.p.c if sum(c.p.c) > 400 else c.p.paper, c.p.ink, most=70, lines=1)


@family("dusk plum rose orchard tropic sky", grain=0.34)
def soft_stars(c: Canvas, s: Subject) -> None:
    """Stars and moons sprayed through cut card, their edges gone soft."""
    c.ground(mix(c.p.a, c.p.ink, 0.35))
    for _ in range(18):
        x, y = c.rng.uniform(-20, 1020), c.rng.uniform(-20, 1020)
        size = c.rng.choice((50, 80, 120, 190))
        fill = c.rng.choice((c.p.b, c.p.c, c.p.paper, c.p.a))
        layer = c.mask()
        if c.rng.random() < 0.72:
            layer.poly(star(x, y, c.rng.choice((5, 6, 8)), size, size * 0.46, c.rng.uniform(0, 90)), 255)
        else:
            layer.disc(x, y, size * 0.8, 255)
            layer.disc(x + size * 0.34, y - size * 0.16, size * 0.66, 0)
        inner = blurred(layer.image, size * 0.2 * c.k)
        rim = ImageChops.subtract(layer.image, inner.point(lambda v: max(0, v - 100)))
        c.lay(rim, fill, 0.95)
    c.rect(0, 392, 1001, 608, mix(c.p.ink, c.p.a, 0.15))
    t.block(c, s.title, (70, 418, 930, 524), "round", c.p.paper, "centre", "middle", most=96, lines=2)
    t.line(c, s.artist, 500, 578, "round", 42, c.p.c if sum(c.p.c) > 380 else c.p.paper, "centre", 840)


@family("neon ember plum acid lagoon citrus", grain=0.2)
def liquid(c: Canvas, s: Subject) -> None:
    """Oil and dye between two plates of glass."""
    big = blurred(c.noise(lambda rng, size: clouds(rng, size, 2, 3, 0.5), 2), 9 * c.k)
    tones = [c.p.ink, c.p.a, c.p.b, c.p.c, c.p.paper, c.p.a, c.p.ink, c.p.c, c.p.b]
    edges = [n / 9 for n in range(1, 9)]
    stops = [
        (place, tone) for n, edge in enumerate(edges) for place, tone in ((edge - 0.02, tones[n]), (edge + 0.02, tones[n + 1]))
    ]
    c.fill_with(toned(big, stops))
    for _ in range(34):
        x, y, r = c.rng.uniform(0, 1000), c.rng.uniform(0, 1000), c.rng.choice((9, 14, 22, 40))
        fill = c.rng.choice(tones)
        c.poly(blob(c.rng, x, y, r, 0.2, 3), fill)
        c.disc(x - r * 0.3, y - r * 0.3, r * 0.2, mix(fill, c.p.paper, 0.7))
    t.outlined(c, s.title, (64, 70, 936, 330), "swash", c.p.paper, c.p.ink, most=150, lines=3)
    t.outlined(c, s.artist, (64, 868, 936, 946), "round", c.p.paper, c.p.ink, most=66, lines=1)


@family("plum ember mustard navy orchard moss", grain=0.3)
def all_seeing(c: Canvas, s: Subject) -> None:
    """One eye, open, and its rays."""
    c.ground(c.p.a)
    x, y = 500, 480
    for n in range(36):
        c.poly([(x, y), around(x, y, 900, n * 10 - 2.6), around(x, y, 900, n * 10 + 2.6)], c.p.b)
    for n in range(15):
        turn = -166 + n * 152 / 14
        c.poly(petal(*around(x, y + 30, 250, turn), turn, 120 if n % 2 else 160, 46), c.p.ink)
    almond = ImageChops.multiply(_disc(c, x, y + 262, 470), _disc(c, x, y - 262, 470))
    rim = ImageChops.multiply(_disc(c, x, y + 262, 496), _disc(c, x, y - 262, 496))
    c.lay(rim, c.p.ink)
    c.lay(almond, c.p.paper)
    iris = Canvas(c.size_px, c.p, c.rng)
    iris.image.paste(c.image)
    iris.disc(x, y, 172, c.p.ink)
    iris.disc(x, y, 160, c.p.c)
    for n in range(40):
        iris.poly(petal(x, y, n * 9, 152, 13), c.p.b if n % 2 else c.p.a)
    iris.disc(x, y, 78, c.p.ink)
    iris.disc(x + 34, y - 36, 22, c.p.paper)
    c.lay(almond, iris.image)
    c.rect(0, 0, 1001, 132, c.p.ink)
    c.rect(0, 868, 1001, 1001, c.p.ink)
    t.line(c, s.title, 500, 92, "didone", 74, c.p.paper, "centre", 900)
    t.line(c, s.artist, 500, 954, "didone", 58, c.p.paper, "centre", 900)


def _disc(c: Canvas, x: float, y: float, radius: float) -> Image.Image:
    layer = c.mask()
    layer.disc(x, y, radius, 255)
    return layer.image


@family("neon tropic plum ember cobalt rose citrus", grain=0.22)
def kaleidoscope(c: Canvas, s: Subject) -> None:
    """A twelfth of an image, mirrored round."""
    slice_ = Canvas(c.size_px, c.p, c.rng)
    tones = [c.p.a, c.p.b, c.p.c, c.p.ink, c.p.paper]
    slice_.ground(c.p.ink)
    for n in range(30):
        x, y, size = c.rng.uniform(480, 1000), c.rng.uniform(480, 820), c.rng.uniform(36, 150) * (1 - n / 60)
        fill = tones[n % 5]
        kind = c.rng.randrange(3)
        if kind == 0:
            slice_.disc(x, y, size * 0.7, fill)
            slice_.disc(x, y, size * 0.4, tones[(n + 2) % 5])
        elif kind == 1:
            slice_.poly(star(x, y, 4, size, size * 0.45, c.rng.uniform(0, 90)), fill)
        else:
            slice_.poly(petal(x, y, c.rng.uniform(0, 360), size * 2, size * 0.8), fill)
    # A wedge and its mirror make a pair; a pair and its turned copy make a third; three thirds are the round.
    wedge = c.mask()
    wedge.poly([(500, 500), around(500, 500, 800, -0.5), around(500, 500, 800, 30.5)], 255)
    round_ = Image.new("RGBA", c.size)
    round_.paste(slice_.image, (0, 0), wedge.image)
    mirrored = round_.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    round_.alpha_composite(mirrored)
    round_.alpha_composite(round_.rotate(60))
    third = round_.copy()
    for turn in (120, 240):
        round_.alpha_composite(third.rotate(turn))
    c.ground(c.p.ink)
    c.image.paste(round_, (0, 0), round_)
    ring = c.mask(255)
    ring.disc(500, 500, 404, 0)
    c.lay(ring, c.p.ink)
    c.ring(500, 500, 412, 8, c.p.c)
    t.on_circle(c, s.title, 500, 500, 430, "round", 60, c.p.paper, most=150)
    t.on_circle(c, s.artist, 500, 500, 472, "round", 54, c.p.paper, middle=90, inside_out=True, most=150)
