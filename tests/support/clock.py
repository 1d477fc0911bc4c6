"""Clocks that a test moves."""

import time


class FakeClock:
    """Stands still. Callable like `time.time`; `advance` moves it by seconds, negative ones too."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class ShiftedClock:
    """The time of the machine, which the windows of the rate limit need, shifted by what a test lets pass."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.shift_s

    def advance(self, seconds: float) -> None:
        self.shift_s += seconds
