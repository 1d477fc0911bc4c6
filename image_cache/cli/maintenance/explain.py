"""`explain`: what is known about one cover, file or stream image, and why it is shown or missing."""

import hashlib
import os
import re

import click

from image_cache.cli.command import MaintenanceCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.maintenance.explain_others import Explanation, explain_file, explain_image, find_file, find_image, near_files
from image_cache.cli.maintenance.report import READ_FLAGS, clock_time
from image_cache.cli.params import urls
from image_cache.covers import NAMESPACE
from image_cache.covers.identity import identify
from image_cache.covers.states import BASE_VARIANTS, is_given_up, is_resting
from image_cache.db.database import DatabaseError
from image_cache.engine.index import IndexEntry
from image_cache.engine.job import QueuedJob
from image_cache.engine.jobs import PAGE, VISIBLE
from image_cache.engine.key import DIGEST, Key
from image_cache.engine.registry import ImageRecord
from image_cache.errors import CacheError
from image_cache.frozen import frozen
from image_cache.resources import own_command

WHEN = "%Y-%m-%d %H:%M:%S"
PRIORITIES = {VISIBLE: "being viewed", PAGE: "on a recently opened page"}
OUR_URL = re.compile(r"/cache/[^/]+/([0-9a-f]{64})\.")
SHOWN_RECORDS = 5


@frozen
class VariantState:
    """Whether a size of the cover is stored intact, and what is to be said about it."""

    is_intact: bool
    message: str


@click.command("explain", cls=MaintenanceCommand, is_reading=True)
@click.argument("what", required=False, default="", metavar="URL|DIGEST")
@urls("this URL; the same as the argument")
def explain(context: CommandContext, what: str, urls: tuple[str, ...]) -> int:
    """Explain one cover, large file or stream image: what it is, where it is stored, and why it is missing.

    Give its URL at the origin, its VinylVault URL, its digest, or the name of a file, also in a registry. The exit status is 0 if it is stored, 1 if not, 2 if it is unknown.
    """
    asked = what or next(iter(urls), "")
    if not asked:
        raise CacheError(f"explain needs a URL or a digest: {own_command('explain URL')}")
    known = explained(context, asked)
    if known is None:
        why = _why_unknown(context, asked)
        context.out.wrapped("", why)
        context.out.json({"asked": asked, "known": False, "why": why})
        return 2
    context.out.rows([*known.facts.items(), *known.variants.items()])
    context.out.line()
    context.out.wrapped("", known.why)
    more = {"digest": known.digest, "variants": known.variants} if known.digest else {}
    context.out.json({"asked": asked, "known": True, "why": known.why, **more, "facts": known.facts})
    return 0 if known.is_stored else 1


def explained(context: CommandContext, asked: str) -> Explanation | None:
    """Return what is known about a cover, a file or a stream image; None if it is none of them. Raises `DatabaseError`."""
    asked = asked.encode("utf-8", "replace").decode("utf-8")  # bytes that are no text are in no database
    image = _find(context, asked)
    if image is None:
        return _find_other(context, asked)
    stored = _stored(context, image)
    facts = {
        "Identity": image.identity,
        "URL": image.url,
        "Host": image.lane,
        "Key": f"{NAMESPACE}/{image.digest}",
        "Records": ", ".join(_records(context, image)) or "none",
        "Image": f"{image.width} \N{MULTIPLICATION SIGN} {image.height} px, average colour {image.average}"
        if image.width
        else "never downloaded",
        "Last fetch": clock_time(image.fetched_at, WHEN) if image.fetched_at else "never",
        "Fresh until": clock_time(image.fresh_until, WHEN) if image.fresh_until else "-",
        "Failures": f"{image.failures} in a row; last: {image.failure}" if image.failures else "none",
        "Next retry": _next_try(context, image),
    }
    variants = {name: state.message for name, state in stored.items()}
    is_stored = any(state.is_intact for state in stored.values())
    return Explanation(facts, _why(context, image, stored), is_stored, variants, image.digest)


def _find(context: CommandContext, asked: str) -> ImageRecord | None:
    """Find the image by its digest, by our URL of it, or by any spelling of the URL at its origin."""
    found = OUR_URL.search(asked)
    digest = asked if DIGEST.fullmatch(asked) else found[1] if found else ""
    if digest:
        return context.vault.registry.get(digest)
    return context.vault.registry.find(NAMESPACE, identify(asked).name)


def _find_other(context: CommandContext, asked: str) -> Explanation | None:
    """Explain an image of a stream or a large file; None if it is neither."""
    image = find_image(context, asked)
    if image is not None:
        return explain_image(context, image)
    stored, pending = find_file(context, asked)
    return explain_file(context, stored, pending) if stored or pending else None


def _stored(context: CommandContext, image: ImageRecord) -> dict[str, VariantState]:
    """Return the state of each size: the base ones, and those that were made on demand."""
    index = context.vault.index
    sizes = index.variants_of([image.digest]).get(image.digest, set())
    states = {}
    for variant in (*BASE_VARIANTS, *sorted(sizes - set(BASE_VARIANTS))):
        key = Key(NAMESPACE, variant, image.digest)
        states[variant] = _file_state(context, key, index.find(key))
    return states


def _file_state(context: CommandContext, key: Key, row: IndexEntry | None) -> VariantState:
    path = context.vault.cache.disk.root / key.path
    try:
        fd = os.open(path, READ_FLAGS)
        with os.fdopen(fd, "rb") as file:
            body = file.read()
    except FileNotFoundError:
        return VariantState(False, "lost: in the index, but the file is missing" if row else "not rendered yet")
    except OSError as error:
        return VariantState(False, f"cannot be read ({os.strerror(error.errno or 0)}): {path}")
    if row is None:
        return VariantState(False, f"not in the index: {path}")
    is_intact = len(body) == row.size_bytes and row.sha256 in (None, hashlib.sha256(body).digest())
    return VariantState(is_intact, f"{'stored' if is_intact else 'truncated'}, {len(body):,} bytes: {path}")


def _next_try(context: CommandContext, image: ImageRecord) -> str:
    now = context.clock()
    if image.failures and image.is_final and is_resting(image, now):
        return f"{clock_time(image.retry_at, WHEN)}, not earlier, because this failure is permanent"
    return clock_time(image.retry_at, WHEN) if is_resting(image, now) else "when next requested"


def _why(context: CommandContext, image: ImageRecord, stored: dict[str, VariantState]) -> str:
    now = context.clock()
    if any(stored[variant].is_intact for variant in BASE_VARIANTS):
        fresh = image.fresh_until is not None and now < image.fresh_until
        return (
            "Cached and fresh."
            if fresh
            else "Cached but stale: served as is and refreshed in the background on the next request."
        )
    paused = {lane: (until, reason) for lane, until, reason in context.vault.jobs.paused_hosts()}
    if is_given_up(image, now):
        return f"Given up after {image.failures} failures; last: {image.failure}. To test it now: {own_command('probe URL')}"
    if image.lane in paused:
        until, reason = paused[image.lane]
        return f"Requests to {image.lane} are paused until {clock_time(until)} ({reason}). It is retried automatically."
    if is_resting(image, now):
        return f"The last download failed ({image.failure}). Next retry at {clock_time(image.retry_at)}."
    job = context.vault.jobs.find(image.digest)
    if job is not None:
        return _why_queued(context, job)
    return "Not cached and not queued. It is queued when someone opens it, or by housekeeping within a minute."


def _why_queued(context: CommandContext, job: QueuedJob) -> str:
    if job.leased_until > context.clock():
        return "Downloading now."
    kind = PRIORITIES.get(job.priority, "not viewed yet")
    idle = "" if context.service.answers() else " The service is not running, so the queue is stopped."
    return f"Queued ({kind}), {job.ahead:,} ahead of it.{idle}"


def _why_unknown(context: CommandContext, asked: str) -> str:
    if context.vault.cache.is_adopting:
        return "The index is being rebuilt. Try again in a minute."
    if DIGEST.fullmatch(asked):
        return "Unknown digest. Clearing the cache or changing the image size or quality gives every cover a new digest."
    if near := near_files(context, asked):
        return f"Unknown: no record, file or stream has it.{near}"
    return "Unknown URL: no record and no file uses it. VinylVault only downloads registered URLs."


def _records(context: CommandContext, image: ImageRecord) -> list[str]:
    def is_same(url: str) -> bool:
        return url == image.url or identify(url).name == image.identity

    try:
        return [f"/album/{album_id}" for album_id in context.vault.records_with_cover(is_same, SHOWN_RECORDS)]
    except DatabaseError:
        return ["the catalogue cannot be read"]
