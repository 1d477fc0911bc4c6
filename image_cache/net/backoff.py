"""Exponential backoff: how long to wait before a failed load is retried. Pure: no clock, no state."""

import random
from collections.abc import Callable

from image_cache.errors import CacheError, OriginError, OriginNotFound

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S

# first delay, longest delay; doubled with each failure
RETRYABLE_S = (2.0, 15 * 60.0)
NOT_FOUND_S = (HOUR_S, 7 * DAY_S)
OTHER_S = (60.0, DAY_S)

MAX_RETRY_AFTER_S = HOUR_S
# A Pi starts with a wrong clock and without network: certificates and names fail for minutes, not for hours.
UNSURE_S = 5 * 60.0


def retry_delay_s(failures: int, error: CacheError, jitter: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait after `failures` (1 or more) consecutive failures, the last of which was `error`.

    `jitter` returns 0 to 1: it changes delays of retryable errors by up to a quarter, so that loads that failed together are not
    retried together.
    """
    first_s, longest_s = RETRYABLE_S if error.retryable else NOT_FOUND_S if isinstance(error, OriginNotFound) else OTHER_S
    delay_s = first_s * 2.0 ** min(max(failures, 1) - 1, 30)
    if error.retryable:
        delay_s *= 0.75 + 0.5 * jitter()
    delay_s = min(delay_s, longest_s)
    if isinstance(error, OriginError):
        if error.retry_after_s is not None:
            delay_s = max(delay_s, min(error.retry_after_s, MAX_RETRY_AFTER_S))
        if error.kind in ("dns", "tls"):
            delay_s = min(delay_s, UNSURE_S)
    return delay_s
