"""When a load that failed may be tried again. Pure: no clock, no memory of its own."""

import random
from collections.abc import Callable

from image_cache.errors import CacheError, OriginError, OriginNotFound

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S

# first pause, longest pause; doubled from failure to failure
RETRYABLE_S = (2.0, 15 * 60.0)
NOT_FOUND_S = (HOUR_S, 7 * DAY_S)
OTHER_S = (60.0, DAY_S)

MAX_RETRY_AFTER_S = HOUR_S
# A Pi starts with a wrong clock and a router that is not up yet: certificates and names fail for minutes, not for hours.
UNSURE_S = 5 * 60.0


def retry_delay_s(failures: int, error: CacheError, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait after the last of `failures` (1 or more) failures in a row.

    `chance` gives 0 to 1 for the jitter of short pauses, a quarter up or down: what failed together does not come back together.
    """
    first_s, longest_s = RETRYABLE_S if error.retryable else NOT_FOUND_S if isinstance(error, OriginNotFound) else OTHER_S
    delay_s = first_s * 2.0 ** min(max(failures, 1) - 1, 30)
    if error.retryable:
        delay_s *= 0.75 + 0.5 * chance()
    delay_s = min(delay_s, longest_s)
    if isinstance(error, OriginError):
        if error.retry_after_s is not None:
            delay_s = max(delay_s, min(error.retry_after_s, MAX_RETRY_AFTER_S))
        if error.kind in ("dns", "tls"):
            delay_s = min(delay_s, UNSURE_S)
    return delay_s
