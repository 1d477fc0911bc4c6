"""What commands write into the log of actions: what was changed, and by which system user."""

from image_cache.cli.context import CommandContext
from image_cache.db.open_catalog import has_catalog, open_catalog
from image_cache.errors import Busy
from image_cache.maintenance.actions.log import ActionLog
from image_cache.vault_lock import VaultLock


def command_line(user: str) -> str:
    """Return who a system user is in the log, where accounts have names of their own."""
    return f"{user} (command line)"


def log_action(context: CommandContext, kind: str, what: str, place: str = "") -> None:
    """Add a line to the log of actions, as `web.actions.log_action` does for a request: call it when the change is made.

    `kind` is one of `maintenance.actions.log.KINDS`, `what` a verb in the past with its object. A vault without a catalogue has no
    log. Never raises for a catalogue that cannot be written, or while the vault is being restored.
    """
    who = command_line(context.user)
    if context.services is not None:
        context.services.actions.add(kind, who, what, place)
        return
    settings = context.settings
    if not has_catalog(settings):
        return
    try:
        lock = VaultLock.enter(settings.state_dir)
    except Busy:
        return
    catalog = open_catalog(settings)
    try:
        ActionLog(catalog, clock=context.clock).add(kind, who, what, place)
    finally:
        catalog.close()
        lock.close()
