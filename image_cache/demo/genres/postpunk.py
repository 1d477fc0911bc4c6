"""Post-punk and new wave: the town, its printing press and its bad weather."""

import math

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject, imprint, names
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.textures import blurred, clouds


@family("signal soot brick acid cobalt")
def giant_words(c: Canvas, s: Subject) -> None:
    """The title, as large as the board."""
    c.ground(c.p.paper)
    tones = [c.p.a if c.p.a[0] > 150 else c.p.c, c.p.ink, c.p.ink]
    words = t.breaks(s.short_title.upper(), 3 if len(s.short_title) > 12 else 2)
    if c.rng.random() < 0.5:
        tones.insert(0, tones.pop(1))
    height = (1000 - 150 - 24 * len(words)) / len(words)
    for n, word in enumerate(words):
        t.stretched(c, word, (40, 40 + n * (height + 24), 960, 40 + n * (height + 24) + height), "condensed", tones[n % 3])
    t.line(c, s.artist, 42, 956, "bold", 44, c.p.ink, room=640)
    imprint(c, s, 958, 956, c.p.ink, c.p.paper, "right", 28)


@family("signal cobalt acid brick tropic navy")
def slant_bars(c: Canvas, s: Subject) -> None:
    """Bars that lean into the wind and stop where they like."""
    ground = c.rng.choice((c.p.ink, c.p.paper, c.p.a))
    c.ground(ground)
    tones = [tone for tone in (c.p.paper, c.p.a, c.p.b, c.p.c, c.p.ink) if tone != ground]
    count, lean = c.rng.choice((7, 8)), 330.0
    step = 1000 / count
    flip = c.rng.random() < 0.5
    for n in range(-3, count):
        tall = c.rng.uniform(240, 700) if n % 2 else c.rng.uniform(420, 690)
        x0 = 40 + n * step + 130
        x1, y1 = x0 + lean * tall / 700, 1001 - tall
        bar = [(x0, 1001.0), (x0 + step * 0.6, 1001.0), (x1 + step * 0.6, y1), (x1, y1)]
        c.poly([(1000 - x, y) for x, y in bar] if flip else bar, tones[n % len(tones)])
    ink = c.p.on(ground)
    names(c, s, 50, 110, ink, size=70, room=900)
    imprint(c, s, 50, 228, ink, ground)


@family("neon signal cobalt citrus cyanotype soot", grain=0.2)
def halftone(c: Canvas, s: Subject) -> None:
    """An image too coarse to make out: dots that swell."""
    c.ground(c.p.paper)
    step, turn = 31.0, math.radians(c.rng.choice((15, 30, 45)))
    cx, cy = c.rng.choice(((360, 470), (640, 470), (500, 560)))
    a = c.p.a
    for i in range(-26, 27):
        for j in range(-26, 27):
            x = 500 + (i * math.cos(turn) - j * math.sin(turn)) * step
            y = 560 + (i * math.sin(turn) + j * math.cos(turn)) * step
            if not (-20 < x < 1020 and 210 < y < 1020):
                continue
            near = math.hypot(x - cx, (y - cy) * 0.92)
            face = (
                math.exp(-((near - 230) ** 2) / 9000)
                + 1.1 * math.exp(-(near**2) / 5200)
                + 0.24 * math.sin(x / 160) * math.sin(y / 120)
            )
            size = step * 0.66 * min(1.05, max(0.06, face))
            c.disc(x, y, size, a if near < 320 else c.p.ink)
    c.rect(0, 0, 1001, 206, c.p.paper)
    t.line(c, s.artist, 46, 106, "bold", 82, c.p.ink, room=908)
    t.line(c, s.title, 46, 170, "grotesk", 50, c.p.ink, room=908)


@family("signal soot acid cobalt neon citrus", grain=0.16)
def warped_check(c: Canvas, s: Subject) -> None:
    """A chequered floor with something heavy under it."""
    dark, light = c.p.ink, c.p.paper
    c.ground(light)
    cells = 14
    cx, cy, reach = c.rng.choice(((500, 430, 340), (600, 400, 330), (410, 460, 330)))

    def bent(x: float, y: float) -> tuple[float, float]:
        away = math.hypot(x - cx, y - cy)
        if away >= reach or away == 0:
            return x, y
        out = (away / reach) ** 0.52 * reach
        return cx + (x - cx) * out / away, cy + (y - cy) * out / away

    side, parts = 1000 / cells, 5
    for row in range(cells):
        for column in range(cells):
            if (row + column) % 2:
                continue
            x, y = column * side, row * side
            rim = [(x + side * n / parts, y) for n in range(parts)] + [(x + side, y + side * n / parts) for n in range(parts)]
            rim += [(x + side - side * n / parts, y + side) for n in range(parts)] + [
                (x, y + side - side * n / parts) for n in range(parts)
            ]
            inside = math.hypot(x + side / 2 - cx, y + side / 2 - cy) < reach * 0.94
            c.poly([bent(*point) for point in rim], c.p.a if inside else dark)
    c.rect(0, 832, 1001, 1001, c.p.b)
    ink = c.p.on(c.p.b)
    t.line(c, s.artist, 46, 908, "wide", 50, ink, room=908)
    t.line(c, s.title, 46, 964, "grotesk", 44, ink, room=908)


@family("soot signal cobalt wine acid", grain=0.14)
def line_bulge(c: Canvas, s: Subject) -> None:
    """Upright lines that bend round a head no one drew."""
    ground, ink = (c.p.paper, c.p.ink) if c.rng.random() < 0.6 else (c.p.ink, c.p.paper)
    c.ground(ground)
    count = 44
    hills = blurred(c.noise(lambda rng, size: clouds(rng, size, 3, 2)), 26 * c.k).resize((125, 125))
    force = c.rng.uniform(105, 150)
    data = hills.tobytes()
    for n in range(count):
        x = (n + 0.5) * 1000 / count
        left, right = [], []
        for m in range(84):
            y = m * 1000 / 83
            h = data[min(124, int(y / 8.01)) * 125 + min(124, int(x / 8.01))] / 255 - 0.5
            push = force * h
            thick = 4.5 + 8 * abs(math.sin(h * 5))
            left.append((x + push - thick / 2, y))
            right.append((x + push + thick / 2, y))
        c.poly([*left, *reversed(right)], c.p.a if n % 11 == 5 else ink)
    low = 820
    c.rect(0, low, 1001, 1001, ground)
    t.line(c, s.title, 46, low + 82, "condensed", 92, ink, room=908)
    t.line(c, s.artist, 46, low + 140, "grotesk", 44, ink, room=640)
    imprint(c, s, 954, low + 140, ink, ground, "right", 26)
