"""The demo as a whole: only an empty vault becomes one, and what was made up goes without taking anything of its user's along."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.demo.extras import WANTS
from image_cache.demo.photographs import demo_streams, photographs
from image_cache.demo.volumes import VOLUMES
from image_cache.engine.stats.history import LONG_S, samples
from image_cache.models import ImageVisibility
from image_cache.streams import Upload
from tests.demo.test_demo import OriginProcess
from tests.support.inside import Inside
from tests.support.origin import jpeg
from tests.support.vault import wait_until

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", DEMO_ORIGIN=AWAY) as opened:
        yield opened


def test_an_empty_vault_becomes_a_demo_with_an_account_that_one_click_opens(inside: Inside) -> None:
    demo = inside.services.demo_vault
    assert demo.account() is None
    assert demo.prepare()
    found = demo.account()
    assert found is not None
    assert (found.name, found.role) == ("demo", "operator")
    assert demo.prepare(), "it stays one"
    assert len(inside.services.accounts.accounts()) == 1


@pytest.mark.parametrize("what", ["record", "account", "stream", "file"])
def test_a_vault_that_holds_something_of_its_users_never_becomes_a_demo(inside: Inside, what: str) -> None:
    services = inside.services
    match what:
        case "record":
            inside.album()
        case "account":
            inside.account("viewer")
        case "stream":
            services.streams.create_stream("Mine")
        case "file":
            services.files.cache.open()
    assert not services.demo_vault.prepare()
    assert services.demo_vault.account() is None
    services.demo_vault.start()
    assert services.tasks.latest("demo-rest") is None


def test_the_login_closes_with_the_first_operator_that_a_user_adds(inside: Inside) -> None:
    services = inside.services
    assert services.demo_vault.prepare()
    inside.account("viewer", "Ida")
    assert services.demo_vault.account() is not None
    inside.account("operator", "Vera")
    assert services.demo_vault.account() is None


def test_a_demo_vault_that_is_served_as_a_vault_of_ones_own_has_no_such_login(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", DEMO_ORIGIN=AWAY) as opened:
        assert opened.services.demo_vault.prepare()
    with Inside(tmp_path / "vault") as opened:
        assert opened.services.demo_vault.account() is None


def test_a_vault_without_anything_made_up_loses_nothing(inside: Inside) -> None:
    inside.album()
    inside.account()
    inside.services.streams.create_stream("At home", "at-home")  # the address of one of the demo's
    assert not inside.services.demo_vault.contents()
    inside.services.demo_vault.remove()
    assert inside.services.library.count() == 1
    assert [account.name for account in inside.services.accounts.accounts()] == ["Vera"]
    assert inside.services.streams.find_stream("at-home") is not None


@pytest.fixture(scope="module")
def filled() -> Iterator[Inside]:
    """A demo as it is after its first minutes."""
    with tempfile.TemporaryDirectory() as folder:
        origin = OriginProcess(Path(folder) / "origin")
        url = f"http://127.0.0.1:{origin.port}"
        try:
            with Inside(Path(folder) / "vault", trusted=(url,), DEMO_ORIGIN=url) as opened:
                services = opened.services
                assert services.demo_vault.prepare()
                services.demo_vault.start()
                wait_until(lambda: (task := services.tasks.latest("demo-rest")) is not None and task.is_over, 480)
                services.tasks.run("demo", {})  # last: photographs would wait for the covers of these
                services.tasks.run("demo-rest", {})  # says when they were played
                yield opened
        finally:
            origin.stop()


@pytest.mark.slow
@pytest.mark.server
def test_it_shows_streams_with_photographs_and_views_files_and_a_month_of_figures(filled: Inside) -> None:
    services = filled.services
    for made in demo_streams():
        stream = services.streams.find_stream(made.slug)
        assert stream is not None
        assert (stream.title, stream.visibility.value, stream.owner_name) == (made.title, made.visibility, "demo")
        images = services.stream_queries.all_images(stream)
        assert [(image.title, image.description) for image in images] == [(one.title, one.comment) for one in made.photographs]
        assert {image.visibility for image in images} == {ImageVisibility(made.visibility)}
    evening = services.streams.find_stream("evening-of-live-music")
    assert evening is not None
    shown = services.streams.get_stream_images("evening-of-live-music", user_id="demo")
    days = services.stream_queries.views_by_day([image.image_id for image in shown])
    assert all(sum(count for _, count in days[image.image_id]) == image.view_count for image in shown)
    assert sum(image.view_count for image in shown) > 100
    assert len({day for one in days.values() for day, count in one if count}) == 30
    names = {entry.name for entry in services.files.entries()}
    assert names == set(VOLUMES)
    month = samples(services.covers.cache.index.database, services.files.clock(), span_s=LONG_S, back_s=30 * 86_400)
    assert len(month) > 300
    found = services.demo_vault.contents()
    albums, played = list(services.library.albums()), services.turntable.history(10_000)
    assert len(played) == sum(album.plays for album in albums) > 1000
    latest = {play.album_id: play.played_at for play in reversed(played)}
    assert {album.id: album.last_played_at for album in albums if album.plays} == latest
    assert (found.records, found.streams, found.images, found.files, found.has_account) == (240, 3, 40, 2, True)
    assert str(found) == (
        "240 invented records, 8 wanted records, 3 crates, 3 streams, 40 photographs, 2 files, a month of figures and the account demo"
    )


@pytest.mark.slow
@pytest.mark.server
def test_no_page_of_its_collection_is_empty(filled: Inside) -> None:
    services, page = filled.services, filled.client(accept="text/html").get
    albums = {album.id: album for album in services.library.albums()}
    assert {album.source for album in albums.values()} == {"demo"}, "a crate or a price adds no record"
    assert [want.title for want in services.library.wants.table.wanted()] == sorted(
        [want[1] for want in WANTS], key=lambda title: next(want[0] for want in WANTS if want[1] == title)
    )
    assert all(services.crates.ids(crate.id) for crate in services.crates.crates(only_public=False))
    assert services.copies.pairs() == []
    sides = [play.sides for play in services.turntable.history(10_000)]
    assert all(sides)
    assert len(set(sides)) > 4
    assert all(album.shelf for album in albums.values())
    assert 100 < sum(bool(album.price) for album in albums.values()) < 240
    for path, words in {
        "/wants": "Third Rail, Slow Night",
        "/crates": "Sunday morning",
        "/stats/value": "Made up for the demo",
        "/plays": "side A",
        "/stats": "Never played",
        "/sort": "Kallax 2",
    }.items():
        assert words.lower() in page(path).text.lower(), path


@pytest.mark.slow
@pytest.mark.server
def test_it_goes_at_once_and_leaves_what_a_user_added(filled: Inside) -> None:
    services = filled.services
    evening = services.streams.find_stream("evening-of-live-music")
    assert evening is not None
    own = services.streams.upload(evening, Upload(jpeg(300, 200), "mine.jpg", title="Mine"))
    gone = services.stream_queries.all_images(evening)[0]
    services.streams.delete_stream_image(evening.slug, gone.image_id)
    services.demo_vault.start()
    wait_until(lambda: (task := services.tasks.latest("demo-rest")) is not None and task.is_over, 60)
    assert services.demo_vault.contents().images == 39, "what a user deleted does not come back"
    assert services.demo_vault.contents().kept_images == 1
    filled.album(title="My own")
    filled.account("owner")
    services.streams.create_stream("Holidays")
    own_want = services.library.wants.type({"title": "Mine"})
    mine = max(album.id for album in services.library.albums())
    kept, *others = services.crates.crates(only_public=False)
    services.crates.put(kept.id, [mine])

    services.demo_vault.remove()
    assert not services.demo_vault.contents()
    assert [album.title for album in services.library.albums()] == ["My own"]
    assert [want.id for want in services.library.wants.table.wanted()] == [own_want]
    assert [crate.id for crate in services.crates.crates(only_public=False)] == [kept.id]
    assert services.crates.ids(kept.id) == [mine]
    assert len(others) == 2
    assert {stream.slug for stream in services.streams.rows.streams()} == {"evening-of-live-music", "holidays"}
    assert [image.image_id for image in services.stream_queries.all_images(evening)] == [own.image_id]
    assert services.streams.images.storage.get(own.file_path)
    assert [account.name for account in services.accounts.accounts()] == ["Vera"]
    assert services.files.entries() == []
    assert services.demo_vault.claim_code(), "nobody operates it any more"
    month = samples(services.covers.cache.index.database, services.files.clock(), span_s=LONG_S, back_s=30 * 86_400)
    assert len(month) <= 1, "what really happened stays"
    assert services.demo_vault.account() is None


def test_there_are_forty_photographs_each_with_a_name_of_its_own() -> None:
    assert len(photographs()) == 40
    assert [(stream.visibility, len(stream.photographs)) for stream in demo_streams()] == [
        ("public", 18),
        ("subscribers", 12),
        ("private", 10),
    ]
