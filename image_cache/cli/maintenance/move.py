"""`move`: the catalogue from its file to PostgreSQL, and back."""

import click

from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext
from image_cache.errors import CacheError
from image_cache.maintenance.move import MovedTable, move_from_postgres, move_to_postgres
from image_cache.resources import own_command, service_command
from image_cache.units import counted

SHOWN_DIGITS = 16


@click.command("move", cls=VaultCommand)
@click.option(
    "--to", "target", metavar="URL", help="copy catalog.db into this database, such as postgresql://vinylvault@db/vinylvault"
)
@click.option("--from", "source", metavar="URL", help="copy this database into catalog.db, which must not exist")
@click.option("--dry-run", "is_dry", is_flag=True, help="only check, and count what would be moved")
def move(context: CommandContext, target: str | None, source: str | None, *, is_dry: bool) -> None:
    """Move the catalogue into PostgreSQL, or back into a file. Stop the service first.

    Everything is copied and compared, or nothing is. The target must be empty, and what was moved stays where it was. The schema and
    the file with the password are those of the settings. Original images are not moved.
    """
    if (target is None) == (source is None):
        raise CacheError(
            f"move needs either --to or --from, for example: {own_command('move --to postgresql://vinylvault@db/vinylvault')}"
        )
    settings, out = context.settings, context.out
    rows = 0

    def show(table: MovedTable) -> None:
        nonlocal rows
        rows += table.rows
        digits = f"  sha256 {table.sha256[:SHOWN_DIGITS]}" if table.sha256 else ""
        out.line(f"{table.name:<22}{table.rows:>10,} {'row' if table.rows == 1 else 'rows'}{digits}")

    if target is not None:
        move_to_postgres(settings, target, show, is_dry=is_dry)
    else:
        move_from_postgres(settings, str(source), show, is_dry=is_dry)
    if is_dry:
        out.wrapped("", f"{counted(rows, 'row')} would be moved. Nothing was changed.")
        return
    out.wrapped("", f"Moved {counted(rows, 'row')}: every table is the same on both sides.")
    if target is not None:
        out.wrapped("", f"Set VINYL_VAULT_DATABASE to that URL, then start the service: {service_command('start')}.")
        out.wrapped(
            "", f"{settings.catalog_path} was not changed and is no longer used: keep it until you have a backup of the database."
        )
    else:
        out.wrapped("", f"Remove VINYL_VAULT_DATABASE from the settings, then start the service: {service_command('start')}.")
