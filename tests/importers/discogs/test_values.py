"""Values of records come from Discogs in the background: off unless turned on, within the rate limit, dated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.importers.discogs.parse_values import lowest_from, suggestions_from
from image_cache.importers.discogs.service import SETTLED_S, TRACKS, VALUES
from image_cache.importers.discogs.values import AGE_S
from image_cache.models import AlbumQuery
from tests.importers.discogs.test_sync import Opened, albums, connect, sync
from tests.support.clock import ShiftedClock
from tests.support.discogs import DiscogsServer
from tests.support.vault import wait_until

RECORDS = 12
GRADES = {"M": "", "NM": "30.25 EUR", "VG+": "20.00 EUR"}


@pytest.fixture
def discogs(process: DiscogsServer) -> DiscogsServer:
    process.control(reset=RECORDS)
    return process


@pytest.fixture
def inside(tmp_path: Path, discogs: DiscogsServer, clock: ShiftedClock) -> Iterator[Opened]:
    settings = {"DISCOGS_VALUES": True, "DISCOGS_TRACKS": False, "CURRENCY": "GBP"}
    with Opened(tmp_path / "vault", discogs, clock=clock, **settings) as opened:
        connect(opened.services)
        sync(opened.services)
        clock.advance(SETTLED_S + 1)
        discogs.control(forget=True)
        yield opened


def test_a_record_is_worth_what_is_suggested_for_its_grade_else_the_lowest_offer(inside: Opened, discogs: DiscogsServer) -> None:
    discogs.control(seller=True)
    assert inside.services.tasks.run(VALUES, {}).outcome["records"] == RECORDS
    for album in albums(inside.services):
        release = int(album.source_id)
        suggested = GRADES[album.media_condition] if release % 3 else ""
        lowest = "" if release % 4 == 0 else f"{release % 100}.50 GBP"
        assert album.value == (suggested or lowest), album
        assert album.value_from == (f"suggested for {album.media_condition}" if suggested else "lowest offer" if lowest else "")
        assert album.valued_at is not None
    order = [album.value for album in inside.services.library.page(AlbumQuery(sort="value"), 1).albums]
    amounts = [float(value.split()[0]) if value else 0.0 for value in order]
    assert amounts == sorted(amounts, reverse=True)
    assert discogs.log()["over"] == 0
    assert "curr_abbr=GBP" in discogs.paths("/marketplace/stats/")[0]


def test_without_the_settings_of_a_seller_the_suggestions_are_asked_for_once(inside: Opened, discogs: DiscogsServer) -> None:
    discogs.control(faults=[{"path": "/price_suggestions/", "kind": "403"}])
    inside.services.tasks.run(VALUES, {})
    assert len(discogs.paths("/price_suggestions/")) == 1
    assert len(discogs.paths("/marketplace/stats/", status=200)) == RECORDS
    assert inside.services.discogs.status().fault == ""


def test_values_are_fetched_again_when_they_are_old_and_a_sync_keeps_them(
    inside: Opened, discogs: DiscogsServer, clock: ShiftedClock
) -> None:
    inside.services.tasks.run(VALUES, {})
    before = {album.id: album.value for album in albums(inside.services)}
    sync(inside.services)
    assert {album.id: album.value for album in albums(inside.services)} == before
    discogs.control(forget=True)
    assert inside.services.tasks.run(VALUES, {}).outcome["records"] == 0
    assert discogs.paths("/marketplace/") == []
    clock.advance(AGE_S + 1)
    assert inside.services.tasks.run(VALUES, {}).outcome["records"] == RECORDS


def test_what_discogs_no_longer_has_is_worth_nothing_known_and_an_outage_ends_the_run(
    inside: Opened, discogs: DiscogsServer
) -> None:
    discogs.control(faults=[{"path": "/marketplace/stats/100001", "kind": "404"}, {"path": "/price_sugg", "kind": "404"}])
    inside.services.tasks.run(VALUES, {})
    found = {album.source_id: album for album in albums(inside.services)}
    assert (found["100001"].value, found["100001"].valued_at is not None, found["100002"].value) == ("", True, "2.50 GBP")


def test_an_outage_keeps_what_was_fetched(inside: Opened, discogs: DiscogsServer) -> None:
    discogs.control(faults=[{"path": "/price_sugg", "kind": "404"}, {"path": "/stats/", "kind": "reset", "skip": 3}])
    assert inside.services.tasks.run(VALUES, {}).outcome == {"records": 3, "is_away": True}
    assert sum(album.valued_at is not None for album in albums(inside.services)) == 3
    discogs.control(faults=[])
    assert inside.services.tasks.run(VALUES, {}).outcome["records"] == RECORDS - 3


@pytest.mark.parametrize("is_on", [True, False])
def test_housekeeping_fetches_values_only_if_the_operator_turned_them_on(
    tmp_path: Path, discogs: DiscogsServer, clock: ShiftedClock, is_on: bool
) -> None:
    settings = {"DISCOGS_VALUES": True} if is_on else {}
    with Opened(tmp_path / "vault", discogs, clock=clock, DISCOGS_TRACKS=False, **settings) as opened:
        connect(opened.services)
        sync(opened.services)
        clock.advance(SETTLED_S + 1)
        opened.services.tasks.serve()
        opened.services.discogs.run_maintenance()
        latest = opened.services.discogs.latest(VALUES)
        assert (latest is not None) == is_on
        assert opened.services.discogs.latest(TRACKS) is None
        if is_on:
            wait_until(lambda: all(album.valued_at for album in albums(opened.services)))


@pytest.mark.parametrize("data", [None, [], 7, "x"])
def test_nonsense_is_no_price(data: object) -> None:
    assert suggestions_from(data) is None
    assert lowest_from(data) is None
    assert lowest_from({"lowest_price": data}) == ""
    assert suggestions_from({"Mint (M)": data, "Good (G)": {"value": "9", "currency": "EUR"}, 5: {"value": 1e12}}) == {}


def test_amounts_are_hundredths_of_their_currency() -> None:
    assert lowest_from({"lowest_price": {"value": 2.09, "currency": "eur"}}) == "2.09 EUR"
    assert lowest_from({"lowest_price": None}) == ""
    assert suggestions_from({"Mint (M)": {"value": 14.325, "currency": "EUR"}, "x": {"value": True, "currency": "EUR"}}) == {
        "M": "14.32 EUR"
    }
