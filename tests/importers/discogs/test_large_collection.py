"""3,000 records over the protocol server by the command: with pauses, two kills and a cancel nothing is lost, doubled or too fast."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Row
from image_cache.models import TaskState
from image_cache.tasks.table import TaskTable
from tests.importers.discogs.test_sync import WINDOW_S, Opened, sync
from tests.support.discogs import TOKEN, DiscogsServer
from tests.support.vault import ROOT, Vault, wait_until

RECORDS, PAGES = 3000, 30
LISTING = "releases[?]page="


class Command:
    """`flask --app app albums sync` as a process that can be killed."""

    def __init__(self, vault: Vault, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "albums", "sync", *arguments],
            cwd=ROOT,
            env=vault.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=30)

    def end(self) -> tuple[int, str, str]:
        out, errors = self.process.communicate(timeout=120)
        return self.process.returncode, out, errors


def table(catalog: CatalogDatabase) -> list[Row]:
    return [tuple(row) for row in catalog.rows("SELECT * FROM albums ORDER BY id")]  # type: ignore[misc]


@pytest.mark.slow
def test_three_thousand_records_through_pauses_kills_and_a_cancel(tmp_path: Path) -> None:
    with DiscogsServer(records=RECORDS, window_s=WINDOW_S) as discogs:
        settings = {"DISCOGS_API_URL": discogs.base, "DISCOGS_WINDOW_S": str(WINDOW_S), "ORIGIN_ALLOWLIST": "127.0.0.1"}
        vault = Vault(
            tmp_path / "vault", trusted=(discogs.base,), **{f"VINYL_VAULT_{name}": text for name, text in settings.items()}
        )
        (tmp_path / "token").write_text(TOKEN + "\n", encoding="ascii")
        catalog = CatalogDatabase(tmp_path / "vault/state/catalog.db")
        tasks = TaskTable(catalog)

        def latest() -> TaskState | None:
            return tasks.latest("discogs")

        def is_at(page: int) -> Any:
            return lambda: (state := latest()) is not None and int(state.position.get("page", 0)) > page

        # Two kills: each begins behind a page that takes long, and continues at the page that was not saved.
        discogs.control(faults=[{"path": r"page=(8|19)&", "kind": "429", "after": 30, "times": 1}])
        first = Command(vault, "--token-file", str(tmp_path / "token"))
        wait_until(is_at(6), 60)
        wait_until(lambda: (state := latest()) is not None and state.paused_until is not None, 60)
        first.kill()
        _go_on(catalog)
        discogs.control(faults=[{"path": r"page=19&", "kind": "429", "after": 30, "times": 1}])
        second = Command(vault)
        wait_until(lambda: bool(discogs.paths(LISTING + "19&")), 60)
        wait_until(lambda: (state := latest()) is not None and state.paused_until is not None, 60)
        second.kill()
        _go_on(catalog)
        assert (
            len(discogs.paths(LISTING, 200)) == 1 + 18
        )  # one for the test of the token; a page that was saved is not read again
        assert len(discogs.paths("identity")) == 2
        assert len(table(catalog)) == 1800

        # A cancel, from another process than the one that runs it.
        discogs.control(faults=[{"path": r"page=25&", "kind": "429", "after": 30, "times": 1}])
        third = Command(vault)
        wait_until(lambda: bool(discogs.paths(LISTING + "25&", 429)), 60)
        state = latest()
        assert state is not None
        assert tasks.cancel(state.id, 0.0)
        code, _, errors = third.end()
        assert (code, errors.splitlines()[-1]) == (1, "Cancelled. Everything saved so far stays.")
        _go_on(catalog)
        assert len(table(catalog)) == 2400

        # The whole of it, with a 429 at every ninth call.
        discogs.control(faults=[{"path": "", "kind": "429", "every": 9}], forget=True)
        with Opened(tmp_path / "vault", discogs) as opened:
            assert sync(opened.services).outcome["says"] == "3,000 records read: 600 new, 0 updated, 2,400 unchanged."
        assert len(discogs.paths("", 200)) == PAGES + 3
        found = {row["instance_id"] for row in catalog.rows("SELECT instance_id FROM albums")}
        assert found == {str(700_000_000 + number) for number in range(RECORDS)}
        assert len(table(catalog)) == RECORDS

        # And once more: not a row differs, and what was done here is as it was.
        with catalog.write() as conn:
            conn.execute(
                "UPDATE albums SET plays = 3, own_cover = 'own:x', own_notes = 'mine', own_rating = 4 WHERE id % 100 = 7"
            )
        before = table(catalog)
        discogs.control(faults=[], forget=True)
        with Opened(tmp_path / "vault", discogs) as opened:
            assert sync(opened.services).outcome["says"] == "3,000 records read: 0 new, 0 updated, 3,000 unchanged."
        assert table(catalog) == before
        assert len(discogs.paths()) == PAGES + 3
        log = discogs.log()
        catalog.close()
    assert log["over"] == 0
    assert log["used"] <= 60


def _go_on(catalog: CatalogDatabase) -> None:
    """Let the pause that was ordered be over: a test has no half minute."""
    with catalog.write() as conn:
        conn.execute("UPDATE services SET paused_until = 0")
