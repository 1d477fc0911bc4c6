"""The list of values: exact sums, for members only, and a table that no spreadsheet takes for formulas."""

import csv
import io

from image_cache.import_models import ImportRow
from tests.support.inside import Inside

MOMENTS = (1_700_000_000.0, 1_760_000_000.0)


def filled(inside: Inside) -> None:
    rows = [
        ImportRow(2, "Low Water", "Soft Tide", price="12.50 EUR", bought="2019-07-31", media_condition="VG+", shelf="B 3"),
        ImportRow(3, '=HYPERLINK("x")', "+Ada", price="0.10 EUR"),
        ImportRow(4, "Ebb", "Cid", price="30.00 GBP"),
        ImportRow(5, "Flow", "Dot"),
    ]
    inside.services.library.import_rows(rows)
    with inside.services.catalog.write() as conn:
        sql = "UPDATE albums SET value = ?, value_from = ?, valued_at = ? WHERE id = ?"
        conn.execute(sql, ("20.00 EUR", "suggested for VG+", MOMENTS[0], 1))
        conn.execute(sql, ("99.90 EUR", "lowest offer", MOMENTS[1], 4))
        conn.execute(sql, ("", "", MOMENTS[1], 3))


def test_the_sums_say_of_how_many_records_and_of_when(inside: Inside) -> None:
    filled(inside)
    page = inside.logged_in("member").get("/stats/value").text
    for words in (
        "and €12.60",
        "£30.00",
        "for 3 records; 1 without a price",
        "€119.90",
        "for 2 records, Discogs, ",
        "; 2 without a value",
    ):
        assert words in page, words
    assert page.index("Flow") < page.index("Ebb") < page.index("Low Water")
    assert "31 July 2019" in page
    assert "Values from Discogs are turned off." in page


def test_visitors_see_no_value_anywhere(inside: Inside) -> None:
    filled(inside)
    for path in ("/stats/value", "/stats/value.csv"):
        assert inside.stranger().get(path).status_code == 401
    assert "/stats/value" not in inside.stranger().get("/stats").text
    assert "20.00" not in inside.stranger().get("/album/1").text
    assert "suggested for VG+ at Discogs" in inside.logged_in("member").get("/album/1").text


def test_the_table_has_every_record_and_no_formula(inside: Inside) -> None:
    filled(inside)
    answer = inside.logged_in("member").get("/stats/value.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [row["title"] for row in rows] == ["Flow", "Ebb", "Low Water", '\'=HYPERLINK("x")']
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@")]
    low = rows[2]
    assert (low["paid"], low["paid currency"], low["value"], low["value is"]) == ("12.50", "EUR", "20.00", "suggested for VG+")
    assert (low["valued on"], low["shelf"], low["bought"]) == ("2023-11-14", "B 3", "2019-07-31")


def test_an_empty_collection_has_a_page_and_a_table(inside: Inside) -> None:
    client = inside.logged_in("member")
    assert "for 0 records; 0 without a price" in client.get("/stats/value").text
    assert client.get("/stats/value.csv").text.count("\n") == 1
