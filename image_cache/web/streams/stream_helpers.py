"""What the macros in `parts/streams.html` call, so that any template can use them. Each looks at the session itself."""

from typing import Any

from flask import Flask

from image_cache.errors import FieldRejected, NotVisible
from image_cache.models import STRANGER
from image_cache.streams import checked_page, narrowed
from image_cache.streams.build import get_cached_image_display as display
from image_cache.web.context import KEEPERS, services
from image_cache.web.streams import view_models as views
from image_cache.web.streams.viewer import viewer

CARDS_MOST = 24


def register_stream_helpers(app: Flask) -> None:
    app.jinja_env.globals.update(
        stream_box=stream_box,
        stream_cards=stream_cards,
        page_cache=page_cache,
        get_cached_image_display=get_cached_image_display,
    )


def stream_box(stream_id: str, is_owner: bool = True) -> dict[str, Any] | None:
    """Return what a gallery and an uploader need, for this session's viewer; None for what he may not open.

    `is_owner` false takes an owner's rights away for this box. Nothing gives rights.
    """
    me = viewer()
    try:
        stream = services().streams.listing.stream(me, stream_id)
        if not is_owner:
            me = narrowed(me, stream)
            services().streams.listing.stream(me, stream_id)
    except NotVisible:
        return None
    return views.gallery(stream, me)


def stream_cards() -> list[dict[str, Any]]:
    """Return the newest streams that this viewer may open."""
    return views.cards(services().streams.listing.streams(viewer())[:CARDS_MOST], viewer())


def page_cache(page: str) -> dict[str, Any] | None:
    """Return what a page holds of the memory tier, for owners and operators; None for others."""
    if viewer().role not in KEEPERS:
        return None
    try:
        return services().streams.cache.get_page_stats(checked_page(page))
    except FieldRejected:
        return None


def get_cached_image_display(image_id: str, stream_id: str, page: str) -> str | None:
    """Return the address of an image's detail if this session's viewer may see it, else None."""
    return display(image_id, stream_id, page, viewer() or STRANGER)
