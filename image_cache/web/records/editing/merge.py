"""Merging two records: choosing the other one, both side by side, and the answer with its undo."""

from collections.abc import Sequence

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from image_cache.models import Album, AlbumQuery
from image_cache.units import counted, whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import account, services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.album import record_page
from image_cache.web.records.browsing.wall import MAX_TEXT_CHARS
from image_cache.web.records.editing.edit import SOURCE_NAMES
from image_cache.web.records.views import get_record_or_404
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

merging = declare_access(read=Role.OWNER, change=Role.OWNER, login=record_page)(Blueprint("merging", __name__))

OFFERED = 20
MAX_ID = 2**53


@merging.get("/album/<int:album_id>/merge")
def merge_page(album_id: int) -> AnyResponse:
    """Show the records that this one may be the same as (q searches for others), or both side by side (with)."""
    record = get_record_or_404(album_id)
    other_id = whole_number(request.args.get("with", ""), 1, MAX_ID)
    return _choose_page(record) if other_id is None else _compare_page(record, get_record_or_404(other_id))


@merging.post("/album/<int:album_id>/merge")
@limiter.limit("60 per minute")
def merge(album_id: int) -> AnyResponse:
    """Merge another record into this one (form fields with, state, and 1 for each field that is taken from the other)."""
    record, form = get_record_or_404(album_id), request.form
    other = get_record_or_404(whole_number(form.get("with", ""), 1, MAX_ID) or 0)
    merger, own = services().library.batches.merger, account()
    takes = {one.name: form.get(one.name) == "1" for one in merger.differences(record, other)}
    batch = merger.merge(album_id, other.id, takes, form.get("state", ""), own.id if own else None)
    if batch is None:
        answer = _compare_page(get_record_or_404(album_id), get_record_or_404(other.id), is_late=True)
        answer.status_code = 409
        return answer
    log_action("records", "merged 2 records")
    return redirect(url_for("undoing.batch_page", batch_id=batch.id), 303)


def _choose_page(record: Album) -> AnyResponse:
    typed = request.args.get("q", "").strip()[:MAX_TEXT_CHARS]
    found = _others(record, typed) if typed else _others(record, record.title) or _others(record, record.artist)
    return _page("records/merge_choose.html", [record, *found], album=record, found=found, typed=typed)


def _others(record: Album, text: str) -> list[Album]:
    """Return other records that a text finds; records without a title or an artist find none."""
    if not text:
        return []
    found = services().library.page(AlbumQuery(text=text[:MAX_TEXT_CHARS]), 1).albums
    return [album for album in found if album.id != record.id][:OFFERED]


def _compare_page(record: Album, other: Album, *, is_late: bool = False) -> AnyResponse:
    merger, form = services().library.batches.merger, request.form
    rows = [(one, form.get(one.name, "1" if not one.first else "0")) for one in merger.differences(record, other)]
    both = (f"{record.plays} + {other.plays} = {counted(record.plays + other.plays, 'play')}", "both notes", "the crates of both")
    return _page(
        "records/merge.html",
        [record, other],
        album=record,
        other=other,
        rows=rows,
        state=merger.state(*_stored(record, other)),
        combined=", ".join(both),
        sources=[SOURCE_NAMES.get(one.source, "typed by hand") for one in (record, other)],
        is_late=is_late,
    )


def _stored(*records: Album) -> Sequence[Album]:
    """Return records without what is hidden from pages, as the merge compares them."""
    return services().library.albums_by_id([record.id for record in records])


def _page(template: str, records: Sequence[Album], **values: object) -> AnyResponse:
    covers = services().covers.for_page([record.picture for record in records], load=())
    know_covers(covers)
    answer = page_response(render_template(template, covers=covers, **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer
