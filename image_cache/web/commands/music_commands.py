"""The command `flask --app app albums scan`: looks through music folders, and stays until it is done."""

import sys

import click
from flask import Flask
from flask.cli import with_appcontext

from image_cache.models import TaskState
from image_cache.web.commands.records import albums, told
from image_cache.web.context import services

SHOWN_PROBLEMS = 20


def register_music_commands(app: Flask) -> None:
    albums.add_command(scan)


@click.command("scan")
@with_appcontext
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(exists=True, file_okay=False, resolve_path=True))
def scan(folder: str | None) -> None:
    """Look through the music folders, or only DIR. A DIR that lies in none of them becomes one."""
    from image_cache.importers.music.folders import below

    wanted = {}
    with told():
        if folder is not None:
            roots = services().music.roots
            if all(below(root.real_path, folder) is None for root in roots.sync()):
                roots.choose(folder, is_trusted=True)
            wanted = {"dir": folder}
        ended = services().tasks.run("music", wanted, _show)
    if ended.state != "done":
        raise click.ClickException(ended.says)
    click.echo(ended.outcome["says"])
    problems = ended.outcome["problems"]
    for line in problems[:SHOWN_PROBLEMS]:
        click.echo(f"  {line}", err=True)
    if len(problems) > SHOWN_PROBLEMS:
        click.echo(f"  and {len(problems) - SHOWN_PROBLEMS:,} more", err=True)


def _show(state: TaskState) -> None:
    if sys.stderr.isatty() and not state.is_over:
        click.echo(f"\r\033[K{state.done:,} files. {state.says}"[:120], nl=False, err=True)
