"""Preparation of a vault before anything is opened: its folders, and the key that signs sessions."""

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
MIN_DISTINCT_BYTES = 8  # random hex has all sixteen characters, a key typed by hand does not


def ensure_directories(settings: Settings) -> None:
    """Create the folders of the vault, readable by their owner only, and check that they can be written.

    Raises `StorageError` that names the folder, `Busy` while a backup is being restored into it.
    """
    os.umask(0o077)
    try:
        finish_interrupted_restore(settings.state_dir)  # before anything is created that would be in its way
    except OSError as error:
        raise StorageError(str(settings.state_dir), f"a restore cannot be ended ({os.strerror(error.errno or 0)})") from error
    for folder in (settings.state_dir, settings.cache_dir, settings.covers_dir):
        try:
            make_folder(folder)
            # os.access() is not enough: on a read-only or full disk it returns True.
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"?")
        except OSError as error:
            raise StorageError(str(folder), f"this folder cannot be used ({os.strerror(error.errno or 0)})") from error


def secret_key(path: Path) -> bytes:
    """Return the key that signs sessions; it is created on the first start.

    Raises `ConfigError` for a key that is too short or clearly not random, `StorageError` if it cannot be read or created.
    """
    try:
        if not path.exists():
            _create_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise StorageError(str(path), os.strerror(error.errno or 0)) from error
    if len(key) < SECRET_BYTES:
        problem = (
            f"{path} holds {len(key)} bytes, at least {SECRET_BYTES} are needed; delete it and the next start makes a new one"
        )
        raise ConfigError("VINYL_VAULT_SECRET_KEY_FILE", problem)
    if len(set(key)) < MIN_DISTINCT_BYTES:
        raise ConfigError("VINYL_VAULT_SECRET_KEY_FILE", f"{path} holds a key that anybody can guess; it must be random")
    return key


def _create_key(path: Path) -> None:
    # Written completely before it gets its name: two processes that start at the same time read one key, never half of one.
    temp = temp_path(path)
    try:
        with create_file(temp) as file:
            file.write(f"{secrets.token_hex(SECRET_BYTES)}\n".encode())
        with contextlib.suppress(FileExistsError):
            os.link(temp, path)
    finally:
        temp.unlink(missing_ok=True)
