"""What the templates of streams are given: plain values, addresses included, made of nothing but what the viewer may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask

from image_cache.errors import FieldRejected, NotVisible
from image_cache.imaging.variants import fit
from image_cache.models import ANONYMOUS, ImageVisibility, Stream, StreamImage, Viewer, is_member, may_edit, may_own
from image_cache.streams import EXTENSIONS, StreamCard, checked_page, narrowed
from image_cache.streams.build import get_cached_image_display as display
from image_cache.web.context import KEEPERS, services
from image_cache.web.streams.viewer import viewer

SIZES = {
    "thumb": "stream_thumb",
    "detail": "stream_detail",
    "large": "stream_large",
    "thumb-blurred": "stream_thumb_blurred",
    "detail-blurred": "stream_detail_blurred",
    # In a gallery: the same bytes under an address of their own, because a list that is drawn is not a picture that is looked at.
    "tile": "stream_detail",
    "tile-blurred": "stream_detail_blurred",
}
EDGES = {"thumb": 200, "detail": 600, "large": 1200}
CHART_W, CHART_H = 300, 40


@dataclass(frozen=True, slots=True)
class ImageView:
    """One image on a page. `thumb`, `tile` and `detail` are blurred for a sensitive one, `sharp_*` never are.

    `is_away`: not here, and the storage of its original does not answer. `views` is None for whoever may not know.
    """

    image: StreamImage
    stream_title: str
    page: str
    thumb: str
    tile: str
    detail: str
    large: str
    sharp_thumb: str
    sharp_tile: str
    sharp_detail: str
    thumb_size: tuple[int, int]
    detail_size: tuple[int, int]
    large_size: tuple[int, int]
    alt: str
    visibility: str
    may_edit: bool
    is_away: bool = False
    views: int | None = None


def address(image: StreamImage, size: str = "") -> str:
    """Return the page of an image, or its bytes in one of the sizes."""
    page = f"/streams/{image.stream_id}/images/{image.image_id}"
    return f"{page}/{size}" if size else page


def picture(image: StreamImage, stream: Stream, viewer: Viewer, *, is_away: bool = False) -> ImageView:
    suffix = "-blurred" if image.is_sensitive else ""
    may = may_edit(viewer, stream)
    return ImageView(
        image=image,
        stream_title=stream.title,
        page=address(image),
        thumb=address(image, f"thumb{suffix}"),
        tile=address(image, f"tile{suffix}"),
        detail=address(image, f"detail{suffix}"),
        large=address(image, "large"),
        sharp_thumb=address(image, "thumb"),
        sharp_tile=address(image, "tile"),
        sharp_detail=address(image, "detail"),
        thumb_size=fit(image.dimensions, EDGES["thumb"]),
        detail_size=fit(image.dimensions, EDGES["detail"]),
        large_size=fit(image.dimensions, EDGES["large"]),
        alt=image.title or f"Untitled picture from {stream.title}",
        visibility=image.visibility.value,
        may_edit=may,
        is_away=is_away,
        views=image.view_count + services().streams.view_counts.pending(image.image_id) if may else None,
    )


def pictures(images: Sequence[StreamImage], stream: Stream, viewer: Viewer) -> list[ImageView]:
    """Return the images of one stream as a page shows them; asks a remote storage whether it is there when one is missing."""
    bytes_ = services().streams.images
    missing = set()
    if bytes_.is_remote:
        missing = {i.image_id for i in images if bytes_.cached(i, SIZES["thumb-blurred" if i.is_sensitive else "thumb"]) is None}
    is_away = bool(missing) and bytes_.is_away()
    return [picture(image, stream, viewer, is_away=is_away and image.image_id in missing) for image in images]


def gallery(stream: Stream, viewer: Viewer, text: str = "") -> dict[str, Any]:
    """Return what a gallery shows a viewer, with numbers of exactly that."""
    streams = services().streams
    images = streams.queries.images(viewer, stream, text)
    may = may_edit(viewer, stream)
    stats = streams.queries.stats(stream, viewer)
    if not may:
        stats.pop("most_viewed")
    return {
        "stream": stream,
        "pictures": pictures(images, stream, viewer),
        "stats": stats,
        "query": text,
        "may_edit": may,
        "may_own": may_own(viewer, stream),
        "is_member": is_member(viewer, stream),
        "visibilities": [kind.value for kind in ImageVisibility],
        "charts": charts([image.image_id for image in images]) if may else {},
        "limits": limits(stream) if may else None,  # what is left says how many there are, private ones among them
    }


def cards(found: Sequence[StreamCard], viewer: Viewer) -> list[dict[str, Any]]:
    """Return the streams of a list, each with its first pictures."""
    listing = services().streams.queries
    return [
        {
            "stream": card.stream,
            "count": card.count,
            "pictures": pictures(card.images, card.stream, viewer),
            "may_edit": card.may_edit,
        }
        for card in listing.with_images(viewer, found)
    ]


def limits(stream: Stream) -> dict[str, Any]:
    """Return what may be uploaded, said before anybody chooses."""
    from config import ALLOWED_IMAGE_EXTENSIONS

    uploads = services().streams.uploads
    used = services().streams.queries.stats(stream)["total"]
    return {
        "max_mb": uploads.max_bytes / 1e6,
        "max_bytes": uploads.max_bytes,
        "max_images": uploads.max_images,
        "used": used,
        "left": max(0, uploads.max_images - used),
        "formats": list(EXTENSIONS),
        # With the types a phone offers its camera, and turns what it keeps in a format of its own into one of these.
        "accept": ",".join([*(f"image/{name.lower()}" for name in EXTENSIONS), *sorted(ALLOWED_IMAGE_EXTENSIONS)]),
    }


def charts(image_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the chart of each image."""
    return {image_id: chart(days) for image_id, days in services().streams.queries.views_by_day(image_ids).items()}


def chart(days: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return a small chart of views by day: points of a line in a box of 300 by 40, and the sentence that says the same."""
    most = max((count for _, count in days), default=0)
    step = CHART_W / max(1, len(days) - 1)
    points = [(round(n * step, 1), round(CHART_H - CHART_H * count / max(1, most), 1)) for n, (_, count) in enumerate(days)]
    total = sum(count for _, count in days)
    return {
        "points": " ".join(f"{x:g},{y:g}" for x, y in points),
        "width": CHART_W,
        "height": CHART_H,
        "most": most,
        "total": total,
        "days": [(day, count) for day, count in days if count],
        "sentence": f"{total:,} {'view' if total == 1 else 'views'} in {len(days)} days, {most:,} on the busiest."
        if total
        else f"No views in {len(days)} days.",
    }


def image_json(image: StreamImage, stream: Stream, viewer: Viewer) -> dict[str, Any]:
    """Return an image as scripts get it. What only owners may know is left out for others."""
    shown = picture(image, stream, viewer)
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
    if shown.may_edit:
        facts |= {
            "position": image.position,  # gaps in it would tell others that there is more
            "filename": image.filename,
            "format": image.format,
            "size_bytes": image.size_bytes,
            "view_count": shown.views,
            "last_accessed": image.last_accessed,
            "original_url": address(image, "original"),
        }
    return facts


def stream_json(stream: Stream, count: int, viewer: Viewer) -> dict[str, Any]:
    """Return a stream as scripts get it; `count` is how many images this viewer may see."""
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
        stream = services().streams.queries.stream(me, stream_id)
        if not is_owner:
            me = narrowed(me, stream)
            services().streams.queries.stream(me, stream_id)
    except NotVisible:
        return None
    return gallery(stream, me)


def stream_cards() -> list[dict[str, Any]]:
    """Return the newest streams that this viewer may open."""
    return cards(services().streams.queries.streams(viewer())[:CARDS_MOST], viewer())


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
    return display(image_id, stream_id, page, viewer() or ANONYMOUS)
