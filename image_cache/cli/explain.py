"""`explain URL|DIGEST`: everything that is known about one cover, and in the end why it is, or is not, to be seen."""

import hashlib
import os
import re
import socket
import time
from typing import Any

from image_cache.cli.context import CommandContext
from image_cache.cli.status import READING, clock_time
from image_cache.covers import NAMESPACE
from image_cache.covers.identity import identify
from image_cache.covers.states import BASE_VARIANTS, is_given_up, is_resting
from image_cache.db.database import DatabaseError
from image_cache.engine.index import IndexEntry
from image_cache.engine.jobs import PAGE, VISIBLE
from image_cache.engine.key import DIGEST, Key
from image_cache.engine.registry import COLUMNS, ImageRecord
from image_cache.errors import CacheError, DecoderFailed, ImageRejected, OriginError

WHEN = "%Y-%m-%d %H:%M:%S"
PRIORITIES = {VISIBLE: "somebody looks at it", PAGE: "on a page that was drawn"}


def explain(scene: CommandContext) -> int:
    """Exit status 0 when the picture is here, 1 when it is not, 2 when nobody knows it."""
    asked = scene.wanted.what or next(iter(scene.wanted.urls), "")
    if not asked:
        raise CacheError("explain needs an address or a digest: cache_monitor.py --action explain URL")
    image = _find(scene, asked)
    if image is None:
        why = _unknown(scene, asked)
        scene.out.wrapped("", why)
        scene.out.json({"asked": asked, "known": False, "why": why})
        return 2
    stored = _stored(scene, image)
    job = scene.reading.index.database.row("SELECT * FROM jobs WHERE digest = ?", (bytes.fromhex(image.digest),))
    why = _why(scene, image, stored, dict(job) if job else None)
    facts = {
        "Identity": image.identity,
        "Address": image.url,
        "Host": image.lane,
        "Key": f"{NAMESPACE}/{image.digest}",
        "Records": ", ".join(_records(scene, image)) or "none of the catalogue",
        "Picture": f"{image.width} x {image.height} px, average {image.average}" if image.width else "never seen",
        "Last fetch": clock_time(image.fetched_at, WHEN) if image.fetched_at else "never",
        "Fresh until": clock_time(image.fresh_until, WHEN) if image.fresh_until else "-",
        "Failures": f"{image.failures} in a row, the last: {image.failure}" if image.failures else "none",
        "Next try": _next_try(scene, image),
    }
    scene.out.rows([*facts.items(), *stored.items()])
    scene.out.line()
    scene.out.wrapped("", why)
    scene.out.json({"asked": asked, "known": True, "why": why, "digest": image.digest, "facts": facts, "variants": stored})
    return 0 if any(said.startswith("here") for said in stored.values()) else 1


def _find(scene: CommandContext, asked: str) -> ImageRecord | None:
    """Find the image by its digest, by an address of ours that holds it, or by the address of the origin, under any of its spellings."""
    found = re.search(r"/cache/[^/]+/([0-9a-f]{64})\.", asked)
    digest = asked if DIGEST.fullmatch(asked) else found[1] if found else ""
    if digest:
        return scene.reading.register.get(digest)
    row = scene.reading.index.database.row(
        f"SELECT {COLUMNS} FROM images WHERE namespace = ? AND identity = ?", (NAMESPACE, identify(asked).name)
    )
    return scene.reading.register.get(row["digest"].hex()) if row else None


def _stored(scene: CommandContext, image: ImageRecord) -> dict[str, str]:
    """Say for each size where its bytes are, and whether they are what their row says."""
    sizes = scene.reading.index.variants_of([image.digest]).get(image.digest, set())
    told = {}
    for variant in (*BASE_VARIANTS, *sorted(sizes - set(BASE_VARIANTS))):
        key = Key(NAMESPACE, variant, image.digest)
        told[variant] = _file(scene, key, scene.reading.index.find(key))
    return told


def _file(scene: CommandContext, key: Key, row: IndexEntry | None) -> str:
    path = scene.reading.cache.disk.root / key.path
    try:
        fd = os.open(path, READING)
        with os.fdopen(fd, "rb") as file:
            body = file.read()
    except FileNotFoundError:
        return "lost: its row is there, its file is not" if row else "not made yet"
    except OSError as error:
        return f"not readable ({os.strerror(error.errno or 0)}): {path}"
    if row is None:
        return f"without a row: {path}"
    is_whole = len(body) == row.size_bytes and row.sha256 in (None, hashlib.sha256(body).digest())
    return f"{'here' if is_whole else 'torn'}, {len(body):,} bytes: {path}"


def _next_try(scene: CommandContext, image: ImageRecord) -> str:
    now = scene.clock()
    if image.failures and image.is_final and is_resting(image, now):
        return f"{clock_time(image.retry_at, WHEN)}, not before: its failure is one that waiting does not mend"
    return clock_time(image.retry_at, WHEN) if is_resting(image, now) else "when it is asked for"


def _why(scene: CommandContext, image: ImageRecord, stored: dict[str, str], job: dict[str, Any] | None) -> str:
    now = scene.clock()
    if stored.get("thumbnails", "").startswith("here"):
        fresh = image.fresh_until is not None and now < image.fresh_until
        return (
            "It is here and fresh." if fresh else "It is here and stale: shown, and revalidated behind when somebody looks at it."
        )
    paused = {lane: (until, reason) for lane, until, reason in scene.reading.jobs.paused_hosts()}
    if is_given_up(image, now):
        return f"It was given up after {image.failures} failures, the last: {image.failure}. cache_monitor.py --action probe tries it."
    if image.lane in paused:
        until, reason = paused[image.lane]
        return f"Its host {image.lane} is paused until {clock_time(until)} ({reason}); it is tried again by itself."
    if is_resting(image, now):
        return f"The last try failed ({image.failure}); the next one is at {clock_time(image.retry_at)}."
    if job is not None:
        return _in_line(scene, job)
    return "It is not here and not queued; the first look at it, or the housekeeper within a minute, queues it."


def _in_line(scene: CommandContext, job: dict[str, Any]) -> str:
    if job["leased_until"] > scene.clock():
        return "It is being fetched right now."
    before = scene.reading.count(
        "SELECT count(*) FROM jobs WHERE priority < ? OR (priority = ? AND ready_at < ?)",
        job["priority"],
        job["priority"],
        job["ready_at"],
    )
    kind = PRIORITIES.get(job["priority"], "nobody has looked at it yet")
    idle = "" if scene.service.answers() else " The service does not run, so nothing moves."
    return f"It waits in line ({kind}), behind {before:,} others.{idle}"


def _unknown(scene: CommandContext, asked: str) -> str:
    if scene.reading.cache.is_adopting:
        return "The index is being rebuilt; nobody can tell yet."
    if DIGEST.fullmatch(asked):
        return "Nobody registered this digest. After a clear, or another size or quality, every cover has a new one."
    return "Nobody registered this address: no record has it. Only registered addresses are fetched."


def _records(scene: CommandContext, image: ImageRecord) -> list[str]:
    try:
        rows = scene.reading.catalog.rows("SELECT id, cover_url FROM albums WHERE cover_url IS NOT NULL")
    except DatabaseError:
        return ["the catalogue cannot be read"]
    return [f"/album/{row[0]}" for row in rows if row[1] == image.url or identify(row[1]).name == image.identity][:5]


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
    from image_cache.net.lazy_client import make_fetcher, make_policy

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
