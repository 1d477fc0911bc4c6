"""How a viewer looks at a stream: rows or squares, and the order. The cookie of the session remembers it, stream by stream."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from flask import request, session

from image_cache.text import fold
from image_cache.web.streams.view_models import ImageView, event_words

FIELD = "looks"
LAYOUTS = ("rows", "squares")
HAND, TAKEN, ADDED, TITLE = "hand", "taken", "added", "title"
ORDERS = {HAND: "By hand", TAKEN: "Date taken", ADDED: "Date added", TITLE: "Title"}
MODES = ("select", "titles", "order")
MAX_STREAMS = 12  # a cookie takes 4 KB


def orders_of(*, may_see_taken: bool) -> dict[str, str]:
    """Return the orders that a viewer may choose: one by dates would tell what is not shown."""
    return {name: words for name, words in ORDERS.items() if may_see_taken or name != TAKEN}


def look_of(slug: str, orders: Mapping[str, str]) -> tuple[str, str]:
    """Return the layout and order of a stream: what the URL says, which is remembered, else what it said before."""
    known = session.get(FIELD)
    looks = dict(known) if isinstance(known, dict) else {}
    layout, _, order = str(looks.get(slug, "")).partition(" ")
    layout, order = layout if layout in LAYOUTS else LAYOUTS[0], order if order in orders else HAND
    asked = (request.args.get("view", layout), request.args.get("order", order))
    asked = (asked[0] if asked[0] in LAYOUTS else layout, asked[1] if asked[1] in orders else order)
    if asked != (layout, order):
        looks.pop(slug, None)
        looks[slug] = " ".join(asked)
        session[FIELD] = dict(list(looks.items())[-MAX_STREAMS:])
    return asked


def in_order(pictures: Sequence[ImageView], order: str) -> list[ImageView]:
    """Return images in an order: the first taken first, the last added first, or by the title that the viewer sees."""
    if order == TAKEN:
        return sorted(pictures, key=lambda one: (not one.image.taken_at, one.image.taken_at))
    if order == ADDED:
        return sorted(pictures, key=lambda one: (one.image.created_at, one.image.number), reverse=True)
    return sorted(pictures, key=lambda one: fold(one.image.title or (one.image.filename if one.may_edit else "")))


def by_day(pictures: Sequence[ImageView]) -> list[tuple[str, list[ImageView]]]:
    """Return (day, its images) of images in the order of their dates, under "No date" those without; nothing for a single day."""
    days = [(day, list(images)) for day, images in groupby(pictures, key=lambda one: one.image.taken_at[:10])]
    return [(event_words(day) if day else "No date", images) for day, images in days] if len(days) > 1 else []


def mode_of_request() -> str:
    """Return what an editor does with the images of this page: select, titles, order, or nothing in particular."""
    if "select" in request.args:
        return "select"
    edit = request.args.get("edit", "")
    return edit if edit in MODES else ""
