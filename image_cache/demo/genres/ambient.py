"""Ambient, shoegaze: weather, windows, and sleeves that hardly say anything."""

import math

from PIL import Image, ImageChops, ImageOps

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject, mark
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import down, ridge
from image_cache.demo.sleeves.textures import blurred, clouds, gradient, toned


@family("polar forest boreal seaglass lilac", grain=0.34)
def firs(c: Canvas, s: Subject) -> None:
    """Firs, row behind row, and fog between them."""
    sky, deep = mix(c.p.paper, c.p.b, 0.3), mix(c.p.c, c.p.ink, 0.35)
    c.fill_with(gradient((64, 64), ((0, mix(sky, c.p.a, 0.35)), (0.6, sky), (1, c.p.paper))))
    for depth in range(4):
        share = depth / 3
        tone = mix(sky, deep, 0.18 + 0.82 * share**1.3)
        floor = 560 + depth * 112
        layer = c.mask()
        layer.poly(down(ridge(c.rng, floor, 70, 6)), 255)
        for i in range((17, 13, 9, 6)[depth]):
            x = (i + c.rng.uniform(0.1, 0.9)) * 1000 / (17, 13, 9, 6)[depth]
            tall = (90, 150, 250, 390)[depth] * c.rng.uniform(0.7, 1.15)
            steps = 11
            for k in range(steps):
                y = floor + 30 - tall + tall * k / steps
                reach = tall * 0.2 * (k + 0.6) / steps * c.rng.uniform(0.85, 1.15)
                layer.poly([(x, y - tall * 0.07), (x - reach, y + tall * 0.085), (x + reach, y + tall * 0.085)], 255)
        layer.soften((5, 3.4, 2, 0.8)[depth])
        c.lay(layer, tone)
        fog = c.noise(lambda rng, size: clouds(rng, size, 2, 4))
        low = c.mask()
        for n in range(40):
            low.rect(0, floor - 20 + n * 5, 1001, floor - 14 + n * 5, int(235 * math.sin(math.pi * n / 40)))
        low.image.paste(ImageChops.multiply(low.image, fog))
        low.soften(12)
        c.lay(low, c.p.paper, 0.75 - 0.15 * depth)
    ink = c.p.ink
    t.line(c, s.title.lower(), 500, 150, "deco", 76, ink, "centre", 800, tracking=0.3)
    t.line(c, s.artist.lower(), 500, 214, "deco", 40, ink, "centre", 800, tracking=0.24)


@family("rose lilac dusk seaglass boreal plum tropic", grain=0.4)
def colour_cloud(c: Canvas, s: Subject) -> None:
    """Colour out of focus, and thin words."""
    c.ground(c.p.b)
    for fill, size in ((c.p.a, 430), (c.p.c, 380), (c.p.paper, 270), (c.p.a, 210), (c.p.b, 240)):
        layer = c.mask()
        x, y = c.rng.uniform(80, 920), c.rng.uniform(80, 920)
        layer.ellipse(x, y, size * c.rng.uniform(0.7, 1.2), size * c.rng.uniform(0.6, 1.0), 255)
        layer.soften(105)
        c.lay(layer, fill, 0.92)
    veil = c.noise(lambda rng, size: clouds(rng, size, 3, 4))
    c.lay(veil.point(lambda v: max(0, v - 130)), c.p.paper, 0.7)
    low = c.image.crop((c.side // 4, c.side * 4 // 5, c.side * 3 // 4, c.side)).resize((1, 1), Image.Resampling.BOX).tobytes()
    ink = c.p.on((low[0], low[1], low[2]))
    t.line(c, s.artist.lower(), 500, 868, "grotesk", 54, ink, "centre", 800, tracking=0.22)
    t.line(c, s.title.lower(), 500, 936, "grotesk", 40, ink, "centre", 800, tracking=0.22)


@family("wine navy seaglass terracotta lilac cyanotype soot", grain=0.42)
def two_fields(c: Canvas, s: Subject) -> None:
    """Near and far, painted as one field over another, a single line of light where they meet."""
    high, low = mix(c.p.b, c.p.paper, 0.25), mix(c.p.a, c.p.ink, 0.3)
    c.ground(mix(high, c.p.paper, 0.25))
    brush = c.noise(lambda rng, size: clouds(rng, (size[0], size[1] // 12), 4, 5).resize(size))
    split = c.rng.choice((390, 640))
    upper = c.mask()
    upper.rect(0, 0, 1001, split, 255)
    upper.soften(10)
    c.lay(ImageChops.multiply(upper.image, brush.point(lambda v: 150 + v * 0.4)), high)
    lower = c.mask()
    lower.rect(0, split, 1001, 1001, 255)
    lower.soften(10)
    c.lay(lower, low)
    c.lay(ImageChops.multiply(lower.image, brush), mix(low, c.p.c, 0.5), 0.6)
    light = c.mask()
    light.rect(0, split - 9, 1001, split + 7, 255)
    light.soften(7)
    c.lay(light, mix(c.p.paper, (255, 255, 255), 0.4))
    tall = c.rng.uniform(240, 740)
    c.rect(tall, split - 74, tall + 7, split, c.p.ink)
    t.line(c, s.title, 60, 884, "serif", 78, c.p.on(low), room=880)
    t.line(c, s.artist, 60, 944, "serif", 46, c.p.on(low), room=880)


@family("bone polar rose soot", grain=0.45)
def ring_wear(c: Canvas, s: Subject) -> None:
    """A white sleeve with wear: the disc has rubbed through, and there is a stamp."""
    board = mix((238, 233, 222), c.p.paper, 0.4)
    c.ground(board)
    stain = c.noise(lambda rng, size: clouds(rng, size, 2, 6))
    c.lay(stain.point(lambda v: max(0, v - 110)), mix(board, (150, 118, 70), 0.55), 0.6)
    worn = c.mask()
    for radius, width, level in ((462, 13, 210), (446, 5, 120), (160, 9, 150), (150, 3, 90)):
        worn.ring(500 + c.rng.uniform(-3, 3), 500 + c.rng.uniform(-3, 3), radius, width, level)
    worn.soften(4)
    patchy = c.noise(lambda rng, size: clouds(rng, size, 4, 5)).point(lambda v: min(255, max(0, (v - 60) * 2)))
    c.lay(ImageChops.multiply(worn.image, patchy), mix(board, (70, 60, 50), 0.75))
    edge = c.mask()
    edge.frame(0, 0, 1000, 1000, 10, 255)
    edge.soften(5)
    c.lay(edge, mix(board, (120, 95, 60), 0.6), 0.6)
    stamp = c.mask()
    lines = t.breaks(s.title.upper(), 2)
    y = 470 - 40 * len(lines)
    for line in lines:
        t.line(stamp, line, 500, y + 60, "stencil", 74, 255, "centre", 620, tracking=0.05)
        y += 88
    t.line(stamp, s.artist.upper(), 500, y + 44, "stencil", 40, 255, "centre", 620, tracking=0.05)
    stamp.frame(160, 400 - 44 * len(lines), 840, y + 84, 7, 255)
    turned = stamp.image.rotate(c.rng.uniform(-7, 7), Image.Resampling.BICUBIC)
    inked = c.noise(lambda rng, size: clouds(rng, size, 30, 3), 2).point(lambda v: min(255, 60 + int(v * 1.6)))
    c.lay(ImageChops.multiply(turned, inked), mix(c.rng.choice((c.p.a, c.p.c)), c.p.ink, 0.45), 0.95)


@family("boreal forest navy lilac neon cyanotype", grain=0.34)
def aurora(c: Canvas, s: Subject) -> None:
    """Curtains of light over black hills."""
    night = mix(c.p.ink, (0, 0, 0), 0.2)
    c.ground(night)
    for _ in range(120):
        c.disc(
            c.rng.uniform(0, 1000),
            c.rng.uniform(0, 800),
            c.rng.choice((1.1, 1.6, 2.2)),
            mix(night, c.p.paper, c.rng.uniform(0.3, 0.9)),
        )
    for fill, base in ((c.p.c, 470), (c.p.a, 600), (c.p.b, 560)):
        layer = c.mask()
        sway = [(c.rng.uniform(40, 120) / (k + 1), c.rng.uniform(1.2, 2.4) * (k + 1), c.rng.uniform(0, 7)) for k in range(3)]
        for n in range(250):
            x = n * 4.0
            foot = base + sum(size * math.sin(x / 1000 * speed * math.pi + phase) for size, speed, phase in sway)
            tall = 250 + 150 * math.sin(x / 90 + sway[0][2]) * math.sin(x / 37)
            light = 0.45 + 0.55 * abs(math.sin(x / 61 + sway[1][2]))
            for k in range(12):
                layer.rect(x, foot - tall * (k + 1) / 12, x + 5, foot - tall * k / 12, int(245 * light * (1 - k / 12) ** 1.3))
        layer.soften(9)
        c.lay(layer, fill, 0.85)
    c.poly(down(ridge(c.rng, 830, 120, 8, 0.5)), mix(night, (0, 0, 0), 0.6))
    t.block(c, s.title, (60, 62, 940, 190), "deco", c.p.paper, most=80, lines=2, tracking=0.04)
    t.line(c, s.artist, 60, 950, "deco", 46, c.p.paper, room=840, tracking=0.06)


@family("sahara terracotta rose lilac seaglass plum", grain=0.3)
def dunes(c: Canvas, s: Subject) -> None:
    """Folds of sand or of silk: long edges, a light side and a dark one."""
    c.ground(mix(c.p.c, c.p.paper, 0.35))
    light, dark = mix(c.p.b, c.p.paper, 0.4), mix(c.p.a, c.p.ink, 0.45)
    top = mix(c.p.paper, c.p.b, 0.2)
    c.ground(top)
    for n in range(7):
        phase, swing = c.rng.uniform(0, 6.28), c.rng.uniform(50, 110)
        base = 330 + n * 105
        edge = [
            (x, base + swing * math.sin(x / 1000 * c_speed * math.pi + phase) - 40 * math.sin(x / 260 + n))
            for c_speed in (1.1 + 0.16 * n,)
            for x in range(0, 1011, 10)
        ]
        shape = c.mask()
        shape.poly(down(edge), 255)
        ramp = gradient(
            (256, 256), ((0, light), (0.3, mix(light, dark, 0.45)), (1, dark)), angle=c.rng.choice((-60, -35, 40, 62))
        )
        field = toned(
            ImageOps.grayscale(ramp.resize(c.size, Image.Resampling.BICUBIC)),
            ((0.1, dark), (0.55, mix(c.p.a, c.p.b, 0.4)), (0.95, light)),
        )
        shade = c.mask()
        shade.poly(down([(x, y - 26) for x, y in edge]), 150)
        shade.soften(20)
        c.lay(shade, dark, 0.6)
        c.lay(shape, field)
    ink = c.p.ink
    t.block(c, s.title, (60, 60, 940, 180), "serif", ink, most=100, lines=2, leading=0.9)
    t.line(c, s.artist, 940, 950, "serif", 48, c.p.paper, "right", 840)


@family("mustard rose sky bone seaglass lilac terracotta", grain=0.36)
def window_light(c: Canvas, s: Subject) -> None:
    """The light of a window on a wall, late in the day."""
    wall = mix(c.p.b, c.p.paper, 0.2)
    c.ground(mix(wall, c.p.ink, 0.42))
    plaster = c.noise(lambda rng, size: clouds(rng, size, 3, 6, 0.7))
    c.lay(plaster, mix(wall, c.p.ink, 0.3), 0.7)
    slope, x0, y0 = c.rng.uniform(-0.34, -0.18), c.rng.uniform(230, 330), 300.0
    light = c.mask()
    for column in range(2):
        for row in range(3):
            left, top = x0 + column * 232, y0 + row * 172
            corners = [(left, top), (left + 212, top), (left + 212, top + 152), (left, top + 152)]
            light.poly([(x + (y - y0) * 0.16, y + (x - x0) * slope) for x, y in corners], 255)
    leaves = c.mask()
    for _ in range(26):
        x, y = c.rng.uniform(520, 960), c.rng.uniform(240, 560)
        leaves.ellipse(x, y, c.rng.uniform(12, 40), c.rng.uniform(8, 24), 190)
    leaves.soften(9)
    light.soften(5)
    light.image.paste(ImageChops.subtract(light.image, leaves.image))
    c.lay(light, mix(c.p.paper, c.p.c, 0.22))
    c.lay(blurred(light.image, 70 * c.k), mix(c.p.paper, c.p.c, 0.4), 0.3)
    t.line(c, s.title, 56, 120, "didone", 78, c.p.paper, room=888)
    t.line(c, s.artist, 56, 944, "grotesk", 44, c.p.paper, room=760)
    mark(c, s, 904, 906, 40, c.p.paper, mix(wall, c.p.ink, 0.42))
