"""The Atom feed (RFC 4287) of a public stream: what any visitor sees of it, for every reader. It ends when the stream is not public."""

from flask import Blueprint, Response, render_template, request

from image_cache.errors import NotVisible
from image_cache.models import ANONYMOUS, ImageVisibility, iso_utc
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.streams import view_models as views

stream_feed = declare_access(read=Role.STREAM_POLICY)(Blueprint("stream_feed", __name__))

ENTRIES = 50


@stream_feed.get("/streams/<slug>.atom")
@limiter.limit("120 per minute")
def feed(slug: str) -> Response:
    """Return the newest public images, without sensitive ones: a reader shows them without asking."""
    queries = services().stream_queries
    stream = queries.stream(ANONYMOUS, slug)
    if stream.visibility is not ImageVisibility.PUBLIC:
        raise NotVisible
    images = [image for image in queries.images(ANONYMOUS, stream) if not image.is_sensitive]
    newest = sorted(images, key=lambda image: (image.created_at, image.number), reverse=True)[:ENTRIES]
    entries = [views.image_view(image, stream, ANONYMOUS) for image in newest]
    values = {"stream": stream, "entries": entries, "began_at": iso_utc(stream.created_at)}
    response = Response(render_template("streams/feed.xml", **values), mimetype="application/atom+xml")
    response.add_etag()
    response.headers["Cache-Control"] = "public, no-cache"
    response.make_conditional(request.environ)
    return response
