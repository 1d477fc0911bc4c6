"""Country and blues: a road, a house, a great deal of sky."""

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject, imprint
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import down, ridge
from image_cache.demo.sleeves.textures import clouds, gradient


@family("sahara dusk brick terracotta malt lagoon")
def highway(c: Canvas, s: Subject) -> None:
    """A road that runs straight into the sun."""
    horizon, x = 560, 500
    c.fill_with(
        gradient(
            (64, 64), ((0, mix(c.p.a, c.p.ink, 0.25)), (0.35, c.p.a), (0.56, c.p.c if c.p.c != c.p.ink else c.p.b), (1, c.p.c))
        )
    )
    c.disc(x, horizon - 40, 185, mix(c.p.paper, c.p.b, 0.35))
    c.disc(x, horizon - 40, 150, c.p.paper)
    c.poly(down(ridge(c.rng, horizon - 44, 120, 8, 0.55)), mix(c.p.a, c.p.ink, 0.55))
    land = mix(c.p.c, c.p.ink, 0.5)
    c.rect(0, horizon, 1001, 1001, land)
    for n in range(9):
        y = horizon + 6 + n * n * 6
        c.rect(0, y, 1001, y + 2 + n * 0.9, mix(land, c.p.ink, 0.35))
    c.poly([(x - 7, horizon), (x + 7, horizon), (940, 1001), (60, 1001)], c.p.ink)
    c.poly([(x - 5, horizon), (x - 4, horizon), (110, 1001), (84, 1001)], c.p.paper)
    c.poly([(x + 5, horizon), (x + 4, horizon), (890, 1001), (916, 1001)], c.p.paper)
    for n in range(7):
        near, far = horizon + 440 * ((n + 1) / 7.2) ** 2.2, horizon + 440 * ((n + 0.45) / 7.2) ** 2.2
        w0, w1 = (far - horizon) * 0.028, (near - horizon) * 0.028
        c.poly([(x - w0, far), (x + w0, far), (x + w1, near), (x - w1, near)], mix(c.p.b, c.p.paper, 0.4))
    left = c.rng.random() < 0.5
    for n in range(6):
        share = (n + 0.3) / 5.4
        px = x + (-1 if left else 1) * (26 + 520 * share**1.8)
        foot, tall = horizon + 330 * share**1.8, 26 + 300 * share**1.5
        c.line([(px, foot), (px, foot - tall)], 2 + 9 * share**2, c.p.ink)
        c.line([(px - tall * 0.16, foot - tall * 0.9), (px + tall * 0.16, foot - tall * 0.9)], 2 + 6 * share**2, c.p.ink)
    t.block(c, s.artist, (60, 58, 940, 168), "slab", c.p.paper, "centre", most=88, lines=2)
    t.line(c, s.title, 500, 236, "brush", 76, c.p.paper, "centre", 840)


@family("malt dusk bone navy sahara wine", grain=0.36)
def farmhouse(c: Canvas, s: Subject) -> None:
    """A house far off on the plain, one window lit, under weather."""
    c.fill_with(
        gradient(
            (64, 64),
            ((0, mix(c.p.ink, c.p.c, 0.35)), (0.5, mix(c.p.a, c.p.c, 0.3)), (0.76, mix(c.p.b, c.p.paper, 0.45)), (1, c.p.b)),
        )
    )
    weather = c.noise(lambda rng, size: clouds(rng, size, 2, 6, 0.6).resize((size[0], size[1] // 2)).resize(size))
    sky = c.mask()
    sky.image.paste(weather.point(lambda v: max(0, min(255, (v - 110) * 2))))
    c.lay(sky, mix(c.p.ink, c.p.c, 0.3), 0.5)
    c.lay(weather.point(lambda v: max(0, (90 - v) * 2)), c.p.paper, 0.5)
    floor = 770
    c.rect(0, floor, 1001, 1001, mix(c.p.ink, c.p.a, 0.22))
    for _ in range(420):
        px, y = c.rng.uniform(0, 1000), floor + 230 * c.rng.random() ** 1.6
        tall = 6 + (y - floor) * 0.2
        c.line(
            [(px, y + 4), (px + c.rng.uniform(-6, 6), y - tall)],
            1.6 + (y - floor) * 0.012,
            mix(c.p.ink, c.p.b, c.rng.uniform(0.05, 0.5)),
        )
    x = c.rng.choice((300, 520, 690))
    dark = mix(c.p.ink, c.p.c, 0.08)
    c.rect(x - 78, floor - 92, x + 62, floor + 6, dark)
    c.poly([(x - 96, floor - 88), (x - 8, floor - 168), (x + 80, floor - 88)], dark)
    c.rect(x + 34, floor - 176, x + 52, floor - 110, dark)
    c.rect(x + 60, floor - 56, x + 150, floor + 6, dark)
    c.poly([(x + 56, floor - 54), (x + 62, floor - 84), (x + 160, floor - 54)], dark)
    c.rect(x - 40, floor - 66, x - 8, floor - 30, mix(c.p.paper, (255, 196, 84), 0.65))
    c.line([(x - 24, floor - 66), (x - 24, floor - 30)], 3, dark)
    for n in range(7):
        pole = (x + 260 + n * 150) % 1150 - 75
        if abs(pole - x) > 130:
            c.line([(pole, floor + 4), (pole, floor - 96)], 4, dark)
            c.line([(pole - 15, floor - 86), (pole + 15, floor - 86)], 3.4, dark)
    t.block(c, s.title, (58, 60, 942, 230), "swash", c.p.paper, most=108, lines=2, leading=0.98)
    t.line(c, s.artist, 942, 950, "slab", 46, c.p.paper, "right", 880)


@family("mustard brick ember bone malt soot signal")
def stencil_card(c: Canvas, s: Subject) -> None:
    """Raw board, a broad band of colour, everything sprayed through stencils."""
    card = mix((196, 164, 120), c.p.paper, 0.25)
    c.ground(card)
    flecks = c.noise(lambda rng, size: clouds(rng, size, 24, 3)).point(lambda v: 70 if v > 196 else 0)
    c.lay(flecks, mix(card, c.p.ink, 0.6), 0.6)
    band = c.rng.choice(c.p.accents)
    top = c.rng.choice((0, 660))
    c.rect(0, top, 1001, top + 340, band)
    ink = c.p.on(band)
    spray = c.mask()
    y = 380 if top == 0 else 70
    t.block(spray, s.title.upper(), (62, y, 938, y + 430), "stencil", 255, most=250, leading=0.98, lines=4)
    speckled = c.noise(lambda rng, size: clouds(rng, size, 60, 2), 2).point(lambda v: 255 if v > 52 else 110)
    worn = c.mask()
    worn.image.paste(speckled, (0, 0), spray.image)
    c.lay(worn, mix(c.p.ink, card, 0.04))
    t.block(c, s.artist.upper(), (62, top + 76, 938, top + 210), "stencil", ink, vertical="middle", most=96, lines=2)
    imprint(c, s, 64, top + 290, ink, band, size=30)
