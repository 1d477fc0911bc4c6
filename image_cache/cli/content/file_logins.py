"""`files login add`, `list`, `rm` and `import`: logins for the origins of large files."""

import datetime
import sys
from pathlib import Path

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.content.files import opened_file_services
from image_cache.cli.context import CommandContext
from image_cache.files.download.logins import netrc_logins
from image_cache.units import counted

ORIGIN = click.argument("origin")


@click.command("add", cls=VaultCommand)
@ORIGIN
@click.option("--user", default="", metavar="NAME", help="User name of a password. Without it, the secret is a token.")
def add(context: CommandContext, origin: str, user: str) -> None:
    """Add the login of ORIGIN, a host such as volumes.example. The token or password is read from standard input.

    It is sent over https to this host only. For a server without TLS, write its origin: http://nas.local:8080.
    """
    label = "Password" if user else "Token"
    secret = click.prompt(label, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    with opened_file_services(context) as files:
        login = files.logins.add(origin, secret, user=user)
        log_action(context, "limits", "saved a login for files", login.origin)
    context.out.line(f"Saved the login for {login.origin}.")


@click.command("list", cls=VaultCommand)
def list_logins(context: CommandContext) -> None:
    """List the origins that have a login. Secrets are never shown."""
    with opened_file_services(context) as files:
        logins = files.logins.all()
    rows = [
        (
            f"password of {login.user}" if login.user else "token",
            datetime.datetime.fromtimestamp(login.added_at).astimezone().strftime("%Y-%m-%d %H:%M"),
            login.origin,
        )
        for login in logins
    ]
    context.out.table(("Login", "Added", "Origin"), rows, aligned=(24, 16))


@click.command("rm", cls=VaultCommand)
@ORIGIN
def remove(context: CommandContext, origin: str) -> None:
    """Remove the login of ORIGIN."""
    with opened_file_services(context) as files:
        files.logins.remove(origin)
        log_action(context, "deletions", "removed a login for files", origin)
    context.out.line(f"Removed the login for {origin}.")


@click.command("import", cls=VaultCommand)
@click.argument("netrc", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="NETRC")
def import_netrc(context: CommandContext, netrc: Path) -> int:
    """Import the logins of a netrc file, each for https to its host. The exit status is 1 if any was left out."""
    found, left_out = netrc_logins(netrc)
    with opened_file_services(context) as files:
        added = files.logins.add_all(found)
        if added:
            log_action(
                context, "limits", f"saved {counted(len(added), 'login')} for files", ", ".join(one.origin for one in added)
            )
    context.out.line(f"Saved {counted(len(added), 'login')}: {', '.join(login.origin for login in added) or 'none'}.")
    for text in left_out:
        context.out.note(f"Left out {text}.")
    return 1 if left_out else 0
