"""Statistics: every number is that of the records and plays, and a change is counted at once."""

import datetime
import xml.etree.ElementTree as ET

from tests.support.inside import Inside


def at(year: int, month: int, day: int, hour: int) -> float:
    return datetime.datetime(year, month, day, hour, 30).astimezone().timestamp()


def filled(inside: Inside) -> dict[str, int]:
    table = inside.folder.parent / "records.csv"
    table.write_text(
        "artist,title,year,label,genres,formats,added\n"
        "Ada,One,1959,Penstock,Jazz,LP,2019-02-03\n"
        "Ada,Two,1962,Penstock,Jazz,LP,2019-03-03\n"
        'Bo,Three,1971,Laterite,"Folk; Jazz",LP,2021-01-01\n'
        "Cy,Four,,,,CD,2021-01-02\n",
        encoding="utf-8",
    )
    inside.services.library.import_table(table)
    ids = {album.title: album.id for album in inside.services.library.albums()}
    with inside.services.catalog.write() as conn:
        for title, when in (
            ("One", at(2024, 2, 10, 20)),  # a Saturday
            ("One", at(2024, 2, 10, 21)),
            ("Two", at(2024, 2, 20, 20)),
            ("One", at(2024, 7, 6, 20)),  # a Saturday
            ("Three", at(2025, 1, 1, 8)),
        ):
            conn.execute("INSERT INTO plays (album_id, played_at) VALUES (?, ?)", (ids[title], when))
            conn.execute("UPDATE albums SET plays = plays + 1, last_played_at = ? WHERE id = ?", (when, ids[title]))
    return ids


def test_the_whole_is_counted_and_counted_again_after_a_change(inside: Inside) -> None:
    ids = filled(inside)
    found = inside.services.library.statistics.whole()
    assert (found.records, found.artists, found.plays, found.never) == (4, 3, 5, 1)
    assert (found.mean_year, found.oldest, found.newest) == (1964, 1959, 1971)
    assert [(row.value, row.count) for row in found.genres] == [("Jazz", 3), ("Folk", 1), ("", 1)]
    assert [(row.value, row.count) for row in found.decades] == [("1950", 1), ("1960", 1), ("1970", 1), ("", 1)]
    assert [(row.value, row.count) for row in found.labels] == [("Penstock", 2), ("Laterite", 1)]
    assert set(found.labels[0].ids) == {ids["One"], ids["Two"]}
    assert found.growth == ((2019, 2), (2021, 4))
    assert found.hours == {(5, 20): 2, (5, 21): 1, (1, 20): 1, (2, 8): 1}
    assert found.years == ((2025, 1), (2024, 4))
    assert found.most_played[0] == ids["One"]
    assert found.never_played == (ids["Four"],)
    assert inside.services.library.statistics.whole() is found
    inside.services.library.record_play(ids["Four"])
    assert inside.services.library.statistics.whole().never == 0


def test_a_year_is_reviewed(inside: Inside) -> None:
    ids = filled(inside)
    found = inside.services.library.statistics.year(2024)
    assert (found.plays, found.records, found.added) == (4, 2, 0)
    assert found.ribbon == (ids["One"], ids["One"], ids["Two"], ids["One"])
    assert found.best == ((ids["One"], 3), (ids["Two"], 1))
    assert [(month.number, month.plays, month.album_id) for month in found.months if month.plays] == [
        (2, 3, ids["One"]),
        (7, 1, ids["One"]),
    ]
    assert found.longest_day == (datetime.date(2024, 2, 10), 2)
    assert found.longest_silence_days == (datetime.date(2024, 7, 6) - datetime.date(2024, 2, 20)).days - 1
    assert found.weekday == 5
    assert inside.services.library.statistics.year(2019).plays == 0
    assert inside.services.library.statistics.year(2019).added == 2


def test_a_date_that_cannot_be_spoils_nothing(inside: Inside) -> None:
    ids = filled(inside)
    with inside.services.catalog.write() as conn:
        conn.execute("UPDATE albums SET added_at = 9e15 WHERE id = ?", (ids["One"],))
        conn.execute("INSERT INTO plays (album_id, played_at) VALUES (?, 9e15)", (ids["One"],))
        conn.execute("UPDATE albums SET year = 0 WHERE id = ?", (ids["Two"],))
    found = inside.services.library.statistics.whole()
    assert found.growth[-1] == (datetime.datetime.now().astimezone().year, 4)
    for path in ("/stats", "/stats.csv", "/stats/2024"):
        assert inside.client().get(path).status_code == 200


def test_pages_show_the_numbers_with_their_tables_and_escape_what_was_typed(inside: Inside) -> None:
    assert "No records yet" in inside.client().get("/stats").text
    filled(inside)
    table = inside.folder.parent / "more.csv"
    table.write_text("artist,title,label,genres\n<b>x,<b>y,=<script>,<script>alert(1)</script>\n", encoding="utf-8")
    inside.services.library.import_table(table)
    client = inside.client()
    page = client.get("/stats").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'href="/?genre=Jazz"' in page
    assert 'href="/?decade=1950"' in page
    assert "1950s" in page
    assert 'aria-label="Plays by weekday and hour. Most often Saturday at 20:00, 2 times."' in page
    assert '<th scope="row">Saturday</th><td>3</td>' in page
    assert "style=" not in page
    year = client.get("/stats/2024").text
    assert "4 plays of 2 records, most often on a Saturday." in year
    assert year.count("h1.05") == 4
    assert client.get("/stats/1999").status_code == 404
    assert client.get("/stats/1999.svg").status_code == 404
    picture = client.get("/stats/2024.svg")
    assert picture.headers["Content-Disposition"] == 'attachment; filename="records-2024.svg"'
    assert "4 plays of 2 records" in [one.text for one in ET.fromstring(picture.text).iter("{http://www.w3.org/2000/svg}text")]
    lines = client.get("/stats.csv").text.splitlines()
    assert "genre,Jazz,3" in lines
    assert "label,'=<script>,1" in lines
    assert "plays on Saturday,20:00,2" in lines


def test_many_records_of_one_value_are_counted_and_some_of_them_named(inside: Inside) -> None:
    """The list of ids is cut at a number of characters, wherever that falls in an id or behind a comma."""
    for start in range(1, 8):
        with inside.services.catalog.write() as conn:
            conn.execute("DELETE FROM albums")
            conn.executemany(
                "INSERT INTO albums (id, source, source_id, title, artist, title_sort, artist_sort, label, added_at)"
                " VALUES (?, 'x', ?, 't', 'a', 't', 'a', 'Penstock', 1)",
                [(number, str(number)) for number in range(10**start, 10**start + 700)],
            )
        row = inside.services.library.statistics.whole().labels[0]
        assert row.count == 700
        assert len(row.ids) > 50
        assert set(row.ids) <= set(range(10**start, 10**start + 700))
