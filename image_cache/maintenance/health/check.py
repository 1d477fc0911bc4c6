"""One thing that was looked at: its name, how it is, what that means, and what an operator does about it."""

from collections.abc import Iterable
from dataclasses import dataclass

# Without these no page can be answered; everything else costs pictures, or time.
VITAL = ("Catalogue", "Rights")


@dataclass(frozen=True, slots=True)
class Check:
    """`state` is a lamp's: well, working, warning, waiting or failed.

    `message` is one sentence or two, fit for everybody who opens the page. `advice` is for operators: it may name paths, hosts and
    commands. Empty when there is nothing to do.
    """

    name: str
    state: str
    message: str
    advice: str = ""


def verdict(checks: Iterable[Check]) -> str:
    """Return healthy, degraded (it works, with something to look at) or unhealthy (it needs a hand)."""
    states = {check.state for check in checks}
    return "unhealthy" if "failed" in states else "degraded" if "warning" in states else "healthy"


def can_serve(checks: Iterable[Check]) -> bool:
    """Tell whether pages and pictures can be served, whatever else there is to look at."""
    return not any(check.state == "failed" and check.name in VITAL for check in checks)


def megabytes(count: float) -> str:
    """Return bytes as people say them: 3.2 GB, 812 MB, 0 MB."""
    return f"{count / 1e9:,.1f} GB" if abs(count) >= 1e9 else f"{count / 1e6:,.0f} MB"


def things(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: 1 picture, 2,000 pictures."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
