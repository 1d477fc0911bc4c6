"""The pages that people look at: the wall, search, an album, and the few around them. Parse, ask one service, answer."""

import re
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, send_from_directory, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.covers import PAGE
from image_cache.errors import UnknownPage
from image_cache.models import Album, AlbumPage, Cover
from image_cache.web.access import Role, access
from image_cache.web.context import account, may_change, pop_flash, services
from image_cache.web.highlight import in_names, in_tracks
from image_cache.web.rate_limits import limiter
from image_cache.web.records import album as album_view
from image_cache.web.records import wall
from image_cache.web.template_helpers import STATIC_DIR, assets_version, know_covers

if TYPE_CHECKING:
    from image_cache.web.imports.tasks import TaskLine

pages = access(read=Role.VISITOR)(Blueprint("pages", __name__))

FOREVER = "public, max-age=31536000, immutable"
CHOICE_S = 365 * 86400  # how long a browser remembers the chosen density
NEIGHBOURS = 20  # spines on each side of an album
NEAR_IN_COLOUR = 6
NEARBY = 7  # sleeves of an empty search: one row on a desk
PARTS = ("flask", "gunicorn", "pillow", "requests", "urllib3")
TINT = re.compile(r"([0-9]{3})-([0-9]{2})")


@pages.get("/")
def grid() -> AnyResponse:
    """Show a page of the wall; the result of a search when there is something to search for."""
    here = wall.read_wall(request.args, request.cookies.get("density"))
    if here.query.text:
        return _found(here)
    if not services().library.count():
        return _first_run()
    page, covers = _albums(here)
    return _remember_density(_page(render_template("records/index.html", **_wall_values(here, page, covers), **_choices())), here)


@pages.get("/search")
def search() -> AnyResponse:
    """Show what answers a search; the bare input before anything was typed."""
    here = wall.read_wall(request.args, request.cookies.get("density"), "/search")
    if here.query.text:
        return _found(here)
    return _page(render_template("records/search.html", wall=here, tiles=[], found=None))


@pages.get("/sort")
def sort() -> AnyResponse:
    """Show order, filters and density as a page of their own, for small screens."""
    here = wall.read_wall(request.args, request.cookies.get("density"))
    return _page(render_template("records/sort.html", wall=here, sorts=wall.SORTS, densities=wall.DENSITIES, **_choices()))


@pages.get("/album/<int:album_id>")
def album(album_id: int) -> AnyResponse:
    """Show one record: sleeve, disc, facts, tracks, and where it stands on the shelf."""
    return show_album(get_record_or_404(album_id))


def show_album(record: Album, **other: object) -> AnyResponse:
    """Answer the page of a record. `other` goes to the template, such as what was typed and could not be taken."""
    library, covers = services().library, services().covers
    shelf = album_view.with_own(library.neighbours(record.id, NEIGHBOURS), record)
    covers.register([one.picture for one in shelf if one.picture])
    looks = know_covers([one.picture for one in shelf])
    if record.picture:
        covers.enqueue_missing([record.picture], PAGE)
    at = shelf.index(record)
    chance = album_view.chance(request.args)
    values = {
        "album": record,
        "cover": looks[at],
        "tint": album_view.tint(looks[at]),
        "sides": album_view.sides(record.tracks),
        "facts": album_view.facts(record),
        "shelf": album_view.spines(shelf, looks, record),
        "previous": shelf[at - 1] if at else None,
        "next": shelf[at + 1] if at + 1 < len(shelf) else None,
        "near": _near_in_colour(record.id),
        "spun": "spun" in request.args,
        "why": album_view.why(chance, library.why(record)) if "spun" in request.args else "",
        "spin_again": album_view.spin_path(chance),
        "is_writing": "notes" in request.args and may_change(),
        "done": request.args.get("done", ""),
        "details_coming": services().discogs.enqueue_details(record),
    }
    return _page(render_template("records/album_detail.html", **values | other))


@pages.post("/album/<int:album_id>/played")
@access(change=Role.OWNER, login=album_view.record_page)
def played(album_id: int) -> AnyResponse:
    """Count one more play, said by the listener; never a side effect of looking."""
    get_record_or_404(album_id)
    services().library.record_play(album_id)
    return redirect(url_for("pages.album", album_id=album_id, done="played"), 303)


@pages.post("/album/<int:album_id>/unplayed")
@access(change=Role.OWNER, login=album_view.record_page)
def unplayed(album_id: int) -> AnyResponse:
    """Take the last play back."""
    get_record_or_404(album_id)
    services().library.unplay(album_id)
    return redirect(url_for("pages.album", album_id=album_id, done="unplayed"), 303)


@pages.get("/random")
@limiter.limit("120 per minute")  # each leaves a line in the catalogue
def spin() -> AnyResponse:
    """Pick a record, of a genre or a decade when the address says so, and go there; to the wall when there is none."""
    chance = album_view.chance(request.args)
    picked = services().library.random(**chance)
    target = url_for("pages.album", album_id=picked.id, spun=1, **chance) if picked else url_for("pages.grid", **chance)
    answer = redirect(target, 302)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@pages.get("/tint/<name>.css")
def tint(name: str) -> Response:
    """Answer two custom properties, a pure function of the address: the hue and chroma of a cover."""
    parts = TINT.fullmatch(name)
    if parts is None or int(parts[1]) >= 360 or int(parts[2]) > album_view.MOST_CHROMA:
        abort(404)
    answer = Response(f":root{{--tint-h:{int(parts[1])};--tint-c:{int(parts[2]) / 100:g}}}\n", mimetype="text/css")
    answer.headers["Cache-Control"] = FOREVER
    return answer


@pages.get("/assets/<version>/<path:name>")
def assets(version: str, name: str) -> Response:
    """Answer one of our own files; for good when the address carries the mark of what we have."""
    answer = send_from_directory(STATIC_DIR, name, conditional=True)
    answer.headers["Cache-Control"] = FOREVER if version == assets_version() else "no-cache"
    return answer


@pages.get("/keys")
def keys() -> AnyResponse:
    return _page(render_template("keys.html", keys=KEYS))


@pages.get("/more")
def more() -> AnyResponse:
    return _page(render_template("more.html"))


@pages.get("/about")
def about() -> AnyResponse:
    versions = [("VinylVault", metadata_version("vinylvault") or "0.1.0"), ("Python", ".".join(map(str, sys.version_info[:3])))]
    versions += [(name.capitalize(), found) for name in PARTS if (found := metadata_version(name))]
    return _page(render_template("about.html", versions=versions, total=services().library.count()))


def metadata_version(name: str) -> str:
    """Return the installed version of a distribution, empty when it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _near_in_colour(album_id: int) -> list[wall.Tile]:
    albums = services().library.near_in_colour(album_id, NEAR_IN_COLOUR)
    return wall.tiles(albums, know_covers([one.picture for one in albums]), eager=0)


def get_record_or_404(album_id: int) -> Album:
    """Return a record. Raises `NotFound` with a sentence."""
    record = services().library.album(album_id)
    if record is None:
        raise NotFound(f"There is no record {album_id} on this shelf.")
    return record


def _albums(here: wall.Wall) -> tuple[AlbumPage, list[Cover]]:
    """Ask for the page, and queue the covers that are not here yet.

    Raises: `NotFound` for a page after the last one.
    """
    try:
        page = services().library.page(here.query, here.page)
    except UnknownPage as error:
        raise NotFound(f"There is no page {here.page}. The last one is {error.pages}.") from None
    return page, _covers(page.albums)


def _covers(albums: Sequence[Album]) -> list[Cover]:
    covers, urls = services().covers, [one.picture for one in albums]
    covers.register(urls)
    looks = know_covers(urls)
    covers.enqueue_missing(urls, PAGE)  # what is missing or stale
    return looks


def _wall_values(here: wall.Wall, page: AlbumPage, covers: list[Cover]) -> dict[str, object]:
    first = (page.page - 1) * services().settings.PAGE_SIZE
    return {
        "wall": here,
        "page": page,
        "tiles": wall.tiles(page.albums, covers, page.heads),
        "cells": wall.ruler(page, here),
        "opening": wall.opening_group(page, services().settings.PAGE_SIZE),
        "first": first + 1,
        "last": first + len(page.albums),
        "sorts": wall.SORTS,
        "densities": wall.DENSITIES,
        "progress": services().covers.progress(),
        "tasks": _tasks(),
        "search": None if may_change() else _search(),  # whoever may change things sees it among the tasks
        "drawn_at": time.strftime("%H:%M"),
        "notice": pop_flash(request.args.get("done", "")),
    }


def _tasks() -> Sequence["TaskLine"]:
    """Return what runs behind, for those whom it concerns."""
    if not may_change() or not services().tasks.rows.open():
        return ()
    from image_cache.web.imports.tasks import open_lines

    return [line for line in open_lines() if line.kind != "covers"]  # the search for covers has a line of its own, for everybody


def _search() -> object:
    """Return the line of the search for covers, None when none runs."""
    state = services().artwork.search()
    if state is None:
        return None
    from image_cache.web.covers.view_models import search_line

    return search_line(state)


def _first_run() -> AnyResponse:
    """Show the ways in, and whether this machine is ready for them."""
    from image_cache.web.imports import methods as ways
    from image_cache.web.records import first_run

    offered = ways.first_ways()
    values = {
        "ways": offered,
        "count_of_ways": ways.counted(len(offered)),
        "has_operator": services().accounts.has_operator(),
        "signs": first_run.signs(),
        "tasks": _tasks(),
        "notice": pop_flash(request.args.get("done", "")),
    }
    return _page(render_template("records/first_run.html", **values))


def _choices() -> dict[str, object]:
    library = services().library
    return {"genres": library.genres(), "decades": library.decades(), "formats": library.formats()}


def _found(here: wall.Wall) -> AnyResponse:
    """Show the records, and the tracks on them, that answer a search."""
    started = time.perf_counter()
    page, covers = _albums(here)
    took_ms = 1000 * (time.perf_counter() - started)
    words = here.query.text.split()
    values = _wall_values(here, page, covers) | {"words": words, "took_ms": max(1, round(took_ms))}
    if not page.total:
        library = services().library
        around = album_view.around(library, here.query.text, NEARBY)
        values["nearby"] = wall.tiles(around, _covers(around))
        return _page(render_template("records/nothing_found.html", **values, every=library.count()))
    tracks = in_tracks(page.albums, words)
    listed = {hit.album.id for hit in tracks}
    rows = wall.tiles(page.albums, covers, page.heads)
    by_front = [tile for tile in rows if tile.album.id not in listed or in_names(tile.album, words)]
    sleeves = {tile.album.id: tile for tile in rows}
    return _page(render_template("records/search.html", **values, found=by_front, tracks=tracks, sleeves=sleeves))


def _remember_density(answer: AnyResponse, here: wall.Wall) -> AnyResponse:
    if request.args.get("density") == here.density:
        answer.set_cookie("density", here.density, max_age=CHOICE_S, httponly=True, samesite="Lax")
    return answer


def _page(html: str) -> AnyResponse:
    """Answer a page that a browser may keep for going back and must ask for again otherwise; not one of somebody logged in."""
    answer = make_response(html)
    answer.headers["Cache-Control"] = "no-store" if account() else "private, no-cache"
    return answer


KEYS = (
    (
        "Go",
        (
            ("Search", ("/",)),
            ("Spin a record", ("S",)),
            ("Records", ("G", "R")),
            ("Streams", ("G", "S")),
            ("Dashboard", ("G", "D")),
            ("About", ("G", "A")),
        ),
    ),
    (
        "On the wall",
        (
            ("Move", ("←", "↑", "→", "↓")),
            ("Open", ("Enter",)),
            ("First, last", ("Home", "End")),
            ("Jump to a letter", ("Shift", "A to Z")),
            ("Smaller, larger", ("-", "+")),
        ),
    ),
    ("On a record", (("Previous, next", ("←", "→")), ("I played it", ("P",)), ("Back to the wall", ("Esc",)))),
    ("In a stream", (("Previous, next", ("←", "→")), ("Nearer", ("Z",)), ("Back to the stream", ("Esc",)))),
    ("Anywhere", (("This sheet", ("?",)), ("Close", ("Esc",)))),
)
