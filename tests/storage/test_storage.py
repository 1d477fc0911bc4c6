"""One suite for all storages: a local folder, and a bucket of a real S3 server."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache import StorageFactory
from image_cache.errors import ConfigError, StorageError
from image_cache.filesystem import TEMP_PREFIX
from image_cache.storage.base import Storage
from image_cache.storage.check import examine
from image_cache.storage.local import LocalStorage
from image_cache.storage.s3 import S3Storage
from tests.support.inside import Inside
from tests.support.s3 import S3Server

CLIMBS = (
    "",
    ".",
    "..",
    "../a",
    "a/../b",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "a\\..\\b",
    "a\0b",
    "a/.hidden",
    "é",
    "a b",
    "x" * 200,
    "a/",
)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["local", *(pytest.param(name, marks=pytest.mark.server) for name in ("s3", "s3 below a prefix"))])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return StorageFactory.create_backend("local", root=tmp_path / "originals")
    server: S3Server = request.getfixturevalue("s3")
    prefix = "" if request.param == "s3" else "deep/er"
    return StorageFactory.create_backend("s3", **server.options, prefix=prefix)


def test_stored_bytes_can_be_read_listed_and_deleted(storage: Storage) -> None:
    assert storage.get("evening/a.jpg") is None
    assert not storage.exists("evening/a.jpg")
    assert storage.put("evening/a.jpg", b"bytes") == 5
    assert storage.get("evening/a.jpg") == b"bytes"
    assert storage.exists("evening/a.jpg")
    assert list(storage.list("evening")) == [("evening/a.jpg", 5)]
    assert storage.delete("evening/a.jpg")
    assert not storage.delete("evening/a.jpg")
    assert storage.get("evening/a.jpg") is None
    assert list(storage.list("evening")) == []


def test_a_name_stored_again_has_the_new_bytes(storage: Storage) -> None:
    storage.put("again/a.bin", b"old")
    storage.put("again/a.bin", b"newer")
    assert storage.get("again/a.bin") == b"newer"


def test_a_copy_has_the_same_bytes_and_nothing_is_copied_to_nothing(storage: Storage) -> None:
    body = os.urandom(1000) * 3000
    storage.put("copied/a.bin", body)
    assert storage.copy("copied/a.bin", "copied/there/b.bin")
    assert storage.get("copied/there/b.bin") == storage.get("copied/a.bin") == body
    assert not storage.copy("copied/none.bin", "copied/c.bin")
    assert not storage.exists("copied/c.bin")
    assert storage.put("copied/empty.bin", iter(())) == 0
    assert storage.get("copied/empty.bin") == b""
    for name, _ in list(storage.list("copied")):
        storage.delete(name)


def test_a_folder_is_listed_without_its_neighbours(storage: Storage) -> None:
    for name in ("list/a.jpg", "list/b.jpg", "list2/c.jpg"):
        storage.put(name, name.encode())
    assert list(storage.list("list")) == [("list/a.jpg", 10), ("list/b.jpg", 10)]
    names = [name for name, _ in storage.list()]
    assert names == sorted(names)
    assert {"list/a.jpg", "list/b.jpg", "list2/c.jpg"} <= set(names)
    for name in names:
        storage.delete(name)


def test_large_bytes_and_streams_are_stored_completely(storage: Storage) -> None:
    body = os.urandom(1000) * 7000
    assert storage.put("large/a.bin", (body[at : at + 100_000] for at in range(0, len(body), 100_000))) == len(body)
    assert storage.get("large/a.bin") == body


def test_a_stream_that_fails_leaves_nothing(storage: Storage) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError):
        storage.put("broken/a.bin", broken())
    assert list(storage.list("broken")) == []


def test_files_are_uploaded_and_downloaded_as_documented(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "here.jpg").write_bytes(b"picture")
    assert storage.upload_file(local_path=tmp_path / "here.jpg", remote_path="s3://bucket/stream-123/image-456.jpg") == 7
    assert storage.get("stream-123/image-456.jpg") == b"picture"
    assert storage.download_file("stream-123/image-456.jpg", tmp_path / "there.jpg") == 7
    assert (tmp_path / "there.jpg").read_bytes() == b"picture"
    with pytest.raises(StorageError):
        storage.download_file("stream-123/none.jpg", tmp_path / "none.jpg")
    assert not (tmp_path / "none.jpg").exists()
    with pytest.raises(StorageError):
        storage.upload_file(tmp_path / "missing.jpg", "stream-123/missing.jpg")
    storage.delete("stream-123/image-456.jpg")


def test_a_url_gives_the_bytes(storage: Storage) -> None:
    storage.put("url/a.bin", b"bytes")
    with urllib.request.urlopen(storage.url("url/a.bin"), timeout=30) as answer:
        assert answer.read() == b"bytes"
    storage.delete("url/a.bin")


@pytest.mark.parametrize("name", CLIMBS)
def test_a_name_that_could_leave_the_storage_is_rejected(storage: Storage, name: str) -> None:
    for ask in (storage.get, storage.delete, storage.exists, lambda one: storage.put(one, b"x")):
        with pytest.raises(StorageError, match="not a valid storage name"):
            ask(name)


def test_many_writers_of_many_names_lose_nothing(storage: Storage) -> None:
    def write(number: int) -> None:
        for turn in range(5):
            storage.put(f"many/{number}-{turn}.bin", bytes([number]) * 100)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(storage.list("many"))) == 40
    for name, _ in list(storage.list("many")):
        assert storage.get(name) == bytes([int(name.partition("/")[2].partition("-")[0])]) * 100
        storage.delete(name)


def test_a_bucket_keeps_the_hash_of_what_is_stored_and_tells_when(s3: S3Server) -> None:
    storage = S3Storage(**s3.options, prefix="hashed")
    storage.put_hashed("r/a.webp", b"bytes")
    assert storage.get_hashed("r/a.webp", 5) == (b"bytes", hashlib.sha256(b"bytes").hexdigest())
    assert storage.get_hashed("r/a.webp", 4) is None
    assert storage.get_hashed("r/none.webp", 5) is None
    storage.put("r/plain.webp", b"plain")
    assert storage.get_hashed("r/plain.webp", 5) == (b"plain", "")
    found = {name: (size, at) for name, size, at in storage.objects("r")}
    assert {name: size for name, (size, _) in found.items()} == {"r/a.webp": 5, "r/plain.webp": 5}
    assert all(abs(at - time.time()) < 60 for _, at in found.values())
    assert list(storage.objects("none")) == []


def test_the_library_is_imported_with_the_first_request() -> None:
    program = (
        "import sys; from image_cache.storage.s3 import S3Storage; store = S3Storage('none', endpoint='http://127.0.0.1:9');"
        "print('obstore' in sys.modules)\ntry: store.exists('a')\nexcept Exception: print('obstore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_check_passes_and_leaves_nothing(storage: Storage) -> None:
    findings = examine(storage)
    assert [finding for finding in findings if not finding.is_ok] == []
    assert len(findings) == 11
    assert list(storage.list("doctor")) == []


def test_the_check_names_what_fails(s3: S3Server) -> None:
    for options, words in (
        ({"aws_secret_key": "wrong-secret"}, "not allowed to use the bucket"),
        ({"bucket_name": "no-such-bucket"}, "the bucket does not exist"),
        ({"endpoint": "http://127.0.0.1:9"}, "is not responding"),
    ):
        findings = examine(StorageFactory.create_backend("s3", **{**s3.options, **options}))
        assert len(findings) == 1
        assert not findings[0].is_ok
        assert words in findings[0].note


def test_the_check_is_a_command(tmp_path: Path, s3: S3Server) -> None:
    (tmp_path / "secret").write_text(s3.options["aws_secret_key"] + "\n", encoding="utf-8")
    settings = {
        "STORAGE": "s3",
        "S3_BUCKET": s3.options["bucket_name"],
        "S3_ENDPOINT": s3.endpoint,
        "S3_ACCESS_KEY": s3.options["aws_access_key"],
        "S3_SECRET_KEY_FILE": tmp_path / "secret",
    }
    with Inside(tmp_path / "vault", **settings) as inside:
        done = inside.app.test_cli_runner().invoke(args=["storage", "doctor"])
        assert (done.exit_code, done.output.count("ok ")) == (0, 11), done.output
    with Inside(tmp_path / "vault", **{**settings, "S3_BUCKET": "none"}) as inside:
        done = inside.app.test_cli_runner().invoke(args=["storage", "doctor"])
        assert (done.exit_code, "MISSING" in done.output) == (1, True)


@pytest.mark.server
def test_an_unreachable_store_fails_soon_and_works_again_once_it_is_back(tmp_path: Path) -> None:
    with S3Server(tmp_path / "s3") as server:
        storage = StorageFactory.create_backend("s3", **server.options)
        storage.put("a/b.bin", b"bytes")
        server.stop()
        for ask in (lambda: storage.get("a/b.bin"), lambda: storage.put("a/c.bin", b"x"), lambda: list(storage.list())):
            started = time.monotonic()
            with pytest.raises(StorageError) as caught:
                ask()
            assert time.monotonic() - started < 20  # not the minutes of a library that keeps retrying
            assert caught.value.retryable
            assert "Signature" not in str(caught.value)
        server.start()
        assert storage.get("a/b.bin") == b"bytes"


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="choose local or s3"):
        StorageFactory.create_backend("ftp")


def test_files_are_private_and_no_link_is_followed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "originals")
    storage.put("evening/a.jpg", b"bytes")
    path = tmp_path / "originals/evening/a.jpg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (tmp_path / "secret").write_bytes(b"secret")
    (path.parent / "b.jpg").symlink_to(tmp_path / "secret")
    with pytest.raises(StorageError):
        storage.get("evening/b.jpg")
    (tmp_path / "originals/led").symlink_to(tmp_path)
    with pytest.raises(StorageError):
        storage.get("led/secret")
    assert list(storage.list()) == [("evening/a.jpg", 5)]


def test_bytes_and_their_names_are_on_the_disk_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1])
    storage = LocalStorage(tmp_path / "originals")
    storage.put("evening/a.jpg", b"bytes")
    assert TEMP_PREFIX in synced[0], "the bytes, before they have their name"
    assert synced[1:] == [str(path) for path in (tmp_path / "originals/evening", tmp_path / "originals", tmp_path)]
    synced.clear()
    storage.delete("evening/a.jpg")
    assert synced == [str(tmp_path / "originals/evening")]


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "originals", floor_bytes=1 << 60)
    with pytest.raises(StorageError, match="must stay free") as caught:
        storage.put("evening/a.jpg", b"bytes")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert [path for path in (tmp_path / "originals").rglob("*") if path.is_file()] == []


def test_leftovers_of_a_killed_writer_are_swept_and_never_listed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "originals")
    storage.put("evening/a.jpg", b"bytes")
    left = tmp_path / f"originals/evening/{TEMP_PREFIX}1-x"
    left.write_bytes(b"half")
    assert list(storage.list()) == [("evening/a.jpg", 5)]
    now = time.time()
    assert storage.sweep(older_than_s=3600, now=now) == 0
    assert storage.sweep(older_than_s=3600, now=now + 4000) == 1
    assert not left.exists()
    assert storage.get("evening/a.jpg") == b"bytes"


def test_what_is_left_out_is_as_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor of the free space was ignored, and a bucket that the settings name could not be opened by a script."""
    monkeypatch.setenv("VINYL_VAULT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VINYL_VAULT_FREE_SPACE_FLOOR_MB", "123")
    local = StorageFactory.create_backend()
    assert isinstance(local, LocalStorage)
    assert (local.root, local.floor_bytes) == (tmp_path / "state" / "stream_images", 123_000_000)
    with pytest.raises(ConfigError, match="VINYL_VAULT_S3_BUCKET"):
        StorageFactory.create_backend("s3")
    monkeypatch.setenv("VINYL_VAULT_S3_BUCKET", "originals")
    monkeypatch.setenv("VINYL_VAULT_S3_PREFIX", "vault")
    monkeypatch.setenv("VINYL_VAULT_STORAGE", "s3")
    assert StorageFactory.create_backend().name == "s3://originals/vault/"  # type: ignore[attr-defined]
    assert StorageFactory.create_backend("s3", bucket_name="other").name == "s3://other/"  # type: ignore[attr-defined]
