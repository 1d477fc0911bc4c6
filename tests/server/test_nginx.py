"""A real nginx as reverse proxy: what it serves by itself, what it must not serve, and that the service still records uses."""

import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_cache.imaging.variants import cover_variants
from tests.streams.test_live import Browser
from tests.support.front import Front, vault_behind
from tests.support.inside import PASSWORD
from tests.support.origin import Origin, jpeg
from tests.support.stage import photo
from tests.support.vault import ROOT, Reply, Vault, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server]

COVERS = 12


@dataclass
class Served:
    """A vault with covers, nginx as its reverse proxy, and one account."""

    vault: Vault
    front: Front
    digests: list[str]
    owner: Browser
    origin: Origin
    hidden: str = ""
    shown: str = ""

    def path(self, number: int = 0, variant: str = "detail", suffix: str = "webp") -> str:
        return f"/cache/{variant}/{self.digests[number]}.{suffix}"

    def file(self, number: int, variant: str = "detail") -> Path:
        digest = self.digests[number]
        return self.vault.folder / f"cache/covers/{variant}/{digest[:2]}/{digest}.webp"

    def hits(self) -> Path:
        return self.front.folder / "hits.log"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("front")
    with Origin() as origin, vault_behind(folder, trusted=(origin.base,)) as vault:
        urls = [origin.put(f"/{n}.jpg", jpeg(700, 700, (9 * n, 90, 200))) for n in range(COVERS)]
        vault.import_albums([{"artist": f"A{n:02}", "title": "T", "cover_url": url} for n, url in enumerate(urls)])
        page = vault.get("/", Accept="text/html").body.decode()
        digests = list(dict.fromkeys(re.findall(r"/cache/thumbnails/([0-9a-f]{64})", page)))
        assert len(digests) == COVERS
        wait_until(lambda: stats_of(vault)["total_entries"] == 2 * COVERS, 60)
        wait_until((folder / "front/covers").is_symlink)
        with Front(vault) as front:
            made = Served(vault, front, digests, Browser(front), origin)
            make_stream(made)
            yield made


def make_stream(served: Served) -> None:
    """Create an operator, a stream, and two images in it: one public, one private. All through nginx."""
    served.vault.command("users", "add", "owner", "--role", "operator", stdin=f"{PASSWORD}\n")
    owner = served.owner = Browser(served.front, "owner")
    made = owner.ask("POST", "/api/streams", b'{"title": "An evening", "slug": "evening"}', {"Content-Type": "application/json"})
    assert made.status == 201, made.body
    ids = []
    for seed, visibility in ((1, "public"), (2, "private")):
        stored = owner.upload(photo(seed, 1600, 1200), visibility=visibility)
        assert stored.status == 201, stored.body
        ids.append(stored.json()["results"][0]["image_id"])
    served.shown, served.hidden = ids


def stopped(vault: Vault, number: int) -> None:
    """Send a signal to every process of the service."""
    for pid in vault.workers():
        os.kill(pid, number)


@pytest.mark.parametrize(("variant", "suffix"), [("thumbnails-2x", "webp"), ("detail", "webp"), ("detail", "jpg")])
def test_a_hit_gets_the_same_response_as_from_the_service_to_the_last_header(served: Served, variant: str, suffix: str) -> None:
    path = served.path(1, variant, suffix)
    ours = served.vault.get(path)
    theirs = served.front.get(path)
    assert (ours.status, theirs.status) == (200, 200)
    assert theirs.body == ours.body
    extra = {"server", "date", "connection", "keep-alive"}
    assert {k: v for k, v in theirs.headers.items() if k not in extra} == {
        k: v for k, v in ours.headers.items() if k not in extra
    }
    assert theirs.headers["server"] == "nginx", "without its version"
    head = served.front.request("HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(ours.body)))


CONDITIONS: list[dict[str, str]] = [
    {"If-None-Match": "TAG"},
    {"If-None-Match": "W/TAG"},
    {"If-None-Match": '"x", TAG'},
    {"If-None-Match": '"x",TAG , "y"'},
    {"If-None-Match": "*"},
    {"If-None-Match": '"x"'},
    {"If-None-Match": 'xTAG, "y"'},
    {"If-None-Match": '"xTAG'},
    {"If-None-Match": '"|TAG"'},
    {"If-None-Match": ""},
    {"If-Match": "TAG"},
    {"If-Match": '"x"'},
    {"If-Unmodified-Since": "Fri, 20 Nov 2020 00:00:00 GMT"},
    {"If-Modified-Since": "Fri, 20 Nov 2099 00:00:00 GMT"},
    {"Range": "bytes=0-9"},
    {"Range": "bytes=0-9", "If-Range": "TAG"},
]


@pytest.mark.parametrize("suffix", ["webp", "jpg"])
@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_a_conditional_request_gets_the_same_response_as_from_the_service(
    served: Served, condition: dict[str, str], suffix: str
) -> None:
    """A 304 had a length of 0, a 412 no headers, and a tag was found in the middle of another."""
    path = served.path(1, "detail", suffix)
    etag = served.vault.get(path).headers["etag"]
    headers = {name: value.replace("TAG", etag) for name, value in condition.items()}
    for method in ("POST", "HEAD", "GET"):
        ours, theirs = (part.request(method, path, headers=headers) for part in (served.vault, served.front))
        extra = {"server", "date", "connection", "keep-alive"}
        assert theirs.status == ours.status
        assert theirs.body == ours.body
        assert {k: v for k, v in theirs.headers.items() if k not in extra} == {
            k: v for k, v in ours.headers.items() if k not in extra
        }
    if condition == CONDITIONS[0]:
        assert ours.status == 304


def test_a_hit_never_reaches_python(served: Served) -> None:
    """The service is suspended: covers on disk are still served, others get an error."""
    stopped(served.vault, signal.SIGSTOP)
    try:
        for variant in ("thumbnails-2x", "detail"):
            for number in range(COVERS):
                assert served.front.get(served.path(number, variant)).body[8:12] == b"WEBP"
    finally:
        stopped(served.vault, signal.SIGCONT)
    assert served.front.get("/keys").status == 200


def test_a_miss_is_passed_to_the_service(served: Served) -> None:
    unknown = served.front.get(f"/cache/detail/{'0' * 64}.webp")
    assert (unknown.status, unknown.headers["cache-control"]) == (404, "no-store")
    first = served.front.get(served.path(2, "detail-2x"))
    assert first.status in (200, 202)
    wait_until(lambda: served.front.get(served.path(2, "detail-2x")).status == 200)


def test_nothing_else_of_the_cache_and_no_listing_is_served(served: Served) -> None:
    shard, name = served.digests[0][:2], served.digests[0]
    image = served.hidden
    kept = next((served.vault.folder / "cache/streams/stream_detail").rglob("*.webp"))
    private = kept.relative_to(served.vault.folder / "cache/streams")
    for path in (
        *(
            "/cache/",
            "/cache/detail/",
            "/cache/detail",
            f"/cache/detail/{shard}/",
            f"/cache/detail/{shard}/{name}.webp",
            "/cache/index.db",
        ),
        *("/cache/covers/names.json", "/cache/names.json", "/cache/.housekeeping", "/cache/detail/../names.json"),
        *(f"/cache/streams/{private}", f"/cache/stream_detail/{private.name}", f"/cache/stream_detail/{image}.webp"),
        *(f"/cache/detail/%2e%2e/{private}", f"/cache/detail/..%2f..%2fstreams%2f{str(private).replace('/', '%2f')}"),
        *(
            "/hits.log",
            "/run/vinylvault/hits.log",
            "/_kept/streams/",
            f"/_kept/streams/{private}",
            "/_kept/originals/",
            "/_kept/files/",
        ),
        *(
            f"/_kept//streams/{private}",
            f"/%5fkept/streams/{private}",
            f"/x/../_kept/streams/{private}",
            f"/_kept/streams/../covers/{private}",
        ),
        *("/covers/", f"/covers/detail/{shard}/{name}.webp", "/nonexistent", "/state/catalog.db", "/.env"),
    ):
        for headers in ({}, {"X-Accel-Redirect": f"/_kept/streams/{private}"}, {"X-Original-URL": f"/_kept/streams/{private}"}):
            answer = raw(served.front, path, headers)
            assert answer.status in (400, 404), (path, answer)
            assert answer.body != kept.read_bytes()
            assert b"Index of" not in answer.body


def raw(front: Front, path: str, headers: dict[str, str]) -> Reply:
    """Request a path exactly as it is written, without normalisation by a client."""
    client = http.client.HTTPConnection("127.0.0.1", front.port, timeout=30)
    try:
        client.putrequest("GET", path)
        for name, value in headers.items():
            client.putheader(name, value)
        client.endheaders()
        answer = client.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    finally:
        client.close()


def test_every_public_variant_of_covers_is_listed_and_no_other(served: Served) -> None:
    text = (ROOT / "systemd/nginx.conf").read_text(encoding="utf-8")
    named = re.search(r"\^/cache/\(\?<variant>([^)]+)\)", text)
    assert named
    assert set(named[1].split("|")) == {variant.name for variant in cover_variants()}


def test_a_private_image_is_served_only_to_those_who_may_see_it(served: Served) -> None:
    for size in ("thumb", "detail", "large", "original"):
        path = f"/streams/evening/images/{served.hidden}/{size}"
        stranger = served.front.get(path)
        assert stranger.status == 404
        assert "x-accel-redirect" not in stranger.headers
        mine = served.owner.get(path)
        assert mine.status == 200
        direct = Browser(served.vault, "owner").get(path)
        assert mine.body == direct.body, "the same bytes with nginx and without"
        for name in (
            "content-type",
            "etag",
            "cache-control",
            "content-security-policy",
            "x-content-type-options",
            "cross-origin-resource-policy",
            "referrer-policy",
            "content-disposition",
        ):
            assert mine.headers.get(name) == direct.headers.get(name), (size, name)
        assert not {"x-accel-redirect", "last-modified"} & set(mine.headers)
        assert mine.headers["cache-control"] == "private, no-cache"
    assert served.front.get(f"/streams/evening/images/{served.shown}/detail").status == 200


def test_the_bytes_of_a_private_image_are_sent_by_nginx_once_authorised(served: Served) -> None:
    path = f"/streams/evening/images/{served.hidden}/detail"
    owner = Browser(served.vault, "owner")
    offered = owner.ask("GET", path, None, {"X-Front": "nginx"})
    assert offered.status == 200
    assert offered.body == b""
    assert offered.headers["x-accel-redirect"].startswith("/_kept/streams/stream_detail/")
    assert Browser(served.vault).ask("GET", path, None, {"X-Front": "nginx"}).status == 404
    part = served.owner.ask("GET", path, None, {"Range": "bytes=0-99"})
    assert (part.status, len(part.body)) == (206, 100)
    shown = served.front.get(f"/streams/evening/images/{served.shown}/detail")
    again = served.front.get(f"/streams/evening/images/{served.shown}/detail", If_None_Match=shown.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_a_private_image_is_not_served_without_permission(served: Served) -> None:
    stored = served.owner.upload(photo(77, 400, 300), visibility="public").json()["results"][0]["image_id"]
    path = f"/streams/evening/images/{stored}/detail"
    assert served.front.get(path).status == 200
    body = b'{"visibility": "private"}'
    assert served.owner.ask("PATCH", f"/api/images/{stored}", body, {"Content-Type": "application/json"}).status == 200
    assert served.front.get(path).status == 404
    assert served.owner.ask("DELETE", f"/api/images/{stored}", None, {}).status == 200
    assert served.owner.get(path).status == 404


def test_a_large_file_is_sent_by_nginx_completely_and_in_ranges(served: Served) -> None:
    """Otherwise it would occupy a thread of the service for the whole transfer."""
    body = os.urandom(3_000_000)
    served.vault.command("files", "get", served.origin.put("/scan%20one.bin", body, content_type="application/octet-stream"))
    listed = served.owner.get("/api/files").json()
    path = f"/files/{listed['files'][0]['digest']}/download"
    assert served.front.get(path).status == 401
    whole = served.owner.get(path)
    assert (whole.status, whole.body == body) == (200, True)
    assert "attachment" in whole.headers["content-disposition"]
    assert whole.headers["cache-control"] == "private, no-cache"
    part = served.owner.ask("GET", path, None, {"Range": "bytes=1000000-1000009"})
    assert (part.status, part.body) == (206, body[1_000_000:1_000_010])
    assert served.owner.ask("GET", path, None, {"If-None-Match": whole.headers["etag"]}).status == 304
    offered = Browser(served.vault, "owner").ask("GET", path, None, {"X-Front": "nginx"})
    assert offered.headers["x-accel-redirect"].startswith("/_kept/files/")


def test_requests_through_nginx_do_not_count_as_local(served: Served) -> None:
    assert served.vault.post("/api/cache/preload", {"urls": ["http://192.0.2.1/x.jpg"]}).status in (200, 202)
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Host": "localhost"}):
        sent = served.front.request(
            "POST", "/api/cache/preload", b'{"urls": ["http://192.0.2.1/x.jpg"]}', {"Content-Type": "application/json", **headers}
        )
        assert sent.status in (400, 401, 403), (headers, sent.body)


def test_10000_hits_through_nginx_change_what_is_evicted_next(served: Served) -> None:
    """Covers that nginx served count as used, the others are evicted first, also if that happens before the next flush."""
    vault, front = served.vault, served.front
    for part in (front, vault):  # write the uses of other tests
        part.stop()
        part.start()
    wait_until(lambda: stats_of(vault)["queued"] == 0)
    wait_until((front.folder / "covers").is_symlink)  # until then nginx passes requests to the service
    before = stats_of(vault)["hits"]
    with sqlite3.connect(vault.folder / "cache/index.db", timeout=20) as rows:  # all of it was last used yesterday
        rows.execute("UPDATE entries SET used_at = used_at - 86400")
    rows.close()
    used = list(range(0, COVERS, 2))
    ask_often(front, [served.path(number) for number in used], 10_000)
    front.stop()
    front.start()
    lines = served.hits().read_bytes().count(b"\n") + stats_of(vault)["hits"] - before
    assert lines >= 10_000
    # A command evicts as the service would, about a quarter.
    script = (
        "from config import load_settings; from image_cache.covers.build import open_covers\n"
        "parts = open_covers(load_settings()); cache = parts.covers.cache\n"
        "old = {key for key, _ in cache.index.victims('covers', 1000)}\n"
        "cache.set_budget(cache.index.totals('covers').bytes - 1)\n"
        "left = [key for key, _ in cache.index.victims('covers', 1000)]\n"
        "print(*[f'{key.variant}/{key.digest}' for key in left], sep='\\n')\n"
        "print(*[f'gone {key.variant}/{key.digest}' for key in old - set(left)], sep='\\n'); parts.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=vault.env, capture_output=True, text=True, check=True, timeout=120
    )
    order = [line for line in done.stdout.splitlines() if not line.startswith("gone")]
    gone = [line.removeprefix("gone ") for line in done.stdout.splitlines() if line.startswith("gone")]
    hot = {f"detail/{served.digests[number]}" for number in used}
    assert set(order[-len(used) :]) == hot
    assert gone
    assert not hot & set(gone)
    assert served.hits().stat().st_size < 10_000, "what was read is gone"
    assert stats_of(vault)["hits"] >= before + 10_000
    for key in gone:  # they come back when someone looks at them, and the other tests do
        wait_until(lambda path=f"/cache/{key}.webp": vault.get(path).status == 200)


def stats_of(vault: Vault) -> dict[str, int]:
    answer: dict[str, int] = vault.get("/api/cache/stats", X_Forwarded_For="192.0.2.9").json()
    return answer


def ask_often(front: Front, paths: list[str], count: int) -> None:
    """Send a hundred requests at a time over one connection."""
    with socket.create_connection(("127.0.0.1", front.port), timeout=30) as client:
        done = 0
        while done < count:
            client.sendall(
                b"".join(f"HEAD {paths[(done + n) % len(paths)]} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for n in range(100))
            )
            answered = b""
            while answered.count(b"\r\n\r\n") < 100:
                piece = client.recv(65536)
                if not piece:  # nginx closes a connection after a thousand requests
                    break
                answered += piece
            done += answered.count(b"\r\n\r\n")
            if not piece:
                break
    if done < count:
        ask_often(front, paths, count - done)


def test_slow_and_large_requests_are_closed(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.front.port), timeout=30) as client:
        client.sendall(b"POST /api/cache/state HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    many = [socket.create_connection(("127.0.0.1", served.front.port), timeout=30) for _ in range(70)]
    try:
        for client in many:
            client.sendall(f"GET {served.path(0)} HTTP/1.1\r\nHost: x\r\n".encode())  # incomplete headers
        # They do not keep others from being served.
        assert served.front.get(served.path(0)).status == 200
    finally:
        for client in many:
            client.close()


def test_without_the_service_a_miss_gets_an_error_page(served: Served) -> None:
    vault = served.vault
    assert vault.stop() == 0
    try:
        for path in ("/", f"/cache/detail/{'1' * 64}.webp", f"/streams/evening/images/{served.hidden}/detail"):
            answer = served.front.get(path, Accept="text/html")
            assert (answer.status, answer.headers["retry-after"], answer.headers["cache-control"]) == (503, "5", "no-store")
            assert answer.body.startswith(b"VinylVault does not answer.")
        assert served.front.get(served.path(3)).status == 200
        ask_often(served.front, [served.path(3)], 100)
    finally:
        vault.start()
    assert served.front.get("/", Accept="text/html").status == 200


def test_covers_are_sent_by_nginx_only_once_the_service_has_checked_them(served: Served) -> None:
    """After a power cut the link on tmpfs is gone and files may be truncated: none of these is ever served."""
    vault, link = served.vault, served.front.folder / "covers"
    torn, short = served.file(4), served.file(5)
    whole = torn.read_bytes()
    vault.kill()
    link.unlink()
    torn.write_bytes(b"\0" * len(whole))
    short.write_bytes(short.read_bytes()[:100])
    orphan = torn.parent.parent / "ff" / f"{'f' * 64}.webp"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"")
    assert served.front.get(served.path(6)).status == 503
    vault.start()
    wait_until(link.is_symlink)
    assert not orphan.exists()
    for number in (4, 5):
        answer = served.front.get(served.path(number))
        assert answer.status in (200, 202)
        wait_until(lambda number=number: served.front.get(served.path(number)).status == 200)
    assert served.front.get(served.path(4)).body == whole, "fetched and rendered again, to the same bytes"
    assert "truncated files dropped" in vault.log.read_text()


def test_a_link_in_the_cache_leads_nowhere(served: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the key")
    planted = served.file(7, "thumbnails-2x")
    planted.unlink()
    planted.symlink_to(secret)
    answer = served.front.get(served.path(7, "thumbnails-2x"))
    assert b"the key" not in answer.body
    wait_until(lambda: served.front.get(served.path(7, "thumbnails-2x")).status == 200)
