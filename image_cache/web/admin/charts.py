"""Charts as inline SVG: lines, bars, steps, fields of dots. Pure functions of numbers; the stylesheet has the colours."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from image_cache.frozen import frozen

WIDTH, HEIGHT = 540.0, 150.0  # of the plot; the scale is to its right
BOX = "0 -26 600 204"
LINES = 3  # hairlines above the base
NICE = (
    1.2,
    1.5,
    1.8,
    2.1,
    2.4,
    3.0,
    4.5,
    6.0,
    7.5,
    9.0,
    12.0,
)  # tops of a scale whose third parts are short numbers, by powers of ten
DOTS, DOTS_A_ROW = 60, 30
TICK_ROOM = 0.1  # of the width, that a time below the chart takes
BAR_SHARE = 0.46  # of its room

Number = float | None
Write = Callable[[float], str]
Tick = tuple[float, str]  # where it stands, 0 left to 1 right, and what it says


@frozen
class LineChart:
    """One line of a chart: its values from left to right (None: unknown), its label, and its style.

    `kind` is `usual` (ink, with a fill), `plain` (ink alone) or `watch` (strobe).
    """

    values: Sequence[Number]
    label: str = ""
    kind: str = "usual"
    is_at_peak: bool = False  # the label is at the peak, else at the end


def top_of(highest: float, least_top: float = 1.0) -> float:
    """Return the end of a scale that has room for `highest` and whose thirds are short numbers."""
    highest = max(highest, least_top)
    power = 10.0 ** math.floor(math.log10(highest))
    return next(nice * power for nice in NICE if nice * power >= highest * (1 - 1e-9))


def lines_chart(
    lines: Sequence[LineChart],
    ticks: Sequence[Tick],
    sentence: str,
    *,
    top: float,
    write: Write = lambda value: f"{value:g}",
    mark: tuple[float, str] | None = None,
) -> Markup:
    """Draw lines over time, up to now. `mark` is a dashed line with a label."""
    parts = [_scale(top, write), _ticks(ticks)]
    for line in lines:
        parts.append(_line(line, top))
    if mark is not None and mark[0] <= top:
        parts.append(_mark(_y(mark[0], top), mark[1]))
    parts.append(_labels(lines, top))
    return _svg(sentence, parts)


def bars_chart(
    bars: Sequence[tuple[str, float]],
    sentence: str,
    *,
    top: float,
    write: Write,
    limit: tuple[float, str] | None = None,
) -> Markup:
    """Draw a bar for each (name, value), marked when above the limit. Names and values are written where they fit."""
    room = WIDTH / max(1, len(bars))
    width = min(36.0, room * BAR_SHARE) if len(bars) <= 12 else room * 0.7
    step = max(1, math.ceil(len(bars) / 8))
    has_values = len(bars) <= 8  # otherwise there is a scale
    parts = [_rules() if has_values else _scale(top, write)]
    for number, (name, value) in enumerate(bars):
        middle, y = room * (number + 0.5), _y(value, top)
        kind = "bar over" if limit is not None and value > limit[0] else "bar"
        parts.append(
            Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                kind, middle - width / 2, min(y, HEIGHT - 1), width, max(HEIGHT - y, 1)
            )
        )
        if (len(bars) - 1 - number) % step == 0:
            is_last = number == len(bars) - 1
            parts.append(_text(middle, HEIGHT + 20, name, "middle", "label" if is_last else ""))
        if has_values:
            parts.append(_text(middle, y - 7, write(value), "middle", "label"))
    if limit is not None and limit[0] <= top:
        parts.append(_mark(_y(limit[0], top), limit[1]))
    return _svg(sentence, parts)


def steps_chart(points: Sequence[tuple[str, float]], sentence: str, *, chosen: int | None = None) -> Markup:
    """Draw a few shares from 0 to 1 side by side, with their values; `chosen` is the one in use."""
    room = WIDTH / max(1, len(points))
    places = [(room * (number + 0.5), _y(share, 1.0)) for number, (_, share) in enumerate(points)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    area = f"{path}L{places[-1][0]:.1f} {HEIGHT:g}L{places[0][0]:.1f} {HEIGHT:g}Z"
    parts = [
        _scale(1.0, lambda share: f"{share:.0%}".replace("%", " %")),
        Markup('<path class="fill" d="{}"/><path class="usual" d="{}"/>').format(area, path),
    ]
    for number, ((name, share), (x, y)) in enumerate(zip(points, places, strict=True)):
        is_chosen = number == chosen
        parts.append(
            Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
                "chosen" if is_chosen else "point", x, y, 5 if is_chosen else 3
            )
        )
        parts.append(_text(x, y - 11, f"{share * 100:.0f}%", "middle", "label"))
        parts.append(_text(x, HEIGHT + 20, name, "middle", "label" if is_chosen else ""))
    return _svg(sentence, parts)


def dot_gauge(share: float, kind: str = "on") -> Markup:
    """Draw a field of sixty dots of which a share is set. Hidden from screen readers: the figure beside it says the same."""
    count = min(DOTS, max(0, math.ceil(share * DOTS - 1e-9)))
    path = {True: "", False: ""}
    for number in range(DOTS):
        x, y = number % DOTS_A_ROW * 8 + 4, number // DOTS_A_ROW * 8 + 4
        path[number < count] += f"M{x} {y}h0"
    return Markup(
        '<svg class="field" viewBox="0 0 240 16" aria-hidden="true" focusable="false"><path class="off" d="{}"/><path class="{}" d="{}"/></svg>'
    ).format(path[False], kind, path[True])


def _svg(sentence: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart-of" viewBox="{}" role="img" aria-label="{}">{}</svg>').format(
        BOX, sentence, Markup("").join(parts)
    )


def _y(value: float, top: float) -> float:
    return HEIGHT - HEIGHT * min(1.0, max(0.0, value / top))


def _rules() -> Markup:
    d = "".join(f"M0 {HEIGHT * number / LINES:g}H{WIDTH:g}" for number in range(LINES + 1))
    return Markup('<path class="rule" d="{}"/>').format(d)


def _scale(top: float, write: Write) -> Markup:
    numbers = (_text(WIDTH + 10, HEIGHT - HEIGHT * n / LINES + 4, write(top * n / LINES), "start") for n in range(LINES + 1))
    return _rules() + Markup("").join(numbers)


def _ticks(ticks: Sequence[Tick]) -> Markup:
    found = _text(WIDTH, HEIGHT + 20, "now", "end", "label")
    for place, words in ticks:
        found += _text(WIDTH * place, HEIGHT + 20, words, "start" if place < TICK_ROOM / 2 else "middle")
    return found


def _mark(y: float, name: str) -> Markup:
    return Markup('<path class="mark" d="M0 {0:.1f}H{1:g}"/>').format(y, WIDTH) + _text(0, y - 6, name, "start")


def _line(line: LineChart, top: float) -> Markup:
    step = WIDTH / max(1, len(line.values) - 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for number, value in enumerate(line.values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((number * step, _y(value, top)))
    runs = [run for run in runs if run]
    path, area = "", ""
    for run in runs:
        if len(run) == 1:  # a single point would be invisible: it is drawn as a short dash
            x, y = run[0]
            run[:] = [(max(0.0, x - 2), y), (min(WIDTH, x + 2), y)]
        points = "L".join(f"{x:.1f} {y:.1f}" for x, y in run)
        path += f"M{points}"
        area += f"M{points}L{run[-1][0]:.1f} {HEIGHT:g}L{run[0][0]:.1f} {HEIGHT:g}Z"
    fill = Markup('<path class="fill" d="{}"/>').format(area) if line.kind == "usual" else Markup("")
    return fill + Markup('<path class="{}" d="{}"/>').format("watch" if line.kind == "watch" else "usual", path)


def _labels(lines: Sequence[LineChart], top: float) -> Markup:
    """Label each line at its peak or at its end; labels at the end do not overlap."""
    found: list[tuple[float, str]] = []
    placed = Markup("")
    for line in lines:
        peak = max((value for value in line.values if value), default=None)
        if line.is_at_peak and line.label:
            if peak is not None:
                at = WIDTH * line.values.index(peak) / max(1, len(line.values) - 1)
                placed += _text(min(max(at, 24.0), WIDTH - 24), max(_y(peak, top) - 8, -8), line.label, "middle", "label")
            continue
        values = [value for value in line.values[-max(1, len(line.values) // 5) :] if value is not None]
        if line.label and values:
            found.append((_y(max(values), top) - 8, line.label))
    above = math.inf
    for y, label in sorted(found, reverse=True):
        above = min(y, above - 24)
        placed += _text(WIDTH - 4, max(above, -8), label, "end", "label")
    return placed


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> Markup:
    named = Markup(' class="{}"').format(kind) if kind else Markup("")
    return Markup('<text{} x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(named, x, y, anchor, words)
