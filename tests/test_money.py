"""Money: what collectors write is one amount with a currency, or is not taken for one."""

import contextlib
import re
import sqlite3

import pytest

from image_cache import money


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("12.50 EUR", "12.50 EUR"),
        ("£12", "12.00 GBP"),
        ("12,5 €", "12.50 EUR"),
        ("EUR 7", "7.00 EUR"),
        ("1,200.00 usd", "1200.00 USD"),
        ("1.200,00", "1200.00"),
        ("1.200", "1200.00"),
        ("1 200 kr".replace("kr", "SEK"), "1200.00 SEK"),
        ("¥3000", "3000.00 JPY"),
        ("0", "0.00"),
        ("0.5", "0.50"),
        ("9999999.99", "9999999.99"),
    ],
)
def test_what_people_write_is_one_text(text: str, price: str) -> None:
    assert money.price_of(text) == price
    assert money.price_of(price) == price


@pytest.mark.parametrize(
    "text",
    ["", "a tenner", "-5", "£5 EUR", "12.345.6", "1,23,456", "10000000", "5 pounds", "nan", "1e5", "12 E1R", "٣", "1.2.3", "=5"],
)
def test_what_is_no_amount_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        money.price_of(text)


def test_a_currency_counts_where_the_text_names_none() -> None:
    assert money.price_of("12", "sek") == "12.00 SEK"
    assert money.price_of("£12", "SEK") == "12.00 GBP"
    with pytest.raises(ValueError, match="12"):
        money.price_of("12", "kronor")


def test_prices_are_shown_as_people_read_them() -> None:
    assert [money.shown(one) for one in ("1200.00 GBP", "80.00 SEK", "12.50", "", "nonsense")] == [
        "£1,200.00",
        "80.00 SEK",
        "12.50",
        "",
        "",
    ]


def test_sums_are_exact_and_one_for_each_currency() -> None:
    assert money.total(["0.10 EUR"] * 30 + ["5.00 GBP", "", "7.00"]) == ["3.00 EUR", "5.00 GBP", "7.00"]


def test_the_database_reads_the_amount() -> None:
    prices = ("9.99 EUR", "100.00 GBP", "20.00", "")
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        found = [conn.execute("SELECT CAST(? AS REAL)", (one,)).fetchone()[0] for one in prices]
    assert found == [9.99, 100.0, 20.0, 0.0]
