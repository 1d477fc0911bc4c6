"""The cache over HTTP as documented: shapes, refusals, limits. The document is compared with the application and real answers."""

import json
import re
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support import openapi
from tests.support.inside import Inside, page_token
from tests.support.origin import Origin, jpeg
from tests.support.stage import stream_arguments
from tests.support.vault import wait_until

DOCUMENT = openapi.load()
DIGEST = "0123456789abcdef" * 4


def documented(answer: TestResponse, method: str, path: str) -> TestResponse:
    """Check that an answer is one of those that the document promises for its path, in status, type and shape."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert str(answer.status_code) in responses, f"{method} {path} answers {answer.status_code}: {answer.text[:200]}"
    content = openapi.resolved(DOCUMENT, responses[str(answer.status_code)]).get("content")
    if content is not None:
        assert answer.mimetype in content
        schema = content[answer.mimetype].get("schema")
        if schema is not None:
            openapi.check(DOCUMENT, answer.json, schema)
    if answer.status_code in (202, 429) and "cover" not in path:
        assert answer.status_code == 202 or int(answer.headers["Retry-After"]) > 0
    return answer


def post(inside: Inside, path: str, body: Any) -> TestResponse:
    """Post as curl does on the machine itself."""
    return documented(inside.client(cookies=False).post(path, json=body), "post", path)


def test_the_document_names_the_routes_of_the_application_and_no_other(inside: Inside) -> None:
    ours = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in inside.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    theirs = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods if method != "parameters"}
    assert ours == theirs


def test_every_reference_of_the_document_leads_somewhere() -> None:
    text = openapi.DOCUMENT.read_text(encoding="utf-8")
    references = set(re.findall(r"\$ref: '([^']+)'", text))
    for reference in references:
        assert openapi.resolved(DOCUMENT, {"$ref": reference})
    for kind in ("schemas", "responses", "requestBodies"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in references, f"{name} is not used"


def file_digest(inside: Inside, origin: Origin) -> str:
    """Keep a large file and return its digest."""
    cache, url = inside.services.files.cache, origin.put("/volume.bin", b"v" * 100)
    cache.get(url)
    return cache.remote(url).digest


def test_every_get_answers_as_documented(inside: Inside, origin: Origin) -> None:
    record, digest = inside.album(), inside.cover(origin)
    samples = {
        "album_id": record,
        "variant": "detail",
        "kind": "detail",
        "version": "x",
        "year": 1971,
        **stream_arguments(inside),
    }
    task_id, _ = inside.services.tasks.rows.add("nobody-runs-this", {}, 1.0)
    samples |= {"digest": file_digest(inside, origin), "number": 0, "task_id": task_id}
    samples |= {"year": 1971, "account_id": 999_999, "token": "no-such-token"}
    samples |= dict.fromkeys(("selection_id", "batch_id", "crate_id", "link_id"), 999_999)
    samples["names"] = "tokens-style"
    samples["want_id"] = inside.services.library.wants.type({"title": "T"})
    names = {"/cache/": digest, "/tint/": "200-10", "/assets/": "app.js", "/api/cache/jobs/": "nothing"}
    client = inside.client(accept="text/html")
    for path, methods in DOCUMENT["paths"].items():
        if "get" in methods:
            name = next((name for start, name in names.items() if path.startswith(start)), "")
            documented(client.get(path.format(**samples, name=name)), "get", path)


def test_every_change_of_files_answers_as_documented(inside: Inside, origin: Origin) -> None:
    digest, url = file_digest(inside, origin), origin.url("/volume.bin")
    files = inside.services.files
    assert post(inside, "/api/files/bounds", {"ttl_hours": 3}).json == {"success": True, "evicted": 0}
    assert post(inside, "/api/files/bounds", {"ttl_hours": "3"}).status_code == 400
    client = inside.client(cookies=False)
    for path, body in (("/api/files/{digest}/ttl", {"ttl_seconds": 7}), ("/api/files/{digest}/{action}", None)):
        answer = client.post(path.format(digest=digest, action="pause"), json=body)
        assert documented(answer, "post", path).status_code == (200 if body else 404)
    documented(client.get("/api/files"), "get", "/api/files")
    assert post(inside, "/api/files", {"url": url}).status_code == 202
    wait_until(lambda: not files.cache.index.fetches())
    assert post(inside, "/api/cache/cleanup", {}).json == {"success": True, "removed": 0}
    assert post(inside, "/api/cache/invalidate", {"url": url}).json["invalidated"] is True
    file_digest(inside, origin)
    assert documented(client.delete(f"/api/files/{digest}"), "delete", "/api/files/{digest}").status_code == 200
    assert post(inside, "/api/files/clear", {}).json == {"success": True, "cleared": 0}
    stranger = inside.stranger()
    assert documented(stranger.get("/api/files", headers={"Accept": "application/json"}), "get", "/api/files").status_code == 401


def test_the_state_of_covers_is_told_by_the_names_that_were_sent(inside: Inside, origin: Origin) -> None:
    ready = inside.cover(origin)
    cold = origin.put("/cold.jpg", jpeg(), status=503)
    inside.services.covers.register([cold])
    body = {"urls": [origin.url("/cover.jpg"), cold, "http://nobody.example/x.jpg", ready]}
    state = post(inside, "/api/cache/state", body).json
    assert state["ready"] == [origin.url("/cover.jpg"), ready]
    assert state["waiting"] == [cold]
    assert state["none"] == ["http://nobody.example/x.jpg"]
    digests = post(inside, "/api/cache/state", {"digests": [ready, DIGEST]}).json
    assert (digests["ready"], digests["none"]) == ([ready], [DIGEST])
    assert post(inside, "/api/cache/state", {}).json["ready"] == []


def test_a_stranger_preloads_what_is_registered_and_nothing_else(inside: Inside, origin: Origin) -> None:
    inside.services.pool.close()  # the housekeeper may want it by itself, and there would be nothing left to queue
    known, unknown = origin.put("/known.jpg", jpeg(200, 200)), origin.put("/unknown.jpg", jpeg(200, 200))
    inside.services.covers.register([known])
    client = inside.stranger()
    headers = {"X-CSRFToken": page_token(client)}
    answer = documented(
        client.post("/api/cache/preload", json={"urls": [known, unknown, DIGEST]}, headers=headers), "post", "/api/cache/preload"
    )
    assert answer.status_code == 202
    said = answer.json
    assert said["results"] == {known: True, unknown: False, DIGEST: False}
    assert (said["preloaded"], said["total"], said["success"]) == (1, 3, True)
    assert said["refused"] == {
        unknown: "URL not registered: it belongs to no record",
        DIGEST: "URL not registered: it belongs to no record",
    }

    def job() -> Any:
        return documented(client.get(f"/api/cache/jobs/{said['job']}"), "get", "/api/cache/jobs/{name}").json

    assert job() == {"total": 1, "done": 0, "failed": 0}
    assert inside.services.loader.run_next()
    assert job() == {"total": 1, "done": 1, "failed": 0}
    assert [asked.path for asked in origin.requests] == ["/known.jpg"]


def test_an_operator_adds_addresses_and_is_told_which_cannot_be(inside: Inside, origin: Origin) -> None:
    new = origin.put("/new.jpg", jpeg(200, 200))
    said = post(inside, "/api/cache/preload", {"urls": [new, "ftp://example.org/x.jpg", "http://user@example.org/"]}).json
    assert said["results"] == {new: True, "ftp://example.org/x.jpg": False, "http://user@example.org/": False}
    assert "http" in said["refused"]["ftp://example.org/x.jpg"]
    assert "user name" in said["refused"]["http://user@example.org/"]
    wait_until(lambda: post(inside, "/api/cache/state", {"urls": [new]}).json["ready"] == [new])


def test_what_scrolled_away_is_only_demoted(inside: Inside) -> None:
    said = post(inside, "/api/cache/preload", {"drop": [DIGEST, "nonsense"]}).json
    assert (said["preloaded"], said["total"], said["job"]) == (0, 0, None)


def test_a_clear_removes_pictures_of_one_size_or_all(inside: Inside, origin: Origin) -> None:
    digest = inside.cover(origin)
    client = inside.client(cookies=False)
    assert post(inside, "/api/cache/clear", {"size_type": "detail"}).json["cleared"] == 1
    assert client.get(f"/cache/thumbnails/{digest}.webp").status_code == 200
    _forget_limits()
    assert post(inside, "/api/cache/clear", {}).json["cleared"] >= 1
    assert client.get(f"/cache/thumbnails/{digest}.webp").status_code == 404
    assert not list((inside.folder / "cache/covers").rglob("*.webp"))


@pytest.mark.parametrize(
    "body",
    [
        {"page": ""},
        {"page": None},
        {"page": 0},
        {"page": ["x"]},
        {"size_type": ""},
        {"size_type": None},
        {"size_type": []},
        {"size_type": {}},
        {"size_type": "huge"},
        {"sizetype": "detail"},
        {"page": "x", "size_type": "detail"},
        [],
        "all",
        None,
        7,
    ],
    ids=str,
)
def test_a_clear_that_is_not_understood_clears_nothing(inside: Inside, origin: Origin, body: Any) -> None:
    """An empty `page` once cleared everything: it was taken for none."""
    digest = inside.cover(origin)
    answer = inside.client(cookies=False).post("/api/cache/clear", data=json.dumps(body), content_type="application/json")
    assert documented(answer, "post", "/api/cache/clear").status_code == 400
    assert inside.client().get(f"/cache/detail/{digest}.webp").status_code == 200


def test_clearing_a_page_frees_memory_and_no_file(inside: Inside, origin: Origin) -> None:
    digest = inside.cover(origin)
    inside.services.covers.cache.memory.clear()
    inside.services.covers.get(digest, "detail", scope="wall")
    assert post(inside, "/api/cache/clear", {"page": "wall"}).json["cleared"] == 1
    assert inside.services.covers.cache.memory.stats().entries == 0
    assert inside.client().get(f"/cache/detail/{digest}.webp").status_code == 200


@pytest.mark.parametrize("path", ["/api/cache/clear", "/api/cache/preload", "/api/cache/state"])
@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"urls":' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"urls": ["\\ud800"]}', "application/json", 400),
        (b"\xff\xfe\x00", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"urls=x", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
        (b'{"unknown": 1}', "application/json", 400),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_is_no_json_object_is_refused_in_words(
    inside: Inside, path: str, data: bytes, kind: str, status: int
) -> None:
    answer = inside.client(cookies=False).post(path, data=data, content_type=kind)
    assert documented(answer, "post", path).status_code == status
    assert answer.json["error"].endswith(".")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"urls": "http://a.example/"}, 400),
        ({"urls": {"a": 1}}, 400),
        ({"urls": [1]}, 400),
        ({"urls": [None]}, 400),
        ({"urls": [""]}, 400),
        ({"urls": ["x" * 2049]}, 400),
        ({"urls": [["x"]]}, 400),
        ({"urls": []}, 400),
        ({}, 400),
        ({"urls": ["x"], "priority": "first"}, 400),
        ({"urls": ["x"], "priority": 0}, 400),
        ({"urls": ["x"], "priority": None}, 400),
        ({"urls": [f"http://a.example/{n}" for n in range(501)]}, 413),
        ({"drop": [DIGEST[:-1] + "g"], "urls": ["x"]}, 202),
        (
            {"urls": ["http://[", "http://x:99999/", "http://i.discogs.com:99999/", "http://a\x00b/", "é", "http://é.example/"]},
            202,
        ),
        ({"urls": ["http://i.discogs.com/x/czM6Ly9é.jpeg", "\u202e", "😀" * 500]}, 202),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_preload_of_anything_is_answered_in_words(inside: Inside, body: Any, status: int) -> None:
    """Ports out of range and letters beyond ASCII in the address of a known service once ended in a 500."""
    client = inside.stranger()
    answer = client.post("/api/cache/preload", json=body, headers={"X-CSRFToken": page_token(client)})
    assert documented(answer, "post", "/api/cache/preload").status_code == status


def test_a_body_over_the_limit_is_refused_before_it_is_read(inside: Inside) -> None:
    client = inside.client(cookies=False)
    for path in ("/api/cache/preload", "/api/cache/state"):
        answer = client.post(path, data=b"x" * 1_000_001, content_type="application/json")
        assert documented(answer, "post", path).status_code == 413


def test_errors_of_the_api_are_json_whatever_the_browser_likes(inside: Inside) -> None:
    client = inside.client(accept="text/html", cookies=False)
    for answer in (client.get("/api/nothing"), client.delete("/api/cache/stats"), client.post("/api/cache/state", data=b"{")):
        openapi.check(DOCUMENT, answer.json, {"$ref": "#/components/schemas/Error"})
    assert client.delete("/api/cache/stats").headers["Allow"]


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*", ""])
def test_health_is_a_page_for_people_and_json_for_monitors(inside: Inside, accept: str) -> None:
    answer = documented(inside.client(accept=accept).get("/health"), "get", "/health")
    assert answer.status_code == 200
    assert answer.mimetype == ("text/html" if accept == "text/html" else "application/json")
    assert answer.headers["Cache-Control"] == "no-store"


def test_health_says_when_the_catalogue_is_gone_and_where_nothing_is(inside: Inside) -> None:
    inside.services.pool.close()  # the housekeeper must not have the catalogue open while the file is overwritten
    inside.services.catalog.close()
    (inside.folder / "state/catalog.db").write_bytes(b"this is no database" * 100)
    answer = documented(inside.client(address="192.168.1.99").get("/health"), "get", "/health")
    assert answer.status_code == 503
    assert answer.json["status"] == "unhealthy"
    assert answer.json["checks"]["Catalogue"]["state"] == "failed"
    assert str(inside.folder) not in answer.text
    told = documented(inside.client().get("/health"), "get", "/health").json  # someone on the machine itself
    assert str(inside.folder / "state/catalog.db") in told["checks"]["Catalogue"]["advice"]
    page = inside.client(accept="text/html").get("/")
    assert page.status_code == 503
    assert "Traceback" not in page.text
    assert str(inside.folder) not in page.text
    assert re.search(r'Reference: <code id="reference">[0-9a-f]{8}</code>', page.text)


def test_the_numbers_say_who_is_in_trouble_to_operators_only(inside: Inside) -> None:
    assert "paused_hosts" in inside.client().get("/api/cache/stats").json
    assert "paused_hosts" not in inside.stranger().get("/api/cache/stats").json
    for headers in ({"Origin": "http://localhost:8080"}, {"Sec-Fetch-Site": "cross-site"}):  # another page in a browser here
        assert "paused_hosts" not in inside.client().get("/api/cache/stats", headers=headers).json
    text = inside.stranger().get("/api/cache/stats").text
    assert "http" not in text
    assert "/" not in text.replace("application/json", "")


def test_hit_rate_is_a_percentage_and_hit_ratio_a_fraction(inside: Inside, origin: Origin) -> None:
    digest = inside.cover(origin)
    client = inside.client()
    for _ in range(3):
        client.get(f"/cache/detail/{digest}.webp")
    numbers = documented(client.get("/api/cache/stats"), "get", "/api/cache/stats").json
    assert numbers["hit_rate"] == pytest.approx(100 * numbers["hit_ratio"], abs=0.01)
    assert 0 < numbers["hit_ratio"] <= 1
    assert numbers["cached_items"] == numbers["total_entries"] == 3
    assert numbers["total_size_mb"] == pytest.approx(numbers["total_size_bytes"] / 1e6, abs=0.01)


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [("get", "/api/cache/stats", 120), ("post", "/api/cache/preload", 120), ("post", "/api/cache/state", 240)],
)
def test_every_endpoint_has_a_limit_of_its_own_and_says_when_to_come_again(
    inside: Inside, method: str, path: str, most: int
) -> None:
    body = {"json": {"drop": ["x"]}} if "preload" in path else {"json": {}} if method == "post" else {}
    client = inside.client(cookies=False)
    codes = [client.open(path, method=method.upper(), **body).status_code for _ in range(most)]
    assert 429 not in codes
    refused = documented(client.open(path, method=method.upper(), **body), method, path)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    assert "Try again in" in refused.json["error"]
    assert inside.client(address="192.168.1.99").get("/api/cache/stats").status_code == 200
    assert client.get("/health").status_code == 200


def test_a_clear_is_heard_once_in_five_minutes_and_a_refused_one_does_not_count(inside: Inside) -> None:
    stranger = inside.stranger()
    token = page_token(stranger)
    for _ in range(3):
        refused = stranger.post("/api/cache/clear", json={}, headers={"X-CSRFToken": token})
        assert documented(refused, "post", "/api/cache/clear").status_code == 403
    assert post(inside, "/api/cache/clear", {}).status_code == 200
    again = post(inside, "/api/cache/clear", {})
    assert again.status_code == 429
    assert 200 < int(again.headers["Retry-After"]) <= 300


def test_pictures_have_no_limit(inside: Inside, origin: Origin) -> None:
    digest = inside.cover(origin)
    client = inside.client()
    codes = {
        client.get(f"/cache/{variant}/{digest}.webp").status_code for variant in ("detail", "thumbnails") for _ in range(400)
    }
    assert codes == {200}
    slow = inside.slow_way()
    assert {slow.get(f"/cache/detail/{digest}.webp").status_code for _ in range(300)} == {200}


def _forget_limits() -> None:
    from image_cache.web.rate_limits import limiter

    limiter.reset()
