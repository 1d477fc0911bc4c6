"""Sea, hills, woods and the moon over water."""

from image_cache.demo.sleeves import typesetting as t
from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject
from image_cache.demo.sleeves.palettes import mix
from image_cache.demo.sleeves.registry import family
from image_cache.demo.sleeves.shapes import around, down, ridge
from image_cache.demo.sleeves.textures import clouds


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
    c.rect(0, 846, 1000, 1001, c.p.ink)
    t.line(c, s.title, 48, 918, "serif", 74, c.p.paper, room=904)
    t.line(c, s.artist, 48, 970, "grotesk", 40, mix(c.p.paper, fog, 0.4), room=700)


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
