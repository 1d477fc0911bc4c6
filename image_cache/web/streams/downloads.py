"""A ZIP of a stream, or of chosen images: originals for those who edit it, the largest variants for others."""

from collections.abc import Callable, Sequence

from flask import Blueprint, Response, request

from image_cache.accounts.tokens import READ
from image_cache.errors import NotVisible
from image_cache.models import Stream, StreamImage
from image_cache.server.parts import body_of
from image_cache.streams import archive
from image_cache.visibility import may_edit
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.streams.media import attachment
from image_cache.web.streams.viewer import viewer

# A form that chooses images is a POST, and changes nothing.
stream_downloads = declare_access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY, read_scope=READ, change_scope=READ)(
    Blueprint("stream_downloads", __name__)
)

LIMIT = "20 per minute"


@stream_downloads.get("/streams/<slug>/images.zip")
@limiter.limit(LIMIT)
def archive_of_stream(slug: str) -> Response:
    """Return the images of a stream that this viewer may see as a ZIP; those that the query names, if it names any."""
    return _archive(slug)


@stream_downloads.post("/streams/<slug>/images.zip")
@limiter.limit(LIMIT)
def archive_of_selection(slug: str) -> Response:
    """Return the chosen images as a ZIP: a form can name more than the query of an address."""
    return _archive(slug)


def _archive(slug: str) -> Response:
    me, queries, members = viewer(), services().stream_queries, services().stream_members
    stream = queries.stream(me, slug)
    is_original = may_edit(me, stream)

    def find(image_id: str) -> StreamImage:
        # Looked up again for each image: an account that was removed from the stream gets no more of it.
        now = members.viewer(me.account_id) if me.account_id is not None else me
        stream, image = queries.image(now, image_id, slug)
        if is_original and not may_edit(now, stream):
            raise NotVisible
        return image

    images = chosen_images(queries.images(me, stream))
    return archive_response(stream, images, find, is_original=is_original)


def chosen_images(images: list[StreamImage]) -> list[StreamImage]:
    """Return those of the images that the request names; all if it names none."""
    wanted = frozenset(request.values.getlist("image"))
    return [image for image in images if image.image_id in wanted] if wanted else images


def archive_response(
    stream: Stream, images: Sequence[StreamImage], find: Callable[[str], StreamImage], *, is_original: bool
) -> Response:
    """Return a ZIP that is made while its client takes it. That of originals says its length. Raises `NotVisible` without an image."""
    if not images:
        raise NotVisible
    store = services().stream_images
    if is_original:
        parts = archive.original_parts(store, images, find)
    else:
        parts = archive.variant_parts(store, images, stream.title, find)
    response = Response(body_of(parts, request.environ, has_length=is_original), mimetype="application/zip")
    if is_original:
        response.headers["Content-Length"] = str(archive.original_size(images))
    response.headers["Content-Disposition"] = attachment(f"{archive.safe_stem(stream.title)}.zip")
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Accept-Ranges"] = "none"
    response.headers["X-Accel-Buffering"] = "no"  # nginx in front must not write two gigabytes to the card first
    return response
