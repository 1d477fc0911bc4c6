"""A start is never stricter than the running service: on a full or read-only disk what is stored is shown, and nothing is lost."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.maintenance.test_breakages import COMEBACK_S, COVERS, is_full, rows
from tests.support.disk import disk_of
from tests.support.origin import Origin
from tests.support.stage import photo
from tests.support.vault import Vault, wait_until
from tests.support.visitor import prepared

pytestmark = pytest.mark.server


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(6, tmp_path / "disk") as folder:
        yield folder


@pytest.fixture
def vault(disk: Path) -> Iterator[Vault]:
    """A vault with all its covers on its own disk, running. The origin of the covers is gone afterwards."""
    with Origin() as origin, Vault(disk / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="1") as vault:
        vault.stop()
        vault.log = disk.parent / "log"  # a file that is open for writing keeps a disk from becoming read-only
        vault.start()
        vault.import_albums(rows(origin))
        vault.get("/", Accept="text/html")
        wait_until(lambda: is_full(vault), COMEBACK_S)
        yield vault


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                pass
    return filler


def covers_shown(vault: Vault) -> int:
    """Return how many covers of the wall are answered with an image."""
    page = vault.get("/", Accept="text/html")
    assert page.status == 200
    files = sorted((vault.folder / "cache/covers/detail").glob("*/*.webp"))
    assert len(files) == COVERS
    return sum(
        f"{file.stem}.webp" in page.body.decode() and vault.get(f"/cache/detail/{file.name}").status == 200 for file in files
    )


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_full_disk_starts_and_stores_again_once_there_is_room(vault: Vault, disk: Path, *, is_killed: bool) -> None:
    """It refused to start: a log that filled the card, then a power cut, and the wall was dark."""
    if is_killed:
        vault.kill()
    else:
        vault.stop()
    filler = fill(disk)
    vault.start()
    assert covers_shown(vault) == COVERS
    filler.unlink()
    vault.import_albums([{"artist": "After", "title": "There Is Room"}])
    assert "There Is Room" in vault.get("/", Accept="text/html").body.decode()
    assert covers_shown(vault) == COVERS


def test_what_a_full_disk_refuses_is_said_to_be_refused_for_that(vault: Vault, disk: Path) -> None:
    """It said that the database does not respond, and to try again."""
    owner = prepared(vault)
    fill(disk)
    upload = owner.upload(photo(1))
    assert (upload.status, upload.json()["results"][0]["kind"]) == (507, "storage")
    assert re.search("disk is full|disk space|would be free", upload.json()["results"][0]["reason"])
    body, kind = json.dumps({"title": "No room", "description": "x" * 2000}).encode(), {"Content-Type": "application/json"}
    replies = (owner.ask("POST", "/api/streams", body, kind) for _ in range(28))  # the WAL has some room of its own
    refused = next(reply for reply in replies if reply.status != 201)
    assert (refused.status, refused.json()["error"]) == (507, "Could not save to disk: the disk is full.")


def test_a_read_only_disk_starts_and_shows_what_is_stored(vault: Vault, disk: Path) -> None:
    vault.stop()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    vault.start()
    assert covers_shown(vault) == COVERS
    assert "cannot be written" in vault.log.read_text()


def test_an_empty_vault_on_a_full_disk_says_why_it_does_not_start(disk: Path) -> None:
    fill(disk)
    vault = Vault(disk / "new")
    vault.log = disk.parent / "log"
    with pytest.raises(RuntimeError, match="No space left on device"):
        vault.start()
