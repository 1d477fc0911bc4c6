"""Music folders on the page and by command, notes of one's own, and what random says, as visitors meet them."""

import re
from pathlib import Path

import pytest

from image_cache.import_models import ImportRow
from tests.support.inside import Inside, form_token, page_token
from tests.support.music import PICTURE, song
from tests.support.vault import wait_until

LONGEST = 5000


@pytest.fixture
def media(tmp_path: Path) -> Path:
    found = tmp_path / "media"
    for track in (1, 2):
        song(
            found / "stick" / "x" / f"{track}.mp3",
            album="The <b>Name</b>",
            artist="Somebody",
            title=f"Song {track}",
            picture=PICTURE,
        )
    return found


@pytest.fixture
def chooser(media: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    with Inside(tmp_path / "vault", MUSIC_PARENTS=(str(media),)) as opened:
        yield opened


def send(client, address: str, /, **fields: str):  # type: ignore[no-untyped-def]
    return client.post(address, data={**fields, "csrf_token": page_token(client)})


def scanned(inside: Inside) -> None:
    rows = inside.services.tasks.rows
    wait_until(lambda: (latest := rows.latest("music")) is not None and latest.is_over, 30)


def test_an_operator_chooses_a_folder_sees_what_was_found_and_takes_it_away(chooser: Inside, media: Path) -> None:
    client = chooser.logged_in("operator")
    assert "No music folders yet" in client.get("/import/music").text
    answer = send(client, "/import/music/folders", path=str(media / "stick"))
    assert (answer.status_code, answer.location) == (303, "/import/music")
    scanned(chooser)
    page = client.get("/import/music")
    assert page.headers["Cache-Control"] == "no-store"
    assert f"<code>{media}/stick</code>" in page.text
    assert "1 record in 2 files" in page.text
    assert "2 files in 1 folder: 1 new." in page.text
    wall = client.get("/").text
    assert "The &lt;b&gt;Name&lt;/b&gt;" in wall
    assert "<b>Name" not in wall
    digest = chooser.services.covers.digest_of(next(chooser.services.library.albums()).picture or "")
    wait_until(lambda: chooser.services.covers.get(digest, "thumbnails") is not None, 30)
    again = send(client, "/import/music/scan")
    assert again.status_code == 303
    scanned(chooser)
    assert send(client, "/import/music/folders/remove", path=str(media / "stick")).status_code == 303
    assert "No music folders yet" in client.get("/import/music").text
    assert chooser.services.library.count() == 1
    assert send(client, "/import/music/folders/remove", path="/etc").status_code == 404


def test_what_cannot_be_chosen_says_why_and_stays_typed(chooser: Inside) -> None:
    client = chooser.logged_in("operator")
    answer = send(client, "/import/music/folders", path="/etc/<b>")
    assert answer.status_code == 400
    assert "Choose a folder inside" in answer.text
    assert 'value="/etc/&lt;b&gt;"' in answer.text
    assert chooser.services.tasks.rows.recent() == []


def test_strangers_find_the_door_and_owners_no_folders(chooser: Inside, media: Path) -> None:
    owner = chooser.logged_in("owner")
    chooser.services.music.roots.choose(str(media / "stick"))
    stranger = chooser.stranger()
    assert stranger.get("/import/music").status_code == 401
    assert owner.get("/import/music").status_code == 403
    for client in (stranger, owner):
        for path in ("/import/music/scan", "/import/music/folders", "/import/music/folders/remove"):
            answer = send(client, path, path=str(media / "stick"))
            assert answer.status_code in (401, 403)
            assert str(media) not in answer.text
    assert chooser.services.tasks.rows.recent() == []
    assert chooser.services.music.roots.dirs() == [str(media / "stick")]


def test_a_scan_that_failed_says_why_on_the_page(chooser: Inside) -> None:
    client = chooser.logged_in("operator")
    send(client, "/import/music/scan")
    scanned(chooser)
    assert "No music folders are set up." in client.get("/import/music").text


def test_the_command_scans_makes_a_root_of_a_folder_and_names_problems(tmp_path: Path, media: Path) -> None:
    (media / "stick" / "x" / "3.flac").write_bytes(b"fLaC")
    with Inside(tmp_path / "vault", settled=False, MUSIC_PARENTS=("none",)) as inside:
        run = inside.app.test_cli_runner().invoke
        none = run(args=["albums", "scan"])
        assert (none.exit_code, none.stderr.startswith("Error: No music folders are set up.")) == (1, True), none.stderr
        done = run(args=["albums", "scan", str(media)])
        assert (done.exit_code, done.stdout) == (0, "3 files in 1 folder: 1 new.\n")
        assert "  stick/x/3.flac: cannot be read" in done.stderr
        below = run(args=["albums", "scan", str(media / "stick")])
        assert below.stdout == "3 files in 1 folder: no changes.\n"
        assert inside.services.music.roots.dirs() == [str(media)]
        refused = run(args=["albums", "scan", "/proc/self"])
        assert (refused.exit_code, "this is a system folder" in refused.stderr) == (1, True)
        assert run(args=["albums", "scan", str(media / "nowhere")]).exit_code == 2


LONG = " ".join(["Wordy"] * 45)


def test_a_heap_of_downloads_is_shown_as_its_albums_and_nothing_else_is(chooser: Inside, media: Path) -> None:
    """A folder without any order, through the real service: what the page counts, what it links to, what the report says."""
    heap = media / "Downloads"
    for artist in ("Abbess", "Queenie"):
        for album in ("Hits", f"Only by {artist}"):
            for track in (1, 2):
                name = f"{artist} - {album} - {track}"
                song(heap / f"{name}.mp3", album=album, artist=artist, albumartist=artist, title=name, track=str(track))
    for number in (1, 2):
        song(
            heap / f"Set CD{number}" / "1.flac", album="Set", artist="Band", title=f"Disc {number}", track="1", disc=f"{number}/2"
        )
    song(heap / "long.mp3", album="=" + LONG, artist="Somebody", title="T", track="1")
    (heap / "other.dff").write_bytes(b"music")
    chooser.services.library.import_rows([ImportRow(1, "Bought as a file", "Another", formats=("File",))])
    client = chooser.logged_in("operator")
    send(client, "/import/music/folders", path=str(heap))
    scanned(chooser)
    page = client.get("/import/music").text
    assert "6 records in 11 files" in page
    assert "1 DFF file skipped" in page
    assert "Set CD" not in page.partition("Show shortened texts")[2]
    (address,) = re.findall(r'href="([^"]*)">Show these records', page)
    wall = client.get(address).text
    assert re.findall(r"<h1>Records<sup>(\d+)</sup>", wall) == ["6"]
    assert "records from music folders" in wall
    assert "Bought as a file" not in wall
    assert wall.count('class="tile"') == 6
    (report,) = re.findall(r'href="(/import/music/\d+/report.csv)"', page)
    answer = client.get(report)
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    head, line, *rest = answer.text.removeprefix("\ufeff").splitlines()
    assert (head, rest) == ("folder,artist,title,what", [])
    assert line.startswith(",Somebody,'=Wordy")
    assert line.endswith(",title is too long (maximum 200 characters); shortened")
    (heap / "long.mp3").unlink()
    send(client, "/import/music/scan")
    scanned(chooser)
    assert "5 records in 10 files" in client.get("/import/music").text
    assert re.findall(r"<h1>Records<sup>(\d+)</sup>", client.get(address).text) == ["5"], "one is gone, and not found any more"


def test_the_command_says_what_it_cut_and_writes_it_as_a_table(tmp_path: Path, media: Path) -> None:
    song(media / "stick" / "long" / "1.mp3", album=LONG, artist="Somebody", title="T", track="1")
    with Inside(tmp_path / "vault", settled=False, MUSIC_PARENTS=("none",)) as inside:
        done = inside.app.test_cli_runner().invoke(args=["albums", "scan", str(media), "--report", str(tmp_path / "cut.csv")])
        title = " ".join(["Wordy"] * 33)
        assert done.exit_code == 0, done.stderr
        assert f"  stick/long: Somebody, {title}: title is too long (maximum 200 characters); shortened" in done.stderr
        assert "1 record with a shortened text." in done.stdout
        lines = (tmp_path / "cut.csv").read_text("utf-8-sig").splitlines()
        assert lines == [
            "folder,artist,title,what",
            f"stick/long,Somebody,{title},title is too long (maximum 200 characters); shortened",
        ]


# Notes and stars


def test_stars_are_given_shown_and_taken_back(inside: Inside) -> None:
    record = inside.album()
    client = inside.logged_in("owner")
    page = client.get(f"/album/{record}").text
    assert page.count('name="stars"') == 5
    assert 'aria-pressed="true"' not in page
    answer = send(client, f"/album/{record}/stars", stars="4")
    assert (answer.status_code, answer.location) == (303, f"/album/{record}?done=stars")
    page = client.get(f"/album/{record}?done=stars").text
    assert "Rated 4 of 5 stars." in page
    assert page.count('class="given"') == 4
    assert (
        '<button type="submit" name="stars" value="0" aria-label="4 of 5 stars, remove rating" class="given" aria-pressed="true">'
        in page
    )
    send(client, f"/album/{record}/stars", stars="0")
    assert inside.services.library.album(record).rating is None  # type: ignore[union-attr]
    assert "Rating removed." in client.get(f"/album/{record}?done=stars").text


@pytest.mark.parametrize("stars", ["6", "-1", "many", "", "4.5"])
def test_what_is_no_number_of_stars_is_refused(inside: Inside, stars: str) -> None:
    record = inside.album()
    client = inside.logged_in("owner")
    send(client, f"/album/{record}/stars", stars="2")
    assert send(client, f"/album/{record}/stars", stars=stars).status_code == 400
    assert inside.services.library.album(record).rating == 2  # type: ignore[union-attr]
    assert send(client, "/album/999/stars", stars="2").status_code == 404


def test_guests_see_stars_and_give_none(inside: Inside) -> None:
    record = inside.album()
    inside.account()
    inside.services.library.rate(record, 3)
    guest = inside.stranger()
    page = guest.get(f"/album/{record}").text
    assert "3 of 5" in page
    assert 'name="stars"' not in page
    assert guest.post(f"/album/{record}/stars", data={"stars": "5", "csrf_token": form_token(guest)}).status_code == 401
    assert inside.services.library.album(record).rating == 3  # type: ignore[union-attr]


def test_notes_are_written_shown_found_and_inert(inside: Inside) -> None:
    record = inside.album()
    client = inside.logged_in("owner")
    page = client.get(f"/album/{record}").text
    assert f'href="/album/{record}?notes=1#notes"' in page
    assert f'href="/album/{record}/cover"' in page
    assert page.index("Spin another") < page.index(">Notes<") < page.index(">Cover<")
    assert "<textarea" not in page
    form = client.get(f"/album/{record}?notes=1").text
    assert 'maxlength="5000"' in form
    answer = send(client, f"/album/{record}/notes", own_notes="</textarea><script>alert(1)</script>\r\nsecond line")
    assert (answer.status_code, answer.location) == (303, f"/album/{record}?done=notes#notes")
    for path in (f"/album/{record}", f"/album/{record}?notes=1"):
        text = client.get(path).text
        assert "&lt;/textarea&gt;&lt;script&gt;alert(1)&lt;/script&gt;\nsecond line" in text
        assert "<script>alert" not in text
    assert f"/album/{record}" in client.get("/search?q=second+line").text


def test_notes_that_are_too_long_are_refused_and_stay_typed(inside: Inside) -> None:
    record = inside.album()
    client = inside.logged_in("owner")
    send(client, f"/album/{record}/notes", own_notes="before")
    answer = send(client, f"/album/{record}/notes", own_notes="x" * (LONGEST + 1))
    assert answer.status_code == 400
    assert "The notes are too long: 5,001 characters, and the limit is 5,000." in answer.text
    assert "x" * (LONGEST + 1) in answer.text
    assert inside.services.library.album(record).own_notes == "before"  # type: ignore[union-attr]


def test_guests_neither_read_nor_write_notes(inside: Inside) -> None:
    record = inside.album()
    inside.account()
    inside.services.library.write_notes(record, "For the household")
    guest = inside.stranger()
    page = guest.get(f"/album/{record}?notes=1").text
    assert "For the household" not in page
    assert "<textarea" not in page
    assert ">Notes</a>" not in page
    answer = guest.post(f"/album/{record}/notes", data={"own_notes": "mine", "csrf_token": form_token(guest)})
    assert answer.status_code == 401
    assert inside.services.library.album(record).own_notes == "For the household"  # type: ignore[union-attr]
    assert send(inside.logged_in_again(), "/album/999/notes", own_notes="x").status_code == 404


# Random


def test_random_goes_where_it_was_told_to_and_says_why(inside: Inside) -> None:
    rows = [ImportRow(2, f"T{n}", "A", genres=("Jazz" if n % 2 else "R&B",), year=1959 + n % 3 * 10) for n in range(12)]
    inside.services.library.import_rows(rows)
    client = inside.stranger()
    answer = client.get("/random?genre=R%26B&decade=1960")
    assert answer.status_code == 302
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"/album/\d+\?spun=1&genre=R%26B&decade=1960", answer.location or "")
    page = client.get(answer.location or "").text
    assert "R&amp;B of the 1960s, added this week." in page
    assert 'href="/random?genre=R%26B&amp;decade=1960">Spin another' in page
    plain = client.get(client.get("/random").location or "").text
    assert '<p class="why">Added this week.</p>' in plain
    assert 'class="why"' not in client.get("/album/1").text
    nothing = client.get("/random?genre=Polka")
    assert nothing.location == "/spin?genre=Polka"
    assert client.get("/random?decade=196").status_code == 400
    assert client.get("/?genre=Jazz").text.count('href="/random?genre=Jazz&amp;decade="') == 1
    assert client.get("/random?genre=%00%ff%22").status_code == 302
