"""The wall while records are selected: a form with a box over each cover and a bar at its foot. Works without scripts."""

from flask import render_template, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.records.batches.selection_table import Selection
from image_cache.records.pages import WallPage
from image_cache.units import whole_number
from image_cache.web.context import services
from image_cache.web.records.browsing import wall
from image_cache.web.responses import page_response

MAX_ID = 2**53


def select_page(address: wall.WallAddress, shown: WallPage) -> AnyResponse:
    """Show a page of the wall with a box over each cover; `select` is 1, or the number of a selection that goes on."""
    chosen = known_selection(request.args.get("select", ""))
    page, ids = shown.page, frozenset(chosen.ids if chosen else ())
    tiles = wall.tiles(page.albums, shown.covers, page.heads)
    values = {
        "wall": address,
        "page": page,
        "tiles": tiles,
        "ids": ids,
        "kept": chosen.id if chosen else "",
        "page_size": shown.page_size,
        "first": (page.page - 1) * shown.page_size + 1,
        "last": (page.page - 1) * shown.page_size + len(page.albums),
        "is_all": len(ids) >= page.total,
        "record_total": shown.count,
    }
    return page_response(render_template("records/select.html", **values))


def known_selection(text: str) -> Selection | None:
    """Return the selection with this number; None for 1, which begins one, and for one that is older than an hour."""
    number = whole_number(text, 2, MAX_ID)
    return services().selections.selection(number) if number else None
