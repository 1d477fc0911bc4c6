"""View models of large files: one row each, in words and in numbers, for pages and API."""

import dataclasses
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from image_cache.files.listing import Entry, Fetching
from image_cache.frozen import frozen
from image_cache.units import counted, size
from image_cache.web.context import services
from image_cache.web.template_helpers import rough

if TYPE_CHECKING:
    from image_cache.files.download.attempts import Attempt
    from image_cache.files.registries.groups import FileGroup

LAMPS = {"fresh": "well", "stale": "waiting", "corrupt": "failed"}
FETCH_LAMPS = {"working": "working", "waiting": "waiting", "paused": "waiting", "cut": "warning", "failed": "failed"}
DAY_S = 86400.0


@frozen
class FileRow:
    """One row of the page. `actions`: (value of the button, its label); `share` None: no progress to show."""

    entry: Entry
    lamp: str
    says: str
    share: float | None
    size: str
    stays: str
    checksum: str
    actions: tuple[tuple[str, str], ...]


def file_row(entry: Entry) -> FileRow:
    fetch = entry.fetch
    lamp, says = (FETCH_LAMPS[fetch.state], _fetch_says(fetch)) if fetch else (LAMPS[entry.state], _kept_says(entry))
    return FileRow(
        entry=entry,
        lamp=lamp,
        says=says,
        share=_share(fetch) if fetch and (fetch.state != "failed" or fetch.done_bytes) else None,
        size=size(entry.size_bytes or (fetch.total_bytes if fetch else 0) or 0)
        if entry.size_bytes or (fetch and fetch.total_bytes)
        else "",
        stays=_stays(entry),
        checksum=f"SHA-256 {entry.sha256[:4]} {entry.sha256[4:8]}" if entry.sha256 else "",
        actions=_actions(entry),
    )


@frozen
class GroupRow:
    """One registry in a list. `share`: of its files, from 0 to 1."""

    name: str
    state: str
    lamp: str
    says: str
    share: float
    size: str
    actions: tuple[tuple[str, str], ...]


def group_row(group: "FileGroup") -> GroupRow:
    failed = group.count("failed")
    actions = []
    if group.count("working", "waiting"):
        state, lamp = "working", "working"
        actions.append(("pause", "Pause all"))
    elif group.count("paused"):
        state, lamp = "paused", "waiting"
    elif failed:
        state, lamp = "failed", "failed"
    else:
        state, lamp = ("done", "well") if group.done == group.total else ("absent", "waiting")
    if group.count("paused"):
        actions.append(("resume", "Resume all"))
    if failed:
        actions.append(("retry", f"Retry the {failed} failed"))
    if state == "absent" or (group.count("absent") and state != "working"):
        actions.append(("fetch", "Download all"))
    parts = [f"{group.done:,} of {counted(group.total, 'file')}", size(group.done_bytes)]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"about {rough(group.eta_s)} left"] if group.eta_s is not None else []
    return GroupRow(group.name, state, lamp, ", ".join(parts), group.done / group.total, size(group.done_bytes), tuple(actions))


def open_groups(entries: list[Entry]) -> tuple[list[GroupRow], set[str]]:
    """Return a row for each registry that is being downloaded, and the digests of the files that the rows stand for.

    Stored files keep their own rows.
    """
    groups = [group for group in services().files.groups.all(entries) if group.is_open]
    hidden = {member.digest for group in groups for member in group.members if member.state not in ("done", "absent")}
    return [group_row(group) for group in groups], hidden


def as_json(entry: Entry, *, with_figures: bool = False) -> dict[str, Any]:
    """Return a file for the API, with the words of the page; `with_figures` also those of a running download."""
    row = file_row(entry)
    facts: dict[str, Any] = {name: getattr(entry, name) for name in Entry.__match_args__ if name != "fetch"}
    fetch = None if entry.fetch is None else dataclasses.asdict(entry.fetch)
    figures = {"figures": fetch_figures(entry.fetch) if entry.fetch else []} if with_figures else {}
    return {**facts, "fetch": fetch, "lamp": row.lamp, "says": row.says, "share": row.share, **figures}


def file_stats() -> dict[str, Any]:
    """Return the figures of the file cache, without its folder: a page does not show paths of the server."""
    figures = services().files.stats()
    figures.pop("cache_dir")
    return figures


def _share(fetch: Fetching) -> float | None:
    """Return the share of a file that is there, from 0 to 1; None while its length is unknown."""
    return min(1.0, fetch.done_bytes / fetch.total_bytes) if fetch.total_bytes else None


def _fetch_says(fetch: Fetching) -> str:
    come = size(fetch.done_bytes)
    if fetch.state == "working":
        share = _share(fetch)
        parts = [f"{come} so far" if share is None else f"{share:.0%}"]
        if fetch.bytes_per_s:
            parts.append(f"{size(int(fetch.bytes_per_s))}/s")
        if fetch.eta_s is not None:
            parts.append(f"{rough(fetch.eta_s)} left")
        return ", ".join(parts)
    if fetch.state == "waiting" and fetch.retry_at > time.time():
        again = time.strftime("%H:%M", time.localtime(fetch.retry_at))
        return (
            f"Interrupted at {come}, resumes at {again}" if fetch.done_bytes else f"{_sentence(fetch.reason)}, retry at {again}"
        )
    if fetch.state == "waiting":
        return "Waiting" if fetch.place <= 1 else f"Queued, position {fetch.place}"
    if fetch.state == "failed":
        return _sentence(fetch.reason) or "Failed"
    return f"{fetch.state.capitalize()} at {come}"


def fetch_figures(fetch: Fetching) -> list[tuple[str, str]]:
    """Return the figures of a running download: (name, value), without what is unknown."""
    share = _share(fetch)
    figures = [("Downloaded", size(fetch.done_bytes) if share is None else f"{share:.0%}")]
    if fetch.total_bytes:
        figures.append(("Size", f"{size(fetch.done_bytes)} of {size(fetch.total_bytes)}"))
    if fetch.bytes_per_s:
        figures.append(("Speed", f"{size(int(fetch.bytes_per_s))}/s"))
    if fetch.eta_s is not None:
        figures.append(("Time left", rough(fetch.eta_s)))
    return figures


@frozen
class AttemptRow:
    """One attempt in words. `source`: the host that it asked."""

    number: int
    began_at: float
    source: str
    lamp: str
    says: str
    received: str


def attempt_rows(attempts: "list[Attempt]", entry: Entry) -> list[AttemptRow]:
    """Return the attempts of a file, the latest first."""
    rows = []
    for place, attempt in enumerate(attempts):
        number = len(attempts) - place
        is_running = place == 0 and attempt.ended_at is None and entry.fetch is not None and entry.fetch.state == "working"
        if is_running:
            lamp, says = "working", "Downloading"
        elif attempt.ended_at is None:
            lamp, says = "warning", "Interrupted"
        else:
            lamp, says = ("warning", _sentence(attempt.result)) if attempt.result else ("well", "Done")
        if attempt.from_bytes:
            says += f", resumed at {size(attempt.from_bytes)}"
        received = attempt.received_bytes
        if is_running and entry.fetch is not None:
            received = max(0, entry.fetch.done_bytes - attempt.from_bytes)
        rows.append(AttemptRow(number, attempt.began_at, urlsplit(attempt.source).netloc, lamp, says, size(received)))
    return rows


def _kept_says(entry: Entry) -> str:
    if entry.state == "corrupt":
        return "Checksum mismatch, not served"
    return "Verified" if entry.state == "fresh" else "Verified, stale: checked for updates on next use"


def _stays(entry: Entry) -> str:
    if entry.is_pinned:
        return "pinned"
    if not entry.expires_at:
        return ""
    left = entry.expires_at - services().files.clock()
    if left <= 0:
        return "expired"
    return f"{round(left / DAY_S)} days" if left > 2 * DAY_S else rough(left)


def _actions(entry: Entry) -> tuple[tuple[str, str], ...]:
    if entry.fetch is None:
        return (("again", "Download again"),) if entry.state == "corrupt" else ()
    return {
        "working": (("pause", "Pause"), ("cancel", "Cancel")),
        "waiting": (("resume", "Retry now"), ("cancel", "Cancel")) if entry.fetch.retry_at else (("cancel", "Cancel"),),
        "paused": (("resume", "Resume"), ("cancel", "Cancel")),
        "cut": (("resume", "Resume now"), ("cancel", "Cancel")),
        "failed": (("resume", "Retry"), ("cancel", "Remove")),
    }[entry.fetch.state]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
