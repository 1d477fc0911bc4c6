"""Folk: leaves, letters, needlework, and images from a drawer."""

from PIL import ImageChops

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas, Point, Sheet
from image_cache.demo.sleeves.house import Subject, imprint
from image_cache.demo.sleeves.palettes import Colour, mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around, down, petal, ridge, smooth
from image_cache.demo.sleeves.textures import clouds, toned


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
    dress = 2 * (len(s.artist) + len(s.title)) % 3
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
