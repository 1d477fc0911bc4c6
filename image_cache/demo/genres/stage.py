"""Stage and screen: an instrument in the light, a chase across town."""

from PIL import Image, ImageChops

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas, Point, Sheet
from image_cache.demo.sleeves.house import Subject, imprint
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import smooth
from image_cache.demo.sleeves.textures import clouds, glow


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


@family("signal mustard lagoon plum navy brick", grain=0.26)
def spy_circles(c: Canvas, s: Subject) -> None:
    """Circles of a telescope, someone running through them."""
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
