"""Commands of `flask --app app`: albums import, import-original and export, users add, users password. Each calls one service method."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from image_cache.accounts.service import ROLES
from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError
from image_cache.web.commands.files import files
from image_cache.web.context import services

SHOWN_REJECTS = 20

albums = AppGroup("albums", help="The records of this vault.")
users = AppGroup("users", help="Who can log in.")


def register_commands(app: Flask) -> None:
    from image_cache.web.commands import imports as discogs_commands

    discogs_commands.register(albums)
    register_removal(albums)
    app.cli.add_command(albums)
    app.cli.add_command(users)
    app.cli.add_command(files)


@albums.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
def import_albums(file: Path, dry_run: bool) -> None:
    """Take the records of a CSV or JSON FILE in. A bad row is named and left out; a second run changes nothing."""
    _import(file, dry_run=dry_run)


@albums.command("import-original")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
def import_original(file: Path, dry_run: bool) -> None:
    """Take the records, plays and history of FILE in, the `vinylvault.db` of the original program. It is only read."""
    from image_cache.tables.read import is_database

    if not is_database(file):
        raise click.ClickException(f"{file}: this is no SQLite database.")
    _import(file, dry_run=dry_run)


def _import(file: Path, *, dry_run: bool) -> None:
    with told():
        report = services().library.import_table(file, dry_run=dry_run)
        if not dry_run:
            services().covers.register(services().library.cover_urls())
    rejected = report.rejected_count
    would = "would be " if dry_run else ""
    click.echo(
        f"{report.read:,} rows read: {report.new:,} {would}new, {report.changed:,} {would}changed, {report.same:,} the same, {rejected:,} rejected."
    )
    for line, reason in report.rejected[:SHOWN_REJECTS]:
        click.echo(f"  line {line}: {reason}", err=True)
    if rejected > SHOWN_REJECTS:
        click.echo(f"  and {rejected - SHOWN_REJECTS:,} more", err=True)
    if report.read and rejected == report.read:
        sys.exit(1)


@albums.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export_albums(file: Path) -> None:
    """Write all records to FILE, as CSV or JSON by its name. It can be imported again."""
    with told():
        count = services().library.export_table(file)
    click.echo(f"{count:,} records written to {file}.")


@users.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True)
def add_user(name: str, role: str) -> None:
    """Make an account for NAME. The password comes from standard input, so that it stands in no history and no process list."""
    with told():
        account = services().accounts.add(name, _password(), role)
    click.echo(f"{account.name} is now {'an' if role[0] in 'aeiou' else 'a'} {role}.")


@users.command("password")
@click.argument("name")
def change_password(name: str) -> None:
    """Change the password of NAME and end all its sessions. The new one comes from standard input."""
    with told():
        services().accounts.set_password(name, _password())
    click.echo(f"The password of {name} is changed.")


@contextmanager
def told() -> Iterator[None]:
    """Turn what can go wrong into a message and exit status 1."""
    try:
        yield
    except CacheError as error:
        raise click.ClickException(f"{error}. {error.hint}" if error.hint else str(error)) from error
    except DatabaseError as error:
        path = services().settings.catalog_path.parent
        raise click.ClickException(f"The databases below {path} cannot be used: {error}.") from error


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def register_removal(albums: AppGroup) -> None:
    albums.add_command(remove)


@click.command("remove")
@with_appcontext
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=click.IntRange(min=1, max=2**63 - 1))
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(ids: tuple[int, ...], yes: bool) -> None:
    """Remove the records with these numbers, which stand in the addresses of their pages, with their plays, notes and own covers.

    An unknown number is named, and nothing is removed. What its source still has comes back with the next sync or scan.
    """
    from image_cache.web.commands.records import told
    from image_cache.web.records.removal import describe_records

    wanted = tuple(dict.fromkeys(ids))
    with told():
        lines = describe_records(wanted)
        if unknown := [str(one) for one in wanted if one not in lines]:
            raise click.ClickException(f"There is no record {', '.join(unknown)}. Nothing was removed.")
        if not yes:
            for album_id in wanted:
                click.echo(f"{album_id}  {lines[album_id]}")
            click.confirm(f"Remove {'this record' if len(wanted) == 1 else f'these {len(wanted):,} records'}?", abort=True)
        for one in services().library.remove(wanted):
            click.echo(f"Removed: {one.artist}, {one.title}.")
