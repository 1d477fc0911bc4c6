"""A new version with another schema, node after node, while visitors come; and a whole catalogue moved: `make rehearse-cluster`."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_cache.import_models import ImportRow
from image_cache.maintenance.move import move_from_postgres, move_to_postgres
from tests.cluster.cluster import Cluster, Engines, Node
from tests.cluster.front import BEHIND, ClusterFront, Load
from tests.maintenance.test_move import tables
from tests.support.filled import settings_of, vault_at
from tests.support.postgres import USER
from tests.support.vault import ROOT, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

NEXT = {"VINYLVAULT_TEST_NEXT": "1", "PYTHONPATH": f"{ROOT / 'tests/cluster/next'}:{ROOT}"}
RECORDS = 20_000
WORDS = ("Zen", "Arcade", "Kölner", "Konzert", "Łódź", "Blue", "Train", "Kind", "of", "Black", "Ænima", "R.E.M.", "AC/DC")


@pytest.fixture
def front(engines: Engines) -> Iterator[ClusterFront]:
    cluster = Cluster(engines, 2, VINYL_VAULT_DATABASE_MIGRATE="check", **BEHIND)
    migrated(cluster.nodes[0])
    with cluster:
        cluster.nodes[0].import_albums([{"artist": f"Artist {n}", "title": f"Title {n}"} for n in range(40)])
        with ClusterFront(cluster) as running:
            yield running


def migrated(node: Node, **env: str) -> str:
    """Run `vinylvault migrate` with the settings of a node, and return what it says."""
    command = [sys.executable, "-m", "image_cache.cli", "migrate"]
    done = subprocess.run(command, cwd=ROOT, env={**node.env, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_schema_comes_under_load_and_no_request_fails(front: ClusterFront, figures: dict[str, Any]) -> None:
    """The new version migrates once, then the nodes get it one after the other; the old one goes on with the new schema."""
    nodes = front.cluster.nodes
    paths = ["/", "/search?q=title", "/about", "/album/1", "/album/2", "/crates"]
    with Load(front, paths) as load:
        wait_until(lambda: load.count > 200, 120)
        before = load.count
        began = time.monotonic()
        said = migrated(nodes[0], **NEXT)
        took_s = time.monotonic() - began
        assert "Catalogue: was changed from schema" in said
        wait_until(lambda: load.count > before + 200, 120)  # both nodes are of the version before
        for node in nodes:
            before = load.count
            node.stop()
            node.env |= NEXT
            node.start()
            wait_until(lambda before=before: load.count > before + 100, 120)
    assert front.cluster.rows("SELECT count(*) FROM loans") == [["0"]]
    figures.update({"requests": load.count, "failed": load.failed or 0, "slowest s": load.slowest_s, "migrate s": took_s})
    assert load.failed == {}
    assert load.count > 600


def test_20_000_records_there_and_back_are_the_same(engines: Engines, tmp_path: Path, figures: dict[str, Any]) -> None:
    """`move --to` and `move --from`, each into an empty target; all tables are compared row by row."""
    settings = settings_of(tmp_path / "vault", DATABASE_SCHEMA="moved_whole")
    with vault_at(settings) as services:
        services.library.import_rows(records())
    dsn = f"postgresql://{USER}@127.0.0.1:{engines.ports['postgres']}/{USER}"
    rows: list[int] = []
    began = time.monotonic()
    move_to_postgres(settings, dsn, lambda table: rows.append(table.rows))
    there_s = time.monotonic() - began
    home = replace(settings, DATA_DIR=tmp_path / "home")
    began = time.monotonic()
    move_from_postgres(home, dsn, lambda _: None)
    back_s = time.monotonic() - began
    before, after = tables(settings.catalog_path), tables(home.catalog_path)
    different = [name for name in before if "words_" not in name and before[name] != after[name]]
    figures.update({"rows": sum(rows), "there s": there_s, "back s": back_s, "tables that differ": different or 0})
    assert len(before["albums"]) == RECORDS
    assert different == []


def records() -> Iterator[ImportRow]:
    for n in range(RECORDS):
        artist, title = (f"{WORDS[n % 13]} {WORDS[n // 13 % 13]} {n % 997}", f"{WORDS[n % 11]} {WORDS[n % 7]} {n}")
        yield ImportRow(
            n, title, artist, source="discogs", source_id=str(n), year=1950 + n % 70, genres=("Rock",), notes="x" * 80
        )
