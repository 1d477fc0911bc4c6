"""Who uses a vault: every process that opened it holds a shared lock, whoever replaces it holds it alone; and how it is replaced.

The lock is one of the kernel on an open file: it ends with its process, whatever ends it, and a stale one cannot be.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from image_cache.errors import Busy
from image_cache.filesystem import make_folder, open_lock_file, replacing, sync_folder, try_lock, try_lock_file

logger = logging.getLogger(__name__)

LOCK = ".in-use"
STAGE = ".restore"  # where what comes out of a backup stands until all of it is verified
MOVES = ".restore.json"  # the renames of a restore that was verified and has begun: they are done to the end, by whoever comes


class VaultLock:
    """One process's use of the vault, from `enter` to `close`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def enter(cls, state_dir: Path) -> "VaultLock":
        """Use the vault together with others. Raises `Busy` while it is being restored; ends a restore that was cut off."""
        try:
            finish_interrupted_restore(state_dir)
            fd = open_lock_file(state_dir / LOCK)
        except OSError as error:  # a read-only disk: nobody can replace the vault on it either
            logger.warning("vault used without its lock path=%s reason=%s", state_dir, error)
            return cls(-1)
        if not try_lock(fd, fcntl.LOCK_SH):
            os.close(fd)
            raise Busy(f"{state_dir} is being restored from a backup; start again when that is done")
        return cls(fd)

    def close(self) -> None:
        """Again is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """Keep everybody else out of the vault meanwhile. Raises `Busy` when somebody uses it, `OSError` when there can be no lock."""
    make_folder(state_dir)
    with try_lock_file(state_dir / LOCK) as is_alone:
        if not is_alone:
            raise Busy(f"{state_dir} is in use; stop the service first (systemctl stop vinylvault)")
        yield


def move_all(state_dir: Path, moves: Iterable[tuple[Path, Path]]) -> None:
    """Do the renames in order, all of them, also when this process is killed in between: the next one goes on. Raises `OSError`.

    The caller is `alone`. Every source and its target lie on one file system, and no target is there yet when its turn comes.
    """
    with replacing(state_dir / MOVES, is_durable=True, temp=state_dir / f"{MOVES}.part") as file:
        file.write(json.dumps([[str(source), str(target)] for source, target in moves]).encode())
    finish_moves(state_dir)


def finish_interrupted_restore(state_dir: Path) -> None:
    """End a restore that was cut off, if there was one. Raises `Busy` while it goes on, `OSError`."""
    has_begun = (state_dir / MOVES).exists()
    if not has_begun and not (state_dir / STAGE).exists():
        return
    try:
        with exclusive(state_dir):
            finish_moves(state_dir)
            shutil.rmtree(state_dir / STAGE, ignore_errors=True)
    except Busy:
        if has_begun:  # else nothing was moved, and whoever is at it cleans up
            raise


def finish_moves(state_dir: Path) -> bool:
    """Do what is left of the renames that were noted; False when there were none. Raises `OSError`."""
    note = state_dir / MOVES
    try:
        moves = json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    folders = set()
    for source, target in ((Path(source), Path(target)) for source, target in moves):
        if os.path.lexists(source) and not os.path.lexists(target):  # else it was done before the cut
            make_folder(target.parent)
            source.rename(target)
        folders |= {source.parent, target.parent}
    for folder in folders:
        if folder.is_dir():
            sync_folder(folder)
    note.unlink()
    sync_folder(state_dir)
    logger.info("vault replaced moves=%s", len(moves))
    return True
