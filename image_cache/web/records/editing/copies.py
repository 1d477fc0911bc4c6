"""Records that look the same: the page that offers them in pairs, to merge them or to keep them as two copies."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected
from image_cache.models import Album
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.album import record_page
from image_cache.web.records.views import get_record_or_404
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

copying = declare_access(read=Role.OWNER, change=Role.OWNER, login=record_page)(Blueprint("copying", __name__))

PATH = "/alike"
PAIRS_A_PAGE = 30
MAX_ID = 2**53


@copying.get(PATH)
@declare_access(read=Role.OWNER, login=PATH)
def alike_page() -> AnyResponse:
    """Show the pairs that look the same, the newest first; with import only what that batch has added, with kept what was answered last."""
    batch_id = whole_number(request.args.get("import", ""), 1, MAX_ID)
    if batch_id is None and "import" in request.args:
        raise NotFound("This import does not exist.")
    pairs = services().copies.pairs(batch_id)
    shown = pairs[:PAIRS_A_PAGE]
    albums = {one.id: one for one in services().library.albums_by_id(list(dict.fromkeys(one for pair in shown for one in pair)))}
    covers = services().covers.for_page([one.picture for one in albums.values()], load=())
    know_covers(covers)
    values = {
        "pairs": [(albums[first], albums[second]) for first, second in shown if first in albums and second in albums],
        "total": len(pairs),
        "covers": covers,
        "batch_id": batch_id,
        "kept": _kept(),
    }
    answer = page_response(render_template("records/alike.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@copying.post("/album/<int:album_id>/copies")
@limiter.limit("120 per minute")
def keep(album_id: int) -> AnyResponse:
    """Keep this record and another (form field with) as two copies: they are not offered as the same again."""
    get_record_or_404(album_id)
    other_id = whole_number(request.form.get("with", ""), 1, MAX_ID) or 0
    get_record_or_404(other_id)
    if other_id == album_id:
        raise FieldRejected("with", "Choose another record: one cannot be a copy of itself.")
    services().copies.keep_all([(other_id, album_id)])
    if request.form.get("from") == "alike":
        return redirect(url_for("copying.alike_page", kept=album_id, **_batch()), 303)
    return redirect(url_for("pages.album", album_id=album_id, done="kept"), 303)


@copying.post("/album/<int:album_id>/copies/forget")
@limiter.limit("120 per minute")
def forget(album_id: int) -> AnyResponse:
    """Take it back that this record is a copy of others."""
    get_record_or_404(album_id)
    services().copies.forget(album_id)
    if request.form.get("from") == "alike":
        return redirect(url_for("copying.alike_page", **_batch()), 303)
    return redirect(url_for("editing.edit_page", album_id=album_id, done="forgotten"), 303)


def _batch() -> dict[str, Any]:
    """Return the import that the page was about, for its address."""
    batch_id = whole_number(request.form.get("import", ""), 1, MAX_ID)
    return {"import": str(batch_id)} if batch_id else {}


def _kept() -> Album | None:
    """Return the record that the last answer was about, if it is still a copy."""
    album_id = whole_number(request.args.get("kept", ""), 1, MAX_ID)
    return services().library.album(album_id) if album_id and services().copies.of(album_id) else None
