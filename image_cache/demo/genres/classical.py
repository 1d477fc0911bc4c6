"""Classical: engraved cartouches, stone, still lifes and paper with lines."""

import math

from PIL import Image, ImageChops

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject, imprint
from image_cache.demo.sleeves.palettes import luminance, mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.textures import blurred, clouds, glow, gradient, toned


@family("wine malt forest cyanotype", grain=0.4)
def cartouche(c: Canvas, s: Subject) -> None:
    """A paper shield over a painted sky."""
    sky = c.noise(lambda rng, size: clouds(rng, size, 2, 7, 0.6))
    c.fill_with(
        toned(
            sky, ((0, c.p.ink), (0.4, mix(c.p.a, c.p.ink, 0.35)), (0.72, mix(c.p.c, c.p.a, 0.4)), (1, mix(c.p.c, c.p.paper, 0.7)))
        )
    )
    shield = c.mask()
    shield.rect(150, 290, 850, 710, 255)
    for x, y in ((150, 290), (850, 290), (150, 710), (850, 710)):
        shield.disc(x, y, 64, 0)
    for x, y, rx, ry in ((500, 290, 130, 42), (500, 710, 130, 42), (150, 500, 34, 90), (850, 500, 34, 90)):
        shield.ellipse(x, y, rx, ry, 255)
    shadow = blurred(shield.image, 18 * c.k)
    c.lay(ImageChops.offset(shadow, round(6 * c.k), round(14 * c.k)), (0, 0, 0), 0.6)
    c.lay(shield, c.p.paper)
    inner = shield.image.resize((int(c.side * 0.955), int(c.side * 0.955)))
    line = c.mask()
    line.image.paste(inner, (int(c.side * 0.0225), int(c.side * 0.0225)))
    thin = c.mask()
    smaller = shield.image.resize((int(c.side * 0.94), int(c.side * 0.94)))
    thin.image.paste(smaller, (int(c.side * 0.03), int(c.side * 0.03)))
    c.lay(ImageChops.subtract(line.image, thin.image), c.p.a)
    bottom = t.block(c, s.title, (215, 350, 785, 560), "didone", c.p.ink, "centre", "middle", most=92, lines=3, leading=1.02)[1]
    c.rect(430, max(bottom, 560) + 26, 570, max(bottom, 560) + 29, c.p.a)
    t.line(c, s.artist, 500, 656, "serif", 54, c.p.ink, "centre", 560)


@family("wine forest bone cyanotype rose malt navy", grain=0.34)
def panels(c: Canvas, s: Subject) -> None:
    """Panels and rules: the series binding of a serious house."""
    c.ground(c.p.paper)
    split = c.rng.choice((360, 420))
    c.rect(0, split, 1001, 1001, c.p.a)
    c.rect(0, split - 14, 1001, split - 8, c.p.ink)
    c.rect(0, split - 4, 1001, split - 2, c.p.ink)
    tall = (1000 - split - 120) / 2
    wide = 880 / 4
    tones = [c.p.b, c.p.c, c.p.ink, c.p.paper]
    for row in range(2):
        for column in range(4):
            x, y = 60 + column * wide, split + 60 + row * tall
            one, two = c.rng.sample(tones, 2)
            c.rect(x + 3, y + 3, x + wide - 3, y + tall - 3, one)
            kind = c.rng.randrange(4)
            if kind == 0:
                c.slice(x + wide / 2, y + tall - 3, wide / 2 - 8, 180, 360, two)
            elif kind == 1:
                for n in range(5):
                    c.rect(x + 12, y + 18 + n * (tall - 36) / 4.6, x + wide - 12, y + 22 + n * (tall - 36) / 4.6, two)
            elif kind == 2:
                c.poly([(x + 3, y + tall - 3), (x + wide - 3, y + tall - 3), (x + wide - 3, y + 3)], two)
            else:
                c.disc(x + wide / 2, y + tall / 2, min(wide, tall) * 0.34, two)
    t.block(c, s.title, (60, 62, 940, split - 140), "serif", c.p.ink, most=108, lines=2, leading=0.92)
    t.line(c, s.artist, 60, split - 52, "serif", 52, c.p.readable(mix(c.p.a, c.p.ink, 0.25), c.p.paper), room=640)
    imprint(c, s, 940, split - 54, c.p.ink, c.p.paper, "right", 28)


@family("cyanotype polar forest navy soot dusk", grain=0.3)
def rain_glass(c: Canvas, s: Subject) -> None:
    """Rain on a window, lights behind it."""
    c.ground(mix(c.p.ink, c.p.a, 0.3))
    for fill in (c.p.c, c.p.b, c.p.a, c.p.paper):
        bokeh = c.mask()
        for _ in range(7):
            bokeh.disc(c.rng.uniform(0, 1000), c.rng.uniform(150, 800), c.rng.uniform(40, 110), c.rng.randrange(40, 105))
        bokeh.soften(10)
        c.lay(bokeh, fill)
    c.lay(c.noise(lambda rng, size: clouds(rng, size, 3, 4)), mix(c.p.ink, c.p.a, 0.4), 0.45)
    behind = c.image.transpose(Image.Transpose.ROTATE_180)
    drops, shine, dark = c.mask(), c.mask(), c.mask()
    for n in range(230):
        x, y, r = c.rng.uniform(0, 1000), c.rng.uniform(0, 1000), c.rng.choice((4, 5, 7, 10, 16))
        if y < 300 and n % 9:
            y += 300  # few drops where the names stand
        drops.ellipse(x, y, r, r * 1.16, 255)
        dark.ellipse(x, y - r * 0.3, r * 0.9, r * 0.7, 120)
        shine.ellipse(x - r * 0.2, y + r * 0.5, r * 0.5, r * 0.26, 235)
        if n % 18 == 0:
            end = y + c.rng.uniform(120, 420)
            drops.stroke([(x, y), (x + 3, (y + end) / 2), (x, end)], 9, 255)
            drops.ellipse(x, end, 13, 19, 255)
            shine.ellipse(x - 3, end + 8, 6, 4, 235)
    c.lay(drops, behind)
    c.lay(dark, mix(c.p.ink, (0, 0, 0), 0.4), 0.6)
    c.lay(shine, c.p.paper, 0.9)
    c.rect(56, 56, 62, 250, c.p.paper)
    bottom = t.block(c, s.title, (90, 58, 930, 190), "serif", c.p.paper, most=92, lines=2, leading=0.9)[1]
    t.line(c, s.artist, 90, max(246, bottom + 50), "serif", 48, c.p.paper, room=800)


@family("bone wine cyanotype moss rose seaglass", grain=0.32)
def staves(c: Canvas, s: Subject) -> None:
    """Five lines that will not stay straight, and their notes."""
    c.ground(c.p.paper)
    count = 4
    for stave in range(count):
        base = 350 + stave * 174
        swing, speed, phase = c.rng.uniform(14, 46), c.rng.uniform(0.8, 1.8), c.rng.uniform(0, 6.28)

        def height(x: float, swing: float = swing, speed: float = speed, phase: float = phase, base: float = base) -> float:
            return base + swing * math.sin(x / 1000 * speed * math.pi + phase)

        for n in range(5):
            c.line([(x, height(x) + (n - 2) * 19) for x in range(-10, 1021, 10)], 2.6, mix(c.p.ink, c.p.paper, 0.2))
        x = 60.0
        while x < 960:
            step = c.rng.randrange(-3, 4)
            y = height(x) + step * 9.5
            fill = c.p.a if c.rng.random() < 0.16 else c.p.ink
            c.poly(
                [
                    (x + dx * math.cos(-0.35) - dy * math.sin(-0.35), y + dx * math.sin(-0.35) + dy * math.cos(-0.35))
                    for dx, dy in ((16 * math.cos(a / 9 * math.tau / 2), 11 * math.sin(a / 9 * math.tau / 2)) for a in range(18))
                ],
                fill,
            )
            up = -1 if step > 0 else 1
            c.line([(x - up * 14, y), (x - up * 14, y + up * 66)], 3.6, fill)
            gap = c.rng.choice((54, 54, 82, 120))
            if gap == 54 and x + gap < 960:
                ahead = height(x + gap) + step * 9.5
                c.poly(
                    [(x + gap - up * 14, ahead), (x + gap - up * 14 + 14, ahead)][:0]
                    or [
                        (x - up * 14, y + up * 66),
                        (x + gap - up * 14, ahead + up * 66),
                        (x + gap - up * 14, ahead + up * 54),
                        (x - up * 14, y + up * 54),
                    ],
                    fill,
                )
                c.ellipse(x + gap, ahead, 15, 11, fill)
                c.line([(x + gap - up * 14, ahead), (x + gap - up * 14, ahead + up * 66)], 3.6, fill)
                x += gap
            x += c.rng.choice((70, 96, 130))
    t.block(c, s.title, (60, 60, 940, 160), "didone", c.p.ink, most=84, lines=1)
    t.line(c, s.artist, 60, 210, "serif", 52, c.p.readable(mix(c.p.a, c.p.ink, 0.2), c.p.paper), room=640)
    imprint(c, s, 940, 208, c.p.ink, c.p.paper, "right", 28)


@family("sahara bone dusk polar terracotta wine", grain=0.32)
def arches(c: Canvas, s: Subject) -> None:
    """An arcade that continues, arch within arch, to a lit door."""
    x, count = c.rng.choice((410, 500, 590)), 6
    pale, deep = mix(c.p.b, c.p.paper, 0.4), mix(c.p.a, c.p.ink, 0.35)
    light = c.p.c if luminance(c.p.c) > 0.3 else c.p.paper
    c.ground(pale)
    c.rect(0, 862, 1001, 1001, deep)
    for n in range(count + 1):
        share = 0.7**n
        px, base = 500 + (x - 500) * (1 - share) * 1.5, 650 + 212 * share
        half, tall = 372 * share, 610 * share
        stone = mix(pale, deep, n / (count + 1))
        last = n == count
        for inset, fill in (
            (0.0, mix(stone, c.p.paper, 0.5)),
            (26 * share, light if last else mix(pale, deep, (n + 1) / (count + 1))),
        ):
            r = half + 26 * share - inset
            c.slice(px, base - tall + half, r, 180, 360, fill)
            c.rect(px - r, base - tall + half - 1, px + r, base, fill)
        if not last:
            ahead = 0.7 ** (n + 1)
            ax, floor = 500 + (x - 500) * (1 - ahead) * 1.5, 650 + 212 * ahead
            reach = 398 * ahead
            c.poly(
                [(px - half, base), (px + half, base), (ax + reach, floor), (ax - reach, floor)],
                mix(mix(pale, deep, (n + 1) / (count + 1)), c.p.ink, 0.3),
            )
    t.block(c, s.title, (56, 52, 944, 206), "deco", c.p.ink, "centre", most=80, lines=1, tracking=0.05)
    t.line(c, s.artist, 500, 952, "deco", 50, c.p.paper, "centre", 860, tracking=0.05)


@family("wine malt moss bone", grain=0.42)
def still_life(c: Canvas, s: Subject) -> None:
    """Fruit, a jug and a dark room, in oils."""
    wall = mix(c.p.ink, c.p.c, 0.12)
    c.fill_with(gradient((64, 64), ((0, mix(wall, (0, 0, 0), 0.3)), (0.7, wall), (1, mix(wall, c.p.b, 0.25))), angle=50))
    c.rect(0, 716, 1001, 1001, mix(c.p.a, c.p.ink, 0.35))
    cloth = c.mask()
    cloth.poly([(80, 700), (620, 700), (560, 860), (470, 800), (400, 930), (300, 820), (210, 900), (150, 790)], 255)
    c.lay(cloth, toned(c.noise(lambda rng, size: clouds(rng, size, 4, 3)), ((0, mix(c.p.paper, c.p.ink, 0.45)), (1, c.p.paper))))
    jug = c.mask()
    x = 640
    side = []
    for n in range(61):
        share = n / 60
        half = (
            60 + 84 * math.sin(math.pi * share**1.4) if share > 0.12 else 60 + 84 * math.sin(math.pi * 0.12**1.4) * share / 0.12
        )
        side.append((half, 352 + n * 6.2))
    jug.poly([(x - half, y) for half, y in side] + [(x + half, y) for half, y in reversed(side)], 255)
    jug.rect(x - 70, 330, x + 70, 358, 255)
    jug.ring(x + 150, 490, 86, 22, 255)
    shine = (
        (0.48, mix(c.p.c, c.p.ink, 0.6)),
        (0.57, mix(c.p.b, c.p.paper, 0.45)),
        (0.64, c.p.b),
        (0.82, mix(c.p.ink, c.p.b, 0.25)),
    )
    c.lay(jug, gradient(c.size, shine, angle=90))
    fruit = [(250, 640, 84, c.p.b), (400, 656, 78, c.p.c), (325, 566, 74, c.p.a), (505, 690, 52, c.p.b)]
    c.rng.shuffle(fruit)
    for fx, fy, r, tone in sorted(fruit, key=lambda f: f[1]):
        cast = c.mask()
        cast.ellipse(fx + 34, fy + r * 0.9, r * 1.15, r * 0.2, 200)
        cast.soften(10)
        c.lay(cast, (0, 0, 0), 0.6)
        ball = c.mask()
        ball.disc(fx, fy, r, 255)
        c.lay(ball, mix(tone, c.p.ink, 0.66))
        lit = ImageChops.multiply(glow(c.size, (fx - r * 0.3) / 1000, (fy - r * 0.34) / 1000, r * 1.22 / 1000), ball.image)
        c.lay(lit, mix(tone, c.p.paper, 0.22))
        c.ellipse(fx - r * 0.36, fy - r * 0.42, r * 0.13, r * 0.09, mix(tone, c.p.paper, 0.8))
        c.stroke([(fx, fy - r * 0.94), (fx + 9, fy - r * 1.2)], 6, mix(c.p.ink, c.p.c, 0.3))
    c.lay(c.noise(lambda rng, size: clouds(rng, size, 40, 2)), mix(c.p.ink, c.p.c, 0.2), 0.16)
    t.block(c, s.title, (60, 64, 940, 170), "didone", c.p.paper, "centre", most=88, lines=1)
    t.line(c, s.artist, 500, 226, "serif", 52, mix(c.p.paper, c.p.c, 0.3), "centre", 860)
