"""SD card on the dashboard: how much is written, how long it lasts, how large a cache is worth it. Reads only."""

import datetime
import time

from image_cache.engine.disk import DiskTier
from image_cache.engine.stats.history import WriteBudget
from image_cache.engine.stats.miss_ratio import MissRatioCurve
from image_cache.units import size
from image_cache.web.admin import charts
from image_cache.web.admin.history_charts import Chart, Span, short, unit_of

NEAR = 0.6  # of the budget: from here on the chart shows it
FEW_INODES = 0.1  # of a file system's inodes are free: a warning


def wear_chart(span: Span, wear: WriteBudget) -> Chart:
    """Return a chart of what was written per day, over a week or a month, beside the budget."""
    days = wear.days[-7:] if span.key == "day" else wear.days[-30:]
    most = max(count for _, count in days)
    highest = max(most, wear.budget_bytes if most > wear.budget_bytes * NEAR else 0)
    unit, name = unit_of(highest)
    top = charts.top_of(highest / unit, 3)
    over = [day for day, count in days if count > wear.budget_bytes]
    sentence = f"Written today {size(wear.today_bytes)}, of a budget of {size(wear.budget_bytes)} a day; "
    sentence += f"over it on {len(over)} of {len(days)} days." if over else f"not over it in {_days(len(days))}."
    bars = [(_weekday(day, span), count / unit) for day, count in days]
    limit = (wear.budget_bytes / unit, f"budget {size(wear.budget_bytes)}")
    svg = charts.bars_chart(bars, sentence, top=top, write=short, limit=limit) if most else None
    rows = [(day, size(count)) for day, count in reversed(days)]
    return Chart(
        f"Written to the card, {name} a day",
        "7 days" if span.key == "day" else "30 days",
        svg,
        sentence,
        ("Day", "Written"),
        rows,
    )


def curve_chart(curve: MissRatioCurve, budget_bytes: int) -> Chart:
    """Return a chart of what caches of other sizes would have answered; a sentence instead while too little is known."""
    title = "How big should the cache be?"
    if not curve.is_enough:
        if curve.uses < curve.needed:
            sentence = f"Too little to tell: {curve.uses:,} uses were followed, {curve.needed:,} are needed, over a day at least."
        else:
            sentence = "Too little to tell: the uses of a day at least are needed. Come back tomorrow."
        return Chart(title, "", None, sentence)
    shares = dict(curve.points)
    here, best = shares[budget_bytes], max(shares.values())
    answered = ", ".join(f"{size(step)} {share * 100:.0f} %" for step, share in curve.points)
    if curve.enough_bytes < budget_bytes and here >= best - 0.005:
        advice = f"{size(curve.enough_bytes)} are enough; what is beyond gains nothing."
    elif here < best - 0.005:
        advice = f"{size(curve.enough_bytes)} would answer {best * 100:.0f} %."
    else:
        advice = f"{size(budget_bytes)} is right."
    points = [(size(step), share) for step, share in curve.points]
    chosen = [step for step, _ in curve.points].index(budget_bytes)
    svg = charts.steps_chart(points, f"A cache of this size would have answered: {answered}.", chosen=chosen)
    rows = [(size(step), f"{share * 100:.1f} %") for step, share in curve.points]
    return Chart(title, "", svg, f"{answered}.", ("Size", "Answered"), rows, advice)


def wear_facts(disk: DiskTier, wear: WriteBudget) -> list[tuple[str, str, str]]:
    """Return (name, lamp, words) of each fact about the card: what was written, how long it lasts, how many files fit."""
    lamp = "warning" if wear.today_bytes > wear.budget_bytes else "well"
    found = [("Written today", lamp, f"{size(wear.today_bytes)} of a budget of {size(wear.budget_bytes)}")]
    if wear.per_day_bytes is None:
        found.append(("Pace", "waiting", "Told after three whole days."))
    else:
        lamp = "warning" if wear.per_day_bytes > wear.budget_bytes else "well"
        found.append(("Pace", lamp, f"{size(int(wear.per_day_bytes))} a day, {size(int(wear.per_day_bytes * 365.25))} a year"))
    if wear.endurance_bytes and wear.years is not None:
        found.append(
            (
                "Life",
                "well" if wear.years > 5 else "warning",
                f"{size(wear.endurance_bytes)} last {years(wear.years)} at this pace",
            )
        )
    free, floor = disk.free_bytes(), disk.floor_bytes
    found.append(
        ("Free space", "well" if free > 2 * floor else "warning", f"{size(free)}; nothing is stored below {size(floor)}")
    )
    files_free, files = disk.inodes()
    if files:
        lamp = "well" if files_free > files * FEW_INODES else "warning"
        found.append(("Inodes", lamp, f"{files_free:,} of {files:,} free; nothing is stored below 2 %"))
    return found


def curve_note(curve: MissRatioCurve) -> str:
    """Return what the curve was made from; empty while there is none."""
    if not curve.is_enough:
        return ""
    share = "all covers are" if curve.rate >= 1 else f"{max(0.1, curve.rate * 100):.3g} % of the covers are"
    return f"From {curve.uses:,} uses since {clock(curve.since, with_day=True)}; {share} followed, the first use of each counts as missed."


def clock(at: float, *, with_day: bool = False) -> str:
    """Return a time of day, 14:05, or the day."""
    when = time.localtime(at)
    day = time.strftime("%d %B", when).lstrip("0")
    return day if with_day else time.strftime("%H:%M", when)


def years(years: float) -> str:
    """Return a long duration in round numbers: about 14 months, about 30 years."""
    if years * 365.25 < 60:
        return f"about {max(1, round(years * 365.25))} days"
    if years < 3:
        return f"about {round(years * 12)} months"
    return f"about {round(years):,} years" if years < 100 else "more than 100 years"


def _weekday(day: str, span: Span) -> str:
    date = datetime.date.fromisoformat(day)
    return f"{date:%a}" if span.key == "day" else f"{date.day} {date:%b}"


def _days(count: int) -> str:
    return "a day" if count == 1 else f"{count} days"
