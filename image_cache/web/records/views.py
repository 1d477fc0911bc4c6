"""Pages of the collection: the wall, search, one record, plays, random."""

import re
import time
from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import UnknownPage
from image_cache.importers.artwork.record_images import KINDS
from image_cache.models import Album
from image_cache.records.filters.saved_views import SavedView
from image_cache.records.highlight import in_tracks
from image_cache.records.pages import WallPage
from image_cache.records.playing.sides import carrier_of, sides
from image_cache.records.search.question import read_question
from image_cache.records.search.where import TRACK, where_hit
from image_cache.web.access import Role, declare_access
from image_cache.web.context import account, is_member, may_change, pop_flash, services
from image_cache.web.covers.view_models import SearchLine, progress_line, search_line
from image_cache.web.forwarded import url_prefix
from image_cache.web.imports.methods import first_methods
from image_cache.web.imports.tasks import TaskLine, open_lines
from image_cache.web.privacy import for_viewer
from image_cache.web.rate_limits import limiter
from image_cache.web.records import album as album_view
from image_cache.web.records.browsing import wall
from image_cache.web.records.browsing.about import about
from image_cache.web.records.browsing.filters import choices, named_walls
from image_cache.web.records.browsing.page_tags import revalidated
from image_cache.web.records.browsing.select_page import select_page
from image_cache.web.records.first_run import readiness_checks
from image_cache.web.records.playing.moods import keep_mood, mood_query, read_mood, reason_sentence, spin_path
from image_cache.web.records.wants import shown_wants
from image_cache.web.responses import FOREVER, page_response
from image_cache.web.template_helpers import know_covers

pages = declare_access(read=Role.VISITOR)(Blueprint("pages", __name__))

CHOICE_S = 365 * 86400  # how long a browser remembers the chosen density
NEIGHBOURS = 20  # spines on each side of a record
NEAR_IN_COLOUR = 6
WANTS_SHOWN = 6  # of a search
NEARBY = 7  # covers of an empty search: one row on a desktop
TINT = re.compile(r"([0-9]{3})-([0-9]{2})")


@pages.get("/")
@revalidated
def grid() -> AnyResponse:
    """Show a page of the wall; the result of a search if there is something to search for."""
    address = wall.read_wall(request.args, request.cookies.get("density"))
    if "select" in request.args and is_member():
        return select_page(address, _wall_page(address))
    if address.query.text:
        return _search_results(address)
    shown = _wall_page(address)
    if not shown.count:
        return _first_run()
    return _remember_density(page_response(render_template("records/index.html", **_wall_values(address, shown))), address)


@pages.get("/search")
@revalidated
def search() -> AnyResponse:
    """Show the results of a search; only the input before anything was typed."""
    address = wall.read_wall(request.args, request.cookies.get("density"), "/search")
    if address.query.text:
        return _search_results(address)
    return page_response(render_template("records/search.html", wall=address, tiles=[], found=None))


@pages.get("/sort")
def sort() -> AnyResponse:
    """Show order, filters and density as their own page, for small screens."""
    address = wall.read_wall(request.args, request.cookies.get("density"))
    facets = services().library.narrowed_facets(address.query)
    return page_response(
        render_template(
            "records/sort.html",
            wall=address,
            sorts=wall.SORTS | wall.more_sorts(),
            densities=wall.DENSITIES,
            choices=choices(address.query, facets),
            views=_views(services().library.views.views()),
            may_save=is_member(),
        )
    )


@pages.get("/album/<int:album_id>")
@revalidated
def album(album_id: int) -> AnyResponse:
    """Show one record: cover, disc, facts, tracks, and its neighbours on the shelf."""
    return show_record(get_record_or_404(album_id))


def show_record(record: Album, **other: object) -> AnyResponse:
    """Return the page of a record. `other` goes to the template, such as a rejected text."""
    shown = services().pages.record(record, each=NEIGHBOURS, near=NEAR_IN_COLOUR)
    shelf, index, cover = shown.shelf, shown.index, shown.covers[record.picture]
    mood = read_mood(request.args)
    is_picked, done = "spun" in request.args, request.args.get("done", "")
    images = services().record_images.of(record.id)
    looks = services().covers.for_page([one.address for one in images]) if images else {}
    know_covers({**shown.covers, **looks})
    values = {
        "album": for_viewer(record),
        "images": [(KINDS[one.kind], looks[one.address]) for one in images],
        "cover": cover,
        "tint": album_view.tint_name(cover),
        "sides": sides(record.tracks),
        "carrier": carrier_of(record.formats),
        "facts": album_view.facts(record),
        "artist_path": album_view.wall_path("artist", record.artist),
        "shelf": album_view.spines(shelf, shown.covers, record),
        "previous": shelf[index - 1] if index else None,
        "next": shelf[index + 1] if index + 1 < len(shelf) else None,
        "near": wall.tiles(shown.near, shown.covers, eager=0),
        "spun": is_picked,
        "why": reason_sentence(mood, shown.reason) if is_picked else "",
        "spin_again": spin_path(mood),
        "is_writing": "notes" in request.args and is_member(),
        "notes_are_public": services().settings.PUBLIC_NOTES,
        "done": done,
        "alike": services().copies.like(record) if done == "added" and may_change() else (),
        "crates": services().crates.of_record(record.id) if is_member() else (),
        "details_coming": shown.has_details_queued,
    }
    return page_response(render_template("records/album_detail.html", **values | other))


@pages.post("/album/<int:album_id>/played")
@declare_access(change=Role.PLAYER, login=album_view.record_page)
def played(album_id: int) -> AnyResponse:
    """Record a play, on request only: never a side effect of a page."""
    get_record_or_404(album_id)
    services().turntable.play(album_id, own.id if (own := account()) else None)
    return redirect(url_for("pages.album", album_id=album_id, done="played"), 303)


@pages.post("/album/<int:album_id>/unplayed")
@declare_access(change=Role.PLAYER, login=album_view.record_page)
def unplayed(album_id: int) -> AnyResponse:
    """Undo the last play."""
    get_record_or_404(album_id)
    services().turntable.undo_last(album_id, as_guest=not is_member())
    return redirect(url_for("pages.album", album_id=album_id, done="unplayed"), 303)


@pages.get("/random")
@limiter.limit("120 per minute")
def spin() -> AnyResponse:
    """Pick a record, of the mood of the URL if it has one, and redirect to it; if there is none, to where another mood is chosen."""
    mood = read_mood(request.args)
    picked = services().library.spin(mood)
    if picked is not None:
        target = f"/album/{picked.id}?{urlencode({'spun': '1'} | mood_query(mood))}"
    else:
        target = f"/spin?{urlencode(mood_query(mood))}" if services().library.count() else "/"
    answer = redirect(target, 302)
    keep_mood(answer, mood)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@pages.get("/tint/<name>.css")
def tint(name: str) -> Response:
    """Return two custom properties, a pure function of the URL: the hue and chroma of a cover."""
    parts = TINT.fullmatch(name)
    if parts is None or int(parts[1]) >= 360 or int(parts[2]) > album_view.MAX_CHROMA:
        abort(404)
    answer = Response(f":root{{--tint-h:{int(parts[1])};--tint-c:{int(parts[2]) / 100:g}}}\n", mimetype="text/css")
    answer.headers["Cache-Control"] = FOREVER
    return answer


def get_record_or_404(album_id: int) -> Album:
    """Return a record. Raises `NotFound` with a sentence."""
    record = services().library.album(album_id)
    if record is None:
        raise NotFound(f"Record {album_id} does not exist. It may have been removed.")
    return record


def _wall_page(address: wall.WallAddress) -> WallPage:
    """Return the page of the wall at an address. Raises `NotFound` for a page after the last one."""
    try:
        shown = services().pages.wall(address.query, address.page, also=_also(address))
    except UnknownPage as error:
        raise NotFound(f"Page {address.page} does not exist. The last page is {error.pages}.") from None
    know_covers(shown.covers)
    return shown


def _also(address: wall.WallAddress) -> str:
    """Return the size that small sleeves and browsers that save data show, and that is not rendered with every cover."""
    saves_data = request.headers.get("Save-Data", "").lower() == "on"
    return "thumbnails" if address.density == "s" or saves_data else ""


def _wall_values(address: wall.WallAddress, shown: WallPage) -> dict[str, object]:
    page, facets = shown.page, shown.facets
    is_owner = may_change()
    return {
        "wall": address,
        "page": page,
        "tiles": wall.tiles(page.albums, shown.covers, page.heads),
        "cells": wall.ruler(page, address),
        "opening": wall.opening_group(page, shown.page_size),
        "page_size": shown.page_size,
        "first": (page.page - 1) * shown.page_size + 1,
        "last": (page.page - 1) * shown.page_size + len(page.albums),
        "sorts": wall.SORTS | {name: words for name, words in wall.MORE_SORTS.items() if name == address.query.sort},
        "views": _views(shown.views) if shown.views else (),
        "may_save": is_member(),
        "about": about(address.query, facets) if address.query.filters else None,
        "densities": wall.DENSITIES,
        "genres": facets.genres,
        "decades": facets.decades,
        "formats": facets.formats,
        "sources": facets.sources,
        "record_total": shown.count,
        "progress": progress_line(shown.progress),
        "tasks": _tasks() if is_owner else (),
        "search": None if is_owner else _search(),  # owners see it among the tasks
        "drawn_at": time.strftime("%H:%M"),
        "notice": pop_flash(request.args.get("done", "")),
    }


def _views(views: Sequence[SavedView]) -> list[SavedView]:
    """Return the saved views that this viewer sees: those of everyone, and their own."""
    viewer = account()
    return [view for view in views if view.account_id is None or (viewer is not None and view.account_id == viewer.id)]


def _tasks() -> Sequence[TaskLine]:
    """Return the tasks in progress, but the search for covers, which has its own line for everyone."""
    return [line for line in open_lines() if line.kind != "covers"]


def _search() -> SearchLine | None:
    return search_line(services().artwork.search())


def _first_run() -> AnyResponse:
    """Show the sources of records, and whether the server is ready for them."""
    methods = first_methods()
    values = {
        "ways": methods,
        "has_operator": services().accounts.has_operator(),
        "signs": readiness_checks(),
        "tasks": _tasks() if may_change() else (),
        "notice": pop_flash(request.args.get("done", "")),
    }
    return page_response(render_template("records/first_run.html", **values))


def _search_results(address: wall.WallAddress) -> AnyResponse:
    """Show the records that match a search, and the tracks on them."""
    started = time.perf_counter()
    shown = _wall_page(address)
    took_ms = 1000 * (time.perf_counter() - started)
    page = shown.page
    text = page.correction or address.query.text
    words, question = text.split(), read_question(text)
    values = _wall_values(address, shown) | {"words": words, "took_ms": max(1, round(took_ms))}
    if not page.total:
        values["wants"] = shown_wants(services().library.wants.search(address.query.text, WANTS_SHOWN))
        albums, covers = services().pages.nearby(address.query.text, NEARBY)
        know_covers(covers)
        return page_response(
            render_template("records/nothing_found.html", **values, nearby=wall.tiles(albums, covers), every=shown.count)
        )
    tracks = in_tracks(page.albums, words)
    values["wants"] = shown_wants(services().library.wants.search(text, WANTS_SHOWN)) if page.page == 1 else []
    named = named_walls(text, page.albums, shown.facets) if page.page == 1 else []
    listed = {hit.album.id for hit in tracks}
    sleeves = {tile.album.id: tile for tile in wall.tiles(page.albums, shown.covers, page.heads)}
    places = {album.id: where_hit(for_viewer(album), question) for album in page.albums}
    found = [
        (tile, place)
        for album_id, tile in sleeves.items()
        if (place := places[album_id]) is None or place.field != TRACK or album_id not in listed
    ]
    return page_response(
        render_template("records/search.html", **values, found=found, tracks=tracks, sleeves=sleeves, named=named)
    )


def _remember_density(answer: AnyResponse, address: wall.WallAddress) -> AnyResponse:
    if request.args.get("density") == address.density:
        answer.set_cookie("density", address.density, max_age=CHOICE_S, httponly=True, samesite="Lax", path=url_prefix() or "/")
    return answer
