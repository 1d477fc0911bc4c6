"""Outlines that more than one family needs. Points in units, ready for `poly` and `line`."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

from image_cache.demo.sleeves.canvas import Point


def around(x: float, y: float, radius: float, degrees: float) -> Point:
    """Return the point at `radius` from (x, y); 0 degrees is to the right, clockwise."""
    angle = math.radians(degrees)
    return x + radius * math.cos(angle), y + radius * math.sin(angle)


def petal(x: float, y: float, degrees: float, length: float, breadth: float, steps: int = 24) -> list[Point]:
    """Return a pointed leaf that starts at (x, y) and points to `degrees`."""
    ux, uy = around(0, 0, 1, degrees)
    rim = []
    for i in range(2 * steps + 1):
        t = i / steps if i <= steps else 2 - i / steps
        side = breadth / 2 * math.sin(math.pi * t**0.85) * (1 if i <= steps else -1)
        rim.append((x + ux * t * length - uy * side, y + uy * t * length + ux * side))
    return rim


def star(x: float, y: float, points: int, outer: float, inner: float, turn: float = -90) -> list[Point]:
    return [around(x, y, inner if i % 2 else outer, turn + i * 180 / points) for i in range(2 * points)]


def blob(
    rng: random.Random, x: float, y: float, radius: float, wobble: float = 0.25, lobes: int = 5, steps: int = 90
) -> list[Point]:
    """Return a soft closed shape that wanders `wobble` of its radius in and out."""
    waves = [(k, rng.uniform(0, math.tau), rng.uniform(0.3, 1) / k) for k in range(2, lobes + 1)]
    scale = sum(size for _, _, size in waves)
    rim = []
    for i in range(steps):
        angle = math.tau * i / steps
        out = 1 + wobble * sum(size * math.sin(k * angle + phase) for k, phase, size in waves) / scale
        rim.append((x + radius * out * math.cos(angle), y + radius * out * math.sin(angle)))
    return rim


def smooth(points: Sequence[Point], closed: bool = True, steps: int = 10) -> list[Point]:
    """Return a curve through the points (Catmull-Rom)."""
    count = len(points)
    curve: list[Point] = []
    for i in range(count if closed else count - 1):
        p = [points[(i + j) % count] if closed else points[min(max(i + j, 0), count - 1)] for j in (-1, 0, 1, 2)]
        for s in range(steps):
            t = s / steps
            curve.append((_spline([q[0] for q in p], t), _spline([q[1] for q in p], t)))
    return curve if closed else [*curve, points[-1]]


def _spline(p: Sequence[float], t: float) -> float:
    a, b, c, d = p
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)


def ridge(rng: random.Random, base: float, height: float, detail: int = 7, roughness: float = 0.5) -> list[Point]:
    """Return a skyline from the left edge to the right (midpoint displacement), swinging `height` around `base`."""
    line = [rng.uniform(-1, 1) for _ in range(3)]
    swing = 1.0
    for _ in range(detail):
        swing *= roughness
        between = [(a, (a + b) / 2 + rng.uniform(-swing, swing)) for a, b in pairwise(line)]
        line = [*(v for pair in between for v in pair), line[-1]]
    return [(1000 * i / (len(line) - 1), base + v * height / 2) for i, v in enumerate(line)]


def down(line: Sequence[Point], floor: float = 1001) -> list[Point]:
    """Close a skyline along the floor."""
    return [*line, (line[-1][0], floor), (line[0][0], floor)]
