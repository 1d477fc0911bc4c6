"""The slideshow of a stream, and its kiosk for a screen on the wall: one image at a time, each page leads to the next.

Each step is a request, so what is hidden or deleted meanwhile is not shown any more. Videos and sensitive images are left out.
"""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, request

from image_cache.models import ANONYMOUS, Stream, StreamImage, Viewer
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.streams import view_models as views
from image_cache.web.streams.viewer import viewer
from image_cache.web.streams.views import page_of

stream_slideshow = declare_access(read=Role.STREAM_POLICY)(Blueprint("stream_slideshow", __name__))

READS = "120 per minute"
SECONDS, MIN_SECONDS, MAX_SECONDS = 18, 3, 3600  # of an image; ten turns of a record


@stream_slideshow.get("/streams/<slug>/slideshow")
@limiter.limit(READS)
def slideshow(slug: str) -> Response:
    """Show the images that this viewer may see, one at a time."""
    stream = services().stream_queries.stream(viewer(), slug)
    images = services().stream_queries.images(viewer(), stream)
    return page_of("streams/slideshow.html", **slide(images, stream, viewer()), address=f"/streams/{slug}/slideshow")


@stream_slideshow.get("/streams/<slug>/kiosk")
@limiter.limit(READS)
def kiosk(slug: str) -> Response:
    """Show the public images, also to an owner who is logged in at the screen: anyone in the room sees it."""
    stream = services().stream_queries.stream(viewer(), slug)
    images = services().stream_queries.images(ANONYMOUS, stream)
    return page_of("streams/slideshow.html", **slide(images, stream, ANONYMOUS), address=f"/streams/{slug}/kiosk", is_kiosk=True)


def slide(images: Sequence[StreamImage], stream: Stream, viewer: Viewer) -> dict[str, Any]:
    """Return the values of the page that shows one of these images: the number `at` of the query, from 1; the first for a wrong one."""
    shown = [image for image in images if not image.is_sensitive and not image.is_video]
    count = len(shown)
    number = whole_number(request.args.get("at", "1"), 1, count) or 1
    return {
        "stream": stream,
        "picture": views.image_view(shown[number - 1], stream, viewer) if shown else None,
        "number": number,
        "count": count,
        "previous": (number - 2) % count + 1 if count else 1,
        "next": number % count + 1 if count else 1,
        "seconds": whole_number(request.args.get("seconds"), MIN_SECONDS, MAX_SECONDS) or SECONDS,
        "may_see_taken": stream.shows_taken,
        "back": f"/streams/{stream.slug}",
    }
