"""`vinylvault run`: the server of your own vault, as the service runs it."""

import os
import sys

import click

from image_cache.resources import resource


def server_command() -> list[str]:
    """Return the command line of the server. -OO: docstrings would take 2.5 MB of its memory."""
    configuration = str(resource("systemd/gunicorn.conf.py"))
    return [sys.executable, "-OO", "-m", "gunicorn", "-c", configuration, "image_cache.wsgi:create_app()"]


@click.command("run")
def run() -> None:
    """Run the server until Ctrl-C. Address, port and folders come from the settings (`HOST`, `PORT`, `VINYL_VAULT_DATA_DIR`)."""
    command = server_command()
    os.execv(command[0], command)  # noqa: S606  in place of this process: signals and exit status are the server's own
