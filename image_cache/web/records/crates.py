"""Crates: lists of records with a name, on pages of their own. Members fill them; visitors see those that an operator has opened."""

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected, UnknownCrate
from image_cache.records.crates.table import Crate
from image_cache.units import counted, whole_number
from image_cache.web import svg as drawing
from image_cache.web.access import Role, declare_access
from image_cache.web.context import is_member, may_operate, services
from image_cache.web.privacy import may_read_notes
from image_cache.web.rate_limits import limiter
from image_cache.web.records.browsing import wall
from image_cache.web.records.views import get_record_or_404
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

crating = declare_access(read=Role.MEMBER, change=Role.MEMBER, login="/crates")(Blueprint("crating", __name__))

SPINES = 30
PAGE_SIZE = 60
MAX_ID = 2**53
MAX_TYPED_CHARS = 2000
STEPS = {"up": -1, "down": 1}  # actions that move a record by one place


@crating.get("/crates")
@declare_access(read=Role.VISITOR)
def crates_page() -> AnyResponse:
    """Show the crates from the front, the covers' colours standing in them."""
    return _crates_page()


@crating.post("/crates")
@limiter.limit("60 per minute")
def add() -> AnyResponse:
    """Make a crate (form fields name, note), with a record in it if the field album names one."""
    album_id = whole_number(request.form.get("album", ""), 1, MAX_ID)
    try:
        made = services().crates.add(request.form.get("name", ""), request.form.get("note", ""), services().covers.clock())
    except FieldRejected as problem:
        return _crates_page(wrong=problem.reason)
    if album_id:
        services().crates.put(made, [album_id])
        return redirect(url_for("crating.record_page", album_id=album_id, done="added"), 303)
    return redirect(url_for("crating.crate_page", crate_id=made), 303)


@crating.get("/crates/<int:crate_id>")
@declare_access(read=Role.VISITOR)
def crate_page(crate_id: int) -> AnyResponse:
    """Show the records of a crate as a wall, in their order."""
    crate = _visible(crate_id)
    pages = _pages(crate)
    page = whole_number(request.args.get("page", "1"), 1, pages)
    if page is None:
        raise NotFound(f"Page “{request.args['page'][:40]}” does not exist. The last page is {pages}.")
    albums = services().library.albums_by_id(services().crates.ids(crate_id, PAGE_SIZE, PAGE_SIZE * (page - 1)))
    covers = services().covers.for_page([album.picture for album in albums])
    know_covers(covers)
    values = {
        "crate": crate,
        "note": crate.note if may_read_notes() else "",
        "tiles": wall.tiles(albums, covers),
        "number": page,
        "pages": pages,
        "first": PAGE_SIZE * (page - 1) + 1,
        "is_ordering": "order" in request.args and is_member(),
        "covers": covers,
        "moved": next((one for one in albums if str(one.id) == request.args.get("moved")), None),
        "albums": albums,
    }
    return page_response(render_template("records/crate.html", **values))


@crating.get("/crates/<int:crate_id>/edit")
def edit_page(crate_id: int) -> AnyResponse:
    """Show name and note in a form, and what else can be done with the crate."""
    return _edit_page(_visible(crate_id))


@crating.post("/crates/<int:crate_id>/edit")
@limiter.limit("60 per minute")
def edit(crate_id: int) -> AnyResponse:
    """Rename a crate; an operator also opens it to visitors (form field public)."""
    crate, form = _visible(crate_id), request.form
    is_public = form.get("public") == "1" if may_operate() else None
    try:
        services().crates.change(crate_id, form.get("name", ""), form.get("note", ""), is_public=is_public)
    except FieldRejected as problem:
        answer = _edit_page(crate, wrong=problem.reason)
        answer.status_code = 400
        return answer
    return redirect(url_for("crating.crate_page", crate_id=crate_id), 303)


@crating.post("/crates/<int:crate_id>/delete")
@limiter.limit("60 per minute")
def delete(crate_id: int) -> AnyResponse:
    """Delete a crate. Its records stay in the collection."""
    _visible(crate_id)
    services().crates.delete(crate_id)
    return redirect("/crates", 303)


@crating.post("/crates/<int:crate_id>/records")
@limiter.limit("240 per minute")
def change_records(crate_id: int) -> AnyResponse:
    """Put a record (form field album) in, take it out, or move it up, down or to a place (form fields action and place)."""
    _visible(crate_id)
    album_id = whole_number(request.form.get("album", ""), 1, MAX_ID)
    action, place = request.form.get("action", ""), whole_number(request.form.get("place", ""), 1, 99_999)
    if album_id is None or action not in ("put", "take", "move", *STEPS) or (action == "move" and place is None):
        raise BadRequest("action must be put, take, up, down or move, album the number of a record, and place a number from 1.")
    if action in ("move", *STEPS):
        return _moved(crate_id, album_id, action, place or 1)
    if action == "put":
        services().crates.put(crate_id, [album_id])
    else:
        services().crates.take(crate_id, [album_id])
    if request.form.get("from") == "record":
        return redirect(url_for("crating.record_page", album_id=album_id), 303)
    page = whole_number(request.form.get("page", ""), 1, _pages(_visible(crate_id))) or 1
    return redirect(url_for("crating.crate_page", crate_id=crate_id, order=1, page=page if page > 1 else None), 303)


def _moved(crate_id: int, album_id: int, action: str, place: int) -> AnyResponse:
    """Move a record; a script gets its place as JSON, a form the page that shows it there."""
    crates = services().crates
    now = crates.move(crate_id, album_id, place) if action == "move" else crates.step(crate_id, album_id, STEPS[action])
    if now is None:
        raise NotFound("This record is no longer in the crate.")
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return jsonify(place=now)
    page = -(-now // PAGE_SIZE)
    back = url_for("crating.crate_page", crate_id=crate_id, order=1, page=page if page > 1 else None, moved=album_id)
    return redirect(f"{back}#r{album_id}", 303)


@crating.get("/album/<int:album_id>/crates")
def record_page(album_id: int) -> AnyResponse:
    """Show which crates a record is in, each with a button that puts it in or takes it out."""
    record = get_record_or_404(album_id)
    within = {crate.id for crate in services().crates.of_record(album_id)}
    values = {"album": record, "crates": services().crates.crates(only_public=False), "within": within}
    return page_response(render_template("records/record_crates.html", **values))


@crating.get("/selection/<int:selection_id>/crate")
def choose_page(selection_id: int) -> AnyResponse:
    """Show the crates that the selected records can go in."""
    return _choose_page(selection_id)


@crating.post("/selection/<int:selection_id>/crate")
@limiter.limit("60 per minute")
def choose(selection_id: int) -> AnyResponse:
    """Put the selected records in a crate (form field crate), or in a new one (form field name)."""
    chosen, crates = services().selections.known(selection_id), services().crates
    try:
        crate_id = whole_number(request.form.get("crate", ""), 1, MAX_ID)
        if crate_id is None:
            crate_id = crates.add(request.form.get("name", ""), "", services().covers.clock())
        crates.put(crate_id, chosen.ids)
    except FieldRejected as problem:
        answer = _choose_page(selection_id, wrong=problem.reason)
        answer.status_code = 400
        return answer
    return redirect(url_for("crating.crate_page", crate_id=crate_id), 303)


def _pages(crate: Crate) -> int:
    return max(1, -(-crate.count // PAGE_SIZE))


def _visible(crate_id: int) -> Crate:
    found = services().crates.crate(crate_id)
    if found is None or not (found.is_public or is_member()):
        raise UnknownCrate(crate_id)
    return found


def _crates_page(wrong: str = "") -> AnyResponse:
    crates = services().crates.crates(only_public=not is_member())
    fronts = []
    for crate in crates:
        albums = services().library.albums_by_id(services().crates.ids(crate.id, SPINES))
        covers = services().covers.for_page([album.picture for album in albums], load=())
        spines = drawing.crate([covers[album.picture].average or "" for album in albums])
        fronts.append((crate, spines, f"{counted(crate.count, 'record')}{', open to visitors' if crate.is_public else ''}"))
    values = {"fronts": fronts, "wrong": wrong, "typed": request.form.get("name", "")[:MAX_TYPED_CHARS]}
    answer = page_response(render_template("records/crates.html", **values, may_read=may_read_notes()))
    answer.status_code = 400 if wrong else 200
    return answer


def _edit_page(crate: Crate, wrong: str = "") -> AnyResponse:
    form = request.form
    typed = {"name": form.get("name", crate.name)[:MAX_TYPED_CHARS], "note": form.get("note", crate.note)[:MAX_TYPED_CHARS]}
    return page_response(render_template("records/crate_edit.html", crate=crate, wrong=wrong, typed=typed))


def _choose_page(selection_id: int, wrong: str = "") -> AnyResponse:
    chosen = services().selections.known(selection_id)
    values = {"chosen": chosen, "crates": services().crates.crates(only_public=False), "wrong": wrong}
    back = wall.wall_of(chosen.address).url(page=1, select=chosen.id)
    return page_response(render_template("records/select_crate.html", back=back, **values))
