"""`storage sweep`: rendered covers in the store that no node needs any more."""

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.errors import ConfigError
from image_cache.units import counted, size

SETTING = "VINYL_VAULT_SHARED_VARIANTS"


@click.command("sweep", cls=VaultCommand)
@click.option("--dry-run", is_flag=True, help="Show how many there are and how much they take, without removing any.")
def sweep(context: CommandContext, dry_run: bool) -> None:
    """Remove rendered covers from the store that no cover refers to any more, a day after they were stored.

    Originals are never touched.
    """
    if not context.settings.SHARED_VARIANTS:
        raise ConfigError(SETTING, "is off, so there are no rendered covers in the store")
    from image_cache.cluster.second_tier.build import open_tier
    from image_cache.cluster.second_tier.stored_table import StoredTable
    from image_cache.cluster.second_tier.sweep import sweep_tier

    with opened_services(context) as services:
        covers = services.covers
        table = StoredTable(covers.registry.database)
        found = sweep_tier(open_tier(context.settings), table, covers.clock, is_dry_run=dry_run)
        if found.orphans and not dry_run:
            log_action(context, "deletions", f"removed {counted(found.orphans, 'rendered cover')} from the store")
    would = "would be " if dry_run else ""
    context.out.line(
        f"{found.objects:,} rendered covers in the store, {size(found.bytes)}:"
        f" {found.orphans:,} of them, {size(found.orphan_bytes)}, {would}removed."
    )
