"""`probe`: fetch and decode one URL as the service would, step by step, and store nothing."""

import socket
import time

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.params import urls
from image_cache.covers.identity import identify
from image_cache.errors import CacheError, DecoderFailed, ImageRejected, OriginError
from image_cache.imaging.decoder import Decoder
from image_cache.net.lazy_client import make_fetcher, make_policy

SHOWN_ADDRESSES = 4


@click.command("probe", cls=MaintenanceCommand, is_reading=True)
@click.argument("what", required=False, default="", metavar="URL")
@urls("this address; repeatable")
def probe(context: CommandContext, what: str, urls: tuple[str, ...]) -> int:
    """Try to fetch a URL, say how far that gets, and store nothing.

    The exit status is 0 when the picture can be fetched and read, 2 when not.
    """
    urls = urls or ((what,) if what else ())
    if not urls:
        raise CacheError("probe needs an address: cache_monitor.py --action probe --url URL")
    return max([_probe(context, url) for url in urls])


def _probe(context: CommandContext, url: str) -> int:
    steps: list[tuple[str, str]] = []
    error: CacheError | None = None
    try:
        _fetch_and_decode(context, url, steps)
    except (OriginError, ImageRejected, DecoderFailed) as found:
        error = found
    context.out.rows(steps)
    if error is not None:
        kind = getattr(error, "kind", "failed")
        again = "It is tried again by itself." if error.retryable else "Waiting does not mend this."
        context.out.wrapped("", f"Failed ({kind}): {error}. {again} {error.hint}".strip())
    else:
        context.out.line("The picture can be fetched and read.")
    context.out.json({"url": url, "ok": error is None, "error": str(error) if error else "", "steps": dict(steps)})
    return 0 if error is None else 2


def _fetch_and_decode(context: CommandContext, url: str, steps: list[tuple[str, str]]) -> None:
    """Append a step for each thing that worked. Raises what stopped it."""
    found = identify(url)
    steps.append(("Identity", found.name if found.name != url else "this very address"))
    if found.url != url:
        steps.append(("Fetched from", found.url))
    target = make_policy(context.settings).check(found.url)
    steps.append(("Address", f"allowed; {_addresses(target.peer.host, target.peer.port)}"))
    fetcher, started = make_fetcher(context.settings), time.monotonic()
    try:
        fetched = fetcher.fetch(found.url)
    finally:
        fetcher.close()
    took_s = time.monotonic() - started
    kind = fetched.content_type or "no content type"
    steps.append(("Answer", f"status {fetched.status}, {kind}, {len(fetched.body):,} bytes in {took_s:.2f} s"))
    if fetched.url != found.url:
        steps.append(("Redirected", fetched.url))
    fresh = "says nothing" if fetched.fresh_s is None else f"fresh for {fetched.fresh_s / 3600:.1f} h"
    steps.append(("Validators", f"ETag {fetched.etag or 'none'}, Last-Modified {fetched.last_modified or 'none'}; {fresh}"))
    decoder = Decoder(context.settings.decode_budget_bytes)
    try:
        facts = decoder.probe(fetched.body)
    finally:
        decoder.close()
    steps.append(("Picture", f"{facts.format}, {facts.width} x {facts.height} px"))


def _addresses(host: str, port: int) -> str:
    try:
        found = dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        return f"its name is not found ({error.strerror or error})"
    return f"at {', '.join(list(found)[:SHOWN_ADDRESSES])}"
