"""The page where an account turns on scrobbling: what it says, and that it never shows a token."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.import_models import ImportRow
from image_cache.models import Track
from tests.support.clock import FakeClock
from tests.support.inside import Inside, page_token
from tests.support.scrobbles import ALLOWED, KEY, SECRET, TOKEN, LastfmServer, ListenBrainzServer
from tests.support.vault import wait_until

PAGE = "/account/scrobbling"


def post(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def test_listenbrainz_is_connected_plays_are_refused_in_words_and_disconnected(tmp_path: Path) -> None:
    with (
        ListenBrainzServer() as server,
        Inside(
            tmp_path / "vault", trusted=(server.base,), LISTENBRAINZ_API_URL=server.base, clock=(clock := FakeClock())
        ) as inside,
    ):
        client = inside.logged_in("member")
        page = client.get(PAGE).text
        assert "Off." in page
        assert "Last.fm needs an API key" in page
        assert "This is not a token" in post(client, f"{PAGE}/listenbrainz", token="no <b>").text
        assert post(client, f"{PAGE}/listenbrainz", token=TOKEN).headers["Location"].startswith(PAGE)
        wait_until(lambda: "On, as vera_lb." in client.get(PAGE).text)
        tracks = (Track("A1", "Song <i>", 200),)
        inside.services.library.import_rows([ImportRow(1, "No", server.BAD_ARTIST, tracks=tracks)])
        record = next(inside.services.library.albums()).id
        clock.advance(300)
        post(client, f"/album/{record}/played")
        inside.services.scrobbling.run_maintenance()
        wait_until(lambda: "1 track refused" in client.get(PAGE).text)
        page = client.get(PAGE).text
        assert "Refused: Song &lt;i&gt;" in page
        assert "ListenBrainz refused it:" in page
        assert TOKEN not in page
        post(client, f"{PAGE}/listenbrainz/guests", on="1")
        assert "counted without an account" in client.get(PAGE).text
        gone = post(client, f"{PAGE}/listenbrainz/drop").headers["Location"]
        assert "1 refused track removed from the queue." in client.get(gone).text
        post(client, f"{PAGE}/listenbrainz/disconnect")
        assert "Off." in client.get(PAGE).text
        assert post(client, f"{PAGE}/listenbrainz/retry").status_code == 404
        assert "scrobbling" in client.get("/about").text


def test_last_fm_sends_the_browser_back_and_a_link_alone_connects_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET, encoding="ascii")
    with (
        LastfmServer() as server,
        Inside(
            tmp_path / "vault",
            trusted=(server.base,),
            LASTFM_API_URL=f"{server.base}/2.0",
            LASTFM_API_KEY=KEY,
            LASTFM_SECRET_FILE=secret,
        ) as inside,
    ):
        client = inside.logged_in("member")
        page = client.get(PAGE).text
        assert f"https://www.last.fm/api/auth/?api_key={KEY}&amp;cb=http%3A%2F%2Fvault.local%3A5000%2Faccount" in page
        assert SECRET not in page
        asked = client.get(f"{PAGE}/lastfm?token={ALLOWED}")
        assert "Connect Last.fm?" in asked.text
        assert "no-store" in asked.headers["Cache-Control"]
        assert server.requests == []
        post(client, f"{PAGE}/lastfm", token=ALLOWED)
        wait_until(lambda: "On, as vera_fm." in client.get(PAGE).text)
        assert server.session not in client.get(PAGE).text


@pytest.mark.parametrize("token", ["", "a b", "x" * 300, "%0d%0aX:1"])
def test_a_callback_without_a_token_is_refused(tmp_path: Path, token: str) -> None:
    with Inside(tmp_path / "vault", settled=False) as inside:
        assert inside.logged_in("member").get(f"{PAGE}/lastfm?token={token}").status_code == 400
