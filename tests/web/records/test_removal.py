"""Removing records on pages and by command: who may, what the pages say, what comes back with a sync, a scan or a table."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.import_models import ImportRow
from image_cache.models import Album, AlbumQuery
from tests.cli.content.test_flask_commands import run
from tests.importers.discogs.test_sync import by_instance, connect, inside_at, sync
from tests.importers.music.test_scan import record
from tests.support.discogs import TOKEN, DiscogsServer
from tests.support.inside import Inside, form_token, page_token
from tests.support.music import MusicShelf
from tests.support.origin import jpeg

GONE = ("/import/discogs/gone", "/import/music/gone")


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", settled=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def process() -> Iterator[DiscogsServer]:
    with DiscogsServer(window_s=1.0) as running:
        yield running


@pytest.fixture
def discogs(process: DiscogsServer) -> DiscogsServer:
    process.control(reset=12)
    return process


def keeper(inside: Inside) -> FlaskClient:
    """Return an operator's browser: one on the machine itself, so that no password has to be worked out."""
    return inside.client(accept="text/html")


def send(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def put(inside: Inside, title: str = "Low Water Mark", source: str = "table", **other: object) -> Album:
    """Put a record of a source on the shelf and return it."""
    row = ImportRow(line=2, title=title, artist="Brine Parliament", source=source, source_id=title, **other)  # type: ignore[arg-type]
    inside.services.library.import_rows([row])
    return max(inside.services.library.albums(), key=lambda album: album.id)


def leave(inside: Inside, *album_ids: int, at: float = 1_700_000_000.0) -> None:
    with inside.services.catalog.write() as conn:
        conn.executemany("UPDATE albums SET gone_at = ? WHERE id = ?", [(at, one) for one in album_ids])


def titles(inside: Inside) -> list[str]:
    return sorted(album.title for album in inside.services.library.albums())


def until_of(page: str) -> str:
    return page.partition('name="until" value="')[2].partition('"')[0]


# Who may


def test_only_operators_remove_and_only_they_are_offered_it(inside: Inside) -> None:
    album = put(inside)
    paths = (f"/album/{album.id}/remove", *GONE)
    stranger, owner = inside.stranger(), inside.logged_in("owner")
    for path in paths:
        asked = stranger.get(path)
        assert asked.status_code == 401
        assert album.title not in asked.text
        assert send(stranger, path, until="9e9").status_code == 401
        assert stranger.get(path, headers={"Accept": "application/json"}).status_code == 401
        assert (owner.get(path).status_code, send(owner, path, until="9e9").status_code) == (403, 403)
    inside.account("operator", "Op")
    operator = inside.client()  # on the machine itself
    assert all(operator.get(path, headers={"Accept": "text/html"}).status_code == 200 for path in paths)
    link = f'href="/album/{album.id}/remove"'
    offered = [link in client.get(f"/album/{album.id}").text for client in (stranger, owner, operator)]
    assert offered == [False, False, True]
    assert titles(inside) == [album.title]


def test_a_stranger_who_logs_in_finds_the_page_that_asks(inside: Inside) -> None:
    album = put(inside)
    inside.account()
    assert f'value="/album/{album.id}/remove"' in inside.stranger().get(f"/album/{album.id}/remove").text


def test_no_other_page_can_cause_it(inside: Inside) -> None:
    album = put(inside, source="discogs", instance_id="7")
    leave(inside, album.id)
    operator = inside.logged_in()
    for path in (f"/album/{album.id}/remove", *GONE):
        assert operator.post(path, data={"until": "9e9"}).status_code == 403
        fields = {"until": "9e9", "csrf_token": page_token(operator)}
        assert operator.post(path, data=fields, headers={"Origin": "http://elsewhere.example"}).status_code == 403
        assert operator.get(path).status_code == 200
    assert titles(inside) == [album.title]


# One record


def test_the_page_names_what_goes_and_the_wall_says_that_it_went_once(inside: Inside) -> None:
    album = put(inside, title="Low <b>Water</b>", rating=2)
    library, operator = inside.services.library, keeper(inside)
    library.record_play(album.id)
    library.record_play(album.id)
    library.write_notes(album.id, "Bought in\nKraków & <i>played</i>. " + "x" * 200)
    library.rate(album.id, 4)
    inside.services.artwork.editor.upload(album, jpeg())
    page = operator.get(f"/album/{album.id}/remove")
    assert page.headers["Cache-Control"] == "no-store"
    for said in (
        "<li>2 plays</li>",
        "<li>Your notes, “Bought in Kraków &amp; &lt;i&gt;played&lt;/i&gt;. xxx",
        "<li>Your uploaded cover</li>",
        "<li>Your rating (4 stars)</li>",
        "You can undo this for 30 days, and everything is as before.",
        "To get it back, import the table again. It comes back without the items above.",
        "Low &lt;b&gt;Water&lt;/b&gt;",
    ):
        assert said in page.text
    assert "x" * 100 not in page.text
    assert titles(inside) == [album.title]
    answer = send(operator, f"/album/{album.id}/remove")
    assert answer.status_code == 303
    assert "Removed: Brine Parliament, Low &lt;b&gt;Water&lt;/b&gt;." in operator.get(answer.location).text
    assert operator.get(f"/album/{album.id}").status_code == 404
    assert send(operator, f"{answer.location}/undo").status_code == 303
    assert "1 record put back." in operator.get(answer.location).text
    back = library.album(album.id)
    assert back is not None
    assert (back.plays, back.rating, back.own_notes[:10]) == (2, 4, "Bought in\n")
    assert [path for path in (inside.folder / "state/own_covers").rglob("*") if path.is_file()]
    assert [found.id for found in library.page(AlbumQuery(text="krakow"), 1).albums] == [album.id]


def test_a_record_with_nothing_of_ones_own_says_so_and_the_last_one_leads_to_the_first_page(inside: Inside) -> None:
    album = put(inside, rating=3, notes="of the table")
    operator = keeper(inside)
    page = operator.get(f"/album/{album.id}/remove").text
    assert "This record has no plays, notes, rating or uploaded cover, so nothing of yours is lost." in page
    assert "This also removes" not in page
    done = operator.post(
        f"/album/{album.id}/remove",
        data={"csrf_token": form_token(operator, f"/album/{album.id}/remove")},
        follow_redirects=True,
    )
    assert "Removed: Brine Parliament, Low Water Mark." in done.text
    assert "Nothing on the wall yet" in operator.get("/").text


def test_a_record_that_is_not_there_is_not_found(inside: Inside) -> None:
    operator = keeper(inside)
    for album_id in (77, 2**63, 10**40):
        for answer in (operator.get(f"/album/{album_id}/remove"), send(operator, f"/album/{album_id}/remove")):
            assert answer.status_code == 404
            assert f"Record {album_id} does not exist. It may have been removed." in answer.text


def test_of_two_who_remove_the_same_record_the_second_is_told(inside: Inside) -> None:
    one, other = put(inside), put(inside, "Other")
    first, second = keeper(inside), keeper(inside)
    path = f"/album/{one.id}/remove"
    assert (first.get(path).status_code, second.get(path).status_code) == (200, 200)
    assert [send(client, path).status_code for client in (first, second)] == [303, 404]
    assert titles(inside) == [other.title]


def test_of_several_at_the_same_moment_one_is_told_that_it_went(inside: Inside) -> None:
    album = put(inside)
    clients = [keeper(inside) for _ in range(6)]
    tokens = [page_token(client) for client in clients]
    together = threading.Barrier(len(clients))
    statuses: list[int] = []

    def ask(client: FlaskClient, token: str) -> None:
        together.wait(30)
        statuses.append(client.post(f"/album/{album.id}/remove", data={"csrf_token": token}).status_code)

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(clients, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [303, 404, 404, 404, 404, 404]


def test_a_sentence_about_names_without_end_is_cut(inside: Inside) -> None:
    row = ImportRow(line=2, title="\N{MUSICAL SYMBOL G CLEF}" * 200, artist="漢" * 200)
    inside.services.library.import_rows([row])
    album = next(inside.services.library.albums())
    operator = keeper(inside)
    answer = send(operator, f"/album/{album.id}/remove")
    assert "Set-Cookie" not in answer.headers
    assert "漢…, " in operator.get(answer.location).text


BACK = (
    ("table", False, False, "To get it back, import the table again."),
    ("demo", False, False, "To get it back, add the demo records again."),
    ("discogs", True, False, "Connect Discogs again and sync, as long as it is still in your collection there."),
    ("discogs", False, False, "To get it back, import the table again."),
    ("music", False, True, "Its folder is missing. If the folder comes back, the next scan imports the record again."),
    ("music", False, False, "Its folder is no longer scanned. Add the folder again and scan it to get the record back."),
    # From here on with a token.
    ("discogs", True, False, "It is still in your Discogs collection, so the next sync will import it again."),
    ("discogs", True, True, "It is no longer in your Discogs collection. Add it back there and sync."),
    ("discogs", False, False, "To get it back, import the table again, or sync with Discogs if it is in your collection there."),
    ("hand", False, False, "It was typed by hand. To get it back, type it again."),
)


def test_the_page_says_what_would_bring_it_back(inside: Inside) -> None:
    operator = keeper(inside)
    for number, (source, is_a_copy, is_gone, says) in enumerate(BACK):
        if number == 6:
            inside.services.discogs.tokens.write(TOKEN)
        album = put(inside, f"Title {number}", source, instance_id=str(number) if is_a_copy else "")
        if is_gone:
            leave(inside, album.id)
        assert f'<p class="second">{says}</p>' in operator.get(f"/album/{album.id}/remove").text


# What is gone from its source


@pytest.mark.parametrize(("source", "path"), [("discogs", "/import/discogs"), ("music", "/import/music")])
def test_what_is_gone_is_listed_by_what_is_in_it_and_only_what_has_nothing_goes(inside: Inside, source: str, path: str) -> None:
    plain, played, noted, back, there = (
        put(inside, name, source) for name in ("Plain", "Played", "Noted", "Back again", "There")
    )
    operator, library = keeper(inside), inside.services.library
    assert "/gone" not in operator.get(path).text
    assert "Nothing to remove" in operator.get(f"{path}/gone").text
    leave(inside, *(one.id for one in (plain, played, noted, back)))
    library.record_play(played.id)
    assert f'href="{path}/gone">Remove these 4 records' in operator.get(path).text
    page = operator.get(f"{path}/gone").text
    assert "Remove 4 records?" in page
    assert "1 of 4" in page
    kept, _, rest = page.partition('id="plain"')
    assert ("Played</a> <small>1 play</small>" in kept, "Plain</a>" in rest, "There</a>" in page) == (True, True, False)
    assert 'type="checkbox" name="keep" value="1" checked' in page
    until = until_of(page)
    # Meanwhile someone writes about one, one comes back, and one more goes.
    library.write_notes(noted.id, "mine")
    with inside.services.catalog.write() as conn:
        conn.execute("UPDATE albums SET gone_at = NULL WHERE id = ?", (back.id,))
    leave(inside, there.id, at=1_700_000_100.0)
    answer = send(operator, f"{path}/gone", until=until, keep="1")
    assert (answer.status_code, answer.location) == (303, f"{path}?done=removed")
    assert titles(inside) == ["Back again", "Noted", "Played", "There"]
    assert "Removed: Brine Parliament, Plain. 3 kept." in operator.get(answer.location).text
    # All of them, when that is said.
    answer = send(operator, f"{path}/gone", until=until)
    assert titles(inside) == ["Back again", "There"]
    assert "Removed: 2 records. 1 kept." in operator.get(answer.location).text
    answer = send(operator, f"{path}/gone", until=until)
    assert "Nothing was removed. 1 kept." in operator.get(answer.location).text
    for batch in inside.services.library.batches.recent():
        inside.services.library.batches.undo(batch.id)
    assert titles(inside) == ["Back again", "Noted", "Plain", "Played", "There"]


def test_a_form_that_does_not_say_what_it_has_shown_removes_nothing(inside: Inside) -> None:
    operator = keeper(inside)
    leave(inside, *(put(inside, source, source).id for source in ("discogs", "music")))
    for path in GONE:
        for until in (None, "", "nan", "inf", "all"):
            answer = send(operator, path, **({} if until is None else {"until": until}))
            assert answer.status_code == 400
            assert "Reload the page" in answer.text
    assert titles(inside) == ["discogs", "music"]


def test_what_discogs_still_lists_comes_back_once_and_what_left_does_not(tmp_path: Path, discogs: DiscogsServer) -> None:
    with inside_at(tmp_path / "vault", discogs) as inside:
        services, operator = inside.services, keeper(inside)
        connect(services)
        sync(services)
        before = by_instance(services)
        listed, left = sorted(before)[:2]
        services.library.record_play(before[listed].id)
        discogs.control(remove=[int(left) - 700_000_000])
        sync(services)
        page = operator.get(f"/album/{before[left].id}").text
        assert "It stays here until you remove it." in page
        assert send(operator, f"/album/{before[listed].id}/remove").status_code == 303
        until = until_of(operator.get("/import/discogs/gone").text)
        assert send(operator, "/import/discogs/gone", until=until, keep="1").status_code == 303
        assert len(by_instance(services)) == 10
        assert sync(services).outcome["new"] == 1
        after = by_instance(services)
        assert sorted(after) == sorted(set(before) - {left})
        assert after[listed].id > max(album.id for album in before.values())
        assert after[listed].plays == 0


def test_a_sync_that_runs_meanwhile_neither_breaks_nor_doubles(tmp_path: Path, discogs: DiscogsServer) -> None:
    discogs.control(reset=250)
    with inside_at(tmp_path / "vault", discogs) as inside:
        services = inside.services
        connect(services)
        sync(services)
        failures: list[BaseException] = []
        is_over = threading.Event()

        def take_away() -> None:
            try:
                while not is_over.is_set():
                    services.library.remove([album.id for album in services.library.albums()][::3])
            except BaseException as error:  # noqa: BLE001  told by the test
                failures.append(error)

        thread = threading.Thread(target=take_away)
        thread.start()
        state = sync(services)
        is_over.set()
        thread.join(30)
        assert failures == []
        assert (state.state, state.outcome["gone"]) == ("done", 0)
        sync(services)
        instances = [album.instance_id for album in services.library.albums()]
        assert len(instances) == len(set(instances)) == 250
        sources = [album.source_id for album in services.library.albums()]
        assert len(set(sources)) == 250


def test_a_record_whose_folder_is_there_comes_back_with_the_next_scan_and_its_neighbour_is_the_same(tmp_path: Path) -> None:
    root = tmp_path / "Music"
    record(root / "x" / "one", "One")
    record(root / "x", "Two")
    record(root / "x", "Three", tracks=1, suffix=".flac")
    shelf = MusicShelf(tmp_path, root)
    try:
        shelf.scan()
        before = {album.title: album.id for album in shelf.albums()}
        assert sorted(before) == ["One", "Three", "Two"]
        shelf.library.remove([before["Two"]])
        assert shelf.scan()["new"] == 1
        after = {album.title: album.id for album in shelf.albums()}
        assert sorted(after) == sorted(before)
        assert (after["One"], after["Three"]) == (before["One"], before["Three"])
        assert after["Two"] > max(before.values())
        assert shelf.scan()["read"] == 0
    finally:
        shelf.close()


def test_the_page_knows_that_a_folder_is_still_there(tmp_path: Path) -> None:
    root = tmp_path / "Music"
    record(root / "x", "One")
    with Inside(tmp_path / "vault", settled=False, MUSIC_DIRS=(str(root),)) as inside:
        inside.services.tasks.run("music", {})
        album = next(inside.services.library.albums())
        page = keeper(inside).get(f"/album/{album.id}/remove").text
        assert "Its folder is still there, so the next scan will import it again." in page


# By command


def test_the_command_says_what_goes_and_asks(inside: Inside) -> None:
    one, other = put(inside, "One"), put(inside, "Other")
    inside.services.library.record_play(one.id)
    for stdin in ("", "n\n", "\n"):
        refused = run(inside, "albums", "remove", str(one.id), str(other.id), stdin=stdin)
        assert refused.exit_code == 1
        assert f"{one.id}  Brine Parliament, One (1 play)\n{other.id}  Brine Parliament, Other\n" in refused.stdout
        assert "Remove these 2 records? [y/N]" in refused.stdout
    assert titles(inside) == ["One", "Other"]
    done = run(inside, "albums", "remove", str(one.id), str(one.id), stdin="y\n")
    assert done.exit_code == 0
    assert "Remove this record? [y/N]" in done.stdout
    assert done.stdout.endswith("Removed: Brine Parliament, One.\n")
    done = run(inside, "albums", "remove", "--yes", str(other.id))
    assert (done.exit_code, done.stdout) == (0, "Removed: Brine Parliament, Other.\n")
    assert titles(inside) == []


def test_the_command_names_numbers_that_are_unknown_and_removes_nothing(inside: Inside) -> None:
    one = put(inside)
    refused = run(inside, "albums", "remove", "--yes", str(one.id), "98", "99")
    assert refused.exit_code == 1
    assert "Unknown record: 98, 99. Nothing was removed." in refused.stderr
    for wrong in ("0", "-1", "one", str(2**63)):
        assert run(inside, "albums", "remove", "--yes", "--", wrong).exit_code == 2
    assert run(inside, "albums", "remove").exit_code == 2
    assert titles(inside) == [one.title]
