"""Old plays: every export is read, tracks become sittings of records, the rest is listed, and an import is undone."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.errors import TableRejected
from image_cache.import_models import ImportRow
from image_cache.importers.plays.listens import Listen, read_listens
from image_cache.importers.plays.match import NO_RECORD, SEVERAL, TOO_FEW, FoundPlay, RecordMatcher, plays_from
from image_cache.importers.plays.service import IMPORT, PREVIEW
from image_cache.models import Album, Track
from tests.support.inside import Inside

NOW = 1_800_000_000.0
AT = 1_764_440_000  # 2025-11-29 18:13:20 UTC


def lb(at: int, artist: str, track: str, release: str | None = None) -> dict[str, object]:
    return {"listened_at": at, "track_metadata": {"artist_name": artist, "track_name": track, "release_name": release}}


def read(tmp_path: Path, content: str | bytes, name: str = "plays") -> list[tuple[float, str, str, str] | str]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [
        (row.at, row.artist, row.record, row.track) if isinstance(row, Listen) else f"{row.line}: {row.reason}"
        for row in read_listens(path, NOW)
    ]


def test_a_json_export_of_listenbrainz_also_with_bad_entries(tmp_path: Path) -> None:
    rows = [
        lb(AT, "Björk", "Jóga", "Homogenic"),
        lb(AT + 1, "Björk", "Hunter"),
        7,
        {"listened_at": AT},
        lb(2_000_000_000, "A", "B"),
    ]
    found = read(tmp_path, json.dumps(rows))
    assert found[:2] == [(AT, "Björk", "Homogenic", "Jóga"), (AT + 1, "Björk", "", "Hunter")]
    assert "not a play" in str(found[2])
    assert "artist" in str(found[3])
    assert "in the past" in str(found[4])


def test_json_lines_and_the_zip_that_listenbrainz_sends(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(lb(AT + n, "A", f"Song {n}", "R")) for n in range(3)) + "\n{broken\n"
    found = read(tmp_path, lines)
    assert [row[3] for row in found[:3] if not isinstance(row, str)] == ["Song 0", "Song 1", "Song 2"]
    assert found[3] == "4: not a line of JSON"
    with zipfile.ZipFile(tmp_path / "export", "w") as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("listens/2025/11.jsonl", lines)
        archive.writestr("listens/2025/12.jsonl", lines)
    assert len(list(read_listens(tmp_path / "export", NOW))) == 8


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Ann,Low,Speed,15 Apr 2015 10:28\nAnn,Low,Sound,\n", (1429093680.0, "Ann", "Low", "Speed")),
        (
            "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n1429093680,x,Ann,,Low,,Speed,\n",
            (1429093680.0, "Ann", "Low", "Speed"),
        ),
        ("played_at;artist;title\n2015-04-15T10:28:00Z;Ann;Low\n", (1429093680.0, "Ann", "Low", "")),
        ("date,artist,album,title\n2015-04-15 10:28,Ann,Low,Speed\n", (1429093680.0, "Ann", "Low", "Speed")),
        ("﻿Played_At\tArtist\tTitle\r\n1429093680\tAnn\tLow\r\n", (1429093680.0, "Ann", "Low", "")),
    ],
)
def test_csv_of_last_fm_and_ones_own(tmp_path: Path, content: str, expected: tuple[float, str, str, str]) -> None:
    assert read(tmp_path, content)[0] == expected


def test_a_cell_costs_its_row_and_old_letters_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path, "played_at,artist,title\nyesterday,A,B\n2015-04-15,Bj\xf6rk,Debut\n,,\n1429093680,,B\n".encode("cp1252")
    )
    assert "must be a date" in str(found[0])
    assert found[1] == (1429056000.0, "Björk", "Debut", "")
    assert "artist" in str(found[2])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "header row"),
        ("[{", "incomplete"),
        ("PK\x03\x04x", "damaged"),
        ("a\0\0b", "not a text file"),
    ],
)
def test_a_file_that_is_none_of_them_is_rejected_as_a_whole(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(TableRejected, match=reason):
        read(tmp_path, content)


def album(number: int, artist: str, title: str, *positions: str) -> Album:
    return Album(number, "", "", title, artist, "", "", tracks=tuple(Track(one, f"Song {one}") for one in positions))


RECORDS = [
    album(1, "The Sills", "Low (Deluxe Edition)", "A1", "A2", "B1", "B2"),
    album(2, "Ada Quill", "Penstock"),
    album(3, "Ada Quill", "Second", "A1", "A2"),
    album(4, "Ada Quill", "Third", "A1", "A2"),
]


def matched(*listens: Listen) -> tuple[list[FoundPlay], list[tuple[str, str, int, str]]]:
    matcher = RecordMatcher({one.artist for one in listens}, RECORDS)
    plays, unmatched = plays_from(listens, matcher)
    return plays, [(one.artist, one.title, one.count, one.reason) for one in unmatched]


def test_tracks_of_an_evening_are_one_play_with_its_sides() -> None:
    plays, unmatched = matched(
        Listen(1, AT, "sills", "LOW", "Song A1"),
        Listen(2, AT + 600, "The Sills", "Low [Remastered]", "song a2"),
        Listen(3, AT + 1200, "The Sills", "Low", "Song B1"),
        Listen(4, AT + 90_000, "The Sills", "", "Song B2 - 2011 Remaster"),
    )
    assert plays == [FoundPlay(1, AT, ("Side A", "Side B")), FoundPlay(1, AT + 90_000, ("Side B",))]
    assert unmatched == []


def test_one_track_of_a_record_without_tracks_is_no_play_and_three_are() -> None:
    one = Listen(1, AT, "Ada Quill", "Penstock", "x")
    plays, unmatched = matched(one)
    assert (plays, unmatched) == ([], [("Ada Quill", "Penstock", 1, TOO_FEW)])
    more = [Listen(n, AT + n, "Ada Quill", "Penstock", f"x{n}") for n in range(3)]
    assert matched(*more)[0] == [FoundPlay(2, AT, ())]


def test_a_row_without_a_track_is_a_play_and_what_has_no_record_is_listed() -> None:
    plays, unmatched = matched(
        Listen(1, AT, "Ada Quill", "Penstock", ""),
        Listen(2, AT, "Someone", "Else", ""),
        Listen(3, AT + 1, "Someone", "Else", ""),
        Listen(4, AT, "Ada Quill", "", "Song A1"),
    )
    assert plays == [FoundPlay(2, AT, ())]
    assert unmatched == [("Someone", "Else", 2, NO_RECORD), ("Ada Quill", "Song A1", 1, SEVERAL)]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault") as opened:
        opened.services.library.import_rows([ImportRow(1, "Penstock", "Ada Quill"), ImportRow(2, "Low", "Ann", plays=4)])
        yield opened


def taken(inside: Inside, tmp_path: Path, content: str) -> dict[str, object]:
    importer, tasks = inside.services.plays_import, inside.services.tasks
    path = tmp_path / "plays.csv"
    path.write_text(content, encoding="utf-8")
    with path.open("rb") as file:
        looked = importer.upload(file, "plays.csv", None)
    assert looked is not None
    tasks.wait(looked, 60)
    state = tasks.latest(PREVIEW)
    assert state is not None
    assert state.state == "done", state
    started = importer.start_import(looked)
    assert started is not None
    tasks.wait(started, 60)
    ended = tasks.latest(IMPORT)
    assert ended is not None
    assert ended.state == "done", ended
    assert ended.outcome["plays"] == state.outcome["plays"]
    return ended.outcome


def test_plays_are_counted_once_however_often_the_file_is_imported_and_an_undo_removes_them(
    inside: Inside, tmp_path: Path
) -> None:
    content = "played_at,artist,title\n2015-04-15 10:00,Ann,Low\n2016-04-15 10:00,Ann,Low\n2016-04-15,Nobody,Nothing\nx,Ann,Low\n"
    outcome = taken(inside, tmp_path, content)
    assert (outcome["plays"], outcome["records"], outcome["rejected_count"]) == (2, 1, 1)
    assert outcome["unmatched"] == [["Nobody", "Nothing", 1, 1460678400.0, NO_RECORD]]
    low = next(one for one in inside.services.library.albums() if one.title == "Low")
    assert (low.plays, low.last_played_at) == (6, 1460714400.0)
    again = taken(inside, tmp_path, content + "2017-01-01 10:00,Ann,Low\n")
    assert (again["plays"], again["known"]) == (1, 2)
    first, second = reversed(inside.services.plays_import.imports())
    assert (first.plays, second.plays) == (2, 1)
    assert inside.services.plays_import.undo(first.id) == 2
    low = next(one for one in inside.services.library.albums() if one.title == "Low")
    assert (low.plays, low.last_played_at) == (5, 1483264800.0)
    assert [play.played_at for play in inside.services.turntable.history(10)] == [1483264800.0]
    assert inside.services.plays_import.undo(first.id) is None


def test_imported_plays_are_not_scrobbled(inside: Inside, tmp_path: Path) -> None:
    taken(inside, tmp_path, "played_at,artist,title\n2015-04-15 10:00,Ann,Low\n")
    assert inside.services.scrobbling.rows.heard(NOW, 10) == []
