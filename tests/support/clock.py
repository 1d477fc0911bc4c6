"""A clock that stands still until it is told to move."""


class FakeClock:
    """Callable like `time.time`; `advance` moves it by seconds, negative ones too."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
