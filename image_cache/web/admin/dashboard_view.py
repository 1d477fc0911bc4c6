"""What the dashboard shows, worked out before the template: four figures, hosts, jobs, errors, the card. Reads only."""

import time
from dataclasses import dataclass

from markupsafe import Markup

from image_cache.covers import NAMESPACE
from image_cache.engine.stats.history import DAY_S, LONG_S, HostFigures, hosts, recent_failures, samples, sd_wear
from image_cache.engine.stats.miss_ratio import reuse_curve
from image_cache.maintenance.health import verdict
from image_cache.models import TaskState
from image_cache.web.admin import charts
from image_cache.web.admin import history_charts as figures
from image_cache.web.admin import storage_wear as card_view
from image_cache.web.admin.health import all_checks
from image_cache.web.admin.storage_wear import clock, years
from image_cache.web.context import services
from image_cache.web.files.view_models import file_row
from image_cache.web.template_helpers import rough

GROWTH_DAYS = 3  # that must be known before a growth is told
TASK_LAMPS = {"waiting": "waiting", "running": "working", "done": "well", "failed": "failed", "cancelled": "waiting"}
LAMPS = {
    "healthy": ("well", "All well"),
    "degraded": ("warning", "Something to look at"),
    "unhealthy": ("failed", "Something needs a hand"),
}
SHOWN_HOSTS, SHOWN_ERRORS, SHOWN_TASKS = 12, 8, 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the four large ones: a number with its unit, a field of dots, and a line below."""

    title: str
    number: str
    unit: str
    dots: Markup
    says: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """A line of the jobs. `share` None: there is nothing to measure."""

    name: str
    detail: str
    lamp: str
    says: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """A line of the hosts."""

    name: str
    fetched: str
    median: str
    failed: str
    lamp: str
    says: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A line of the errors."""

    when: str
    what: str
    reason: str
    again: str


def dashboard(span: figures.Span, now: float) -> dict[str, object]:
    """Return everything that the page shows. Raises `DatabaseError` when the index cannot be read."""
    covers, settings = services().covers, services().settings
    database = covers.cache.index.database
    budget_bytes = covers.cache.budget_bytes
    points = figures.points_of(span, now)
    wear = sd_wear(database, now, budget_bytes=settings.sd_budget_bytes, endurance_bytes=settings.sd_endurance_bytes)
    curve = reuse_curve(database, now, budget_bytes=budget_bytes)
    limits = services().limits(is_fresh=True)
    return {
        "span": span,
        "spans": figures.SPANS.values(),
        "head": head(),
        "figures": [_from_cache(now), _disk(now), _memory(), _waiting(limits.paused_at is not None)],
        "charts": [*figures.history_charts(span, points, budget_bytes, now), card_view.wear_chart(span, wear)],
        "curve": card_view.curve_chart(curve, budget_bytes),
        "curve_note": card_view.curve_note(curve),
        "card": card_view.facts(wear),
        "jobs": jobs(now, is_paused=limits.paused_at is not None),
        "hosts": [_host(found, now) for found in hosts(database, now, SHOWN_HOSTS)],
        "troubles": troubles(now),
        "limits": limits,
        "missing": missing(),
        "drawn_at": clock(now),
    }


def head() -> tuple[str, str]:
    """Return the lamp beside the title, and its words."""
    lamp, words = LAMPS[verdict(all_checks())]
    up_s = time.monotonic() - services().began_at
    up = f"{int(up_s // DAY_S)} days" if up_s >= 2 * DAY_S else rough(up_s)
    return lamp, f"{words}, up {up}"


def missing() -> int:
    """Return how many covers were never fetched and are not given up."""
    total, fetched, given_up = services().covers.registry.summary(NAMESPACE)
    return max(0, total - fetched - given_up)


def jobs(now: float, *, is_paused: bool) -> list[JobRow]:
    """Return what is going on, and what ended lately."""
    covers, found = services().covers, list[JobRow]()
    progress = covers.progress()
    if progress is not None and progress.total:
        words = (
            "Paused"
            if is_paused
            else f"about {rough(progress.eta_s)} left"
            if progress.eta_s is not None
            else f"{progress.working} at a time"
        )
        detail = f"{progress.done:,} of {progress.total:,}" + (f", {progress.failed:,} not to be had" if progress.failed else "")
        found.append(
            JobRow(
                "Covers of the collection", detail, "waiting" if is_paused else "working", words, progress.done / progress.total
            )
        )
    for batch in covers.jobs.batches(SHOWN_TASKS):
        ended, detail = batch.done + batch.failed, f"{batch.total:,} wanted at {clock(batch.started_at)}"
        if batch.failed:
            detail += f", {batch.failed:,} failed"
        if ended < batch.total:
            lamp = "waiting" if is_paused else "working"
            found.append(JobRow("Preload", detail, lamp, f"{ended:,} of {batch.total:,}", ended / batch.total))
        elif batch.total and now - batch.started_at < DAY_S:
            found.append(JobRow("Preload", detail, "well" if not batch.failed else "warning", "Done"))
    found += [
        _task(task) for task in services().tasks.rows.recent(SHOWN_TASKS) if not task.is_over or now - task.updated_at < DAY_S
    ]
    if services().files.exists():
        for row in map(file_row, services().files.entries()):
            if row.entry.fetch is not None:
                found.append(JobRow(row.entry.name, row.entry.host, row.lamp, row.says, row.share))
    return found


def troubles(now: float) -> list[Trouble]:
    """Return the last things that went wrong with covers, the newest first."""
    database = services().covers.cache.index.database
    return [
        Trouble(
            when=_ago(now - found.at),
            what=found.what.partition("?")[0].rpartition("//")[2],
            reason=found.reason,
            again=_again(found.retry_at - now) if found.retry_at else "not tried again",
        )
        for found in recent_failures(database, SHOWN_ERRORS)
    ]


def _from_cache(now: float) -> Figure:
    day = samples(services().covers.cache.index.database, now)
    hits, asked = sum(s.hits for s in day), sum(s.hits + s.misses for s in day)
    if not asked:
        return Figure("From the cache", "0", "asked", charts.dots(0), "nobody asked in 24 hours")
    share = hits / asked
    # Never 100 when it is not: 99.96 % is 99.9 with a miss in it.
    number = "100" if hits == asked else f"{min(99.9, share * 100):.1f}"
    return Figure(
        "From the cache",
        number,
        "%",
        charts.dots(hits // (asked / charts.DOTS) / charts.DOTS),
        f"{hits:,} of {asked:,} in 24 hours",
    )


def _disk(now: float) -> Figure:
    cache = services().covers.cache
    totals = cache.index.totals(NAMESPACE)
    unit, name = (1e9, "GB") if cache.budget_bytes >= 1e9 else (1e6, "MB")
    used = totals.bytes / unit
    says = _growth(now, cache.budget_bytes - totals.bytes) or f"{totals.entries:,} pictures"
    number = f"{used:.2f}" if used < 10 else f"{used:,.0f}"
    return Figure(
        "Card", number, f"of {cache.budget_bytes / unit:,.3g} {name}", charts.dots(totals.bytes / cache.budget_bytes), says
    )


def _growth(now: float, left_bytes: int) -> str:
    """Say when the budget is used up at the pace of the last week; empty when nothing honest can be said."""
    week = samples(services().covers.cache.index.database, now, span_s=LONG_S, back_s=7 * DAY_S)
    if not week or now - week[0].at < GROWTH_DAYS * DAY_S:
        return ""
    a_day = (week[-1].size_bytes - week[0].size_bytes) / ((now - week[0].at) / DAY_S)
    if left_bytes <= 0:
        return "full; the least recently used leave"
    days = left_bytes / a_day if a_day > 0 else float("inf")
    return f"full in {years(days / 365.25)} at this pace" if days < 3653 else ""


def _memory() -> Figure:
    held = services().covers.cache.memory.stats()
    number = f"{held.used_bytes / 1e6:.0f}"
    says = f"{held.entries:,} {'picture' if held.entries == 1 else 'pictures'} at hand"
    return Figure(
        "Memory", number, f"of {held.budget_bytes / 1e6:.0f} MB", charts.dots(held.used_bytes / held.budget_bytes), says
    )


def _waiting(is_paused: bool) -> Figure:
    queue = services().covers.jobs
    depth, running = queue.depth(), queue.running()
    each = max(1, -(-depth // charts.DOTS))
    says = (
        "fetching is paused"
        if is_paused
        else f"{running} on their way"
        if running
        else "nothing in line"
        if not depth
        else "none on its way"
    )
    if each > 1:
        says += f", {each:,} a dot"
    return Figure(
        "Waiting", f"{depth:,}", "cover" if depth == 1 else "covers", charts.dots(depth / each / charts.DOTS, "watch"), says
    )


def _host(found: HostFigures, now: float) -> Host:
    lamp, says = "well", "Answers"
    if found.paused_until > now:
        lamp, says = "warning", f"Paused until {clock(found.paused_until)}: {found.reason}"
    elif found.failures_in_row:
        lamp, says = (
            "waiting",
            f"Failed {found.failures_in_row} times in a row: {found.reason}"
            if found.failures_in_row > 1
            else f"Failed last time: {found.reason}",
        )
    median = (
        ""
        if found.median_ms is None
        else f"{found.median_ms:.0f} ms"
        if found.median_ms < 1000
        else f"{found.median_ms / 1000:.1f} s"
    )
    name = found.lane.partition("//")[2] or found.lane
    return Host(name, f"{found.fetches:,}", median, f"{found.failures:,}", lamp, says)


def _task(task: TaskState) -> JobRow:
    share = task.done / task.total if task.total and not task.is_over else None
    detail = f"{task.done:,} of {task.total:,}" if task.total else f"{task.done:,} so far" if task.done else ""
    says = task.says or task.state.capitalize()
    return JobRow(task.kind.replace("_", " ").replace("-", " ").capitalize(), detail, TASK_LAMPS[task.state], says, share)


def _again(seconds: float) -> str:
    return f"tried again in {rough(seconds)}" if seconds > 0 else "to be tried again"


def _ago(seconds: float) -> str:
    return f"{int(seconds // DAY_S)} days ago" if seconds >= 2 * DAY_S else f"{rough(max(1.0, seconds))} ago"
