"""The street: flats, lamps, torn posters, and what was taped at home."""

from PIL import Image, ImageChops

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject, imprint
from image_cache.demo.sleeves.palettes import Colour, mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around
from image_cache.demo.sleeves.textures import clouds, glow


@family("concrete brick cyanotype soot mustard dusk")
def facade(c: Canvas, s: Subject) -> None:
    """A block of flats in hard light, someone home."""
    wall, shade = mix(c.p.b, c.p.paper, 0.35), mix(c.p.c, c.p.ink, 0.35)
    c.ground(wall)
    columns, rows = 6, 7
    wide, tall = 1000 / columns, 860 / rows
    lit = {(c.rng.randrange(columns), c.rng.randrange(1, rows)) for _ in range(c.rng.choice((1, 2, 4)))}
    for row in range(rows):
        for column in range(columns):
            x, y = column * wide, 140 + row * tall
            c.rect(x + 22, y + 22, x + wide - 22, y + tall - 26, shade)
            fill = c.p.a if (column, row) in lit else mix(c.p.ink, c.p.c, 0.2)
            c.rect(x + 34, y + 34, x + wide - 22, y + tall - 26, fill)
            c.line([(x + wide / 2 + 6, y + 34), (x + wide / 2 + 6, y + tall - 26)], 6, shade)
            if (column, row) in lit:
                c.disc(x + wide * 0.68, y + tall - 50, 13, mix(c.p.ink, c.p.a, 0.2))
                c.rect(x + wide * 0.68 - 18, y + tall - 40, x + wide * 0.68 + 18, y + tall - 26, mix(c.p.ink, c.p.a, 0.2))
            c.rect(x + 14, y + tall - 26, x + wide - 14, y + tall - 12, mix(wall, c.p.paper, 0.45))
    shadow = c.mask()
    corner = c.rng.uniform(250, 500)
    shadow.poly([(0, 140), (corner, 140), (corner + 330, 1001), (0, 1001)], 255)
    c.lay(shadow, mix(c.p.ink, c.p.c, 0.15), 0.5)
    c.rect(0, 0, 1001, 140, c.p.ink)
    t.line(c, s.title, 44, 96, "condensed", 92, c.p.paper, room=560)
    t.line(c, s.artist, 956, 94, "grotesk", 38, c.p.paper, "right", 330)


@family("navy soot brick dusk malt")
def street_lights(c: Canvas, s: Subject) -> None:
    """Lamps along a wet street."""
    night = mix(c.p.ink, c.p.a, 0.1)
    c.ground(night)
    fog = c.noise(lambda rng, size: clouds(rng, size, 3, 5))
    c.lay(fog, mix(night, c.p.b, 0.22), 0.9)
    floor = 640
    c.rect(0, floor, 1001, 1001, mix(night, (0, 0, 0), 0.45))
    warm = c.p.c if sum(c.p.c) > 420 else mix(c.p.b, c.p.paper, 0.4)
    right = c.rng.choice((-1, 1))
    lamps = []
    for n in range(6):
        share = 0.62**n
        lamps.append((500 + right * (60 - 470 * share * 0.94), floor - 460 * share - 6, share))
    for x, y, share in reversed(lamps):
        light = glow(c.size, x / 1000, y / 1000, 0.3 * share + 0.03)
        c.lay(light, warm, 0.75)
        wet = c.mask()
        for k in range(46):
            down = floor + 12 + k * 7.4
            half = (10 + k * 0.5) * share + c.rng.uniform(0, 16) * share
            wet.rect(x - half, down, x + half, down + 4.4, max(0, 215 - k * 4))
        wet.soften(3)
        c.lay(wet, warm, 0.75)
        c.line([(x, floor + 30 * share), (x, y - 20 * share)], 3 + 8 * share, mix(night, (0, 0, 0), 0.6))
        c.rect(x - 20 * share, y - 28 * share, x + 20 * share, y - 16 * share, mix(night, (0, 0, 0), 0.6))
        c.disc(x, y, 6 + 16 * share, mix(warm, (255, 255, 255), 0.7))
    wide = len(s.title) > 16
    box = (50, 52, 950, 190) if wide else (470, 52, 950, 250) if right > 0 else (50, 52, 530, 250)
    t.block(c, s.title, box, "condensed", c.p.paper, "right" if right > 0 else "left", most=124, lines=3, leading=0.98)
    t.line(c, s.artist, 950, 958, "grotesk", 44, c.p.paper, "right", 880)


@family("signal brick sky acid rose mustard")
def torn_paper(c: Canvas, s: Subject) -> None:
    """Posters under posters, torn."""
    c.ground(c.p.a)
    print_ = c.mask()
    t.block(print_, s.title.upper(), (30, 40, 970, 700), "slab", 255, most=330, lines=4, leading=0.95)
    c.lay(print_, c.p.on(c.p.a))
    for n, fill in enumerate((c.p.c, c.p.b, c.p.paper)):
        layer = c.mask()
        edge = [(0.0, 1001.0)]
        base = 560 + n * 130 + c.rng.uniform(-20, 20)
        tilt = c.rng.uniform(-0.14, 0.14)
        x = 0.0
        while x <= 1010:
            edge.append((x, base + (x - 500) * tilt + c.rng.uniform(-13, 13)))
            x += c.rng.uniform(7, 22)
        edge.append((1010.0, 1001.0))
        white = c.mask()
        white.poly([(px, py - c.rng.uniform(7, 20)) for px, py in edge], 255)
        c.lay(white, mix(c.p.paper, (255, 255, 255), 0.6))
        layer.poly(edge, 255)
        c.lay(layer, fill)
        if n < 2:
            stripes = c.mask()
            for k in range(-20, 40):
                if n == 0:
                    stripes.poly([(k * 60, 1001), (k * 60 + 26, 1001), (k * 60 + 426, 400), (k * 60 + 400, 400)], 150)
                else:
                    for j in range(14):
                        stripes.disc(k * 44 + (j % 2) * 22, 600 + j * 38, 9, 170)
            stripes.image.paste(ImageChops.multiply(stripes.image, layer.image))
            c.lay(stripes, c.p.ink if n == 0 else c.p.a)
    t.line(c, s.artist, 46, 952, "bold", 52, c.p.ink, room=640)
    imprint(c, s, 954, 952, c.p.ink, c.p.paper, "right", 28)


@family("signal sky mustard seaglass brick lagoon")
def label_tape(c: Canvas, s: Subject) -> None:
    """A cassette, and strips from a label punch."""
    ground = mix(c.p.c, c.p.paper, 0.35)
    c.ground(ground)
    body, lean = c.p.paper, c.rng.uniform(-9, 9)
    layer = Canvas(c.size_px, c.p, c.rng)
    layer.ground(ground)
    _cassette(layer, body)
    c.fill_with(layer.image.rotate(lean, Image.Resampling.BICUBIC, fillcolor=ground))
    words = [(word, 62.0, c.p.ink) for word in t.breaks(s.title.upper(), 3 if len(s.title) > 16 else 2)]
    words += [(word, 44.0, mix(c.p.a, c.p.ink, 0.35)) for word in t.breaks(s.artist.upper(), 2)]
    y = 64.0
    for n, (word, most, tone) in enumerate(words):
        size = t.fitting(c, word, "mono", 780, most, 0.1)
        long = t.width(c, word, "mono", size, 0.1) + 60
        x, slope = 56.0 + 30 * (n % 2), c.rng.uniform(-5, 5)
        c.poly(
            [
                (x + 4, y + 6),
                (x + long + 4, y + slope + 6),
                (x + long + 4, y + size * 1.6 + slope + 6),
                (x + 4, y + size * 1.6 + 6),
            ],
            mix(ground, c.p.ink, 0.3),
        )
        c.poly([(x, y), (x + long, y + slope), (x + long, y + size * 1.6 + slope), (x, y + size * 1.6)], tone)
        c.line([(x, y + 6), (x + long, y + 6 + slope)], 2, mix(tone, (255, 255, 255), 0.35))
        t.line(c, word, x + 30, y + size * 1.18 + slope / 2, "mono", size, (255, 255, 255), tracking=0.1)
        y += size * 1.6 + 20
    imprint(c, s, 950, 956, c.p.on(ground), ground, "right", 26)


def _cassette(c: Canvas, body: Colour) -> None:
    shell = mix(c.p.ink, c.p.a, 0.12)
    c.rect(170, 470, 850, 900, shell)
    c.rect(196, 494, 824, 800, body)
    c.rect(196, 494, 824, 560, c.p.a)
    c.rect(196, 730, 824, 800, c.p.b)
    for n in range(2):
        c.line([(226, 596 + n * 34), (794, 596 + n * 34)], 3, mix(body, c.p.ink, 0.35))
    c.rect(300, 655, 720, 765, shell)
    c.rect(450, 672, 570, 748, mix(body, c.p.ink, 0.6))
    for x in (372, 648):
        c.disc(x, 710, 44, body)
        for n in range(6):
            c.stroke([around(x, 710, 16, n * 60), around(x, 710, 38, n * 60)], 8, shell)
        c.disc(x, 710, 15, body)
    c.poly([(280, 900), (310, 826), (710, 826), (740, 900)], mix(shell, c.p.paper, 0.12))
    for x in (380, 640):
        c.disc(x, 866, 15, body)
    for x, y in ((184, 484), (836, 484), (184, 886), (836, 886)):
        c.disc(x, y, 7, mix(shell, c.p.paper, 0.4))
