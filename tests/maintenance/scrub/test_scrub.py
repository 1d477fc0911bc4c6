"""The scrub: what is kept is compared both ways, and what is bad is made again, fetched again, or told. Nothing precious is touched."""

import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_cache.config import Settings
from image_cache.engine.job import LoadRequest
from image_cache.engine.jobs import VISIBLE
from image_cache.engine.key import Key
from image_cache.errors import Busy
from image_cache.imaging.decoder import Decoder
from image_cache.maintenance.health.examine import examine
from image_cache.maintenance.scrub import Nightly, Scrub, ScrubReport
from image_cache.maintenance.scrub.checker import MAX_DECODER_FAILURES, MAX_DOUBTFUL_REPAIRS
from image_cache.maintenance.scrub.nightly import lower_priority
from image_cache.services import Services
from tests.support.clock import FakeClock
from tests.support.engine import key, webp
from tests.support.filled import copied, fill, settings_of, vault_at
from tests.support.origin import Origin
from tests.support.stage import photo
from tests.support.vault import wait_until
from tests.support.volumes import serve

pytestmark = pytest.mark.decoder

WAIT_S = 240.0  # the thread of the night takes only what no one else wants, on a busy machine next to nothing


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def model(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A vault with four covers of 700 px, so that every size differs, and two stream images. It is copied for each test."""
    folder = tmp_path_factory.mktemp("model")
    made = settings_of(folder / "vault", TRUSTED_ORIGINS=(origin.base,))
    fill(made, origin, folder, records=4, images=2, edge_px=700)
    return made


@pytest.fixture
def settings(model: Settings, tmp_path: Path) -> Settings:
    return copied(model, tmp_path / "vault")


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    with vault_at(settings) as opened:
        yield opened


def covers_of(services: Services) -> list[str]:
    return [cover.digest for cover in services.covers.peek(list(services.library.cover_urls()))]


def path_of(services: Services, digest: str, variant: str = "thumbnails-2x") -> Path:
    return services.covers.cache.disk.root / Key("covers", variant, digest).path


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def old(path: Path) -> None:
    """Make a file older than the moment between a file and its row."""
    os.utime(path, (time.time() - 1000, time.time() - 1000))


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return everything about the files of a folder, databases apart: SQLite touches those when they are opened."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and ".db" not in path.name
    }


def only(report: ScrubReport) -> tuple[str, str, str]:
    assert len(report.damages) == 1, report.damages
    return report.damages[0].where, report.damages[0].what, report.damages[0].outcome


def is_served(services: Services, digest: str, variant: str = "thumbnails-2x") -> bool:
    services.covers.cache.memory.clear()
    body = services.covers.get(digest, variant)
    return body is not None and services._parts.decoder.jpeg(body) != b""


# --- what is well


@pytest.mark.slow
def test_a_vault_that_is_well_is_looked_at_whole(services: Services) -> None:
    seen: list[float] = []
    report = services.scrub.run(progress=lambda report: seen.append(report.done))
    assert report.is_clean
    assert report.is_whole
    assert dict(report.checked) == {"covers": 8, "streams": 4, "originals": 2, "own covers": 1}
    assert report.bytes > 0
    assert (report.doubts, report.found, report.damages, report.notes) == (0, {}, [], [])
    assert seen == sorted(seen)


@pytest.mark.slow
def test_looking_changes_nothing_and_tells_the_same_again(services: Services, settings: Settings) -> None:
    digests = covers_of(services)
    flip(path_of(services, digests[0]))
    path_of(services, digests[1]).unlink()
    path_of(services, digests[2]).unlink()
    path_of(services, digests[2]).symlink_to("/etc/hostname")
    (services.covers.cache.disk.root / "thumbnails-2x" / "aa").mkdir(exist_ok=True)
    (services.covers.cache.disk.root / "thumbnails-2x" / "aa" / "holiday.jpg").write_text("mine")
    before, rows = state(settings.DATA_DIR), services.covers.cache.index.totals("covers")
    first, second = services.scrub.run(), services.scrub.run()
    assert state(settings.DATA_DIR) == before
    assert services.covers.cache.index.totals("covers") == rows
    assert first.damages == second.damages
    assert sorted(d.what for d in first.damages) == ["altered", "foreign", "link", "missing"]
    assert {d.outcome for d in first.damages} == {""}
    assert first.unmended == 4
    assert services.scrub.last() is None, "and it keeps no report"


# --- covers


@pytest.mark.parametrize("variant", ["thumbnails-2x", "detail"])
@pytest.mark.parametrize(
    ("hurt", "what"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "torn"),
        (lambda path: path.write_bytes(b""), "torn"),
        (flip, "altered"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), "link"),
    ],
    ids=["torn", "empty", "flipped", "gone", "link"],
)
def test_a_bad_cover_is_made_from_a_larger_one_or_fetched_again(
    services: Services, origin: Origin, hurt: Callable[[Path], object], what: str, variant: str
) -> None:
    digest = covers_of(services)[0]
    hurt(path_of(services, digest, variant))
    asked = origin.count()
    outcome = "rebuilt" if variant == "thumbnails-2x" else "queued"
    assert only(services.scrub.run(repair=True)) == ("covers", what, outcome)
    assert not path_of(services, digest, variant).is_symlink()
    assert Path("/etc/hostname").exists()
    while services.loader.run_next():
        pass
    assert origin.count() == asked + (variant == "detail")
    assert is_served(services, digest, variant)
    assert services.scrub.run().is_clean


def test_a_cover_that_cannot_be_fetched_now_is_left_and_told_every_time(services: Services) -> None:
    digest = covers_of(services)[0]
    flip(path_of(services, digest, "detail"))
    image = services.covers.registry.get(digest)
    assert image is not None
    with services.covers.cache.index.database.write() as conn:
        services.covers.jobs.record_host_failure(conn, image.lane, "down", pause_s=600)
    before = path_of(services, digest, "detail").read_bytes()
    for _ in range(2):
        report = services.scrub.run(repair=True)
        assert only(report) == ("covers", "altered", "kept")
        assert not report.is_clean
    assert path_of(services, digest, "detail").read_bytes() == before
    assert services.covers.jobs.depth() == 0


def undecodable(services: Services, digest: str, variant: str) -> bytes:
    """Store what is no image under a name, with a row that is right about it."""
    body = webp(f"no picture {digest} {variant}", 900)
    services.covers.cache.delete([Key("covers", variant, digest)])
    services.covers.cache.put({Key("covers", variant, digest): body})
    return body


def test_what_was_stored_right_but_is_no_picture_is_replaced(services: Services) -> None:
    """Its hash is right forever, so nothing but decoding finds it."""
    first, second = covers_of(services)[:2]
    undecodable(services, first, "thumbnails-2x")
    undecodable(services, second, "detail")
    report = services.scrub.run(repair=True)
    assert sorted((d.what, d.outcome) for d in report.damages) == [("undecodable", "queued"), ("undecodable", "rebuilt")]
    while services.loader.run_next():
        pass
    assert is_served(services, first)
    assert is_served(services, second, "detail")


def test_a_decoder_that_dies_condemns_nothing(services: Services, settings: Settings) -> None:
    """It once would have emptied the cache: every image looked undecodable."""
    dead = Decoder(64 << 20)
    dead.close()
    scrub = Scrub(settings, services.covers, services.streams, services.files.cache, dead)
    before = state(settings.covers_dir)
    report = scrub.run(repair=True)
    assert (report.found, report.doubts) == ({}, 12)
    assert state(settings.covers_dir) == before
    assert MAX_DECODER_FAILURES < 12, "it is not asked for ever"


def test_a_decoder_that_refuses_everything_condemns_nothing(services: Services, settings: Settings) -> None:
    """One whose library was broken by an upgrade refuses what it has made itself: an image that is whole shows it."""
    narrow = Decoder(10)  # so small a budget that no image fits, the sample neither
    try:
        report = Scrub(settings, services.covers, services.streams, services.files.cache, narrow).run(repair=True)
    finally:
        narrow.close()
    assert (report.found, report.doubts) == ({}, 12)


def test_of_too_many_pictures_that_decode_no_more_the_rest_is_only_told(services: Services, origin: Origin) -> None:
    """Twenty bad files are bad files; a thousand are a bad decoder, and taking them away would empty the cache."""
    urls = [origin.url(f"/more-{n}.jpg") for n in range(MAX_DOUBTFUL_REPAIRS + 5)]
    services.covers.register(urls)
    digests = [cover.digest for cover in services.covers.peek(urls)]
    for digest in digests:
        undecodable(services, digest, "thumbnails-2x")
    report = services.scrub.run(repair=True)
    assert dict(report.outcomes) == {"queued": MAX_DOUBTFUL_REPAIRS, "kept": 5}
    assert sum(path_of(services, digest).exists() for digest in digests) == 5


def test_a_jpeg_twin_is_made_from_its_picture(services: Services) -> None:
    digest = covers_of(services)[0]
    assert services.covers.get_jpeg(digest, "detail")
    twin = services.covers.cache.disk.root / Key("covers", "detail.jpg", digest).path
    before = twin.read_bytes()
    flip(twin)
    assert only(services.scrub.run(repair=True)) == ("covers", "altered", "rebuilt")
    assert twin.read_bytes() == before


@pytest.mark.slow
def test_a_file_without_a_row_gets_it_back_or_goes(services: Services) -> None:
    known, unknown = Key("covers", "stream_thumb", covers_of(services)[0]), key("nobody asked for this")
    picture = services.covers.get(covers_of(services)[1], "thumbnails-2x") or b""
    for one in (known, unknown):
        services.covers.cache.disk.put(one, picture)
    assert services.scrub.run(repair=True).is_clean, "they may be about to get their rows"
    for one in (known, unknown):
        old(services.covers.cache.disk.root / one.path)
    report = services.scrub.run(repair=True)
    assert sorted((d.what, d.outcome) for d in report.damages) == [("orphan", "adopted"), ("orphan", "removed")]
    assert services.covers.get(known.digest, "stream_thumb") == picture
    assert not (services.covers.cache.disk.root / unknown.path).exists()
    assert services.scrub.run().is_clean


def test_what_is_not_ours_stays_and_links_go(services: Services, tmp_path: Path) -> None:
    root = services.covers.cache.disk.root
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "letter.txt").write_text("dear")
    (root / "My Pictures").mkdir()
    (root / "todo.txt").write_text("mine")
    (root / "thumbnails-2x" / "xyz").mkdir()
    (root / "linked").symlink_to(outside)
    (root / "thumbnails-2x" / "cc").mkdir(exist_ok=True)
    (root / "thumbnails-2x" / "cc" / "deadbeef.webp").symlink_to(outside / "letter.txt")
    left = root / "thumbnails-2x" / "cc" / ".part-999999-abc"
    left.write_bytes(b"half")
    report = services.scrub.run(repair=True)
    assert sorted((d.path, d.what, d.outcome) for d in report.damages) == [
        ("My Pictures", "foreign", "kept"),
        ("linked", "link", "removed"),
        ("thumbnails-2x/cc/.part-999999-abc", "leftover", "removed"),
        ("thumbnails-2x/cc/deadbeef.webp", "link", "removed"),
        ("thumbnails-2x/xyz", "foreign", "kept"),
        ("todo.txt", "foreign", "kept"),
    ]
    assert (outside / "letter.txt").read_text() == "dear"
    assert (root / "todo.txt").exists()


def test_an_adopted_file_is_vouched_for_once_it_was_looked_at(services: Services) -> None:
    """A row that was rebuilt knows no hash, and a bit that flips later would never show."""
    digest = covers_of(services)[0]
    with services.covers.cache.index.database.write() as conn:
        conn.execute("UPDATE entries SET sha256 = NULL")
    assert services.scrub.run(repair=True).is_clean
    flip(path_of(services, digest))
    assert only(services.scrub.run()) == ("covers", "altered", "")


def test_while_the_index_is_rebuilt_nothing_is_condemned(services: Services, settings: Settings) -> None:
    index = services.covers.cache.index
    before = state(settings.covers_dir)
    with index.database.write() as conn:
        conn.execute("DELETE FROM entries")
        conn.execute("DELETE FROM meta WHERE name = 'adopted_at'")
    index._complete = -1
    report = services.scrub.run(repair=True)
    assert report.checked["covers"] == 0
    assert "rebuilt" in report.notes[0]
    assert not report.is_clean
    assert state(settings.covers_dir) == before


def test_a_folder_that_is_gone_is_said_and_costs_no_rows(services: Services) -> None:
    """A disk that was not mounted: every row lacks its file, and nothing should be forgotten for that."""
    root = services.covers.cache.disk.root
    root.rename(root.with_name("elsewhere"))
    report = services.scrub.run(repair=True)
    assert services.covers.cache.index.totals("covers").entries == 8
    assert "the folder is missing" in report.notes[0]
    assert report.checked["streams"] == 4, "the others are looked at all the same"


# --- streams


def test_a_bad_rendering_of_a_stream_image_is_made_from_its_original(services: Services) -> None:
    (first, second) = sorted(services.streams.cache.cache_dir.rglob("*.webp"))[:2]
    before = first.read_bytes()
    flip(first)
    second.unlink()
    report = services.scrub.run(repair=True)
    assert sorted((d.where, d.what, d.outcome) for d in report.damages) == [
        ("streams", "altered", "rebuilt"),
        ("streams", "missing", "rebuilt"),
    ]
    assert first.read_bytes() == before
    assert services.scrub.run().is_clean


def test_originals_and_own_covers_are_told_and_never_touched(services: Services, settings: Settings) -> None:
    first, second = sorted(settings.stream_images_dir.rglob("*_original.*"))
    flip(first)
    second.unlink()
    stray = settings.stream_images_dir / "evening" / "unknown_original.jpg"
    stray.write_bytes(photo(5))
    (own,) = settings.own_covers_dir.iterdir()
    flip(own)
    before = state(settings.state_dir)
    report = services.scrub.run(repair=True)
    assert sorted((d.where, d.what, d.outcome) for d in report.damages) == [
        ("originals", "altered", "kept"),
        ("originals", "missing", "kept"),
        ("originals", "orphan", "kept"),
        ("own covers", "altered", "kept"),
    ]
    assert state(settings.state_dir) == before


def test_what_is_not_ours_is_moved_out_of_the_way_when_an_operator_repairs(services: Services, settings: Settings) -> None:
    """`verify` told it forever, and `--repair` could not help."""
    roots = {"covers": services.covers.cache.disk.root, "streams": services.streams.cache.engine.disk.root}
    strays = [settings.stream_images_dir / "evening" / "unknown_original.jpg"]
    for root in roots.values():
        shard = next(path for path in root.glob("*/??") if path.is_dir())
        strays += [root / "todo.txt", shard / "holiday.jpg", shard.parent / "xyz"]
    for stray in strays:
        stray.write_text("mine")
        old(stray)
    assert services.scrub.run().unmended == len(strays)
    assert services.scrub.run(repair=True).unmended == len(strays), "at night it stays"
    report = services.scrub.run(repair=True, sets_aside=True)
    assert {d.outcome for d in report.damages} == {"set aside"}
    assert report.is_clean
    assert services.scrub.run().damages == []
    kept = [path for root in (*roots.values(), settings.stream_images_dir) for path in (root / ".set-aside").rglob("*")]
    assert [path.read_text() for path in kept if path.is_file()] == ["mine"] * len(strays)
    states = {check.name: check.state for check in examine(services.vault)}
    assert (states["Covers"], states["Streams"]) == ("well", "well")


def test_a_bad_rendering_whose_original_is_bad_too_is_all_there_is(services: Services, settings: Settings) -> None:
    for original in settings.stream_images_dir.rglob("*_original.*"):
        flip(original)
    rendered = sorted(services.streams.cache.cache_dir.rglob("*.webp"))[0]
    flip(rendered)
    before = rendered.read_bytes()
    report = services.scrub.run(repair=True)
    assert {(d.where, d.what, d.outcome) for d in report.damages} == {
        ("originals", "altered", "kept"),
        ("streams", "altered", "kept"),
    }
    assert rendered.read_bytes() == before


def test_what_is_left_of_a_deleted_image_goes(services: Services) -> None:
    image = services.streams.rows.images(1)[0]
    gone = services.streams.cache.key(image.image_id)
    body = services.streams.cache.get(gone)
    assert body is not None
    services.streams.delete_stream_image("evening", image.image_id)
    services.streams.cache.engine.disk.put(gone, body)
    path = services.streams.cache.engine.disk.root / gone.path
    old(path)
    assert only(services.scrub.run(repair=True)) == ("streams", "orphan", "removed")
    assert not path.exists()


# --- large files


@pytest.mark.slow
def test_a_bad_large_file_is_not_handed_out_and_fetched_again(services: Services, origin: Origin) -> None:
    url, _ = serve(origin, "/brain.bin", b"x" * 100_000)
    other, _ = serve(origin, "/heart.bin", b"y" * 100_000)
    cache = services.files.cache
    paths = [cache.get(url), cache.get(other)]
    assert services.scrub.run().checked["files"] == 2
    flip(paths[0])
    os.utime(paths[0], ns=(1, cache.index.files()[-1].mtime_ns))
    paths[1].unlink()
    looked = services.scrub.run()
    assert sorted((d.where, d.what, d.outcome) for d in looked.damages) == [("files", "altered", ""), ("files", "missing", "")]
    report = services.scrub.run(repair=True)
    assert sorted((d.what, d.outcome) for d in report.damages) == [("altered", "queued"), ("missing", "queued")]
    wait_until(lambda: services.scrub.run().is_clean and not cache.index.fetches(), WAIT_S)
    assert {path.read_bytes()[:1] for path in (cache.get(url), cache.get(other))} == {b"x", b"y"}


def test_the_note_of_a_healthy_large_file_is_no_orphan(services: Services, origin: Origin) -> None:
    """`verify` told it forever, and `--repair` could not help: a name with one suffix, with `.note`, looks like a file's."""
    url, _ = serve(origin, "/lung.bin", b"x" * 1000)
    path = services.files.cache.get(url)
    old(path.with_name(f"{path.name}.note"))
    assert services.scrub.run().is_clean
    strays = [path.with_name(f"{path.name[:33]}{'0' * 64}{suffix}") for suffix in (".bin", ".bin.note", ".nii.gz.note")]
    for stray in strays:
        stray.write_bytes(b"x")
        old(stray)
    looked = services.scrub.run()
    assert [(d.where, d.what) for d in looked.damages] == [("files", "orphan")] * 3
    assert all(stray.exists() for stray in strays)
    report = services.scrub.run(repair=True)
    assert [d.outcome for d in report.damages] == ["removed"] * 3
    assert not any(stray.exists() for stray in strays)
    assert services.scrub.run().is_clean
    assert path.exists()


def test_a_vault_without_large_files_gets_no_folder_for_them(services: Services, settings: Settings) -> None:
    services.scrub.run(repair=True)
    assert not settings.files_dir.exists()


# --- portions


def test_a_run_that_is_cut_goes_on_where_it_was(services: Services) -> None:
    left = [5]

    def five() -> bool:
        left[0] -= 1
        return left[0] >= 0

    first = services.scrub.run(repair=True, resume=True, throttle=five)
    assert not first.is_whole
    assert 0 < first.checked.total() <= 5
    second = services.scrub.run(repair=True, resume=True)
    assert second.is_whole
    assert 15 <= first.checked.total() + second.checked.total() <= 15 + 4, "no more than a shard of one place is looked at twice"
    whole = services.scrub.last_round()
    assert whole is not None
    assert whole.is_whole
    assert whole.bytes == first.bytes + second.bytes
    third = services.scrub.run(repair=True, resume=True)
    assert third.checked.total() == 15, "a new round begins"


def test_a_budget_ends_a_run_and_the_rounds_cover_everything(services: Services) -> None:
    reports = []
    while not reports or not reports[-1].is_whole:
        reports.append(services.scrub.run(repair=True, resume=True, budget_bytes=1))
    assert len(reports) > 8
    assert sum(report.checked.total() for report in reports) == 15


def test_the_report_of_a_repair_can_be_read_by_another_process(services: Services, settings: Settings) -> None:
    flip(path_of(services, covers_of(services)[0]))
    services.scrub.run(repair=True)
    kept = Scrub(settings, services.covers, services.streams, services.files.cache, Decoder(64 << 20)).last()
    assert kept is not None
    assert kept.to_dict()["damages"][0]["outcome"] == "rebuilt"
    assert kept.is_clean
    (settings.cache_dir / "scrub.json").write_text('{"last": [1]}')
    assert services.scrub.last() is None
    assert (settings.cache_dir / "scrub.json").stat().st_mode & 0o777 == 0o600


def test_one_repair_at_a_time(services: Services) -> None:
    def second() -> bool:
        with pytest.raises(Busy):
            services.scrub.run(repair=True)
        services.scrub.run(throttle=lambda: False)  # who only looks blocks nothing
        return False

    services.scrub.run(repair=True, throttle=second)


@pytest.mark.slow
def test_memory_stays_flat_whatever_is_kept(services: Services) -> None:
    dead = Decoder(64 << 20)
    dead.close()
    scrub = with_decoder(services, dead)
    scrub.run()

    def peak_bytes(covers: int) -> int:
        tracemalloc.start()
        assert scrub.run().checked["covers"] == covers
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peaks = []
    for start, count in ((0, 100), (100, 500)):
        services.covers.cache.put({key(n): webp(n, 400) for n in range(start, start + count)})
        # Other threads of the vault are counted too, and one that imports a module meanwhile costs megabytes.
        peaks.append(min(peak_bytes(8 + start + count) for _ in range(3)))
    assert peaks[1] < peaks[0] + 50_000, "six times as much is kept"


def with_decoder(services: Services, decoder: Decoder) -> Scrub:
    return Scrub(services.settings, services.covers, services.streams, services.files.cache, decoder)


# --- at night


def at_hour(hour: int) -> float:
    return time.mktime((2027, 1, 15, hour, 30, 0, 0, 0, -1))


def nightly(services: Services, clock: FakeClock, activity: Callable[[], int] = lambda: 0, **more: float) -> Nightly:
    scrub = Scrub(
        services.settings, services.covers, services.streams, services.files.cache, services._parts.decoder, clock=clock
    )
    return Nightly(scrub, 2, activity, **{"idle_s": 0.0, **more})  # type: ignore[arg-type]


def test_each_night_has_its_portion_once(services: Services) -> None:
    clock = FakeClock(at_hour(14))
    night = nightly(services, clock)
    assert not night.is_due()
    clock.now = at_hour(2)
    assert night.is_due()
    night.night()
    assert services.scrub.last() is not None
    assert not night.is_due()
    clock.now = at_hour(4)
    assert not night.is_due(), "it was done in this one"
    clock.now = at_hour(2) + 86400
    assert night.is_due()
    clock.now = at_hour(5) + 86400
    assert not night.is_due(), "the night is over"
    night.close(1)


def test_an_hour_below_zero_is_never(services: Services) -> None:
    for hour in range(24):
        scrub = Scrub(services.settings, services.covers, services.streams, services.files.cache, services._parts.decoder)
        scrub.clock = FakeClock(at_hour(hour))
        assert not Nightly(scrub, -1, lambda: 0).is_due()


def test_it_waits_while_somebody_asks_for_pictures_and_ends_with_the_night(services: Services) -> None:
    clock, asked = FakeClock(at_hour(2)), [0]

    def busy() -> int:
        asked[0] += 1
        if asked[0] == 3:
            clock.now = at_hour(6)
        return asked[0]

    nightly(services, clock, busy, idle_s=0.02).night()
    last = services.scrub.last()
    assert last is not None
    assert last.checked.total() == 0
    assert asked[0] == 3


def test_only_what_others_ask_for_counts_as_activity(services: Services) -> None:
    """It was a number that SQLite keeps for each connection: whichever was lent, and each write of the scrub's own, looked like viewers."""
    activity, index = services.nightly._activity, services.covers.cache.index
    first = activity()
    with index.database.reading():
        assert activity() == first, "of another connection"
        with index.database.write() as conn:
            index.set_meta(conn, "scrub_step", 7)
    assert activity() == first, "the scrub wrote how far it is"
    services.covers.jobs.put([LoadRequest("ab" * 32, "lane")], VISIBLE)
    assert activity() != first


def test_it_starts_by_itself_on_a_thread_of_its_own_and_ends_with_the_service(services: Services) -> None:
    night = nightly(services, FakeClock(at_hour(3)), poll_s=0.05)
    before = set(threading.enumerate())  # some of other tests may be ending
    night.poll()
    wait_until(lambda: (last := services.scrub.last()) is not None and last.checked.total() == 15, WAIT_S)
    assert any(thread.name == "scrub" for thread in threading.enumerate())
    assert night.close(WAIT_S)
    assert set(threading.enumerate()) <= before


def test_a_service_has_no_such_thread_by_day(services: Services) -> None:
    assert services.nightly.periodic_job().name == "scrub"
    assert not any(thread.name == "scrub" for thread in threading.enumerate())


def test_the_thread_steps_back_and_no_other_one(services: Services) -> None:
    found: list[int] = []

    def run() -> None:
        lower_priority()
        stat = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text().rpartition(")")[2].split()
        found.append(int(stat[16]))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [19]
    assert os.getpriority(os.PRIO_PROCESS, 0) < 19
