"""The disk tier: names, modes, foreign files, truncated files."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from image_cache.engine.disk import DiskTier
from image_cache.engine.key import Key, digest_of, key_of_path
from image_cache.errors import StorageError
from image_cache.filesystem import TEMP_PREFIX

KEY = Key("covers", "thumbnails", digest_of("one"))


@pytest.fixture
def disk(tmp_path: Path) -> DiskTier:
    return DiskTier("covers", tmp_path / "covers")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_lies_in_a_shard_named_by_the_first_two_characters_of_its_digest(disk: DiskTier) -> None:
    disk.put(KEY, b"body")
    assert (disk.root / "thumbnails" / KEY.digest[:2] / f"{KEY.digest}.webp").read_bytes() == b"body"
    jpeg = Key("covers", "thumbnails.jpg", KEY.digest)
    disk.put(jpeg, b"jpeg")
    assert (disk.root / "thumbnails" / KEY.digest[:2] / f"{KEY.digest}.jpg").read_bytes() == b"jpeg"
    assert {key for _, _, shard in disk.shards() for key, _, _ in disk.files("thumbnails", shard)} == {KEY, jpeg}


def test_only_the_owner_can_read_files_and_the_folders_above_them(tmp_path: Path) -> None:
    """Only the innermost folder used to get the mode; those above it got what the umask left."""
    disk = DiskTier("covers", tmp_path / "var" / "cache" / "covers")
    before = os.umask(0)
    try:
        disk.put(KEY, b"body")
    finally:
        os.umask(before)
    path = disk.root / KEY.path
    assert mode(path) == 0o600
    assert {mode(folder) for folder in path.parents if folder.is_relative_to(tmp_path / "var")} == {0o700}


def test_a_planted_link_is_removed_and_not_followed(disk: DiskTier, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not yours")
    path = disk.root / KEY.path
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    assert disk.get(KEY) is None
    assert not path.is_symlink()
    path.symlink_to(secret)
    disk.put(KEY, b"body")
    assert (secret.read_bytes(), disk.get(KEY)) == (b"not yours", b"body")


def test_a_planted_pipe_does_not_block_a_reader(disk: DiskTier) -> None:
    """Opening a pipe for reading waits for a writer, possibly forever; the request thread would have hung."""
    path = disk.root / KEY.path
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    reader = threading.Thread(target=disk.get, args=(KEY,), daemon=True)
    reader.start()
    reader.join(30)
    assert not reader.is_alive()


def test_equal_bytes_are_not_written_again(disk: DiskTier) -> None:
    disk.put(KEY, b"body")
    path = disk.root / KEY.path
    before = path.stat().st_ino
    os.utime(path, (1, 1))
    disk.put(KEY, b"body")
    assert path.stat().st_ino == before
    assert path.stat().st_mtime > 1  # its time is updated, or a sweep would remove it before its row is written


def test_discard_removes_a_bad_file_and_leaves_an_intact_one(disk: DiskTier) -> None:
    assert disk.discard(KEY, lambda _: False) is None
    disk.put(KEY, b"body")
    assert disk.discard(KEY, b"body".__eq__) == b"body"
    assert disk.get(KEY) == b"body"
    assert disk.discard(KEY, lambda _: False) is None
    assert list((disk.root / KEY.path).parent.iterdir()) == []


def test_discard_leaves_what_is_stored_while_it_judges(disk: DiskTier) -> None:
    """Reading a truncated file and then unlinking its name removed the good file that had replaced it in between."""

    def judge(body: bytes) -> bool:
        disk.put(KEY, b"whole")
        return body == b"whole"

    disk.put(KEY, b"torn")
    assert disk.discard(KEY, judge) is None
    assert disk.get(KEY) == b"whole"
    assert disk.discard(KEY, judge) == b"whole"
    assert [path.name for path in (disk.root / KEY.path).parent.iterdir()] == [f"{KEY.digest}.webp"]


def test_what_a_power_cut_left_under_the_name_is_replaced_and_open_readers_keep_theirs(disk: DiskTier) -> None:
    disk.put(KEY, b"torn")
    path = disk.root / KEY.path
    with path.open("rb") as reader:
        disk.put(KEY, b"the whole body")
        assert reader.read() == b"torn"
    assert disk.get(KEY) == b"the whole body"
    assert [name.name for name in path.parent.iterdir()] == [path.name]


def test_many_writers_of_one_key_leave_one_whole_file(disk: DiskTier) -> None:
    body = os.urandom(200_000)
    start = threading.Barrier(8)

    def write() -> None:
        start.wait()
        disk.put(KEY, body)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert disk.get(KEY) == body
    assert len(list((disk.root / KEY.path).parent.iterdir())) == 1


def test_the_floor_refuses_before_anything_is_written(tmp_path: Path) -> None:
    disk = DiskTier("covers", tmp_path / "covers", floor_bytes=1 << 60)
    with pytest.raises(StorageError, match="must stay free"):
        disk.put(KEY, b"body")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_write_that_stops_in_the_middle_stores_nothing(disk: DiskTier) -> None:
    """A bare write() to a full disk writes a part without an error; the truncated file was published."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StorageError) as caught:
            disk.put(KEY, bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert disk.get(KEY) is None
    assert not list((disk.root / KEY.path).parent.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from image_cache.engine.disk import DiskTier
from image_cache.engine.key import Key
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
os.link = die
DiskTier("covers", Path(sys.argv[1])).put(Key("covers", "thumbnails", sys.argv[2]), b"body")
"""


def test_a_kill_between_writing_and_naming_leaves_a_temporary_file_only(disk: DiskTier) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(disk.root), KEY.digest], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = (disk.root / KEY.path).parent.iterdir()
    assert left.name.startswith(TEMP_PREFIX)
    assert mode(left) == 0o600
    assert disk.get(KEY) is None


def test_foreign_folders_and_files_are_skipped(disk: DiskTier) -> None:
    disk.put(KEY, b"body")
    for folder in ("thumbnails/zz", "thumbnails/abc", "elsewhere"):
        (disk.root / folder).mkdir()
    (disk.root / "names.json").write_text("{}")
    (disk.root / "thumbnails" / "note").write_text("")
    assert [(folder, shard) for folder, shard, _ in disk.shards()] == [("thumbnails", KEY.digest[:2])]


@pytest.mark.parametrize(
    "name", ["x.webp", f"{KEY.digest}.png", f"{KEY.digest}", f"{KEY.digest.upper()}.webp", f"{KEY.digest}.webp.jpg"]
)
def test_foreign_names_have_no_key(name: str) -> None:
    assert key_of_path("covers", "thumbnails", name) is None


def test_a_failing_disk_is_an_error_that_names_the_path(disk: DiskTier) -> None:
    (disk.root).mkdir()
    (disk.root / "thumbnails").write_text("a file where a folder belongs")
    with pytest.raises(StorageError, match="thumbnails"):
        disk.put(KEY, b"body")
    with pytest.raises(StorageError):
        disk.get(KEY)


def test_parts_of_a_name_cannot_be_moved_between_them() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")
    assert digest_of("a", "") != digest_of("", "a")


def test_nothing_is_stored_when_the_inodes_run_out(disk: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card without free inodes stops the whole server while it has gigabytes free."""
    free, files = disk.inodes()
    if not files:
        return  # a file system without such a limit
    assert 0 < free <= files
    disk.put(KEY, b"body")
    monkeypatch.setattr("image_cache.engine.disk.MIN_FREE_INODES", 1.1)
    with pytest.raises(StorageError, match="inodes"):
        disk.put(Key("covers", "thumbnails", digest_of("two")), b"body")
    assert disk.get(KEY) == b"body"
