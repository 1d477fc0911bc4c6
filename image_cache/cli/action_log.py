"""What commands write into the log of actions: the system user who typed one, and what it changed."""

import os
import pwd
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import Busy
from image_cache.maintenance.actions.log import ActionLog
from image_cache.vault_lock import VaultLock

if TYPE_CHECKING:
    from image_cache.cli.context import CommandContext


def user_name(environment: Mapping[str, str] = os.environ, uid: Callable[[], int] = os.getuid) -> str:
    """Return the name of the system user who typed the command; with `sudo` that of the user who called it.

    `sudo` tells it in a variable, which whoever may write the vault could set as well: the log is no proof against them.
    """
    name = environment.get("SUDO_USER", "")
    try:
        return pwd.getpwnam(name).pw_name if name else pwd.getpwuid(uid()).pw_name
    except (KeyError, ValueError):
        return f"user {uid()}"


def command_line(user: str) -> str:
    """Return who a system user is in the log, where accounts have names of their own."""
    return f"{user} (command line)"


def log_action(context: "CommandContext", kind: str, what: str, place: str = "") -> None:
    """Add a line to the log of actions, as `web.actions.log_action` does for a request: call it when the change is made.

    `kind` is one of `maintenance.actions.log.KINDS`, `what` a verb in the past with its object. A vault without a catalogue has no
    log. Never raises for a catalogue that cannot be written, or while the vault is being restored.
    """
    who = command_line(context.user)
    if context.services is not None:
        context.services.actions.add(kind, who, what, place)
        return
    settings = context.settings
    if not settings.catalog_path.exists():
        return
    try:
        lock = VaultLock.enter(settings.state_dir)
    except Busy:
        return
    catalog = CatalogDatabase(settings.catalog_path)
    try:
        ActionLog(catalog, clock=context.clock).add(kind, who, what, place)
    finally:
        catalog.close()
        lock.close()
