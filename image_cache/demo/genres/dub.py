"""Dub, hip hop, and the singles' bags of every house."""

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import HOUSES, Subject, imprint, mark
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around


@family("citrus moss signal tropic malt")
def diagonals(c: Canvas, s: Subject) -> None:
    """Three broad colours on the slant, and a stencil across."""
    c.ground(c.p.a)
    flip = c.rng.random() < 0.5
    for n, fill in enumerate((c.p.b, c.p.c, c.p.ink)):
        at = 560 + n * 330
        band = [(at - 700.0, 1001.0), (at + 330 - 700, 1001.0), (at + 330 + 300, -1.0), (at + 300, -1.0)]
        c.poly([(1000 - x, y) for x, y in band] if flip else band, fill)
    c.rect(0, 586, 1001, 850, c.p.paper)
    t.block(c, s.title.upper(), (50, 618, 950, 742), "stencil", c.p.ink, vertical="middle", most=124, lines=2, leading=0.95)
    t.line(c, s.artist.upper(), 52, 812, "stencil", 46, c.p.ink, room=640)
    imprint(c, s, 948, 811, c.p.ink, c.p.paper, "right", 30)


@family("signal citrus tropic moss ember lagoon cobalt")
def target(c: Canvas, s: Subject) -> None:
    """A roundel, off centre, hit."""
    ground = c.p.paper
    c.ground(ground)
    x, y = c.rng.choice(((640, 600), (360, 610), (600, 560)))
    tones = [c.p.ink, c.p.a, c.p.paper, c.p.b, c.p.ink, c.p.c]
    for n, fill in enumerate(tones):
        c.disc(x, y, 470 - n * 78, fill)
    for _ in range(7):
        px, py = around(x, y, c.rng.uniform(20, 380), c.rng.uniform(0, 360))
        c.disc(px, py, 19, mix(c.p.paper, c.p.ink, 0.15))
        c.disc(px, py, 13, c.p.ink)
    c.rect(0, 0, 1001, 172, c.p.ink)
    t.line(c, s.title, 46, 84, "slab", 66, c.p.paper, room=908)
    t.line(c, s.artist, 46, 142, "slab", 42, c.p.readable(c.p.b, c.p.ink), room=908)


@family("malt citrus tropic moss brick signal")
def speakers(c: Canvas, s: Subject) -> None:
    """A wall of boxes, built by hand, in the sun."""
    c.ground(c.p.b if sum(c.p.b) > 300 else c.p.c)
    sky = c.p.b if sum(c.p.b) > 300 else c.p.c
    c.disc(c.rng.choice((230, 770)), 250, 150, mix(sky, c.p.paper, 0.5))
    wood, dark = mix(c.p.a, c.p.ink, 0.25), mix(c.p.ink, (0, 0, 0), 0.2)
    floor = 900.0
    x = 70.0
    for wide in (270.0, 320.0, 270.0):
        y = floor
        plan = [300.0, 210.0, 120.0] if wide == 320 else c.rng.choice(([250.0, 160.0], [190.0, 220.0], [290.0, 130.0]))
        for n, tall in enumerate(plan):
            tone = (wood, c.p.c, c.p.a, wood)[(n + int(x)) % 4]
            c.rect(x, y - tall, x + wide - 8, y - 6, tone)
            c.rect(x + 12, y - tall + 12, x + wide - 20, y - 18, dark)
            middle, high = x + wide / 2 - 4, y - tall / 2 - 3
            if tall > 180:
                r = min(tall, wide) * 0.37
                for ring, fill in (
                    (r, mix(dark, c.p.paper, 0.35)),
                    (r * 0.92, mix(dark, c.p.paper, 0.1)),
                    (r * 0.62, dark),
                    (r * 0.34, mix(dark, c.p.paper, 0.3)),
                ):
                    c.disc(middle, high, ring, fill)
            else:
                count = 3 if wide > 300 else 2
                for k in range(count):
                    px = x + (k + 0.5) * (wide - 8) / count
                    c.disc(px, high, tall * 0.26, mix(dark, c.p.paper, 0.35))
                    c.disc(px, high, tall * 0.21, dark)
                    c.disc(px, high, tall * 0.09, mix(dark, c.p.paper, 0.4))
            y -= tall
        x += wide + 2
    c.rect(0, floor - 6, 1001, 1001, c.p.ink)
    t.block(c, s.title.upper(), (48, 46, 952, 196), "stencil", c.p.on(sky), "centre", most=108, lines=2, leading=0.94)
    t.line(c, s.artist.upper(), 500, 964, "stencil", 50, c.p.paper, "centre", 900)


@family("navy dusk soot brick plum malt")
def night_blocks(c: Canvas, s: Subject) -> None:
    """A town of windows after midnight."""
    sky = mix(c.p.ink, c.p.a, 0.4)
    for n in range(50):
        c.rect(0, n * 20, 1001, n * 20 + 21, mix(mix(c.p.ink, c.p.a, 0.2), mix(sky, c.p.c, 0.5), (n / 49) ** 1.4))
    c.disc(c.rng.choice((210, 800)), 330, 66, mix(c.p.paper, c.p.c, 0.3))
    lamp = mix(c.p.c, c.p.paper, 0.25) if sum(c.p.c) > 380 else mix(c.p.b, c.p.paper, 0.3)
    for depth in range(3):
        tone = mix(sky, mix(c.p.ink, (0, 0, 0), 0.4), 0.3 + 0.34 * depth)
        x = -40.0
        while x < 1000:
            wide = c.rng.choice((84, 112, 150, 190))
            top = 400 + depth * 120 + c.rng.uniform(-90, 110)
            c.rect(x, top, x + wide, 1001, tone)
            if depth and c.rng.random() < 0.4:
                tank = x + wide * 0.3
                c.rect(tank, top - 44, tank + 40, top - 10, tone)
                c.poly([(tank - 4, top - 44), (tank + 20, top - 64), (tank + 44, top - 44)], tone)
                for leg in (tank + 4, tank + 34):
                    c.line([(leg, top - 12), (leg, top)], 4, tone)
            if depth:
                cell = 22 + 5 * depth
                for row in range(int((1000 - top) / (cell * 1.5))):
                    for column in range(int((wide - 14) / cell)):
                        if c.rng.random() < 0.3:
                            px, py = x + 12 + column * cell, top + 18 + row * cell * 1.5
                            c.rect(px, py, px + cell * 0.5, py + cell * 0.8, mix(lamp, tone, c.rng.choice((0, 0, 0.35, 0.6))))
            x += wide + c.rng.choice((0, 4, 10))
    t.block(c, s.title, (56, 56, 944, 226), "condensed", c.p.paper, most=150, lines=2, leading=0.96)
    c.rect(0, 898, 1001, 1001, mix(c.p.ink, (0, 0, 0), 0.4))
    t.line(c, s.artist, 56, 964, "grotesk", 50, c.p.paper, room=660)
    imprint(c, s, 944, 962, c.p.paper, mix(c.p.ink, (0, 0, 0), 0.4), "right", 28)


@family()
def die_cut(c: Canvas, s: Subject) -> None:
    """The house's own bag for singles, a round hole in it, the record's label showing."""
    house = HOUSES[s.label]
    shade = c.rng.choice((c.p.a, c.p.c, c.p.ink))
    c.ground(shade)
    ink = c.p.on(shade)
    pale = mix(shade, ink, 0.24)
    kind = sum(map(ord, s.label)) % 4
    if kind == 0:
        for n in range(24):
            c.poly([(500, 500), around(500, 500, 900, n * 15), around(500, 500, 900, n * 15 + 7.5)], pale)
    elif kind == 1:
        for row in range(9):
            for column in range(9):
                mark(c, s, column * 124 - 30 + (row % 2) * 62, row * 124 - 20, 50, pale, shade)
    elif kind == 2:
        for n in range(12):
            c.rect(0, n * 86, 1001, n * 86 + 43, pale)
    else:
        for n in range(9):
            c.ring(500, 500, 720 - n * 46, 15, pale)
    c.disc(500, 500, 318, shade)
    c.disc(500, 500, 292, (14, 13, 13))
    for n in range(12):
        c.ring(500, 500, 290 - n * 4.5, 1.4, (38, 36, 35))
    paper = mix(c.p.b if c.p.b != shade else c.p.paper, c.p.paper, 0.15)
    c.disc(500, 500, 240, paper)
    dark = c.p.on(paper)
    c.ring(500, 500, 226, 3, dark)
    hole = 66 if " b/w " in s.title else 17  # a seven-inch has the wide hole
    mark(c, s, 474, 302, 52, dark, paper)
    t.line(c, s.short_title, 500, 398, house.bold, 42, dark, "centre", 360)
    t.line(c, s.artist, 500, 632, house.text, 36, dark, "centre", 350)
    t.line(c, s.catno, 500, 682, house.text, 27, dark, "centre", 260)
    c.disc(500, 500, hole, mix(shade, (0, 0, 0), 0.35))
    c.ring(500, 500, hole, 2.5, mix(paper, dark, 0.5))
    t.line(c, s.label, 500, 108, house.bold, 82, ink, "centre", 880)
    t.line(c, "45 rpm" if hole > 20 else "33 1/3 rpm, 12 inch", 500, 944, house.text, 40, ink, "centre", 700)
