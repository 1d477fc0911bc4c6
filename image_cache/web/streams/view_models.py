"""View models of streams for templates and API: plain values and URLs of exactly what the viewer may see."""

import datetime
import shutil
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask

from image_cache.config import ALLOWED_IMAGE_EXTENSIONS
from image_cache.errors import FieldRejected, NotVisible
from image_cache.frozen import frozen
from image_cache.imaging.variants import fit
from image_cache.models import ANONYMOUS, ImageVisibility, Stream, StreamImage, Viewer
from image_cache.streams import EXTENSIONS, StreamCard, TrashedImage, without_edit_rights
from image_cache.streams.build import get_cached_image_display as display
from image_cache.streams.upload.quotas import OwnerSpace
from image_cache.visibility import is_member, may_edit, may_own
from image_cache.web.context import OWNER_ROLES, services
from image_cache.web.streams.shapes import row_sizes, shape_of, square_sizes
from image_cache.web.streams.viewer import viewer

SIZES = {
    "thumb": "stream_thumb",
    "detail": "stream_detail",
    "large": "stream_large",
    "thumb-blurred": "stream_thumb_blurred",
    "detail-blurred": "stream_detail_blurred",
    # In a gallery: the same bytes at their own URL, because an image in a list is not a view.
    "tile": "stream_detail",
    "tile-blurred": "stream_detail_blurred",
    # In a slideshow, which no one may be looking at.
    "screen": "stream_large",
}
VIDEO_ACCEPT = ("video/mp4", "video/quicktime", ".mp4", ".mov")
AUDIENCES = tuple(kind.value for kind in ImageVisibility)
EDGES = {"thumb": 200, "detail": 600, "large": 1200}
SMALL_PX = 240  # of the longer edge: such an image is not enlarged
MAX_CARDS = 24


@frozen
class ImageView:
    """One image on a page. `thumb`, `tile` and `detail` are blurred for a sensitive one, `sharp_*` never are.

    `shape` is the class of its aspect ratio; `is_small`: under 240 px, and shown at its size. `is_exception`: an editor sees that its
    visibility is not the default of the stream. `row_sizes` and `square_sizes` say how wide a browser shows it in a gallery.
    `is_away`: not cached, and the storage of its original does not answer. `views` is None for viewers who do not edit the stream.
    `video` is the URL of a video, `length` what it lasts (0:42); both are empty for an image.
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
    shape: str
    is_small: bool
    is_exception: bool
    is_cover: bool
    row_sizes: str
    square_sizes: str
    is_away: bool = False
    views: int | None = None
    screen: str = ""
    video: str = ""
    length: str = ""

    @property
    def kind(self) -> str:
        return "video" if self.video else "image"


@frozen
class TrashedView:
    """One image of the trash on a page: its blurred variant if it is sensitive, and the days until it is deleted."""

    image: StreamImage
    thumb: str
    alt: str
    visibility: str
    trashed_at: float
    days_left: int


def address(image: StreamImage, size: str = "") -> str:
    """Return the URL of the page of an image, or of its bytes in one of the sizes."""
    page = f"/streams/{image.stream_id}/images/{image.image_id}"
    return f"{page}/{size}" if size else page


def image_view(image: StreamImage, stream: Stream, viewer: Viewer, *, is_away: bool = False) -> ImageView:
    """Return the view model of one image."""
    suffix = _suffix(image)
    may = may_edit(viewer, stream)
    shape, ratio = shape_of(image.dimensions)
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
        alt=image.title or f"Untitled {'video' if image.is_video else 'image'} from {stream.title}",
        visibility=image.visibility.value,
        may_edit=may,
        shape=shape,
        is_small=max(image.dimensions) < SMALL_PX,
        is_exception=may and image.visibility is not stream.visibility,
        is_cover=image.image_id == stream.cover_id,
        row_sizes=row_sizes(ratio),
        square_sizes=square_sizes(ratio),
        is_away=is_away,
        views=services().streams.view_count(image) if may else None,
        screen=address(image, "screen"),
        video=address(image, "video") if image.is_video else "",
        length=length_words(image.duration_s),
    )


def length_words(duration_s: float | None) -> str:
    """Return how long a video lasts: 0:42, 12:05; empty for an image."""
    if duration_s is None:
        return ""
    minutes, seconds = divmod(max(1, round(duration_s)), 60)
    return f"{minutes}:{seconds:02}"


def trashed_view(trashed: TrashedImage, stream: Stream) -> TrashedView:
    """Return the view model of one image of the trash."""
    image = trashed.image
    return TrashedView(
        image=image,
        thumb=f"/streams/{stream.slug}/trash/{image.image_id}",
        alt=image.title or image.filename,
        visibility=image.visibility.value,
        trashed_at=trashed.trashed_at,
        days_left=services().streams.trash.days_left(trashed.trashed_at),
    )


def image_views(images: Sequence[StreamImage], stream: Stream, viewer: Viewer) -> list[ImageView]:
    """Return the view models of the images of one stream."""
    unavailable = services().stream_images.unavailable_ids(images, lambda image: SIZES[f"thumb{_suffix(image)}"])
    return [image_view(image, stream, viewer, is_away=image.image_id in unavailable) for image in images]


def gallery(
    stream: Stream,
    viewer: Viewer,
    text: str = "",
    *,
    arrange: Callable[[Sequence[StreamImage]], Sequence[StreamImage]] = lambda images: images,
    upto: int | None = None,
) -> dict[str, Any]:
    """Return the values of a gallery: the images that the viewer may see, with figures of exactly those.

    `arrange` puts them in order; `pictures` are the first `upto` of them, and `found` is how many there are.
    """
    queries = services().stream_queries
    images = arrange(queries.images(viewer, stream, text))
    may = may_edit(viewer, stream)
    stats = queries.stats(stream, viewer)
    if not may:
        stats.pop("most_viewed")
    return {
        "stream": stream,
        "pictures": image_views(images[:upto], stream, viewer),
        "found": len(images),
        "stats": stats,
        "query": text,
        "may_edit": may,
        "may_own": may_own(viewer, stream),
        "is_member": is_member(viewer, stream),
        "event": event_words(stream.event_date),
        "may_see_taken": may or stream.shows_taken,
        "visibilities": [kind.value for kind in ImageVisibility],
        "in_trash": services().streams.trash.totals(stream)[0] if may else 0,
        "limits": upload_limits(stream) if may else None,  # the rest of the quota would reveal the number of private images
    }


def cards(page: Sequence[StreamCard], viewer: Viewer) -> list[dict[str, Any]]:
    """Return the streams of a list, each with its cover."""
    return [
        {
            "stream": card.stream,
            "count": card.count,
            "picture": next(iter(image_views([card.cover], card.stream, viewer)), None) if card.cover else None,
            "event": event_words(card.stream.event_date),
            "may_edit": card.may_edit,
        }
        for card in services().stream_queries.with_covers(viewer, page)
    ]


def event_words(event_date: str) -> str:
    """Return the date of an event for a page: "11 July 2026" for an ISO date, other words as they are."""
    try:
        return f"{datetime.date.fromisoformat(event_date):%-d %B %Y}"
    except ValueError:
        return event_date


def upload_limits(stream: Stream) -> dict[str, Any]:
    """Return what may be uploaded, for the form."""
    limits = services().streams.limits
    used = services().stream_queries.stats(stream)["total"] + services().streams.trash.totals(stream)[0]
    return {
        "max_mb": limits.max_bytes / 1e6,
        "space": owner_space(stream),
        "max_bytes": limits.max_bytes,
        "max_request_mb": services().settings.MAX_UPLOAD_REQUEST_MB,
        "max_images": limits.max_images,
        "used": used,
        "left": max(0, limits.max_images - used),
        "formats": list(EXTENSIONS),
        "max_video_bytes": max_video_bytes(),
        "max_video_mb": max_video_bytes() / 1e6,
        # The MIME types make a phone offer its camera, and convert images of its own format to one of these.
        "accept": ",".join(
            [
                *(f"image/{name.lower()}" for name in EXTENSIONS),
                *sorted(ALLOWED_IMAGE_EXTENSIONS),
                *(VIDEO_ACCEPT if max_video_bytes() else ()),
            ]
        ),
    }


def max_video_bytes() -> int:
    """Return how large an uploaded video may be; 0 if this server cannot store videos."""
    return services().streams.limits.max_video_bytes if shutil.which("ffmpeg") else 0


def owner_space(stream: Stream) -> OwnerSpace | None:
    """Return the space of the owner of a stream, if the viewer of this session is that owner and has a limit; else None."""
    if stream.owner_id is None or viewer().account_id != stream.owner_id:
        return None
    space = services().streams.quotas.space(stream.owner_id)
    return None if space.limit_bytes is None else space


def register_stream_helpers(app: Flask) -> None:
    """Make the documented template functions of streams known to `app`."""
    app.jinja_env.globals.update(
        stream_box=stream_box,
        stream_cards=stream_cards,
        page_cache=page_cache_stats,
        get_cached_image_display=get_cached_image_display,
        waiting_count=waiting_count,
    )


def waiting_count(stream: Stream) -> int:
    """Return how many images that visitors sent are news for those who edit the stream; 0 for others."""
    shares = services().streams.shares
    return len(shares.waiting(stream)) + len(shares.repeats(stream)) if may_edit(viewer(), stream) else 0


def stream_box(stream_id: str, is_owner: bool = True) -> dict[str, Any] | None:
    """Return the values of a gallery and an uploader for the viewer of this session; None if the viewer may not open it.

    `is_owner` false takes an owner's rights away for this box. Nothing gives rights.
    """
    me = viewer()
    try:
        stream = services().stream_queries.stream(me, stream_id)
        if not is_owner:
            me = without_edit_rights(me, stream)
            services().stream_queries.stream(me, stream_id)
    except NotVisible:
        return None
    return gallery(stream, me)


def stream_cards() -> list[dict[str, Any]]:
    """Return the newest streams that this viewer may open."""
    return cards(services().stream_queries.streams(viewer())[:MAX_CARDS], viewer())


def page_cache_stats(page: str) -> dict[str, Any] | None:
    """Return what a page holds of the memory tier, for owners and operators; None for others."""
    if viewer().role not in OWNER_ROLES:
        return None
    try:
        return services().streams.get_page_stats(page)
    except FieldRejected:
        return None


def get_cached_image_display(image_id: str, stream_id: str, page: str) -> str | None:
    """Return the URL of the detail of an image if the viewer of this session may see it, else None."""
    return display(image_id, stream_id, page, viewer() or ANONYMOUS)


def _suffix(image: StreamImage) -> str:
    return "-blurred" if image.is_sensitive else ""
