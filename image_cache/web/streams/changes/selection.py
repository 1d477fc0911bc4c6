"""Changes of many images: the forms of a selection, of titles and of the order, and taking the last one back."""

from typing import Any

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected, NotVisible
from image_cache.models import Stream
from image_cache.streams.changes.selection import COPY, MOVE, TRASH
from image_cache.units import counted, whole_number
from image_cache.visibility import may_edit
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.streams.view_models import image_views
from image_cache.web.streams.viewer import require_editor, viewer
from image_cache.web.streams.views import page_of

stream_selection = declare_access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY)(Blueprint("stream_selection", __name__))

WRITES = "120 per minute"
TITLE_OF, PLACE_OF = "title-", "place-"  # with the id of an image: the names of fields
MAX_PLACE = 999_999


@stream_selection.post("/streams/<slug>/selection")
@limiter.limit(WRITES)
def change(slug: str) -> AnyResponse:
    """Do what the button says to the selected images."""
    stream = _edited(slug)
    action, ids = request.form.get("action", ""), request.form.getlist("image")
    if action in (MOVE, COPY):
        target = _edited(request.form.get("to", ""))
        result, number = services().streams.selection.apply(viewer(), stream, action, ids, target)
    else:
        result, number = services().streams.selection.apply(viewer(), stream, action, ids)
    if action == TRASH and result.done:
        log_action("deletions", f"moved {counted(len(result.done), 'image')} to the trash", stream.title)
    return _back(slug, number)


@stream_selection.get("/streams/<slug>/move")
def ask_move(slug: str) -> AnyResponse:
    """Ask where the selected images go."""
    stream = _edited(slug)
    queries, me = services().stream_queries, viewer()
    chosen = set(request.args.getlist("image"))
    images = [image for image in queries.images(me, stream) if image.image_id in chosen]
    if not images:
        return redirect(f"/streams/{slug}?select=1", 303)
    limit = services().streams.limits.max_images
    targets: list[dict[str, Any]] = []
    for card in queries.streams(me):
        if card.may_edit and card.stream.id != stream.id:
            used = card.count + services().streams.trash.totals(card.stream)[0]
            targets.append({"stream": card.stream, "used": used, "is_full": used + len(images) > limit})
    return page_of(
        "streams/move.html", stream=stream, pictures=image_views(images, stream, me), targets=targets, max_images=limit
    )


@stream_selection.post("/streams/<slug>/titles")
@limiter.limit(WRITES)
def titles(slug: str) -> AnyResponse:
    """Save the titles of the form."""
    stream = _edited(slug)
    named = {name.removeprefix(TITLE_OF): text for name, text in request.form.items() if name.startswith(TITLE_OF)}
    _, number = services().streams.selection.set_titles(viewer(), stream, named)
    return _back(slug, number)


@stream_selection.post("/streams/<slug>/order")
@limiter.limit(WRITES)
def order(slug: str) -> AnyResponse:
    """Save the order by hand: the numbers of the form, lowest first, those with the same number in the order of the form."""
    stream = _edited(slug)
    places: list[tuple[int, str]] = []
    for name, text in request.form.items():
        if name.startswith(PLACE_OF):
            place = whole_number(text.strip(), 0, MAX_PLACE)
            if place is None:
                raise FieldRejected("place", "Each number must be a whole number, 0 or higher.")
            places.append((place, name.removeprefix(PLACE_OF)))
    ids = [image_id for _, image_id in sorted(places, key=lambda pair: pair[0])]
    _, number = services().streams.selection.set_order(viewer(), stream, ids)
    return _back(slug, number)


@stream_selection.post("/streams/<slug>/undo/<int:number>")
@limiter.limit(WRITES)
def undo(slug: str, number: int) -> AnyResponse:
    """Take back the last change that this account made."""
    stream = _edited(slug)
    result = services().streams.selection.undo(viewer(), stream, number, _other)
    return redirect(f"/streams/{slug}?done={'undone-in-part' if result.failed else 'undone'}", 303)


def _back(slug: str, number: int | None) -> AnyResponse:
    return redirect(f"/streams/{slug}" if number is None else f"/streams/{slug}?undo={number}", 303)


def _edited(slug: str) -> Stream:
    stream = services().stream_queries.stream(viewer(), slug)
    require_editor(stream)
    return stream


def _other(slug: str) -> Stream:
    stream = services().stream_queries.stream(viewer(), slug)
    if not may_edit(viewer(), stream):
        raise NotVisible
    return stream
