"""Files that are replaced whole, and locks between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from image_cache.filesystem import TEMP_PREFIX, create_file, is_locked, lock_file, replacing, try_lock_file
from tests.support.vault import ROOT

HOLD = """
import sys; from pathlib import Path; from image_cache.filesystem import lock_file
with lock_file(Path(sys.argv[1])):
    print("held", flush=True); sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_replaced_file_has_the_new_bytes_and_belongs_to_its_owner_alone(path: Path) -> None:
    path.write_bytes(b"old")
    path.chmod(0o644)
    with replacing(path, is_durable=True) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old", "until the block ends"
        assert file.name.rpartition("/")[2].startswith(f"{TEMP_PREFIX}{os.getpid()}-")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_raises_leaves_the_file_as_it_was_and_nothing_beside_it(path: Path) -> None:
    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_fixed_temporary_name_overwrites_what_a_killed_process_left(path: Path) -> None:
    temp = path.with_name("file.new")
    temp.write_bytes(b"left by a process that was killed")
    with replacing(path, temp=temp) as file:
        file.write(b"new")
    assert (path.read_bytes(), temp.exists()) == (b"new", False)


def test_no_file_is_created_through_a_link(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        create_file(path)
    assert not (tmp_path / "target").exists()


def test_a_lock_is_refused_while_another_process_holds_it_and_free_once_that_was_killed(path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with try_lock_file(path) as is_alone:
            assert not is_alone
        assert is_locked(path)
        holder.kill()
        holder.wait()
    assert not is_locked(path)
    with try_lock_file(path) as is_alone:
        assert is_alone
        assert is_locked(path)
    with lock_file(path) as fd:
        os.pwrite(fd, b"free", 0)
    assert path.read_bytes() == b"free"


def test_a_file_that_is_not_there_is_not_locked(path: Path) -> None:
    assert not is_locked(path)
