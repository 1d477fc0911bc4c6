"""Ten ways in which a vault breaks: `health` names each, the operator's command repairs what can be repaired, the service stays up."""

import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.maintenance.health.test_health import picture_of
from tests.support.disk import disk_of
from tests.support.operator import Said, operate
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault, wait_until

pytestmark = pytest.mark.server
COVERS = 6
COMEBACK_S = 180.0  # it takes less than ten; a loaded machine gets more


def rows(origin: Origin) -> list[dict[str, object]]:
    urls = [origin.put(f"/{n}.jpg", jpeg(200, 200, (n * 30, 99, 50))) for n in range(COVERS)]
    return [{"artist": f"A{n}", "title": "T", "cover_url": url} for n, url in enumerate(urls)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """A running vault with all its covers; each test leaves it well."""
    folder = tmp_path_factory.mktemp("breakages")
    with Origin() as origin, Vault(folder / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums(rows(origin))
        vault.get("/", Accept="text/html")
        wait_until(lambda: is_full(vault), COMEBACK_S)
        yield vault


@pytest.fixture
def vault(shared: Vault) -> Vault:
    if shared.process is None:
        shared.start()
    wait_until(lambda: health(shared).status == 0, COMEBACK_S)
    return shared


def is_full(vault: Vault) -> bool:
    return bool(vault.get("/api/cache/stats").json().get("total_entries", 0) >= 2 * COVERS)


def health(vault: Vault) -> Said:
    return operate(vault.env, "health", "--json")


def comes_back(vault: Vault) -> None:
    """The page is served, every cover is there again, and nothing is left to look at."""
    if vault.process is None:
        vault.start()
    assert vault.get("/", Accept="text/html").status == 200
    try:
        wait_until(lambda: is_full(vault) and health(vault).status == 0, COMEBACK_S)
    except AssertionError:
        pytest.fail(f"{health(vault).json()['reason']} {vault.get('/api/cache/stats').body!r}\n{vault.log.read_text()[-2000:]}")


def a_file(vault: Vault, variant: str = "detail") -> Path:
    return min((vault.folder / "cache/covers" / variant).glob("*/*.webp"))


def torn(vault: Vault) -> tuple[Path, Said]:
    """Tear an image, and ask."""
    restart_and_wait_for_sweep(vault)
    path = a_file(vault)
    path.write_bytes(path.read_bytes()[:70])
    return path, health(vault)


def restart_and_wait_for_sweep(vault: Vault) -> None:
    """Restart the service and wait until it has compared its files with the rows, which would repair what a test breaks.

    It does so a few seconds after its start, or much later on a loaded machine, and then not for a day.
    """
    vault.stop()
    orphan = vault.folder / f"cache/covers/detail/ff/{'ff' * 32}.webp"  # in the last shard that is looked at
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"orphan")
    os.utime(orphan, (time.time() - 1000,) * 2)
    vault.start()
    wait_until(lambda: not orphan.exists(), COMEBACK_S)


def test_a_corrupt_index_is_named_and_rebuilt_from_the_files(vault: Vault) -> None:
    vault.stop()
    path = vault.folder / "cache/index.db"
    body = path.read_bytes()
    path.write_bytes(body[:4096] + os.urandom(len(body) - 4096))
    found = health(vault)
    assert found.status == 2
    assert "corrupt" in found.check("Cache")["message"]
    assert found.check("Cache")["advice"].endswith("repair")
    for action in ("cleanup", "clear", "report", "preload"):
        before = picture_of(vault.folder)
        refused = operate(vault.env, action, "--yes")
        assert refused.status == 2
        assert "corrupt" in refused.err
        assert len(refused.err.splitlines()) == 1
        assert picture_of(vault.folder) == before
    mended = operate(vault.env, "doctor")
    assert f"{2 * COVERS} images found, {COVERS} covers registered" in mended.out
    assert path.with_name("index.db.broken").exists()
    comes_back(vault)


def test_an_index_that_is_corrupted_under_the_service_is_replaced_by_it(vault: Vault) -> None:
    path = vault.folder / "cache/index.db"
    path.with_name("index.db.broken").unlink(missing_ok=True)
    with path.open("r+b") as file:
        file.write(b"\0" * 20_000)
    comes_back(vault)


def test_a_corrupt_catalogue_is_named_and_what_can_be_read_is_saved(vault: Vault) -> None:
    """An index of the catalogue is damaged, every record can be read: all of them are saved, nothing is thrown away."""
    vault.stop()
    path = vault.folder / "state/catalog.db"
    whole = path.read_bytes()
    with sqlite3.connect(path) as db:
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'albums_by_title'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    path.write_bytes(whole[: (root - 1) * size] + os.urandom(size) + whole[root * size :])
    found = health(vault)
    assert found.status == 2
    assert "corrupt" in found.check("Catalogue")["message"]
    assert "restore" in found.check("Catalogue")["advice"]
    mended = operate(vault.env, "doctor")
    assert f"all {COVERS} records" in mended.out
    assert path.with_name("catalog.db.broken").exists()
    comes_back(vault)
    assert vault.get("/api/cache/stats").status == 200


def test_a_catalogue_that_is_no_database_is_left_as_it_is_and_pictures_are_served(vault: Vault) -> None:
    vault.stop()
    path = vault.folder / "state/catalog.db"
    whole, body = path.read_bytes(), b"this was a catalogue" * 900
    path.write_bytes(body)
    vault.start()
    try:
        digest = a_file(vault).stem
        assert vault.get(f"/cache/detail/{digest}.webp").status == 200
        assert vault.get("/health").status == 503
        assert health(vault).status == 2
        told = operate(vault.env, "doctor")
        assert told.status == 2
        assert "restore" in told.out
        assert path.read_bytes() == body
    finally:
        vault.stop()
        for name in ("catalog.db-wal", "catalog.db-shm"):
            (vault.folder / "state" / name).unlink(missing_ok=True)
        path.write_bytes(whole)
    comes_back(vault)


def test_a_torn_picture_is_named_and_made_again(vault: Vault) -> None:
    path, found = torn(vault)
    assert found.status == 1
    assert "1 truncated" in found.check("Covers")["message"]
    assert path.name in found.check("Covers")["advice"]
    looked = operate(vault.env, "verify")
    assert looked.status == 1
    assert f"torn: covers/detail/{path.parent.name}/{path.name}" in looked.out
    assert path.stat().st_size == 70
    assert operate(vault.env, "verify", "--repair").status == 0
    comes_back(vault)


def test_bytes_that_rotted_are_found_by_reading_them_and_made_again(vault: Vault) -> None:
    path = a_file(vault)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    looked = operate(vault.env, "verify")
    assert looked.status == 1
    assert "1 altered" in looked.out
    assert operate(vault.env, "verify", "--repair").status == 0
    wait_until(lambda: is_full(vault) and operate(vault.env, "verify").status == 0, COMEBACK_S)


def test_foreign_files_are_named_and_never_lost(vault: Vault) -> None:
    strange = [
        a_file(vault).parent / "holiday.jpg",
        vault.folder / "cache/covers/letters",
        vault.folder / "cache/covers/detail/x",
    ]
    strange[0].write_bytes(b"mine")
    strange[1].write_text("mine")
    strange[2].mkdir()
    found = health(vault)
    assert found.status == 1
    assert "3 unexpected files" in found.check("Covers")["message"]
    assert "holiday.jpg" in found.check("Covers")["advice"]
    assert operate(vault.env, "verify").status == 1
    assert operate(vault.env, "doctor").status == 1
    assert all(path.exists() for path in strange)
    assert operate(vault.env, "verify", "--repair").status == 0
    covers = vault.folder / "cache/covers"
    moved = [covers / ".set-aside" / path.relative_to(covers) for path in strange]
    assert [path.read_text() for path in moved[:2]] == ["mine", "mine"]
    assert moved[2].is_dir()
    comes_back(vault)


def test_a_link_is_named_never_followed_and_removed_when_asked(vault: Vault, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("nobody's business")
    restart_and_wait_for_sweep(vault)
    path = a_file(vault)
    path.unlink()
    path.symlink_to(secret)
    found = health(vault)
    assert found.status == 2
    assert "1 unexpected symbolic link" in found.check("Covers")["message"]
    assert path.is_symlink()
    assert b"nobody" not in vault.get(f"/cache/detail/{path.stem}.webp").body
    assert operate(vault.env, "verify", "--repair").status == 0
    assert secret.read_text() == "nobody's business"
    comes_back(vault)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(6, tmp_path / "disk") as folder:
        yield folder


def test_full_and_read_only_disks_are_named_and_pages_go_on(small_disk: Path, origin: Origin) -> None:
    vault = Vault(small_disk / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="1")
    vault.log = small_disk.parent / "log"  # a file that is open for writing keeps a disk from becoming read-only
    with vault:
        vault.import_albums(rows(origin))
        vault.get("/", Accept="text/html")
        wait_until(lambda: is_full(vault), COMEBACK_S)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65536):
                    pass
            except OSError:
                pass
        full = health(vault)
        assert full.status == 2
        assert "0 MB free" in full.check("Disk")["message"]
        assert "df -h" in full.check("Disk")["advice"]
        assert "Cannot write to disk" in full.check("Writing")["message"]
        assert vault.get("/", Accept="text/html").status == 200
        filler.unlink()
        assert health(vault).status == 0
        vault.stop()  # while someone has a file open for writing, no disk becomes read-only by a command
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        closed = health(vault)
        assert closed.status == 2
        assert closed.check("Rights")["state"] == "failed"
        assert "read-only" in closed.check("Rights")["advice"]
        refused = operate(vault.env, "cleanup")
        assert refused.status == 2
        assert "Cannot write to" in refused.err
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        comes_back(vault)


def test_a_dead_origin_is_named_with_its_pause_and_the_rest_is_served(tmp_path: Path) -> None:
    with Origin() as dead:
        gone = dead.base
    with Vault(tmp_path / "other", trusted=(gone,)) as other:
        urls = [f"{gone}/{number}.jpg" for number in range(8)]
        other.post("/api/cache/preload", {"urls": urls, "priority": "visible"})
        wait_until(lambda: health(other).check("Origins")["state"] == "warning", COMEBACK_S)
        found = health(other)
        assert found.status == 1
        assert gone.removeprefix("http://") in found.check("Origins")["advice"]
        assert other.get("/", Accept="text/html").status == 200
        why = operate(other.env, "explain", urls[0])
        assert why.status == 1
        assert "paused until" in why.out or "Next retry at" in why.out
        tried = operate(other.env, "probe", "--url", urls[0])
        assert tried.status == 2
        assert "cannot connect" in tried.out


def test_jobs_of_a_process_that_was_killed_are_named_and_freed(tmp_path: Path) -> None:
    """Killed in the middle of fetching: leases of the dead, and temporaries, are all that is left."""
    gate = threading.Event()
    with Origin() as origin:
        held = [
            {"artist": "A", "title": f"{n}", "cover_url": origin.put(f"/{n}.jpg", jpeg(90, 90), gate=gate)} for n in range(COVERS)
        ]
        vault = Vault(tmp_path / "vault", trusted=(origin.base,))
        vault.start()
        try:
            vault.import_albums(held)
            vault.get("/", Accept="text/html")
            wait_until(lambda: origin.count() >= 2, COMEBACK_S)
            vault.kill()
            shard = vault.folder / "cache/covers/detail/ab"
            shard.mkdir(parents=True)
            (shard / ".part-999999999-abc").write_bytes(b"half")
            os.utime(shard / ".part-999999999-abc", (time.time() - 900,) * 2)
            # Once the worker is gone.
            wait_until(lambda: "claimed by a process that died" in health(vault).check("Queue")["message"], COMEBACK_S)
            found = health(vault)
            assert found.status == 1
            assert "temporary file of a killed process" in found.check("Covers")["message"]
            gate.set()
            mended = operate(vault.env, "doctor")
            assert "of processes that died" in mended.out
            assert "1 leftover" in mended.out
            assert "held by" not in health(vault).check("Queue")["message"]
            vault.start()
            wait_until(lambda: is_full(vault) and health(vault).status == 0, COMEBACK_S)
        finally:
            gate.set()
            vault.stop()


def test_a_stale_lock_is_named_and_freed_by_the_service_itself(vault: Vault) -> None:
    """A lease whose holder is gone, as a power cut leaves it; and a lock file, which binds no one without its process."""
    (vault.folder / "cache/covers/.housekeeping").touch()
    with sqlite3.connect(vault.folder / "cache/index.db") as index:
        (digest,) = index.execute("SELECT digest FROM images LIMIT 1").fetchone()
        index.execute(
            "INSERT OR REPLACE INTO jobs (digest, wants, priority, lane, ready_at, holder, leased_until)"
            " VALUES (?, '', 2, '', 0, '999999999:1', ?)",
            (digest, time.time() + 3000),
        )
    index.close()
    found = health(vault)
    assert found.status == 1
    assert "claimed by a process that died" in found.check("Queue")["message"]
    comes_back(vault)


def test_a_server_that_is_killed_is_well_when_it_is_started_again(vault: Vault) -> None:
    vault.crash()
    wait_until(lambda: health(vault).status == 0, COMEBACK_S)
