"""View model of the dashboard: the three caches, charts, jobs, hosts, errors and the card. Reads only."""

import time
from typing import TYPE_CHECKING

from image_cache.engine.stats.history import DAY_S, LONG_S
from image_cache.engine.stats.hosts import HostFigures
from image_cache.files.listing import entries
from image_cache.frozen import frozen
from image_cache.maintenance.cache_figures import cache_figures
from image_cache.maintenance.counters_since import counters_since, counters_today
from image_cache.maintenance.health.check import verdict
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.models import TaskState
from image_cache.services import Services
from image_cache.units import counted
from image_cache.web.admin.history_charts import SPANS, Span, history_charts, points_of
from image_cache.web.admin.one_view import store_rows
from image_cache.web.admin.storage_wear import clock, curve_chart, curve_note, wear_chart, wear_facts, years
from image_cache.web.files.view_models import file_row
from image_cache.web.template_helpers import rough

if TYPE_CHECKING:
    from image_cache.maintenance.top_entries import TopEntry

MIN_GROWTH_DAYS = 3  # of history, before a growth is shown
TASK_LAMPS = {"waiting": "waiting", "running": "working", "done": "well", "failed": "failed", "cancelled": "waiting"}
LAMPS = {"healthy": "well", "degraded": "warning", "unhealthy": "failed"}
SHOWN_HOSTS, SHOWN_ERRORS, SHOWN_TASKS = 12, 8, 5
SHOWN_OWNERS = 5


@frozen
class JobRow:
    """A row of the jobs. `share` None: its progress is not known."""

    name: str
    detail: str
    lamp: str
    state: str
    share: float | None = None


@frozen
class HostRow:
    """A row of the hosts."""

    name: str
    fetched: str
    median: str
    failed: str
    lamp: str
    state: str


@frozen
class ErrorRow:
    """A row of the errors."""

    when: str
    what: str
    reason: str
    again: str


def dashboard_values(services: Services, span: Span) -> dict[str, object]:
    """Return everything that the page shows. Raises `DatabaseError` when the index cannot be read."""
    vault = services.vault
    now, budget_bytes = vault.clock(), vault.cache.budget_bytes
    points, wear, curve = points_of(vault, span), vault.wear(), vault.miss_ratio_curve()
    limits = services.limits(is_fresh=True)
    is_paused = limits.paused_at is not None
    caches = cache_figures(vault)
    since = counters_since(vault.catalog, caches)
    rates = services.rates.add(caches)
    return {
        "span": span,
        "spans": SPANS.values(),
        "head": _head(services),
        "stores": store_rows(
            since.caches,
            counters_today(vault.catalog, caches, now),
            rates,
            now,
            growth=_growth(vault, budget_bytes - vault.totals().bytes),
            is_paused=is_paused,
        ),
        "since": since.since,
        "charts": [*history_charts(span, points, budget_bytes, now), wear_chart(span, wear)],
        "curve": curve_chart(curve, budget_bytes),
        "curve_note": curve_note(curve),
        "card": wear_facts(vault.cache.disk, wear),
        "jobs": _jobs(services, now, is_paused=is_paused),
        "hosts": [_host(host, now) for host in vault.hosts(SHOWN_HOSTS)],
        "errors": _errors(vault, now),
        "limits": limits,
        "missing": vault.covers().missing,
        "given_up": vault.covers().given_up,
        "lookups": vault.lookups_due() if services.settings.FIND_COVERS else 0,
        "owners": vault.owners()[:SHOWN_OWNERS],
        "tops": _tops(vault),
        "drawn_at": clock(now),
    }


def _head(services: Services) -> tuple[str, str]:
    """Return the lamp beside the title, and its words."""
    checks = services.checks()
    bad = [check.name.lower() for check in checks if check.state in ("warning", "failed")]
    words = f"{counted(len(bad), 'thing')} to look at: {', '.join(bad[:3])}" if bad else "All OK"
    lamp = LAMPS[verdict(checks)]
    up_s = time.monotonic() - services.began_at
    up = f"{int(up_s // DAY_S)} days" if up_s >= 2 * DAY_S else rough(up_s)
    return lamp, f"{words}, up {up}"


def _jobs(services: Services, now: float, *, is_paused: bool) -> list[JobRow]:
    """Return what is running, and what ended in the last day."""
    found = [*_progress(services, is_paused=is_paused), *_batches(services.vault, now, is_paused=is_paused)]
    found += [_task(task) for task in services.tasks.recent(SHOWN_TASKS) if not task.is_over or now - task.updated_at < DAY_S]
    if (services.files.cache.root / "files.db").exists():
        rows = map(file_row, entries(services.files.cache))
        found += [JobRow(r.entry.name, r.entry.host, r.lamp, r.says, r.share) for r in rows if r.entry.fetch is not None]
    return found


def _progress(services: Services, *, is_paused: bool) -> list[JobRow]:
    progress = services.covers.progress()
    if progress is None or not progress.total:
        return []
    if is_paused:
        state = "Paused"
    elif progress.waits_until is not None:
        state = f"Waiting for {'its source' if progress.waiting == 1 else 'their sources'} until {clock(progress.waits_until)}"
    elif progress.eta_s is not None:
        state = f"about {rough(progress.eta_s)} left"
    else:
        state = f"{progress.working} downloading"
    detail = f"{progress.done:,} of {progress.total:,}" + (f", {progress.failed:,} unavailable" if progress.failed else "")
    lamp = "waiting" if is_paused or progress.waits_until is not None else "working"
    return [JobRow("Collection covers", detail, lamp, state, progress.done / progress.total)]


def _tops(vault: ReadonlyVault) -> "list[tuple[str, list[TopEntry], str]]":
    """Return the two lists of entries with their headings, and what is said where a list is empty."""
    from image_cache.maintenance.top_entries import biggest, most_requested  # with the first look at the page

    big, most = biggest(vault), most_requested(vault)
    return [
        ("Biggest", [one for entries in big.values() for one in entries], "Nothing is cached yet."),
        ("Most requested", [one for entries in most.values() for one in entries], "No requests since the start."),
    ]


def _batches(vault: ReadonlyVault, now: float, *, is_paused: bool) -> list[JobRow]:
    rows = []
    for batch in vault.jobs.batches(SHOWN_TASKS):
        ended, detail = batch.done + batch.failed, f"{batch.total:,} requested at {clock(batch.started_at)}"
        if batch.failed:
            detail += f", {batch.failed:,} failed"
        if ended < batch.total:
            lamp = "waiting" if is_paused else "working"
            rows.append(JobRow("Preload", detail, lamp, f"{ended:,} of {batch.total:,}", ended / batch.total))
        elif batch.total and now - batch.started_at < DAY_S:
            rows.append(JobRow("Preload", detail, "well" if not batch.failed else "warning", "Done"))
    return rows


def _task(task: TaskState) -> JobRow:
    share = task.done / task.total if task.total and not task.is_over else None
    detail = f"{task.done:,} of {task.total:,}" if task.total else f"{task.done:,} so far" if task.done else ""
    state = task.message or task.state.capitalize()
    return JobRow(task.kind.replace("_", " ").replace("-", " ").capitalize(), detail, TASK_LAMPS[task.state], state, share)


def _errors(vault: ReadonlyVault, now: float) -> list[ErrorRow]:
    """Return the last failures, newest first."""
    return [
        ErrorRow(
            when=_ago(now - failure.at),
            what=failure.what.partition("?")[0].rpartition("//")[2],
            reason=failure.reason,
            again=_again(failure.retry_at - now) if failure.retry_at else "no more retries",
        )
        for failure in vault.failures(SHOWN_ERRORS)
    ]


def _growth(vault: ReadonlyVault, left_bytes: int) -> str:
    """Return when the budget is used up at the rate of the last week; empty while too little is known."""
    now, week = vault.clock(), vault.samples(span_s=LONG_S, back_s=7 * DAY_S)
    if not week or now - week[0].at < MIN_GROWTH_DAYS * DAY_S:
        return ""
    per_day = (week[-1].size_bytes - week[0].size_bytes) / ((now - week[0].at) / DAY_S)
    if left_bytes <= 0:
        return "full; evicting the least recently used"
    days = left_bytes / per_day if per_day > 0 else float("inf")
    return f"full in {years(days / 365.25)} at the current rate" if days < 3653 else ""


def _host(host: HostFigures, now: float) -> HostRow:
    lamp, state = "well", "Answers"
    if host.paused_until > now:
        lamp, state = "warning", f"Paused until {clock(host.paused_until)}: {host.reason}"
    elif host.failures_in_row > 1:
        lamp, state = "waiting", f"Failed {host.failures_in_row} times in a row: {host.reason}"
    elif host.failures_in_row:
        lamp, state = "waiting", f"Failed last time: {host.reason}"
    name = host.lane.partition("//")[2] or host.lane
    return HostRow(name, f"{host.fetches:,}", _ms(host.median_ms), f"{host.failures:,}", lamp, state)


def _ms(median_ms: float | None) -> str:
    if median_ms is None:
        return ""
    return f"{median_ms:.0f} ms" if median_ms < 1000 else f"{median_ms / 1000:.1f} s"


def _again(seconds: float) -> str:
    return f"retry in {rough(seconds)}" if seconds > 0 else "retry pending"


def _ago(seconds: float) -> str:
    return f"{int(seconds // DAY_S)} days ago" if seconds >= 2 * DAY_S else f"{rough(max(1.0, seconds))} ago"
