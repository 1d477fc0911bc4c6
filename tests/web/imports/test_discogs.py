"""The pages of Discogs and what others say about it: who may, what is shown when, attribution, age, the line when it is offline."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.importers.discogs.service import SYNC, TEST
from image_cache.models import AlbumQuery
from tests.cli.content.test_flask_commands import run
from tests.importers.discogs.test_sync import albums, connect, inside_at, sync
from tests.support.clock import FakeClock
from tests.support.discogs import ACCOUNT, TOKEN, DiscogsServer
from tests.support.inside import Inside, page_token
from tests.support.vault import wait_until

HERE = "/import/discogs"
NOTICE = "Data provided by "


@pytest.fixture(scope="module")
def process() -> Iterator[DiscogsServer]:
    with DiscogsServer(window_s=1.0) as running:
        yield running


@pytest.fixture
def discogs(process: DiscogsServer) -> DiscogsServer:
    process.control(reset=30)
    return process


@pytest.fixture
def inside(tmp_path: Path, discogs: DiscogsServer) -> Iterator[Inside]:
    with inside_at(tmp_path / "vault", discogs) as opened:
        yield opened


@pytest.fixture
def operator(inside: Inside) -> FlaskClient:
    return inside.logged_in("operator")


def send(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(HERE + path, data={"csrf_token": page_token(client), **fields})


def ended(inside: Inside, kind: str) -> Callable[[], bool]:
    return lambda: (state := inside.services.discogs.latest(kind)) is not None and state.is_over


def test_strangers_find_the_door_and_others_are_refused(inside: Inside) -> None:
    stranger = inside.stranger()
    assert stranger.get(HERE).status_code == 401
    assert 'action="/claim"' in stranger.get(HERE).text
    owner = inside.logged_in("owner")
    for path in ("", "/forget"):
        assert owner.get(HERE + path).status_code == 403
    for path in ("/token", "/test", "/sync", "/forget"):
        assert send(stranger, path).status_code in (401, 403)
        assert send(owner, path, token=TOKEN).status_code == 403
    assert not inside.services.discogs.status().has_untested
    assert inside.services.tasks.rows.recent() == []


def test_from_a_token_to_a_collection_by_the_pages(inside: Inside, operator: FlaskClient, discogs: DiscogsServer) -> None:
    assert 'type="password"' in operator.get(HERE).text
    answer = send(operator, "/token", token=f"  {TOKEN}\n")
    assert (answer.status_code, answer.headers["Location"]) == (303, HERE)
    wait_until(ended(inside, TEST))
    page = operator.get(HERE).text
    assert f"Connected as {ACCOUNT}, 30 items." in page
    assert TOKEN not in page
    assert send(operator, "/sync").status_code == 303
    wait_until(ended(inside, SYNC))
    page = operator.get(HERE).text
    assert "30 records read: 30 new, 0 updated, 0 unchanged." in page
    assert "not yet" not in page
    assert inside.services.library.count() == 30


def test_a_token_of_a_wrong_shape_is_refused_on_the_page_and_one_that_is_wrong_behind_it(
    inside: Inside, operator: FlaskClient, discogs: DiscogsServer
) -> None:
    answer = send(operator, "/token", token="too short")
    assert answer.status_code == 400
    assert "40 characters" in answer.text
    assert "too short" not in answer.text
    assert discogs.paths() == []
    send(operator, "/token", token="X" * 40)
    wait_until(ended(inside, TEST))
    page = operator.get(HERE).text
    assert "Discogs does not accept this token. Create a new one in Discogs under Settings, Developers." in page
    assert 'name="token"' in page
    assert not inside.services.discogs.status().has_untested


def test_disconnecting_says_what_goes_and_keeps_the_records(inside: Inside, operator: FlaskClient) -> None:
    connect(inside.services)
    sync(inside.services)
    assert f"{ACCOUNT}" in operator.get(HERE + "/forget").text
    assert send(operator, "/forget").status_code == 303
    page = operator.get(HERE).text
    assert ACCOUNT not in page
    assert 'name="token"' in page
    assert inside.services.library.count() == 30


def test_what_left_the_collection_and_what_was_refused_is_listed(
    inside: Inside, operator: FlaskClient, discogs: DiscogsServer
) -> None:
    connect(inside.services)
    sync(inside.services)
    discogs.control(remove=[3], change={"7": {"basic_information": {"title": "", "artists": []}}})
    sync(inside.services)
    page = operator.get(HERE).text
    assert "1 record no longer at Discogs" in page
    assert "Record 00003" in page
    assert "release 100008 has neither artist nor title" in page
    gone = next(album for album in albums(inside.services) if album.gone_at)
    assert "No longer in your Discogs collection" in operator.get(f"/album/{gone.id}").text


def test_every_page_with_its_data_names_discogs_and_the_age(tmp_path: Path, discogs: DiscogsServer) -> None:
    clock = FakeClock()
    with inside_at(tmp_path / "vault", discogs, clock=clock) as inside:
        inside.album(title="Not from there")
        guest = inside.stranger()
        own = albums(inside.services)[0].id
        pages = ("/", "/search?q=record", f"/album/{own + 1}")
        assert NOTICE not in guest.get("/").text
        connect(inside.services)
        sync(inside.services)
        assert NOTICE not in guest.get(f"/album/{own}").text
        for path in pages:
            page = guest.get(path).text
            assert NOTICE + '<a href="https://www.discogs.com/' in page, path
            assert "Synced " in page, path
            assert 'class="age"' not in page, path
        clock.advance(7 * 3600)
        for path in pages:
            page = guest.get(path).text
            assert 'class="age"' in page, path
            assert "Record 0000" in page, path  # titles stay
        assert "not affiliated with, sponsored or endorsed by Discogs" in guest.get("/about").text


def test_the_bar_says_when_discogs_cannot_be_reached(inside: Inside, discogs: DiscogsServer) -> None:
    connect(inside.services)
    sync(inside.services)
    guest = inside.stranger()
    assert "Discogs offline. Last synced" not in guest.get("/").text
    discogs.control(faults=[{"kind": "reset"}])
    sync(inside.services)
    for path in ("/", "/album/3", "/about"):
        assert "Discogs offline. Last synced " in guest.get(path).text, path
    discogs.control(faults=[])
    sync(inside.services)
    assert "Discogs offline. Last synced" not in guest.get("/").text


def test_opening_a_record_asks_for_its_tracks_behind_and_a_reload_shows_them(inside: Inside, discogs: DiscogsServer) -> None:
    connect(inside.services)
    sync(inside.services)
    inside.services.pool.close()
    guest = inside.stranger()
    guest.get("/about")
    discogs.control(forget=True)
    page = guest.get("/album/3").text
    assert 'data-details="coming"' in page
    assert "Loading the track list…" in page
    wait_until(lambda: "Opening 100002" in guest.get("/album/3").text)
    page = guest.get("/album/3").text
    assert 'data-details="coming"' not in page
    assert discogs.paths() == ["/releases/100002"]
    assert inside.services.tasks.rows.recent(20, ("discogs-details",)) != []  # those of moments are in no list


def test_hostile_words_from_discogs_are_text_on_every_page(inside: Inside, operator: FlaskClient, discogs: DiscogsServer) -> None:
    evil = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
    values = {
        "title": evil,
        "artists": [{"name": evil}],
        "labels": [{"name": evil, "catno": evil}],
        "genres": [evil],
        "cover_image": f"https://i.discogs.com/{evil}.jpg",
    }
    discogs.control(change={"0": {"basic_information": values, "notes": [{"field_id": 3, "value": evil}]}})
    connect(inside.services)
    sync(inside.services)
    for path in ("/", "/album/1", "/search?q=img", HERE):
        page = operator.get(path).text
        assert "<img src=x" not in page, path
        assert "<script>alert" not in page, path


# Commands


def test_the_command_takes_a_token_from_a_file_and_reads_the_collection(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n", encoding="ascii")
    done = run(inside, "albums", "sync", "--token-file", str(tmp_path / "token"))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [f"Connected as {ACCOUNT}, 30 items.", "30 records read: 30 new, 0 updated, 0 unchanged."]
    assert TOKEN not in done.output
    status = run(inside, "albums", "discogs")
    assert f"Connected as {ACCOUNT}, 30 items." in status.stdout
    assert run(inside, "albums", "discogs", "--forget").stdout == "Discogs token deleted.\n"
    assert run(inside, "albums", "discogs").stdout == "No Discogs token is saved.\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "A token has 40 characters; create one in Discogs under Settings, Developers."),
        ("x", "A token has 40 characters; create one in Discogs under Settings, Developers."),
        ("X" * 40, "Discogs does not accept this token. Create a new one in Discogs under Settings, Developers."),
        ("\u00ff" * 40, "A token has 40 characters; create one in Discogs under Settings, Developers."),
    ],
)
def test_the_command_says_what_is_wrong_with_a_token_and_exits_with_1(
    inside: Inside, tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    done = run(inside, "albums", "sync", "--token-file", str(tmp_path / "token"))
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert not inside.services.discogs.status().has_token


def test_the_command_without_a_token_says_so(inside: Inside) -> None:
    done = run(inside, "albums", "sync")
    assert done.exit_code == 1
    assert "No Discogs token is saved." in done.stderr


def test_the_records_of_a_source_are_those_that_it_still_has(inside: Inside, discogs: DiscogsServer) -> None:
    """No trigger sees which are gone, so what was worked out for the wall has to be told."""
    connect(inside.services)
    sync(inside.services)
    query = AlbumQuery(source="discogs")
    assert inside.services.library.page(query, 1).total == 30
    discogs.control(remove=[7, 8])
    assert sync(inside.services).outcome["gone"] == 2
    assert inside.services.library.page(query, 1).total == 28
    discogs.control(add=[7, 8])
    sync(inside.services)
    assert inside.services.library.page(query, 1).total == 30


def test_what_a_sync_cut_is_on_the_page_and_in_a_table(inside: Inside, operator: FlaskClient, discogs: DiscogsServer) -> None:
    discogs.control(change={"7": {"basic_information": {"title": " ".join(["Wordy"] * 45)}}})
    connect(inside.services)
    state = sync(inside.services)
    assert state.state == "done", state.message
    page = operator.get("/import/discogs").text
    assert "1 with a shortened text" in page
    assert "title is too long (maximum 200 characters); shortened" in page
    answer = operator.get(f"/import/discogs/{state.id}/report.csv")
    assert answer.mimetype == "text/csv"
    assert answer.text.startswith("\ufeffnumber,artist,title,what\r\n8,")
    assert f"/import/discogs/{state.id}/report.csv" in page
    assert operator.get("/import/discogs/999/report.csv").status_code == 404
