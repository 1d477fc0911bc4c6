"""Scrobbling, against servers of the two protocols: what arrives, what waits, what is refused, and that nothing arrives twice."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.bootstrap import ensure_directories
from image_cache.config import Settings
from image_cache.errors import ConfigError, FieldRejected
from image_cache.import_models import ImportRow
from image_cache.models import Track
from image_cache.scrobbling.lastfm import signature
from image_cache.scrobbling.service import LASTFM, LISTENBRAINZ, SCROBBLE, ScrobbleConnection
from image_cache.services import open_services
from tests.support.clock import FakeClock
from tests.support.scrobbles import ALLOWED, KEY, SECRET, SESSION, TOKEN, LastfmServer, ListenBrainzServer

TRACKS = tuple(Track(position, f"Song {position}", 300) for position in ("A1", "A2", "B1"))
NOW = round(time.time()) - 5000.0


class Home:
    """A vault whose owner plays records, with both services; the clock is set by hand."""

    def __init__(self, folder: Path, listenbrainz: ListenBrainzServer, lastfm: LastfmServer) -> None:
        secret = folder / "lastfm_secret"
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text(SECRET + "\n", encoding="ascii")
        self.settings = Settings(
            DATA_DIR=folder / "vault",
            FIND_COVERS=False,
            TRUSTED_ORIGINS=(listenbrainz.base, lastfm.base),
            LISTENBRAINZ_API_URL=listenbrainz.base,
            LASTFM_API_URL=f"{lastfm.base}/2.0",
            LASTFM_API_KEY=KEY,
            LASTFM_SECRET_FILE=secret,
        )
        self.clock = FakeClock(NOW)
        ensure_directories(self.settings)
        self.services = open_services(self.settings, clock=self.clock)
        self.services.library.import_rows(
            [
                ImportRow(1, "Penstock", "Ada Quill", tracks=TRACKS, source_id="1"),
                ImportRow(2, "No", "Refused", tracks=TRACKS, source_id="2"),
            ]
        )
        self.record, self.other = (album.id for album in self.services.library.albums())
        self.services.accounts.add("Vera", "correct horse", "member")
        self.me = self.services.accounts.accounts()[0].id

    def connect(self, service: str, token: str) -> None:
        self.services.scrobbling.connect(self.me, service, token)
        self.run()

    def run(self) -> None:
        """Do what the background does, as often as it takes."""
        scrobbling, tasks = self.services.scrobbling, self.services.tasks
        scrobbling.run_maintenance()
        task = tasks.latest(SCROBBLE)
        if task is not None and not task.is_over:
            tasks.start_waiting()
            tasks.wait(task.id, 60)
            ended = tasks.get(task.id)
            assert ended is not None
            assert ended.state == "done", ended

    def play_side(self, record: int | None = None, account: int | None = -1) -> None:
        """Play side A to its end."""
        table = self.services.turntable
        table.start(record or self.record, "Side A", self.me if account == -1 else account)
        self.clock.advance(600)
        table.settle()
        table.stop()

    def state(self, service: str) -> ScrobbleConnection:
        return next(one for one in self.services.scrobbling.connections(self.me) if one.service == service)

    def restart(self) -> None:
        self.services.close()
        self.services = open_services(self.settings, clock=self.clock)


@pytest.fixture
def listenbrainz() -> Iterator[ListenBrainzServer]:
    with ListenBrainzServer() as server:
        yield server


@pytest.fixture
def lastfm() -> Iterator[LastfmServer]:
    with LastfmServer() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, listenbrainz: ListenBrainzServer, lastfm: LastfmServer) -> Iterator[Home]:
    found = Home(tmp_path, listenbrainz, lastfm)
    yield found
    found.services.close()


SIDE = [(int(NOW), "Ada Quill", "Song A1"), (int(NOW) + 300, "Ada Quill", "Song A2")]


def test_nothing_is_sent_and_nothing_queued_until_an_account_turns_it_on(
    home: Home, listenbrainz: ListenBrainzServer, lastfm: LastfmServer
) -> None:
    home.play_side()
    home.run()
    home.connect(LISTENBRAINZ, TOKEN)
    home.run()
    assert listenbrainz.listens() == []  # also not what was played before
    assert lastfm.requests == []
    assert [one[1] for one in listenbrainz.requests] == ["/1/validate-token"]


def test_the_tracks_of_a_side_arrive_at_both_services_with_their_starts(
    home: Home, listenbrainz: ListenBrainzServer, lastfm: LastfmServer
) -> None:
    home.connect(LISTENBRAINZ, f" {TOKEN}\n")
    home.connect(LASTFM, ALLOWED)
    assert [home.state(one).scrobbler.name for one in (LISTENBRAINZ, LASTFM)] == ["vera_lb", "vera_fm"]  # type: ignore[union-attr]
    home.play_side()
    home.run()
    assert listenbrainz.listens() == SIDE
    assert lastfm.stored == SIDE
    body = listenbrainz.requests[-1][3].decode()
    assert '"release_name": "Penstock"' in body
    assert '"tracknumber": "A2"' in body
    state = home.state(LISTENBRAINZ)
    assert state.scrobbler is not None
    assert (state.scrobbler.sent, state.waiting, state.refused_count) == (2, 0, 0)
    home.run()
    assert (len(listenbrainz.stored), len(lastfm.stored)) == (2, 2)


def test_a_side_that_still_plays_waits_and_one_that_is_stopped_sends_what_was_heard(
    home: Home, listenbrainz: ListenBrainzServer
) -> None:
    home.connect(LISTENBRAINZ, TOKEN)
    home.services.turntable.start(home.record, "Side A", home.me)
    home.clock.advance(320)
    home.services.turntable.settle()  # counted, but the second track has just begun
    home.run()
    assert listenbrainz.listens() == []
    home.services.turntable.stop()
    home.run()
    assert listenbrainz.listens() == SIDE[:1]


def test_undo_takes_a_play_out_of_the_queue(home: Home, listenbrainz: ListenBrainzServer) -> None:
    home.connect(LISTENBRAINZ, TOKEN)
    listenbrainz.faults = [503]
    home.play_side()
    home.run()
    assert home.state(LISTENBRAINZ).waiting == 2
    play = home.services.turntable.history(1)[0]
    assert home.services.turntable.undo(play.id) == home.record
    assert home.state(LISTENBRAINZ).waiting == 0
    home.clock.advance(3600)
    home.run()
    assert listenbrainz.listens() == []


def test_i_played_it_sends_the_whole_record_as_if_it_had_just_ended(home: Home, listenbrainz: ListenBrainzServer) -> None:
    home.clock.advance(900)
    home.connect(LISTENBRAINZ, TOKEN)
    home.services.turntable.play(home.record, home.me)
    home.run()
    assert listenbrainz.listens() == [*SIDE, (int(NOW) + 600, "Ada Quill", "Song B1")]


def test_the_screen_without_an_account_is_sent_only_for_those_who_take_its_plays(
    home: Home, listenbrainz: ListenBrainzServer
) -> None:
    home.connect(LISTENBRAINZ, TOKEN)
    home.play_side(account=None)
    home.run()
    assert listenbrainz.listens() == []
    home.services.scrobbling.rows.set_guests(home.me, LISTENBRAINZ, True)
    home.play_side(account=None)
    home.run()
    assert [row[2] for row in listenbrainz.listens()] == ["Song A1", "Song A2"]


def test_a_dead_network_and_a_restart_lose_nothing(home: Home, listenbrainz: ListenBrainzServer) -> None:
    home.connect(LISTENBRAINZ, TOKEN)
    listenbrainz.faults = ["drop before", 503]
    home.play_side()
    home.run()
    state = home.state(LISTENBRAINZ)
    assert state.scrobbler is not None
    assert state.waiting == 2
    assert "ListenBrainz did not take it" in state.scrobbler.message
    home.restart()
    home.clock.advance(30)
    home.run()  # 503
    home.clock.advance(60)
    home.run()
    assert listenbrainz.listens() == SIDE
    assert home.state(LISTENBRAINZ).waiting == 0


def test_a_retry_after_a_lost_answer_is_known_to_listenbrainz(home: Home, listenbrainz: ListenBrainzServer) -> None:
    home.connect(LISTENBRAINZ, TOKEN)
    listenbrainz.faults = ["drop after"]
    home.play_side()
    home.run()
    assert home.state(LISTENBRAINZ).waiting == 2
    home.clock.advance(60)
    home.run()
    sent = [body for _, path, _, body in listenbrainz.requests if path == "/1/submit-listens"]
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert listenbrainz.listens() == SIDE


@pytest.mark.parametrize("fault", ["drop after", "drop before", 11, 16])
def test_last_fm_is_asked_what_it_has_before_anything_is_sent_again(home: Home, lastfm: LastfmServer, fault: str | int) -> None:
    """It does not merge what is sent twice: the server of this test stores it twice."""
    home.connect(LASTFM, ALLOWED)
    lastfm.faults = [fault]
    home.play_side()
    home.run()
    assert home.state(LASTFM).waiting == 2
    home.clock.advance(120)
    home.run()
    assert lastfm.stored == SIDE
    assert home.state(LASTFM).waiting == 0


def test_a_crash_between_sending_and_the_answer_sends_nothing_twice(home: Home, lastfm: LastfmServer) -> None:
    """The rows say that they are being sent, as a process leaves them that was killed then; the service has the first one."""
    home.connect(LASTFM, ALLOWED)
    lastfm.faults = [29]
    home.play_side()
    home.run()
    assert len(home.services.scrobbling.rows.claim(home.me, LASTFM, 50)) == 2
    lastfm.stored.append(SIDE[0])
    home.restart()
    home.clock.advance(120)
    home.run()
    assert lastfm.stored == SIDE


def test_a_rate_limit_is_waited_out_as_its_header_says(tmp_path: Path, lastfm: LastfmServer) -> None:
    with ListenBrainzServer(calls=1, window_s=3600) as server:
        home = Home(tmp_path, server, lastfm)
        home.connect(LISTENBRAINZ, TOKEN)
        home.play_side()
        began = home.clock()
        home.run()
        state = home.state(LISTENBRAINZ).scrobbler
        assert state is not None
        assert 3500 <= state.retry_at - began <= 3700
        home.clock.advance(3000)
        home.run()
        assert [row[1] for row in server.requests] == ["/1/validate-token", "/1/submit-listens"]
        home.services.close()


def test_a_refused_track_is_set_aside_with_its_reason_and_the_others_arrive(home: Home, listenbrainz: ListenBrainzServer) -> None:
    home.connect(LISTENBRAINZ, TOKEN)
    listenbrainz.faults = [503]
    home.play_side()
    home.play_side(home.other)
    home.run()
    home.clock.advance(60)
    home.run()
    state = home.state(LISTENBRAINZ)
    assert listenbrainz.listens() == SIDE
    assert (state.waiting, state.refused_count) == (0, 2)
    assert state.refused[0].message == "ListenBrainz refused it: JSON document should not contain this listen."
    before = len(listenbrainz.requests)
    home.clock.advance(86400)
    home.run()
    assert len(listenbrainz.requests) == before  # not for ever
    home.services.scrobbling.retry(home.me, LISTENBRAINZ)
    home.run()
    assert len(listenbrainz.requests) > before
    assert home.state(LISTENBRAINZ).refused_count == 2
    assert home.services.scrobbling.rows.drop_refused(home.me, LISTENBRAINZ) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "does not count this artist"), (3, "too old"), (4, "Check the clock"), (77, "code 77")],
)
def test_what_last_fm_ignores_is_said_in_words(home: Home, lastfm: LastfmServer, code: int, words: str) -> None:
    home.connect(LASTFM, ALLOWED)
    lastfm.ignored = {"Refused": code}
    home.play_side(home.other)
    home.play_side()
    home.run()
    state = home.state(LASTFM)
    assert [row[1] for row in lastfm.stored] == ["Ada Quill", "Ada Quill"]
    assert (state.waiting, state.refused_count) == (0, 2)
    assert words in state.refused[0].message


def test_the_daily_limit_of_last_fm_is_waited_out(home: Home, lastfm: LastfmServer) -> None:
    home.connect(LASTFM, ALLOWED)
    lastfm.ignored = {"Ada Quill": 5}
    home.play_side()
    home.run()
    state = home.state(LASTFM)
    assert (state.waiting, state.refused_count) == (2, 0)
    assert state.scrobbler is not None
    assert "daily limit" in state.scrobbler.message
    lastfm.ignored = {}
    home.clock.advance(3601)
    home.run()
    assert lastfm.stored == SIDE


def test_last_fm_gets_fifty_at_a_time(home: Home, lastfm: LastfmServer) -> None:
    home.connect(LASTFM, ALLOWED)
    for _ in range(30):
        home.play_side()
    home.run()
    assert lastfm.sizes == [50, 10]
    assert len(set(lastfm.stored)) == 60


@pytest.mark.parametrize("code", [9, 13, 26])
def test_a_session_that_ended_stops_the_account_and_keeps_the_queue(home: Home, lastfm: LastfmServer, code: int) -> None:
    home.connect(LASTFM, ALLOWED)
    lastfm.faults = [code]
    home.play_side()
    home.run()
    state = home.state(LASTFM)
    assert state.scrobbler is not None
    assert (state.scrobbler.state, state.waiting) == ("stopped", 2)
    before = len(lastfm.requests)
    home.clock.advance(86400)
    home.run()
    assert len(lastfm.requests) == before
    home.connect(LASTFM, ALLOWED)
    assert lastfm.stored == SIDE


def test_a_token_that_is_revoked_or_wrong_is_said_in_words(home: Home, listenbrainz: ListenBrainzServer) -> None:
    with pytest.raises(FieldRejected, match="not a token"):
        home.services.scrobbling.connect(home.me, LISTENBRAINZ, "a b")
    home.connect(LISTENBRAINZ, TOKEN.replace("5", "6"))
    state = home.state(LISTENBRAINZ).scrobbler
    assert state is not None
    assert state.state == "stopped"
    assert "does not accept this token" in state.message
    home.connect(LISTENBRAINZ, TOKEN)
    listenbrainz.token = "another"
    home.play_side()
    home.run()
    state = home.state(LISTENBRAINZ).scrobbler
    assert state is not None
    assert (state.state, home.state(LISTENBRAINZ).waiting) == ("stopped", 2)


def test_the_secrets_are_in_files_of_their_own_and_nowhere_else(
    home: Home, lastfm: LastfmServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    home.connect(LISTENBRAINZ, TOKEN)
    home.connect(LASTFM, ALLOWED)
    home.play_side()
    home.run()
    folder = home.settings.state_dir / "scrobble_tokens"
    assert sorted(path.name for path in folder.iterdir()) == [f"{home.me}-lastfm.token", f"{home.me}-listenbrainz.token"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    stored = b"".join(path.read_bytes() for path in home.settings.state_dir.glob("catalog.db*"))
    for secret in (TOKEN, SESSION, SECRET, ALLOWED):
        assert secret.encode() not in stored
        assert secret not in caplog.text
    assert SECRET.encode() not in b"".join(body for _, _, _, body in lastfm.requests)
    assert home.services.scrobbling.disconnect(home.me, LASTFM) == 0
    assert not (folder / f"{home.me}-lastfm.token").exists()
    home.services.accounts.remove("Vera")
    home.services.scrobbling.delete_orphans()
    assert list(folder.iterdir()) == []


def test_the_signature_sorts_by_name_and_leaves_the_arrays_in_the_order_of_their_bytes() -> None:
    """artist[10] comes before artist[1]: a bracket is greater than a digit."""
    values = {"artist[1]": "b", "artist[10]": "c", "method": "m", "api_key": "k"}
    assert signature(values, "s") == hashlib.md5(b"api_keykartist[10]cartist[1]bmethodms").hexdigest()


def test_a_key_without_its_secret_stops_the_start(tmp_path: Path) -> None:
    settings = Settings(DATA_DIR=tmp_path, LASTFM_API_KEY=KEY)
    ensure_directories(settings)
    with pytest.raises(ConfigError, match="LASTFM_SECRET_FILE"):
        open_services(settings)


def test_an_idle_background_starts_no_task(home: Home) -> None:
    home.connect(LISTENBRAINZ, TOKEN)
    before = home.services.tasks.latest(SCROBBLE)
    home.run()
    assert home.services.tasks.latest(SCROBBLE) == before


def test_a_node_without_the_token_leaves_it_to_the_one_that_has_it(home: Home, listenbrainz: ListenBrainzServer) -> None:
    """It stopped the connection: tokens are files of one node, and the catalogue is that of all."""
    home.connect(LISTENBRAINZ, TOKEN)
    home.play_side()
    before = home.services.tasks.latest(SCROBBLE)
    scrobbling = home.services.scrobbling
    there, scrobbling._folder = scrobbling._folder, home.settings.state_dir / "another node"
    scrobbling.rows.db.node = "another"
    home.run()
    assert home.services.tasks.latest(SCROBBLE) == before
    assert listenbrainz.listens() == []
    scrobbling._folder, scrobbling.rows.db.node = there, ""
    home.run()
    assert listenbrainz.listens() == SIDE
    state = home.state(LISTENBRAINZ).scrobbler
    assert state is not None
    assert state.state == "on"
