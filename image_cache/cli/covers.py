"""The covers of a vault, opened for a change beside a service that may run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from image_cache.cli.context import CommandContext
from image_cache.covers import ImageCache
from image_cache.covers.build import CoverServices, open_covers
from image_cache.vault_lock import VaultLock


@contextmanager
def opened_covers(context: CommandContext) -> Iterator[ImageCache]:
    """Open the covers and close them again; starts no thread. Raises `Busy` while the vault is being restored."""
    with opened_cover_services(context) as parts:
        yield parts.covers


@contextmanager
def opened_cover_services(context: CommandContext, wake: Callable[[], None] = lambda: None) -> Iterator[CoverServices]:
    """Open the covers with their loader. `wake` is called when jobs were enqueued."""
    lock = VaultLock.enter(context.settings.state_dir)
    try:
        parts = open_covers(context.settings, clock=context.clock, wake=wake)
        parts.covers.cache.budget_bytes = context.vault.cache.budget_bytes  # as an operator set it while the service ran
        try:
            yield parts
        finally:
            parts.close()
    finally:
        lock.close()
