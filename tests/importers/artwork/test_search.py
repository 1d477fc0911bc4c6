"""Covers for records that have none: whom is asked and how often, what is taken, what is only offered, what waits."""

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.import_models import ImportRow
from image_cache.importers.artwork.cover_art_archive import CoverArtArchive
from image_cache.importers.artwork.musicbrainz import MusicBrainz, phrase
from image_cache.importers.artwork.search import ArtworkSearch
from image_cache.importers.artwork.table import CoverTries
from image_cache.models import Album, TaskState
from image_cache.net.json_api import JsonApiClient
from image_cache.net.rate_limit import MAX_PAUSE_S, IntervalLimiter
from image_cache.tasks import TaskRunner
from tests.support.clock import FakeClock
from tests.support.discogs import TOKEN, DiscogsServer
from tests.support.inside import Inside
from tests.support.musicbrainz import Archive, mbid_of
from tests.support.origin import Origin, jpeg
from tests.support.vault import wait_until

FRONT = jpeg(700, 700, (30, 90, 160))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "archive") as running:
        yield running


Open = Callable[..., Inside]


@pytest.fixture
def opened(archive: Archive, origin: Origin, tmp_path: Path) -> Iterator[Inside]:
    """A vault that asks the archive."""
    with Inside(tmp_path / "vault", trusted=(archive.base, origin.base), **archive.settings) as inside:
        yield inside


def put(inside: Inside, **facts: Any) -> int:
    row = ImportRow(line=1, **{"title": "Blue Hour", "artist": "The Lanterns", **facts})
    inside.services.library.import_rows([row])
    return max(album.id for album in inside.services.library.albums())


def searches(inside: Inside, rest_s: float = 0.1) -> TaskRunner:
    """Tasks of which a search rests no longer than a test can bear."""
    services = inside.services
    finder = ArtworkSearch(
        services.settings, services.artwork.editor.rows, services.covers, services._parts.fetcher, first_rest_s=rest_s
    )
    tasks = TaskRunner(services.catalog, services.catalog.locks(inside.folder / "state"))
    tasks.register("covers", finder.run)
    return tasks


def look(inside: Inside) -> TaskState:
    """Run a search to its end, in this process."""
    return searches(inside).run("covers", {})


def outcome(state: TaskState) -> tuple[int, int]:
    return state.outcome["looked_at"], state.outcome["found"]


def album(inside: Inside, album_id: int) -> Album:
    found = inside.services.library.album(album_id)
    assert found is not None
    return found


def tries(inside: Inside, album_id: int) -> CoverTries:
    return inside.services.artwork.editor.rows.tries(album_id)


WAYS = {
    "mbid": ({}, {}),
    "discogs-link": ({"discogs": "4711"}, {"source": "discogs", "source_id": "4711"}),
    "barcode": ({"barcode": "5012980123457"}, {"barcode": "5012980123457", "artist": "Lanterns, The"}),
    "catno": ({"catno": "AB-12 (X)", "label": "Staithe"}, {"catno": "AB-12 (X)", "label": "Staithe", "artist": ""}),
    "names": ({}, {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_cover_is_found_by_each_way(opened: Inside, archive: Archive, way: str) -> None:
    theirs, ours = WAYS[way]
    mbid = archive.add("Blue Hour", "The Lanterns", fronts=[FRONT], **theirs)
    if way == "mbid":
        ours = {"mbid": mbid, "title": "Another spelling"}
    album_id = put(opened, **ours)
    assert outcome(look(opened)) == (1, 1)
    found = album(opened, album_id)
    assert found.picture == f"{archive.base}/caa/release/{mbid}/1000-1200.jpg"
    assert (found.own_cover, found.cover_url) == (None, None)
    assert tries(opened, album_id).strategy == way
    covers = opened.services.covers
    wait_until(lambda: covers.peek([found.picture])[0].state == "ready")  # through both redirects


def test_the_archive_is_never_asked_for_an_original_and_always_told_who_asks(archive: Archive, tmp_path: Path) -> None:
    archive.add("Blue Hour", "The Lanterns", fronts=[FRONT])
    with Inside(tmp_path / "vault", trusted=(archive.base,), CONTACT="me@example.org", **archive.settings) as inside:
        picture = album(inside, album_id).picture if (album_id := put(inside)) and look(inside) else None
        wait_until(lambda: inside.services.covers.peek([picture])[0].state == "ready")
    pictures = [path for _, path, _ in archive.asked("/items/") if path.endswith(".jpg")]
    assert pictures
    assert all("-1200.jpg" in path for path in pictures)
    assert all("VinylVault/" in agent and "me@example.org" in agent for _, _, agent in archive.asked())


def test_musicbrainz_is_asked_once_a_second_by_all_processes_together(tmp_path: Path) -> None:
    """The moments are in a file, so eight threads with their own book each are as good as eight processes."""
    clock = FakeClock()
    waits: list[float] = []
    lock = threading.Lock()

    def book() -> None:
        turns = IntervalLimiter(tmp_path / "turns", 1.1, clock=clock)
        for _ in range(5):
            wait = turns.reserve()
            with lock:
                waits.append(wait)

    threads = [threading.Thread(target=book) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [round(wait / 1.1) for wait in sorted(waits)] == list(range(40))
    assert IntervalLimiter(tmp_path / "turns", 1.1, clock=clock).reserve() == pytest.approx(
        44.0, abs=0.01
    )  # also after a restart


def test_a_moment_that_a_wrong_clock_wrote_keeps_nobody_waiting(tmp_path: Path) -> None:
    clock = FakeClock()
    IntervalLimiter(tmp_path / "turns", 1.0, clock=lambda: clock() + 10 * 365 * 86400).reserve()
    turns = IntervalLimiter(tmp_path / "turns", 1.0, clock=clock)
    assert turns.reserve() == 0.0
    turns.back_off(10 * MAX_PAUSE_S)
    assert turns.reserve() <= MAX_PAUSE_S
    (tmp_path / "turns").write_bytes(b"torn")
    assert turns.reserve() == 0.0


@pytest.mark.slow
def test_several_records_are_never_asked_for_too_fast(opened: Inside, archive: Archive) -> None:
    for number in range(3):
        archive.add(f"Title {number}", "The Lanterns", fronts=[FRONT])
        put(opened, title=f"Title {number}")
    assert outcome(look(opened)) == (3, 3)
    assert archive.refused() == 0
    assert len(archive.asked("/ws/2/")) == 3


def test_a_record_that_nobody_knows_is_left_alone_for_weeks(opened: Inside, archive: Archive) -> None:
    album_id = put(opened)
    assert outcome(look(opened)) == (1, 0)
    left = tries(opened, album_id)
    assert left.reason == "No cover found anywhere"
    assert left.next_at > time.time() + 27 * 86400
    asked = len(archive.asked())
    assert outcome(look(opened)) == (0, 0)
    assert len(archive.asked()) == asked


def test_a_release_without_pictures_is_shown_by_another_pressing(opened: Inside, archive: Archive) -> None:
    archive.add("Blue Hour", "The Lanterns", barcode="5012980123457")
    twin = archive.add("Blue Hour", "The Lanterns", year="1974", fronts=[FRONT])
    album_id = put(opened, barcode="5012980123457")
    look(opened)
    assert album(opened, album_id).picture == f"{archive.base}/caa/release/{twin}/1010-1200.jpg"


@pytest.mark.parametrize("title", ["Blue Hour in Venice", "Blue"])
def test_what_is_only_similar_is_offered_and_not_taken(opened: Inside, archive: Archive, title: str) -> None:
    archive.add(title, "Lanterns Revival Band", fronts=[FRONT])
    album_id = put(opened)
    look(opened)
    left = tries(opened, album_id)
    assert album(opened, album_id).picture is None
    assert len(left.offers) <= 1
    assert left.reason in ("1 suggestion", "No cover found anywhere")


def test_a_pause_that_is_asked_for_is_said_and_kept(opened: Inside, archive: Archive) -> None:
    archive.add("Blue Hour", "The Lanterns", fronts=[FRONT])
    archive.refuse(503, 1, path="/ws/2/", retry_after=1)
    put(opened)
    assert outcome(look(opened)) == (1, 1)
    first, second = (at for at, _, _ in archive.asked("/ws/2/"))
    assert second - first >= 0.99


def test_without_a_net_it_waits_and_goes_on_by_itself(opened: Inside, archive: Archive) -> None:
    archive.add("Blue Hour", "The Lanterns", fronts=[FRONT])
    archive.stop()
    album_id = put(opened)
    tasks = searches(opened)
    tasks.serve()
    task_id = tasks.start("covers", {})
    wait_until(lambda: (state := tasks.rows.get(task_id)) is not None and state.message == "Waiting for a network connection.")
    assert tries(opened, album_id).tried_at is None
    archive.start()
    wait_until(lambda: (state := tasks.rows.get(task_id)) is not None and state.is_over)
    assert album(opened, album_id).picture


def test_a_refusal_says_what_helps(opened: Inside, archive: Archive) -> None:
    archive.refuse(403, 5, path="/ws/2/")
    album_id = put(opened)
    look(opened)
    assert "VINYL_VAULT_CONTACT" in tries(opened, album_id).reason


def test_a_record_that_always_fails_lets_the_others_go_first(opened: Inside, archive: Archive) -> None:
    archive.refuse(500, 3, path="/ws/2/", retry_after=0)
    archive.add("Blue Hour", "The Lanterns", fronts=[FRONT])
    first, second = put(opened, title="Other"), put(opened)
    assert outcome(look(opened)) == (1, 1)
    assert album(opened, second).picture
    assert 0 < tries(opened, first).next_at - time.time() < 7 * 3600


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/items/", '{"images": [{"id": 7, "front": true, "types": null, "thumbnails": {"500": ""}}]}'),
        (
            "/items/",
            '{"images": [{"id": 7, "front": true, "types": ["Front"], "comment": "\\ud83d", "thumbnails": {"500": ""}}]}',
        ),
        ("/items/", '{"images": {"id": 7}}'),
        ("/items/", "<html>Log in to the network</html>"),
        ("/ws/2/", "[" * 30_000),
        (
            "/ws/2/",
            '{"releases": [{"id": "{mbid}", "title": "Blue \\udc00Hour", "artist-credit": 5, "release-group": [], "score": "x"}]}',
        ),
    ],
)
def test_a_malformed_answer_costs_at_most_its_own_record(opened: Inside, archive: Archive, path: str, body: str) -> None:
    """A null where a list belongs, or half of a surrogate pair, ended the task; and the next one began with the same record."""
    mbid = archive.add("Blue Hour", "The Lanterns", fronts=[FRONT])
    archive.add("Slow Tide", "The Lanterns", fronts=[FRONT])
    archive.answer_with(body.replace("{mbid}", mbid), path=path)
    first, second = put(opened), put(opened, title="Slow Tide")
    state = look(opened)
    assert (state.state, album(opened, second).picture is not None) == ("done", True)
    left = tries(opened, first)
    assert left.tried_at is not None
    assert left.next_at > time.time() + 5 * 3600  # it does not go first the next time
    assert left.reason or album(opened, first).picture


def test_answers_that_are_all_broken_are_said_and_end_in_a_pause(opened: Inside, archive: Archive) -> None:
    """The log-in page of a hotel answers for every host: three records are put off, not all of them."""
    archive.answer_with("<html>Log in to the network</html>", 99)
    ids = [put(opened, title=f"Title {number}") for number in range(5)]
    tasks = searches(opened, rest_s=60.0)
    tasks.serve()
    task_id = tasks.start("covers", {})
    wait_until(lambda: (state := tasks.rows.get(task_id)) is not None and state.paused_until is not None)
    tasks.close()
    reasons = [tries(opened, album_id).reason for album_id in ids]
    assert reasons == ["The Cover Art Archive failed: the response is not valid JSON."] * 3 + ["", ""]


# A value of each type where another one belongs; and text that no database takes.
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "\ud83d",
    "\x00",
    [],
    [None],
    [[]],
    ["\udc00"],
    {},
    {"id": None},
    [{"id": {}}],
)


def wrong_everywhere(value: Any) -> Iterator[Any]:
    """Yield the value once for each place in it and each wrong value, which stands there."""
    yield from WRONG
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: wrong} for wrong in wrong_everywhere(inner))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from ([*value[:at], wrong, *value[at + 1 :]] for wrong in wrong_everywhere(inner))


def test_whatever_a_service_answers_is_text_that_can_be_stored_or_a_typed_error(opened: Inside, origin: Origin) -> None:
    mbid = mbid_of("one")
    release = {
        "id": mbid,
        "score": 100,
        "title": "Blue Hour",
        "artist-credit": [{"name": "The Lanterns", "joinphrase": " & "}],
        "release-group": {"id": mbid},
        "date": "1974",
        "country": "GB",
    }
    image = {"id": 7, "front": True, "types": ["Front"], "comment": "back", "thumbnails": {"500": "x"}}
    fetcher, no_wait = opened.services._parts.fetcher, lambda _seconds: None
    limit = IntervalLimiter(opened.folder / "cache" / ".none", 0.0)
    musicbrainz = MusicBrainz(JsonApiClient(fetcher, origin.base, {}), limit, no_wait)
    archive = CoverArtArchive(fetcher, origin.base, limit, no_wait)
    asked = {
        "/release": ({"releases": [release]}, lambda: musicbrainz.by_names("The Lanterns", "Blue Hour")),
        f"/release/{mbid}": (release, lambda: musicbrainz.by_mbid(mbid)),
        "/url": ({"relations": [{"release": release}]}, lambda: musicbrainz.by_discogs("7")),
        f"/release-group/{mbid}": ({"images": [image], "release": f"https://x.example/{mbid}"}, lambda: archive.of_group(mbid)),
    }
    for path, (answer, ask) in asked.items():
        assert asked_of(origin, path, answer, ask)
        for wrong in wrong_everywhere(answer):
            for found in asked_of(origin, path, wrong, ask):
                "".join(str(value) for value in dataclasses.astuple(found)).encode()


def asked_of(origin: Origin, path: str, answer: Any, ask: Callable[[], list[Any]]) -> list[Any]:
    origin.put(path, json.dumps(answer).encode(), content_type="application/json")
    return ask()


def test_what_somebody_asks_for_goes_first_and_is_only_offered_when_there_is_a_picture(opened: Inside, archive: Archive) -> None:
    archive.add("Blue Hour", "The Lanterns", fronts=[FRONT])
    has_one = put(opened, cover_url="http://covers.example/1.jpg")
    rows = opened.services.artwork.editor.rows
    put(opened, title="Other")
    rows.request_search([has_one])
    assert rows.due(time.time()) == has_one
    assert rows.count_due(time.time()) == 2
    look(opened)
    assert album(opened, has_one).picture == "http://covers.example/1.jpg"
    assert [offer.strategy for offer in tries(opened, has_one).offers] == ["names"]


def test_nothing_is_asked_when_it_is_switched_off(archive: Archive, tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", trusted=(archive.base,), **{**archive.settings, "FIND_COVERS": False}) as inside:
        put(inside)
        inside.services.artwork.editor.start_search_if_due()
        assert inside.services.artwork.editor.search_again() is False
        assert inside.services.artwork.search() is None
    assert archive.asked() == []


def test_the_chore_begins_a_search_only_when_there_is_something_to_find(opened: Inside, archive: Archive) -> None:
    desk = opened.services.artwork.editor
    desk.start_search_if_due()
    assert opened.services.artwork.search() is None
    put(opened)
    desk.start_search_if_due()
    wait_until(lambda: len(archive.asked()) > 0)
    wait_until(lambda: opened.services.artwork.search() is None)


def test_the_release_at_discogs_goes_first_when_there_is_a_token(archive: Archive, tmp_path: Path) -> None:
    archive.add("Blue Hour", "The Lanterns", discogs="900002", fronts=[FRONT])
    with DiscogsServer(records=2) as discogs:
        settings = {**archive.settings, "DISCOGS_API_URL": discogs.base}
        with Inside(tmp_path / "vault", trusted=(archive.base, discogs.base), **settings) as inside:
            without = put(inside, source="discogs", source_id="900002")
            inside.services.tasks.run("covers", {})
            assert tries(inside, without).strategy == "discogs-link"
            inside.services.discogs.tokens.write(TOKEN)
            album_id = put(inside, source="discogs", source_id="900001", title="Other")
            asked = len(archive.asked("/ws/2/"))
            inside.services.tasks.run("covers", {})
            assert tries(inside, album_id).strategy == "discogs"
            assert album(inside, album_id).picture == "https://i.discogs.com/R-900001-1500000000-1234.jpeg"
            assert len(archive.asked("/ws/2/")) == asked


def test_a_cancelled_search_is_not_begun_again_by_itself(opened: Inside, archive: Archive) -> None:
    opened.services.pool.close()  # the housekeeper would run what is added below
    put(opened)
    tasks, desk = opened.services.tasks, opened.services.artwork.editor
    task_id, _ = tasks.rows.add("covers", {}, time.time())
    tasks.cancel(task_id)
    desk.start_search_if_due()
    assert opened.services.artwork.search() is None
    desk.search_again()
    wait_until(lambda: len(archive.asked()) > 0)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('say "no"', '"say \\"no\\""'),
        ("AC/DC + (live)", '"AC\\/DC \\+ \\(live\\)"'),
        ("a\\b\x00\n c", '"a\\\\b c"'),
        ("title:x AND *", '"title\\:x AND \\*"'),
    ],
)
def test_a_name_is_a_phrase_of_the_search_language_and_nothing_else(text: str, quoted: str) -> None:
    assert phrase(text) == quoted


def test_ids_of_tests_look_like_ids() -> None:
    assert len(mbid_of("x")) == 36
