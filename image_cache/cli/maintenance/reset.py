"""`reset-counters`: count hits, misses and evictions of the three caches from now on."""

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.db.open_catalog import open_catalog
from image_cache.maintenance.cache_figures import cache_figures
from image_cache.maintenance.counters_since import counters_since, reset_counters
from image_cache.vault_lock import VaultLock


@click.command("reset-counters", cls=MaintenanceCommand)
def reset(context: CommandContext) -> int:
    """Count requests, hits and evictions of covers, streams and files from now on.

    The history, `/metrics` and the counters themselves stay: what they are now is subtracted where counters are shown.
    """
    caches = cache_figures(context.vault)
    before = counters_since(context.vault.catalog, caches)
    lock = VaultLock.enter(context.settings.state_dir)
    try:
        catalog = open_catalog(context.settings)
        try:
            reset_counters(catalog, caches, context.clock())
        finally:
            catalog.close()
    finally:
        lock.close()
    rates = [f"{cache.name} {cache.hit_rate:.1f}% hits" for cache in before.caches if cache.hit_rate is not None]
    log_action(context, "limits", "reset the counters", ", ".join(rates))
    for cache in before.caches:
        rate = "no requests" if cache.hit_rate is None else f"{cache.hit_rate:.1f}% of {cache.hits + cache.misses:,} requests"
        context.out.line(f"{cache.name}: {rate}, {cache.evictions:,} evicted.")
    context.out.line("Counting from now on.")
    context.out.json({"since": context.clock(), "before": {cache.name: cache.to_dict() for cache in before.caches}})
    return 0
