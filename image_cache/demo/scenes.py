"""What the photographs of the demo show: ten scenes, drawn like the sleeves. Each draws from the `rng` of its canvas."""

import random
from collections.abc import Callable

from PIL import ImageChops, ImageFilter

from image_cache.demo.sleeves.canvas import Canvas, Sheet
from image_cache.demo.sleeves.palettes import PALETTES, Colour, mix
from image_cache.demo.sleeves.shapes import around
from image_cache.demo.sleeves.textures import clouds, glow, gradient

NIGHT: Colour = (7, 7, 11)
WOOD: tuple[Colour, ...] = ((92, 60, 38), (120, 84, 54), (70, 48, 36))


def stage(c: Canvas) -> None:
    """Beams of light, the band, and the heads of those in front."""
    c.fill_with(gradient((256, 256), [(0, NIGHT), (0.7, mix(c.p.a, NIGHT, 0.7)), (1, NIGHT)]))
    _beams(c, 7)
    for _ in range(c.rng.choice((1, 2, 3))):
        _player(c, c.rng.uniform(240, 760), 770, c.rng.uniform(250, 330))
    _heads(c, 800, 44)


def singer(c: Canvas) -> None:
    """One voice in the spotlight, close."""
    c.ground(mix(c.p.a, NIGHT, 0.86))
    _bokeh(c, 16, c.p.accents)
    x = c.rng.choice((400, 600))
    c.lay(glow(c.size, x / 1000, 0.42, 0.5), mix(c.p.b, c.p.paper, 0.5), 0.8)
    shape = c.mask()
    shape.ellipse(x, 400, 92, 118, 255)
    shape.rect(x - 42, 480, x + 42, 620, 255)
    shape.draw.rounded_rectangle([v * c.k for v in (x - 250, 590, x + 250, 1100)], 110 * c.k, fill=255)
    side = 1 if x < 500 else -1
    shape.stroke([(x + side * 235, 720), (x + side * 190, 560), (x + side * 118, 500)], 74, 255)
    shape.soften(2.5)
    c.lay(shape, NIGHT)
    c.stroke([(x + side * 150, 540), (x + side * 96, 462)], 22, (40, 40, 44))
    c.disc(x + side * 92, 452, 34, (86, 86, 92))


def drums(c: Canvas) -> None:
    """The kit before anyone sits at it."""
    c.fill_with(gradient((256, 256), [(0, NIGHT), (1, mix(c.p.b, NIGHT, 0.72))]))
    _beams(c, 4)
    for x, y, radius in ((500, 740, 205), (290, 690, 110), (720, 690, 120), (400, 470, 84), (590, 465, 88)):
        c.disc(x, y, radius, mix(c.p.a, NIGHT, 0.25))
        c.disc(x, y, radius * 0.9, mix(c.p.paper, NIGHT, 0.12 if radius > 200 else 0.3))
        c.ring(x, y, radius, 9, (150, 150, 156))
    for x, y in ((190, 430), (810, 410), (900, 590)):
        c.line([(x, y), (x, 900)], 8, (70, 70, 76))
        c.ellipse(x, y, 150, 30, mix(c.p.c, (206, 170, 92), 0.6))
        c.ellipse(x, y - 5, 140, 20, mix(c.p.paper, (206, 170, 92), 0.6))


def amplifier(c: Canvas) -> None:
    """Knobs in a row, each turned by someone."""
    c.ground((30, 29, 30))
    c.rect(0, 0, 1001, 480, mix(c.p.b, (190, 188, 180), 0.5))
    for n in range(6):
        x, y = 110 + n * 158, 330
        c.disc(x + 10, y + 16, 66, (40, 40, 40))
        c.disc(x, y, 62, (22, 22, 23))
        c.disc(x, y, 46, c.p.accents[n % 3])
        c.stroke([(x, y), around(x, y, 44, c.rng.uniform(-230, 50))], 8, c.p.paper)
    for n in range(26):
        for m in range(13):
            c.disc(20 + n * 39 + (m % 2) * 19, 520 + m * 40, 11, (12, 12, 13))
    c.soften(1.2)


def crowd(c: Canvas) -> None:
    """From the back of the hall: hands against the light."""
    c.fill_with(gradient((256, 256), [(0, mix(c.p.a, NIGHT, 0.5)), (0.5, mix(c.p.c, c.p.paper, 0.2)), (1, NIGHT)]))
    _beams(c, 5)
    shape = c.mask()
    for _ in range(9):
        x = c.rng.uniform(60, 940)
        top = x + c.rng.uniform(-70, 70), c.rng.uniform(480, 620)
        shape.stroke([(x, 900), top], 34, 255)
        shape.disc(*top, 27, 255)
    shape.soften(3)
    c.lay(shape, NIGHT)
    _heads(c, 740, 60)


def window(c: Canvas) -> None:
    """The shop from the street: sleeves in rows behind the glass."""
    c.ground(mix(c.p.ink, NIGHT, 0.4))
    c.rect(60, 90, 940, 880, mix(c.p.b, (255, 226, 170), 0.6))
    for row in range(3):
        for n in range(5):
            x, y = 92 + n * 168 + c.rng.uniform(-5, 5), 130 + row * 232
            _sleeve(c, x, y, 142)
        c.rect(60, 130 + row * 232 + 146, 940, 130 + row * 232 + 164, c.rng.choice(WOOD))
    for x in (240, 500, 760):
        c.lay(glow(c.size, x / 1000, 0.09, 0.2), (255, 236, 190), 0.8)
    shine = c.mask()
    shine.poly([(200, 90), (420, 90), (120, 880), (-100, 880)], 70)
    shine.poly([(640, 90), (700, 90), (400, 880), (340, 880)], 50)
    shine.soften(8)
    c.lay(shine, (255, 255, 255), 0.6)
    c.frame(48, 78, 952, 892, 22, mix(c.p.a, NIGHT, 0.5))


def crate(c: Canvas) -> None:
    """A crate from above, half looked through."""
    c.ground(c.rng.choice(WOOD))
    for n in range(9):
        c.rect(0, n * 118, 1001, n * 118 + 3, (50, 34, 24))
    c.rect(120, 110, 880, 930, (60, 42, 30))
    at = 150.0
    while at < 880:
        thick = c.rng.uniform(14, 30)
        lean = c.rng.uniform(-9, 9)
        tone = c.rng.choice(_colours(c.rng))
        c.poly([(160 + lean, at), (840 + lean, at), (846 - lean, at + thick), (154 - lean, at + thick)], tone)
        c.line([(160 + lean, at), (840 + lean, at)], 3, mix(tone, (255, 255, 255), 0.4))
        at += thick + c.rng.uniform(2, 7)
    c.frame(112, 102, 888, 938, 34, WOOD[1])
    c.soften(0.8)


def spines(c: Canvas) -> None:
    """A shelf of spines, some of them leaning."""
    c.ground((34, 26, 22))
    for row in range(3):
        base, x = 318 + row * 330, 20.0
        while x < 970:
            wide, tall = c.rng.uniform(7, 20), c.rng.uniform(262, 282)
            tone = c.rng.choice(_colours(c.rng))
            lean = c.rng.choice((0, 0, 0, 0, 14))
            c.poly([(x + lean, base - tall), (x + wide + lean, base - tall), (x + wide, base), (x, base)], tone)
            c.line([(x + wide / 2 + lean, base - tall * 0.9), (x + wide / 2 + lean / 2, base - tall * 0.5)], 3, c.p.on(tone))
            x += wide + 2 + lean / 2
        c.rect(0, base, 1001, base + 30, c.rng.choice(WOOD))
    c.multiply(_shade(c, 0.3), (90, 70, 60))


def turntable(c: Canvas) -> None:
    """A record on the platter, the arm coming in."""
    c.ground(mix(c.p.b, (40, 36, 34), 0.6))
    c.disc(450, 520, 400, (52, 52, 54))
    c.disc(450, 520, 384, (16, 16, 17))
    for radius in range(370, 140, -6):
        level = c.rng.randint(20, 34)
        c.ring(450, 520, radius, 3, (level, level, level + 1))
    shine = c.mask()
    for start in (-70, -48, 112, 134):
        shine.slice(450, 520, 378, start, start + 12, 200)
    shine.soften(16)
    c.lay(shine, mix(c.p.paper, c.p.c, 0.3), 0.35)
    c.disc(450, 520, 132, c.p.a)
    c.ring(450, 520, 118, 4, c.p.paper)
    c.disc(450, 520, 9, (16, 16, 17))
    bend = 640 + c.rng.uniform(-20, 20), 700 + c.rng.uniform(-30, 20)
    c.disc(880, 190, 72, (74, 74, 78))
    c.line([(880, 190), (850, 560), bend], 17, (196, 196, 200))
    c.stroke([bend, (bend[0] - 46, bend[1] + 14)], 34, (30, 30, 32))


def corner(c: Canvas) -> None:
    """A corner of a room in the evening, lit by one lamp."""
    wall = mix(c.p.a, (64, 52, 46), 0.55)
    c.ground(wall)
    x = c.rng.choice((250, 720))
    c.lay(glow(c.size, x / 1000, 0.36, 0.62), (255, 214, 148), 0.75)
    c.rect(0, 760, 1001, 1001, c.rng.choice(WOOD))
    c.rect(110, 560, 890, 800, WOOD[2])
    c.rect(130, 580, 870, 780, (36, 26, 22))
    at = 140.0
    while at < 850:
        wide = c.rng.uniform(6, 14)
        c.rect(at, c.rng.uniform(590, 604), at + wide, 778, c.rng.choice(_colours(c.rng)))
        at += wide + 2
    c.line([(x, 330), (x, 556)], 9, (40, 34, 30))
    c.poly([(x - 46, 250), (x + 46, 250), (x + 96, 372), (x - 96, 372)], (255, 232, 186))
    _sleeve(c, 1000 - x - 80, 396, 160)
    c.multiply(_shade(c, 0.45), (70, 56, 60))


SCENES: dict[str, Callable[[Canvas], None]] = {
    scene.__name__: scene for scene in (stage, singer, drums, amplifier, crowd, window, crate, spines, turntable, corner)
}


def _beams(c: Canvas, count: int) -> None:
    """Shine `count` lamps down from the rig, through haze."""
    haze = c.noise(lambda rng, size: clouds(rng, size, 3, 4)).point(lambda v: min(255, v + 80))
    for n in range(count):
        beam = c.mask()
        x, lean, spread = (n + c.rng.uniform(0.2, 0.8)) * 1000 / count, c.rng.uniform(-320, 320), c.rng.uniform(60, 150)
        beam.poly([(x - 8, 60), (x + 8, 60), (x + lean + spread, 1000), (x + lean - spread, 1000)], 130)
        beam.disc(x, 60, 26, 255)
        beam.soften(12)
        c.lay(ImageChops.multiply(beam.image, haze), c.rng.choice((*c.p.accents, (255, 241, 220))), 0.85)


def _bokeh(c: Canvas, count: int, tones: tuple[Colour, ...]) -> None:
    for _ in range(count):
        spot = c.mask()
        spot.disc(c.rng.uniform(0, 1000), c.rng.uniform(0, 700), c.rng.uniform(20, 60), 150)
        spot.soften(3)
        c.lay(spot, c.rng.choice(tones), c.rng.uniform(0.3, 0.8))


def _player(c: Canvas, x: float, floor: float, tall: float) -> None:
    shape = c.mask()
    shape.ellipse(x, floor - tall, 34, 42, 255)
    shape.draw.rounded_rectangle([v * c.k for v in (x - 68, floor - tall + 48, x + 68, floor + 160)], 30 * c.k, fill=255)
    shape.stroke([(x - 120, floor - tall * 0.36), (x + 175, floor - tall * 0.7)], 20, 255)
    shape.ellipse(x - 70, floor - tall * 0.42, 74, 52, 255)
    shape.soften(2.5)
    c.lay(shape, NIGHT)


def _heads(c: Canvas, top: float, count: int) -> None:
    shape = c.mask()
    for _ in range(count):
        x, y, size = c.rng.uniform(-40, 1040), c.rng.uniform(top, 1000), c.rng.uniform(30, 48)
        shape.ellipse(x, y, size * 0.8, size, 255)
        shape.draw.rounded_rectangle(
            [v * c.k for v in (x - size * 1.7, y + size * 0.7, x + size * 1.7, 1200)], 36 * c.k, fill=255
        )
    shape.soften(3)
    c.lay(shape, (4, 4, 6))


def _sleeve(c: Canvas, x: float, y: float, side: float) -> None:
    """A sleeve, far enough away to be three shapes."""
    paper, *tones = _colours(c.rng)
    c.rect(x + 6, y + 7, x + side + 6, y + side + 7, (20, 16, 14))
    c.rect(x, y, x + side, y + side, paper)
    if c.rng.random() < 0.5:
        c.disc(x + side * 0.5, y + side * 0.56, side * c.rng.uniform(0.2, 0.34), tones[0])
    else:
        c.poly([(x, y + side), (x + side, y + side * c.rng.uniform(0.3, 0.7)), (x + side, y + side)], tones[0])
    c.rect(x + side * 0.1, y + side * 0.1, x + side * c.rng.uniform(0.5, 0.85), y + side * 0.17, tones[1])


def _colours(rng: random.Random) -> list[Colour]:
    colours = list(rng.choice(tuple(PALETTES.values())))
    rng.shuffle(colours)
    return colours


def _shade(c: Canvas, share: float) -> Sheet:
    """Return a mask that is light at the edges: what a lens loses there."""
    shade = c.mask()
    middle = glow((256, 256), 0.5, 0.5, 0.75).filter(ImageFilter.GaussianBlur(12))
    shade.image.paste(middle.point(lambda v: int((255 - v) * share)).resize(c.size))
    return shade
