"""`users`: accounts, added and given passwords."""

import sys

import click

from image_cache.accounts.service import ROLES
from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.services import log_command_action, opened_services


@click.command("add", cls=VaultCommand)
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="Role of the account.")
def add(context: CommandContext, name: str, role: str) -> None:
    """Add an account for NAME.

    The password is read from standard input, so that it does not end up in your shell history.
    """
    with opened_services(context) as services:
        account = services.accounts.add(name, _password(), role)
        log_command_action(services, "accounts", "added the account of", f"{account.name}, {role}")
    context.out.line(f"Created {role} account {account.name}.")


@click.command("password", cls=VaultCommand)
@click.argument("name")
def password(context: CommandContext, name: str) -> None:
    """Change the password of NAME and log out all its sessions. The new password is read from standard input."""
    with opened_services(context) as services:
        services.accounts.set_password(name, _password())
        log_command_action(services, "accounts", "changed the password of", name)
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
        log_command_action(services, "accounts", "removed the account of", removed.name)
    context.out.line(f"Removed the account {removed.name}.")


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
