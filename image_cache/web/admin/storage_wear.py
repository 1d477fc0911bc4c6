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
    sentence = f"Written today: {size(wear.today_bytes)} of a {size(wear.budget_bytes)} daily budget; "
    sentence += f"exceeded on {len(over)} of {len(days)} days." if over else f"not exceeded in {_days(len(days))}."
    bars = [(_weekday(day, span), count / unit) for day, count in days]
    limit = (wear.budget_bytes / unit, f"daily budget {size(wear.budget_bytes)}")
    svg = charts.bars_chart(bars, sentence, top=top, write=short, limit=limit) if most else None
    rows = [(day, size(count)) for day, count in reversed(days)]
    return Chart(
        f"Written to the SD card ({name} per day)",
        "7 days" if span.key == "day" else "30 days",
        svg,
        sentence,
        ("Day", "Written"),
        rows,
    )


def curve_chart(curve: MissRatioCurve, budget_bytes: int) -> Chart:
    """Return a chart of what caches of other sizes would have answered; a sentence instead while too little is known."""
    title = "Recommended cache size"
    if not curve.is_enough:
        if curve.uses < curve.needed:
            sentence = (
                f"Not enough data yet: {curve.uses:,} of {curve.needed:,} requests sampled, and at least one day is needed."
            )
        else:
            sentence = "Not enough data yet: at least one day of requests is needed. Check again tomorrow."
        return Chart(title, "", None, sentence)
    shares = dict(curve.points)
    here, best = shares[budget_bytes], max(shares.values())
    answered = ", ".join(f"{size(step)} {share * 100:.0f}%" for step, share in curve.points)
    if curve.enough_bytes < budget_bytes and here >= best - 0.005:
        advice = f"{size(curve.enough_bytes)} is enough. A larger cache would not help."
    elif here < best - 0.005:
        advice = f"With {size(curve.enough_bytes)} the hit rate would be {best * 100:.0f}%."
    else:
        advice = f"The current {size(budget_bytes)} is right."
    points = [(size(step), share) for step, share in curve.points]
    chosen = [step for step, _ in curve.points].index(budget_bytes)
    svg = charts.steps_chart(points, f"Estimated hit rate by cache size: {answered}.", chosen=chosen)
    rows = [(size(step), f"{share * 100:.1f}%") for step, share in curve.points]
    return Chart(title, "", svg, f"{answered}.", ("Size", "Answered"), rows, advice)


def wear_facts(disk: DiskTier, wear: WriteBudget) -> list[tuple[str, str, str]]:
    """Return (name, lamp, words) of each fact about the card: what was written, how long it lasts, how many files fit."""
    lamp = "warning" if wear.today_bytes > wear.budget_bytes else "well"
    found = [("Written today", lamp, f"{size(wear.today_bytes)} of a {size(wear.budget_bytes)} daily budget")]
    if wear.per_day_bytes is None:
        found.append(("Write rate", "waiting", "Available after three full days."))
    else:
        lamp = "warning" if wear.per_day_bytes > wear.budget_bytes else "well"
        found.append(
            ("Write rate", lamp, f"{size(int(wear.per_day_bytes))} per day, {size(int(wear.per_day_bytes * 365.25))} per year")
        )
    if wear.endurance_bytes and wear.years is not None:
        found.append(
            (
                "Life",
                "well" if wear.years > 5 else "warning",
                f"{size(wear.endurance_bytes)} rated endurance lasts {years(wear.years)} at this rate",
            )
        )
    free, floor = disk.free_bytes(), disk.floor_bytes
    found.append(("Free space", "well" if free > 2 * floor else "warning", f"{size(free)}; caching stops below {size(floor)}"))
    files_free, files = disk.inodes()
    if files:
        lamp = "well" if files_free > files * FEW_INODES else "warning"
        found.append(("Inodes", lamp, f"{files_free:,} of {files:,} free; caching stops below 2%"))
    return found


def curve_note(curve: MissRatioCurve) -> str:
    """Return what the curve was made from; empty while there is none."""
    if not curve.is_enough:
        return ""
    share = "all covers" if curve.rate >= 1 else f"a {max(0.1, curve.rate * 100):.3g}% sample of the covers"
    return f"Based on {curve.uses:,} requests since {clock(curve.since, with_day=True)} for {share}. The first request for each cover counts as a miss."


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
