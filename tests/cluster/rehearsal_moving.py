"""From one machine to many nodes and back, with the commands of docs/how-to/nodes.md: `make rehearse-cluster`. Nothing is lost on the way."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Engines
from tests.support.origin import Origin, jpeg
from tests.support.postgres import USER
from tests.support.s3 import BUCKET, KEY, SECRET
from tests.support.stage import photo
from tests.support.vault import ROOT, Vault
from tests.support.visitor import SLUG, Browser, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

RECORDS, IMAGES = 200, 8
DATA, URL, BUCKET_URL = "/var/lib/vinylvault", "postgresql://vinylvault@db.example.org/vinylvault", "store:vinylvault"


def commands(mark: str) -> str:
    found = re.search(
        rf"<!-- {mark} -->\n```sh\n(.*?)```", (ROOT / "docs/how-to/nodes.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert found
    return found[1]


def run(script: str, vault: Vault, engines: Engines, cluster: Cluster, *names: tuple[str, str]) -> str:
    """Run commands of the document on a vault that is stopped, with its places; return what they print."""
    own = f"{vault.folder.parent}/bin"
    Path(own).mkdir(exist_ok=True)
    for name, line in (
        ("vinylvault", f'PYTHONPATH={ROOT} exec {sys.executable} -m image_cache.cli "$@"'),
        ("rclone", f'exec {Path(sys.executable).with_name("rclone")} "$@"'),
    ):
        Path(own, name).write_text(f"#!/bin/sh\n{line}\n")
        Path(own, name).chmod(0o755)
    for old, new in ((DATA, str(vault.folder)), (BUCKET_URL, f"store:{BUCKET}/{cluster.name}"), *names):
        assert old in script
        script = script.replace(old, new)
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Rclone",
        "ACCESS_KEY_ID": KEY,
        "SECRET_ACCESS_KEY": SECRET,
        "ENDPOINT": engines.s3.endpoint,
    }
    env = {
        **vault.env,
        **{f"RCLONE_CONFIG_STORE_{name}": value for name, value in remote.items()},
        "PATH": f"{own}:{os.environ['PATH']}",
        "VINYL_VAULT_DATABASE_SCHEMA": cluster.name,
    }
    done = subprocess.run(["bash", "-euc", script], env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def holdings(vault: Vault, owner: Browser, ids: list[str]) -> dict[str, Any]:
    """Return what a vault shows of everything that was put into it."""
    here = Browser(vault)
    here.cookie, here.token = owner.cookie, owner.token
    table = vault.folder.parent / "export.json"
    table.unlink(missing_ok=True)
    vault.command("albums", "export", str(table))
    return {
        "records": table.read_bytes(),
        "originals": [here.get(f"/streams/{SLUG}/images/{image_id}/original").body for image_id in ids],
    }


def test_there_and_back(engines: Engines, origin: Origin, tmp_path: Path, figures: dict[str, Any]) -> None:
    """200 records and a stream move to two nodes, and back to one machine."""
    origin.put("/a.jpg", jpeg(300, 300))
    cluster = Cluster(engines, 1, origins=[origin])
    node = cluster.nodes[0]
    key = {"VINYL_VAULT_SECRET_KEY_FILE": str(cluster.folder / "secret")}
    where = (URL, f"postgresql://{USER}@127.0.0.1:{engines.ports['postgres']}/{USER}")
    with Vault(node.folder, trusted=(origin.base,), **key) as alone:
        alone.import_albums([{"artist": f"A{n}", "title": f"T{n}", "cover_url": origin.url("/a.jpg")} for n in range(RECORDS)])
        owner = prepared(alone)
        stored = owner.upload(*(photo(number) for number in range(IMAGES)))
        ids = [row["image_id"] for row in stored.json()["results"]]
        before = holdings(alone, owner, ids)
    moved = re.search(r"Moved ([\d,]+) rows", run(commands("move there"), alone, engines, cluster, where))
    assert moved
    figures["rows"] = moved[1]
    with cluster:
        cluster.add()
        there = [holdings(one, owner, ids) for one in cluster.nodes]
    (tmp_path / "back").mkdir()
    again = Vault(tmp_path / "back" / "vault", trusted=(origin.base,), **key)
    run(commands("move back"), again, engines, cluster, where)
    with again:
        back = holdings(again, owner, ids)
    figures.update(
        {"records": RECORDS, "originals": len(ids), "the same on both nodes": there == [before] * 2, "back": back == before}
    )
    assert there == [before] * 2
    assert back == before
