"""Images that visitors send through a link, where its owner accepts them: private until an owner approves them."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, request
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as AnyResponse

from image_cache.db.database import DatabaseError
from image_cache.errors import FieldRejected, NotVisible
from image_cache.models import ImageVisibility
from image_cache.streams import OpenShare, Upload
from image_cache.streams.share.shares import MAX_SENT_PER_DAY, checked_sender
from image_cache.units import counted
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import BodyLimits, larger_body
from image_cache.web.streams.share.shared import facts_of, open_share, protect, visitor_page
from image_cache.web.streams.uploads import body_limits_of, files_of_form, store_file
from image_cache.web.streams.view_models import max_video_bytes

visitor_uploads = declare_access(read=Role.VISITOR, change=Role.VISITOR)(Blueprint("visitor_uploads", __name__))
protect(visitor_uploads)

# A visitor gets these reasons instead of the exact ones, which would reveal images that the link does not show.
FULL = "This stream accepts no more images."


def visitor_body_limits() -> BodyLimits | None:
    """Return the limits of a request that sends images through the link of its URL; None if that takes none."""
    try:
        opened = _accepting(str((request.view_args or {}).get("code", "")))
        left = services().streams.shares.left_today(opened.share)
    except (NotVisible, DatabaseError):
        return None
    if not left:
        return None
    limits = body_limits_of(opened.stream, MAX_SENT_PER_DAY)
    return replace(limits, refusal=FieldRejected("files", FULL)) if limits.refusal is not None else limits


@visitor_uploads.get("/s/<code>/add")
@limiter.limit("120 per minute")
def form(code: str) -> AnyResponse:
    """Show the form, and how many more images the link takes today."""
    return visitor_page("streams/shared_add.html", **facts_of(_accepting(code), code), rows=[], **_limits())


@visitor_uploads.post("/s/<code>/add")
@larger_body(visitor_body_limits)
@limiter.limit("30 per minute")
def add(code: str) -> AnyResponse:
    """Store the images of the form; the page has a row for each: sent, or refused and why."""
    opened = _accepting(code)
    sender, files = checked_sender(request.form.get("name", "")), files_of_form()
    if not files:
        raise FieldRejected("files", "Choose at least one image.")
    rows = [_sent(opened, file, sender) for file in files]
    if sent := sum(row["ok"] and "shown_id" not in row for row in rows):
        log_action("uploads", f"sent {counted(sent, 'image')} through a link", opened.stream.title)
    response = visitor_page("streams/shared_add.html", **facts_of(opened, code), rows=rows, sender=sender, **_limits())
    response.status_code = 200 if any(row["ok"] for row in rows) else 400
    return response


def _accepting(code: str) -> OpenShare:
    """Return what a link leads to if it takes images. Raises `NotVisible`."""
    opened = open_share(code)
    if not opened.share.may_upload:
        raise NotVisible
    return opened


def _sent(opened: OpenShare, file: FileStorage, sender: str) -> dict[str, Any]:
    shares = services().streams.shares
    if not shares.left_today(opened.share):
        reason = f"The link takes {MAX_SENT_PER_DAY} images a day. Try again tomorrow."
        return {"name": file.filename or "unnamed", "ok": False, "reason": reason}
    row = store_file(
        opened.stream,
        file,
        lambda: Upload(
            file.stream,  # type: ignore[arg-type]
            file.filename or "unnamed",
            ImageVisibility.PRIVATE,
            is_discreet=True,
        ),
    )
    if row["ok"]:
        shares.note_sent(opened.share, row["image_id"], sender)
    elif row["kind"] == "duplicate":
        row["ok"] = True
        _note_duplicate(opened, row, sender)
    elif row["kind"] in ("too-many", "no-space"):
        row["reason"] = FULL
    return {name: row[name] for name in ("name", "size_bytes", "ok", "reason", "note", "shown_id") if name in row}


def _note_duplicate(opened: OpenShare, row: dict[str, Any], sender: str) -> None:
    """Say that the stream has an image, where the link shows that; else the result stays that of any other."""
    shares, image_id = services().streams.shares, row["image_id"]
    if any(one.image_id == image_id for one in shares.images(opened)):
        row |= {"shown_id": image_id, "note": ""}
    else:
        shares.note_repeat(opened.share, image_id, sender)


def _limits() -> dict[str, Any]:
    return {
        "max_mb": services().streams.limits.max_bytes / 1e6,
        "max_video_mb": max_video_bytes() / 1e6,
        "max_request_mb": services().settings.MAX_UPLOAD_REQUEST_MB,
    }
