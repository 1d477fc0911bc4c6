"""The small chart of an image's views by day."""

from collections.abc import Sequence
from typing import Any

CHART_W, CHART_H = 300, 40


def chart(days: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return a small chart of views by day: points of a line in a box of 300 by 40, and a sentence that says the same."""
    largest = max((count for _, count in days), default=0)
    step = CHART_W / max(1, len(days) - 1)
    points = [(round(n * step, 1), round(CHART_H - CHART_H * count / max(1, largest), 1)) for n, (_, count) in enumerate(days)]
    total = sum(count for _, count in days)
    return {
        "points": " ".join(f"{x:g},{y:g}" for x, y in points),
        "width": CHART_W,
        "height": CHART_H,
        "most": largest,
        "total": total,
        "days": [(day, count) for day, count in days if count],
        "sentence": f"{total:,} {'view' if total == 1 else 'views'} in {len(days)} days, {largest:,} on the busiest day."
        if total
        else f"No views in {len(days)} days.",
    }
