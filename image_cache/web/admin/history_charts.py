"""Charts over time for the dashboard: samples of the history as points, and the sentence that says the same."""

import datetime
import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from image_cache.engine.stats.counters import Latencies
from image_cache.engine.stats.history import DAY_S, LONG_S, SHORT_S, Sample
from image_cache.frozen import frozen
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.units import size
from image_cache.web.admin import charts

MONTH_S = 30 * DAY_S


@frozen
class Span:
    """Time range of the charts: `key` is in the URL, a point covers `point_s` seconds."""

    key: str
    name: str
    back_s: int
    sample_s: int
    point_s: int


SPANS = {
    "day": Span("day", "24 hours", DAY_S, SHORT_S, 900),
    "month": Span("month", "30 days", MONTH_S, LONG_S, DAY_S),
}


@frozen
class Point:
    """The sum of the samples of one point. `minutes` is how much of it has passed; levels carry over from the point before."""

    at: float
    minutes: float
    hits: int
    misses: int
    fetches: int
    failures: int
    size_bytes: int
    queued: int
    median_ms: float | None
    p95_ms: float | None

    @property
    def share(self) -> float | None:
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


@frozen
class Chart:
    """One chart of the page: drawing, sentence and table. `svg` None: there is nothing to draw yet."""

    title: str
    aside: str
    svg: Markup | None
    sentence: str
    head: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    advice: str = ""  # shown below


def points_of(vault: ReadonlyVault, span: Span) -> list[Point | None]:
    """Return the points of a span from left to right, the last one being now; None before the history begins."""
    now, found = vault.clock(), vault.samples(span_s=span.sample_s, back_s=span.back_s)
    end = math.ceil((now + 1) / span.sample_s) * span.sample_s
    count = span.back_s // span.point_s
    begin = end - count * span.point_s
    groups: list[list[Sample]] = [[] for _ in range(count)]
    for sample in found:
        if sample.at >= begin:
            groups[int(sample.at - begin) // span.point_s].append(sample)
    points: list[Point | None] = []
    size_bytes, has_begun = 0, False
    for number, group in enumerate(groups):
        at = begin + number * span.point_s
        has_begun = has_begun or bool(group)
        if not has_begun:
            points.append(None)
            continue
        size_bytes = group[-1].size_bytes if group else size_bytes
        latency = Latencies()
        for sample in group:
            latency.merge(sample.latency)
        points.append(
            Point(
                at=at,
                minutes=max(1.0, min(span.point_s, now - at) / 60),
                hits=sum(sample.hits for sample in group),
                misses=sum(sample.misses for sample in group),
                fetches=sum(sample.fetches for sample in group),
                failures=sum(sample.failures for sample in group),
                size_bytes=size_bytes,
                queued=max((sample.queued for sample in group), default=0),
                median_ms=latency.quantile_ms(0.5),
                p95_ms=latency.quantile_ms(0.95),
            )
        )
    return points


def history_charts(span: Span, points: Sequence[Point | None], budget_bytes: int, now: float) -> list[Chart]:
    """Return the five charts over time. Before the first row of the history they say so."""
    ticks = _ticks(span, now)
    known = [point for point in points if point is not None]
    return [draw(span, points, known, ticks, budget_bytes) for draw in (_requests, _rate, _size, _queue, _latency)]


def _requests(span: Span, points: Sequence[Point | None], known: list[Point], ticks: Sequence[charts.Tick], _: int) -> Chart:
    hits = [None if point is None else point.hits / point.minutes for point in points]
    misses = [None if point is None else point.misses / point.minutes for point in points]
    most = max((point.hits / point.minutes for point in known), default=0.0)
    top = charts.top_of(max(most, *(value or 0 for value in misses)), 3)
    busiest = max(known, key=lambda point: point.hits, default=None)
    missed = sum(point.misses for point in known)
    sentence = f"No requests in the last {span.name}."
    if busiest is not None and (busiest.hits or missed):
        sentence = f"Requests per minute, last {span.name}: peak {_number(most)} at {_when(span, busiest.at)}; {missed:,} cache misses in total."
    rows = [
        (_when(span, p.at), f"{p.hits:,}", f"{p.misses:,}", _percent(p.share)) for p in _newest_first(known) if p.hits or p.misses
    ]
    lines = [charts.LineChart(hits, "hits", is_at_peak=True), charts.LineChart(misses, "misses", "watch", is_at_peak=True)]
    return _chart(
        "Requests per minute",
        span,
        known,
        lines,
        ticks,
        sentence=sentence,
        top=top,
        head=("Time", "Hits", "Misses", "Hit rate"),
        rows=rows,
    )


def _rate(span: Span, points: Sequence[Point | None], known: list[Point], ticks: Sequence[charts.Tick], _: int) -> Chart:
    hits, asked = sum(p.hits for p in known), sum(p.hits + p.misses for p in known)
    worst = min((p for p in known if p.share is not None), key=lambda p: p.share or 0.0, default=None)
    sentence = f"No requests in the last {span.name}."
    if worst is not None:
        sentence = f"Cache hit rate, last {span.name}: {_percent(hits / asked)} of {asked:,} requests; lowest {_percent(worst.share)} at {_when(span, worst.at)}."
    values = [None if p is None or p.share is None else p.share * 100 for p in points]
    rows = [(_when(span, p.at), _percent(p.share), f"{p.hits + p.misses:,}") for p in _newest_first(known) if p.share is not None]
    return _chart(
        "Cache hit rate",
        span,
        [p for p in known if p.share is not None],
        [charts.LineChart(values)],
        ticks,
        sentence=sentence,
        top=100.0,
        head=("Time", "Hit rate", "Requests"),
        rows=rows,
        write=lambda value: f"{value:.0f}%",
    )


def _size(
    span: Span, points: Sequence[Point | None], known: list[Point], ticks: Sequence[charts.Tick], budget_bytes: int
) -> Chart:
    most = max((p.size_bytes for p in known), default=0)
    unit, name = unit_of(most)
    is_near = most > budget_bytes * 0.4
    top = charts.top_of(max(most, budget_bytes if is_near else 0) / unit, 3)
    grown = known[-1].size_bytes - known[0].size_bytes if known else 0
    change = f"{'up' if grown > 0 else 'down'} {size(abs(grown))}" if grown else "unchanged"
    sentence = (
        f"Cache size: {size(known[-1].size_bytes) if known else '0 B'} of {size(budget_bytes)}, {change} in the last {span.name}."
    )
    values = [None if p is None else p.size_bytes / unit for p in points]
    rows = [(_when(span, p.at), size(p.size_bytes)) for p in _newest_first(known)]
    mark = (budget_bytes / unit, f"limit {size(budget_bytes)}")
    line = charts.LineChart(values)
    head = ("Time", "Size")
    return _chart(f"Cache size ({name})", span, known, [line], ticks, sentence=sentence, top=top, head=head, rows=rows, mark=mark)


def _queue(span: Span, points: Sequence[Point | None], known: list[Point], ticks: Sequence[charts.Tick], _: int) -> Chart:
    most = max(known, key=lambda p: p.queued, default=None)
    sentence = f"Queued covers, last {span.name}: "
    sentence += f"peak {most.queued:,} at {_when(span, most.at)}; now {known[-1].queued:,}." if most and most.queued else "none."
    values = [None if p is None else float(p.queued) for p in points]
    top = charts.top_of(most.queued if most else 0, 3)
    rows = [
        (_when(span, p.at), f"{p.queued:,}", f"{p.fetches:,}", f"{p.failures:,}")
        for p in _newest_first(known)
        if p.queued or p.fetches or p.failures
    ]
    return _chart(
        "Queued covers",
        span,
        known,
        [charts.LineChart(values)],
        ticks,
        sentence=sentence,
        top=top,
        head=("Time", "Queued", "Fetched", "Failed"),
        rows=rows,
    )


def _latency(span: Span, points: Sequence[Point | None], known: list[Point], ticks: Sequence[charts.Tick], _: int) -> Chart:
    timed = [p for p in known if p.median_ms is not None]
    slowest = max(timed, key=lambda p: p.p95_ms or 0.0, default=None)
    sentence = f"Nothing was fetched in the last {span.name}."
    last_median = last_p95 = ""
    if slowest is not None:
        usual = sorted(p.median_ms or 0.0 for p in timed)[len(timed) // 2]
        last_median, last_p95 = f"median {_ms(timed[-1].median_ms)}", f"p95 {_ms(timed[-1].p95_ms)}"
        sentence = (
            f"Fetch time, last {span.name}: median {_ms(usual)}; slowest at {_when(span, slowest.at)}, p95 {_ms(slowest.p95_ms)}."
        )
    most = slowest.p95_ms if slowest and slowest.p95_ms else 0.0
    unit, name = (1000.0, "s") if most >= 3000 else (1.0, "ms")
    lines = [
        charts.LineChart([None if p is None or p.p95_ms is None else p.p95_ms / unit for p in points], last_p95, "watch"),
        charts.LineChart(
            [None if p is None or p.median_ms is None else p.median_ms / unit for p in points], last_median, "plain"
        ),
    ]
    rows = [(_when(span, p.at), _ms(p.median_ms), _ms(p.p95_ms), f"{p.fetches:,}") for p in _newest_first(timed)]
    head = ("Time", "Median", "p95", "Fetched")
    top = charts.top_of(most / unit, 3)
    return _chart(f"Fetch time ({name})", span, timed, lines, ticks, sentence=sentence, top=top, head=head, rows=rows)


def _chart(
    title: str,
    span: Span,
    known: Sequence[Point],
    lines: Sequence[charts.LineChart],
    ticks: Sequence[charts.Tick],
    *,
    sentence: str,
    top: float,
    head: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    mark: tuple[float, str] | None = None,
    write: Callable[[float], str] | None = None,
) -> Chart:
    svg = charts.lines_chart(lines, ticks, sentence, top=top, write=write or short, mark=mark) if known else None
    return Chart(title, span.name, svg, sentence, head, rows if known else ())


def _ticks(span: Span, now: float) -> list[charts.Tick]:
    """Return every sixth hour of the day, or every seventh day, as far as they leave room for the last tick, which is now."""
    hour = _local(now).replace(minute=0, second=0, microsecond=0)
    step = datetime.timedelta(hours=6) if span.key == "day" else datetime.timedelta(days=7)
    at = hour.replace(hour=hour.hour // 6 * 6) if span.key == "day" else hour.replace(hour=0)
    ticks = []
    while (place := 1 - (now - at.timestamp()) / span.back_s) >= 0:
        if place < 1 - charts.TICK_ROOM * 1.2:
            ticks.append((place, f"{at:%H:%M}" if span.key == "day" else f"{at.day} {at:%b}"))
        at -= step
    return ticks


def _when(span: Span, at: float) -> str:
    """Write the beginning of a point: 14:15 within a day, else with its day."""
    when = _local(at)
    return f"{when:%H:%M}" if span.key == "day" else f"{when.day} {when:%B %H:%M}"


def _local(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at).astimezone()


def _newest_first(points: Sequence[Point]) -> list[Point]:
    return list(reversed(points))


def unit_of(most: float) -> tuple[float, str]:
    """Return the unit of bytes for a scale that ends about here."""
    return next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")) if most >= unit), (1e6, "MB"))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}%"


def _ms(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
