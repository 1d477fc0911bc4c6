"""Numbers read from text."""

import math

import pytest

from image_cache.units import decimal_number, whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1", 1), ("007", 7), ("120", 120)),
        *((None, None), ("", None), ("0", None), ("121", None), ("0007", None), ("-1", None), ("1.0", None), (" 1", None)),
        *(("\N{ARABIC-INDIC DIGIT ONE}", None), ("\N{SUPERSCRIPT TWO}", None), ("9" * 5000, None)),
    ],
)
def test_a_whole_number_is_ascii_digits_within_its_bounds(text: str | None, number: int | None) -> None:
    assert whole_number(text, 1, 120) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0),
        ("2.5", 2.5),
        ("1e1", 10.0),
        (None, None),
        ("", None),
        ("x", None),
        ("nan", None),
        ("inf", None),
        ("10.1", None),
    ],
)
def test_a_decimal_number_lies_within_its_bounds(text: str | None, number: float | None) -> None:
    assert decimal_number(text, 1.0, 10.0) == number


def test_a_bound_may_be_infinite() -> None:
    assert decimal_number("1e300", 0.0, math.inf) == 1e300
