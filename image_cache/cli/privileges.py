"""Root becomes the owner of the vault: files that root creates cannot be used by the service."""

import os

from image_cache.cli.context import PreconditionFailed
from image_cache.config import Settings
from image_cache.maintenance.health.check import Check


def drop_privileges(settings: Settings, *, is_reading: bool) -> None:
    """As root, become the user who owns the vault. Any other user stays as it is.

    Raises `PreconditionFailed` when that user cannot read this program and the command is going to change something.
    """
    folder = next((folder for folder in (settings.state_dir, settings.cache_dir) if folder.is_dir()), None)
    if os.geteuid() != 0 or folder is None or not (facts := folder.stat()).st_uid:
        return
    os.setegid(facts.st_gid)
    os.seteuid(facts.st_uid)
    is_readable = all(os.access(path, os.R_OK, effective_ids=True) for path in (__file__, str(os.__file__)))
    os.seteuid(0)
    os.setegid(0)
    if is_readable:
        os.setgroups([])
        os.setresgid(facts.st_gid, facts.st_gid, facts.st_gid)
        os.setresuid(facts.st_uid, facts.st_uid, facts.st_uid)
    elif not is_reading:
        message = f"The data belongs to user {facts.st_uid}, who cannot read this program. Running it as root would leave files the service cannot use."
        raise PreconditionFailed(
            Check(
                "Rights",
                "failed",
                message,
                "Run the installed copy (sudo vinylvault …), or make this folder readable for that user.",
            )
        )


def restore_ownership(settings: Settings) -> int:
    """As root, give everything below state and cache to the owner of the state; returns how many changed. Follows no link."""
    if os.geteuid() != 0 or not settings.state_dir.is_dir():
        return 0
    facts = settings.state_dir.stat()
    count = 0
    for folder in (settings.state_dir, settings.cache_dir):
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != facts.st_uid:
                os.chown(path, facts.st_uid, facts.st_gid, follow_symlinks=False)
                count += 1
    return count
