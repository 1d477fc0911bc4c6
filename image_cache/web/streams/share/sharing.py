"""Links to a stream or to chosen images, for their owners: creating, listing and revoking them, and what visitors sent."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import AccountRejected, FieldRejected
from image_cache.models import Stream
from image_cache.streams.share.share_table import Share, VisitorImage
from image_cache.streams.share.shares import EXPIRY_DAYS
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import flash, pop_flash, public_origin, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.qr import qr_code
from image_cache.web.rate_limits import limiter
from image_cache.web.streams import view_models as views
from image_cache.web.streams.viewer import require_editor, viewer
from image_cache.web.streams.views import page_of

stream_sharing = declare_access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY)(Blueprint("stream_sharing", __name__))

WRITES = "60 per minute"
MAX_CHOSEN = 1000
PASSWORD = "password"  # noqa: S105  the name of a field


@stream_sharing.get("/streams/<slug>/share")
def share_page(slug: str) -> AnyResponse:
    """Show the form that makes a link to the stream, or to the images that the query names."""
    stream = _edited(slug)
    return _form(stream, request.args.getlist("image"))


@stream_sharing.post("/streams/<slug>/share")
@limiter.limit(WRITES)
def create(slug: str) -> AnyResponse:
    """Create a link, which is shown once, here; without `create`, show the form for the chosen images."""
    stream = _edited(slug)
    form, ids = request.form, request.form.getlist("image")
    if "create" not in form:
        return _form(stream, ids)
    try:
        days = whole_number(form.get("days", "7"), 0, max(EXPIRY_DAYS))
        if days is None:
            raise FieldRejected("days", "A link can be valid for 1, 7 or 30 days, or never expire.")
        password = form.get(PASSWORD, "")
        code, share = services().streams.shares.create(
            stream,
            viewer(),
            name=form.get("name", ""),
            days=days,
            password_hash=services().accounts.hash_of_link(password) if password else "",
            may_download="downloads" in form,
            may_upload="uploads" in form,
            image_ids=ids[:MAX_CHOSEN] if form.get("what") != "stream" else (),
        )
    except (AccountRejected, FieldRejected) as error:
        reason = error.reason[:1].upper() + error.reason[1:]
        response = _form(stream, ids, error=reason)
        response.status_code = 400
        return response
    log_action("links", "created a link", f"{stream.title}, " + (f"{days} days" if days else "without end"))
    return _created(stream, code, share)


@stream_sharing.get("/streams/<slug>/links")
def links_page(slug: str) -> AnyResponse:
    """Show the links of the stream, which ones work, and how often each was opened."""
    stream, shares = _edited(slug), services().streams.shares
    rows = [{"share": one, "works": shares.works(one), "can_undo": shares.can_undo(one)} for one in shares.shares(stream)]
    values = {"rows": rows, "seen": _seen(stream), "notice": pop_flash(request.args.get("done", ""))}
    return page_of("streams/links.html", stream=stream, **values)


@stream_sharing.get("/streams/<slug>/links/<int:link_id>/renew")
def ask_renewal(slug: str, link_id: int) -> AnyResponse:
    """Ask before a link gets a new code: its QR code cannot be shown again, because only its hash is stored."""
    stream = _edited(slug)
    return page_of("streams/link_renew.html", stream=stream, share=services().streams.shares.share(stream, link_id))


@stream_sharing.post("/streams/<slug>/links/<int:link_id>/<action>")
@limiter.limit(WRITES)
def change_link(slug: str, link_id: int, action: str) -> AnyResponse:
    """Revoke a link, undo that for ten minutes, give it a new code, or remove it from the list."""
    stream, shares = _edited(slug), services().streams.shares
    if action == "renew":
        log_action("links", "renewed a link", stream.title)
        return _created(stream, *shares.renew(stream, link_id))
    if action == "revoke":
        shares.revoke(stream, link_id)
        log_action("links", "revoked a link", stream.title)
        flash("The link no longer works. You can undo this for 10 minutes.")
    elif action == "undo":
        shares.undo_revoke(stream, link_id)
        flash("The link works again.")
    elif action == "remove":
        shares.remove(stream, link_id)
        flash("The link is removed.")
    else:
        raise NotFound
    return redirect(f"/streams/{slug}/links?done=removed", 303)


@stream_sharing.get("/streams/<slug>/waiting")
def waiting_page(slug: str) -> AnyResponse:
    """Show what visitors sent and no owner has approved."""
    return _waiting(_edited(slug))


@stream_sharing.post("/streams/<slug>/waiting")
@limiter.limit(WRITES)
def decide(slug: str) -> AnyResponse:
    """Approve or reject the chosen images: approved ones get the visibility of new images of the stream. Or clear what was repeated."""
    stream, streams = _edited(slug), services().streams
    action, chosen = request.form.get("action", ""), set(request.form.getlist("image"))
    if action == "clear":
        streams.shares.end_repeats(stream)
        return redirect(f"/streams/{slug}/waiting", 303)
    if action not in ("approve", "reject"):
        raise FieldRejected("action", "action must be approve, reject or clear.")
    ids = [one.image_id for one in streams.shares.waiting(stream) if one.image_id in chosen]
    if action == "reject":
        streams.trash.move(stream, ids)
    for image_id in ids if action == "approve" else ():
        streams.update_stream_image(slug, image_id, visibility=stream.visibility)
        streams.shares.end_wait(image_id)
    count = f"{len(ids)} {'image' if len(ids) == 1 else 'images'}"
    flash(f"{count} approved as {stream.visibility.value}." if action == "approve" else f"{count} moved to the trash.")
    return redirect(f"/streams/{slug}/waiting?done=removed", 303)


def _edited(slug: str) -> Stream:
    stream = services().stream_queries.stream(viewer(), slug)
    require_editor(stream)
    return stream


def _form(stream: Stream, ids: Sequence[str], *, error: str = "") -> AnyResponse:
    chosen = services().streams.shares.chosen(stream, viewer(), ids[:MAX_CHOSEN])
    values = {
        "chosen": [image.image_id for image in chosen],
        "chosen_private": sum(image.visibility.value == "private" for image in chosen),
        "seen": _seen(stream),
        "days": EXPIRY_DAYS,
        "error": error,
        "typed": request.form,
    }
    return page_of("streams/share.html", stream=stream, **values)


def _created(stream: Stream, code: str, share: Share) -> AnyResponse:
    link = f"{public_origin()}{url_prefix()}/s/{code}"
    values = {"share": share, "link": link, "code": qr_code(link, "QR code of the link"), "seen": _seen(stream)}
    return page_of("streams/share_created.html", stream=stream, **values)


def _seen(stream: Stream) -> dict[str, int]:
    """Return how many images of the stream each visibility has, for the sentence about what a link shows."""
    return {name: int(count) for name, count in services().stream_queries.stats(stream).items() if name in views.AUDIENCES}


def _waiting(stream: Stream) -> AnyResponse:
    shares, queries = services().streams.shares, services().stream_queries
    known = {image.image_id: image for image in queries.images(viewer(), stream)}

    def rows_of(sent: Sequence[VisitorImage]) -> list[dict[str, Any]]:
        found = [(one, known[one.image_id]) for one in sent if one.image_id in known]
        return [{"sent": one, "picture": views.image_view(image, stream, viewer())} for one, image in found]

    rows, repeats = rows_of(shares.waiting(stream)), rows_of(shares.repeats(stream))
    return page_of(
        "streams/waiting.html", stream=stream, rows=rows, repeats=repeats, notice=pop_flash(request.args.get("done", ""))
    )
