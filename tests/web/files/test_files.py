"""The pages and the API of large files: operators see and change, visitors see nothing and change nothing."""

import hashlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.support.inside import PASSWORD, Inside, form_token, page_token
from tests.support.origin import Origin
from tests.support.vault import Vault, wait_until
from tests.support.volumes import serve

MB = 1_000_000


@pytest.fixture
def inside(origin: Origin, tmp_path: Path) -> Iterator[Inside]:
    with Inside(tmp_path / "vault", trusted=(origin.base,), FREE_SPACE_FLOOR_MB=0) as running:
        yield running


@pytest.fixture
def operator(inside: Inside) -> FlaskClient:
    return inside.logged_in("operator")


def post(client: FlaskClient, path: str, **fields: str) -> int:
    return client.post(path, data={**fields, "csrf_token": form_token(client, "/files")}).status_code


def keep(inside: Inside, origin: Origin, path: str = "/brain.nii.dat", body: bytes = b"x" * 1000) -> tuple[str, str]:
    """Put a file on the origin and into the cache; returns its digest and its URL."""
    url, _ = serve(origin, path, body)
    cache = inside.services.files.cache
    cache.get(url)
    return cache.remote(url).digest, url


def arrived(inside: Inside) -> bool:
    return not inside.services.files.cache.index.fetches()


def test_the_way_to_the_files_is_shown_to_those_who_may_go_it(inside: Inside) -> None:
    """A guest of a stream has an account too, and followed the link to a page that told him to log in."""
    for role in ("operator", "owner", "viewer"):
        inside.account(role, role)
    for role, is_shown in (("operator", True), ("owner", True), ("viewer", False), ("", False)):
        client = inside.stranger()
        if role:
            form = {"name": role, "password": PASSWORD, "csrf_token": form_token(client)}
            assert client.post("/login", data=form).status_code == 303
        for page in ("/about", "/more"):
            assert ('href="/files"' in client.get(page).text) == is_shown, (role, page)
        assert (client.get("/files").status_code == 200) == is_shown, role


def test_an_error_page_for_a_host_that_is_not_ours_says_so(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", TRUSTED_HOSTS=("vault.local",)) as inside:
        for path in ("/", "/files", "/more"):
            answer = inside.client(host="evil.example", accept="text/html").get(path)
            assert answer.status_code == 400, path


def test_an_operator_adds_a_file_and_downloads_it(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    body = bytes(range(256)) * 400
    url, _ = serve(origin, "/sub/brain.nii.dat", body)
    assert post(operator, "/files", url=url) == 303
    wait_until(lambda: arrived(inside))
    page = operator.get("/files").text
    assert "brain.nii.dat" in page
    assert "Verified" in page
    digest = inside.services.files.cache.remote(url).digest
    assert hashlib.sha256(body).hexdigest() in operator.get(f"/files/{digest}").text
    answer = operator.get(f"/files/{digest}/download")
    assert answer.data == body
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=brain.nii.dat"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'


def test_a_download_can_be_asked_for_in_parts_and_conditionally(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    digest, _ = keep(inside, origin, body=bytes(range(256)) * 4)
    path = f"/files/{digest}/download"
    etag = operator.get(path).headers["ETag"]
    part = operator.get(path, headers={"Range": "bytes=10-19", "If-Range": etag})
    assert (part.status_code, part.data) == (206, bytes(range(10, 20)))
    assert part.headers["Content-Range"] == "bytes 10-19/1024"
    assert operator.get(path, headers={"Range": "bytes=10-19", "If-Range": '"other"'}).status_code == 200
    assert operator.get(path, headers={"If-None-Match": etag}).status_code == 304
    assert operator.get(path, headers={"Range": "bytes=5000-"}).status_code == 416


def test_an_unusable_folder_breaks_no_page(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")
    with Inside(tmp_path / "vault", FILES_DIR=tmp_path / "taken" / "files") as inside:
        operator = inside.logged_in("operator")
        answer = operator.get("/files")
        assert answer.status_code == 200
        assert "Cannot use the folder for large files." in answer.text
        assert "Cannot use the folder for large files." in operator.get("/health").text
        assert operator.get("/").status_code == 200
        assert "cannot be used" not in operator.get("/api/files").text  # a program gets a status
        assert operator.get("/api/files").status_code == 507


def test_files_that_are_always_cut_keep_no_others_waiting(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    """Two of them were requested again without end, by both workers, and the four after them never came."""
    files = inside.services.files
    bad = [serve(origin, f"/bad-{n}.bin", bytes(MB), always_cut_at=500_000, etag="", has_ranges=False) for n in range(2)]
    good = [serve(origin, f"/good-{n}.bin", bytes([n]) * MB) for n in range(4)]
    for url, _ in bad + good:
        files.enqueue(url)
    wait_until(lambda: all(files.cache.peek(url) for url, _ in good))
    assert [len(volume.asked) for _, volume in good] == [1] * 4
    last_first_turn = max(volume.asked[0].at for _, volume in good)
    wait_until(lambda: all(len(volume.asked) > 1 for _, volume in bad))
    assert min(volume.asked[1].at for _, volume in bad) > last_first_turn  # after a cut the others go first


@pytest.mark.slow
def test_a_file_that_is_always_cut_ends_with_a_reason(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    url, volume = serve(origin, "/bad.bin", bytes(MB), always_cut_at=500_000, etag="", has_ranges=False)
    digest = inside.services.files.enqueue(url)
    wait_until(lambda: inside.services.files.entry(digest).fetch.state == "failed", timeout_s=90)  # type: ignore[union-attr]
    assert "The origin keeps breaking off: never past 500 KB of 1 MB, 3.5 MB received in total" in operator.get("/files").text
    assert (len(volume.asked), volume.sent_bytes) == (7, 3_500_000)
    inside.services.files.resume(digest)  # a person asks again: it begins again
    volume.always_cut_at = None
    wait_until(lambda: arrived(inside))


@pytest.mark.parametrize(
    "path", ["/files", "/files/clear", "/files/{}", "/files/{}/download", "/api/files", "/api/files/{}", "/files/nothing"]
)
def test_a_stranger_sees_nothing(inside: Inside, origin: Origin, path: str) -> None:
    digest, _ = keep(inside, origin, "/secret-name.bin")
    answer = inside.stranger().get(path.format(digest))
    assert answer.status_code == 401
    assert "secret-name" not in answer.text
    assert digest not in answer.text


CHANGES = ["/files", "/files/bounds", "/files/cleanup", "/files/clear", "/files/{}/remove", "/files/{}/cancel", "/files/{}/ttl"]
API_CHANGES = ["/api/files", "/api/files/bounds", "/api/files/clear", "/api/files/{}/pause", "/api/files/{}/ttl"]
API_CHANGES += ["/api/cache/invalidate", "/api/cache/cleanup"]


@pytest.mark.parametrize("path", CHANGES + API_CHANGES)
@pytest.mark.parametrize("who", ["stranger", "owner"])
def test_only_an_operator_changes_anything(inside: Inside, origin: Origin, path: str, who: str) -> None:
    digest, url = keep(inside, origin)
    client = inside.stranger() if who == "stranger" else inside.logged_in("owner")
    token = page_token(client)
    fields = {"url": url, "max_size_mb": "1", "hours": "1", "csrf_token": token}
    if path.startswith("/api/"):
        answer = client.post(path.format(digest), json={}, headers={"X-CSRFToken": token})
    else:
        answer = client.post(path.format(digest), data=fields)
    assert answer.status_code in (401, 403)
    cache = inside.services.files.cache
    assert cache.peek(url) is not None
    assert cache.limits().budget_bytes == 1_024_000_000
    assert cache.index.fetches() == []


def test_an_owner_looks_and_finds_no_controls(inside: Inside, origin: Origin) -> None:
    digest, _ = keep(inside, origin)
    owner = inside.logged_in("owner")
    page = owner.get("/files").text
    assert "brain.nii.dat" in page
    assert '<form method="post" action="/files' not in page
    assert owner.get(f"/files/{digest}/download").status_code == 200


def test_a_form_without_the_token_is_refused(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    keep(inside, origin)
    assert operator.post("/files/clear").status_code == 403
    assert inside.services.files.cache.totals()[0] == 1


def test_budget_and_ttl_are_changed_checked_and_kept_over_a_restart(
    inside: Inside, operator: FlaskClient, origin: Origin, tmp_path: Path
) -> None:
    keep(inside, origin, body=b"x" * 2 * MB)
    for wrong in ("0", "-5", "nan", "inf", "much", "1e99"):
        assert post(operator, "/files/bounds", max_size_mb=wrong, ttl_hours="2") == 400
    assert post(operator, "/files/bounds", max_size_mb="1", ttl_hours="2") == 303
    assert inside.services.files.cache.totals()[0] == 0  # it does not fit any more
    assert (inside.services.files.limits().budget_bytes, inside.services.files.limits().ttl_s) == (MB, 7200)
    inside.services.close()
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as again:
        assert (again.services.files.limits().budget_bytes, again.services.files.limits().ttl_s) == (MB, 7200)


def test_an_address_that_may_not_be_fetched_is_said_so_and_nothing_typed_is_lost(operator: FlaskClient) -> None:
    token = form_token(operator, "/files")
    answer = operator.post("/files", data={"url": "http://192.168.0.9/x.nii", "csrf_token": token})
    assert answer.status_code == 400
    assert "http://192.168.0.9/x.nii" in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_a_fetch_is_paused_resumed_and_cancelled(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    body = b"v" * 20 * MB  # twenty seconds: time enough to find it in the middle
    url, volume = serve(origin, "/slow.bin", body, bytes_per_s=MB)
    assert post(operator, "/files", url=url) == 303
    files = inside.services.files
    digest = files.cache.remote(url).digest

    def fetch() -> dict[str, object]:
        found = operator.get(f"/api/files/{digest}").json["fetch"]
        assert isinstance(found, dict)
        return found

    wait_until(lambda: fetch()["done_bytes"] > 200_000)
    assert fetch()["state"] == "working"
    assert fetch()["total_bytes"] == len(body)
    assert post(operator, f"/files/{digest}/pause") == 303
    wait_until(lambda: origin.active() == 0)
    paused = fetch()
    assert paused["state"] == "paused"
    assert "Paused at" in operator.get("/files").text
    volume.bytes_per_s = 0
    assert post(operator, f"/files/{digest}/resume") == 303
    wait_until(lambda: arrived(inside))
    assert files.cache.get(url).read_bytes() == body
    assert volume.asked[1].headers["range"].startswith("bytes=")
    volume.bytes_per_s = MB
    other, _ = serve(origin, "/other.bin", body, bytes_per_s=MB)
    post(operator, "/files", url=other)
    digest = files.cache.remote(other).digest
    wait_until(lambda: fetch()["done_bytes"] > 200_000)
    assert post(operator, f"/files/{digest}/cancel") == 303
    wait_until(lambda: not list(files.cache.root.glob("??/*.part")))
    assert operator.get(f"/api/files/{digest}").status_code == 404


def test_a_wrong_checksum_is_told_on_the_page(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    url, _ = serve(origin, "/x.bin", b"x")
    assert post(operator, "/files", url=url, sha256="0" * 63) == 400
    assert post(operator, "/files", url=url, sha256="0" * 64) == 303
    wait_until(lambda: "Checksum mismatch, discarded" in operator.get("/files").text)


def test_the_controls_clear_remove_and_clean_up(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    first, url = keep(inside, origin, "/1.bin")
    keep(inside, origin, "/2.bin")
    assert "This removes 2 cached files" in operator.get("/files/clear").text
    assert post(operator, f"/files/{first}/remove") == 303
    assert inside.services.files.cache.peek(url) is None
    assert post(operator, f"/files/{first}/remove") == 404
    assert post(operator, "/files/cleanup") == 303
    assert inside.services.files.cache.totals()[0] == 1  # nothing has expired
    assert post(operator, "/files/clear") == 303
    assert inside.services.files.cache.totals()[0] == 0


def test_one_file_is_fresh_for_longer(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    digest, _ = keep(inside, origin)
    assert post(operator, f"/files/{digest}/ttl", hours="100") == 303
    assert operator.get(f"/api/files/{digest}").json["ttl_s"] == 360_000
    assert post(operator, f"/files/{digest}/ttl", hours="-1") == 400
    assert post(operator, f"/files/{digest}/ttl", hours="") == 303
    assert operator.get(f"/api/files/{digest}").json["ttl_s"] is None


def test_the_api_does_what_the_page_does(inside: Inside, origin: Origin) -> None:
    client = inside.client()  # on the machine itself
    url, _ = serve(origin, "/x.bin", b"x" * 500)
    added = client.post("/api/files", json={"url": url, "ttl_seconds": 60})
    assert added.status_code == 202
    wait_until(lambda: arrived(inside))
    listed = client.get("/api/files").json
    assert [(one["name"], one["state"], one["ttl_s"]) for one in listed["files"]] == [("x.bin", "fresh", 60)]
    assert listed["stats"]["entries_count"] == 1
    assert client.post("/api/files/bounds", json={"ttl_hours": 5}).json == {"success": True, "evicted": 0}
    assert client.post("/api/cache/cleanup", json={}).json == {"success": True, "removed": 0}
    assert client.post("/api/cache/invalidate", json={"url": url}).json == {"success": True, "invalidated": True}
    assert client.post("/api/cache/invalidate", json={"url": url}).json == {"success": True, "invalidated": False}
    assert client.delete(f"/api/files/{added.json['digest']}").status_code == 404
    assert client.post("/api/files", json={"url": "file:///etc/passwd"}).status_code == 400
    assert client.post("/api/files", json={"url": url, "ttl_seconds": -1}).status_code == 400


def test_a_file_is_pinned_on_the_page_and_by_the_api(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    digest, _ = keep(inside, origin)
    assert "Unpin" not in operator.get(f"/files/{digest}").text
    assert post(operator, f"/files/{digest}/pin") == 303
    assert "Unpin" in operator.get(f"/files/{digest}").text
    assert "1 pinned, " in operator.get("/files").text
    assert operator.get(f"/api/files/{digest}").json["is_pinned"] is True
    client = inside.client()
    assert client.post(f"/api/files/{digest}/unpin").status_code == 200
    assert operator.get("/api/files").json["stats"]["pinned_count"] == 0
    assert client.post(f"/api/files/{'0' * 32}/pin").status_code == 404
    url, _ = serve(origin, "/y.bin", b"y" * 500)
    added = client.post("/api/files", json={"url": url, "pin": True}).json["digest"]
    wait_until(lambda: arrived(inside))
    assert client.get(f"/api/files/{added}").json["is_pinned"] is True
    assert client.post("/api/files", json={"url": url, "pin": "yes"}).status_code == 400


def test_names_from_an_address_cannot_break_the_page_or_a_header(inside: Inside, operator: FlaskClient, origin: Origin) -> None:
    digest, _ = keep(inside, origin, "/%3Cscript%3Ealert(1)%3C%2Fscript%3E%0D%0AX:%20y.bin")
    assert "<script>alert" not in operator.get("/files").text
    assert "X" not in operator.get(f"/files/{digest}/download").headers


def test_the_macro_shows_figures_on_any_page(inside: Inside, origin: Origin) -> None:
    keep(inside, origin)
    source = "{% from 'parts/cache_controls.html' import show_cache_controls with context %}{{ show_cache_controls() }}"
    with inside.app.test_request_context("/", environ_base={"REMOTE_ADDR": "10.0.0.9"}):
        shown = inside.app.jinja_env.from_string(source).render()
    assert "Hit rate" in shown
    assert "<form" not in shown  # what a visitor has
    assert "/sheets/files.css" in shown, "the page that imports the macro has no style sheet of files"


def test_a_vault_without_files_gets_no_threads_and_no_folder(inside: Inside) -> None:
    inside.client().get("/")
    assert not inside.services.settings.files_dir.exists()
    assert not inside.services.files._pool.is_running


@pytest.mark.slow
def test_a_restart_goes_on_with_what_was_coming(origin: Origin, tmp_path: Path) -> None:
    body = b"w" * 4 * MB
    gate, numbers = threading.Event(), itertools.count(1)

    def hang(asked: object) -> None:
        if next(numbers) == 2:
            gate.wait(60)

    url, volume = serve(origin, "/x.bin", body, cuts=[MB])
    volume.before = hang
    with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0") as vault:
        vault.post("/api/files", {"url": url})
        # What was sent must have come: a process that is killed loses what lies between the two.
        wait_until(lambda: [part.stat().st_size for part in vault.folder.glob("cache/files/??/*.part")] == [MB])
        vault.kill()
        vault.start()
        vault.get("/files")
        wait_until(lambda: [one["state"] for one in vault.get("/api/files").json()["files"]] == ["fresh"], 60, every_s=0.5)
        digest = vault.get("/api/files").json()["files"][0]["digest"]
        part = vault.get(f"/files/{digest}/download", Range="bytes=0-99")
        assert (part.status, part.body) == (206, body[:100])
        assert vault.get(f"/files/{digest}/download").body == body
        assert volume.sent_bytes < len(body) * 1.05
        gate.set()  # not before: the line of a process that is just being killed takes some more
        assert vault.stop() == 0


@pytest.mark.slow
def test_a_stop_during_a_fetch_is_quick_and_keeps_what_came(origin: Origin, tmp_path: Path) -> None:
    gate = threading.Event()

    def hang(asked: object) -> None:
        if len(volume.asked) == 1:
            gate.wait(60)

    url, volume = serve(origin, "/x.bin", b"w" * 2 * MB, cuts=[MB])
    volume.before = hang
    with Vault(tmp_path / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0") as vault:
        vault.post("/api/files", {"url": url})
        parts = (tmp_path / "vault/cache/files").glob
        # What the origin has sent has not all been received.
        wait_until(lambda: [part.stat().st_size for part in parts("??/*.part")] == [MB])
        assert vault.stop() == 0
        gate.set()
        (part,) = parts("??/*.part")
        assert part.stat().st_size == MB
