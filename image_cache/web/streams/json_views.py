"""Streams and their images as JSON for the API: exactly what the viewer may know."""

from typing import Any

from image_cache.models import Stream, StreamImage, Viewer, iso_utc
from image_cache.streams import TrashedImage
from image_cache.visibility import may_edit
from image_cache.web.context import services
from image_cache.web.streams.view_models import address, image_view


def image_json(image: StreamImage, stream: Stream, viewer: Viewer) -> dict[str, Any]:
    """Return an image for the API. Facts for its editors are left out for others."""
    shown = image_view(image, stream, viewer)
    facts: dict[str, Any] = {
        "image_id": image.image_id,
        "stream_id": image.stream_id,
        "title": image.title,
        "description": image.description,
        "visibility": image.visibility.value,
        "sensitive": image.is_sensitive,
        "dimensions": list(image.dimensions),
        "created_at": image.created_at,
        "page_url": shown.page,
        "thumb_url": shown.thumb,
        "detail_url": shown.detail,
        "large_url": shown.large,
    }
    if image.is_video:
        facts |= {"duration_s": image.duration_s, "video_url": shown.video}
    if image.is_animated:
        facts["animated"] = True
    if shown.may_edit:
        facts |= {
            "position": image.position,  # gaps in it would reveal hidden images
            "filename": image.filename,
            "format": image.format,
            "size_bytes": image.size_bytes,
            "view_count": shown.views,
            "taken_at": image.taken_at or None,
            "last_accessed": image.last_accessed,
            "original_url": address(image, "original"),
        }
    return facts


def trashed_json(trashed: TrashedImage, stream: Stream) -> dict[str, Any]:
    """Return an image of the trash for the API: for editors of its stream."""
    image = trashed.image
    return {
        "image_id": image.image_id,
        "stream_id": image.stream_id,
        "title": image.title,
        "description": image.description,
        "visibility": image.visibility.value,
        "filename": image.filename,
        "size_bytes": image.size_bytes,
        "thumb_url": f"/streams/{stream.slug}/trash/{image.image_id}",
        "trashed_at": iso_utc(trashed.trashed_at),
        "days_left": services().streams.trash.days_left(trashed.trashed_at),
    }


def stream_json(stream: Stream, count: int, viewer: Viewer) -> dict[str, Any]:
    """Return a stream for the API; `count` is how many images this viewer may see."""
    facts: dict[str, Any] = {
        "stream_id": stream.slug,
        "title": stream.title,
        "description": stream.description,
        "owner": stream.owner_name,
        "images": count,
        "url": f"/streams/{stream.slug}",
        "may_edit": may_edit(viewer, stream),
    }
    if facts["may_edit"]:
        facts["visibility"] = stream.visibility.value
    return facts
