"""What templates call: addresses of images, and the wording of numbers and days."""

import datetime
import os
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from flask import Flask, Response, after_this_request, g, request
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from image_cache import money
from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError
from image_cache.models import Account, Album, Cover
from image_cache.records.highlight import places
from image_cache.units import size
from image_cache.web import svg as drawing
from image_cache.web.assets import asset, preload, script, stylesheet
from image_cache.web.context import account, is_member, may_change, may_operate, services
from image_cache.web.privacy import public_source

PLACEHOLDERS = ("thumbnails", "detail")
WIDTHS = (("thumbnails", 150), ("thumbnails-2x", 300), ("detail", 600), ("detail-2x", 1200))

# The width of a cover at each width of the window, as the stylesheet lays out the wall.
SIZES = {
    "s": "(max-width: 640px) 24vw, (max-width: 960px) 92px, 98px",
    "m": "(max-width: 640px) 31vw, (max-width: 960px) and (max-height: 512px) 15vw, (max-width: 960px) 140px, 176px",
    "l": "(max-width: 640px) 46vw, (max-width: 960px) and (max-height: 512px) 23vw, (max-width: 960px) 30vw, 260px",
    "row": "52px",
    "near": "(max-width: 640px) 30vw, (max-width: 960px) 14vw, 150px",
}


def register_helpers(app: Flask) -> None:
    """Register the helpers for every template of `app`."""
    app.jinja_env.globals.update(
        get_thumbnail_url=get_thumbnail_url,
        get_detail_image_url=get_detail_image_url,
        get_placeholder_url=get_placeholder_url,
        cover_srcset=cover_srcset,
        cover_sizes=SIZES,
        asset=asset,
        stylesheet=stylesheet,
        script=script,
        preload=preload,
        drawing=drawing,
        mark=mark,
        token=token,
        record_count=record_count,
        is_cache_away=is_cache_away,
        may_operate=may_operate,
        public_source=public_source,
    )
    app.context_processor(viewer)
    app.jinja_env.filters.update(
        duration=duration,
        day=day,
        clock=clock,
        moment=moment,
        thousands=thousands,
        records=records,
        times=times,
        rough=rough,
        size=size,
        price=money.shown,
        date=date,
    )


def get_thumbnail_url(album: str | Album | Mapping[str, Any] | None) -> str:
    """Return the address of the 150 px image of a cover URL, or of an album; the placeholder if there is no cover."""
    return _picture_url(album, "thumbnails")


def get_detail_image_url(album: str | Album | Mapping[str, Any] | None) -> str:
    """Return the address of the 600 px image of a cover URL, or of an album; the placeholder if there is no cover."""
    return _picture_url(album, "detail")


def get_placeholder_url(size_type: str = "thumbnails") -> str:
    """Return the address of the placeholder of a cover. An unknown type gets the small one."""
    return f"/cache/placeholders/placeholder_{size_type if size_type in PLACEHOLDERS else 'thumbnails'}.webp"


def cover_srcset(cover: Cover, *, largest: int = 600, smallest: int = 150) -> str:
    """Return the `srcset` of a cover, from `smallest` to `largest` px; the smallest alone for a browser that saves data."""
    return srcset_pattern(largest=largest, smallest=smallest).format(cover.digest)


def srcset_pattern(*, largest: int = 600, smallest: int = 150) -> str:
    """Return what `cover_srcset` returns, with `{0}` in place of the digest."""
    if request.headers.get("Save-Data", "").lower() == "on":
        largest = smallest
    return _srcset(smallest, largest)


@lru_cache(maxsize=16)
def _srcset(smallest: int, largest: int) -> str:
    return ", ".join(f"/cache/{name}/{{0}}.webp {width}w" for name, width in WIDTHS if smallest <= width <= largest)


@pass_context
def token(context: Context) -> Markup:
    """Return the hidden field that protects every form against requests from other sites."""
    make = context.get("csrf_token")
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(make() if make else "")


def record_count() -> int:
    """Return how many records there are, for the search field; 0 if that is unknown, as on an error page."""
    try:
        return services().library.count()
    except (CacheError, DatabaseError):
        return 0


def is_cache_away() -> bool:
    """Return True if the folder of the covers cannot be used, so that every cover is a placeholder."""
    return not os.access(services().settings.covers_dir, os.R_OK | os.W_OK | os.X_OK)


def viewer() -> dict[str, Account | bool | None]:
    """Give templates `viewer`, the account that is logged in, and what it may do; None if that is unknown."""
    try:
        return {"viewer": account(), "is_member": is_member(), "may_change": may_change(), "operates": may_operate()}
    except DatabaseError:
        return {"viewer": None, "is_member": False, "may_change": False, "operates": False}


def know_covers(covers: Mapping[str | None, Cover]) -> None:
    """Pass the covers of a view, by URL, to the helpers of this request."""
    _known().update(covers)


def _picture_url(album: str | Album | Mapping[str, Any] | None, variant: str) -> str:
    if isinstance(album, Album):
        url = album.picture
    elif isinstance(album, Mapping):
        url = album.get("cover_url")
    else:
        url = album
    if not url:
        return get_placeholder_url(variant)
    cover = _known().get(url)
    if cover is None:  # in a custom template: the view did not know of it
        cover = _known()[url] = services().covers.peek([url])[0]
        if "unknown_covers" not in g:
            g.unknown_covers = []
            after_this_request(_register_unknown)
        g.unknown_covers.append(url)
    return f"/cache/{variant}/{cover.digest}.webp" if cover.digest else get_placeholder_url(variant)


def _register_unknown(answer: Response) -> Response:
    """Register the covers that a template named on its own, now that it is rendered."""
    services().covers.try_register(g.unknown_covers)
    return answer


def _known() -> dict[str | None, Cover]:
    """Return the covers that this request knows, by URL."""
    found: dict[str | None, Cover] = g.setdefault("covers", {})
    return found


def duration(seconds: int | None) -> str:
    """Format a playing time: 3:34, 1:02:10; empty if unknown."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def day(at: float | None) -> str:
    """Format a point in time as a day: 3 November, with the year unless it is this one."""
    if not at:
        return "never"
    when = datetime.datetime.fromtimestamp(at).astimezone()
    text = f"{when.day} {when:%B}"
    return text if when.year == time.localtime().tm_year else f"{text} {when.year}"


def date(text: str) -> str:
    """Format a day that may have no day or month: 31 May 2024, May 2024, 2024. Any other text stays."""
    try:
        found = datetime.date.fromisoformat(f"{text}-01-01"[:10])
    except ValueError:
        return text
    return {4: f"{found:%Y}", 7: f"{found:%B} {found.year}"}.get(len(text), f"{found.day} {found:%B} {found.year}")


def clock(at: float) -> str:
    """Format a point in time as a time of day: 14:05."""
    return time.strftime("%H:%M", time.localtime(at))


def moment(at: float) -> str:
    """Format a point in time: 14:05 if it is today, else 3 November, 14:05."""
    is_today = time.localtime(at)[:3] == time.localtime()[:3]
    return clock(at) if is_today else f"{day(at)}, {clock(at)}"


def thousands(number: int) -> str:
    """Format 1243 as 1,243."""
    return f"{number:,}"


def records(number: int) -> str:
    """Format a count with its noun: 1 record, 1,243 records."""
    return f"{number:,} {'record' if number == 1 else 'records'}"


def times(number: int) -> str:
    """Format how often: never, once, 12 times."""
    return {0: "never", 1: "once"}.get(number, f"{number:,} times")


def rough(seconds: float) -> str:
    """Format a duration: 40 s, 3 min, 2 h."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"


def mark(text: str, words: Sequence[str]) -> Markup:
    """Escape `text` and mark every occurrence of one of `words`, whatever its case or accents."""
    parts: list[str | Markup] = []
    end = 0
    for start, stop in places(text, words):
        parts += [text[end:start], Markup("<mark>{}</mark>").format(text[start:stop])]
        end = stop
    return Markup("").join([*parts, text[end:]])
