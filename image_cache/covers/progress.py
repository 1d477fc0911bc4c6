"""How far the fetching of covers is. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of fetching covers. `done` includes `failed`; `eta_s` is None while the speed is unknown. It never grows.

    `waiting` have to wait for their origins. `waits_until` is None while others are under way.
    """

    total: int
    done: int
    working: int
    failed: int
    eta_s: float | None = None
    is_paused: bool = False  # by an operator
    waiting: int = 0
    waits_until: float | None = None

    @property
    def state(self) -> str:
        """`paused` by an operator, `waiting` for origins, or `working`."""
        return "paused" if self.is_paused else "working" if self.waits_until is None else "waiting"
