"""Streams on two real nodes: who may see what, links, tokens, limits, quota, and what is deleted. Changed on one, asked on the other."""

import json
import re
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.cluster import Cluster, Engines, Node
from tests.support.stage import multipart, photo
from tests.support.vault import Reply, wait_until
from tests.support.visitor import PASSWORD, SLUG, TOKEN, Browser, prepared

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.postgres]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def cluster(engines: Engines) -> Iterator[Cluster]:
    with Cluster(engines, 2, VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM="50") as running:
        yield running


@pytest.fixture(scope="module")
def owner(cluster: Cluster) -> Browser:
    return prepared(cluster.nodes[0])


@pytest.fixture(scope="module")
def friend(cluster: Cluster, owner: Browser) -> Browser:
    """Someone with an account, logged in at the first node."""
    invited(cluster.nodes[0], owner, "friend")
    assert post(owner, f"/streams/{SLUG}/people", action="remove", name="friend").status == 303
    return Browser(cluster.nodes[0], "friend")


def at(node: Node, browser: Browser) -> Browser:
    """Return the same browser, with its cookie and token, at another node."""
    there = Browser(node)
    there.cookie, there.token = browser.cookie, browser.token
    return there


def post(browser: Browser, path: str, **fields: str) -> Reply:
    return browser.ask("POST", path, urllib.parse.urlencode({**fields, "csrf_token": browser.token}).encode(), FORM)


def invited(node: Node, owner: Browser, name: str) -> tuple[Browser, str]:
    """Let someone accept an invitation of the owner at a node; return their browser there, and the link."""
    page = post(owner, f"/streams/{SLUG}/people", action="invite", role="subscriber", days="7", uses="1")
    link = re.search(r"/invite/[\w-]+", page.body.decode())
    assert link, page.body
    guest = with_token(node, link[0])
    assert post(guest, link[0], name=name, password=PASSWORD).status == 303
    return guest, link[0]


def with_token(node: Node, path: str) -> Browser:
    """Return a browser that has opened a page with a form."""
    browser = Browser(node)
    found = TOKEN.search(browser.get(path, "text/html").body.decode())
    assert found
    browser.token = found[1]
    return browser


def put(browser: Browser, *seeds: int, **fields: str) -> list[str]:
    stored = browser.upload(*(photo(seed) for seed in seeds), **fields)
    assert stored.status == 201, stored.body
    return [row["image_id"] for row in stored.json()["results"]]


def variants(node: Node) -> int:
    return len(node.files("cache/streams"))


def shown(browser: Browser, image_id: str, size: str = "detail") -> int:
    return browser.get(f"/streams/{SLUG}/images/{image_id}/{size}").status


def test_a_visibility_is_asked_for_with_every_page_picture_and_search(cluster: Cluster, owner: Browser) -> None:
    _, other = cluster.nodes
    for seed in range(1, 4):
        (image_id,) = put(owner, seed, title=f"evening number {seed}")
        visitor = Browser(other)
        pages = [f"/streams/{SLUG}", f"/api/streams/{SLUG}/images", "/api/streams?q=number", f"/streams/{SLUG}?q=number"]
        for page in pages:
            assert image_id in visitor.get(page, "text/html").body.decode(), page
        assert shown(visitor, image_id) == 200
        changed = owner.ask("PATCH", f"/api/images/{image_id}", json.dumps({"visibility": "private"}).encode(), JSON)
        assert changed.status == 200
        for page in pages:
            assert image_id not in visitor.get(page, "text/html").body.decode(), page
        assert [shown(visitor, image_id, size) for size in ("detail", "thumb", "original")] == [404] * 3
        assert shown(at(other, owner), image_id) == 200


def test_a_member_who_is_removed_sees_nothing_more(cluster: Cluster, owner: Browser, friend: Browser) -> None:
    _, other = cluster.nodes
    (image_id,) = put(owner, 11, visibility="subscribers")
    for round_ in range(3):
        assert shown(at(other, friend), image_id) == 404
        assert post(owner, f"/streams/{SLUG}/people", action="add", name="friend", role="subscriber").status == 303, round_
        assert shown(at(other, friend), image_id) == 200
        assert post(at(other, owner), f"/streams/{SLUG}/people", action="remove", name="friend").status == 303
        assert shown(friend, image_id) == 404


def test_an_invitation_of_one_node_is_used_on_the_other_and_ends_on_both(cluster: Cluster, owner: Browser) -> None:
    one, other = cluster.nodes
    guest, link = invited(other, owner, "guest")
    assert Browser(one).get(link, "text/html").status in (404, 410)
    assert at(one, guest).get(f"/streams/{SLUG}").status == 200


def test_an_api_token_that_is_revoked_is_refused(cluster: Cluster, owner: Browser) -> None:
    _, other = cluster.nodes
    made = post(owner, "/account/tokens", name="script", scope="read", days="30")
    token = re.search(r"vv_\w{24}", made.body.decode())
    assert token, made.body
    asked = {"Authorization": f"Bearer {token[0]}"}
    script = Browser(other)
    assert script.ask("GET", "/api/streams", None, asked).status == 200
    number = re.findall(r"/account/tokens/(\d+)/revoke", owner.get("/account/tokens", "text/html").body.decode())
    assert post(owner, f"/account/tokens/{number[0]}/revoke").status == 303
    assert script.ask("GET", "/api/streams", None, asked).status == 401


def test_a_share_link_that_is_revoked_shows_nothing(cluster: Cluster, owner: Browser) -> None:
    _, other = cluster.nodes
    (image_id,) = put(owner, 12, visibility="private")
    made = post(owner, f"/streams/{SLUG}/share", create="1", what="images", image=image_id, days="7", name="link")
    code = re.search(r"/s/([\w-]+)", made.body.decode())
    assert code, made.body
    visitor = Browser(other)
    picture = f"/s/{code[1]}/images/{image_id}/detail"
    assert visitor.get(f"/s/{code[1]}", "text/html").status == 200
    wait_until(lambda: visitor.get(picture).status == 200)
    number = re.findall(rf"/streams/{SLUG}/links/(\d+)/revoke", owner.get(f"/streams/{SLUG}/links", "text/html").body.decode())
    assert post(owner, f"/streams/{SLUG}/links/{number[0]}/revoke").status == 303
    assert visitor.get(f"/s/{code[1]}", "text/html").status in (404, 410)
    assert visitor.get(picture).status in (404, 410)


def test_an_account_that_is_removed_has_no_session(cluster: Cluster, owner: Browser) -> None:
    one, other = cluster.nodes
    leaving, _ = invited(other, owner, "leaving")
    assert leaving.get("/account", "text/html").status == 200
    operator = Browser(one, "operator")
    listed = operator.get("/accounts", "text/html").body.decode()
    number = max(map(int, re.findall(r"/accounts/(\d+)/remove", listed)))
    removed = post(operator, f"/accounts/{number}/remove", name="leaving", sure="1")
    assert removed.status == 303, removed.body
    assert leaving.get("/account", "text/html").status == 401


def test_wrong_passwords_are_counted_over_both_nodes(cluster: Cluster, friend: Browser) -> None:
    answers = []
    for number in range(8):
        guesser = with_token(cluster.nodes[number % 2], "/login")
        guesser.address = "127.0.7.1"
        answers.append(post(guesser, "/login", name="friend", password="wrong").status)
    assert answers == [403] * 4 + [429] * 4


def test_a_limit_of_requests_holds_over_both_nodes(cluster: Cluster, owner: Browser) -> None:
    for attempt in range(5):
        statuses = []
        for number in range(45):
            asker = at(cluster.nodes[number % 2], owner)
            asker.address = f"127.0.8.{attempt + 1}"
            statuses.append(asker.ask("POST", "/api/streams", b"{}", JSON).status)
        allowed = sum(status != 429 for status in statuses)
        if not any("valkey away" in node.log.read_text(encoding="utf-8") for node in cluster.nodes):
            break  # on a busy machine an answer may be late, and then each node counts for itself
    assert allowed == 30
    assert statuses[-15:] == [429] * 15


def test_the_quota_of_a_stream_is_exact_over_both_nodes(cluster: Cluster, owner: Browser) -> None:
    made = owner.ask("POST", "/api/streams", json.dumps({"title": "Full", "slug": "full"}).encode(), JSON)
    assert made.status == 201
    path = "/api/streams/full/images"

    def upload(pair: tuple[Node, tuple[int, ...]]) -> list[bool]:
        node, seeds = pair
        data, kind = multipart({}, tuple(photo(seed, 40, 30) for seed in seeds))
        answer = at(node, owner).ask("POST", path, data, {"Content-Type": kind})
        return [row["ok"] for row in answer.json()["results"]]

    one, other = cluster.nodes
    stored = upload((one, tuple(range(1000, 1023)))) + upload((other, tuple(range(1023, 1046))))
    assert stored == [True] * 46
    # Two of them are the same image.
    at_once = [((one, other)[number % 2], (2000 + max(number, 1),)) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        done = [ok for result in pool.map(upload, at_once) for ok in result]
    assert sum(done) == 4
    assert owner.get(path).json()["total"] == 50


def test_what_is_deleted_leaves_every_node_and_one_that_was_down_before_it_serves(cluster: Cluster, owner: Browser) -> None:
    one, other = cluster.nodes
    made = owner.ask("POST", "/api/streams", json.dumps({"title": "Gone", "slug": "gone"}).encode(), JSON)
    assert made.status == 201
    before = [variants(node) for node in cluster.nodes]

    def add(*seeds: int) -> list[str]:
        data, kind = multipart({}, tuple(photo(seed) for seed in seeds))
        answer = owner.ask("POST", "/api/streams/gone/images", data, {"Content-Type": kind})
        ids = [row["image_id"] for row in answer.json()["results"]]
        for image_id in ids:
            for size in ("thumb", "detail"):
                wait_until(lambda path=f"/streams/gone/images/{image_id}/{size}": Browser(other).get(path).status == 200)
        return ids

    def confirmed() -> dict[str, bool]:
        nodes = owner.get("/api/deletions").json()["nodes"]
        assert isinstance(nodes, dict)
        return nodes

    first, second, third = add(3001, 3002, 3003)
    answer = owner.ask("DELETE", f"/api/images/{first}?for_good=true", None, {})
    assert answer.json()["deleted"] is True
    assert answer.json()["nodes"]["node1"] is True
    wait_until(lambda: confirmed() == {"node1": True, "node2": True})
    assert variants(other) == before[1] + 4
    assert not [path for path in cluster.objects() if first in path.name]

    other.stop()
    assert owner.ask("DELETE", f"/api/images/{second}", None, {}).json()["nodes"]["node2"] is False
    assert variants(other) == before[1] + 4
    other.start()
    assert variants(other) == before[1] + 2
    assert confirmed() == {"node1": True, "node2": True}

    other.kill()
    assert owner.ask("DELETE", "/api/streams/gone?for_good=true", None, {}).json()["deleted"] == 2
    wait_until(lambda: variants(one) == before[0])
    other.start()
    assert variants(other) == before[1]
    assert Browser(other).get(f"/streams/gone/images/{third}/detail").status == 404


def test_a_node_with_another_key_says_so_in_one_line_and_does_not_start(cluster: Cluster, owner: Browser) -> None:
    stranger = Node(cluster, 9)
    (stranger.folder.parent / "other key").write_text("0123456789abcdef" * 4, encoding="ascii")
    stranger.env["VINYL_VAULT_SECRET_KEY_FILE"] = str(stranger.folder.parent / "other key")
    stranger.launch()
    assert stranger.process is not None
    try:
        assert stranger.process.wait(60) == 1
        said = [line for line in stranger.log.read_text(encoding="utf-8").splitlines() if line]
        assert said[-1].startswith(
            "VinylVault could not start. VINYL_VAULT_SECRET_KEY_FILE: this is not the key of the other nodes"
        )
        assert not (stranger.folder / "state").exists()
    finally:
        stranger.close()


def test_a_cover_that_was_uploaded_at_one_node_is_shown_by_the_other_and_leaves_both(cluster: Cluster, owner: Browser) -> None:
    one, other = cluster.nodes
    one.import_albums([{"artist": "Artist", "title": "Uploaded"}])
    found = re.search(r"/album/(\d+)", owner.get("/?q=uploaded", "text/html").body.decode())
    assert found
    album = f"/album/{found[1]}"
    data, kind = multipart({"csrf_token": owner.token}, (photo(42, 300, 300),))
    assert (
        owner.ask("POST", f"{album}/cover/upload", data.replace(b'"files"', b'"picture"'), {"Content-Type": kind}).status == 303
    )
    assert len([path for path in cluster.objects() if path.parent.name == "own"]) == 1

    shown = re.search(r"/cache/detail/[0-9a-f]{64}", at(other, owner).get(album, "text/html").body.decode())
    assert shown
    for node in cluster.nodes:
        wait_until(lambda node=node: at(node, owner).get(f"{shown[0]}.webp").status == 200)
    held = {node.name: len(node.files("cache/covers")) for node in cluster.nodes}
    assert all(held.values()), held
    assert post(at(other, owner), f"{album}/cover/remove").status == 303
    assert not [path for path in cluster.objects() if path.parent.name == "own"]
    wait_until(lambda: not any(node.files("cache/covers") for node in cluster.nodes))
