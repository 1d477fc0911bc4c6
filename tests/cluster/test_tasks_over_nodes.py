"""Tasks and changes of the schema on real nodes: what one has stays with it, and a node that must wait says so."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, Engines, Node
from tests.support.vault import ROOT, Reply, wait_until
from tests.support.visitor import Browser, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]

TABLE = "artist,title\nHüsker Dü,Zen Arcade\nAC/DC,Back in Black\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def cluster(engines: Engines) -> Iterator[Cluster]:
    with Cluster(engines, 2) as running:
        yield running


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Browser:
    prepared(cluster.nodes[0])
    return Browser(cluster.nodes[0], "operator")


def at(node: Node, browser: Browser) -> Browser:
    """Return the same browser, with its cookie and token, at another node."""
    there = Browser(node)
    there.cookie, there.token = browser.cookie, browser.token
    return there


def upload(browser: Browser) -> str:
    """Upload a table; return the number of its preview."""
    edge = "edge-of-a-part"
    part = f'Content-Disposition: form-data; name="table"; filename="records.csv"\r\nContent-Type: text/csv\r\n\r\n{TABLE}'
    body = f"--{edge}\r\n{part}\r\n--{edge}--\r\n".encode()
    sent = browser.ask("POST", "/import/table", body, {"Content-Type": f"multipart/form-data; boundary={edge}"})
    assert sent.status == 303, sent.body
    wait_until(lambda: rows(browser, "table-look")[0][1] == "done")
    return rows(browser, "table-look")[0][0]


def rows(browser: Browser, kind: str) -> list[list[str]]:
    node = browser.vault
    assert isinstance(node, Node)
    return node.cluster.rows(f"SELECT id, state, says, wanted FROM tasks WHERE kind = '{kind}' ORDER BY id DESC")


def test_a_table_that_was_uploaded_to_one_node_is_imported_there_wherever_it_is_confirmed(
    cluster: Cluster, operator: Browser
) -> None:
    one, other = cluster.nodes
    preview = upload(operator)
    page = at(other, operator).get("/import/table", accept="text/html").body.decode()
    assert f"/import/table/{preview}/take" in page
    confirmed = at(other, operator).ask("POST", f"/import/table/{preview}/take", b"", FORM)
    assert confirmed.status == 303, confirmed.body
    wait_until(lambda: rows(operator, "table")[0][1] == "done")
    assert f'"node": "{one.name}"' in rows(operator, "table")[0][3]
    for node in cluster.nodes:
        assert b"Zen Arcade" in node.get("/?q=husker", Accept="text/html").body
        assert f"/import/table/{preview}/take" not in at(node, operator).get("/import/table", accept="text/html").body.decode()


def test_the_import_of_a_node_that_is_gone_waits_and_says_for_which(cluster: Cluster, operator: Browser) -> None:
    one, other = cluster.nodes
    preview = upload(operator)
    one.stop()
    there = at(other, operator)
    confirmed = there.ask("POST", f"/import/table/{preview}/take", b"", FORM)
    assert confirmed.status == 303, confirmed.body
    wait_until(lambda: "Waits for node node1" in rows(operator, "table")[0][2], 60)
    assert b"Waits for node node1" in there.get("/import/table", accept="text/html").body
    one.start()
    wait_until(lambda: rows(operator, "table")[0][1] == "done", 60)


def test_a_node_waits_for_the_migration_and_says_so(engines: Engines) -> None:
    cluster = Cluster(engines, 1, VINYL_VAULT_DATABASE_MIGRATE="check")
    (node,) = cluster.nodes
    node.launch()
    try:
        wait_until(lambda: answer(node, "/livez") is not None, 60)
        assert (reply := answer(node, "/readyz")) is not None
        assert (reply.status, reply.headers["retry-after"]) == (503, "2")
        assert reply.json()["reason"] == "The database has the schema of an older version. Run: vinylvault migrate"
        assert (alive := answer(node, "/livez")) is not None
        assert alive.json() == {"status": "alive"}
        command = [sys.executable, "-m", "image_cache.cli", "migrate"]
        said = subprocess.run(command, cwd=ROOT, env=node.env, capture_output=True, text=True, check=True).stdout
        assert said.startswith("Catalogue: is new (schema ")
        wait_until(lambda: (found := answer(node, "/readyz")) is not None and found.json() == {"status": "ready"}, 60)
        assert node.get("/").status == 200
        again = subprocess.run(command, cwd=ROOT, env=node.env, capture_output=True, text=True, check=True).stdout
        assert again.startswith("Catalogue: is up to date (schema ")
    finally:
        node.close()


def answer(node: Node, path: str) -> Reply | None:
    try:
        return node.get(path)
    except OSError:
        return None


def test_a_node_whose_database_is_away_lives_and_is_not_ready(cluster: Cluster) -> None:
    node = cluster.nodes[1]
    node.links["postgres"].mode = "reset"
    try:
        wait_until(lambda: node.get("/readyz").status == 503, 30)
        assert node.get("/livez").status == 200
        assert "reason" in node.get("/readyz").json()
    finally:
        node.heal()
    wait_until(lambda: node.get("/readyz").status == 200, 30)
