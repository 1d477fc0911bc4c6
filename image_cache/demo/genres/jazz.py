"""Jazz and screen music: few shapes, large, and type that keeps time."""

import math

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas, Point
from image_cache.demo.sleeves.house import Subject, imprint, names
from image_cache.demo.sleeves.palettes import Colour, contrast, mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around, blob, smooth


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
    tones = [c.p.a, c.p.b, c.p.c, c.p.ink]
    n = c.rng.randrange(4)
    for line in (450.0, 790.0):
        x = 56.0 if line == 450 else c.rng.choice((56.0, 150.0))
        while x < 900:
            r = min(c.rng.choice((70, 100, 130, 150)), (944 - x) / 2)
            if r < 40:
                break
            up = c.rng.random() < 0.55
            c.slice(x + r, line, r, 180 if up else 0, 360 if up else 180, tones[n % 4])
            if r > 90:
                c.slice(x + r, line, r * 0.5, 0 if up else 180, 180 if up else 360, tones[(n + 1) % 4])
            x += 2 * r
            n += 1
        c.rect(56, line - 3, 944, line + 3, c.p.ink)
    t.line(c, s.artist, 56, 128, "bold", 66, c.p.ink, room=888)
    t.line(c, s.title, 56, 194, "grotesk", 54, c.p.ink, room=690)
    imprint(c, s, 944, 194, c.p.ink, c.p.paper, "right", 28)


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
        size = min(x1 - x0, y1 - y0) * 0.39
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
