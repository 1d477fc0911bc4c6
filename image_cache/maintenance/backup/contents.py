"""Contents of a backup besides the catalogue: every file of the state folder that is not a lock, a copy or a secret."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from image_cache.config import Settings
from image_cache.errors import ConfigError
from image_cache.maintenance.backup.archive import is_archive

ASIDE = "before-restore-"  # folder of what a restore replaced
# A credential is recognised by its name: a file that holds one says so.
_SECRET = re.compile(r"secret|token|passw|credential|(?<![a-z])keys?(?![a-z])", re.IGNORECASE)


def state_files(settings: Settings, notes: list[str]) -> Iterator[tuple[str, Path, bool]]:
    """Yield (name below the state folder, path, whether it is a secret) of each file. Anything else is named in `notes`."""
    root, separate = settings.state_dir, separate_folders(settings)
    for folder, folders, names in os.walk(root, onerror=_raise):
        here = Path(folder)
        for name in list(folders):
            path = here / name
            if name.startswith((".", ASIDE)) or path in separate or path.is_symlink():
                folders.remove(name)
                if path.is_symlink() and path not in separate:
                    notes.append(f"{path} is a symbolic link and was not included.")
        folders.sort()
        for name in sorted(names):
            path = here / name
            if name.startswith(".") or (here == root and name.startswith(settings.catalog_path.name)):
                continue  # locks and temporary files; the catalogue, its WAL and its copies
            try:
                is_file = stat.S_ISREG(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            if not is_file:
                notes.append(f"{path} is not a regular file and was not included.")
            elif not is_archive(path):
                yield str(path.relative_to(root)), path, is_secret(settings, path)


def refuse_server(settings: Settings) -> None:
    """Raise `ConfigError` for a catalogue in PostgreSQL: an archive would be without it."""
    if settings.DATABASE:
        raise ConfigError(
            "VINYL_VAULT_DATABASE", f"a backup would be without the catalogue, which is in PostgreSQL. {_instead(settings)}"
        )


def _instead(settings: Settings) -> str:
    """Return the commands that back up what `backup` cannot."""
    dump = f"pg_dump --format=custom --schema={settings.DATABASE_SCHEMA} --file=vinylvault.dump '{settings.DATABASE}'"
    restore = f"pg_restore --clean --if-exists --dbname='{settings.DATABASE}' vinylvault.dump"
    steps = [f"Back it up: {dump}", f"restore it: {restore}"]
    if settings.STORAGE == "s3":
        versions = f"aws s3api put-bucket-versioning --bucket {settings.S3_BUCKET} --versioning-configuration Status=Enabled"
        steps.append(f"keep deleted originals: {versions}")
    return "; ".join([*steps, f"copy the state folder {settings.state_dir}"])


def separate_folders(settings: Settings) -> frozenset[Path]:
    """Return the folders that have settings of their own: they may be inside the state folder, but are not part of the state."""
    return frozenset(
        (settings.stream_images_dir, settings.cache_dir, settings.covers_dir, settings.files_dir, settings.stream_cache_dir)
    )


def is_secret(settings: Settings, path: Path) -> bool:
    """Return True if a file of the state folder is a credential."""
    return path in (settings.secret_key_path, settings.S3_SECRET_KEY_FILE) or bool(_SECRET.search(path.name))


def cache_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name below the folder, path) of the entries of a cache: `variant/ab/file`, or `ab/file`."""
    if not root.is_dir():
        return
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not (here / name).is_symlink())
        for name in sorted(names) if here != root else ():
            path = here / name
            if (
                not name.startswith(".")
                and not name.endswith((".part", ".part.note"))
                and path.is_file()
                and not path.is_symlink()
            ):
                yield str(path.relative_to(root)), path


def _raise(error: OSError) -> None:
    raise error
