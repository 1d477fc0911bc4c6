"""Tables in and out: every column, every way a file or a row can be wrong, and the way round."""

import json
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from image_cache.errors import ImportRejected, TableRejected
from image_cache.import_models import ImportRow
from image_cache.models import Album, Track
from image_cache.tables.read import read_table
from image_cache.tables.rows import COLUMNS
from image_cache.tables.write import write_table


@pytest.fixture
def table(tmp_path: Path) -> "TableFile":
    return TableFile(tmp_path / "table")


class TableFile:
    """A file that is written and read in one line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, content: str | bytes) -> list[ImportRow | ImportRejected]:
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read_table(self.path))

    def rows(self, content: str | bytes) -> list[ImportRow]:
        found = self.read(content)
        assert all(isinstance(row, ImportRow) for row in found), found
        return [row for row in found if isinstance(row, ImportRow)]

    def reasons(self, content: str | bytes) -> list[tuple[int, str]]:
        return [(row.line, row.reason) for row in self.read(content) if isinstance(row, ImportRejected)]


FULL = {
    "id": "99",
    "source": "Discogs",
    "source_id": "1234",
    "title": "Low Water Mark",
    "artist": "Brine Parliament",
    "year": "1969",
    "genres": "Jazz; Funk / Soul",
    "styles": "Bop",
    "formats": 'Vinyl; LP; 12"',
    "label": "Cinder",
    "catno": "CA 12",
    "rating": "4",
    "media_condition": "NM",
    "sleeve_condition": "VG+",
    "added": "2021-03-04 05:06:07",
    "notes": "signed",
    "cover_url": "https://covers.example/1.jpg?w=600",
    "plays": "12",
    "tracks": '[{"position": "A1", "title": "Tide", "duration": "3:04"}, "Ebb"]',
    "own_notes": "Lent to the neighbour,\nback in May",
}
FULL_ROW = ImportRow(
    line=2,
    source="discogs",
    source_id="1234",
    title="Low Water Mark",
    artist="Brine Parliament",
    year=1969,
    genres=("Jazz", "Funk / Soul"),
    styles=("Bop",),
    formats=("Vinyl", "LP", '12"'),
    label="Cinder",
    catno="CA 12",
    rating=4,
    media_condition="NM",
    sleeve_condition="VG+",
    added_at=1614834367.0,
    notes="signed",
    cover_url="https://covers.example/1.jpg?w=600",
    plays=12,
    tracks=(Track("A1", "Tide", 184), Track("", "Ebb", None)),
    own_notes="Lent to the neighbour,\nback in May",
)


def csv_line(cells: list[str], separator: str = ",") -> str:
    return separator.join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\r\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("spell", [str, str.upper, lambda name: f" {name.replace('_', ' ').title()} "])
def test_every_column_is_read_whatever_the_spreadsheet_made_of_it(
    table: TableFile, separator: str, bom: bytes, spell: object
) -> None:
    header = csv_line([spell(name) for name in FULL], separator)  # type: ignore[operator]
    assert table.rows(bom + (header + csv_line(list(FULL.values()), separator)).encode()) == [FULL_ROW]


def test_the_columns_that_are_documented_are_those_that_are_read() -> None:
    document = (Path(__file__).parents[2] / "docs/reference/columns.md").read_text(encoding="utf-8")
    assert [name for name in COLUMNS if f"| `{name}` |" not in document] == []


def test_four_columns_are_enough(table: TableFile) -> None:
    [row] = table.rows("artist,title,year,cover_url\nBjörk,Debut,1993,http://c.example/1\n")
    assert row == ImportRow(line=2, title="Debut", artist="Björk", year=1993, cover_url="http://c.example/1")


def test_json_says_the_same_as_csv(table: TableFile) -> None:
    record = {
        **FULL,
        "year": 1969,
        "genres": ["Jazz", "Funk / Soul"],
        "rating": 4,
        "plays": 12,
        "tracks": [{"position": "A1", "title": "Tide", "duration_s": 184}, "Ebb"],
        "added": 1614834367,
    }
    for content in (json.dumps([record]), json.dumps({"albums": [record]}), "\ufeff\n " + json.dumps([record], indent=2)):
        [row] = table.rows(content)
        assert ImportRow(**{**{n: getattr(row, n) for n in ImportRow.__slots__}, "line": 2}) == FULL_ROW


@pytest.mark.parametrize("content", ["[]", '{"albums": []}', "title,artist\n", "\n\ntitle;artist\n\n\n", "[ \n ]\n"])
def test_a_table_without_rows_is_a_table(table: TableFile, content: str) -> None:
    assert table.read(content) == []


def test_unknown_columns_become_lines_of_the_notes(table: TableFile) -> None:
    [row] = table.rows("Title,Notes,Pressed by,Bought at,empty\nT,mine,B 3,a flea market,\n")
    assert row.notes == "mine\nPressed by: B 3\nBought at: a flea market"
    [row] = table.rows(json.dumps([{"title": "T", "box": 3, "tags": ["a", "b"], "none": None}]))
    assert row.notes == 'box: 3\ntags: ["a", "b"]'


@pytest.mark.parametrize(
    ("header", "cells", "kept"),
    [
        ("shelf,price,bought", "Kallax 3,12.50 EUR,2024-05-31", ("Kallax 3", "12.50 EUR", "2024-05-31")),
        ("Location,Price Paid,Purchase Date", 'B 3,"£1,200",2024-05', ("B 3", "1200.00 GBP", "2024-05")),
        ("storage,cost,currency", 'B 3,"12,5",sek', ("B 3", "12.50 SEK", None)),
        ("Shelf,Location,Price,Currency", "B 3,London,9.99 USD,EUR", ("B 3", "9.99 USD", None)),
        ("price,bought_on", "7,25/11/2021", (None, "7.00", "2021-11-25")),
    ],
)
def test_shelf_price_and_purchase_have_columns_under_several_names(
    table: TableFile, header: str, cells: str, kept: tuple[str | None, ...]
) -> None:
    [row] = table.rows(f"title,{header}\nT,{cells}\n")
    assert (row.shelf, row.price, row.bought) == kept
    assert row.notes == ("Location: London" if "London" in cells else None)
    assert row.losses == ()


def test_a_price_or_a_date_that_cannot_be_read_stays_in_the_notes(table: TableFile) -> None:
    [row] = table.rows("title,price,bought,currency\nT,about a tenner,in the spring,\nU,9,,pounds\n")[:1]
    assert (row.price, row.bought, row.notes) == (None, None, "Price paid: about a tenner\nBought: in the spring")
    assert row.losses[0] == "price must be an amount such as 12.50 EUR, not 'about a tenner'; put in the notes"
    [_, row] = table.rows("title,price,bought,currency\nT,about a tenner,in the spring,\nU,9,,pounds\n")
    assert (row.price, row.losses) == ("9.00", ("currency must be three letters such as EUR, not 'pounds'; skipped",))


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"title": " "}, "no title: imported as Untitled"),
        ({"year": "nineteen"}, "year must be a number, not 'nineteen'; skipped"),
        ({"year": "1969?"}, "year '1969?' was read as 1969"),
        ({"year": "19699"}, "year must be from 1800 to 2199, not 19699; skipped"),
        ({"year": "1e3"}, "year must be a number, not '1e3'; skipped"),
        ({"year": "9" * 300}, f"year must be a number, not '{'9' * 40}'; skipped"),
        ({"cover_url": "ftp://x/1.jpg"}, "cover_url must be an http or https URL, not 'ftp://x/1.jpg'; skipped"),
        ({"cover_url": "javascript:alert(1)"}, "cover_url must be an http or https URL, not 'javascript:alert(1)'; skipped"),
        ({"cover_url": "/etc/passwd"}, "cover_url must be an http or https URL, not '/etc/passwd'; skipped"),
        ({"cover_url": "https://"}, "cover_url must be an http or https URL, not 'https://'; skipped"),
        ({"cover_url": "https://[::1"}, "cover_url must be an http or https URL, not 'https://[::1'; skipped"),
        ({"cover_url": "https://x:99999/"}, "cover_url must be an http or https URL, not 'https://x:99999/'; skipped"),
        ({"cover_url": "https://me:secret@x/"}, "cover_url contains a user name or password; skipped"),
        ({"cover_url": "https://x/" + "a" * 2000}, "cover_url is too long (maximum 2,000 characters); skipped"),
        ({"title": "a" * 201}, "title is too long (maximum 200 characters); shortened"),
        ({"notes": "a" * 2001}, "notes is too long (maximum 2,000 characters); shortened"),
        ({"genres": "; ".join(["Jazz"] * 501)}, "genres is too long (maximum 2,000 characters); shortened"),
        ({"title": "a\x07b"}, "title has control characters; removed"),
        ({"artist": "a\x9bb"}, "artist has control characters; removed"),
        ({"rating": "6"}, "rating must be from 1 to 5, not 6; skipped"),
        ({"rating": "good"}, "rating must be a number, not 'good'; skipped"),
        ({"plays": "-1"}, "plays must be a number, not '-1'; skipped"),
        ({"added": "yesterday"}, "added must be a date such as 2024-05-31, not 'yesterday'; skipped"),
        ({"added": "1969-12-31"}, "added must be a date after 1970, not '1969-12-31'; skipped"),
        ({"source": "my shop!"}, "source must be a short word such as discogs; skipped"),
        ({"tracks": "A1 Tide"}, "tracks must be a JSON list; skipped"),
        ({"tracks": '[{"position": "A1"}]'}, "tracks has an entry without a title; skipped"),
        ({"tracks": "[" * 100}, "tracks must be a JSON list; skipped"),
        ({"tracks": json.dumps(["x"] * 501)}, "tracks has more than 500 entries; the rest was skipped"),
        (
            {"shelf": "x" * 2000, "notes": "mine"},
            "notes and unknown columns together are longer than 2,000 characters; shortened",
        ),
    ],
)
def test_a_bad_cell_is_cut_or_left_out_and_its_row_goes_in(table: TableFile, cells: dict[str, str], reason: str) -> None:
    if "shelf" in cells:
        cells = {**{f"shelf {n}": cells["shelf"][:190] for n in range(11)}, "notes": cells["notes"]}
    cells = {"title": "T", "artist": "A", **cells}
    good = csv_line(["good"] + [""] * (len(cells) - 1))
    found = table.read(csv_line(list(cells)) + good + csv_line(list(cells.values())) + good)
    assert [row.line for row in found] == [2, 3, 4]
    assert [row.losses for row in found if isinstance(row, ImportRow)] == [(), (reason,), ()]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("7", "record 2: not a JSON object with column names as keys"),
        ("null", "record 2: not a JSON object with column names as keys"),
        ('"x"', "record 2: not a JSON object with column names as keys"),
        ("[]", "record 2: not a JSON object with column names as keys"),
        ("{}", "record 2: neither artist nor title"),
        ('{"title": null}', "record 2: neither artist nor title"),
        ('{"title": ["x"]}', "record 2: neither artist nor title"),
        ('{"title": true}', "record 2: neither artist nor title"),
        ('{"title": "\\ud800"}', "record 2: neither artist nor title"),
    ],
)
def test_a_bad_record_is_refused_and_the_rest_goes_in(table: TableFile, record: str, reason: str) -> None:
    found = table.read('[\n{"title": "a"},\n' + record + ',\n{"title": "b"}\n]')
    assert [row.line for row in found] == [2, 3, 4]
    assert isinstance(found[1], ImportRejected)
    assert found[1].reason == reason


@pytest.mark.parametrize(
    ("record", "loss"),
    [
        ('{"title": "x", "year": 1e999}', "year must be a number, not 'inf'; skipped"),
        ('{"title": "x", "year": true}', "year must be a number, not 'True'; skipped"),
        ('{"title": "x", "year": [1]}', "year must be a number, not '[1]'; skipped"),
        ('{"title": "x", "genres": {"a": 1}}', "genres must be a list; skipped"),
        ('{"title": "x", "genres": [["a"]]}', "genres must be text; skipped"),
        ('{"title": "x", "added": NaN}', "added must be a date after 1970, not 'nan'; skipped"),
        ('{"title": "x", "cover_url": 7}', "cover_url must be an http or https URL, not '7'; skipped"),
        (
            '{"title": "x", "tracks": [{"title": "y", "duration_s": -1}]}',
            "tracks: duration_s must be a number, not '-1'; skipped",
        ),
    ],
)
def test_a_bad_value_of_a_record_is_left_out(table: TableFile, record: str, loss: str) -> None:
    [row] = table.rows(f"[{record}]")
    assert (row.title, row.losses) == ("x", (loss,))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\0\1\2", "this is not a text file"),
        (b"PK\x03\x04rest", "this is a spreadsheet or ZIP archive"),
        (b"\x1f\x8brest", "this file is compressed"),
        (b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(50).replace(b"\0", b""), "header"),
        (b"artist,year\nx,1970\n", "the first line must be a header row with a column named title, but it is 'artist,year'"),
        (b"hello", "a column named title"),
        (b"\n\n\n", "a column named title"),
        (b"title,Title\nx,y\n", "the column title appears twice"),
        (b"title," + b",".join(b"c%d" % n for n in range(300)) + b"\n", "more than 200 columns"),
        (b"x" * 300_000, "the line is longer than 128 KB"),
        (b"{}", "or an object with a list named albums"),
        (b'{"title": "x"}', "expected a JSON list of records"),
        (b"[", "the JSON is incomplete"),
        (b"[[[", "the JSON is incomplete or invalid"),
        (b"[" * 200_000, "the JSON is nested too deeply"),
        (b'["' + b"x" * 600_000, "a record is longer than 256 KB"),
        (b"[}", "an entry that is not a record"),
        (b'[{"title": "\xff"}]', "the JSON is not UTF-8 text"),
        (b'[{"title": "x", "year": ' + b"9" * 5000 + b"}]", "incomplete or invalid"),
    ],
    ids=lambda value: ascii(value[:20]) if isinstance(value, bytes) else "",
)
def test_what_is_no_table_at_all_has_one_clear_error(table: TableFile, content: bytes, reason: str) -> None:
    with pytest.raises(TableRejected) as caught:
        table.read(content)
    assert reason in caught.value.reason
    assert str(table.path) in str(caught.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(TableRejected, match=reason):
            list(read_table(path))


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (', {"title": "b"', "the JSON is incomplete or invalid. Nothing after this point was read"),
        (' {"title": "b"}]', "invalid JSON between two records. Nothing after this point was read"),
        (", }]", "the JSON contains an entry that is not a record. Nothing after this point was read"),
        ("", "the JSON is incomplete. Nothing after this point was read"),
    ],
)
def test_json_that_breaks_off_keeps_the_records_before(table: TableFile, tail: str, reason: str) -> None:
    found = table.read('[{"title": "a"}\n' + tail)
    assert isinstance(found[0], ImportRow)
    assert isinstance(found[1], ImportRejected)
    assert (found[1].line, found[1].reason) == (2, reason)


def test_a_quote_that_is_never_closed_costs_its_own_line_only(table: TableFile) -> None:
    found = table.read('title,artist\n"Heroes,Bowie\nLow,Bowie\n"Lodger",Bowie\n"Never\n')
    assert [(row.line, getattr(row, "reason", None) or row.title) for row in found] == [  # type: ignore[union-attr]
        (2, "not a CSV row: a quotation mark is not closed"),
        (3, "Low"),
        (4, "Lodger"),
        (5, "not a CSV row: a quotation mark is not closed"),
    ]


def test_a_huge_line_in_the_middle_costs_itself_only(table: TableFile) -> None:
    found = table.read(b"title\na\n" + b"x" * 500_000 + b"\nb\n" + b'"c\n' + b"y" * 200_000 + b"\nd\n")
    assert [(row.line, getattr(row, "reason", None) or row.title) for row in found] == [  # type: ignore[union-attr]
        (2, "a"),
        (3, "the line is longer than 128 KB"),
        (4, "b"),
        (5, "not a CSV row: a quotation mark is not closed"),
        (6, "the line is longer than 128 KB"),
        (7, "d"),
    ]


def test_a_cell_may_have_lines_and_a_row_may_be_short_or_have_empty_cells_too_many(table: TableFile) -> None:
    rows = table.rows('title,artist,notes\n"Two\nlines",A,"first\nsecond"\nT\nU,,,,\n')
    assert [(row.line, row.title, row.notes) for row in rows] == [
        (2, "Two lines", "first\nsecond"),
        (3, "T", None),  # as the sheet counts, not the file
        (4, "U", None),
    ]


def test_cells_beyond_the_header_go_to_the_notes(table: TableFile) -> None:
    [row] = table.rows("title,artist\nLow, Bowie, 1977\n")
    assert (row.title, row.artist, row.notes) == ("Low", "Bowie", "More cells: 1977")
    assert row.losses == ("3 columns, but the header has 2: the rest is in the notes",)


def test_a_column_that_is_almost_ours_is_named_once(table: TableFile) -> None:
    """A table with `Genre` and `Cover` came in without a word, and the wall had no genres and no covers."""
    rows = table.rows(
        "Title,Artist,Genre,Cover,Formats,Format,Label\nLow,Bowie,Rock,http://a.example/1.jpg,LP,x,RCA\nA,B,Pop,,,,\n"
    )
    assert rows[0].notes == "Genre: Rock\nCover: http://a.example/1.jpg\nFormat: x"
    assert rows[0].losses == (
        "column 'Genre' goes into the notes. If it means genres, rename the column",
        "column 'Cover' goes into the notes. If it means cover_url, rename the column",
    ), "Format is no slip: the table has Formats as well"
    assert rows[1].losses == ()


def test_old_excels_write_windows_1252(table: TableFile) -> None:
    rows = table.rows("title;artist\nNächte;Björk\n“Heroes”;Ærø\n".encode("cp1252"))
    assert [(row.title, row.artist) for row in rows] == [("Nächte", "Björk"), ("“Heroes”", "Ærø")]


def test_one_broken_letter_in_a_utf8_file_costs_no_row(table: TableFile) -> None:
    content = "title\nÄ\n".encode() + b"\xff\xfe\n" + "Ö\n".encode()
    rows = table.rows(content)
    assert [(row.line, row.title) for row in rows] == [(2, "Ä"), (3, "ÿþ"), (4, "Ö")]
    assert rows[1].losses == ("a character in this row is not UTF-8; read as Windows-1252",)


@pytest.mark.parametrize(
    ("written", "year"),
    [("1969", 1969), (" 1969 ", 1969), ("1969.0", 1969), ("1969-03-01", 1969), ("1969-03", 1969), ("0", None), ("", None)],
)
def test_years_as_spreadsheets_and_others_write_them(table: TableFile, written: str, year: int | None) -> None:
    assert table.rows(f"title,year\nT,{written}\n")[0].year == year


def test_values_are_tidied(table: TableFile) -> None:
    [row] = table.rows("title,artist,genres\n  Bjo\u0308rk \t x ,a\u00a0b,Rock;; Rock ;Pop;\n")
    assert (row.title, row.artist, row.genres) == ("Björk x", "a b", ("Rock", "Pop"))
    assert table.rows(f"title\n{'é' * 200}\n")[0].title == "é" * 200


# The way back


def albums(count: int, seed: int = 1) -> list[Album]:
    rng = random.Random(seed)

    def text(longest: int = 30) -> str:
        made = "".join(rng.choice("aäßŁ椎🎵 '\"=+-@;,|[]{}\\/<>&%0") for _ in range(rng.randint(1, longest)))
        return " ".join(made.split()) or "x"

    def several() -> tuple[str, ...]:
        return tuple(dict.fromkeys(text(10) for _ in range(rng.randint(0, 3))))

    return [
        Album(
            id=number,
            source="table",
            source_id=f"row-{number}",
            title=text(),
            artist=text(),
            artist_sort="",
            title_sort="",
            year=rng.choice([None, 1969, 2024]),
            genres=several(),
            styles=several(),
            formats=several(),
            label=text(),
            catno=text(),
            rating=rng.choice([None, 1, 5]),
            media_condition=text(),
            sleeve_condition=text(),
            notes="\n".join(text() for _ in range(rng.randint(1, 4))),
            cover_url=rng.choice([None, "https://covers.example/a%20b.jpg?x=1&y=é"]),
            tracks=tuple(Track(text(3), text(), rng.choice([None, 0, 200])) for _ in range(rng.randint(0, 3))),
            added_at=rng.choice([0.0, 1.5e9, 1_600_000_000.25]),
            plays=rng.randint(0, 99),
        )
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".CSV"])
def test_what_is_written_is_what_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    written = albums(300)
    assert write_table(path, written) == 300
    read = list(read_table(path))
    for album, row in zip(written, read, strict=True):
        assert isinstance(row, ImportRow), row
        for name in ImportRow.__slots__:
            if name not in ("line", "counts_copies", "played_at", "losses"):
                expected = getattr(album, name)
                # Nothing and "not said" are one in a table.
                assert getattr(row, name) == (None if expected in ((), "") else expected), name


def test_an_export_is_readable_by_its_owner_only_and_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_table(path, albums(2))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()

    def broken() -> "list[Album]":
        yield from albums(1)  # type: ignore[misc]
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_table(path, broken())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(("name", "reason"), [("out.txt", "must end in .csv or .json"), ("no/out.csv", "No such file")])
def test_an_export_that_cannot_be_written_says_why(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(TableRejected, match=reason):
        write_table(tmp_path / name, [])


def test_nothing_in_an_export_is_a_formula_for_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_table(
        path,
        [Album(id=1, source="table", source_id="=1", title="=1+1", artist="@x", artist_sort="", title_sort="", genres=("-1",))],
    )
    assert path.read_text(encoding="utf-8-sig").splitlines()[1].startswith("1,table,'=1,'=1+1,'@x,,'-1,")


@pytest.mark.parametrize("mark", [";", ",", "\t", "|"])
def test_nor_is_what_another_separator_makes_a_cell(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "out.csv"
    notes = f"a{mark}=1+1{mark}'+2{mark}@x"
    write_table(
        path, [Album(id=1, source="table", source_id="1", title="T", artist="", artist_sort="", title_sort="", notes=notes)]
    )
    cells = [cell.strip('"') for cell in path.read_text(encoding="utf-8-sig").splitlines()[1].split(mark)]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")]
    [row] = read_table(path)
    assert isinstance(row, ImportRow)
    assert row.notes == notes


@pytest.mark.parametrize("piece", ["a", " ", '"', "'", "=", ";", "[", "{", "1", "1:", "http://", "\u0301", "-", "%", "\\"])
def test_no_cell_is_dear(table: TableFile, piece: str) -> None:
    cell = (piece * 100_000)[:100_000]
    for name in (*COLUMNS, "unknown"):
        content = json.dumps([{"title": "T", name: cell}], ensure_ascii=False).encode()
        table.path.write_bytes(content)
        assert any(work_s(table.path) < 0.02 for _ in range(5)), name
    table.path.write_bytes(f"title,artist\nT,{cell}\nU,\n".encode())
    assert list(read_table(table.path))
    assert any(work_s(table.path) < 0.05 for _ in range(5))


def work_s(path: Path) -> float:
    """Return what one reading costs this thread; once in a while that is Python tidying up after other tests."""
    began = time.thread_time()
    list(read_table(path))
    return time.thread_time() - began


_MEASURE = """
import resource, sys
from pathlib import Path
from image_cache.tables.read import read_table
from image_cache.import_models import ImportRow
good = sum(isinstance(row, ImportRow) for row in read_table(Path(sys.argv[1])))
print(good, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path, kind: str) -> None:
    peaks = []
    for count in (1000, 60_000):
        path = tmp_path / f"{count}.{kind}"
        with path.open("w", encoding="utf-8") as file:
            if kind == "csv":
                file.write("title,artist,notes\n")
                file.writelines(f"T{n},Ä,{'n' * 800}\n" for n in range(count))
            else:
                file.write("[")
                file.writelines(
                    f'{"," if n else ""}{{"title": "T{n}", "artist": "Ä", "notes": "{"n" * 800}"}}' for n in range(count)
                )
                file.write("]")
        out = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True).stdout
        good, peak = map(int, out.split())
        assert good == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 4 * 1024  # KB; the large file has 50 MB
