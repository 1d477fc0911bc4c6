"""`/now` and `/plays`: what each phase shows, what other devices are told, and who may start a side."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.import_models import ImportRow
from image_cache.models import Track
from tests.support.clock import FakeClock
from tests.support.inside import Inside, page_token
from tests.support.statements import traced

TRACKS = tuple(Track(position, f"Song {position}", 300) for position in ("A1", "A2", "B1"))


class Room(Inside):
    """A vault with one record, on a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        super().__init__(folder, clock=self.clock, settled=False)
        self.services.library.import_rows([ImportRow(1, "Left at the Lights", "Sutherland", tracks=TRACKS)])
        self.record = next(self.services.library.albums()).id


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room(tmp_path / "vault") as found:
        yield found


def post(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def test_a_side_is_started_flipped_played_to_its_end_and_undone(room: Room) -> None:
    client = room.logged_in("member")
    assert "Touch a cover to play it" in client.get("/now").text
    ready = client.get(f"/now?album={room.record}").text
    assert "Start side A" in ready
    assert post(client, "/now/start", album=str(room.record), side="Side A").headers["Location"] == "/now"
    page = client.get("/now").text
    assert 'data-now="playing"' in page
    assert "10:00</b> left" in page
    assert "Flip to side B" in page
    room.clock.advance(601)
    room.services.turntable.settle()
    page = client.get("/now").text
    assert '<h1 class="flip" role="status">Flip me</h1>' in page
    assert "Side A is counted. Side B: 1 track, 5:00." in page
    post(client, "/now/start", album=str(room.record), side="Side B")
    room.clock.advance(301)
    room.services.turntable.settle()
    page = client.get("/now").text
    assert "Played once." in page
    play = room.services.turntable.history(1)[0]
    assert (play.sides, play.player) == (("Side A", "Side B"), "Vera")
    assert post(client, f"/plays/{play.id}/undo", back="now").headers["Location"] == "/now"
    assert "No play counted." in client.get("/now").text
    assert "No plays counted yet" in client.get("/plays").text


def test_the_history_names_day_side_and_player_and_goes_on_to_older_plays(room: Room) -> None:
    for _ in range(103):
        room.services.turntable.play(room.record)
        room.clock.advance(60)
    client = room.logged_in("member")
    first = client.get("/plays").text
    assert first.count('class="played"') == 100
    older = first.partition('href="/plays?before=')[2].partition('"')[0]
    second = client.get(f"/plays?before={older}").text
    assert second.count('class="played"') == 3
    assert "/undo" not in room.stranger().get("/plays").text
    for wrong in ("x", "1-2", "99999999999999999999.000000-1", "-1.000000-1"):
        assert client.get(f"/plays?before={wrong}").status_code == 400


def test_other_devices_are_told_of_every_change_and_of_nothing_else(room: Room) -> None:
    phone = room.stranger()
    answer = phone.get("/api/now")
    assert answer.json is not None
    assert (answer.json["phase"], answer.json["album_id"]) == ("idle", None)
    known = {"If-None-Match": answer.headers["ETag"]}
    assert phone.get("/api/now", headers=known).status_code == 304
    room.services.turntable.start(room.record, "")
    answer = phone.get("/api/now", headers=known)
    assert answer.json is not None
    assert (answer.status_code, answer.json["side"], answer.json["title"]) == (200, "Side A", "Left at the Lights")
    assert answer.json["ends_at"] - answer.json["started_at"] == 600


def test_unchanged_costs_one_read_and_no_page(room: Room) -> None:
    phone = room.stranger()
    known = {"If-None-Match": phone.get("/api/now").headers["ETag"]}
    seen = traced(room.services.catalog)
    answer = phone.get("/api/now", headers=known)
    assert (answer.status_code, len(seen), seen[0].split()[0]) == (304, 1, "SELECT")
    assert "Set-Cookie" not in answer.headers


def test_a_visitor_sees_what_plays_and_starts_nothing(room: Room) -> None:
    room.services.turntable.start(room.record, "")
    visitor = room.stranger()
    page = visitor.get("/now").text
    assert "Log in to count plays" in page
    assert 'action="/now/stop"' not in page
    for path in ("/now/start", "/now/stop"):
        answer = post(visitor, path, album=str(room.record))
        assert (answer.status_code, 'name="next" value="/now"' in answer.text) == (401, True)
    assert room.services.turntable.now().phase == "playing"


def test_a_guest_at_home_starts_a_side_where_guests_may_play(room: Room) -> None:
    room.services.household.let_guests_play(allowed=True)
    guest = room.stranger()
    assert post(guest, "/now/start", album=str(room.record)).status_code == 303
    assert "Flip to side B" in guest.get("/now").text


@pytest.mark.parametrize("query", ["album=x", "album=-1", "album=0", f"album={2**70}"])
def test_an_address_that_names_no_record_says_so(room: Room, query: str) -> None:
    answer = room.stranger().get(f"/now?{query}")
    assert (answer.status_code, "album must be the number of a record" in answer.text) == (400, True)
    assert room.stranger().get("/now?album=999").status_code == 404
