"""The page `/now`: what plays, for a screen beside the turntable, a television and phones at once; and the history of plays."""

import datetime
import re
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from flask import Blueprint, jsonify, redirect, render_template, request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.db.database import DatabaseError
from image_cache.records.playing.plays_table import Play
from image_cache.records.playing.sides import carrier_of
from image_cache.records.playing.turntable import Spinning, Turntable
from image_cache.units import whole_number
from image_cache.web import svg as drawing
from image_cache.web.access import Role, declare_access
from image_cache.web.context import account, is_member, may_change, may_play, services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.album import tint_name
from image_cache.web.records.views import get_record_or_404
from image_cache.web.responses import PAGE_CACHING, matches, page_response
from image_cache.web.template_helpers import know_covers

playing = declare_access(read=Role.VISITOR, change=Role.PLAYER, login="/now")(Blueprint("playing", __name__))

CELLS = 60  # covers of the mosaic: 9 x 5 on a television, and some to change them for
PLAYS_A_PAGE = 100
BEFORE = re.compile(r"([0-9]{1,11}\.[0-9]{6})-([0-9]{1,18})")
API = "/api/now"
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@playing.get("/now")
def now_page() -> AnyResponse:
    """Show what plays; a record that is ready to be started if the address names one; else the wall as a mosaic."""
    table = services().turntable
    if "album" in request.args:
        number = whole_number(request.args["album"], 1, 2**63 - 1)
        if number is None:
            raise BadRequest(f"album must be the number of a record, not “{request.args['album'][:40]}”.")
        return _page(table.ready(get_record_or_404(number)))
    return _page(table.now())


@playing.get(API)
@limiter.exempt
def now_state() -> AnyResponse:
    """Return what plays. Devices ask every second with the ETag that they have: see `UnchangedNow`."""
    found = services().turntable.now()
    tag = _tag(found.revision)
    if matches(request.headers.get("If-None-Match", ""), tag):
        answer: AnyResponse = AnyResponse(status=304)
    else:
        album = found.album if found.phase != "idle" else None
        answer = jsonify(
            {
                "phase": found.phase,
                "revision": found.revision,
                "album_id": album.id if album else None,
                "artist": album.artist if album else "",
                "title": album.title if album else "",
                "side": found.side.name if album and found.side else "",
                "next_side": found.next_side.name if album and found.next_side else "",
                "started_at": found.started_at if album else None,
                "ends_at": found.ends_at if album else None,
            }
        )
    answer.headers["ETag"] = tag
    answer.headers["Cache-Control"] = PAGE_CACHING
    return answer


@playing.post("/now/start")
@limiter.limit("60 per minute")
def start() -> AnyResponse:
    """Start a side (form fields album, side); the side before it counts if it is of the same record."""
    number = whole_number(request.form.get("album", ""), 1, 2**63 - 1)
    if number is None:
        raise BadRequest("album must be the number of a record.")
    services().turntable.start(number, request.form.get("side", ""), own.id if (own := account()) else None)
    return redirect("/now", 303)


@playing.post("/now/stop")
@limiter.limit("60 per minute")
def stop() -> AnyResponse:
    services().turntable.stop()
    return redirect("/now", 303)


@playing.post("/now/spin")
@limiter.limit("120 per minute")
@declare_access(change=Role.VISITOR)
def spin() -> AnyResponse:
    """Pick a record at random and offer it to be started."""
    picked = services().library.random()
    return redirect(f"/now?album={picked.id}" if picked else "/now", 303)


@playing.get("/plays")
def plays_page() -> AnyResponse:
    """Show what was played, by day."""
    before = None
    if "before" in request.args:
        parts = BEFORE.fullmatch(request.args["before"])
        if parts is None:
            raise BadRequest("before is invalid. Use the link to older plays.")
        before = (float(parts[1]), int(parts[2]))
    found = services().turntable.history(PLAYS_A_PAGE + 1, before)
    shown, has_more = found[:PLAYS_A_PAGE], len(found) > PLAYS_A_PAGE
    albums = {album.id: album for album in services().library.albums_by_id(list({play.album_id for play in shown}))}
    covers = services().covers.for_page([album.picture for album in albums.values()], load=())
    know_covers(covers)
    days = [(day, [(play, albums[play.album_id]) for play in plays if play.album_id in albums]) for day, plays in _days(shown)]
    older = f"{shown[-1].played_at:.6f}-{shown[-1].id}" if has_more else ""
    values = {
        "days": days,
        "covers": covers,
        "older": older,
        "may_play": may_play(),
        "may_change": may_change(),
        "done": request.args.get("done", ""),
    }
    return page_response(render_template("records/plays.html", **values))


@playing.post("/plays/<int:play_id>/undo")
@limiter.limit("60 per minute")
def undo(play_id: int) -> AnyResponse:
    """Undo a play; for a guest at home only within an hour."""
    if services().turntable.undo(play_id, as_guest=not is_member()) is None:
        raise NotFound("This play was already undone, or is too old to undo.")
    return redirect("/now" if request.form.get("back") == "now" else "/plays?done=undone", 303)


def _page(found: Spinning) -> AnyResponse:
    now, album = found.at, found.album
    values: dict[str, Any] = {"now": found, "server_at": now, "may_play": may_play()}
    if found.phase == "idle" or album is None:
        records = services().turntable.mosaic(CELLS)
        covers = services().covers.for_page([one.picture for one in records], load=())
        know_covers(covers)
        answer = page_response(render_template("records/now_idle.html", **values, records=records, covers=covers))
    else:
        cover = services().pages.cover(album)
        know_covers({album.picture: cover})
        next_length = found.next_side.total_s if found.next_side else None
        values |= {"album": album, "cover": cover, "tint": tint_name(cover), "tracks": _timed(found), "next_length": next_length}
        side = found.next_side.name if found.phase == "flip" and found.next_side else found.side.name if found.side else ""
        values["label"] = drawing.album_label(album, side.rpartition(" ")[2][:2])
        values["carrier"] = carrier_of(album.formats)
        values["lately"] = [play for play in services().turntable.history(5) if play.played_at > now - 86400]
        titles = services().library.albums_by_id([play.album_id for play in values["lately"]])
        values["titles"] = {one.id: one for one in titles}
        answer = page_response(render_template("records/now.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _timed(found: Spinning) -> list[tuple[Any, int | None, int | None]]:
    """Return the tracks of the side, each with the seconds after the start at which it begins and ends, if known."""
    timed: list[tuple[Any, int | None, int | None]] = []
    at: int | None = 0
    for track in found.side.tracks if found.side else ():
        end = None if at is None or track.duration_s is None else at + track.duration_s
        timed.append((track, at, end))
        at = end
    return timed


def _days(plays: list[Play]) -> list[tuple[float, list[Play]]]:
    """Return the plays of each day, with a moment of that day."""
    grouped = groupby(plays, key=lambda play: datetime.datetime.fromtimestamp(play.played_at).astimezone().date())
    days = [list(those) for _, those in grouped]
    return [(those[0].played_at, those) for those in days]


def _tag(revision: int) -> str:
    return f'"now-{revision}"'


class UnchangedNow:
    """Answers devices that ask every second whether something else plays, before Flask does: one SELECT, no session, no limiter.

    Only the answer "unchanged" is given here. Everything else continues to the application.
    """

    def __init__(self, app: WSGIApp, turntable: Turntable) -> None:
        self._app = app
        self._turntable = turntable

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        known = environ.get("HTTP_IF_NONE_MATCH") if environ["PATH_INFO"] == API and environ["REQUEST_METHOD"] == "GET" else None
        if known:
            try:
                tag = _tag(self._turntable.revision())
            except DatabaseError:  # the application has the answer to that
                tag = ""
            if known == tag:
                headers = [("ETag", tag), ("Cache-Control", PAGE_CACHING), ("X-Content-Type-Options", "nosniff")]
                start_response("304 NOT MODIFIED", headers)
                return ()
        return self._app(environ, start_response)
