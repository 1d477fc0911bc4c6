"""Soul, funk, disco: shapes that could be danced."""

import math

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject, imprint, names
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around, petal, smooth


@family("ember plum mustard terracotta tropic rose citrus orchard")
def petals(c: Canvas, s: Subject) -> None:
    """A flower of pointed leaves, ring within ring, its names written around it."""
    a, b, d = c.rng.sample(c.p.accents, 3)
    c.ground(a)
    count = c.rng.choice((10, 12, 14))
    for ring, (length, fill) in enumerate(((400, c.p.paper), (330, b), (255, c.p.ink), (195, d), (120, c.p.paper))):
        for i in range(count):
            turn = (i + ring % 2 / 2) * 360 / count - 90
            c.poly(petal(500, 500, turn, length, length * 0.62 * 12 / count), fill)
    c.disc(500, 500, 62, b)
    c.disc(500, 500, 30, c.p.ink)
    ink = c.p.on(a)
    t.on_circle(c, s.short_title, 500, 500, 424, "round", 62, ink, most=150)
    t.on_circle(c, s.artist, 500, 500, 466, "round", 50, ink, middle=90, inside_out=True, most=150)


@family("sky seaglass orchard citrus tropic rose mustard")
def rainbow_arcs(c: Canvas, s: Subject) -> None:
    """Three bows behind one another on a low horizon."""
    c.ground(c.p.paper)
    tones = [*c.p.accents, c.p.ink]
    middle = c.rng.uniform(430, 570)
    for x, radius in ((middle, 520), (middle - 330, 330), (middle + 345, 265)):
        c.rng.shuffle(tones)
        width = radius / 5.2
        c.disc(x, 1000, radius + 12, c.p.paper)
        for n in range(5):
            c.disc(x, 1000, radius - n * width, tones[n] if n < 4 else c.p.paper)
    names(c, s, 62, 128, c.p.ink, size=66)
    imprint(c, s, 62, 250, c.p.ink, c.p.paper)


@family("ember dusk plum neon tropic sahara")
def sunset_bars(c: Canvas, s: Subject) -> None:
    """A sun cut into upright slices, each slipped a little."""
    dark = mix(c.p.ink, c.p.a, 0.12)
    c.ground(dark)
    x, y, r, count = 500, 520, 308, c.rng.choice((7, 9))
    step = 2 * r / count
    for i in range(count):
        left = x - r + i * step
        shift = 52 * math.sin(i * 1.9 + c.rng.uniform(-0.4, 0.4))
        slice_ = c.mask()
        slice_.disc(x, y + shift, r, 255)
        slice_.rect(0, 0, left + 5, 1000, 0)
        slice_.rect(left + step - 5, 0, 1000, 1000, 0)
        share = i / (count - 1)
        tone = mix(c.p.c, c.p.b, share * 2) if share < 0.5 else mix(c.p.b, c.p.a, share * 2 - 1)
        if tone == c.p.a and c.p.a[0] < 120:
            tone = mix(c.p.a, c.p.paper, 0.25)
        c.lay(slice_, tone)
    t.line(c, s.artist, 500, 118, "round", 78, c.p.paper, "centre", 860)
    t.line(c, s.title, 500, 958, "round", 50, c.p.paper, "centre", 860)


@family("lagoon terracotta mustard ember orchard sky seaglass")
def quarter_tiles(c: Canvas, s: Subject) -> None:
    """A tiled wall of quarter and half discs, one strip left for the names."""
    tones = [c.p.paper, *c.p.accents, c.p.ink]
    side = 200
    for row in range(1, 5):
        for column in range(5):
            back, front, spot = c.rng.sample(tones, 3)
            x, y = column * side, row * side
            c.rect(x, y, x + side, y + side, back)
            corner = c.rng.randrange(6)
            if corner < 4:
                cx, cy = x + side * (corner in {1, 2}), y + side * (corner >= 2)
                start = (0, 90, 180, 270)[corner]
                c.slice(cx, cy, side, start, start + 90, front)
                c.slice(cx, cy, side / 2, start, start + 90, spot if c.rng.random() < 0.5 else front)
            elif corner == 4:
                c.slice(x + side / 2, y + side, side / 2, 180, 360, front)
                c.slice(x + side / 2, y + side / 2, side / 2, 180, 360, spot)
            else:
                c.disc(x + side / 2, y + side / 2, side / 2, front)
                c.disc(x + side / 2, y + side / 2, side / 5, spot)
    c.rect(0, 0, 1000, 200, c.p.paper)
    names(c, s, 50, 98, c.p.ink, size=64, room=900)


@family("plum ember lagoon cobalt mustard dusk", grain=0.25)
def cubes(c: Canvas, s: Subject) -> None:
    """Boxes stacked into a corner, lit from the left."""
    light, middle, dark = c.rng.choice(((c.p.paper, c.p.a, c.p.ink), (c.p.c, c.p.b, c.p.ink), (c.p.paper, c.p.b, c.p.a)))
    c.ground(c.p.c if light != c.p.c else c.p.paper)
    ground = c.p.c if light != c.p.c else c.p.paper
    w, h = 108.0, 62.0  # half the width of a cube's lid, half its height
    size = c.rng.choice((3, 4))
    stack = [[max(1, size + 1 - i - j + c.rng.choice((0, 0, 1, -1))) for j in range(size)] for i in range(size)]
    stack[0][0] = size + 1
    scale = 3.6 / size
    w, h, z = w * scale, h * scale, 118 * scale
    ox, oy = 500.0, 560.0 if size == 4 else 570.0
    for i in range(size):
        for j in range(size):
            for level in range(stack[i][j]):
                x, y = ox + (i - j) * w, oy + (i + j) * h - level * z + 40
                lid = [(x, y - h), (x + w, y), (x, y + h), (x - w, y)]
                c.poly([(x - w, y), (x, y + h), (x, y + h + z), (x - w, y + z)], middle)
                c.poly([(x + w, y), (x, y + h), (x, y + h + z), (x + w, y + z)], dark)
                c.poly(lid, light)
    strip = c.p.ink
    c.rect(0, 872, 1000, 1000, strip)
    t.line(c, s.artist, 48, 954, "wide", 46, c.p.paper, room=900)
    t.block(c, s.title, (48, 44, 420, 260), "wide", c.p.on(ground), most=64, leading=1.08, lines=4)


@family("mustard ember terracotta tropic sky rose orchard")
def ribbon(c: Canvas, s: Subject) -> None:
    """Five stripes that come up, lie down and go up again."""
    c.ground(c.p.paper)
    tones = [c.p.ink, c.p.a, c.p.b, c.p.c, mix(c.p.c, c.p.paper, 0.55)]
    if c.rng.random() < 0.5:
        tones.reverse()
    w = 56.0
    inner = 70.0
    outer = inner + 5 * w
    cx, cy, cx2 = 430.0, 860.0, 520.0
    upper = cy - outer - inner
    for n, tone in enumerate(tones):
        r = outer - n * w
        c.slice(cx, cy, r, 180, 270, tone)
        c.rect(cx - r, cy, cx - r + w, 1001, tone)
    c.slice(cx, cy, inner, 180, 270, c.p.paper)
    for n, tone in reversed(list(enumerate(tones))):
        r = inner + (n + 1) * w
        c.slice(cx2, upper, r, 0, 90, tone)
        c.rect(cx2 + r - w, -1, cx2 + r, upper, tone)
    c.slice(cx2, upper, inner, 0, 90, c.p.paper)
    for n, tone in enumerate(tones):
        r = outer - n * w
        c.rect(cx - 2, cy - r, cx2 + 2, cy - r + w, tone)
    t.block(c, s.title, (56, 60, 540, 300), "swash", c.p.ink, most=110, leading=1.02, lines=4)
    t.line(c, s.artist, 944, 950, "bold", 44, c.p.ink, "right", 440 if len(s.artist) > 20 else 420)


@family("terracotta ember mustard tropic plum sahara")
def big_hair(c: Canvas, s: Subject) -> None:
    """A profile under a great round head of hair."""
    a, b, d = c.rng.sample(c.p.accents, 3)
    c.ground(a)
    x, y = 560, 430
    c.disc(x, y, 372, b if b != a else d)
    for ring in range(7):
        radius = 352 - ring * 47
        count = max(6, int(radius / 9))
        for i in range(count):
            px, py = around(x, y, radius, i * 360 / count + ring * 7)
            c.disc(px, py, 12.5 - ring * 0.6, c.p.ink if ring % 2 == 0 else c.p.paper)
    face = smooth(
        [(470, 340), (395, 380), (360, 440), (352, 490), (336, 540), (300, 598), (318, 622), (346, 630), (338, 660), (322, 682), (338, 702),
         (328, 726), (346, 748), (350, 790), (372, 822), (420, 828), (470, 812), (482, 860), (470, 930), (440, 1010), (800, 1010),
         (730, 920), (700, 820), (720, 700), (740, 560), (690, 420), (590, 340)]
    )  # fmt: skip
    c.poly(face, c.p.ink)
    c.ring(640, 735, 64, 13, d)
    c.line(smooth([(410, 512), (440, 500), (478, 512)], closed=False), 8, a)
    c.line(smooth([(414, 540), (442, 556), (474, 542)], closed=False), 7, a)
    ink = c.p.on(a)
    t.block(c, s.title, (48, 790, 300, 955), "slab", ink, vertical="bottom", most=58, leading=1.0, lines=4)
    t.slanted(c, s.artist, 70, 400, "slab", t.fitting(c, s.artist, "slab", 640, 62), ink, -90)


@family("neon plum dusk cobalt tropic boreal", grain=0.22)
def mirrorball(c: Canvas, s: Subject) -> None:
    """A ball of mirrors with its beams."""
    dark = mix(c.p.ink, c.p.a, 0.1)
    c.ground(dark)
    x, y, r = 500, 440, 275
    beams = c.mask()
    for i in range(16):
        turn = i * 22.5 + c.rng.uniform(-5, 5)
        beams.poly([(x, y), around(x, y, 1100, turn - 3.6), around(x, y, 1100, turn + 3.6)], 255)
    beams.soften(3)
    c.lay(beams, c.p.a, 0.62)
    c.line([(x, 0), (x, y - r)], 7, c.p.paper)
    rows = 15
    c.disc(x, y, r + 5, c.p.ink)
    for row in range(rows):
        lat0, lat1 = math.pi * row / rows, math.pi * (row + 1) / rows
        around_row = max(5, int(26 * math.sin((lat0 + lat1) / 2)))
        for k in range(around_row):
            lon0, lon1 = math.pi * k / around_row, math.pi * (k + 1) / around_row
            corners = [
                (x - r * math.sin(la) * math.cos(lo), y - r * math.cos(la))
                for la, lo in ((lat0, lon0), (lat0, lon1), (lat1, lon1), (lat1, lon0))
            ]
            mx, my = sum(q[0] for q in corners) / 4, sum(q[1] for q in corners) / 4
            lit = 1 - math.hypot(mx - x + 90, my - y + 100) / (1.7 * r)
            tone = mix(
                c.p.ink,
                c.rng.choice((c.p.b, c.p.c, c.p.paper, c.p.paper, c.p.a)),
                max(0.08, min(1, lit + c.rng.uniform(-0.35, 0.35))),
            )
            c.poly([(mx + (qx - mx) * 0.9, my + (qy - my) * 0.9) for qx, qy in corners], tone)
    for px, py, size in ((400, 330, 62), (590, 480, 40), (460, 560, 28)):
        for turn in (0, 90):
            c.poly(
                [
                    around(px, py, size, turn),
                    around(px, py, 6, turn + 90),
                    around(px, py, size, turn + 180),
                    around(px, py, 6, turn - 90),
                ],
                c.p.paper,
            )
    # The face has hardly a word space of its own.
    t.block(c, s.title, (70, 752, 930, 906), "neon", c.p.paper, "centre", "middle", most=112, lines=2, gap="   ")
    t.line(c, s.artist, 500, 958, "deco", 40, c.p.paper, "centre", 860, tracking=0.1)
