"""Vault lock: shared by all processes that use the vault, exclusive for a restore; and the renames with which a restore ends."""

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
from image_cache.resources import service_command

logger = logging.getLogger(__name__)

LOCK = ".in-use"
STAGE = ".restore"  # folder for the contents of a backup until all of it is verified
MOVES = ".restore.json"  # journal of the renames of a verified restore: the next process completes them


class VaultLock:
    """The shared lock of one process, from `enter` to `close`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def enter(cls, state_dir: Path) -> "VaultLock":
        """Take the shared lock. Completes a restore that was interrupted. Raises `Busy` while one is running."""
        try:
            finish_interrupted_restore(state_dir)
            fd = open_lock_file(state_dir / LOCK)
        except OSError as error:  # on a read-only disk nothing can be restored either
            logger.warning("data folder used without a lock path=%s reason=%s", state_dir, error)
            return cls(-1)
        if not try_lock(fd, fcntl.LOCK_SH):
            os.close(fd)
            raise Busy(f"{state_dir} is being restored from a backup. Try again when the restore has finished")
        return cls(fd)

    def close(self) -> None:
        """Release the lock. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """Hold the exclusive lock for the block. Raises `Busy` if a process uses the vault, `OSError` if there can be no lock."""
    make_folder(state_dir)
    with try_lock_file(state_dir / LOCK) as is_alone:
        if not is_alone:
            raise Busy(f"{state_dir} is in use. Stop the service first: {service_command('stop')}")
        yield


def move_all(state_dir: Path, moves: Iterable[tuple[Path, Path]]) -> None:
    """Do all renames, in order. If this process is killed, the next one completes them. Raises `OSError`.

    The caller holds the `exclusive` lock. Each source and its target are on the same file system, and no target exists.
    """
    with replacing(state_dir / MOVES, is_durable=True, temp=state_dir / f"{MOVES}.part") as file:
        file.write(json.dumps([[str(source), str(target)] for source, target in moves]).encode())
    finish_moves(state_dir)


def finish_interrupted_restore(state_dir: Path) -> None:
    """Complete a restore that was interrupted, if there was one. Raises `Busy` while it is running, `OSError`."""
    has_begun = (state_dir / MOVES).exists()
    if not has_begun and not (state_dir / STAGE).exists():
        return
    try:
        with exclusive(state_dir):
            finish_moves(state_dir)
            shutil.rmtree(state_dir / STAGE, ignore_errors=True)
    except Busy:
        if has_begun:  # else nothing was moved yet, and the running restore cleans up
            raise


def finish_moves(state_dir: Path) -> bool:
    """Do the remaining renames of the journal. Return False if there were none. Raises `OSError`."""
    journal = state_dir / MOVES
    try:
        moves = json.loads(journal.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    folders = set()
    for source, target in ((Path(source), Path(target)) for source, target in moves):
        if os.path.lexists(source) and not os.path.lexists(target):  # else it was done before the interruption
            make_folder(target.parent)
            source.rename(target)
        folders |= {source.parent, target.parent}
    for folder in folders:
        if folder.is_dir():
            sync_folder(folder)
    journal.unlink()
    sync_folder(state_dir)
    logger.info("vault replaced moves=%s", len(moves))
    return True
