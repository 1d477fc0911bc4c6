"""A month of figures for the charts of the demo's dashboard: busy evenings, busier weekends, one bad afternoon."""

import datetime
import math
import random
from collections.abc import Iterator
from typing import NamedTuple

HOUR_S, DAY_S = 3600, 86_400
BAD_DAYS_AGO = 9  # the origin answered slowly then, and failed now and then
FIRST_BYTES, LAST_BYTES = 3_000_000, 21_000_000


class Figures(NamedTuple):
    """What happened in one span of time. `latency_ms`: how long each fetch took."""

    at: int
    hits: int
    misses: int
    fetches: int
    failures: int
    written_bytes: int
    size_bytes: int
    queued: int
    latency_ms: tuple[int, ...]


def figures(span_s: int, back_s: int, now: float) -> Iterator[Figures]:
    """Yield the figures of each span of the last `back_s` seconds, the oldest first, up to the span before the present one."""
    end = int(now) // span_s * span_s
    for at in range(end - back_s, end, span_s):
        rng = random.Random(f"figures\n{at}")
        day = datetime.datetime.fromtimestamp(at).astimezone()
        ago = (end - at) / DAY_S
        rhythm = math.exp(-((((day.hour + day.minute / 60 - 20.5 + 12) % 24) - 12) ** 2) / 9)
        busy = (0.08 + rhythm) * (1.7 if day.weekday() >= 5 else 1) * rng.uniform(0.6, 1.4) * span_s / HOUR_S
        if busy * HOUR_S / span_s < 0.12:
            continue  # at night no one looks
        is_bad = int(ago) == BAD_DAYS_AGO and 14 <= day.hour < 18
        grown = 1 - min(1, ago / 31)
        misses = int(busy * (36 + 60 * (1 - grown)) * rng.uniform(0.3, 1))
        fetches = int(misses * rng.uniform(0.4, 0.9))
        yield Figures(
            at=at,
            hits=int(busy * 1900),
            misses=misses,
            fetches=fetches,
            failures=fetches // 4 if is_bad else 0,
            written_bytes=fetches * 34_000 + int(busy * 90_000),
            size_bytes=int(FIRST_BYTES + (LAST_BYTES - FIRST_BYTES) * grown**0.6),
            queued=int(fetches * rng.uniform(0, 0.4)) * (4 if is_bad else 1),
            latency_ms=tuple(int(rng.lognormvariate(5.1, 0.5)) * (9 if is_bad else 1) for _ in range(fetches)),
        )
