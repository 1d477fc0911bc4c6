"""`frozen` beside `dataclasses.dataclass(frozen=True, slots=True)`: what can be seen of both is the same."""

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import pytest

from image_cache.frozen import frozen


@frozen
class Sleeve:
    """A sleeve."""

    title: str
    number: int = 1
    secret: str = field(default="", repr=False)
    drawn: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Known:
    """The same, by the standard library."""

    title: str
    number: int = 1
    secret: str = field(default="", repr=False)
    drawn: object = field(default=None, compare=False)


@frozen
class Empty:
    """Nothing."""


@frozen
class Alone:
    number: int


@frozen
class Loud:
    number: int

    def __repr__(self) -> str:
        return "LOUD"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7


CASES = [("a",), ("a", 1), ("a", 2), ("b", 2, "s"), ("b", 2, "s", "drawn"), ("b", 2, "s", ["drawn"])]


@pytest.mark.parametrize("values", CASES)
def test_texts_and_fields_are_those_of_a_dataclass(values: tuple[Any, ...]) -> None:
    ours, known = Sleeve(*values), Known(*values)
    assert repr(ours) == repr(known).replace("Known", "Sleeve")
    assert dataclasses.asdict(ours) == dataclasses.asdict(known)
    assert [one.name for one in dataclasses.fields(ours)] == [one.name for one in dataclasses.fields(known)]
    assert dataclasses.replace(ours, title="new") == Sleeve("new", *values[1:])
    assert Sleeve.__match_args__ == Known.__match_args__
    assert not hasattr(ours, "__dict__")


@pytest.mark.parametrize("first", CASES)
@pytest.mark.parametrize("second", CASES)
def test_two_are_equal_when_two_dataclasses_are(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    assert (Sleeve(*first) == Sleeve(*second)) is (Known(*first) == Known(*second))
    assert (hash(Sleeve(*first)) == hash(Sleeve(*second))) is (hash(Known(*first)) == hash(Known(*second)))


def test_nothing_is_equal_to_another_class() -> None:
    assert Sleeve("a") != Known("a")
    assert Alone(1) != 1
    assert Alone(1) == Alone(1)
    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())
    assert repr(Empty()).endswith("Empty()")


def test_values_cannot_be_changed_or_removed() -> None:
    sleeve: Any = Sleeve("a")
    for name in ("title", "other"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(sleeve, name, "b")
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(sleeve, name)
    assert sleeve == Sleeve("a")


def test_copies_and_pickles_are_equal() -> None:
    sleeve = Sleeve("a", drawn=[1])
    assert copy.deepcopy(sleeve) == copy.copy(sleeve) == pickle.loads(pickle.dumps(sleeve)) == sleeve


def test_own_methods_stay() -> None:
    assert repr(Loud(1)) == "LOUD"
    assert Loud(1) == Loud(2)
    assert hash(Loud(1)) == 7


def test_the_shared_methods_are_the_same_in_every_class() -> None:
    for name in ("__eq__", "__hash__", "__repr__", "__setattr__", "__delattr__"):
        assert Sleeve.__dict__[name] is Empty.__dict__[name]
