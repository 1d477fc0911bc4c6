"""The tracklists of all records come from Discogs in the background, and songs are found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.importers.discogs.service import SETTLED_S, TRACKS
from image_cache.models import AlbumQuery
from tests.importers.discogs.test_sync import Opened, albums, connect, sync
from tests.support.clock import ShiftedClock
from tests.support.discogs import DiscogsServer
from tests.support.statements import traced
from tests.support.vault import wait_until

RECORDS = 45


@pytest.fixture
def discogs(process: DiscogsServer) -> DiscogsServer:
    process.control(reset=RECORDS)
    return process


@pytest.fixture
def inside(tmp_path: Path, discogs: DiscogsServer, clock: ShiftedClock) -> Iterator[Opened]:
    """A vault with a collection that was read a while ago."""
    with Opened(tmp_path / "vault", discogs, clock=clock) as opened:
        connect(opened.services)
        sync(opened.services)
        clock.advance(SETTLED_S + 1)
        discogs.control(forget=True)
        yield opened


def without_tracks(inside: Opened) -> list[int]:
    return [album.id for album in albums(inside.services) if not album.tracks]


def test_the_tracks_of_all_records_come_within_the_limit_and_songs_are_found(
    inside: Opened, discogs: DiscogsServer, clock: ShiftedClock
) -> None:
    services = inside.services
    assert len(without_tracks(inside)) == RECORDS
    assert services.library.page(AlbumQuery(text="opening 100007", sort="match"), 1).total == 0
    ended = services.tasks.run(TRACKS, {})
    assert (ended.state, ended.outcome) == ("done", {"records": RECORDS, "is_away": False})
    assert without_tracks(inside) == []
    found = services.library.page(AlbumQuery(text="opening 100007", sort="match"), 1).albums
    assert [album.source_id for album in found] == ["100007"]
    asked = discogs.paths("/releases/", 200)
    assert (len(asked), len(set(asked)), discogs.log()["over"]) == (RECORDS, RECORDS, 0)
    assert discogs.log()["used"] <= 30  # the other calls are left to users
    assert services.tasks.run(TRACKS, {}).outcome["records"] == 0
    assert len(discogs.paths("/releases/")) == RECORDS


def test_they_begin_by_themselves_after_a_sync_only(tmp_path: Path, discogs: DiscogsServer, clock: ShiftedClock) -> None:
    with Opened(tmp_path / "new", discogs, clock=clock) as inside:
        service = inside.services.discogs
        connect(inside.services)
        service.run_maintenance()
        assert service.latest(TRACKS) is None
        sync(inside.services)
        service.run_maintenance()
        assert service.latest(TRACKS) is None  # the sync has just ended
        clock.advance(SETTLED_S + 1)
        service.run_maintenance()
        begun = service.latest(TRACKS)
        assert begun is not None
        service.run_maintenance()
        assert service.latest(TRACKS) == begun


def test_looking_for_them_reads_no_table(inside: Opened) -> None:
    """Every minute: 100,000 records must not be read, nor sorted, for it."""
    seen = traced(inside.services.catalog)
    inside.services.discogs.rows.untracked(None, 1)
    inside.services.discogs.rows.count_untracked()
    plans = [row["detail"] for sql in seen for row in inside.services.catalog.rows(f"EXPLAIN QUERY PLAN {sql}")]
    albums_plans = [plan for plan in plans if " albums " in plan]
    assert len(albums_plans) == 2
    assert all("USING INDEX albums_untracked" in plan or "USING COVERING INDEX albums_untracked" in plan for plan in albums_plans)
    assert not any("TEMP B-TREE" in plan for plan in plans)


def test_they_can_be_turned_off(tmp_path: Path, discogs: DiscogsServer, clock: ShiftedClock) -> None:
    with Opened(tmp_path / "off", discogs, clock=clock, DISCOGS_TRACKS=False) as inside:
        connect(inside.services)
        sync(inside.services)
        clock.advance(SETTLED_S + 1)
        inside.services.discogs.run_maintenance()
        assert inside.services.discogs.latest(TRACKS) is None


def test_a_dead_network_puts_them_off_and_nothing_is_lost(inside: Opened, discogs: DiscogsServer, clock: ShiftedClock) -> None:
    services = inside.services
    discogs.control(faults=[{"path": "/releases/", "kind": "reset", "skip": 30, "times": 1000}])
    ended = services.tasks.run(TRACKS, {})
    assert ended.outcome == {"records": 30, "is_away": True}
    assert len(without_tracks(inside)) == RECORDS - 30
    services.discogs.run_maintenance()
    assert services.discogs.latest(TRACKS) == ended  # not again at once
    discogs.control(faults=[])
    clock.advance(901)
    services.discogs.run_maintenance()
    assert services.discogs.latest(TRACKS) != ended
    assert services.tasks.run(TRACKS, {}).outcome == {"records": RECORDS - 30, "is_away": False}
    assert without_tracks(inside) == []


def test_a_release_that_is_not_there_does_not_stop_the_others(inside: Opened, discogs: DiscogsServer) -> None:
    discogs.control(faults=[{"path": "/releases/100020", "kind": "404", "times": 1}])
    assert inside.services.tasks.run(TRACKS, {}).outcome == {"records": RECORDS - 1, "is_away": False}
    left = without_tracks(inside)
    assert [inside.services.library.album(one).source_id for one in left] == ["100020"]  # type: ignore[union-attr]
    assert inside.services.tasks.run(TRACKS, {}).outcome["records"] == 0  # it is tried again another day


def test_they_go_on_after_a_stop(tmp_path: Path, inside: Opened, discogs: DiscogsServer) -> None:
    services = inside.services
    services.tasks.serve()
    services.tasks.start(TRACKS, {})
    wait_until(lambda: len(discogs.paths("/releases/", 200)) >= 25)
    assert services.tasks.close()
    stored = RECORDS - len(without_tracks(inside))
    assert stored >= 25
    with Opened(tmp_path / "vault", discogs) as again:
        ended = again.services.tasks.run(TRACKS, {})
        assert ended.outcome["records"] == RECORDS - stored
        assert without_tracks(again) == []
    assert len(discogs.paths("/releases/", 200)) <= RECORDS + 1  # at most the call that the stop cut off
