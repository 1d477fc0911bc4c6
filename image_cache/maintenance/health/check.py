"""Result of a health check: name, state, what it means, and what an operator does about it."""

from collections.abc import Iterable

from image_cache.frozen import frozen

# Without these no page can be served; everything else only costs images, or time.
VITAL = ("Catalogue", "Rights")


@frozen
class Check:
    """`state` is that of a lamp: well, working, warning, waiting or failed.

    `message` is one or two sentences that every visitor of the page may read. `advice` is for operators: it may name paths, hosts
    and commands. Empty when there is nothing to do.
    """

    name: str
    state: str
    message: str
    advice: str = ""
    costs_pictures_only: bool = False  # pages are answered all the same, with placeholders


def verdict(checks: Iterable[Check]) -> str:
    """Return healthy, degraded (it works, with something to look at) or unhealthy (an operator has to act)."""
    states = {check.state for check in checks}
    return "unhealthy" if "failed" in states else "degraded" if "warning" in states else "healthy"


def can_serve(checks: Iterable[Check]) -> bool:
    """Return True if pages and images can be served, whatever else is wrong."""
    return not any(check.state == "failed" and check.name in VITAL and not check.costs_pictures_only for check in checks)
