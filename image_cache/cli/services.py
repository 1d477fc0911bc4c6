"""All services of a vault, for the commands that change what it holds."""

from collections.abc import Iterator
from contextlib import contextmanager

from image_cache.bootstrap import ensure_directories
from image_cache.cli.context import CommandContext
from image_cache.services import Services, open_services


@contextmanager
def opened_services(context: CommandContext, *, may_create: bool = True) -> Iterator[Services]:
    """Yield the services of the application that runs the command, or open them and close them again; starts no thread.

    `may_create`: the folders of a vault that is not there yet are made.
    """
    if context.services is not None:
        yield context.services
        return
    if may_create:
        ensure_directories(context.settings)
    services = open_services(context.settings, clock=context.clock)
    try:
        yield services
    finally:
        services.close()
