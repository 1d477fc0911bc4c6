"""What a case is, and the list of all that were read."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.pi.board import Board


@dataclass(frozen=True, slots=True)
class Case:
    """`boots`: it boots the installed machine itself instead of continuing the frozen one."""

    name: str
    run: Callable[[Board], None]
    boots: bool

    @property
    def title(self) -> str:
        return (self.run.__doc__ or "").partition("\n")[0].rstrip(".")


KNOWN: dict[str, Case] = {}


KNOWN: dict[str, Case] = {}


def case(run: Callable[[Board], None], *, boots: bool = False) -> Callable[[Board], None]:
    name = run.__name__.rstrip("_")
    KNOWN[name] = Case(name, run, boots)
    return run


def case_that_boots(run: Callable[[Board], None]) -> Callable[[Board], None]:
    return case(run, boots=True)
