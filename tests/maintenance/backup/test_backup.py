"""Backup and restore against real vaults: while they are used, onto a new card, cut off in the middle, and with hostile archives."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_cache.bootstrap import ensure_directories, secret_key
from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.connection import open_unchanged
from image_cache.db.database import Database
from image_cache.errors import ArchiveRejected, Busy, CacheError, StorageError, VaultNotEmpty
from image_cache.maintenance.backup.archive import HEAD, LIST, ArchiveWriter, SourceFailed
from image_cache.maintenance.backup.create import back_up, restore
from image_cache.maintenance.backup.rotate import back_up_into
from image_cache.records.table import AlbumTable
from image_cache.services import open_services
from image_cache.streams.original_table import OriginalTable
from image_cache.vault_lock import MOVES
from tests.support.filled import copied, fill, settings_of, shelve, vault_at
from tests.support.origin import Origin, jpeg
from tests.support.plays import count_play
from tests.support.s3 import S3Server
from tests.support.stage import photo
from tests.support.vault import ROOT, Vault, wait_until
from tests.support.volumes import serve

WAIT_S = 30.0


def rows_of(settings: Settings, but: tuple[str, ...] = ("sessions", "tries")) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that a catalogue says."""
    found = {}
    with open_unchanged(settings.catalog_path) as conn:
        tables = [
            r[0] for r in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
        ]
        for table in sorted({*tables} - {*but}):
            if not table.startswith("sqlite_"):
                found[table] = sorted((tuple(r) for r in conn.execute(f"SELECT * FROM {table}")), key=repr)
    return found


def files_of(folder: Path) -> dict[str, str]:
    """Return name -> hash of every file below a folder that is not hidden."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def precious_of(settings: Settings) -> dict[str, str]:
    found = files_of(settings.state_dir)
    return {name: sha for name, sha in found.items() if not name.startswith("catalog.db") and "before-restore" not in name}


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar.getmembers()}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """One origin for all, because the model vault was filled from it."""
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def model(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A vault that is copied for each test, with its backup beside it. No one changes either."""
    folder = tmp_path_factory.mktemp("model")
    made = settings_of(folder / "vault", TRUSTED_ORIGINS=(origin.base,))
    fill(made, origin, folder)
    back_up(made, folder / "vault.tar", secrets=True)
    return made


@pytest.fixture(scope="module")
def good(model: Settings) -> Path:
    """The backup of the model."""
    return model.DATA_DIR.parent / "vault.tar"


@pytest.fixture(scope="module")
def small(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Another vault, with two records and one image."""
    folder = tmp_path_factory.mktemp("small")
    made = settings_of(folder / "vault", TRUSTED_ORIGINS=(origin.base,))
    fill(made, origin, folder, records=2, images=1)
    return made


@pytest.fixture
def settings(model: Settings, tmp_path: Path) -> Settings:
    """The model vault, free to change."""
    return copied(model, tmp_path / "vault")


@pytest.fixture
def archive(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(good, tmp_path / "vault.tar"))


@pytest.fixture
def new_card(tmp_path: Path, origin: Origin) -> Settings:
    return settings_of(tmp_path / "new", TRUSTED_ORIGINS=(origin.base,))


# --- there and back


def test_a_vault_comes_back_on_a_new_card_to_the_last_byte(
    archive: Path, settings: Settings, new_card: Settings, origin: Origin
) -> None:
    report = restore(new_card, archive)
    assert (report.albums, report.plays, report.accounts, report.streams, report.images, report.originals) == (6, 6, 1, 1, 3, 3)
    assert (report.missing, report.notes, report.aside, report.has_secrets) == ([], [], "", True)
    assert rows_of(new_card) == rows_of(settings)
    assert precious_of(new_card) == precious_of(settings)
    assert {name.partition("/")[0] for name in precious_of(new_card)} >= {"own_covers", "stream_images", "imports", "secret_key"}
    assert {path.stat().st_mode & 0o077 for path in new_card.state_dir.rglob("*")} == {0}
    assert sorted(path.name for path in new_card.state_dir.iterdir()) == sorted(
        path.name
        for path in settings.state_dir.iterdir()
        if not path.name.startswith(".task") and not path.name.endswith(("-wal", "-shm"))
    )
    with vault_at(new_card) as services:
        assert services.accounts.login("Vera", "correct horse", "192.168.1.2")


def test_covers_come_back_by_themselves_and_one_that_changed_meanwhile_is_noticed(
    archive: Path, settings: Settings, new_card: Settings, origin: Origin
) -> None:
    with vault_at(settings) as services:
        before = [cover.digest for cover in services.covers.peek(list(services.library.cover_urls()))]
    origin.put("/0.jpg", jpeg(200, 200, (1, 2, 3)))
    asked = origin.count()
    assert restore(new_card, archive).covers == 6
    assert origin.count() == asked, "a restore fetches nothing itself"
    with vault_at(new_card, is_running=True) as services:
        urls = list(services.library.cover_urls())
        wait_until(lambda: {c.state for c in services.covers.peek(urls)} == {"ready"}, WAIT_S)
        after = [cover.digest for cover in services.covers.peek(urls)]
    origin.put("/0.jpg", jpeg(40, 40, (0, 90, 20)))
    assert origin.count() == asked + 6
    assert after[1:] == before[1:], "what browsers hold stays good"
    assert after[0] != before[0], "other bytes have another address"


def test_no_session_outlives_a_restore(archive: Path, settings: Settings, new_card: Settings) -> None:
    """One that was closed after the backup, on a laptop that was stolen, would be open again."""
    assert len(rows_of(settings, but=())["sessions"]) == 1
    restore(new_card, archive)
    assert rows_of(new_card, but=())["sessions"] == []


@pytest.mark.slow
def test_secrets_go_along_only_when_they_are_asked_for(
    settings: Settings, origin: Origin, tmp_path: Path, new_card: Settings
) -> None:
    report = back_up(settings, tmp_path / "plain.tar")
    assert report.left_out == ["secret_key", "service_token"]
    assert report.secrets == []
    found = members(tmp_path / "plain.tar")
    key = settings.secret_key_path.read_bytes().strip()
    assert not any(b"sesame" in body or key in body for body in found.values())
    ensure_directories(new_card)
    own_key = secret_key(new_card.secret_key_path)
    restore(new_card, tmp_path / "plain.tar")
    assert secret_key(new_card.secret_key_path) == own_key
    assert not (new_card.state_dir / "service_token").exists()
    asked = back_up(settings, tmp_path / "all.tar", secrets=True)
    assert asked.secrets == ["secret_key", "service_token"]
    for path in (tmp_path / "plain.tar", tmp_path / "all.tar"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_every_file_of_the_state_folder_goes_along_by_rule(settings: Settings, origin: Origin, tmp_path: Path) -> None:
    """A list of folders would forget the one that is made next year."""
    deep = settings.state_dir / "next_year" / "deep"
    deep.mkdir(parents=True)
    (deep / ("n" * 200)).write_bytes(b"long name")
    (deep / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"odd name")
    (deep / ".part-7").write_bytes(b"being written")
    (settings.state_dir / "away").symlink_to("/etc")
    os.mkfifo(settings.state_dir / "pipe")
    back_up(settings, settings.state_dir / "earlier.tar")
    report = back_up(settings, tmp_path / "b.tar")
    names = {name for name in members(tmp_path / "b.tar") if name.startswith("state/")}
    own = hashlib.sha256(photo(77)).hexdigest()
    assert names == {
        "state/catalog.db",
        f"state/own_covers/{own}",
        "state/imports/Plätze & more.csv",
        f"state/next_year/deep/{'n' * 200}",
        "state/next_year/deep/" + os.fsdecode(b"not-utf8-\xff"),
    }
    assert report.state_files == 4
    assert len(report.notes) == 2
    new = settings_of(tmp_path / "new")
    restore(new, tmp_path / "b.tar")
    assert (new.state_dir / "next_year/deep" / os.fsdecode(b"not-utf8-\xff")).read_bytes() == b"odd name"


def test_the_archive_can_be_looked_into_with_any_tar_and_lists_what_it_holds(archive: Path) -> None:
    found = members(archive)
    names = list(found)
    assert (names[0], names[-1]) == (HEAD, LIST)
    listed = [json.loads(line) for line in found[LIST].splitlines()]
    assert {line["name"]: line["sha256"] for line in listed} == {
        name: hashlib.sha256(body).hexdigest() for name, body in found.items() if name != LIST
    }
    covers = [json.loads(line) for line in found["covers.jsonl"].splitlines()]
    assert len(covers) == 6
    assert all(len(bytes.fromhex(line["body_sha256"])) == 32 and line["url"].startswith("http") for line in covers)
    done = subprocess.run(["tar", "-tf", str(archive)], capture_output=True, text=True, check=True)
    assert "state/catalog.db" in done.stdout


def test_with_full_the_cache_comes_along_and_nothing_is_fetched_again(
    settings: Settings, new_card: Settings, origin: Origin, tmp_path: Path
) -> None:
    report = back_up(settings, tmp_path / "full.tar", full=True)
    assert report.cache_files == 6 * 2 + 3 * 2
    asked = origin.count()
    restored = restore(new_card, tmp_path / "full.tar")
    assert restored.has_cache
    with vault_at(new_card, is_running=True) as services:
        urls = list(services.library.cover_urls())
        wait_until(lambda: {c.state for c in services.covers.peek(urls)} == {"ready"}, WAIT_S)
        for cover in services.covers.peek(urls):
            assert services.covers.get(cover.digest, "detail") is not None
        assert services.scrub.run().found == {}
        assert services.streams.cache.engine.index.totals("streams").entries == 6
    assert origin.count() == asked


@pytest.mark.slow
def test_originals_may_lie_on_a_disk_of_their_own(good: Path, small: Settings, model: Settings, tmp_path: Path) -> None:
    """Nothing can be renamed from one file system to another."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        disk = Path(folder)
        assert disk.stat().st_dev != tmp_path.stat().st_dev
        card = replace(copied(small, tmp_path / "new"), STREAM_IMAGES_DIR=disk)
        shutil.copytree(card.state_dir / "stream_images", disk, dirs_exist_ok=True)
        shutil.rmtree(card.state_dir / "stream_images")
        before = files_of(disk)
        report = restore(card, good, force=True)
        assert report.originals == 3
        assert files_of(disk) == files_of(model.stream_images_dir)
        (aside,) = disk.glob(".before-restore-*")
        assert files_of(aside) == before
        assert not (disk / ".restore").exists()
        back_up(card, tmp_path / "again.tar")
        assert restore(settings_of(tmp_path / "third"), tmp_path / "again.tar").originals == 3


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[dict[str, Any]]:
    (tmp_path / "s3_key").write_text("secret-of-vinylvault1")
    with S3Server(tmp_path / "s3") as s3:
        yield {
            "STORAGE": "s3",
            "S3_BUCKET": s3.options["bucket_name"],
            "S3_ENDPOINT": s3.endpoint,
            "S3_ACCESS_KEY": s3.options["aws_access_key"],
            "S3_SECRET_KEY_FILE": tmp_path / "s3_key",
        }


@pytest.mark.server
def test_originals_in_a_bucket_stay_there_unless_all_is_wanted(
    good: Path, model: Settings, bucket: dict[str, Any], tmp_path: Path
) -> None:
    card = settings_of(tmp_path / "card", **bucket)
    assert restore(card, good).originals == 3, "into the bucket"
    stored = files_of(tmp_path / "s3" / "originals")
    assert stored == files_of(model.stream_images_dir)
    plain, full = back_up(card, tmp_path / "plain.tar"), back_up(card, tmp_path / "full.tar", full=True)
    assert (plain.originals, plain.missing, full.originals) == (0, [], 3)
    assert not any(name.startswith("originals/") for name in members(tmp_path / "plain.tar"))
    beside = restore(settings_of(tmp_path / "beside", **bucket), tmp_path / "plain.tar")
    assert (beside.missing, len(beside.notes)) == ([], 1)
    assert files_of(tmp_path / "s3" / "originals") == stored
    local = settings_of(tmp_path / "local")
    assert len(restore(local, tmp_path / "plain.tar").missing) == 3
    assert restore(local, tmp_path / "full.tar", force=True).missing == []
    assert files_of(local.stream_images_dir) == stored


def test_large_files_come_back_by_themselves(settings: Settings, new_card: Settings, origin: Origin, tmp_path: Path) -> None:
    url, volume = serve(origin, "/brain.bin", b"x" * 50_000)
    with vault_at(settings) as services:
        services.files.cache.get(url)
    back_up(settings, tmp_path / "b.tar")
    line = json.loads(members(tmp_path / "b.tar")["files.jsonl"])
    assert (line["url"], line["sha256"]) == (url, hashlib.sha256(volume.body).hexdigest())
    restore(new_card, tmp_path / "b.tar")
    with vault_at(new_card, is_running=True) as services:
        wait_until(lambda: services.files.cache.peek(url) is not None, WAIT_S)


# --- while the vault is used


@pytest.mark.slow
def test_a_backup_while_everybody_is_busy_is_of_one_moment(
    settings: Settings, new_card: Settings, origin: Origin, tmp_path: Path
) -> None:
    """Uploads, deletions, plays and imports continue all the time; the archive holds what its catalogue names, no more and no less."""
    stopping = threading.Event()
    failed: list[BaseException] = []

    def again(act: Callable[[int], object]) -> threading.Thread:
        def loop() -> None:
            number = 0
            try:
                while not stopping.wait(0.01):  # SQLite's lock is not fair: a writer without any pause starves the others
                    act(number)
                    number += 1
            except BaseException as error:  # noqa: BLE001  handed to the test
                failed.append(error)

        thread = threading.Thread(target=loop)
        thread.start()
        return thread

    with vault_at(settings, is_running=True) as services:
        streams = services.streams
        ids: list[str] = [image.image_id for image in streams.rows.images(1)]

        def upload(number: int) -> None:
            ids.append(streams.upload_stream_image("evening", photo(1000 + number), "x.jpg"))
            if len(ids) > 6:
                streams.delete_stream_image("evening", ids.pop(0))
            uploaded[0] += 1

        turns: list[str] = []
        uploaded = [0]

        def turn(done: int, total: int, name: str) -> None:
            """Let images come and others go between two originals: some that the catalogue named are gone by then."""
            if name.startswith("originals/") and len(turns) < 4:
                turns.append(name)
                before = uploaded[0]
                wait_until(lambda: uploaded[0] > before + 1 or failed, WAIT_S)

        busy = [
            again(upload),
            again(lambda number: count_play(services.catalog, 1 + number % 6, time.time())),
            again(lambda number: shelve(services, tmp_path, [origin.url("/0.jpg")], start=100 + number)),
        ]
        try:
            wait_until(lambda: len(ids) > 5 or failed, WAIT_S)
            reports = [back_up(settings, tmp_path / f"busy-{n}.tar", progress=turn) for n in range(3)]
        finally:
            stopping.set()
            for thread in busy:
                thread.join()
    assert (failed, len(turns)) == ([], 4)
    assert reports[0].originals > 6, "one that went while it was written was copied in vain"
    for number, report in enumerate(reports):
        assert (report.missing, report.damaged) == ([], [])
        card = replace(new_card, DATA_DIR=tmp_path / f"card-{number}")
        restored = restore(card, tmp_path / f"busy-{number}.tar")
        assert restored.missing == []
        catalog = CatalogDatabase(card.catalog_path)
        named = {o.file_path: o.sha256.hex() for o in OriginalTable(catalog).originals()}
        assert catalog.row("SELECT sum(plays) = (SELECT count(*) FROM plays) FROM albums")[0] == 1  # type: ignore[index]
        catalog.close()
        assert files_of(card.stream_images_dir) == named
        assert restored.images == len(named) >= 4


def test_an_original_that_was_lost_before_is_named_and_costs_nothing_else(
    settings: Settings, new_card: Settings, origin: Origin, tmp_path: Path
) -> None:
    first, second, third = sorted(settings.stream_images_dir.rglob("*_original.*"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"?")
    report = back_up(settings, tmp_path / "b.tar")
    assert report.missing == [str(first.relative_to(settings.stream_images_dir))]
    assert report.damaged == [str(second.relative_to(settings.stream_images_dir))]
    restored = restore(new_card, tmp_path / "b.tar")
    assert restored.missing == report.missing
    assert (new_card.stream_images_dir / third.relative_to(settings.stream_images_dir)).read_bytes() == third.read_bytes()


def test_an_older_schema_is_brought_up_to_date_and_a_newer_one_refused(tmp_path: Path) -> None:
    old = settings_of(tmp_path / "old")
    old.state_dir.mkdir(parents=True)
    database = Database(old.catalog_path, MIGRATIONS[:1], synchronous="FULL")
    with database.write() as conn:
        conn.execute(
            "INSERT INTO albums (source, source_id, title, artist, title_sort, artist_sort, added_at) VALUES ('csv', '1', 'T', 'A', 't', 'a', 0)"
        )
    database.close()
    assert back_up(old, tmp_path / "old.tar").originals == 0
    new = settings_of(tmp_path / "new")
    report = restore(new, tmp_path / "old.tar")
    assert (report.schema, report.albums, report.aside) == (1, 1, "")
    assert [path.name for path in new.state_dir.iterdir() if "schema" in path.name] == []
    with vault_at(new) as services:
        assert services.library.count() == 1
    with open_unchanged(old.catalog_path) as conn:
        conn.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="it uses schema 99"):
        back_up(old, tmp_path / "newer.tar")
    assert not (tmp_path / "newer.tar").exists()


# --- when it cannot be


def test_a_service_that_runs_keeps_its_vault(archive: Path, settings: Settings, new_card: Settings) -> None:
    with vault_at(new_card):
        with pytest.raises(Busy, match="Stop the service"):
            restore(new_card, archive)
        with pytest.raises(Busy):
            restore(new_card, archive, force=True)
    restore(new_card, archive)


def test_a_service_of_another_process_keeps_its_vault_and_a_killed_one_does_not(
    archive: Path, origin: Origin, tmp_path: Path
) -> None:
    with Vault(tmp_path / "served", trusted=(origin.base,)) as vault:
        card = settings_of(vault.folder)
        with pytest.raises(Busy):
            restore(card, archive)
        vault.kill()
        wait_until(lambda: not is_busy(card, archive), WAIT_S)  # the worker ends a moment after the one that started it
        vault.start()
        assert b"Artist 3" in vault.get("/", Accept="text/html").body


def is_busy(card: Settings, archive: Path) -> bool:
    try:
        return restore(card, archive).albums != 6
    except Busy:
        return True


def test_a_service_does_not_start_while_its_vault_is_restored(archive: Path, new_card: Settings) -> None:
    seen: list[str] = []

    def look(done: int, total: int, name: str) -> None:
        with pytest.raises(Busy, match="being restored"):
            open_services(new_card)
        seen.append(name)

    restore(new_card, archive, progress=look)
    assert "state/catalog.db" in seen
    with vault_at(new_card) as services:
        assert services.library.count() == 6


def test_a_vault_that_is_not_empty_is_kept_beside(
    archive: Path, settings: Settings, new_card: Settings, small: Settings, tmp_path: Path
) -> None:
    copied(small, new_card.DATA_DIR)
    before = precious_of(new_card)
    with pytest.raises(VaultNotEmpty, match="2 records"):
        restore(new_card, archive)
    assert precious_of(new_card) == before
    report = restore(new_card, archive, force=True)
    assert rows_of(new_card) == rows_of(settings)
    assert precious_of(new_card) == precious_of(settings)
    aside = Path(report.aside)
    assert aside.parent == new_card.state_dir
    assert files_of(aside / "originals") == {
        n.removeprefix("stream_images/"): h for n, h in before.items() if n.startswith("stream_images")
    }
    kept = CatalogDatabase(aside / "catalog.db")
    assert [album.title for album in AlbumTable(kept).all_albums()] == ["Title 0", "Title 1"]
    kept.close()
    assert (aside / "secret_key").exists()
    asides = {restore(new_card, archive, force=True).aside for _ in range(2)} | {report.aside}
    assert len(asides) == 3, "also when they follow each other within a second"
    assert rows_of(new_card) == rows_of(settings)
    assert back_up(new_card, tmp_path / "after.tar").originals == 3, "what was put aside is in no backup"


def test_backups_that_lie_in_the_state_folder_survive_a_restore(archive: Path, new_card: Settings) -> None:
    (new_card.state_dir / "backups").mkdir(parents=True)
    shutil.copy(archive, new_card.state_dir / "backups" / "mine.tar")
    restore(new_card, new_card.state_dir / "backups" / "mine.tar")
    assert (new_card.state_dir / "backups" / "mine.tar").exists()


def test_a_catalogue_that_is_broken_counts_as_something(archive: Path, new_card: Settings) -> None:
    new_card.state_dir.mkdir(parents=True)
    new_card.catalog_path.write_bytes(b"no database" * 500)
    with pytest.raises(VaultNotEmpty, match="cannot be read"):
        restore(new_card, archive)
    report = restore(new_card, archive, force=True)
    assert (Path(report.aside) / "catalog.db").read_bytes().startswith(b"no database")


def test_a_file_of_the_same_name_stays_unless_it_is_asked_for(archive: Path, settings: Settings) -> None:
    before = archive.read_bytes()
    with pytest.raises(StorageError, match="already"):
        back_up(settings, archive)
    assert archive.read_bytes() == before
    back_up(settings, archive, overwrite=True)
    assert archive.read_bytes() != before


def test_a_file_that_appears_meanwhile_stays_too(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="already"):
        back_up(settings, tmp_path / "b.tar", progress=lambda *_: (tmp_path / "b.tar").write_text("mine"))
    assert (tmp_path / "b.tar").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "vault"]


def test_two_backups_to_one_file_do_not_write_over_each_other(archive: Path, settings: Settings, tmp_path: Path) -> None:
    def second(done: int, total: int, name: str) -> None:
        with pytest.raises(Busy):
            back_up(settings, tmp_path / "one.tar")

    back_up(settings, tmp_path / "one.tar", progress=second)
    restore(settings_of(tmp_path / "new"), tmp_path / "one.tar")


def test_a_broken_catalogue_is_said_and_leaves_no_archive(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "vault")
    with pytest.raises(StorageError, match="no catalogue"):
        back_up(settings, tmp_path / "b.tar")
    settings.state_dir.mkdir(parents=True)
    settings.catalog_path.write_bytes(b"no database" * 500)
    with pytest.raises(StorageError, match="not a database"):
        back_up(settings, tmp_path / "b.tar")
    with pytest.raises(StorageError, match="does not exist"):
        back_up(settings, tmp_path / "nowhere" / "b.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vault"]


def test_a_broken_index_costs_the_addresses_only(archive: Path, settings: Settings, new_card: Settings, tmp_path: Path) -> None:
    for path in settings.cache_dir.glob("index.db-*"):
        path.unlink()
    settings.index_path.write_bytes(b"no database" * 500)
    report = back_up(settings, tmp_path / "b.tar", full=True)
    assert report.covers == 0
    assert len(report.notes) == 2
    assert settings.index_path.read_bytes().startswith(b"no database"), "a backup changes nothing"
    assert restore(new_card, tmp_path / "b.tar").covers == 6


def limited(program: str, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
    """Run a program of this project as its own process."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, env={**os.environ, **env}, stderr=subprocess.PIPE
    )


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from image_cache.config import Settings
from image_cache.errors import StorageError
from image_cache.maintenance.backup.create import back_up, restore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
settings = Settings(DATA_DIR=Path(sys.argv[2]), FREE_SPACE_FLOOR_MB=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
try:
    {"b": back_up, "r": restore}[sys.argv[1]](settings, Path(sys.argv[3]))
except StorageError as error:
    print(error, file=sys.stderr)
    sys.exit(7)
"""


@pytest.mark.parametrize("limit", [3000, 60_000, 200_000])
def test_a_disk_that_takes_no_more_leaves_nothing_half(archive: Path, settings: Settings, tmp_path: Path, limit: int) -> None:
    """The limit is that of the process, so that the disk of the test need not be filled."""
    target = tmp_path / "usb"
    target.mkdir()
    process = limited(FULL_DISK, "b", str(settings.DATA_DIR), str(target / "b.tar"), str(limit))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7, said.decode()
    assert list(target.iterdir()) == []
    process = limited(FULL_DISK, "r", str(tmp_path / "new"), str(archive), str(min(limit, 90_000)))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7, said.decode()
    left = [path for path in (tmp_path / "new").rglob("*") if path.is_file() and path.name != ".in-use"]
    assert left == []


def test_what_does_not_fit_is_refused_before_anything_is_written(archive: Path, settings: Settings, tmp_path: Path) -> None:
    crowded = replace(settings, FREE_SPACE_FLOOR_MB=10_000_000)
    with pytest.raises(StorageError, match="MB needed"):
        back_up(crowded, tmp_path / "b.tar")
    with pytest.raises(StorageError, match="MB needed"):
        restore(replace(settings_of(tmp_path / "new"), FREE_SPACE_FLOOR_MB=10_000_000), archive)
    assert not list(tmp_path.glob("b.tar*"))


# --- cut off

CUT = """
import os, signal, sys
from pathlib import Path
from image_cache.config import Settings
from image_cache.maintenance.backup.create import back_up, restore
left = int(sys.argv[4])
def count(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
{"b": back_up, "r": restore}[sys.argv[1]](Settings(DATA_DIR=Path(sys.argv[2]), FREE_SPACE_FLOOR_MB=0), Path(sys.argv[3]), progress=count)
"""


def test_a_backup_that_is_killed_leaves_the_last_one_and_the_next_one_cleans_up(
    archive: Path, settings: Settings, tmp_path: Path
) -> None:
    target = tmp_path / "usb"
    target.mkdir()
    shutil.copy(archive, target / "vinylvault-20200101-000000.tar")
    for number in (0, 2, 4):
        process = limited(CUT, "b", str(settings.DATA_DIR), str(target / "vinylvault-20200102-000000.tar"), str(number))
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert [path.name for path in target.glob("*.tar")] == ["vinylvault-20200101-000000.tar"]
    assert len(list(target.iterdir())) > 1
    report = back_up_into(settings, target)
    assert sorted(path.name for path in target.iterdir()) == ["vinylvault-20200101-000000.tar", Path(report.path).name]
    restore(settings_of(tmp_path / "new"), Path(report.path))


def test_a_restore_that_is_killed_while_it_reads_changed_nothing(
    archive: Path, settings: Settings, new_card: Settings, small: Settings
) -> None:
    copied(small, new_card.DATA_DIR)
    before, files = rows_of(new_card), precious_of(new_card)
    program = CUT.replace("progress=count)", "progress=count, force=True)")
    for number in (0, 3, 7):
        process = limited(program, "r", str(new_card.DATA_DIR), str(archive), str(number))
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert (rows_of(new_card), precious_of(new_card)) == (before, files)
    with vault_at(new_card) as services:
        assert services.library.count() == 2
    restore(new_card, archive, force=True)
    assert rows_of(new_card) == rows_of(settings)
    assert not (new_card.state_dir / ".restore").exists()


CUT_MOVING = """
import os, signal, sys
from pathlib import Path
from image_cache.config import Settings
from image_cache.maintenance.backup.create import restore
left = int(sys.argv[3])
def count(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
restore(Settings(DATA_DIR=Path(sys.argv[1]), FREE_SPACE_FLOOR_MB=0), Path(sys.argv[2]), force=True)
"""


def test_a_restore_that_is_killed_between_its_renames_is_ended_by_whoever_comes_next(
    archive: Path, settings: Settings, small: Settings, tmp_path: Path
) -> None:
    """After any of them: either nothing happened yet, or the next start of the service, or the next restore, does the rest."""
    before, wanted = rows_of(small), rows_of(settings)
    outcomes = []
    for number in (0, 1, 2, 4, 7, 10, 99):
        card = copied(small, tmp_path / f"card-{number}")
        process = limited(CUT_MOVING, str(card.DATA_DIR), str(archive), str(number))
        process.communicate(timeout=60)
        is_noted = (card.state_dir / MOVES).exists()
        with vault_at(card) as services:
            count = services.library.count()
        rows = rows_of(card)
        assert rows == (before if count == 2 else wanted)
        assert count == (2 if process.returncode and not is_noted and number < 2 else 6), (number, process.returncode, is_noted)
        if count == 6:
            assert precious_of(card) == precious_of(settings)
            (aside,) = card.state_dir.glob("before-restore-*")
            assert (aside / "catalog.db").exists()
        assert not (card.state_dir / MOVES).exists()
        outcomes.append((process.returncode, count))
    assert (0, 6) in outcomes, "one of them came to its end"
    assert (-signal.SIGKILL, 6) in outcomes
    assert (-signal.SIGKILL, 2) in outcomes


# --- hostile archives


def forge(
    path: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None], source: Path, **more: Any
) -> Path:
    """Copy an archive member by member, each as `change` wants it."""
    with (
        tarfile.open(source) as old,
        tarfile.open(path, more.pop("mode", "w"), format=more.pop("format", tarfile.PAX_FORMAT)) as new,
    ):
        for info in old.getmembers():
            file = old.extractfile(info)
            assert file
            changed = change(info, file.read())
            if changed is not None:
                changed[0].size = len(changed[1])
                new.addfile(changed[0], io.BytesIO(changed[1]))
            if info.name == HEAD:
                for extra in more.get("extra", ()):
                    new.addfile(extra, io.BytesIO(b"x" * extra.size))
    return path


def same(info: tarfile.TarInfo, body: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return info, body


def kind(name: str, type_: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type_, link
    return info


def regular(name: str, size: int = 3) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


STRANGE = {
    "absolute": (regular("/etc/passwd"), "points outside"),
    "climbing": (regular("state/../../out"), "points outside"),
    "dotted": (regular("state/./x"), "points outside"),
    "backslash": (regular("state\\..\\x"), "points outside"),
    "elsewhere": (regular("bin/sh"), "does not belong"),
    "bare root": (regular("state"), "does not belong"),
    "hidden": (regular("state/.in-use"), "does not belong"),
    "journal": (regular("state/.restore.json"), "does not belong"),
    "log of the catalogue": (regular("state/catalog.db-wal"), "does not belong"),
    "key as a state file": (regular("state/secret_key"), "does not belong"),
    "state file as a key": (regular("secrets/catalog.db"), "does not belong"),
    "original as a state file": (regular("state/stream_images/a/b.jpg"), "does not belong"),
    "aside": (regular("state/before-restore-1/x"), "does not belong"),
    "link": (kind("state/link", tarfile.SYMTYPE, "/etc/passwd"), "symbolic link"),
    "hard link": (kind("state/hard", tarfile.LNKTYPE, "state/catalog.db"), "hard link"),
    "device": (kind("state/null", tarfile.CHRTYPE), "device"),
    "pipe": (kind("state/pipe", tarfile.FIFOTYPE), "pipe"),
    "folder": (kind("state/folder", tarfile.DIRTYPE), "folder"),
    "sparse": (kind("state/sparse", tarfile.GNUTYPE_SPARSE), "of a type"),
    "unlisted": (regular("state/extra"), "manifest does not match"),
    "twice": (regular("covers.jsonl"), "twice"),
    "long": (regular("state/" + "/".join(["d" * 200] * 6)), "too long"),
}


def refused(card: Settings, path: Path, words: str) -> None:
    """See that an archive is refused in these words, and that nothing of the vault moved, and nothing came out of it."""
    root = card.DATA_DIR.parent
    before = files_of(root)
    with pytest.raises(ArchiveRejected, match=words):
        restore(card, path)
    assert {name: sha for name, sha in files_of(root).items() if not name.endswith("names.json")} == before
    left = [p for p in card.DATA_DIR.rglob("*") if p.is_file() and p.name != ".in-use"] if card.DATA_DIR.exists() else []
    assert left == []


@pytest.fixture
def card(tmp_path: Path) -> Settings:
    return settings_of(tmp_path / "in" / "vault")


@pytest.mark.parametrize("name", STRANGE)
def test_a_member_that_no_backup_has_is_refused(good: Path, card: Settings, tmp_path: Path, name: str) -> None:
    member, words = STRANGE[name]
    refused(card, forge(tmp_path / "bad.tar", same, good, extra=[member]), words)


def test_the_archive_that_the_bad_ones_are_made_of_is_good(good: Path, card: Settings, tmp_path: Path) -> None:
    forge(tmp_path / "same.tar", same, good)
    assert restore(card, tmp_path / "same.tar").albums == 6


def test_a_flipped_byte_is_noticed_wherever_it_is(good: Path, card: Settings, tmp_path: Path) -> None:
    body = bytearray(good.read_bytes())
    with tarfile.open(good) as tar:
        places = [info.offset_data for info in tar.getmembers() if info.size] + [info.offset + 10 for info in tar.getmembers()]
    for place in places:
        changed = body.copy()
        changed[place] ^= 0x20
        (tmp_path / "bad.tar").write_bytes(changed)
        refused(card, tmp_path / "bad.tar", r".")


def test_an_archive_that_was_cut_is_refused_wherever_it_ends(good: Path, card: Settings, tmp_path: Path) -> None:
    body = good.read_bytes()
    ends = [0, 1, 511, 512, 1024, len(body) // 3, len(body) // 2, len(body) - 2048, len(body) - 1024, len(body) - 1]
    for end in ends:
        (tmp_path / "cut.tar").write_bytes(body[:end])
        refused(card, tmp_path / "cut.tar", "not a VinylVault backup|incomplete|cut off|corrupt")
    (tmp_path / "more.tar").write_bytes(body + b"and more")
    refused(card, tmp_path / "more.tar", "extra data after the end")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"PK\x03\x04" + b"\0" * 2000,
        b"\x1f\x8b\x08" + b"\0" * 2000,
        b"SQLite format 3\0" * 200,
        b"\0" * 10240,
        os.urandom(5000),
    ],
)
def test_what_is_no_backup_is_told_apart(card: Settings, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(body)
    refused(card, tmp_path / "x.tar", "not a VinylVault backup")


def test_a_tar_of_somebody_else_and_a_compressed_bomb_are_told_apart(good: Path, card: Settings, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(regular("hello", 5), io.BytesIO(b"hello"))
    refused(card, tmp_path / "other.tar", "not a VinylVault backup")
    with tarfile.open(tmp_path / "bomb.tar", "w:gz") as tar:
        tar.addfile(regular(HEAD, 50_000_000), io.BytesIO(bytes(50_000_000)))
    refused(card, tmp_path / "bomb.tar", "not a VinylVault backup")
    refused(
        card,
        forge(tmp_path / "gnu.tar", same, good, extra=[regular("state/" + "n/" * 90 + "x")], format=tarfile.GNU_FORMAT),
        "of a type",
    )


def test_sizes_that_are_promised_are_not_believed(good: Path, card: Settings, tmp_path: Path) -> None:
    """A header of the size of the memory, a member of the size of the disk, a thousand headers before one member."""
    body = good.read_bytes()
    with tarfile.open(good) as tar:
        second = tar.getmembers()[1].offset
    large = regular("state/large", 1 << 50).tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    (tmp_path / "a.tar").write_bytes(body[:second] + large + body[second:])
    refused(card, tmp_path / "a.tar", "is cut off")
    header = kind("./PaxHeaders/x", tarfile.XHDTYPE)
    header.size = 30_000_000
    (tmp_path / "b.tar").write_bytes(body[:second] + header.tobuf() + bytes(30_000_000) + body[second:])
    refused(card, tmp_path / "b.tar", "too large for a VinylVault backup")
    header.size = 512
    (tmp_path / "c.tar").write_bytes(body[:second] + (header.tobuf() + b"9" * 512) * 2000 + body[second:])
    refused(card, tmp_path / "c.tar", "of a type")
    negative = bytearray(regular("state/x", 0).tobuf())
    negative[124:136] = b"\xff" * 12
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative)
    (tmp_path / "d.tar").write_bytes(body[:second] + bytes(negative) + body[second:])
    refused(card, tmp_path / "d.tar", "longer than|corrupt|cut off")


def rewritten(tmp_path: Path, good: Path, change: dict[str, bytes], head: dict[str, Any] | None = None) -> Path:
    """Write an archive again with other bodies, and a list that is right about them."""
    path = tmp_path / "rewritten.tar"
    found = members(good)
    with path.open("wb+") as file:
        writer = ArchiveWriter(file, {**json.loads(found.pop(HEAD)), **(head or {})})
        found.pop(LIST)
        for name, body in {**found, **change}.items():
            writer.add(name, len(body), [body])
        writer.finish()
        writer.close()
    return path


def test_another_format_is_refused_with_its_number(good: Path, card: Settings, tmp_path: Path) -> None:
    refused(card, rewritten(tmp_path, good, {}, {"format": 2}), "it uses backup format 2")
    refused(card, rewritten(tmp_path, good, {}, {"format": "x"}), "not a VinylVault backup")


def test_a_catalogue_that_is_not_ours_is_refused_although_its_hash_is_right(good: Path, card: Settings, tmp_path: Path) -> None:
    body = members(good)["state/catalog.db"]
    source = tmp_path / "c.db"

    def changed(*statements: str) -> Path:
        source.write_bytes(body)
        with open_unchanged(source) as conn:
            for statement in statements:
                conn.execute(statement)
        return rewritten(tmp_path, good, {"state/catalog.db": source.read_bytes()})

    refused(card, rewritten(tmp_path, good, {"state/catalog.db": b"no database" * 900}), "cannot be read")
    refused(card, changed("PRAGMA user_version = 99"), "schema 99")
    refused(card, changed("PRAGMA user_version = 0"), "schema 0")
    refused(card, changed("DROP TABLE plays"), "no (table plays|index plays_of_album)")
    refused(card, changed("CREATE TRIGGER evil AFTER INSERT ON sessions BEGIN DELETE FROM albums; END"), "trigger 'evil'")
    replaced = "CREATE TRIGGER albums_played AFTER UPDATE ON albums BEGIN DELETE FROM accounts; END"
    refused(card, changed("DROP TRIGGER albums_played", replaced), "trigger albums_played")
    refused(card, changed("CREATE VIEW spy AS SELECT * FROM accounts"), "view 'spy'")
    torn = bytearray(body)
    torn[8192:40960] = os.urandom(32768)
    refused(card, rewritten(tmp_path, good, {"state/catalog.db": bytes(torn)}), "corrupt|cannot be read")
    assert restore(card, changed()).albums == 6


def test_addresses_of_a_hostile_archive_are_judged_as_all_are(good: Path, card: Settings, tmp_path: Path) -> None:
    lines = [
        {"identity": "x", "url": "file:///etc/passwd", "body_sha256": None},
        {"identity": "y", "url": "own:" + "0" * 64, "body_sha256": None},
        {"identity": "z", "url": 7, "body_sha256": "zz"},
        ["no", "line"],
        {"identity": "w", "url": "http://169.254.169.254/latest", "body_sha256": None},
    ]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b"{" * 50_000
    report = restore(card, rewritten(tmp_path, good, {"covers.jsonl": body}))
    assert report.albums == 6
    with vault_at(card) as services:
        urls = {row[0] for row in services.covers.cache.index.database.rows("SELECT url FROM images")}
        assert not any(url.startswith(("file:", "own:")) for url in urls)
        services.covers.enqueue_missing(["http://169.254.169.254/latest"])
        while services.loader.run_next():
            pass
        assert services.covers.peek(["http://169.254.169.254/latest"])[0].state == "failed"


def test_a_source_that_cannot_be_read_costs_its_own_place_only(tmp_path: Path) -> None:
    """A card that dies has bad sectors: the rest of it is what the backup is for."""

    def dying() -> Iterator[bytes]:
        yield b"x" * 1000
        raise SourceFailed("Input/output error")

    with (tmp_path / "a.tar").open("wb+") as file:
        writer = ArchiveWriter(file, {})
        writer.add("state/before", 3, [b"one"])
        with pytest.raises(SourceFailed):
            writer.add("state/bad", 5000, dying())
        with pytest.raises(SourceFailed, match="shrank"):
            writer.add("state/short", 5, [b"two"])
        writer.add("state/after", 5, [b"th", b"ree+more"])
        writer.finish()
        writer.close()
    found = members(tmp_path / "a.tar")
    assert [name for name in found if name.startswith("state/")] == ["state/before", "state/after"]
    assert found["state/after"] == b"three"


def test_a_file_that_is_not_there_and_a_folder_are_said(card: Settings, tmp_path: Path) -> None:
    for path in (tmp_path / "none.tar", tmp_path):
        with pytest.raises(CacheError):
            restore(card, path)


# --- every day


def test_the_last_few_are_kept_and_nothing_else_goes(archive: Path, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "daily"
    at = time.mktime((2026, 3, 1, 4, 0, 0, 0, 0, -1))
    for day in range(5):
        back_up_into(settings, folder, keep=3, clock=lambda day=day: at + day * 86400)  # type: ignore[misc]
        (folder / "vinylvault-20200101-000000.tar").write_text("mine, and no archive")
        (folder / "notes.txt").write_text("mine")
    assert sorted(path.name for path in folder.iterdir()) == [
        "notes.txt",
        "vinylvault-20200101-000000.tar",
        "vinylvault-20260303-040000.tar",
        "vinylvault-20260304-040000.tar",
        "vinylvault-20260305-040000.tar",
    ]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_clock_that_was_wrong_does_not_cost_the_backup_that_was_just_made(
    archive: Path, settings: Settings, tmp_path: Path
) -> None:
    for at in (2_000_000_000.0, 2_000_100_000.0, 300.0):
        report = back_up_into(settings, tmp_path / "daily", keep=2, clock=lambda at=at: at)  # type: ignore[misc]
    assert Path(report.path).exists()
    assert len(list((tmp_path / "daily").iterdir())) == 2
    with pytest.raises(ValueError, match="at least 1"):
        back_up_into(settings, tmp_path / "daily", keep=0)


def test_a_backup_that_fails_removes_no_older_one(archive: Path, settings: Settings, tmp_path: Path) -> None:
    back_up_into(settings, tmp_path / "daily", keep=1)
    with pytest.raises(StorageError):
        back_up_into(replace(settings, FREE_SPACE_FLOOR_MB=10_000_000), tmp_path / "daily", keep=1)
    assert len(list((tmp_path / "daily").iterdir())) == 1
