"""Preparation of a vault before anything is opened: its folders, and the key that signs sessions."""

import errno
import logging
import os
import secrets
import stat
import tempfile
from pathlib import Path

from image_cache.config import Settings
from image_cache.errors import ConfigError, StorageError
from image_cache.filesystem import lock_folder, make_folder, replacing
from image_cache.vault_lock import finish_interrupted_restore

logger = logging.getLogger(__name__)

SECRET_BYTES = 32
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a state that a running service survives, so a start must
MIN_DISTINCT_BYTES = 8  # random hex has all sixteen characters, a key typed by hand does not


def ensure_directories(settings: Settings) -> None:
    """Create the folders of the vault, readable by their owner only, and check that they can be written.

    Without its cache a vault is served with placeholders, and a full or read-only disk is shown as it is: that is logged, and the
    health checks say what to do. Raises `StorageError` that names the state folder if that cannot be used, `Busy` while a backup is
    being restored into it. With a DSN its server is asked first: raises `ConfigError` before anything is written.
    """
    os.umask(0o077)
    if settings.DATABASE:
        from image_cache.db.postgres.server import check_server

        check_server(settings)
    try:
        finish_interrupted_restore(settings.state_dir)  # before anything is created that would be in its way
    except OSError as error:
        raise StorageError(
            str(settings.state_dir), f"an interrupted restore cannot be completed ({os.strerror(error.errno or 0)})"
        ) from error
    try:
        _make_and_probe(settings.state_dir)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        if error.errno not in UNWRITABLE or not (settings.DATABASE or settings.catalog_path.is_file()):
            raise _unusable(settings.state_dir, error, reason) from error
        logger.warning("vault cannot be written, what is stored is shown path=%s reason=%s", settings.state_dir, reason)
    for folder in (settings.cache_dir, settings.covers_dir, settings.stream_cache_dir):
        try:
            _make_and_probe(folder)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            logger.warning("cache folder unusable, serving placeholders path=%s reason=%s", folder, reason)
    if not settings.DATABASE:
        _check_catalogue(settings)


def _unusable(folder: Path, error: OSError, reason: str) -> StorageError:
    if error.errno not in (errno.EACCES, errno.EPERM):
        return StorageError(str(folder), f"cannot use this folder ({reason})")
    # In a container the folder has another name outside: only the numbers of the user are the same.
    user = f"{os.geteuid()}:{os.getegid()}"
    refused = StorageError(str(folder), f"user {user} cannot write to this folder ({reason})")
    refused.hint = f"Give the data folder to that user: sudo chown -R {user} FOLDER."
    return refused


def _make_and_probe(folder: Path) -> None:
    """Make a folder and write to it. os.access() is not enough: on a read-only or full disk it returns True. Raises `OSError`."""
    make_folder(folder)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"?")


def _check_catalogue(settings: Settings) -> None:
    """Raise `StorageError` if the catalogue is missing or empty beside what belongs to one: a new one would hide that all is gone.

    Without anything beside it, it is the first start, perhaps one that was cut short: there is nothing to lose.
    """
    path = settings.catalog_path
    is_there = os.path.lexists(path)
    if is_there and (not path.is_file() or path.stat().st_size):
        return
    wal = path.with_name(f"{path.name}-wal")
    beside = [wal] if wal.is_file() and wal.stat().st_size else []
    beside += [folder for folder in (settings.stream_images_dir, settings.own_covers_dir) if _holds_files(folder)]
    if beside:
        names = " and ".join(map(str, beside))
        state = "is empty" if is_there else "is missing"
        away = [str(found) for found in ([path] if is_there else []) + beside]
        raise StorageError(
            str(path),
            f"the catalogue {state}, but {names} belongs to one that held records. Nothing was changed. Restore a backup "
            f"(vinylvault restore); to start with an empty collection, move {' and '.join(away)} away",
        )


def _holds_files(folder: Path) -> bool:
    return any(not name.startswith(".") for _, _, names in os.walk(folder) for name in names)


def secret_key(path: Path) -> bytes:
    """Return the key that signs sessions; it is created on the first start.

    Raises `ConfigError` for a key that is too short or clearly not random, `StorageError` if it cannot be read or created.
    """
    try:
        if not path.exists():
            _create_key(path)
        key = path.read_bytes().strip()
        # A power cut took the contents, or someone emptied it. A device such as /dev/null is never replaced.
        if not key.strip(b"\0") and stat.S_ISREG(path.stat().st_mode):
            logger.warning("secret key was empty, replaced path=%s", path)
            _create_key(path, is_replaced=True)
            key = path.read_bytes().strip()
    except OSError as error:
        raise StorageError(str(path), os.strerror(error.errno or 0)) from error
    if len(key) < SECRET_BYTES:
        problem = f"the key in {path} is too short ({len(key)} bytes; at least {SECRET_BYTES} are needed). Delete the file and the next start creates a new one"
        raise ConfigError("VINYL_VAULT_SECRET_KEY_FILE", problem)
    if len(set(key)) < MIN_DISTINCT_BYTES:
        raise ConfigError(
            "VINYL_VAULT_SECRET_KEY_FILE",
            f"the key in {path} is easy to guess. Delete the file and the next start creates a random one",
        )
    return key


def _create_key(path: Path, *, is_replaced: bool = False) -> None:
    # Two processes that start at the same time must read one key. The lock decides, since not every disk has hard links.
    with lock_folder(path.parent):
        if path.exists() and not (is_replaced and not path.read_bytes().strip().strip(b"\0")):
            return
        with replacing(path, is_durable=True) as file:
            file.write(f"{secrets.token_hex(SECRET_BYTES)}\n".encode())
