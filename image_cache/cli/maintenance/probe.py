"""`probe`: fetch and decode one URL as the service would, step by step, and store nothing: of a cover, a file or a stream image."""

import socket
import time
from urllib.parse import urlsplit

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.maintenance.explain_others import find_file, find_image
from image_cache.cli.params import urls
from image_cache.covers.identity import identify
from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, DecoderFailed, ImageRejected, OriginError, OriginTooLarge, StorageError
from image_cache.files.build import FileOpener
from image_cache.files.disk.index import PendingFile, StoredFile
from image_cache.files.download.checksums import content_range
from image_cache.files.paths import parse_remote
from image_cache.imaging.decoder import Decoder
from image_cache.models import StreamImage
from image_cache.net.lazy_client import make_fetcher, make_policy
from image_cache.resources import own_command
from image_cache.storage.factory import open_storage
from image_cache.units import megabytes

SHOWN_ADDRESSES = 4
MAX_ANNOUNCED_BYTES = 1 << 62  # no body is read, so any announced length will do


@click.command("probe", cls=MaintenanceCommand, is_reading=True)
@click.argument("what", required=False, default="", metavar="URL")
@urls("this URL; repeatable")
def probe(context: CommandContext, what: str, urls: tuple[str, ...]) -> int:
    """Test whether a URL can be downloaded, without storing it.

    For a known large file or a URL below IMAGE_SERVER, only the first byte is requested. For the VinylVault URL of a stream image,
    the original is read. The exit status is 0 if it can be downloaded and decoded, 2 if not.
    """
    urls = urls or ((what,) if what else ())
    if not urls:
        raise CacheError(f"probe needs a URL: {own_command('probe URL')}")
    return max([_probe(context, url) for url in urls])


def _probe(context: CommandContext, url: str) -> int:
    steps: list[tuple[str, str]] = []
    error: CacheError | None = None
    image, known = _known(context, url)
    is_file = known is not None or (bool(context.settings.IMAGE_SERVER) and "://" not in url and image is None)
    try:
        if image is not None:
            _read_original(context, image, steps)
        elif is_file:
            _ask_for_file(context, known.url if known else url, steps)
        else:
            _fetch_and_decode(context, url, steps)
    except (OriginError, ImageRejected, DecoderFailed, StorageError) as found:
        error = found
    if isinstance(error, ImageRejected | OriginTooLarge) and image is None:
        steps += _steps_as_file(context, url)
    context.out.rows(steps)
    if error is not None:
        kind = getattr(error, "kind", "failed")
        again = "VinylVault will retry automatically." if error.retryable else "Retrying will not help."
        context.out.wrapped("", f"Failed ({kind}): {error}. {again} {error.hint}".strip())
    else:
        what = (
            "OK: the original can be read."
            if image
            else "OK: the file can be downloaded."
            if is_file
            else "OK: the image can be downloaded and decoded."
        )
        context.out.line(what)
    context.out.json({"url": url, "ok": error is None, "error": str(error) if error else "", "steps": dict(steps)})
    return 0 if error is None else 2


def _known(context: CommandContext, url: str) -> tuple[StreamImage | None, StoredFile | PendingFile | None]:
    """Return the stream image or the file of a URL. Without readable databases it is taken for a cover: their origins still answer."""
    try:
        stored, pending = find_file(context, url)
        return find_image(context, url), stored or pending
    except DatabaseError:
        return None, None


def _fetch_and_decode(context: CommandContext, url: str, steps: list[tuple[str, str]]) -> None:
    """Append a step for each thing that worked. Raises what stopped it."""
    found = identify(url)
    steps.append(("Identity", found.name if found.name != url else "same as the URL"))
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
    fresh = "no lifetime given" if fetched.fresh_s is None else f"fresh for {fetched.fresh_s / 3600:.1f} h"
    steps.append(("Validators", f"ETag {fetched.etag or 'none'}, Last-Modified {fetched.last_modified or 'none'}; {fresh}"))
    steps.append(("Image", _decoded(context, fetched.body)))


def _decoded(context: CommandContext, body: bytes) -> str:
    decoder = Decoder(context.settings.decode_budget_bytes)
    try:
        facts = decoder.probe(body)
    finally:
        decoder.close()
    return f"{facts.format}, {facts.width} \N{MULTIPLICATION SIGN} {facts.height} px"


def _read_original(context: CommandContext, image: StreamImage, steps: list[tuple[str, str]]) -> None:
    """Read the original of a stream image from its storage and decode it."""
    steps.append(("Image", f"{image.title or image.filename}, of /streams/{image.stream_id}"))
    body = open_storage(context.settings).get(image.file_path)
    if body is None:
        raise StorageError(image.file_path, "the original is missing; restore a backup")
    steps.append(("Original", f"{len(body):,} bytes: {image.file_path}"))
    if len(body) != image.size_bytes:
        raise StorageError(image.file_path, f"it should have {image.size_bytes:,} bytes; restore a backup")
    steps.append(("Format", _decoded(context, body)))


def _ask_for_file(context: CommandContext, url: str, steps: list[tuple[str, str]]) -> None:
    """Ask for the first byte of a file: whether it can be had, how large it is, and whether a cut can be resumed."""
    target = parse_remote(url, context.settings.IMAGE_SERVER)
    steps.append(("File", f"{target.name}, {target.shown}"))
    opener = FileOpener(context.settings)
    try:
        opener.check(target.url)
        parsed = urlsplit(target.url)
        steps.append(
            ("Address", f"allowed; {_addresses(parsed.hostname or '', parsed.port or (443 if parsed.scheme == 'https' else 80))}")
        )
        started = time.monotonic()
        with opener.open(
            target.url, headers={"Range": "bytes=0-0"}, accepted=frozenset({200, 206}), max_bytes=MAX_ANNOUNCED_BYTES
        ) as answer:
            took_s = time.monotonic() - started
            part = content_range(answer.headers) if answer.status == 206 else None
            length = part.total if part is not None else answer.length
            shown = "an unknown number of" if length is None else f"{length:,}"
            steps.append(("Answer", f"status {answer.status}, {shown} bytes, in {took_s:.2f} s"))
            steps.append(
                ("If interrupted", "resumes where it stopped" if answer.status == 206 else "starts again from the beginning")
            )
            validators = [f"{name} {answer.headers.get(name, 'none')}" for name in ("ETag", "Last-Modified")]
            steps.append(("Validators", ", ".join(validators)))
    finally:
        opener.close()
    limit = context.vault.file_limits().budget_bytes
    if length is not None and length > limit:
        steps.append(("Limit", f"it is larger than the limit for all files together, {megabytes(limit)}"))


def _steps_as_file(context: CommandContext, url: str) -> list[tuple[str, str]]:
    """Say whether a response that is not an image could be fetched as a file."""
    steps: list[tuple[str, str]] = []
    try:
        _ask_for_file(context, url, steps)
    except OriginError:
        return []
    return [("As a file", f"it can be downloaded at /files; {dict(steps)['Answer']}")]


def _addresses(host: str, port: int) -> str:
    try:
        found = dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        return f"host name not found ({error.strerror or error})"
    return f"at {', '.join(list(found)[:SHOWN_ADDRESSES])}"
