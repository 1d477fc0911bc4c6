"""View models of large files: one row each, in words and in numbers, for pages and API."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

from image_cache.files.listing import Entry, Fetching
from image_cache.units import size
from image_cache.web.context import services
from image_cache.web.template_helpers import rough

LAMPS = {"fresh": "well", "stale": "waiting", "corrupt": "failed"}
FETCH_LAMPS = {"working": "working", "waiting": "waiting", "paused": "waiting", "cut": "warning", "failed": "failed"}
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
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


def as_json(entry: Entry) -> dict[str, Any]:
    """Return a file for the API, with the words of the page."""
    row = file_row(entry)
    facts = {name: getattr(entry, name) for name in Entry.__slots__ if name != "fetch"}
    fetch = None if entry.fetch is None else dataclasses.asdict(entry.fetch)
    return {**facts, "fetch": fetch, "lamp": row.lamp, "says": row.says, "share": row.share}


def file_stats() -> dict[str, Any]:
    """Return the figures of the file cache, without its folder: a page does not show paths of the server."""
    figures = services().files.stats()
    figures.pop("cache_dir")
    return figures


def _share(fetch: Fetching) -> float:
    return min(1.0, fetch.done_bytes / fetch.total_bytes) if fetch.total_bytes else 0.0


def _fetch_says(fetch: Fetching) -> str:
    come = size(fetch.done_bytes)
    if fetch.state == "working":
        parts = [f"{_share(fetch):.0%}" if fetch.total_bytes else come]
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


def _kept_says(entry: Entry) -> str:
    if entry.state == "corrupt":
        return "Checksum mismatch, not served"
    return "Verified" if entry.state == "fresh" else "Verified, stale: checked for updates on next use"


def _stays(entry: Entry) -> str:
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
