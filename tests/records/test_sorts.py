"""What groups the wall: months, years and prices, compared with what SQLite makes of the same values."""

import random
import sqlite3
from collections.abc import Iterator

import pytest

from image_cache import money
from image_cache.records.orders.sorts import amount, by_band, by_month, by_year


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:")
    yield conn
    conn.close()


def test_months_and_years_are_those_of_the_calendar(conn: sqlite3.Connection) -> None:
    rng = random.Random(3)
    edges = [0.0, -1.0, 951782399.0, 951782400.0, 951868800.0, 1704067199.0, 1704067200.0, 1709164800.0, 4102444800.0]
    times = edges + [float(rng.randrange(-2_000_000_000, 4_000_000_000)) for _ in range(2000)]
    for rows in (list(enumerate(times)), list(enumerate(sorted(times))), list(enumerate(sorted(times, reverse=True)))):
        for make, form in ((by_month, "%Y-%m"), (by_year, "%Y")):
            wanted = [
                (number, conn.execute("SELECT strftime(?, ?, 'unixepoch')", (form, at)).fetchone()[0]) for number, at in rows
            ]
            assert list(make(rows, False)) == wanted


def test_a_time_that_no_calendar_has_is_no_month() -> None:
    rows = [(1, 1.7e9), (2, None), (3, 1.8e12), (4, float("inf")), (5, 1.7e9)]
    assert list(by_month(rows, False)) == [(1, "2023-11"), (2, None), (3, None), (4, None), (5, "2023-11")]


def test_an_amount_is_read_as_it_was_stored(conn: sqlite3.Connection) -> None:
    conn.execute("CREATE TABLE albums (price TEXT NOT NULL)")
    prices = [money.stored(cents, code) for cents in (0, 1, 499, 500, 123456, money.MAX_CENTS) for code in ("", "EUR", "XXX")]
    for price in ["", *prices]:
        conn.execute("DELETE FROM albums")
        conn.execute("INSERT INTO albums VALUES (?)", (price,))
        (found,) = conn.execute(f"SELECT {amount('price')} FROM albums").fetchone()
        parts = money.parts(price)
        assert found == (parts[0] / 100 if parts else None)


def test_an_amount_belongs_to_the_band_that_begins_below_it() -> None:
    rows = [(1, 0.0), (2, 4.99), (3, 5.0), (4, 499.99), (5, 500.0), (6, 9_999_999.99), (7, None)]
    assert list(by_band(rows, False)) == [(1, 0), (2, 0), (3, 5), (4, 100), (5, 500), (6, 500), (7, None)]
