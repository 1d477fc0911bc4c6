"""What a link shows to a visitor without an account: its images, a ZIP of them, and a form to send some. Nothing else of the house.

Every answer looks the link up again, so that it stops with the next request when its owner revokes it.
"""

import dataclasses
from functools import partial
from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import LoginFailed, NotVisible
from image_cache.models import Stream, StreamImage
from image_cache.streams import OpenShare
from image_cache.web.access import Role, declare_access
from image_cache.web.context import public_origin, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.qr import qr_code
from image_cache.web.rate_limits import limiter
from image_cache.web.streams import view_models as views
from image_cache.web.streams.downloads import archive_response, chosen_images
from image_cache.web.streams.looks import more_of, upto_of_request
from image_cache.web.streams.media import VIDEO, download_response, variant_response, video_response, viewer_key
from image_cache.web.streams.slideshow import slide

shared_pages = declare_access(read=Role.VISITOR, change=Role.VISITOR)(Blueprint("shared_pages", __name__))

READS = "120 per minute"
UNLOCKED = "links"  # in the session: numbers of the links whose password this browser gave
MAX_UNLOCKED = 20


@shared_pages.get("/s/<code>")
@limiter.limit(READS)
def gallery(code: str) -> AnyResponse:
    """Show the images of a link, or ask for its password."""
    opened = services().streams.shares.open(code)
    if not _is_unlocked(opened):
        return visitor_page("streams/shared_password.html")
    services().streams.shares.record_open(opened.share, viewer_key())
    images = services().streams.shares.images(opened)
    shown = [_shown(view, code) for view in views.image_views(images[: upto_of_request()], opened.stream, opened.viewer)]
    more = more_of(len(images), len(shown))
    return visitor_page("streams/shared.html", **facts_of(opened, code), pictures=shown, found=len(images), more=more)


@shared_pages.post("/s/<code>")
@limiter.limit("10 per minute")
def unlock(code: str) -> AnyResponse:
    """Check the password of a link; attempts are counted as those of a login."""
    opened = services().streams.shares.open(code)
    share = opened.share
    if share.password_hash:
        try:
            services().accounts.check_link(
                str(share.id), share.password_hash, request.form.get("password", ""), request.remote_addr or ""
            )
        except LoginFailed as error:
            response = visitor_page("streams/shared_password.html", error=str(error))
            response.status_code = 429 if error.retry_after_s else 403
            if error.retry_after_s:
                response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
            return response
        numbers = [number for number in session.get(UNLOCKED, []) if number != share.id]
        session[UNLOCKED] = [*numbers, share.id][-MAX_UNLOCKED:]
    return redirect(f"/s/{code}", 303)


@shared_pages.get("/s/<code>/images/<image_id>")
@limiter.limit(READS)
def image(code: str, image_id: str) -> AnyResponse:
    """Show one image, and the ways to the one before and after it."""
    opened = open_share(code)
    images = services().streams.shares.images(opened)
    index = next((number for number, one in enumerate(images) if one.image_id == image_id), None)
    if index is None:
        raise NotVisible
    shown = _shown(views.image_view(images[index], opened.stream, opened.viewer), code)
    values = {
        "picture": shown,
        "previous": images[index - 1].image_id if index else None,
        "next": images[index + 1].image_id if index + 1 < len(images) else None,
        "place_of": index + 1,
        "count": len(images),
        "is_sharp": not images[index].is_sensitive or request.args.get("show") == "1",
    }
    return visitor_page("streams/shared_image.html", **facts_of(opened, code), **values)


@shared_pages.get("/s/<code>/images/<image_id>/<size>")
def image_bytes(code: str, image_id: str, size: str) -> Response:
    """Return an image in one size. The link is looked up before validators and ranges."""
    if size == VIDEO:
        return video_response(partial(_find, code, image_id), is_shared=True)
    if size not in views.SIZES:
        raise NotVisible
    return variant_response(partial(_find, code, image_id), size, is_shared=True)


@shared_pages.get("/s/<code>/images/<image_id>/download")
@limiter.limit(READS)
def download(code: str, image_id: str) -> Response:
    """Return one image to keep, if the link allows downloads."""
    if not open_share(code).share.may_download:
        raise NotVisible
    return download_response(partial(_find, code, image_id), is_shared=True)


@shared_pages.get("/s/<code>/images.zip")
@limiter.limit("20 per minute")
def archive(code: str) -> Response:
    """Return the images of a link as a ZIP, if it allows downloads. Revoking the link ends it at the next image."""
    opened = open_share(code)
    if not opened.share.may_download:
        raise NotVisible
    shares = services().streams.shares
    images = chosen_images(shares.images(opened))
    return archive_response(opened.stream, images, lambda image_id: shares.image(code, image_id)[1], is_original=False)


@shared_pages.get("/s/<code>/slideshow")
@limiter.limit(READS)
def slideshow(code: str) -> AnyResponse:
    """Show the images of a link one at a time; with a code to scan, if it takes images of visitors."""
    opened = open_share(code)
    values = slide(services().streams.shares.images(opened), opened.stream, opened.viewer)
    if values["picture"] is not None:
        values["picture"] = _shown(values["picture"], code)
    add = f"{public_origin()}{url_prefix()}/s/{code}/add"
    drawn = qr_code(add, "QR code of the page to add images") if opened.share.may_upload else ""
    return visitor_page("streams/slideshow.html", **values | {"back": f"/s/{code}"}, address=f"/s/{code}/slideshow", code=drawn)


def gone(_: NotVisible) -> AnyResponse:
    """Answer alike for a link that expired, was revoked or never was, and for what a link does not show."""
    response = visitor_page("streams/shared_gone.html")
    response.status_code = 404
    response.headers["Cache-Control"] = "no-store"
    return response


def keep_private(response: Response) -> Response:
    """Keep the link out of search engines, and out of the Referer of whatever its page leads to."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.vary.add("Cookie")  # the session knows who gave the password
    return response


def protect(blueprint: Blueprint) -> None:
    """Let every answer of a blueprint, also a refusal, keep the link to itself."""
    blueprint.register_error_handler(NotVisible, gone)
    blueprint.after_request(keep_private)


protect(shared_pages)


def open_share(code: str) -> OpenShare:
    """Return what a link leads to, for what is not its first page. Raises `NotVisible`, also if its password was not given."""
    opened = services().streams.shares.open(code)
    if not _is_unlocked(opened):
        raise NotVisible
    return opened


def _find(code: str, image_id: str) -> tuple[Stream, StreamImage]:
    open_share(code)
    return services().streams.shares.image(code, image_id)


def _is_unlocked(opened: OpenShare) -> bool:
    return not opened.share.password_hash or opened.share.id in session.get(UNLOCKED, [])


def _shown(view: views.ImageView, code: str) -> views.ImageView:
    """Return the view model with the addresses of the link in place of those of the stream."""
    of_stream, of_link = views.address(view.image), _address(view.image, code)
    values = {field.name: getattr(view, field.name) for field in dataclasses.fields(view)}
    moved: dict[str, Any] = {
        name: of_link + value.removeprefix(of_stream)
        for name, value in values.items()
        if isinstance(value, str) and value.startswith(of_stream)
    }
    return dataclasses.replace(view, **moved)


def _address(image: StreamImage, code: str) -> str:
    return f"/s/{code}/images/{image.image_id}"


def facts_of(opened: OpenShare, code: str) -> dict[str, Any]:
    """Return what every page of a link knows."""
    left = services().streams.shares.left_today(opened.share) if opened.share.may_upload else 0
    return {"share": opened.share, "stream": opened.stream, "address": f"/s/{code}", "left_today": left}


def visitor_page(template: str, **values: Any) -> Response:
    """Return a page of a link, which must not be cached."""
    response = make_response(render_template(template, **values))
    response.headers["Cache-Control"] = "private, no-store"
    return response
