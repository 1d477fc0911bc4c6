"""A registry of many files on a line that is cut: all arrive, each whole; what cannot arrive says why."""

import hashlib
from pathlib import Path

import pytest

from image_cache.files.batch import BatchProgress, FileBatch
from image_cache.files.download.queue import FileQueue
from image_cache.files.registries.groups import FileGroups
from image_cache.files.registries.registry import Registry
from tests.files.conftest import Make, noise
from tests.files.test_scripts import flask
from tests.support.origin import Origin
from tests.support.volumes import Volume, serve


def registry_of(origin: Origin, count: int, size_bytes: int, **facts: object) -> tuple[str, list[Volume]]:
    """Put files on the origin; returns the lines of their registry and the files."""
    lines, volumes = [], []
    for number in range(count):
        body = noise(size_bytes + number, number)
        url, volume = serve(origin, f"/{number}.bin", body, **facts)
        volume.cuts = [size_bytes // 3, size_bytes // 3] if number % 2 else []
        lines.append(f"file-{number:02} {hashlib.sha256(body).hexdigest()} {url}\n")
        volumes.append(volume)
    return "".join(lines), volumes


def test_fifty_files_arrive_on_a_line_that_is_cut(origin: Origin, make: Make) -> None:
    store = make()
    text, volumes = registry_of(origin, 50, 200_000)
    text += f"file-50 {'0' * 64} {origin.url('/gone.bin')}\n"
    told: list[tuple[int, int]] = []

    def report(progress: BatchProgress) -> None:
        told.append((progress.done, progress.size_bytes))

    ended = FileBatch(store, list(Registry.parse(text).files.values()), report).run()
    assert (ended.done, ended.total, ended.failed) == (50, 51, {"file-50": "HTTP 404"})
    assert ended.size_bytes == sum(len(volume.body) for volume in volumes) == store.totals()[1]
    assert told == sorted(told), "the progress went back"
    assert [volume.sent_bytes for volume in volumes] == [len(volume.body) for volume in volumes], "bytes came twice"
    assert [len(volume.asked) for volume in volumes] == [3 if number % 2 else 1 for number in range(50)]


def test_a_file_whose_origin_comes_back_is_tried_again_after_the_others(origin: Origin, make: Make) -> None:
    body = noise(1000)
    url = origin.put("/busy.bin", body, fail_first=[503, 503, 503])
    text, _ = registry_of(origin, 2, 5000)
    lines = f"busy {hashlib.sha256(body).hexdigest()} {url}\n{text}"
    ended = FileBatch(make(), list(Registry.parse(lines).files.values()), lambda _: None).run()
    assert (ended.done, ended.failed) == (3, {})


@pytest.fixture
def groups(make: Make, tmp_path: Path) -> FileGroups:
    return FileGroups(make(), tmp_path / "registries", "", lambda: None)


def run_queue(groups: FileGroups) -> None:
    queue = FileQueue(groups._cache)
    while queue.run_next():
        pass


def test_a_group_counts_its_files_and_retries_the_failed_ones(origin: Origin, groups: FileGroups) -> None:
    text, volumes = registry_of(origin, 4, 5000)
    wrong = origin.put("/wrong.bin", b"not this")
    groups.registries.add("set.txt", f"{text}wrong {'0' * 64} {wrong}\ndenied {'1' * 64} http://10.0.0.1/x\nbad line\n".encode())
    assert groups.one("set.txt").count("absent") == 6
    assert groups.fetch("set.txt") == 6
    assert groups.one("set.txt").count("waiting") == 5
    run_queue(groups)
    group = groups.one("set.txt")
    assert (group.done, group.count("failed"), group.total, group.is_open) == (4, 2, 6, True)
    assert group.done_bytes == sum(len(volume.body) for volume in volumes)
    assert group.bad_lines == ("line 7: no URL, and the registry has no base URL: bad line",) or group.bad_lines[0].startswith(
        "line 7"
    )
    reasons = {member.file.name: member.entry.fetch.reason for member in group.members if member.entry and member.entry.fetch}
    assert reasons["wrong"] == "checksum mismatch, discarded"
    assert "10.0.0.1" in reasons["denied"]
    groups.retry("set.txt")
    assert (groups.one("set.txt").count("waiting"), groups.one("set.txt").count("failed")) == (1, 1)


def test_a_group_is_paused_and_resumed(origin: Origin, groups: FileGroups) -> None:
    text, volumes = registry_of(origin, 3, 5000)
    groups.registries.add("set.txt", text.encode())
    groups.fetch("set.txt", is_pinned=True)
    groups.pause("set.txt")
    run_queue(groups)
    assert groups.one("set.txt").count("paused") == 3
    assert all(volume.asked == [] for volume in volumes)
    groups.resume("set.txt")
    run_queue(groups)
    group = groups.one("set.txt")
    assert (group.done, group.is_open) == (3, False)
    assert all(member.entry is not None and member.entry.is_pinned for member in group.members)


def test_a_stored_file_with_another_checksum_is_not_that_of_the_registry(origin: Origin, groups: FileGroups) -> None:
    url, _ = serve(origin, "/x.bin", noise(100))
    groups._cache.get(url)
    groups.registries.add("set.txt", f"x {'0' * 64} {url}\n".encode())
    assert groups.one("set.txt").done == 0


@pytest.mark.slow
def test_the_commands_of_a_registry(origin: Origin, tmp_path: Path) -> None:
    env = {
        "VINYL_VAULT_DATA_DIR": str(tmp_path / "vault"),
        "VINYL_VAULT_TRUSTED_ORIGINS": origin.base,
        "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0",
    }
    text, volumes = registry_of(origin, 3, 300_000)
    (tmp_path / "set.txt").write_text(text + f"gone {'0' * 64} {origin.url('/gone')}\nbroken md5:1\n")
    added = flask(env, "registry", "add", str(tmp_path / "set.txt"))
    assert (added.returncode, added.stdout) == (1, "Added set.txt with 4 files.\n")
    assert "set.txt, line 5: only SHA-256 checksums are supported: broken md5:1" in added.stderr
    one = flask(env, "get", "file-01", "--pin")
    assert Path(one.stdout.strip()).read_bytes() == volumes[1].body
    unknown = flask(env, "get", "file-99")
    assert unknown.returncode == 1
    assert "No registry has a file 'file-99'" in unknown.stderr
    every = flask(env, "get", "--registry", "set.txt", "--all")
    assert every.returncode == 1
    assert every.stdout == "3 of 4 files, 900 KB, 1 failed.\n"
    assert "gone: HTTP 404" in every.stderr
    assert flask(env, "registry", "list").stdout.split() == ["3", "4", "1", "900", "KB", "set.txt"]
    assert flask(env, "unpin", "1.bin").returncode == 0
    assert "would be removed" in flask(env, "prune", "--older-than", "0d", "--dry-run").stdout
    assert flask(env, "rm", "0.bin").returncode == 0
    assert "2 files" in flask(env, "du").stdout
