"""What must be there before anything opens: the folders, and the key that signs sessions. Made, or refused with a sentence."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from config import Settings
from image_cache.errors import ConfigError, StorageError
from image_cache.filesystem import create_file, make_folder, temp_path
from image_cache.vault_lock import finish_interrupted_restore

SECRET_BYTES = 32
FEWEST_LETTERS = 8  # different ones; random hex has all sixteen, a key that somebody typed to have one does not


def ensure_directories(settings: Settings) -> None:
    """Make the folders of the vault, and try whether they can be written.

    Raises `StorageError` that names the folder, `Busy` while a backup is restored into it. A folder of ours is closed to everybody else on the machine.
    """
    os.umask(0o077)
    try:
        finish_interrupted_restore(settings.state_dir)  # before anything is made that would stand in its way
    except OSError as error:
        raise StorageError(str(settings.state_dir), f"a restore cannot be ended ({os.strerror(error.errno or 0)})") from error
    for folder in (settings.state_dir, settings.cache_dir, settings.covers_dir):
        try:
            make_folder(folder)
            # Asking for the rights is not enough: a read-only or full disk answers yes.
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"?")
        except OSError as error:
            raise StorageError(str(folder), f"this folder cannot be used ({os.strerror(error.errno or 0)})") from error


def secret_key(path: Path) -> bytes:
    """Return the key that signs sessions, made on the first start.

    Raises `ConfigError` for a key that is short or plainly not random, `StorageError` when there can be none.
    """
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise StorageError(str(path), os.strerror(error.errno or 0)) from error
    if len(key) < SECRET_BYTES:
        problem = (
            f"{path} holds {len(key)} bytes, at least {SECRET_BYTES} are needed; delete it and the next start makes a new one"
        )
        raise ConfigError("VINYL_VAULT_SECRET_KEY_FILE", problem)
    if len(set(key)) < FEWEST_LETTERS:
        raise ConfigError("VINYL_VAULT_SECRET_KEY_FILE", f"{path} holds a key that anybody can guess; it must be random")
    return key


def _make_key(path: Path) -> None:
    # Written whole before it gets its name: two processes that start at once read one key, never half of one.
    temp = temp_path(path)
    try:
        with create_file(temp) as file:
            file.write(f"{secrets.token_hex(SECRET_BYTES)}\n".encode())
        with contextlib.suppress(FileExistsError):
            os.link(temp, path)
    finally:
        temp.unlink(missing_ok=True)
