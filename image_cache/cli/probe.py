"""`probe --url U`: fetch an address as the service would, say how far it comes, and keep nothing."""

import socket
import time

from image_cache.cli.context import CommandContext
from image_cache.covers.identity import identify
from image_cache.errors import CacheError, DecoderFailed, ImageRejected, OriginError


def probe(scene: CommandContext) -> int:
    """Exit status 0 when the picture could be fetched and read, 2 when not."""
    urls = scene.wanted.urls or ((scene.wanted.what,) if scene.wanted.what else ())
    if not urls:
        raise CacheError("probe needs an address: cache_monitor.py --action probe --url URL")
    return max([_probe(scene, url) for url in urls])


def _probe(scene: CommandContext, url: str) -> int:
    steps: list[tuple[str, str]] = []
    error: CacheError | None = None
    try:
        _try(scene, url, steps)
    except (OriginError, ImageRejected, DecoderFailed) as found:
        error = found
    scene.out.rows(steps)
    if error is not None:
        kind = getattr(error, "kind", "failed")
        again = "It is tried again by itself." if error.retryable else "Waiting does not mend this."
        scene.out.wrapped("", f"Failed ({kind}): {error}. {again} {error.hint}".strip())
    else:
        scene.out.line("The picture can be fetched and read.")
    scene.out.json({"url": url, "ok": error is None, "error": str(error) if error else "", "steps": dict(steps)})
    return 0 if error is None else 2


def _try(scene: CommandContext, url: str, steps: list[tuple[str, str]]) -> None:
    from image_cache.imaging.decoder import Decoder
    from image_cache.net.opening import make_fetcher, make_policy

    found = identify(url)
    steps.append(("Identity", found.name if found.name != url else "this very address"))
    if found.url != url:
        steps.append(("Fetched from", found.url))
    target = make_policy(scene.settings).check(found.url)
    steps.append(("Address", f"allowed; {_addresses(target.peer.host, target.peer.port)}"))
    fetcher, started = make_fetcher(scene.settings), time.monotonic()
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
    decoder = Decoder(scene.settings.decode_budget_bytes)
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
    return f"at {', '.join(list(found)[:4])}"
