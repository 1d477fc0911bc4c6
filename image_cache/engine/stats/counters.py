"""Latency histograms, and named counters of one process."""

import math
import threading
from collections import Counter
from collections.abc import Iterator

SHORTEST_MS = 1.0
GROWTH = 1.15  # width of a slot; quantiles are accurate to 7%
SLOTS = 88  # the last one counts everything above 3 minutes


class Latencies:
    """A histogram of durations. Not thread-safe. As text: `slot:count` separated by spaces, empty if there are none.

    A histogram and not a reservoir, because those of several processes, and of the twelve spans of an hour, can be added up exactly.
    """

    def __init__(self, text: str = "") -> None:
        self._counts: Counter[int] = Counter()
        for part in text.split():
            slot, _, count = part.partition(":")
            if slot.isdigit() and count.isdigit():
                self._counts[min(int(slot), SLOTS - 1)] += int(count)

    def __str__(self) -> str:
        return " ".join(f"{slot}:{count}" for slot, count in sorted(self._counts.items()) if count)

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, ms: float) -> None:
        slot = 0 if ms <= SHORTEST_MS else math.ceil(math.log(ms / SHORTEST_MS, GROWTH))
        self._counts[min(slot, SLOTS - 1)] += 1

    def merge(self, added: "Latencies") -> None:
        self._counts.update(added._counts)

    def halve(self) -> None:
        """Halve the counts, so that old durations weigh less in a histogram that is never reset."""
        self._counts = Counter({slot: count // 2 for slot, count in self._counts.items() if count > 1})

    def quantile_ms(self, share: float) -> float | None:
        """Return the duration below which `share` of them are; None if there are none."""
        wanted, seen = share * len(self), 0
        for slot, count in self.slots():
            seen += count
            if seen >= wanted:
                return SHORTEST_MS * GROWTH ** (slot - 0.5) if slot else SHORTEST_MS
        return None

    def slots(self) -> Iterator[tuple[int, int]]:
        """Yield (slot, count), shortest first; slot n ends at `SHORTEST_MS * GROWTH ** n`."""
        yield from sorted(self._counts.items())


class Counters:
    """Named counters of this process. Thread-safe; `drain` moves them to the index once a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects _counts
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] += count

    def drain(self) -> dict[str, int]:
        """Return the counts and reset them to zero."""
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
            return counts

    def peek(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)
