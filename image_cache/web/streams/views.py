"""Pages of streams: the list, a gallery, one image, and the forms of its owners. Complete without scripts."""

from functools import partial
from typing import Any

from flask import Blueprint, Response, current_app, make_response, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected, NotVisible
from image_cache.models import ImageVisibility, Stream, StreamImage
from image_cache.streams import TRASH_DAYS, TrashedStream
from image_cache.streams.changes.selection import TRASH
from image_cache.units import whole_number
from image_cache.visibility import may_edit, may_own
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import OWNER_ROLES, services
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import larger_body
from image_cache.web.streams import view_models as views
from image_cache.web.streams.changes.bands import undo_band
from image_cache.web.streams.looks import (
    HAND,
    TAKEN,
    by_day,
    in_order,
    look_of,
    mode_of_request,
    more_of,
    orders_of,
    upto_of_request,
)
from image_cache.web.streams.uploads import set_status, store_files, stream_body_limits
from image_cache.web.streams.view_chart import chart
from image_cache.web.streams.viewer import impersonated_viewer, require_editor, require_owner, viewer

streams = declare_access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY)(Blueprint("streams", __name__))

PER_PAGE = 24
SAVED = {
    "public": "Now visible to everyone.",
    "private": "Now visible only to owners.",
    "subscribers": "Now visible to subscribers.",
}
WRITES = "120 per minute"


@streams.get("/streams")
def browser() -> AnyResponse:
    """Show the streams that this viewer may open, or the images that match a search."""
    text, number = request.args.get("q", "").strip()[:200], _page_number()
    queries, me = services().stream_queries, viewer()
    values: dict[str, Any] = {"query": text, "may_create": me.role in OWNER_ROLES, "visibilities": _visibilities()}
    if text:
        found = queries.search(me, text)
        values |= {"found": [views.image_view(image, stream, me) for stream, image in found], "total": len(found)}
        return _page("streams/index.html", **values)
    cards = queries.streams(me)
    if me.account_id is not None and "trashed" in request.args:
        values |= {"trashed": _just_trashed(request.args["trashed"]), "days": TRASH_DAYS}
    pages = max(1, -(-len(cards) // PER_PAGE))
    if number > pages:
        raise NotFound(f"Page {number} does not exist. The last page is {pages}.")
    shown = cards[(number - 1) * PER_PAGE : number * PER_PAGE]
    return _page("streams/index.html", **values, cards=views.cards(shown, me), total=len(cards), page=number, pages=pages)


@streams.post("/streams")
@declare_access(change=Role.OWNER_ACCOUNT)
@limiter.limit("30 per minute")
def create() -> AnyResponse:
    """Create a stream."""
    form = request.form
    created = services().streams.create_stream(
        form.get("title", ""),
        form.get("slug", ""),
        description=form.get("description", ""),
        visibility=form.get("visibility", "public"),
        owner=viewer(),
    )
    log_action("uploads", "created a stream", created.title)
    return redirect(f"/streams/{created.slug}", 303)


@streams.get("/streams/<slug>")
def stream(slug: str) -> AnyResponse:
    """Show the gallery of a stream; to an editor on request as others see it."""
    stream = _stream(slug)
    as_viewer, kind = impersonated_viewer(stream)
    try:
        services().stream_queries.stream(as_viewer, slug)
    except NotVisible:  # only when impersonating: that viewer sees nothing here, and the editor is told so
        response = _page("streams/hidden.html", stream=stream, seen_as=kind)
        response.status_code = 404
        return response
    may, query = may_edit(as_viewer, stream), request.args.get("q", "").strip()[:200]
    orders = orders_of(may_see_taken=may or stream.shows_taken)
    layout, order = look_of(slug, orders)
    arranged = partial(in_order, order=HAND if query else order, may_edit=may)  # what was found comes best first
    values = views.gallery(stream, as_viewer, query, arrange=arranged, upto=upto_of_request())
    if kind:
        values |= {"seen_as": kind, "all_count": services().stream_queries.stats(stream)["total"]}
    if order == TAKEN and not query:
        values["days"] = by_day(values["pictures"])
    if values["may_edit"]:
        values |= {"undo": undo_band(stream), "mode": mode_of_request()}
    return _page(
        "streams/stream.html",
        **values,
        layout=layout,
        order=order,
        orders=orders,
        more=more_of(values["found"], len(values["pictures"])),
        seen_as_kinds=may_edit(viewer(), stream),
        done=request.args.get("done", ""),
    )


@streams.post("/streams/<slug>")
@limiter.limit(WRITES)
def change(slug: str) -> AnyResponse:
    """Change texts, date, cover and the visibility of new images. An unticked box is not sent: `whole` tells that there is one."""
    stream = _stream(slug)
    require_editor(stream)
    names = ("title", "description", "visibility", "event_date", "cover_id")
    changes: dict[str, object] = {name: request.form[name] for name in names if name in request.form}
    if "whole" in request.form:
        changes["shows_taken"] = "shows_taken" in request.form
    services().streams.update_stream(stream, changes)
    return redirect(f"/streams/{slug}?done=saved", 303)


@streams.post("/streams/<slug>/delete")
@limiter.limit(WRITES)
def delete_stream(slug: str) -> AnyResponse:
    """Move a stream to the trash, from where its owner can restore it."""
    stream = _stream(slug)
    require_owner(stream)
    services().streams.trash.move_stream(stream)
    log_action("deletions", "moved a stream to the trash", stream.title)
    return redirect(f"/streams?trashed={slug}", 303)


@streams.post("/streams/<slug>/images")
@larger_body(stream_body_limits)
@limiter.limit(WRITES)
def upload(slug: str) -> AnyResponse:
    """Store the files of the form; the page has a row for each: stored, or refused and why."""
    stream = _stream(slug)
    require_editor(stream)
    rows = store_files(stream)
    if not rows:
        raise FieldRejected("files", "Choose at least one file.")
    stored = sum(row["ok"] for row in rows)
    response = _page("streams/upload.html", stream=stream, rows=rows, stored=stored, limits=views.upload_limits(stream))
    set_status(response, rows, 200)
    return response


@streams.get("/streams/<slug>/images/<image_id>")
def image(slug: str, image_id: str) -> AnyResponse:
    """Show one image with its texts, and the previous and next one that this viewer sees."""
    stream, found = services().stream_queries.image(viewer(), image_id, slug)
    order = [one.image_id for one in services().stream_queries.images(viewer(), stream)]
    index = order.index(found.image_id) if found.image_id in order else -1
    shown = views.image_view(found, stream, viewer())
    values: dict[str, Any] = {
        "stream": stream,
        "picture": shown,
        "previous": order[index - 1] if index > 0 else None,
        "next": order[index + 1] if 0 <= index < len(order) - 1 else None,
        "place_of": index + 1,
        "count": len(order),
        "is_sharp": not found.is_sensitive or request.args.get("show") == "1",
        "visibilities": _visibilities(),
        "done": SAVED.get(request.args.get("done", ""), ""),
    }
    if shown.may_edit:
        values["chart"] = chart(services().stream_queries.views_by_day([image_id])[image_id])
    return _page("streams/image.html", **values)


@streams.post("/streams/<slug>/images/<image_id>")
@limiter.limit(WRITES)
def update(slug: str, image_id: str) -> AnyResponse:
    """Change what the form names. An unticked box is not sent, so `whole` tells that the form has one."""
    _, found = _editable(slug, image_id)
    form = request.form
    changes: dict[str, Any] = {name: form[name] for name in ("title", "description", "visibility") if name in form}
    if "whole" in form:
        changes["is_sensitive"] = "sensitive" in form
    if form.get("position"):
        changes["position"] = _whole_number(form["position"])
    changed = services().streams.update_stream_image(slug, found.image_id, **changes)
    back = f"/streams/{slug}" if form.get("back") == "stream" else views.address(changed)
    return redirect(f"{back}?done={changed.visibility.value}", 303)


@streams.post("/streams/<slug>/images/<image_id>/delete")
@limiter.limit(WRITES)
def delete(slug: str, image_id: str) -> AnyResponse:
    """Move an image to the trash, from where it can be restored."""
    stream, found = _editable(slug, image_id)
    _, number = services().streams.selection.apply(viewer(), stream, TRASH, [found.image_id])
    log_action("deletions", "moved 1 image to the trash", stream.title)
    return redirect(f"/streams/{slug}?undo={number}", 303)


@streams.get("/streams/<slug>/selftest")
@limiter.limit("10 per minute")
def selftest(slug: str) -> AnyResponse:
    """Request everything of the stream as each kind of viewer, and compare the responses with the policy."""
    from image_cache.web.streams.privacy_check import run_selftest  # rarely used

    stream = _stream(slug)
    require_editor(stream)
    return _page("streams/privacy_check.html", stream=stream, report=run_selftest(current_app, stream, is_thorough=False))


@streams.post("/pages/<page>/clear")
@declare_access(change=Role.OWNER_ACCOUNT)
@limiter.limit(WRITES)
def clear_page(page: str) -> AnyResponse:
    """Drop the images of a page from memory."""
    services().streams.clear_page_cache(page)
    return redirect("/streams", 303)


def page_of(template: str, **values: Any) -> Response:
    """Return a page that depends on the viewer and must not be cached."""
    response = make_response(render_template(template, me=viewer(), **values))
    response.headers["Cache-Control"] = "private, no-store"
    return response


_page = page_of


def _stream(slug: str) -> Stream:
    return services().stream_queries.stream(viewer(), slug)


def _editable(slug: str, image_id: str) -> tuple[Stream, StreamImage]:
    stream, found = services().stream_queries.image(viewer(), image_id, slug)
    require_editor(stream)
    return stream, found


def _just_trashed(slug: str) -> TrashedStream | None:
    found = services().streams.trash.stream(slug)
    return found if found is not None and may_own(viewer(), found.stream) else None


def _visibilities() -> list[str]:
    return [kind.value for kind in ImageVisibility]


def _page_number() -> int:
    number = whole_number(request.args.get("page", "1"), 1, 999_999)
    if number is None:
        raise NotFound("Page not found.")
    return number


def _whole_number(text: str) -> int:
    number = whole_number(text, 0, 999_999)
    if number is None:
        raise FieldRejected("position", "The position must be a whole number, 1 or higher.")
    return number
