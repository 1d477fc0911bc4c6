"""The sync with Discogs, against a server of its protocol: what comes in, what stays, what is gone, and how it continues."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from image_cache.bootstrap import ensure_directories
from image_cache.config import Settings
from image_cache.errors import FieldRejected
from image_cache.importers.discogs.service import DETAILS, SYNC, TEST
from image_cache.models import Album, TaskState
from image_cache.net.token_file import TokenFile
from image_cache.records.table import AlbumTable
from image_cache.services import Services, open_services
from tests.support.clock import FakeClock
from tests.support.discogs import ACCOUNT, TOKEN, DiscogsServer
from tests.support.inside import Inside
from tests.support.vault import wait_until

WINDOW_S = 1.0
HOUR_S = 3600.0
PAGES = "releases[?]page="
ALL_NEW = {
    "says": "250 records read: 250 new, 0 updated, 0 unchanged.",
    "new": 250,
    "changed": 0,
    "same": 0,
    "rejected": 0,
    "lossy": 0,
    "hidden": 0,
    "gone": 0,
    "items": 250,
    "account": ACCOUNT,
    "reasons": [],
    "report": [],
}


@pytest.fixture(scope="module")
def process() -> Iterator[DiscogsServer]:
    with DiscogsServer(window_s=WINDOW_S) as running:
        yield running


@pytest.fixture
def discogs(process: DiscogsServer) -> DiscogsServer:
    """The server, as if it had just begun, with 250 records."""
    process.control(reset=250)
    return process


class Opened:
    """The services of a vault without the pages around them; nothing runs in it but what a test begins."""

    def __init__(self, folder: Path, discogs: DiscogsServer, clock: Callable[[], float] = time.time, **settings: Any) -> None:
        self.folder = folder
        chosen = Settings(DATA_DIR=folder, TRUSTED_ORIGINS=(discogs.base,), **discogs_settings(discogs), **settings)
        ensure_directories(chosen)
        self.services = open_services(chosen, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.services.close()


def discogs_settings(discogs: DiscogsServer) -> dict[str, Any]:
    """Return settings that make a vault connect to this server only."""
    return {"ORIGIN_ALLOWLIST": ("127.0.0.1",), "DISCOGS_API_URL": discogs.base, "DISCOGS_WINDOW_S": WINDOW_S}


def inside_at(folder: Path, discogs: DiscogsServer, **settings: Any) -> Inside:
    """Return a whole application; for other files of tests."""
    return Inside(folder, trusted=(discogs.base,), settled=False, **discogs_settings(discogs), **settings)


@pytest.fixture
def inside(tmp_path: Path, discogs: DiscogsServer) -> Iterator[Opened]:
    """A vault with a token that was tested."""
    with Opened(tmp_path / "vault", discogs) as opened:
        connect(opened.services)
        yield opened


@pytest.fixture
def services(inside: Opened) -> Services:
    return inside.services


def connect(services: Services, token: str = TOKEN) -> TaskState:
    services.discogs.keep_untested(token)
    return services.tasks.run(TEST, {})


def sync(services: Services) -> TaskState:
    return services.tasks.run(SYNC, {})


def albums(services: Services) -> list[Album]:
    return list(services.library.albums())


def by_instance(services: Services) -> dict[str, Album]:
    return {album.instance_id: album for album in albums(services)}


def table(services: Services) -> list[tuple[object, ...]]:
    """Return every row of the albums with all that is stored of it."""
    return [tuple(row) for row in services.catalog.rows("SELECT * FROM albums ORDER BY id")]


def import_csv(inside: Opened, text: str) -> None:
    path = inside.folder.parent / "rows.csv"
    path.write_text(text, encoding="utf-8")
    inside.services.library.import_table(path)


# The token


def test_a_token_is_tested_and_kept_for_nobody_else_to_read(tmp_path: Path, discogs: DiscogsServer) -> None:
    with Opened(tmp_path / "vault", discogs) as inside:
        ended = connect(inside.services)
        assert ended.outcome["says"] == f"Connected as {ACCOUNT}, 250 items."
        kept = tmp_path / "vault/state/discogs_token"
        assert kept.read_text() == TOKEN
        assert kept.stat().st_mode & 0o777 == 0o600
        assert not kept.with_suffix(".new").exists()
        assert inside.services.discogs.forget()
        assert not kept.exists()
        assert inside.services.discogs.status().account == ""
        assert not inside.services.discogs.forget()


def test_a_token_that_is_not_known_is_forgotten_and_the_one_before_it_stays(services: Services, discogs: DiscogsServer) -> None:
    ended = connect(services, "X" * 40)
    assert ended.state == "failed"
    assert ended.message == "Discogs does not accept this token. Create a new one in Discogs under Settings, Developers."
    status = services.discogs.status()
    assert (status.has_token, status.has_untested, status.fault) == (True, False, "")
    assert sync(services).state == "done"


@pytest.mark.parametrize("text", ["", "short", "a" * 40 + "\r\nX-Evil: 1", "ä" * 40, "x" * 500, "a b" * 20], ids=ascii)
def test_what_cannot_be_a_token_is_not_even_tried(services: Services, discogs: DiscogsServer, text: str) -> None:
    discogs.control(forget=True)
    with pytest.raises(FieldRejected, match="40 characters"):
        services.discogs.store_token(text)
    assert discogs.paths() == []


def test_a_token_file_is_closed_whatever_the_process_was_started_with(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        TokenFile(tmp_path / "token").write(TOKEN)
    finally:
        os.umask(previous)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_a_token_file_through_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(TOKEN)
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="token"):
        TokenFile(tmp_path / "token").read()


def test_a_token_that_was_revoked_ends_the_sync_with_a_sentence_and_is_not_tried_by_the_timer(
    services: Services, discogs: DiscogsServer
) -> None:
    sync(services)
    discogs.control(token="another", forget=True)
    ended = sync(services)
    assert (ended.state, ended.message) == (
        "failed",
        "Discogs does not accept this token. Create a new one in Discogs under Settings, Developers.",
    )
    assert len(discogs.paths()) == 1
    services.tasks.serve()
    services.discogs.clock = lambda: 9e9
    services.discogs.run_maintenance()
    assert services.discogs.latest() == ended
    assert len(albums(services)) == 250


def test_a_private_collection_and_an_empty_one_have_their_own_words(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(private=True)
    assert "is private" in sync(services).message
    discogs.control(reset=0)
    assert connect(services).outcome["says"] == f"Connected as {ACCOUNT}. Your Discogs collection is empty."
    assert sync(services).outcome["says"] == f"Connected as {ACCOUNT}. Your Discogs collection is empty."


def test_a_collection_that_is_suddenly_empty_marks_nothing_as_gone(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    discogs.control(reset=0)
    assert sync(services).state == "done"
    assert not [album for album in albums(services) if album.gone_at]


def test_the_net_away_is_said_kept_and_over_when_it_is_back(tmp_path: Path, discogs: DiscogsServer) -> None:
    with Opened(tmp_path / "vault", discogs) as inside:
        connect(inside.services)
        sync(inside.services)
        discogs.control(faults=[{"path": "", "kind": "reset"}])
        ended = sync(inside.services)
        assert ended.state == "failed"
        assert ended.message.startswith("Could not reach Discogs: ")
        assert ended.message.endswith("Saved records stay. The next sync resumes here.")
        status = inside.services.discogs.status()
        assert (status.fault, status.is_offline) == ("away", True)
        discogs.control(faults=[])
        assert sync(inside.services).state == "done"
        assert not inside.services.discogs.status().is_offline


def test_the_token_goes_to_the_api_alone_and_into_no_log(
    tmp_path: Path, discogs: DiscogsServer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        DiscogsServer(records=20, window_s=WINDOW_S, images="self") as own,
        caplog.at_level("DEBUG"),
        Opened(tmp_path / "vault", own) as inside,
    ):
        connect(inside.services)
        sync(inside.services)
        while inside.services.loader.run_next():
            pass
        inside.services.covers.preload_images(list(inside.services.library.cover_urls())[:3])
        own.control(faults=[{"kind": "500"}])
        sync(inside.services)
        asked = own.log()["requests"]
    pictures = [row for row in asked if "/rs:fit/" in row[0]]
    assert pictures
    assert not [row for row in pictures if row[2]]
    assert {row[2] for row in asked if row not in pictures} == {f"Discogs token={TOKEN}"}
    assert {row[3].split("/")[0] for row in asked if row not in pictures} == {"VinylVault"}
    assert TOKEN not in caplog.text
    stored = [path for path in (tmp_path / "vault").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert [path.name for path in stored] == ["discogs_token"]


# A sync


def test_a_collection_comes_in_page_by_page_with_as_few_calls_as_it_takes(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(forget=True)
    ended = sync(services)
    assert ended.outcome | {"reasons": []} == ALL_NEW
    assert len(discogs.paths()) == 6  # with one for the wantlist
    assert [path.split("page=")[1].split("&")[0] for path in discogs.paths(PAGES)] == ["1", "2", "3"]
    assert all("per_page=100" in path for path in discogs.paths(PAGES))
    found = by_instance(services)
    assert len(found) == 250
    one = found["700000035"]
    assert (one.artist, one.title, one.year, one.notes, one.shelf) == (
        "One, Two Feat. Three",
        "Record 00035",
        1985,
        "Bought on 2001-02-08",
        "B 8",
    )
    assert one.seen_at is not None
    assert services.covers.registry.summary("covers")[0] == sum(1 for album in found.values() if album.cover_url)
    assert not found["700000009"].cover_url


def test_a_second_sync_changes_nothing_not_even_a_row(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    before, revision = table(services), AlbumTable(services.catalog).revisions().of("artist")
    registered = services.covers.registry.summary("covers")
    assert sync(services).outcome["same"] == 250
    assert table(services) == before
    assert AlbumTable(services.catalog).revisions().of("artist") == revision
    assert services.covers.registry.summary("covers") == registered


def test_what_was_done_here_survives_and_what_changed_there_comes_in(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    ids = {album.instance_id: album.id for album in albums(services)}
    mine = ids["700000003"]
    services.library.record_play(mine)
    services.library.rate(mine, 1)
    with services.catalog.write() as conn:
        conn.execute("UPDATE albums SET own_notes = 'mine', own_cover = 'own:1' WHERE id = ?", (mine,))
    discogs.control(
        change={"3": {"rating": 5, "notes": [{"field_id": 1, "value": "Poor (P)"}], "basic_information": {"title": "Renamed"}}}
    )
    ended = sync(services)
    assert (ended.outcome["changed"], ended.outcome["same"]) == (1, 249)
    album = services.library.album(mine)
    assert album is not None
    assert (album.title, album.media_condition, album.sleeve_condition) == ("Renamed", "P", "")
    assert (album.plays, album.rating, album.own_notes, album.picture) == (1, 1, "mine", "own:1")
    assert {one.instance_id: one.id for one in albums(services)} == ids


def test_a_note_that_was_emptied_there_is_empty_here(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    assert by_instance(services)["700000005"].rating == 5
    discogs.control(change={"5": {"notes": [], "rating": 0}})
    sync(services)
    album = by_instance(services)["700000005"]
    assert (album.notes, album.media_condition, album.rating) == ("", "", None)


def test_two_copies_of_one_release_stay_two(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(copy=[3, 3])
    assert sync(services).outcome["new"] == 252
    copies = [album for album in albums(services) if album.release_id == "100003"]
    assert [album.source_id for album in copies] == ["100003", "100003-2", "100003-3"]
    assert len({album.instance_id for album in copies}) == 3
    before = table(services)
    sync(services)
    assert table(services) == before


def test_a_record_that_came_by_table_becomes_the_copy_and_keeps_its_plays(inside: Opened, discogs: DiscogsServer) -> None:
    import_csv(inside, "artist,title,source,source_id,plays\nSomebody,Old title,discogs,100003,7\nSomebody,Other,discogs,999,1\n")
    mine = [album.id for album in albums(inside.services)]
    discogs.control(copy=[3])
    sync(inside.services)
    album = inside.services.library.album(mine[0])
    assert album is not None
    assert (album.instance_id, album.title, album.plays) == ("700000003", "Record 00003", 7)
    assert len(albums(inside.services)) == 252
    other = inside.services.library.album(mine[1])
    assert other is not None
    assert other.gone_at is None  # Discogs never said that it was there


def test_what_left_the_collection_is_marked_and_comes_back_as_it_was(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    ids = {album.instance_id: album.id for album in albums(services)}
    services.library.record_play(ids["700000003"])
    discogs.control(remove=[3, 120], forget=True)
    ended = sync(services)
    assert ended.outcome["gone"] == 2
    assert ended.outcome["says"] == "248 records read: 0 new, 0 updated, 248 unchanged, 2 no longer at Discogs."
    assert len(discogs.paths(PAGES)) == 6  # believed after a second look
    assert services.discogs.gone()[0] == 2
    gone = {album.instance_id for album in albums(services) if album.gone_at}
    assert gone == {"700000003", "700000120"}
    before = table(services)
    assert sync(services).outcome["gone"] == 0
    assert table(services) == before
    discogs.control(add=[3])  # the same copy again, and one that was bought again below
    sync(services)
    back = by_instance(services)["700000003"]
    assert (back.id, back.gone_at, back.plays) == (ids["700000003"], None, 1)


def test_a_release_that_is_bought_again_is_the_record_that_left(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    services.library.record_play(by_instance(services)["700000120"].id)
    discogs.control(remove=[120])
    sync(services)
    discogs.control(copy=[119], change={"249": {"id": 100120, "basic_information": {"id": 100120}}})
    assert sync(services).outcome["new"] == 0
    (album,) = [album for album in albums(services) if album.source_id == "100120"]
    assert (album.gone_at, album.plays) == (None, 1)
    assert album.instance_id.startswith("9")


def test_a_record_that_moved_between_pages_meanwhile_is_not_taken_for_gone(services: Services, discogs: DiscogsServer) -> None:
    """One leaves page 1 and one comes in at the end while page 2 is requested: a record slips past, the count is the same."""
    sync(services)
    discogs.control(before_page={"2": [{"remove": [5], "add": [900]}]})
    ended = sync(services)
    assert (ended.outcome["new"], ended.outcome["gone"]) == (1, 0)
    assert len(albums(services)) == 251
    assert sync(services).outcome["gone"] == 1
    assert {album.instance_id for album in albums(services) if album.gone_at} == {"700000005"}


def test_a_collection_that_shrinks_by_a_page_meanwhile_is_read_to_its_end(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    discogs.control(before_page={"3": [{"remove": list(range(60))}]})
    assert sync(services).state == "done"
    assert sync(services).outcome["items"] == 190
    assert {album.instance_id for album in albums(services) if not album.gone_at} == {
        f"{700_000_000 + n}" for n in range(60, 250)
    }


def test_nothing_is_marked_when_the_collection_moves_in_the_second_look_too(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    discogs.control(remove=[200], before_page={"3": [{"remove": [1], "before_page": {"3": [{"remove": [1]}]}}]})
    ended = sync(services)
    assert (ended.state, ended.outcome["gone"]) == ("done", 0)
    assert sync(services).outcome["gone"] == 3


def test_entries_that_are_none_are_counted_with_reasons_and_the_rest_goes_in(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(
        change={"7": {"basic_information": {"title": "", "artists": []}}, "8": {"id": 0, "basic_information": {"id": 0}}}
    )
    ended = sync(services)
    assert (ended.outcome["new"], ended.outcome["rejected"]) == (248, 2)
    assert ended.outcome["reasons"] == [
        [8, "release 100007 has neither artist nor title"],
        [9, "an entry without a release number"],
    ]
    assert "2 rejected" in ended.outcome["says"]


def test_what_was_cut_is_in_the_report_by_number_artist_and_title_and_the_record_goes_in(
    services: Services, discogs: DiscogsServer
) -> None:
    long = " ".join(["Wordy"] * 45)
    names = [{"name": f"Somebody {number}", "join": ","} for number in range(30)]
    change: dict[str, Any] = {
        "7": {"basic_information": {"title": long}},
        "8": {"basic_information": {"artists": names}, "notes": [{"field_id": 3, "value": "so " * 900}]},
        "9": {"basic_information": {"title": "", "artists": []}},
    }
    discogs.control(change=change)
    ended = sync(services)
    assert (ended.outcome["new"], ended.outcome["rejected"], ended.outcome["lossy"]) == (249, 1, 2)
    assert ended.outcome["says"].endswith("1 rejected; 2 with a shortened text.")
    found = by_instance(services)
    seven, eight = found["700000007"], found["700000008"]
    assert (seven.title, len(eight.artist) <= 200, len(eight.notes) <= 2000) == (" ".join(["Wordy"] * 33), True, True)
    assert ended.outcome["report"] == [
        [10, "", "", "rejected: release 100009 has neither artist nor title"],
        [8, seven.artist, seven.title, "title is too long (maximum 200 characters); shortened"],
        [9, eight.artist, eight.title, "artist is too long (maximum 200 characters); shortened"],
        [9, eight.artist, eight.title, "notes is too long (maximum 2,000 characters); shortened"],
    ]
    assert sync(services).outcome["report"] == ended.outcome["report"]


def test_a_record_that_cannot_be_read_any_more_is_not_gone(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    discogs.control(change={"7": {"basic_information": {"title": "", "artists": []}}})
    assert sync(services).outcome["rejected"] == 1
    assert by_instance(services)["700000007"].gone_at is None


# Trouble


def test_a_line_cut_in_a_page_costs_that_page_once(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(faults=[{"path": "page=2", "kind": "cut", "times": 1}], forget=True)
    assert sync(services).outcome["new"] == 250
    assert len(discogs.paths(PAGES)) == 4
    assert len(discogs.paths(PAGES + "2")) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "503"},
        {"kind": "503", "after": 0},
        {"kind": "html"},
        {"kind": "reset"},
        {"kind": "429"},
        {"kind": "429", "after": 1},
    ],
    ids=str,
)
def test_a_page_that_fails_three_times_is_asked_for_again_and_nothing_is_doubled(
    services: Services, discogs: DiscogsServer, fault: dict[str, Any]
) -> None:
    times = 1 if fault["kind"] == "429" else 3
    discogs.control(faults=[{"path": "page=2", "times": times, **fault}], forget=True)
    assert sync(services).outcome["new"] == 250
    assert len(discogs.paths(PAGES + "2")) == times + 1
    assert discogs.log()["over"] == 0


def test_a_sync_that_failed_is_continued_by_the_next_one(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(faults=[{"path": "page=3", "kind": "503"}])
    failed = sync(services)
    assert (failed.state, failed.done, failed.total) == ("failed", 200, 250)
    assert len(albums(services)) == 200
    discogs.control(faults=[], forget=True)
    assert sync(services).outcome | {"reasons": []} == ALL_NEW
    assert discogs.paths() == discogs.paths("identity|page=3")


def test_a_cancel_is_a_cancel_and_the_next_sync_begins_anew(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(faults=[{"path": "page=2", "kind": "429", "after": 30, "times": 1}], forget=True)
    services.tasks.serve()
    task_id = services.discogs.sync()
    state = lambda: services.tasks.rows.get(task_id)  # noqa: E731
    wait_until(lambda: state().paused_until is not None)
    paused = state()
    assert paused is not None
    assert paused.message == "Rate limit reached."
    assert services.tasks.cancel(task_id)
    wait_until(lambda: state().is_over)
    ended = state()
    assert ended is not None
    assert (ended.state, ended.paused_until) == ("cancelled", None)
    assert len(albums(services)) == 100
    with services.catalog.write() as conn:
        conn.execute("UPDATE services SET paused_until = 0")
    asked = len(discogs.paths())
    assert sync(services).outcome["new"] == 150
    assert len(discogs.paths()) == asked + 6


def test_a_stop_in_the_middle_goes_on_after_the_next_start(tmp_path: Path, discogs: DiscogsServer) -> None:
    discogs.control(faults=[{"path": "page=3", "kind": "429", "after": 1, "times": 1}])
    with Opened(tmp_path / "vault", discogs) as inside:
        connect(inside.services)
        discogs.control(forget=True)
        inside.services.tasks.serve()
        task_id = inside.services.discogs.sync()
        wait_until(lambda: inside.services.tasks.rows.get(task_id).paused_until is not None or discogs.paths(PAGES + "3"))
    with Opened(tmp_path / "vault", discogs) as inside:
        inside.services.tasks.serve()
        inside.services.tasks.start_waiting()
        wait_until(lambda: inside.services.tasks.rows.get(task_id).is_over)
        assert inside.services.tasks.rows.get(task_id).outcome["new"] == 250
    assert sorted(path.split("page=")[1][0] for path in discogs.paths(PAGES, 200)) == ["1", "2", "3"]
    assert len(discogs.paths("identity")) == 1


# Covers


def test_a_cover_that_changes_its_signature_keeps_its_row_and_a_better_one_takes_it(
    services: Services, discogs: DiscogsServer
) -> None:
    sync(services)
    first = by_instance(services)["700000001"].cover_url
    sync(services)
    assert by_instance(services)["700000001"].cover_url == first
    other = "https://i.discogs.com/sig/rs:fit/g:sm/q:90/h:600/w:600/czM6Ly9kaXNjb2dz/LWRhdGFiYXNlLWlt/YWdlcy9SLTEwMDAw/MS0xNTk5OTk5OTk5/LTEyMzQuanBlZw.jpeg"
    discogs.control(change={"1": {"basic_information": {"cover_image": other}}})
    assert sync(services).outcome["changed"] == 1
    assert by_instance(services)["700000001"].cover_url == other


def test_a_cover_whose_address_died_is_fetched_under_the_new_one(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    album = by_instance(services)["700000001"]
    assert album.cover_url is not None
    digest = services.covers.digest_of(album.cover_url)
    with services.covers.cache.index.database.write() as conn:
        services.covers.registry.record_failure(conn, digest, "HTTP 403", 9e9, is_final=True, code="403")
    assert sync(services).outcome["changed"] == 1
    now = by_instance(services)["700000001"]
    assert now.cover_url != album.cover_url
    assert now.cover_url is not None
    image = services.covers.registry.get(digest)
    assert image is not None
    assert (image.url, image.failures, image.is_final) == (now.cover_url, 0, False)


def test_a_cover_that_cannot_be_had_for_another_reason_keeps_its_row(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    album = by_instance(services)["700000001"]
    assert album.cover_url is not None
    digest = services.covers.digest_of(album.cover_url)
    with services.covers.cache.index.database.write() as conn:
        services.covers.registry.record_failure(conn, digest, "i.discogs.com is not on the allowlist", 9e9, is_final=True)
    assert sync(services).outcome["changed"] == 0


# Details


def opened(services: Services, number: int) -> Album:
    """Open the page of a record as a visitor would."""
    album = by_instance(services)[str(700_000_000 + number)]
    services.discogs.enqueue_details(album)
    return album


def tracks_of(services: Services, album: Album) -> int:
    found = services.library.album(album.id)
    return len(found.tracks) if found else 0


def test_the_tracks_of_a_record_come_when_it_is_opened_first_and_are_asked_for_once(
    services: Services, discogs: DiscogsServer
) -> None:
    sync(services)
    services.tasks.serve()
    discogs.control(forget=True)
    first, second = opened(services, 3), opened(services, 4)
    wait_until(lambda: tracks_of(services, first) == 4 and tracks_of(services, second) == 4)
    found = services.library.album(first.id)
    assert found is not None
    assert (found.tracks[0].title, found.barcode) == ("Opening 100003", "5012345678900")
    assert found.detailed_at is not None
    assert not services.discogs.enqueue_details(found)
    assert sorted(discogs.paths()) == ["/releases/100003", "/releases/100004"]
    before = table(services)
    sync(services)
    assert table(services) == before  # a sync does not take the tracks away


def test_details_and_a_sync_together_stay_below_the_limit(services: Services, discogs: DiscogsServer) -> None:
    """The server counts: 100 releases beside a sync are more than a window holds, and no one is told to slow down."""
    sync(services)
    shelf = albums(services)
    for album in shelf[:100]:
        services.discogs.rows.enqueue_details(album.id, 1.0)
    services.tasks.serve()
    services.tasks.start(DETAILS, {})
    assert sync(services).outcome["same"] == 250
    wait_until(lambda: services.discogs.rows.next_details(9e9) is None)
    log = discogs.log()
    assert (log["over"], len(discogs.paths("/releases/", 200))) == (0, 100)
    assert log["used"] <= 57


def test_a_release_that_is_not_there_is_not_asked_for_again_for_a_while(services: Services, discogs: DiscogsServer) -> None:
    sync(services)
    services.tasks.serve()
    discogs.control(faults=[{"path": "/releases/", "kind": "404"}], forget=True)
    album = opened(services, 3)
    wait_until(lambda: services.discogs.rows.next_details(services.discogs.clock()) is None)
    wait_until(lambda: len(discogs.paths()) == 1)
    for _ in range(3):
        assert not services.discogs.enqueue_details(album)
    assert len(discogs.paths()) == 1
    assert services.discogs.rows.next_details(services.discogs.clock() + 2 * HOUR_S) is not None


def test_who_opens_everything_at_once_gets_the_newest_and_no_queue_without_end(services: Services) -> None:
    sync(services)
    for album in albums(services):
        services.discogs.rows.enqueue_details(album.id, float(album.id))
    count = services.catalog.row("SELECT count(*) AS n FROM detail_wishes")
    assert count is not None
    assert count["n"] == 100
    assert services.discogs.rows.next_details(9e9) == (250, 0)


def test_without_a_token_nothing_is_wished_for(inside: Opened, discogs: DiscogsServer) -> None:
    sync(inside.services)
    inside.services.discogs.forget()
    assert not inside.services.discogs.enqueue_details(albums(inside.services)[0])
    import_csv(inside, "title,artist\nNot from there,A\n")
    assert not inside.services.discogs.enqueue_details(albums(inside.services)[-1])


# The timer, the age


@pytest.mark.parametrize(
    ("after_h", "settings", "begins"),
    [
        (1, {}, False),
        (5.9, {}, True),
        (7, {}, True),
        (7, {"DISCOGS_REFRESH_HOURS": 0}, False),
        (7, {"DISCOGS_REFRESH_HOURS": 24}, False),
    ],
    ids=str,
)
def test_the_collection_is_read_again_by_itself_when_it_is_time(
    tmp_path: Path, discogs: DiscogsServer, after_h: float, settings: dict[str, Any], begins: bool
) -> None:
    clock = FakeClock()
    with Opened(tmp_path / "vault", discogs, clock=clock, **settings) as inside:
        connect(inside.services)
        inside.services.discogs.run_maintenance()
        assert inside.services.discogs.latest() is None  # the first time is by hand
        done = sync(inside.services)
        assert not inside.services.discogs.status().is_stale
        clock.advance(after_h * HOUR_S)
        inside.services.discogs.run_maintenance()
        latest = inside.services.discogs.latest()
        assert latest is not None
        assert (latest.id != done.id) == begins
        assert inside.services.discogs.status().is_stale == (after_h > 6)


def test_pictures_of_old_data_are_hidden_only_when_that_is_wanted(tmp_path: Path, discogs: DiscogsServer) -> None:
    for hides in (False, True):
        clock = FakeClock()
        with Opened(tmp_path / f"vault{hides}", discogs, clock=clock, DISCOGS_HIDE_STALE=hides) as inside:
            connect(inside.services)
            sync(inside.services)
            album = albums(inside.services)[1]
            with inside.services.catalog.write() as conn:
                conn.execute("UPDATE albums SET own_cover = 'own:1' WHERE id = ?", (album.id + 1,))
            shown: Callable[[int], Any] = lambda n, inside=inside: inside.services.library.album(n).picture  # noqa: E731
            assert shown(album.id) == album.cover_url
            clock.advance(7 * HOUR_S)
            assert shown(album.id) == (None if hides else album.cover_url)
            assert shown(album.id + 1) == "own:1"
            assert album.cover_url in set(inside.services.library.cover_urls())  # nothing of it is forgotten
            assert len(inside.services.library.neighbours(album.id)) > 10
