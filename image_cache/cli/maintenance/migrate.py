"""`migrate`: changes the schema in PostgreSQL for this version, once for all nodes."""

import click

from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext


@click.command("migrate", cls=VaultCommand)
def migrate(context: CommandContext) -> None:
    """Change the database for this version, while nodes serve. Run it once, with the new version, before the nodes get it.

    Nodes with VINYL_VAULT_DATABASE_MIGRATE=check wait for it. Without PostgreSQL there is nothing to do: the service changes its
    files when it starts.
    """
    settings, out = context.settings, context.out
    if not settings.DATABASE:
        out.wrapped("", "Nothing to do: the catalogue is a file, which the service changes when it starts.")
        return
    from image_cache.cluster.index_schema import COVERS, SHARED_INDEX
    from image_cache.db.postgres.server import check_server, open_postgres

    check_server(settings)
    catalog = open_postgres(settings)
    covers = catalog.beside(COVERS, SHARED_INDEX)
    try:
        for name, database in (("Catalogue", catalog), ("Covers", covers)):
            before, after = database.migrate()
            done = "is up to date" if before == after else "is new" if before == 0 else f"was changed from schema {before}"
            out.line(f"{name}: {done} (schema {after}).")
    finally:
        covers.close()
        catalog.close()
