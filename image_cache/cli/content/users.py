"""`users`: accounts, added and given passwords."""

import sys

import click

from image_cache.accounts.service import ROLES
from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.units import size as size_words


@click.command("add", cls=VaultCommand)
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="Role of the account.")
def add(context: CommandContext, name: str, role: str) -> None:
    """Add an account for NAME.

    The password is read from standard input, so that it does not end up in your shell history.
    """
    with opened_services(context) as services:
        account = services.accounts.add(name, _password(), role)
        log_action(context, "accounts", "added the account of", f"{account.name}, {role}")
    context.out.line(f"Created {role} account {account.name}.")


@click.command("password", cls=VaultCommand)
@click.argument("name")
def password(context: CommandContext, name: str) -> None:
    """Change the password of NAME and log out all its sessions. The new password is read from standard input."""
    with opened_services(context) as services:
        services.accounts.find(name)  # before anyone types a password
        services.accounts.set_password(name, _password())
        log_action(context, "accounts", "changed the password of", name)
    context.out.line(f"Password changed for {name}. All sessions have ended.")


@click.command("list", cls=VaultCommand)
def list_accounts(context: CommandContext) -> None:
    """List the accounts and their roles."""
    with opened_services(context) as services:
        for account in services.accounts.accounts():
            context.out.line(f"{account.role:<8} {account.name}")


@click.command("remove", cls=VaultCommand)
@click.argument("name")
def remove(context: CommandContext, name: str) -> None:
    """Remove the account NAME with its sessions and memberships. Its streams stay. The last operator cannot be removed."""
    with opened_services(context) as services:
        removed = services.accounts.remove(name)
        log_action(context, "accounts", "removed the account of", removed.name)
    context.out.line(f"Removed the account {removed.name}.")


@click.command("usage", cls=VaultCommand)
def usage(context: CommandContext) -> None:
    """Show how much the streams of each account hold, with their trash, and how much they may hold."""
    with opened_services(context) as services:
        spaces = services.streams.quotas.spaces()
    rows = []
    for one in spaces:
        limit = "" if one.held.account_id is None else "none" if one.limit_bytes is None else size_words(one.limit_bytes)
        held = one.held
        rows.append(
            (held.name or "(no owner)", f"{held.images:,}", size_words(held.used_bytes), size_words(held.trash_bytes), limit)
        )
    context.out.table(("Owner", "Images", "In use", "In the trash", "Limit"), rows, right=(1, 2, 3), aligned=(20, 8, 10, 12))


@click.command("quota", cls=VaultCommand)
@click.argument("name")
@click.argument("size")
def quota(context: CommandContext, name: str, size: str) -> None:
    """Set how much the streams of NAME may hold, with their trash.

    SIZE is a size such as 500MB or 5GB, "none" for no limit, or "default" for VINYL_VAULT_STREAM_QUOTA_MB.
    """
    with opened_services(context) as services:
        found = services.accounts.find(name)
        space = services.streams.quotas.set_limit(found.id, size)
        says = "no limit" if space.limit_bytes is None else size_words(space.limit_bytes)
        log_action(context, "accounts", "changed the space of", f"{found.name}, {says}")
    limit = "any size" if space.limit_bytes is None else says
    context.out.line(f"The streams of {found.name} may hold {limit}. They hold {size_words(space.held.used_bytes)} now.")


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
