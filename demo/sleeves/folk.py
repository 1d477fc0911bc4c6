"""Folk: leaves, letters, needlework, and pictures from a drawer."""

from PIL import ImageChops

from demo.sleeves import typesetting as t
from demo.sleeves.canvas import Canvas, Point, Sheet
from demo.sleeves.house import Subject, imprint
from demo.sleeves.palettes import Colour, mix
from demo.sleeves.registry import family
from demo.sleeves.shapes import around, down, petal, ridge, smooth
from demo.sleeves.textures import clouds, toned


@family("moss orchard bone sahara forest malt")
def wreath(c: Canvas, s: Subject) -> None:
    """A ring of leaves and berries around a title in script."""
    ground = c.rng.choice((c.p.paper, c.p.ink))
    c.ground(ground)
    leaf_tones = [c.p.a, c.p.b, mix(c.p.b, c.p.ink, 0.35), mix(c.p.a, c.p.paper, 0.25)]
    c.ring(500, 470, 352, 5, mix(c.p.c, c.p.ink, 0.3))
    count = 46
    for i in range(count):
        turn = i * 360 / count - 90
        x, y = around(500, 470, 350, turn)
        length = c.rng.uniform(88, 128)
        for side in (-1, 1):
            fill = c.rng.choice(leaf_tones)
            lean = turn + 90 + side * c.rng.uniform(26, 58)
            c.poly(petal(x, y, lean, length, length * 0.4), fill)
            tip = around(x, y, length * 0.86, lean)
            c.line([(x, y), tip], 2.5, mix(fill, ground, 0.4))
    for i in range(26):
        x, y = around(500, 470, 350 + c.rng.uniform(-46, 46), i * 360 / 26 + c.rng.uniform(-5, 5))
        c.disc(x, y, 12, c.p.c)
        c.disc(x - 4, y - 4, 3.5, mix(c.p.c, c.p.paper, 0.7))
    ink = c.p.on(ground)
    t.block(c, s.title, (280, 300, 720, 640), "brush", ink, "centre", "middle", most=120, leading=0.95, lines=4)
    t.line(c, s.artist.upper(), 500, 958, "serif", 44, ink, "centre", 800, tracking=0.14)


@family("bone rose wine sahara seaglass forest orchard", grain=0.36)
def oval_portrait(c: Canvas, s: Subject) -> None:
    """A shadow portrait in an oval, cut from paper, over a name in script."""
    c.ground(mix(c.p.paper, c.p.b, 0.16))
    c.ellipse(500, 392, 300, 362, c.p.ink)
    c.ellipse(500, 392, 292, 354, c.p.c)
    c.ellipse(500, 392, 268, 330, mix(c.p.paper, (255, 255, 255), 0.35))
    flip = c.rng.choice((-1, 1))

    def at(points: list[Point]) -> list[Point]:
        return [(500 + flip * (x - 500), y) for x, y in points]

    figure = c.mask()
    profile = [(455, 205), (408, 236), (392, 282), (394, 316), (384, 344), (358, 384), (366, 396), (382, 400), (378, 418), (368, 430),
               (378, 442), (372, 458), (384, 470), (386, 496), (404, 512), (440, 510), (466, 516), (470, 560), (440, 596), (350, 640),
               (310, 740), (700, 740), (680, 650), (606, 590), (580, 540), (600, 470), (640, 380), (620, 270), (560, 210)]  # fmt: skip
    figure.poly(at(smooth(profile)), 255)
    dress = (len(s.artist) + len(s.title)) % 3
    if dress == 0:
        figure.poly(
            at(
                smooth(
                    [(440, 232), (470, 170), (560, 160), (650, 220), (668, 330), (640, 430), (600, 440), (560, 380), (480, 300)]
                )
            ),
            255,
        )
        figure.disc(500 + flip * 164, 236, 62, 255)
    elif dress == 1:
        figure.poly(at([(352, 262), (690, 216), (694, 240), (356, 288)]), 255)
        figure.poly(at([(420, 254), (440, 128), (600, 108), (640, 226)]), 255)
    else:
        for _ in range(26):
            x, y = around(548, 268, c.rng.uniform(30, 118), c.rng.uniform(-170, 60))
            figure.disc(500 + flip * (x - 500), y, c.rng.uniform(34, 52), 255)
    frame = c.mask()
    frame.ellipse(500, 392, 268, 330, 255)
    c.lay(ImageChops.multiply(figure.image, frame.image), mix(c.p.ink, c.p.a, 0.1))
    c.line(at(smooth([(404, 618), (470, 610), (530, 640), (600, 600)], closed=False)), 7, c.p.c)
    t.line(c, s.artist, 500, 858, "brush", 116, c.p.ink, "centre", 860)
    t.line(c, s.short_title.upper(), 500, 936, "serif", 40, mix(c.p.ink, c.p.a, 0.2), "centre", 800, tracking=0.12)


@family("navy cyanotype dusk boreal lagoon sky")
def moon_waves(c: Canvas, s: Subject) -> None:
    """A full moon over waves like fish scales."""
    night = mix(c.p.ink, c.p.a, 0.18)
    c.ground(night)
    for _ in range(60):
        c.disc(
            c.rng.uniform(20, 980),
            c.rng.uniform(20, 600),
            c.rng.choice((1.6, 2.2, 3.2)),
            mix(night, c.p.paper, c.rng.uniform(0.4, 0.9)),
        )
    x = c.rng.choice((330, 500, 670))
    moon = c.p.c if c.rng.random() < 0.6 else c.p.paper
    c.disc(x, 430, 232, mix(night, moon, 0.16))
    c.disc(x, 430, 190, moon)
    for _ in range(9):
        px, py = around(x, 430, c.rng.uniform(20, 140), c.rng.uniform(0, 360))
        c.disc(px, py, c.rng.uniform(12, 38), mix(moon, c.p.b, 0.22))
    r = 84.0
    tones = [c.p.a, mix(c.p.a, c.p.ink, 0.45), c.p.b if c.p.b != moon else c.p.c]
    for row in range(9):
        y = 600 + row * r * 0.56
        for column in range(-1, 8):
            px = column * 2 * r + (r if row % 2 else 0)
            tone = tones[0] if row % 2 else tones[1]
            for n, share in enumerate((1.0, 0.9, 0.64, 0.54, 0.28)):
                c.disc(px, y + r * 0.3, r * share, (c.p.paper, tone, c.p.paper, tone, tones[2])[n])
    t.block(c, s.title, (60, 56, 940, 190), "serif", c.p.paper, "centre", "top", most=96, lines=2, leading=0.92)
    c.rect(0, 916, 1000, 1001, night)
    t.line(c, s.artist, 500, 972, "serif", 46, c.p.paper, "centre", 860, tracking=0.06)


@family("orchard brick terracotta moss seaglass wine", grain=0.4)
def quilt(c: Canvas, s: Subject) -> None:
    """Patchwork: pinwheels and geese, stitched, with a label sewn on."""
    cloths = [c.p.paper, c.p.a, c.p.b, c.p.c, c.p.ink, mix(c.p.a, c.p.paper, 0.5), mix(c.p.b, c.p.paper, 0.45)]
    side = 250.0
    for row in range(4):
        for column in range(4):
            x, y = column * side, row * side
            back, front, third = c.rng.sample(cloths, 3)
            c.rect(x, y, x + side, y + side, back)
            _patch(c, x, y, side, front, third)
            c.frame(x + 9, y + 9, x + side - 9, y + side - 9, 2.2, mix(back, c.p.on(back), 0.4))
    for n in range(1, 4):
        c.line([(n * side, 0), (n * side, 1000)], 4, c.p.ink)
        c.line([(0, n * side), (1000, n * side)], 4, c.p.ink)
    c.rect(150, 372, 850, 628, c.p.paper)
    for i in range(46):
        x = 170 + i * 14.4
        for y in (388, 612):
            c.line([(x, y), (x + 7, y)], 3.4, c.p.a)
    t.block(c, s.title, (190, 410, 810, 528), "swash", c.p.ink, "centre", "middle", most=84, lines=2)
    t.line(c, s.artist, 500, 584, "serif", 42, c.p.ink, "centre", 600)


def _patch(c: Canvas, x: float, y: float, side: float, front: Colour, third: Colour) -> None:
    h = side / 2
    kind = c.rng.randrange(4)
    if kind == 0:
        for dx, dy, tone in ((0, 0, front), (h, 0, third), (h, h, front), (0, h, third)):
            flip = (dx == 0) == (dy == 0)
            corners = (
                [(x + dx, y + dy), (x + dx + h, y + dy), (x + dx + h, y + dy + h)]
                if flip
                else [(x + dx + h, y + dy), (x + dx, y + dy + h), (x + dx, y + dy)]
            )
            c.poly(corners, tone)
    elif kind == 1:
        for n in range(4):
            c.poly(
                [(x, y + (n + 1) * side / 4), (x + h, y + n * side / 4), (x + side, y + (n + 1) * side / 4)],
                front if n % 2 else third,
            )
    elif kind == 2:
        c.poly([(x + h, y), (x + side, y + h), (x + h, y + side), (x, y + h)], front)
        c.poly([(x + h, y + h / 2), (x + 1.5 * h, y + h), (x + h, y + 1.5 * h), (x + h / 2, y + h)], third)
    else:
        for n, tone in enumerate((front, third, front)):
            inset = (n + 1) * side / 8
            c.rect(x + inset, y + inset, x + side - inset, y + side - inset, tone)


@family("bone soot moss sahara polar malt", grain=0.42)
def plain_card(c: Canvas, s: Subject) -> None:
    """A small photograph pasted on bare card."""
    card = mix(c.p.paper, c.p.b, c.rng.choice((0.08, 0.3)))
    c.ground(card)
    photo = c.noise(lambda rng, size: clouds(rng, size, 2, 6))
    picture = Sheet(photo.point(lambda v: 90 + v * 0.5), c.size_px)
    x0, y0, x1, y1 = 270.0, 300.0, 730.0, 690.0
    for n, tone in enumerate((150, 110, 70, 38)):
        hills = ridge(c.rng, 500 + n * 48, 90, roughness=0.46)
        picture.poly(down(hills), tone)
    sun_x = c.rng.uniform(390, 620)
    if c.rng.random() < 0.5:
        tree = c.rng.uniform(380, 620)
        picture.line([(tree, 640), (tree + 6, 470)], 9, 14)
        for _ in range(16):
            picture.disc(tree + c.rng.uniform(-52, 58), 452 + c.rng.uniform(-46, 34), c.rng.uniform(14, 30), 16)
    else:
        picture.disc(sun_x, 400, 34, 250)
        picture.rect(420, 560, 500, 622, 12)
        picture.poly([(408, 562), (460, 512), (512, 562)], 24)
        picture.rect(446, 580, 464, 604, 235)
    picture.soften(1.6)
    tinted = toned(picture.image, ((0, c.p.ink), (0.6, mix(c.p.b, c.p.ink, 0.3)), (1, c.p.paper)))
    window = c.mask()
    window.rect(x0, y0, x1, y1, 255)
    c.rect(x0 - 16, y0 - 16, x1 + 16, y1 + 16, mix(c.p.paper, (255, 255, 255), 0.5))
    c.lay(window, tinted)
    t.line(c, s.title, 254, 252, "serif", 66, c.p.ink, room=700 if len(s.title) > 22 else 490)
    t.line(c, s.artist, 254, 772, "serif", 46, c.p.ink, room=690)
    imprint(c, s, 946, 948, mix(c.p.ink, card, 0.25), card, "right", 24)


@family("polar forest seaglass moss boreal soot")
def birches(c: Canvas, s: Subject) -> None:
    """White trunks, near and far."""
    fog = mix(c.p.b, c.p.paper, 0.35)
    c.ground(fog)
    deep = c.p.c if c.rng.random() < 0.5 else c.p.a
    for depth, (count, wide, veil) in enumerate(((15, 16, 0.74), (10, 30, 0.4), (6, 60, 0.0))):
        floor = 690 + depth * 110
        c.poly(down(ridge(c.rng, floor, 44, 6)), mix(mix(deep, c.p.ink, 0.35 * depth), fog, veil * 0.8))
        bark, scar = mix(c.p.paper, fog, veil), mix(c.p.ink, fog, veil * 0.9)
        step = 1000 / count
        for i in range(count):
            x = (i + 0.5) * step + c.rng.uniform(-0.36, 0.36) * step
            if depth == 2 and 300 < x < 400:
                continue
            w = wide * c.rng.uniform(0.75, 1.15)
            lean = c.rng.uniform(-12, 12)
            foot = floor + 30 + c.rng.uniform(0, 40)
            c.poly([(x - w / 2 + lean, -5), (x + w / 2 + lean, -5), (x + w * 0.6, foot), (x - w * 0.6, foot)], bark)
            c.poly(
                [(x + w * 0.22 + lean, -5), (x + w / 2 + lean, -5), (x + w * 0.6, foot), (x + w * 0.26, foot)],
                mix(bark, scar, 0.16),
            )
            y = c.rng.uniform(10, 60)
            while y < foot - 12:
                at = x + lean * (1 - y / foot)
                reach = w * c.rng.uniform(0.2, 0.7)
                left = at - w / 2 if c.rng.random() < 0.5 else at + w / 2 - reach
                c.poly([(left, y), (left + reach, y + w * 0.05), (left, y + w * c.rng.uniform(0.1, 0.24))], scar)
                y += c.rng.uniform(0.7, 2.2) * w
    c.rect(0, 872, 1000, 1001, c.p.ink)
    t.line(c, s.title, 48, 930, "serif", 60, c.p.paper, room=904)
    t.line(c, s.artist, 48, 976, "grotesk", 33, mix(c.p.paper, fog, 0.4), room=700)


@family("dusk sky lagoon navy seaglass terracotta polar")
def sea_horizon(c: Canvas, s: Subject) -> None:
    """The sea, a light on it, and one sail."""
    horizon = c.rng.choice((560, 610, 660))
    high, low = mix(c.p.a, c.p.ink, 0.3), mix(c.p.c, c.p.paper, 0.45)
    for n in range(90):
        share = n / 89
        c.rect(0, horizon * share - 8, 1000, horizon * (n + 1) / 89, mix(high, low, share**1.5))
    drift = c.noise(lambda rng, size: clouds(rng, size, 3, 5)).point(lambda v: max(0, v - 120))
    sky = c.mask()
    sky.image.paste(drift)
    sky.rect(0, horizon, 1001, 1001, 0)
    c.lay(sky, c.p.paper, 0.6)
    x, up = c.rng.choice((300, 640, 720)), c.rng.choice((150, 95))
    c.disc(x, horizon - up, 66, mix(c.p.paper, c.p.c, 0.1))
    sea = mix(c.p.a, c.p.ink, 0.62)
    c.rect(0, horizon, 1001, 1001, sea)
    for n in range(210):
        y = horizon + 4 + (1000 - horizon) * (n / 210) ** 1.7
        reach = 14 + (y - horizon) * 0.32
        at = c.rng.gauss(x, 34 + (y - horizon) * 0.32) if n % 3 else c.rng.uniform(0, 1000)
        share = 0.75 if n % 3 else 0.22
        c.rect(at - reach, y, at + reach, y + 1.5 + (y - horizon) * 0.012, mix(sea, low, share * c.rng.uniform(0.5, 1)))
    sail = 800 if x < 500 else 240
    c.poly([(sail, horizon - 62), (sail, horizon - 6), (sail + 34, horizon - 6)], c.p.paper)
    c.poly([(sail - 5, horizon - 50), (sail - 5, horizon - 6), (sail - 24, horizon - 6)], mix(c.p.paper, low, 0.4))
    c.poly([(sail - 30, horizon - 3), (sail + 38, horizon - 3), (sail + 26, horizon + 8), (sail - 20, horizon + 8)], c.p.ink)
    bottom = t.block(c, s.title, (60, 66, 940, 210), "didone", c.p.paper, most=92, lines=2)[1]
    t.line(c, s.artist, 62, bottom + 58, "grotesk", 42, c.p.paper, room=800)


@family("sahara dusk moss brick polar forest cyanotype")
def ridges(c: Canvas, s: Subject) -> None:
    """Hill behind hill, each paler than the one before."""
    sky, haze = mix(c.p.paper, c.p.b, 0.25), mix(c.p.b, c.p.paper, 0.3)
    c.ground(sky)
    x = c.rng.choice((250, 720))
    c.disc(x, 335, 92, mix(c.p.c, c.p.paper, 0.1))
    count = 7
    for n in range(count):
        share = n / (count - 1)
        tone = (
            mix(haze, mix(c.p.a, c.p.ink, 0.25), share * 1.6)
            if share < 0.6
            else mix(mix(c.p.a, c.p.ink, 0.2), c.p.ink, (share - 0.6) * 2.2)
        )
        c.poly(down(ridge(c.rng, 400 + n * 84, 210 - n * 16, 8, 0.52)), tone)
    for i in range(9):
        at = 40 + i * 112 + c.rng.uniform(-30, 30)
        tall = c.rng.uniform(34, 74)
        for k in range(4):
            c.poly(
                [
                    (at, 930 - tall + k * tall * 0.2),
                    (at - 8 - k * 5, 930 - tall + (k + 1.6) * tall * 0.24),
                    (at + 8 + k * 5, 930 - tall + (k + 1.6) * tall * 0.24),
                ],
                c.p.ink,
            )
    c.rect(0, 922, 1001, 1001, c.p.ink)
    bottom = t.block(
        c, s.title, (60, 66, 940, 190), "deco", c.p.ink, "right" if x < 500 else "left", most=84, lines=2, leading=0.96
    )[1]
    t.line(c, s.artist, 940 if x < 500 else 60, bottom + 50, "deco", 42, c.p.ink, "right" if x < 500 else "left", 860)
