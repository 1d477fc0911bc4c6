"""Records that one node imported, searched on another: `make rehearse-cluster`. The same is found as by SQLite, in the same order."""

import csv
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from image_cache.demo.records import records
from tests.cluster.cluster import Cluster, Engines
from tests.support.vault import ROOT, Vault

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

FOUND = re.compile(r'href="/album/(\d+)')
NOTHING = "<h2>Nothing filed under"
WORDS = (
    "ac/dc",
    "ac dc",
    "R.E.M.",
    "r e m",
    "b-side",
    "100%",
    '12"',
    "a b",
    "ß",
    "ﬁ",
    "Łódź",
    "lodz",
    "' or 1=1",
    "*",
    '"',
    "(",
    "x" * 300,
)


def cases() -> list[dict[str, str]]:
    return [
        row
        for name in ("search-queries.csv", "search-more.csv")
        for row in csv.DictReader((ROOT / "tests/cases" / name).read_text(encoding="utf-8").splitlines())
    ]


def found(vault: Vault, query: str) -> list[str]:
    """Return the ids of the records on the first page of a search, in their order."""
    reply = vault.get(f"/?q={quote_plus(query)}", Accept="text/html")
    assert reply.status == 200, query
    page = reply.body.decode()
    return [] if NOTHING in page else list(dict.fromkeys(FOUND.findall(page)))


def test_a_search_finds_the_same_as_sqlite(engines: Engines, tmp_path: Path, figures: dict[str, Any]) -> None:
    """Records are imported on one node, and searched on the other and in SQLite."""
    named = {(row["expected artist"].strip("*"), row["expected title"].strip("*") or "Untitled") for row in cases()}
    rows = [*records("http://127.0.0.1:1"), *({"artist": artist, "title": title} for artist, title in sorted(named) if artist)]
    queries = [*(row["query"] for row in cases()), *WORDS]
    with Vault(tmp_path / "alone") as alone, Cluster(engines, 2) as cluster:
        for vault in (alone, cluster.nodes[0]):
            vault.import_albums(rows)
        pairs = {query: (found(alone, query), found(cluster.nodes[1], query)) for query in queries}
    different = [query for query, (ours, theirs) in pairs.items() if ours != theirs]
    figures.update({"records": len(rows), "queries": len(pairs), "with hits": sum(bool(ours) for ours, _ in pairs.values())})
    figures["different"] = len(different)
    assert different == []
    assert figures["with hits"] > 150
