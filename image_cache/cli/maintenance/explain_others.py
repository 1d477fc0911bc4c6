"""`explain` for what is no cover: a large file, by its address at the origin or here, and an image of a stream."""

import os
import re
from dataclasses import field

from image_cache.cli.context import CommandContext
from image_cache.cli.maintenance.report import clock_time
from image_cache.db.open_catalog import has_catalog
from image_cache.engine.disk import DiskTier
from image_cache.errors import NotVisible, OriginDenied, StorageError
from image_cache.files.disk.index import PendingFile, StoredFile
from image_cache.files.near_names import did_you_mean
from image_cache.files.paths import DIGEST, parse_remote, part_path
from image_cache.files.registries.registry import RegistryFolder
from image_cache.frozen import frozen
from image_cache.models import StreamImage
from image_cache.resources import own_command
from image_cache.streams import StreamImageCache
from image_cache.streams.table import StreamTable
from image_cache.streams.upload.validation import checked_image_id

WHEN = "%Y-%m-%d %H:%M:%S"
OUR_FILE = re.compile(r"/files/([0-9a-f]{32})(?:[/?#]|$)")
OUR_IMAGE = re.compile(r"/(?:streams/[^/]+/images|api/images)/([^/?#]+)")


@frozen
class Explanation:
    """What is known about one thing, and why it is shown or missing."""

    facts: dict[str, str]
    why: str
    is_stored: bool
    variants: dict[str, str] = field(default_factory=dict)  # of a cover: what is to be said about each size
    digest: str = ""  # of a cover


def find_image(context: CommandContext, asked: str) -> StreamImage | None:
    """Return the image of a stream that has this address here. Raises `DatabaseError`."""
    found = OUR_IMAGE.search(asked)
    if found is None or not has_catalog(context.settings):
        return None
    try:
        row = StreamTable(context.vault.catalog).image(checked_image_id(found[1]))
    except NotVisible:
        return None
    return None if row is None else row[1]


def find_file(context: CommandContext, asked: str) -> tuple[StoredFile | None, PendingFile | None]:
    """Return what is known of the file with this address, at its origin or here, with this digest, or that a registry calls so.

    Raises `DatabaseError`.
    """
    if not (context.settings.files_dir / "files.db").exists():
        return None, None
    found = OUR_FILE.search(asked)
    try:
        named = _named(context, asked)
        digest = named or (
            asked if DIGEST.fullmatch(asked) else found[1] if found else parse_remote(asked, context.settings.IMAGE_SERVER).digest
        )
    except OriginDenied:
        return None, None
    return context.vault.files.find(digest), context.vault.files.pending(digest)


def near_files(context: CommandContext, asked: str) -> str:
    """Return ` Did you mean a or b?` with the names of files, stored or in a registry, that are like this one; else nothing."""
    if "://" in asked:
        return ""
    try:
        names = _registries(context).file_names()
    except StorageError:
        names = []
    if (context.settings.files_dir / "files.db").exists():
        names += [file.name for file in context.vault.files.files()]
    return did_you_mean(asked, names)


def _named(context: CommandContext, asked: str) -> str:
    """Return the digest of the file that a registry or its URL calls so; empty if none does, or several mean different files."""
    if "://" in asked:
        return ""
    try:
        found = {file.remote().digest for file in _registries(context).named(asked)}
    except (OriginDenied, StorageError):
        found = set()
    found = found or {file.digest for file in context.vault.files.files() if file.name == asked}
    return found.pop() if len(found) == 1 else ""


def _registries(context: CommandContext) -> RegistryFolder:
    return RegistryFolder(context.settings.file_registries_dir, context.settings.IMAGE_SERVER)


def explain_image(context: CommandContext, image: StreamImage) -> Explanation:
    """Say where the original and the rendered sizes of an image are. Nothing is fetched: the image has no other origin."""
    settings, vault = context.settings, context.vault
    key = StreamImageCache.key(image.image_id)
    names = vault.streams.variants_of([key.digest]).get(key.digest, set()) if vault.streams.database.path.exists() else set()
    sizes = {name: _size_state(vault.stream_disk, image, name) for name in sorted(names)}
    facts = {
        "Image": image.title or image.filename,
        "Stream": f"/streams/{image.stream_id}",
        "Visible to": image.visibility.value,
        "Uploaded": image.created_at,
        "Format": f"{image.format}, {image.dimensions[0]} \N{MULTIPLICATION SIGN} {image.dimensions[1]} px, {image.size_bytes:,} bytes",
    }
    if settings.STORAGE != "local":
        return Explanation(
            {**facts, "Original": f"{image.file_path} in the S3 storage", **sizes},
            f"The original is in the S3 storage. To test it: {own_command('probe URL')}",
            True,
        )
    path = settings.stream_images_dir / image.file_path
    try:
        found = path.stat().st_size
    except OSError as error:
        why = "The original is missing, so missing sizes cannot be rendered. Restore a backup."
        return Explanation({**facts, "Original": f"{os.strerror(error.errno or 0)}: {path}", **sizes}, why, False)
    facts["Original"] = f"{'stored' if found == image.size_bytes else 'wrong size'}, {found:,} bytes: {path}"
    if found != image.size_bytes:
        return Explanation(
            {**facts, **sizes}, "The original does not have the size it was uploaded with. Restore a backup.", False
        )
    why = "Stored. A missing size is rendered from the original when someone opens it."
    return Explanation({**facts, **sizes}, why, True)


def explain_file(context: CommandContext, stored: StoredFile | None, pending: PendingFile | None) -> Explanation:
    """Say where a file is and how fresh, and what its fetch is waiting for. One of the two is known."""
    facts: dict[str, str] = {}
    if (known := stored or pending) is not None:
        facts = {"File": known.name, "URL": known.remote.shown, "Host": known.remote.host, "Key": f"files/{known.digest}"}
    whys = []
    is_intact = False
    if stored is not None:
        is_intact, more = _stored_facts(context, stored)
        facts |= more
        whys.append(_why_stored(context, stored, is_intact=is_intact))
    if pending is not None:
        facts |= _pending_facts(context, pending)
        whys.append(_why_pending(context, pending))
    return Explanation(facts, " ".join(whys), is_intact)


def _size_state(disk: DiskTier, image: StreamImage, variant: str) -> str:
    path = disk.root / StreamImageCache.key(image.image_id, variant).path
    try:
        return f"stored, {path.stat().st_size:,} bytes: {path}"
    except OSError as error:
        return f"{os.strerror(error.errno or 0)}: {path}"


def _stored_facts(context: CommandContext, stored: StoredFile) -> tuple[bool, dict[str, str]]:
    path = context.settings.files_dir / stored.path
    try:
        found = path.stat().st_size
        is_intact = found == stored.size_bytes and not stored.is_corrupt
        state = f"{'stored' if is_intact else 'corrupt'}, {found:,} bytes: {path}"
    except OSError as error:
        is_intact, state = False, f"{os.strerror(error.errno or 0)}: {path}"
    return is_intact, {
        "Bytes": state,
        "SHA-256": stored.sha256,
        "Stored": _clock_time(stored.stored_at),
        "Fresh until": _clock_time(_fresh_until(context, stored)),
        "Used": f"{stored.hits:,} times, last at {_clock_time(stored.used_at)}",
    }


def _why_stored(context: CommandContext, stored: StoredFile, *, is_intact: bool) -> str:
    if not is_intact:
        return f"Corrupt: it does not match its checksum and is not served. To download it again: /files/{stored.digest}"
    if context.clock() < _fresh_until(context, stored):
        return "Cached and fresh."
    return (
        "Cached but stale: VinylVault checks for a newer version on next use, and serves this one if the origin does not respond."
    )


def _pending_facts(context: CommandContext, pending: PendingFile) -> dict[str, str]:
    part = part_path(context.settings.files_dir, pending.digest)
    try:
        done = part.stat().st_size
    except OSError:
        done = 0
    total = "an unknown number" if pending.total_bytes is None else f"{pending.total_bytes:,}"
    return {
        "Fetch": f"{pending.state}, {done:,} of {total} bytes",
        "Failures": f"{pending.failures} in a row; last: {pending.reason}" if pending.reason else "none",
        "Next retry": _clock_time(pending.retry_at)
        if pending.retry_at
        else "when it reaches the front of the queue"
        if pending.state == "waiting"
        else "-",
    }


def _why_pending(context: CommandContext, pending: PendingFile) -> str:
    if pending.state == "failed":
        return (
            f"Download failed for good: {pending.reason}. To download it again: /files."
            f" To test the URL: {own_command('probe URL')}"
        )
    if pending.state == "paused":
        return "Download paused. Resume it at /files."
    if pending.state == "waiting" and context.vault.limits().paused_at is not None:
        return "An operator paused fetching. Resume it at /admin/cache."
    is_served = context.service.answers()
    if pending.state == "working":
        return (
            "Downloading now." if is_served else "A command is downloading it, or was interrupted. The next request resumes it."
        )
    return "Queued." if is_served else "Queued. The service is not running, so the queue is stopped."


def _fresh_until(context: CommandContext, stored: StoredFile) -> float:
    return stored.checked_at + (context.vault.file_limits().ttl_s if stored.ttl_s is None else stored.ttl_s)


def _clock_time(at: float) -> str:
    return clock_time(at, WHEN)
