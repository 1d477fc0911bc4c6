"""The wantlist at Discogs: read with the collection, page by page, and never in its way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.importers.discogs.parse_wants import wants_from
from image_cache.services import Services
from tests.importers.discogs.test_sync import Opened, connect, sync
from tests.support.discogs import DiscogsServer

WINDOW_S = 1.0
WANTS = r"/wants\?"


@pytest.fixture(scope="module")
def discogs() -> Iterator[DiscogsServer]:
    with DiscogsServer(records=5, window_s=WINDOW_S, images="self") as running:
        yield running


@pytest.fixture
def services(discogs: DiscogsServer, tmp_path: Path) -> Iterator[Services]:
    discogs.control(reset=5, forget=True)
    with Opened(tmp_path / "vault", discogs) as inside:
        connect(inside.services)
        yield inside.services


def wanted(services: Services) -> dict[str, str]:
    return {want.source_id: want.all_notes for want in services.library.wants.table.wanted()}


def test_a_wantlist_comes_in_with_the_collection_in_as_few_calls_as_it_takes(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(wants=[[100_100 + n, "up to £25" if n == 3 else ""] for n in range(203)], forget=True)
    ended = sync(services)
    assert "203 records on the wantlist, 203 new." in ended.outcome["says"]
    assert [path.split("page=")[1].split("&")[0] for path in discogs.paths(WANTS)] == ["1", "2", "3"]
    found = wanted(services)
    assert len(found) == 203
    assert found["100103"] == "up to £25"
    one = next(want for want in services.library.wants.table.wanted() if want.source_id == "100103")
    assert (one.artist, one.title, one.label, one.catno) == ("One, Two Feat. Three", "Record 00103", "Staithe", "ST 103")
    assert one.cover_url
    assert services.covers.registry.summary("covers")[0] > 180
    assert services.library.count() == 5
    assert discogs.log()["over"] == 0


def test_what_was_bought_is_said_and_what_is_no_longer_listed_goes(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(wants=[[100_050, "for Ann"], [100_051, ""], [100_052, ""]])
    sync(services)
    discogs.control(wants=[[100_050, "for Ann"], [100_052, ""]], add=[50])  # 50 was bought, and is still on the list there
    says = sync(services).outcome["says"]
    assert "2 records on the wantlist, 0 new, 1 removed." in says
    assert says.endswith("1 new record was on your wantlist.")
    assert list(wanted(services)) == ["100052"]
    album = next(album for album in services.library.albums() if album.source_id == "100050")
    assert album.own_notes == "for Ann"
    assert "1 new record" not in sync(services).outcome["says"]
    assert list(wanted(services)) == ["100052"]


@pytest.mark.parametrize("fault", ["500", "403", "404", "html", "cut", "reset"])
def test_a_wantlist_that_cannot_be_read_is_said_and_the_collection_comes_in(
    services: Services, discogs: DiscogsServer, fault: str
) -> None:
    discogs.control(wants=[[100_050, ""]])
    sync(services)
    discogs.control(add=[60], faults=[{"path": WANTS, "kind": fault}])
    ended = sync(services)
    assert (ended.state, services.library.count()) == ("done", 6)
    assert "Could not read the wantlist" in ended.outcome["says"]
    assert list(wanted(services)) == ["100050"]
    assert services.discogs.status().fault == ""


def test_an_emptied_or_changing_list_takes_nothing_away(services: Services, discogs: DiscogsServer) -> None:
    discogs.control(wants=[[100_050, ""], [100_051, ""]])
    sync(services)
    discogs.control(wants=[])
    sync(services)
    assert len(wanted(services)) == 2


@pytest.mark.parametrize(
    "data", [None, [], {}, {"wants": 7}, {"wants": []}, {"wants": [], "pagination": {"items": "x", "pages": 1}}]
)
def test_what_is_no_wantlist_is_none(data: object) -> None:
    assert wants_from(1, data) is None


def test_an_entry_that_cannot_be_read_costs_itself_only() -> None:
    totals = {"items": 3, "pages": 1, "per_page": 100}
    good = {"id": 7, "notes": "any", "basic_information": {"id": 7, "title": "T"}}
    found = wants_from(
        1, {"pagination": totals, "wants": [{"id": 8}, good, {"id": 9, "notes": [1], "basic_information": {"title": "U"}}, 5]}
    )
    assert found is not None
    assert found.releases == ("8", "7", "9")
    assert [(getattr(row, "title", None), notes) for row, notes in found.rows] == [(None, ""), ("T", "any"), ("U", "")]
