"""What `/health`, the dashboard and `cache_monitor.py --action health` say: each check alone, whatever else is broken."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from image_cache.config import Settings
from image_cache.db.database import Database, DatabaseError
from image_cache.maintenance.health.check import Check, can_serve, verdict
from image_cache.maintenance.health.examine import examine
from image_cache.maintenance.readonly_vault import open_readonly
from tests.support.inside import Inside
from tests.support.origin import Origin, jpeg
from tests.support.ports import free_port
from tests.support.vault import ROOT, wait_until


def picture_of(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return everything of a folder that someone could have changed.

    Of the memory that connections to a database share, the kernel notes a time whenever it gets to it.
    """
    facts = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [
        (str(path), stat.st_size, 0 if path.name.endswith("-shm") else stat.st_mtime_ns, stat.st_mode) for path, stat in facts
    ]


def look(folder: Path) -> dict[str, Check]:
    vault = open_readonly(Settings(DATA_DIR=folder))
    try:
        return {check.name: check for check in examine(vault)}
    finally:
        vault.close()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault with one record and one cover, whose service has ended."""
    folder = tmp_path_factory.mktemp("pristine") / "vault"
    with Origin() as origin, Inside(folder, trusted=(origin.base,)) as inside:
        inside.album(origin.put("/a.jpg", b""))
        inside.cover(origin, "/a.jpg")
    return folder


@pytest.fixture
def settled(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    return Path(shutil.copytree(pristine, tmp_path / "vault"))


def test_a_vault_that_is_well_is_healthy_from_inside_and_from_outside(inside: Inside, origin: Origin) -> None:
    inside.cover(origin)
    for checks in (inside.services.checks(), list(look(inside.folder).values())):
        assert [check for check in checks if check.state in ("warning", "failed")] == []
        assert verdict(checks) == "healthy"
        assert can_serve(checks)


def test_look_ups_that_wait_for_the_network_are_counted(tmp_path: Path, archive_settings: dict[str, Any]) -> None:
    """Offline it said that all is well, with 1,492 look-ups waiting."""
    with Inside(
        tmp_path / "vault", trusted=(archive_settings["MUSICBRAINZ_API_URL"].removesuffix("/ws/2"),), **archive_settings
    ) as inside:

        def told() -> Any:
            return inside.stranger().get("/health", headers={"Accept": "application/json"}).json

        assert told()["checks"]["Look-ups"]["state"] == "well"
        for n in range(3):
            inside.album(title=f"Title {n}")
        found = told()["checks"]["Look-ups"]
        assert (found["state"], found["message"]) == ("waiting", "3 records to search for, with the next search.")
        inside.services.artwork.editor.start_search_if_due()
        wait_until(lambda: told()["checks"]["Look-ups"]["state"] == "warning")
        found = told()
        assert found["status"] == "degraded"
        assert re.fullmatch(
            r"3 records to search for\. Waiting for a network connection\. Next retry at \d\d:\d\d\.",
            found["checks"]["Look-ups"]["message"],
        )
        page = inside.stranger().get("/health").text
        assert found["checks"]["Look-ups"]["message"] in page
        assert "All systems OK" not in page
        operator = inside.logged_in()
        assert "3 records still to search for a cover" in operator.get("/admin/cache").text
        assert "Next retry at" in operator.get("/covers/missing").text
        assert "Next retry at" in inside.stranger().get("/").text


def test_a_queue_of_a_dead_host_waits_and_is_not_at_work(tmp_path: Path, origin: Origin) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    with Inside(tmp_path / "vault", trusted=(origin.base, dead)) as inside:
        urls = [f"{dead}/{n}.jpg" for n in range(7)]
        inside.services.covers.register(urls)
        inside.services.covers.enqueue_missing(urls)

        def check() -> Check:
            return next(check for check in inside.services.checks() if check.name == "Queue")

        wait_until(lambda: check().state == "waiting")
        assert re.fullmatch(r"7 covers queued; their sources are not responding\. Next retry at \d\d:\d\d\.", check().message)


@pytest.fixture
def archive_settings() -> dict[str, Any]:
    """Services that nothing answers for."""
    base = f"http://127.0.0.1:{free_port()}"
    return {"FIND_COVERS": True, "MUSICBRAINZ_API_URL": f"{base}/ws/2", "COVER_ART_URL": f"{base}/caa"}


@pytest.mark.parametrize("is_open", [True, False])
def test_looking_changes_nothing(tmp_path: Path, origin: Origin, is_open: bool) -> None:
    """Neither beside a service, with what its databases have not merged yet, nor after one. No thread of it may write meanwhile."""
    with Inside(tmp_path / "vault", trusted=(origin.base,), settled=False) as inside:
        inside.album()
        inside.cover(origin)
        if not is_open:
            inside.services.close()
        assert (inside.folder / "state" / "catalog.db-wal").exists() is is_open
        before = picture_of(inside.folder)
        look(inside.folder)
        assert set(picture_of(inside.folder)) ^ set(before) == set()


def test_looking_for_a_vault_that_is_not_there_makes_none(tmp_path: Path) -> None:
    vault = open_readonly(Settings(DATA_DIR=tmp_path / "nothing"))
    checks = {check.name: check for check in examine(vault)}
    assert not (tmp_path / "nothing").exists()
    assert checks["Catalogue"].message == "No VinylVault data found here."
    assert checks["Rights"].state == "failed"
    assert verdict(checks.values()) == "unhealthy"


@pytest.mark.parametrize(
    ("name", "check", "damage", "says"),
    [
        ("state/catalog.db", "Catalogue", "garbage", "It is corrupt."),
        ("state/catalog.db", "Catalogue", "truncated", "It is corrupt."),
        ("state/catalog.db", "Catalogue", "empty", "It is corrupt."),
        ("state/catalog.db", "Catalogue", "middle", "It is corrupt."),
        ("state/catalog.db", "Catalogue", "newer", "It was created by a newer version of VinylVault."),
        ("state/catalog.db", "Catalogue", "gone", "It does not exist."),
        ("cache/index.db", "Cache", "garbage", "It is corrupt."),
        ("cache/index.db", "Cache", "truncated", "It is corrupt."),
        ("cache/index.db", "Cache", "newer", "It was created by a newer version of VinylVault."),
        ("cache/index.db", "Cache", "gone", "The index is missing."),
    ],
)
def test_a_broken_database_is_one_check_and_leaves_the_others(
    settled: Path, name: str, check: str, damage: str, says: str
) -> None:
    path = settled / name
    body = path.read_bytes()
    if damage == "newer":
        path.write_bytes(body[:60] + (99).to_bytes(4, "big") + body[64:])  # user_version
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {
                "garbage": b"no database" * 900,
                "truncated": body[: len(body) // 2],
                "empty": b"",
                "middle": body[:8192] + os.urandom(len(body) - 8192),
            }[damage]
        )
    before = picture_of(settled)
    checks = look(settled)
    assert picture_of(settled) == before
    assert says in checks[check].message
    assert checks[check].state == ("warning" if (check, damage) == ("Cache", "gone") else "failed")
    assert checks[check].advice
    others = {other.name for other in checks.values() if other.state == "failed"} - {check}
    assert others == set()


@pytest.mark.slow
def test_a_database_that_somebody_locks_is_said_to_be_locked(settled: Path) -> None:
    import sqlite3

    path = settled / "state/catalog.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("INSERT INTO settings VALUES ('a', 'b')")
    try:
        found = look(settled)["Catalogue"]
    finally:
        holder.rollback()
        holder.close()
    assert "Another process has locked it." in found.message
    assert "fuser" in found.advice


def test_files_that_are_torn_lost_planted_or_foreign_are_named(settled: Path) -> None:
    covers = settled / "cache/covers"
    (detail,) = covers.glob("detail/*/*.webp")
    (thumbnail,) = covers.glob("thumbnails/*/*.webp")
    detail.write_bytes(detail.read_bytes()[:100])
    thumbnail.unlink()
    (covers / "holiday.jpg").write_bytes(b"not ours")
    (detail.parent / "link.webp").symlink_to("/etc/hostname")
    left = detail.parent / ".part-1-0000"
    left.write_bytes(b"x")
    os.utime(left, (time.time() - 900,) * 2)
    found = look(settled)["Covers"]
    assert found.state == "failed"
    for words in (
        "1 truncated",
        "1 missing",
        "1 unexpected file",
        "1 unexpected symbolic link",
        "1 temporary file of a killed process",
    ):
        assert words in found.message
    assert "holiday.jpg" in found.advice
    assert (detail.parent / "link.webp").is_symlink()


def test_a_reader_refuses_to_write(settled: Path) -> None:
    vault = open_readonly(Settings(DATA_DIR=settled))
    with pytest.raises(DatabaseError), vault.index.database.write() as conn:
        conn.execute("DELETE FROM entries")
    vault.close()
    assert isinstance(vault.index.database, Database)


def test_a_clock_in_1970_is_said_and_what_the_disk_has_left(settled: Path) -> None:
    vault = open_readonly(Settings(DATA_DIR=settled), clock=lambda: 4000.0)
    checks = {check.name: check for check in examine(vault)}
    vault.close()
    assert checks["Clock"].state == "failed"
    assert "1970-01-01" in checks["Clock"].message
    assert "free." in checks["Disk"].message


def test_a_full_disk_is_unhealthy_and_pages_are_served_all_the_same(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", FREE_SPACE_FLOOR_MB=4_000_000) as inside:
        checks = inside.services.checks()
        assert verdict(checks) == "unhealthy"
        assert can_serve(checks)
        assert inside.client().get("/health").status_code == 200


def test_a_state_that_others_can_look_into_is_a_warning(settled: Path) -> None:
    (settled / "state").chmod(0o755)
    found = look(settled)["Rights"]
    assert found.state == "warning"
    assert "chmod go=" in found.advice


def within(inside: Inside, name: str) -> Check:
    (found,) = [check for check in inside.services.checks() if check.name == name]
    return found


def found(inside: Inside, name: str) -> Check:
    """Return one check, from inside and from outside the service: both must say the same."""
    assert look(inside.folder)[name] == within(inside, name)
    return within(inside, name)


def test_a_mistyped_address_of_a_file_is_reported_and_the_machine_is_healthy(inside: Inside, origin: Origin) -> None:
    """The machine was "degraded" until someone forgot the file."""
    inside.services.files.enqueue(f"{origin.base}/mistyped.bin")
    wait_until(lambda: "given up" in within(inside, "Files").message)
    check = found(inside, "Files")
    assert (check.state, check.message) == ("well", "0 large files, 0 MB; 1 given up.")
    assert "/files" in check.advice
    assert verdict(inside.services.checks()) == "healthy"


def test_files_that_wait_are_counted(inside: Inside, origin: Origin) -> None:
    inside.services.limits.pause()
    for name in ("a", "b"):
        inside.services.files.enqueue(f"{origin.base}/{name}.bin")
    assert (found(inside, "Files").state, found(inside, "Files").message) == ("waiting", "0 large files, 0 MB; 2 waiting.")


def test_a_file_that_is_damaged_is_something_to_look_at(inside: Inside, origin: Origin) -> None:
    url = origin.put("/a.bin", b"x" * 100)
    digest = inside.services.files.enqueue(url)
    wait_until(lambda: within(inside, "Files").message == "1 large file, 0 MB.")
    inside.services.files.cache.index.update(digest, is_corrupt=1)
    assert (found(inside, "Files").state, found(inside, "Files").message) == ("warning", "1 large file, 0 MB; 1 damaged.")


def test_stream_images_are_counted(inside: Inside) -> None:
    assert found(inside, "Images").message == "No stream images rendered yet."
    inside.services.streams.upload_stream_image("living-room", jpeg(400, 300), "a.jpg")
    check = found(inside, "Images")
    assert (check.state, check.message) == ("well", "2 stream images, 0 MB.")


def test_records_are_taken_in_while_the_index_cannot_be_made(tmp_path: Path, origin: Origin) -> None:
    """A folder without a free inode: the import said that the databases cannot be used, after it had stored the records."""
    folder = tmp_path / "vault"
    with Inside(folder):
        pass
    shutil.rmtree(folder / "cache")
    (folder / "cache").write_text("a file in its place")
    table = tmp_path / "records.csv"
    table.write_text(f"artist,title,cover_url\nAda,One,{origin.put('/a.jpg', jpeg(300, 300))}\n", encoding="utf-8")
    env = {**os.environ, "VINYL_VAULT_DATA_DIR": str(folder), "VINYL_VAULT_FIND_COVERS": "0"}
    command = [sys.executable, "-m", "flask", "--app", "app", "albums", "import", str(table)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        "1 rows read: 1 new, 0 updated, 0 unchanged, 0 rejected.",
    ), done.stderr
    assert "covers not registered" in done.stderr


def test_without_a_usable_cache_folder_pages_have_placeholders_and_covers_come_once_it_is_mended(
    tmp_path: Path, origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "vault"
    with Inside(folder) as inside:
        inside.album(origin.put("/a.jpg", jpeg(300, 300)))
    shutil.rmtree(folder / "cache")
    (folder / "cache").write_text("a file in its place")
    with Inside(folder, trusted=(origin.base,), settled=False) as inside:
        assert any(
            line.startswith(f"cache folder unusable, serving placeholders path={folder}/cache ") for line in caplog.messages
        )
        inside.services.start()
        browser = inside.client(accept="text/html")
        for path in ("/", "/album/1", "/streams", "/search?q=artist", "/about"):
            page = browser.get(path)
            assert page.status_code == 200, path
            assert "Cannot use the cache folder: covers are shown as placeholders" in page.text, path
        assert (
            200
            <= browser.get(f"/cache/thumbnails/{inside.services.covers.digest_of(origin.base + '/a.jpg')}.webp").status_code
            < 300
        )
        for check in (within(inside, "Rights"), look(folder)["Rights"]):
            assert (check.state, check.message) == ("failed", "A file is in the way of a VinylVault folder.")
            assert f"Move it away: {folder}/cache." in check.advice
        health = browser.get("/health")
        assert health.status_code == 200, "pages are answered"
        assert verdict(inside.services.checks()) == "unhealthy"
        (folder / "cache").unlink()
        url = f"{origin.base}/a.jpg"
        wait_until(lambda: browser.get("/").status_code == 200 and inside.services.covers.peek([url])[0].state == "ready", 60)
        assert "cannot be used" not in browser.get("/").text
