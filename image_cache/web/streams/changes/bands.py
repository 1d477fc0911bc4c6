"""The band at the foot of a stream: what the last change of many images did, and how it is taken back."""

from collections import Counter
from typing import Any

from flask import request

from image_cache.models import Stream
from image_cache.streams import TRASH_DAYS
from image_cache.streams.changes.selection import COPY, MOVE, ORDER, PLAIN, SENSITIVE, TITLES, TRASH
from image_cache.units import whole_number
from image_cache.web.context import services
from image_cache.web.streams.viewer import viewer

MAX_NUMBER = 2**62
WORDS = {
    "public": "saved as public",
    "subscribers": "saved for subscribers",
    "private": "saved as private",
    SENSITIVE: "marked as sensitive",
    PLAIN: "not sensitive any more",
    TRASH: "moved to the trash",
}


def undo_band(stream: Stream) -> dict[str, Any] | None:
    """Return the sentence of the change that `?undo=` of this request names, and its number; None if it cannot be undone any more."""
    number = whole_number(request.args.get("undo", ""), 1, MAX_NUMBER)
    undo = None if number is None else services().streams.selection.last(viewer(), number)
    if undo is None or undo.stream_id != stream.id:
        return None
    count = len(undo.before.get("images", ()))
    says = _sentence(undo.action, count, undo.before.get("target", "")) if count or undo.action == ORDER else ""
    if undo.failed:
        reasons = Counter(undo.failed.values()).most_common()
        says += f" {len(undo.failed):,} not: " + " ".join(reason for reason, _ in reasons)
    return {
        "number": undo.number,
        "says": says.strip(),
        "can_undo": bool(count) or undo.action == ORDER,
        "is_trash": bool(count) and undo.action == TRASH,
    }


def trashed_by(stream: Stream) -> list[str]:
    """Return the ids of the images that the change of `?undo=` of this request moved to the trash."""
    number = whole_number(request.args.get("undo", ""), 1, MAX_NUMBER)
    undo = None if number is None else services().streams.selection.last(viewer(), number)
    is_ours = undo is not None and undo.stream_id == stream.id and undo.action == TRASH
    return list(undo.before["images"]) if undo is not None and is_ours else []


def _sentence(action: str, count: int, target: str) -> str:
    images = f"{count:,} {'image' if count == 1 else 'images'}"
    if action == ORDER:
        return "Order saved."
    if action == TITLES:
        return f"{count:,} {'title' if count == 1 else 'titles'} saved."
    if action in (MOVE, COPY):
        other = services().streams.find_stream(target)
        title = f"“{other.title}”" if other else "another stream"
        return f"{images} {'moved' if action == MOVE else 'copied'} to {title}."
    stays = f" {'It stays' if count == 1 else 'They stay'} there for {TRASH_DAYS} days." if action == TRASH else ""
    return f"{images} {WORDS[action]}.{stays}"
