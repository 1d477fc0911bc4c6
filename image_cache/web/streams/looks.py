"""How a viewer looks at a stream: rows or squares, and the order. The cookie of the session remembers it, stream by stream."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from urllib.parse import urlencode

from flask import request, session

from image_cache.models import StreamImage
from image_cache.text import fold
from image_cache.units import whole_number
from image_cache.web.streams.view_models import ImageView, event_words

FIELD = "looks"
LAYOUTS = ("rows", "squares")
HAND, TAKEN, ADDED, TITLE = "hand", "taken", "added", "title"
ORDERS = {HAND: "By hand", TAKEN: "Date taken", ADDED: "Date added", TITLE: "Title"}
MODES = ("select", "titles", "order")
A_PAGE, MAX_SHOWN = 200, 10_000  # images of a gallery at first, and with every "More"
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


def in_order(images: Sequence[StreamImage], order: str, *, may_edit: bool) -> list[StreamImage]:
    """Return images in an order: by hand, the first taken first, the last added first, or by the title that the viewer sees."""
    if order == TAKEN:
        return sorted(images, key=lambda one: (not one.taken_at, one.taken_at))
    if order == ADDED:
        return sorted(images, key=lambda one: (one.created_at, one.number), reverse=True)
    if order == TITLE:
        return sorted(images, key=lambda one: fold(one.title or (one.filename if may_edit else "")))
    return list(images)


def upto_of_request() -> int:
    """Return how many images of a gallery to show: what `upto` says, in steps of `A_PAGE`, at least one of them."""
    wanted = whole_number(request.args.get("upto"), 1, MAX_SHOWN) or A_PAGE
    return -(-wanted // A_PAGE) * A_PAGE


def more_of(found: int, shown: int) -> dict[str, object] | None:
    """Return how many images "More" adds, how many there are, and where it leads: to the same page with more of them. None at the end."""
    if shown >= min(found, MAX_SHOWN):
        return None
    query = {**request.args, "upto": str(shown + A_PAGE)}
    return {"count": min(A_PAGE, found - shown), "left": found - shown, "url": f"{request.path}?{urlencode(query)}"}


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
