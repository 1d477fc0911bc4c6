"""`alerts`: the destinations of alerts, and a test of them. They are added at `/admin/alerts`, where no shell history keeps a token."""

import time

import click

from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.errors import CacheError
from image_cache.maintenance.alerts.destinations import KINDS
from image_cache.maintenance.alerts.send import AlertNotSent
from image_cache.maintenance.alerts.table import AlertMessage

NONE = "There are no destinations. Add one at /admin/alerts."


@click.command("list", cls=VaultCommand)
def list_destinations(context: CommandContext) -> None:
    """List the destinations with their number, and what was sent there last."""
    with opened_services(context) as services:
        found = services.alerts.destinations()
    for number, one in enumerate(found, start=1):
        context.out.line(f"{number}  {KINDS[one.destination.kind]:<7}  {one.destination.name}  {_last(one.last)}")
    if not found:
        context.out.line(NONE)


@click.command("test", cls=VaultCommand)
@click.argument("number", required=False, type=click.IntRange(1, 99), metavar="[NUMBER]")
def test(context: CommandContext, number: int | None) -> int:
    """Send a test to every destination, or to the one with this NUMBER in the list, and wait for the result."""
    failed = 0
    with opened_services(context) as services:
        found = [one.destination for one in services.alerts.destinations()]
        if not found:
            raise CacheError(NONE.rstrip("."))
        if number is not None and number > len(found):
            raise CacheError(f"There is no destination {number}, only {len(found)}")
        for destination in found if number is None else [found[number - 1]]:
            name = f"{KINDS[destination.kind]}, {destination.name}"
            try:
                services.alerts.send_test(destination)
            except AlertNotSent as error:
                failed += 1
                context.out.line(f"{name}: not sent. {error.reason}")
            else:
                context.out.line(f"{name}: sent.")
    return 2 if failed else 0


def _last(message: AlertMessage | None) -> str:
    if message is None:
        return "nothing sent yet"
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(message.ended_at or message.created_at))
    return f"{message.state} {at}" + (f": {message.reason}" if message.reason else "")
