"""Electronic: what an instrument would draw if it were left alone."""

import math
from itertools import pairwise

from PIL import Image, ImageChops

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas, Point
from image_cache.demo.sleeves.house import Subject, imprint, names
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around
from image_cache.demo.sleeves.textures import blurred, clouds


@family("polar acid boreal seaglass cyanotype citrus rose", grain=0.22)
def contours(c: Canvas, s: Subject) -> None:
    """Lines of equal height over an unknown country."""
    ground = c.rng.choice((c.p.paper, c.p.ink))
    c.ground(ground)
    land = blurred(c.noise(lambda rng, size: clouds(rng, size, 2, 3, 0.42)), 20 * c.k)
    step = 17
    # Where the height changes its band, there is a line: the difference of the bands and their shifted self.
    # Eight bits are terraces; softened and cut again, their edges are curves.
    bands = _smoothed(c, land.point(lambda v: 255 if (v // step) % 2 else 0))
    lines = c.mask()
    offset = max(2, round(2.6 * c.k))
    for dx, dy in ((offset, 0), (0, offset), (-offset, 0), (0, -offset)):
        moved = bands.transform(bands.size, Image.Transform.AFFINE, (1, 0, dx, 0, 1, dy))
        lines.image.paste(ImageChops.lighter(lines.image, ImageChops.difference(bands, moved)))
    lines.frame(0, 0, 1000, 1000, 8, 0)
    peak = _smoothed(c, land.point(lambda v: 255 if v > 203 else 0))
    c.lay(peak, c.p.a)
    lake = _smoothed(c, land.point(lambda v: 255 if v < 51 else 0))
    c.lay(lake, c.p.b)
    c.lay(lines, mix(c.p.on(ground), ground, 0.12), 0.85)
    c.rect(0, 0, 1001, 176, ground)
    names(c, s, 50, 84, c.p.on(ground), size=58, room=900)


def _smoothed(c: Canvas, shape: Image.Image) -> Image.Image:
    return blurred(shape, 4.5 * c.k).point(lambda v: max(0, min(255, (v - 112) * 8)))


@family("navy neon boreal acid soot cobalt signal", grain=0.2)
def lissajous(c: Canvas, s: Subject) -> None:
    """The figure of two tones on a screen."""
    dark = mix(c.p.ink, (0, 0, 0), 0.25)
    c.ground(dark)
    p, q = c.rng.choice(((3, 4), (2, 5), (5, 4), (3, 5)))
    phase = c.rng.uniform(0.3, 1.2)
    for n in range(26):
        share = n / 25
        size = 190 + 235 * share
        curve: list[Point] = []
        for i in range(420):
            a = math.tau * i / 419
            curve.append((500 + size * math.sin(p * a + phase + share * 0.55), 470 + size * 0.93 * math.sin(q * a)))
        tone = mix(c.p.a, c.p.b, share * 2) if share < 0.5 else mix(c.p.b, c.p.paper, share * 2 - 1)
        c.line(curve, 2.2, mix(dark, tone, 0.3 + 0.7 * share))
    c.rect(0, 902, 1001, 1001, dark)
    t.line(c, s.artist, 44, 962, "wide", 34, c.p.paper, room=440)
    t.line(c, s.title, 956, 962, "grotesk", 40, c.p.paper, "right", 440)


@family("signal cyanotype concrete acid cobalt soot")
def bar_grid(c: Canvas, s: Subject) -> None:
    """A field of dashes, each with its own value, read like a table."""
    c.ground(c.p.paper)
    columns, rows = 12, 22
    wide, tall = 888 / columns, 640 / rows
    hot = c.rng.randrange(columns)
    for column in range(columns):
        drift = c.rng.uniform(0, 6)
        for row in range(rows):
            share = 0.5 + 0.5 * math.sin(row * 0.42 + column * 0.55 + drift)
            x, y = 56 + column * wide, 56 + row * tall
            fill = c.p.b if column == hot else c.p.a if (row * 7 + column * 3) % 11 == 0 else c.p.ink
            c.rect(x, y, x + max(6, (wide - 10) * share), y + tall * 0.56, fill)
    c.rect(56, 730, 944, 734, c.p.ink)
    t.block(c, s.title, (56, 762, 700, 900), "condensed", c.p.ink, most=160, lines=2, leading=0.95)
    t.line(c, s.artist, 56, 956, "grotesk", 40, c.p.ink, room=640)
    imprint(c, s, 944, 956, c.p.ink, c.p.paper, "right", 28)


@family("soot signal cyanotype acid wine cobalt", grain=0.2)
def moire(c: Canvas, s: Subject) -> None:
    """Two sets of rings that disagree."""
    c.ground(c.p.paper)
    away = c.rng.uniform(60, 120)
    turn = c.rng.uniform(0, 360)
    for sign, fill in ((-1, c.p.a), (1, c.p.ink)):
        x, y = around(500, 440, away / 2 * sign, turn)
        layer = c.mask()
        for n in range(44, 0, -1):
            layer.ring(x, y, n * 12.6, 6.1, 255)
        window = c.mask()
        window.disc(500, 440, 362, 255)
        layer.image.paste(ImageChops.multiply(layer.image, window.image))
        c.multiply(layer, fill)
    t.line(c, s.artist, 56, 902, "bold", 54, c.p.ink, room=888)
    t.line(c, s.title, 56, 956, "grotesk", 44, c.p.ink, room=640)
    imprint(c, s, 944, 956, c.p.ink, c.p.paper, "right", 26)


@family("neon citrus cobalt tropic signal", grain=0.12)
def pixels(c: Canvas, s: Subject) -> None:
    """An emblem of squares, the same left and right, as a small machine would embroider it."""
    ground = c.rng.choice((c.p.ink, mix(c.p.a, c.p.ink, 0.5)))
    c.ground(ground)
    cells, unit = 15, 52.0
    left, top = 500 - cells * unit / 2, 60.0
    tones = [tone for tone in (c.p.paper, c.p.b, c.p.c, c.p.a) if tone != ground]
    for row in range(cells - 1):
        for column in range(8):
            reach = math.hypot(7 - column, row - 6.5) / 8.2
            if c.rng.random() > 1.15 - reach:
                continue
            fill = tones[int(reach * 5 + c.rng.random() * 1.6) % len(tones)]
            for at in {column, cells - 1 - column}:
                c.rect(left + at * unit, top + row * unit, left + (at + 1) * unit - 5, top + (row + 1) * unit - 5, fill)
    t.line(c, s.artist, 500, 872, "mono", 56, c.p.paper, "centre", 880)
    t.line(c, s.title, 500, 944, "mono", 44, c.p.paper, "centre", 880)


@family("signal citrus sky cobalt concrete seaglass", grain=0.2)
def transit(c: Canvas, s: Subject) -> None:
    """A map of lines that no one can ride."""
    c.ground(c.p.paper)
    tones = [c.p.a, c.p.b, c.p.c, c.p.ink]
    stops: list[Point] = []
    for n, fill in enumerate(tones):
        x, y = -20.0, 320.0 + n * 165 + c.rng.uniform(-20, 20)
        low, high = y - 150, y + 150
        path = [(x, y)]
        while x < 1020:
            run = c.rng.choice((90, 130, 190))
            path.append((x + run, y))
            x += run
            rise = c.rng.choice((-140, -70, 70, 140))
            if max(285, low) < y + rise < min(945, high):
                path.append((x + abs(rise), y + rise))
                x, y = x + abs(rise), y + rise
        c.line(path, 34, fill)
        stops += [((a[0] + b[0]) / 2, a[1]) for a, b in pairwise(path) if a[1] == b[1] and 30 < (a[0] + b[0]) / 2 < 970]
    for x, y in stops:
        c.disc(x, y, 28, c.p.ink)
        c.disc(x, y, 18, c.p.paper)
    c.rect(0, 0, 1001, 220, c.p.paper)
    t.line(c, s.title, 52, 122, "bold", 84, c.p.ink, room=896)
    t.line(c, s.artist, 52, 182, "grotesk", 48, c.p.ink, room=896)


@family("navy dusk cobalt boreal malt lagoon", grain=0.24)
def orbits(c: Canvas, s: Subject) -> None:
    """A system of thin circles, their bodies and a shadow side."""
    ground = mix(c.p.ink, c.p.a, 0.15)
    c.ground(ground)
    x, y = c.rng.choice(((500, 500), (330, 620), (700, 600)))
    for _ in range(90):
        c.disc(
            c.rng.uniform(0, 1000),
            c.rng.uniform(0, 1000),
            c.rng.choice((1.2, 1.6, 2.4)),
            mix(ground, c.p.paper, c.rng.uniform(0.25, 0.8)),
        )
    c.disc(x, y, 92, c.p.c)
    tones = [c.p.b, c.p.paper, c.p.a, c.p.b, c.p.c, c.p.paper]
    for n in range(6):
        radius = 160 + n * 88
        c.ring(x, y, radius + 1.5, 3, mix(ground, c.p.paper, 0.55))
        turn = c.rng.uniform(0, 360)
        px, py = around(x, y, radius, turn)
        size = c.rng.choice((16, 24, 34, 46))
        fill = tones[n] if tones[n] != ground else c.p.paper
        c.disc(px, py, size + 10, ground)
        c.disc(px, py, size, fill)
        shade = c.mask()
        shade.disc(px, py, size, 255)
        away = around(px, py, size * 0.5, math.degrees(math.atan2(y - py, x - px)))
        shade.disc(*away, size * 1.06, 0)
        c.lay(shade, mix(fill, ground, 0.6))
        if size == 46:
            c.line([around(px, py, 76, 160), around(px, py, 76, -20)], 5, c.p.paper)
    c.rect(0, 0, 1001, 132, ground)
    t.line(c, s.artist, 52, 90, "deco", 58, c.p.paper, room=896, tracking=0.03)
    c.rect(0, 902, 1001, 1001, ground)
    t.line(c, s.title, 52, 960, "deco", 48, c.p.paper, room=650, tracking=0.03)
    imprint(c, s, 948, 958, c.p.paper, ground, "right", 26)


@family("neon dusk plum boreal cobalt", grain=0.16)
def wireframe(c: Canvas, s: Subject) -> None:
    """A grid of light that runs to a range of hills."""
    dark = mix(c.p.ink, (0, 0, 0), 0.3)
    c.ground(dark)
    horizon = 590
    for n in range(60):
        c.rect(0, horizon - 300 + n * 5, 1001, horizon - 294 + n * 5, mix(dark, c.p.a, (n / 59) ** 2 * 0.75))
    c.disc(500, horizon - 60, 210, c.p.c)
    for n in range(6):
        c.rect(280, horizon - 110 + n * 28, 720, horizon - 104 + n * 28 + n * 1.8, mix(dark, c.p.a, 0.4))
    tops = [(-60.0, 0.0)]
    while tops[-1][0] < 1040:
        x = tops[-1][0] + c.rng.uniform(56, 110)
        tops.append((x, c.rng.uniform(20, 80) + 130 * abs(x - 500) / 500))
    for (x0, h0), (x1, h1) in pairwise(tops):
        c.poly([(x0, horizon), (x0, horizon - h0), (x1, horizon - h1), (x1, horizon)], dark)
        for path in (
            [(x0, horizon - h0), (x1, horizon - h1)],
            [(x0, horizon), (x1, horizon - h1)],
            [(x0, horizon - h0), (x0, horizon)],
        ):
            c.line(path, 3.4, c.p.b)
    c.rect(0, horizon, 1001, 1001, dark)
    for n in range(-16, 17):
        c.line([(500 + n * 44, horizon), (500 + n * 300, 1001)], 3, c.p.a)
    for n in range(12):
        y = horizon + 411 * (n / 11) ** 2.2
        c.line([(0, y), (1001, y)], 2 + n * 0.3, c.p.a)
    t.block(c, s.title, (60, 56, 940, 170), "wide", c.p.paper, "centre", most=92, lines=2)
    c.rect(250, 892, 750, 962, dark)
    t.line(c, s.artist, 500, 940, "wide", 38, c.p.b, "centre", 460)
