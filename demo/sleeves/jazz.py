"""Jazz and screen music: few shapes, large, and type that keeps time."""

import math

from PIL import Image, ImageChops

from demo.sleeves import typesetting as t
from demo.sleeves.canvas import Canvas, Point, Sheet
from demo.sleeves.house import Subject, imprint, names
from demo.sleeves.palettes import Colour, contrast, mix
from demo.sleeves.registry import family
from demo.sleeves.shapes import around, blob, smooth
from demo.sleeves.textures import clouds, glow


@family("navy cyanotype ember lagoon malt", grain=0.36)
def bass(c: Canvas, s: Subject) -> None:
    """A double bass in one lamp."""
    dark = mix(c.p.ink, c.p.a, 0.28)
    c.ground(dark)
    x = c.rng.choice((330, 680))
    lamp = c.mask()
    lamp.poly([(x - 40, -20), (x + 40, -20), (x + 420, 1001), (x - 420, 1001)], 255)
    lamp.soften(46)
    fog = c.noise(lambda rng, size: clouds(rng, size, 3, 5)).point(lambda v: 110 + v * 0.5)
    c.lay(ImageChops.multiply(lamp.image, fog), c.p.a if sum(c.p.a) > 200 else c.p.b)
    c.lay(glow(c.size, x / 1000, 0.62, 0.34), mix(c.p.c, c.p.paper, 0.2), 0.85)
    half = [
        (0, 372),
        (58, 378),
        (104, 410),
        (122, 462),
        (108, 510),
        (86, 548),
        (92, 588),
        (132, 640),
        (168, 716),
        (164, 800),
        (120, 868),
        (50, 896),
        (0, 900),
    ]
    body = smooth([(x + dx, y) for dx, y in half] + [(x - dx, y) for dx, y in reversed(half[1:-1])])
    wood = mix(c.p.ink, (0, 0, 0), 0.25)
    c.poly(body, wood)
    c.poly([(x - 15, 400), (x - 11, 130), (x + 11, 130), (x + 15, 400)], wood)
    c.poly([(x - 19, 150), (x - 24, 70), (x - 8, 44), (x + 8, 44), (x + 24, 70), (x + 19, 150)], wood)
    for n in range(2):
        c.stroke([(x - 50, 84 + n * 34), (x + 50, 84 + n * 34)], 11, wood)
    c.line([(x, 900), (x, 985)], 8, wood)
    sheen = mix(c.p.c, wood, 0.35)
    for side in (-1, 1):
        c.line(
            smooth([(x + side * 62, 640), (x + side * 76, 676), (x + side * 58, 716), (x + side * 74, 752)], closed=False),
            8,
            sheen,
        )
    c.poly([(x - 13, 700), (x - 22, 850), (x + 22, 850), (x + 13, 700)], mix(wood, sheen, 0.3))
    c.rect(x - 50, 684, x + 50, 696, sheen)
    for n in range(4):
        c.line([(x - 9 + n * 6, 120), (x - 12 + n * 8, 840)], 1.8, mix(sheen, c.p.paper, 0.4))
    left = x > 500
    box = (52, 58, 545, 470) if left else (470, 58, 948, 470)
    bottom = t.block(
        c,
        s.artist.lower(),
        box,
        "bold",
        mix(c.p.paper, c.p.c, 0.12),
        "left" if left else "right",
        most=104,
        lines=4,
        leading=0.98,
    )[1]
    t.block(
        c,
        s.title.lower(),
        (box[0], bottom + 40, box[2], bottom + 150),
        "grotesk",
        c.p.paper,
        "left" if left else "right",
        most=50,
        lines=2,
    )


@family("ember navy mustard lagoon signal brick")
def slab_lines(c: Canvas, s: Subject) -> None:
    """Three lines of slab type, each as wide as the board."""
    ground, ink = (c.p.ink, c.p.paper) if c.rng.random() < 0.4 else (c.p.paper, c.p.ink)
    c.ground(ground)
    tones = [tone for tone in c.p.accents if contrast(tone, ground) > 2] or [c.p.b]
    lines = t.breaks(s.title.upper(), 3)
    y = 50.0
    room = (800 - 22 * (len(lines) - 1)) / len(lines)
    for n, word in enumerate(lines):
        tall = min(room, 1000 * 1.5 / max(3, len(word)))
        t.stretched(c, word, (50, y, 950, y + tall), "slab", tones[n % len(tones)])
        y += tall + 22
    c.rect(50, y + 12, 950, y + 20, ink)
    t.block(c, s.artist, (50, y + 48, 950, 905), "condensed", ink, most=120, lines=2)
    imprint(c, s, 50, 956, ink, ground, size=28)


@family("navy cyanotype ember lagoon mustard wine terracotta")
def rising_bars(c: Canvas, s: Subject) -> None:
    """Bars that climb like a scale, one of them out of tune."""
    ground = c.rng.choice((c.p.paper, mix(c.p.b, c.p.paper, 0.4)))
    c.ground(ground)
    count = c.rng.choice((9, 11))
    step = 900 / count
    odd = c.rng.randrange(3, count - 1)
    down_ = c.rng.random() < 0.35
    for n in range(count):
        share = (n + 1) / count
        tall = 120 + 560 * share**1.15
        at = count - 1 - n if down_ else n
        x = 50 + at * step
        fill = c.p.c if n == odd else mix(c.p.a, c.p.ink, 0.55 - 0.55 * share)
        if n == odd:
            tall += 70
        c.rect(x + 6, 1001 - tall, x + step - 6, 1001, fill)
        c.disc(x + step / 2, 1001 - tall - step * 0.42, step * 0.3, fill)
    align: t.Align = "right" if down_ else "left"
    x = 946 if down_ else 54
    room = 600 if len(s.title) < 16 else 640
    box = (x - room, 56, x, 262) if down_ else (x, 56, x + room, 262)
    bottom = t.block(c, s.title, box, "condensed", c.p.ink, align, most=150, lines=2, leading=0.98)[1]
    t.line(c, s.artist, x, bottom + 62, "grotesk", 46, c.p.ink, align, 600)


@family("lagoon navy ember mustard seaglass rose")
def half_discs(c: Canvas, s: Subject) -> None:
    """Half discs on a line, some above it and some below."""
    c.ground(c.p.paper)
    line, x = 590.0, 56.0
    tones = [c.p.a, c.p.b, c.p.c, c.p.ink]
    n = c.rng.randrange(4)
    while x < 900:
        r = min(c.rng.choice((78, 110, 150, 190)), (944 - x) / 2)
        if r < 34:
            break
        up = c.rng.random() < 0.55
        c.slice(x + r, line, r, 180 if up else 0, 360 if up else 180, tones[n % 4])
        if r > 120:
            c.slice(x + r, line, r * 0.5, 0 if up else 180, 180 if up else 360, tones[(n + 1) % 4])
        x += 2 * r
        n += 1
    c.rect(56, line - 4, 944, line + 4, c.p.ink)
    c.disc(c.rng.choice((180, 800)), 350, 84, c.p.b)
    t.line(c, s.artist, 56, 130, "bold", 66, c.p.ink, room=888)
    t.line(c, s.title, 56, 196, "grotesk", 54, c.p.ink, room=888)
    imprint(c, s, 56, 948, c.p.ink, c.p.paper, size=30)


@family("lagoon orchard terracotta plum tropic navy citrus")
def papercut(c: Canvas, s: Subject) -> None:
    """Scissored paper: leaves, a sun, a hand of seaweed, pasted in panels."""
    c.ground(c.p.paper)
    tones = [c.p.a, c.p.b, c.p.c, c.p.ink]
    cells = [(0, 230, 400, 640), (400, 230, 1000, 560), (0, 640, 520, 1001), (520, 560, 1000, 1001)]
    c.rng.shuffle(tones)
    if c.rng.random() < 0.5:
        cells = [(1000 - x1, y0, 1000 - x0, y1) for x0, y0, x1, y1 in cells]
    if c.rng.random() < 0.5:
        cells = [(x0, 1231 - y1, x1, 1231 - y0) for x0, y0, x1, y1 in cells]
    for n, (x0, y0, x1, y1) in enumerate(cells):
        ground, shape = tones[n], tones[(n + 2) % 4] if n % 2 else c.p.paper
        layer = Canvas(c.size_px, c.p, c.rng)
        layer.ground(ground)
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        size = min(x1 - x0, y1 - y0) * 0.44
        if n in {0, 3}:
            _frond(layer, x, y, size, shape)
        elif n == 1:
            layer.poly(blob(c.rng, x, y, size * 0.84, 0.14, 4), shape)
            layer.poly(blob(c.rng, x + size * 0.1, y, size * 0.4, 0.2, 3), tones[(n + 1) % 4])
        else:
            for k in range(3):
                layer.poly(
                    blob(c.rng, x + (k - 1) * size * 0.86, y + (k % 2) * size * 0.4 - size * 0.2, size * 0.44, 0.4, 5), shape
                )
        corner = (round(x0 * c.k), round(y0 * c.k))
        c.image.paste(layer.image.crop((*corner, round(x1 * c.k), round(y1 * c.k))), corner)
    names(c, s, 50, 112, c.p.ink, size=70, room=900)


def _frond(c: Canvas, x: float, y: float, size: float, fill: Colour) -> None:
    lean = c.rng.uniform(-20, 20)
    foot, tip = around(x, y, size, 90 + lean), around(x, y, size, -90 + lean)
    c.stroke([foot, tip], size * 0.13, fill)
    for n in range(5):
        share = 0.12 + n * 0.2
        px, py = foot[0] + (tip[0] - foot[0]) * share, foot[1] + (tip[1] - foot[1]) * share
        for side in (-1, 1):
            end = around(px, py, size * (0.66 - 0.3 * abs(share - 0.4)), -90 + lean + side * 58)
            middle = around((px + end[0]) / 2, (py + end[1]) / 2, size * 0.1, -90 + lean + side * 150)
            c.stroke(smooth([(px, py), middle, end], closed=False), size * 0.17, fill)


@family("navy soot cyanotype ember lagoon wine", grain=0.26)
def piano_keys(c: Canvas, s: Subject) -> None:
    """A keyboard on the slant, a few keys held down."""
    ground = mix(c.p.a, c.p.ink, 0.3)
    sheet = Canvas(c.size_px, c.p, c.rng)
    sheet.ground(ground)
    wide, top, low = 92.0, 395.0, 745.0
    sheet.rect(-200, top - 24, 1200, top, c.p.ink)
    held = {c.rng.randrange(2, 11) for _ in range(3)}
    for n in range(-3, 15):
        x = n * wide
        sheet.rect(x + 3, top, x + wide - 3, low + (18 if n in held else 0), c.p.c if n in held else c.p.paper)
    for n in range(-3, 15):
        if n % 7 not in {2, 6}:
            sheet.rect(n * wide + 62, top, n * wide + 122, top + 220, c.p.ink)
    turn = c.rng.choice((-14, 12, 17))
    angled = sheet.image.rotate(turn, Image.Resampling.BICUBIC, fillcolor=ground)
    c.fill_with(angled)
    ink = c.p.paper
    c.rect(0, 0, 1001, 190, ground)
    c.rect(0, 884, 1001, 1001, ground)
    t.block(c, s.title, (54, 56, 946, 168), "didone", ink, "right", most=100, lines=1)
    t.line(c, s.artist, 54, 946, "grotesk", 54, ink, room=640)
    imprint(c, s, 946, 944, ink, ground, "right", 30)


@family("soot wine navy mustard bone brick", grain=0.34)
def brush_strokes(c: Canvas, s: Subject) -> None:
    """Three strokes of a house painter's brush, done before the ink was dry."""
    c.ground(c.p.paper)
    for n, fill in enumerate((c.p.b, c.p.a, c.p.ink)):
        path: list[Point] = []
        x, y = c.rng.uniform(100, 260), 400 + n * 160 + c.rng.uniform(-30, 30)
        sweep, phase = c.rng.uniform(60, 150), c.rng.uniform(0, 6.28)
        for i in range(60):
            path.append((x + i * 11.5, y + sweep * math.sin(i / 59 * math.pi * (1.2 + 0.5 * n) + phase)))
        layer = c.mask()
        hairs = 46
        for h in range(hairs):
            off = (h - hairs / 2) * 3.4
            start, end = c.rng.randrange(0, 5), 60 - c.rng.randrange(0, 22 if h % 3 else 6)
            thick = c.rng.uniform(2.4, 5.4)
            layer.line([(px + off * 0.35, py + off) for px, py in path[start:end]], thick, 255)
        layer.soften(0.7)
        c.multiply(layer, fill)
    for _ in range(30):
        px, py = c.rng.uniform(60, 940), c.rng.uniform(260, 900)
        c.disc(px, py, c.rng.choice((2, 3, 4, 8)), c.p.ink if c.rng.random() < 0.6 else c.p.a)
    t.line(c, s.artist, 54, 118, "condensed", 112, c.p.ink, room=892)
    t.line(c, s.title, 54, 188, "grotesk", 54, c.p.ink, room=892)
    imprint(c, s, 946, 948, c.p.ink, c.p.paper, "right", 30)


@family("signal mustard lagoon plum navy brick", grain=0.26)
def spy_circles(c: Canvas, s: Subject) -> None:
    """Circles of a telescope, somebody running through them."""
    c.ground(c.p.a if sum(c.p.a) < 480 else c.p.ink)
    ground = c.p.a if sum(c.p.a) < 480 else c.p.ink
    spots = [(300, 420, 230), (650, 560, 290), (800, 300, 130)]
    if c.rng.random() < 0.5:
        spots = [(1000 - x, y, r) for x, y, r in spots]
    tones = [c.p.b, c.p.paper, c.p.c if c.p.c != ground else c.p.b]
    for (x, y, r), fill in zip(spots, tones, strict=True):
        c.disc(x, y, r, fill)
        c.ring(x, y, r - 18, 5, mix(fill, c.p.ink, 0.55))
    for n, (x, y, r) in enumerate(spots):
        window = c.mask()
        window.disc(x, y, r - 24, 255)
        figure = c.mask()
        _runner(figure, x, y + r * 0.08, r / 250, n % 2 == 0)
        c.lay(ImageChops.multiply(window.image, figure.image), c.p.ink)
    x, y, r = spots[1]
    c.line([(x - r, y), (x + r, y)], 2.5, mix(tones[1], c.p.ink, 0.6))
    c.line([(x, y - r), (x, y + r)], 2.5, mix(tones[1], c.p.ink, 0.6))
    ink = c.p.on(ground)
    t.block(c, s.title, (50, 46, 950, 150), "condensed", ink, most=110, lines=1)
    t.line(c, s.artist, 50, 956, "bold", 48, ink, room=640)
    imprint(c, s, 950, 955, ink, ground, "right", 28)


def _runner(layer: Sheet, x: float, y: float, size: float, flip: bool) -> None:
    turn = -1 if flip else 1

    def at(points: list[Point]) -> list[Point]:
        return [(x + turn * px * size, y + py * size) for px, py in points]

    layer.disc(x + turn * 40 * size, y - 138 * size, 25 * size, 255)
    layer.poly(at([(8, -158), (78, -150), (78, -142), (6, -148)]), 255)
    layer.poly(at([(22, -150), (28, -172), (58, -168), (60, -148)]), 255)
    layer.poly(at(smooth([(14, -112), (48, -106), (46, -30), (34, 20), (-44, 34), (-66, 16), (-20, -40)])), 255)
    layer.line(at([(20, -96), (62, -52), (112, -78)]), 24 * size, 255)
    layer.line(at([(14, -92), (-48, -62), (-66, -8)]), 24 * size, 255)
    layer.line(at([(16, 10), (64, 62), (36, 142)]), 30 * size, 255)
    layer.line(at([(36, 140), (66, 146)]), 20 * size, 255)
    layer.line(at([(-14, 16), (-58, 82), (-136, 92)]), 30 * size, 255)
    layer.line(at([(-136, 92), (-144, 64)]), 20 * size, 255)
