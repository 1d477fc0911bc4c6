"""The command `flask --app app albums remove ID...`: says what would go, asks, and removes."""

import click
from flask.cli import AppGroup, with_appcontext

from image_cache.web.context import services


def register(albums: AppGroup) -> None:
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
    from image_cache.web.records.removal import named

    wanted = tuple(dict.fromkeys(ids))
    with told():
        lines = named(wanted)
        if unknown := [str(one) for one in wanted if one not in lines]:
            raise click.ClickException(f"There is no record {', '.join(unknown)}. Nothing was removed.")
        if not yes:
            for album_id in wanted:
                click.echo(f"{album_id}  {lines[album_id]}")
            click.confirm(f"Remove {'this record' if len(wanted) == 1 else f'these {len(wanted):,} records'}?", abort=True)
        for one in services().library.remove(wanted):
            click.echo(f"Removed: {one.artist}, {one.title}.")
