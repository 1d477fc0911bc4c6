"""Two real nodes on one set of engines: what is done on one holds on the other at the next request."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, Engines
from tests.cluster.front import BEHIND, ClusterFront
from tests.support.stage import photo
from tests.support.visitor import SLUG, Browser, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]


@pytest.fixture(scope="module")
def cluster(engines: Engines) -> Iterator[Cluster]:
    with Cluster(engines, 2, **BEHIND) as running:
        yield running


@pytest.fixture(scope="module")
def owner(cluster: Cluster) -> Browser:
    """The owner of a stream, logged in at the first node."""
    return prepared(cluster.nodes[0])


def at(node: object, browser: Browser) -> Browser:
    """Return the same browser, with its cookie and token, at another node."""
    there = Browser(node)  # type: ignore[arg-type]
    there.cookie, there.token = browser.cookie, browser.token
    return there


def test_a_login_holds_on_the_other_node_and_ends_on_both(cluster: Cluster, owner: Browser) -> None:
    one, other = cluster.nodes
    session = Browser(one, "operator")
    assert b"Log out" in at(other, session).get("/about", accept="text/html").body
    assert at(other, session).ask("POST", "/logout", b"", {}).status in (200, 303)
    assert b"Log out" not in session.get("/about", accept="text/html").body


def test_an_image_made_private_on_one_node_is_refused_on_the_other_at_the_first_request(cluster: Cluster, owner: Browser) -> None:
    other = cluster.nodes[1]
    for number in range(5):
        stored = owner.upload(photo(number))
        assert stored.status == 201, stored.body
        image_id = stored.json()["results"][0]["image_id"]
        path = f"/streams/{SLUG}/images/{image_id}/detail"
        assert Browser(other).get(path).status == 200
        body = json.dumps({"visibility": "private"}).encode()
        changed = owner.ask("PATCH", f"/api/images/{image_id}", body, {"Content-Type": "application/json"})
        assert changed.status == 200
        assert Browser(other).get(path).status == 404
        assert at(other, owner).get(path).status == 200


def test_a_record_imported_on_one_node_is_found_on_the_other(cluster: Cluster) -> None:
    one, other = cluster.nodes
    one.import_albums([{"artist": "Hüsker Dü", "title": "Zen Arcade"}, {"artist": "AC/DC", "title": "Back in Black"}])
    for words, found, missing in (("ac+dc", "Back in Black", "Zen Arcade"), ("husker", "Zen Arcade", "Back in Black")):
        page = other.get(f"/?q={words}", Accept="text/html").body.decode()
        assert found in page
        assert missing not in page


def test_nginx_passes_a_stopped_node_over_and_keeps_no_image_of_a_stream(cluster: Cluster, owner: Browser) -> None:
    image_id = owner.upload(photo(100)).json()["results"][0]["image_id"]
    path = f"/streams/{SLUG}/images/{image_id}/detail"
    with ClusterFront(cluster) as front:
        assert [Browser(front).get(path).status for _ in range(4)] == [200] * 4
        body = json.dumps({"visibility": "private"}).encode()
        assert owner.ask("PATCH", f"/api/images/{image_id}", body, {"Content-Type": "application/json"}).status == 200
        assert [Browser(front).get(path).status for _ in range(4)] == [404] * 4
        cluster.nodes[1].stop()
        assert [front.get("/about").status for _ in range(10)] == [200] * 10
        cluster.nodes[1].start()
