"""Commands of `flask --app app albums` about Discogs: sync, discogs. What speaks to Discogs is a task, as on the pages."""

import sys
import time
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from image_cache.importers.discogs.service import SYNC, TEST
from image_cache.models import TaskState
from image_cache.web.commands.records import albums, told
from image_cache.web.context import services


def register(albums: AppGroup) -> None:
    """Add the commands to those of the records."""
    albums.add_command(sync_albums)
    albums.add_command(show_discogs)


@click.command("sync")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the token in this file first: on the command line others could read it.",
)
@with_appcontext
def sync_albums(token_file: Path | None) -> None:
    """Read the collection at Discogs. Stopped, it goes on where it was, here or in the server; a second time it changes nothing."""
    from image_cache.web.commands.records import told

    link = services().discogs
    with told():
        if token_file is not None:
            link.keep_untested(token_file.read_text(encoding="utf-8", errors="replace"))
            _end(services().tasks.run(TEST, {}, _Told()))
        _end(services().tasks.run(SYNC, {"by": "command"}, _Told()))


@click.command("discogs")
@click.option("--forget", is_flag=True, help="Forget the token. Records stay.")
@with_appcontext
def show_discogs(forget: bool) -> None:
    """Say how it stands with Discogs."""
    from image_cache.web.commands.records import told

    with told():
        if forget:
            click.echo("The token is forgotten." if services().discogs.forget() else "No token is kept here.")
            return
        tie = services().discogs.status()
    if not tie.has_token:
        click.echo("No token is kept here.")
        return
    click.echo(
        f"Connected as {tie.account}, {tie.items or 0:,} items." if tie.account else "A token is kept here, not tested yet."
    )
    if tie.pass_at:
        click.echo(f"Read {time.strftime('%Y-%m-%d %H:%M', time.localtime(tie.pass_at))}.")
    if tie.fault:
        click.echo(tie.message)


def _end(state: TaskState) -> None:
    """Say how a task ended; exit with 1 when it was not well."""
    says = str(state.outcome.get("says") or state.message)
    if state.state != "done":
        click.echo(says or "Stopped; it goes on with the next start.", err=True)
        sys.exit(1)
    click.echo(says)


class _Told:
    """Prints each new sentence of a task once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, state: TaskState) -> None:
        says = state.message
        if state.paused_until is not None:
            says = f"{says} On again in {max(1, round(state.paused_until - time.time()))} s."
        if state.message and state.message != self._last and not state.is_over:
            self._last = state.message
            click.echo(says, err=True)


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
        raise click.ClickException(ended.message)
    click.echo(ended.outcome["says"])
    problems = ended.outcome["problems"]
    for line in problems[:SHOWN_PROBLEMS]:
        click.echo(f"  {line}", err=True)
    if len(problems) > SHOWN_PROBLEMS:
        click.echo(f"  and {len(problems) - SHOWN_PROBLEMS:,} more", err=True)


def _show(state: TaskState) -> None:
    if sys.stderr.isatty() and not state.is_over:
        click.echo(f"\r\033[K{state.done:,} files. {state.message}"[:120], nl=False, err=True)
