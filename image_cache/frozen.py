"""`frozen`: a dataclass whose values never change, at half the memory of the standard library's.

`dataclasses` writes `__eq__`, `__hash__`, `__repr__` and two guards again for every class, 7 KB each time; the classes of VinylVault
share one of each. Everything else is a dataclass with slots: `fields`, `replace` and `asdict` work. See decision 0039.
"""

from dataclasses import FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Return the class as a frozen dataclass with slots. A method that it has of its own stays."""
    cls.__doc__ = cls.__doc__ or cls.__name__  # without a text, as under -OO, dataclasses would compose a signature
    made: Any = dataclass(frozen=True, slots=True, eq=False, repr=False)(cls)
    made.__setattr__ = _refuse_setting
    made.__delattr__ = _refuse_deleting
    compared = [one.name for one in fields(made) if one.compare]
    made._compared = attrgetter(*compared) if compared else _nothing
    for name, method in _SHARED.items():
        if name not in made.__dict__:
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _nothing(_: object) -> tuple[()]:
    return ()


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared = self.__class__._compared
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.__class__._compared(self))


def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_setting(_: object, name: str, __: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(_: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED = {"__eq__": _eq, "__hash__": _hash, "__repr__": _repr}
