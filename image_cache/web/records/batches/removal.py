"""Removal pages, for one record and for all that are missing at a source: what is lost, and what would bring it back."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.models import Album
from image_cache.records.editing.own_values import HAND
from image_cache.records.removal import GoneRecords, RecordDependents, Removed
from image_cache.units import counted
from image_cache.web.access import Role, declare_access, this_page
from image_cache.web.actions import log_action
from image_cache.web.context import account, flash, services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.views import get_record_or_404
from image_cache.web.template_helpers import know_covers, records

removing = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login=this_page)(Blueprint("removing", __name__))

SHOWN = 300  # records of each kind that are listed
MAX_NAME_CHARS = 120  # of an artist or a title in the sentence about a removed record
MAX_QUOTE_CHARS = 90
# source -> what its page is called, what happened to its records, and what would bring them back.
GONE = {
    "discogs": (
        "Discogs",
        "These records are no longer in your Discogs collection but are still on your wall.",
        "If you add them back at Discogs, the next sync imports them as new records.",
    ),
    "music": (
        "Music folders",
        "The folders of these records are missing, but the records are still on your wall.",
        "When the folders are back, the next scan imports them as new records.",
    ),
}


class RemovableRecord(NamedTuple):
    """One record of a list. `has` names its dependents, empty for none."""

    album: Album
    has: str


@removing.get("/album/<int:album_id>/remove")
def ask(album_id: int) -> AnyResponse:
    """Show what is lost with a record, and what would bring it back, before it is removed."""
    album = get_record_or_404(album_id)
    own = services().removal.dependents([album.id]).get(album.id, RecordDependents())
    cover = services().pages.cover(album)
    know_covers({album.picture: cover})
    goes = [f"{part[:1].upper()}{part[1:]}" for part in _parts(own, album)]
    may_hide = album.source != HAND
    return _page(
        render_template("records/remove_one.html", album=album, cover=cover, goes=goes, back=_back(album), may_hide=may_hide)
    )


@removing.post("/album/<int:album_id>/remove")
@limiter.limit("60 per minute")
def remove(album_id: int) -> AnyResponse:
    """Remove a record, with the form field hide for good; the answer has the undo."""
    get_record_or_404(album_id)
    own, library = account(), services().library
    if request.form.get("hide") == "1":
        library.hidden.hide([album_id], services().covers.clock())
    done = library.batches.remove([album_id], own.id if own else None)
    if not done.changed:  # removed by another request meanwhile
        raise NotFound(f"Record {album_id} does not exist. It may have been removed.")
    log_action("records", "removed 1 record")
    return redirect(url_for("undoing.batch_page", batch_id=done.id), 303)


@removing.get("/import/discogs/gone")
def ask_discogs() -> AnyResponse:
    """Show what would be removed of the records that left the collection at Discogs."""
    return _ask_gone("discogs")


@removing.post("/import/discogs/gone")
@limiter.limit("20 per minute")
def remove_discogs() -> AnyResponse:
    return _remove_gone("discogs")


@removing.get("/import/music/gone")
def ask_music() -> AnyResponse:
    """Show what would be removed of the records whose folders are gone."""
    return _ask_gone("music")


@removing.post("/import/music/gone")
@limiter.limit("20 per minute")
def remove_music() -> AnyResponse:
    return _remove_gone("music")


def removal_message(removed: Sequence[Removed], source: str = "") -> str:
    """Return a sentence about what was removed; of a source also how many of its gone records stay."""
    if not removed:
        text = "Nothing was removed."
    elif len(removed) == 1:
        text = f"Removed: {_cut(removed[0].artist)}, {_cut(removed[0].title)}."
    else:
        text = f"Removed: {records(len(removed))}."
    stays = services().removal.count_gone(source).total if source else 0
    return f"{text} {stays:,} kept." if stays else text


def _ask_gone(source: str) -> AnyResponse:
    gone = services().removal.gone(source, SHOWN)
    name, happened, back = GONE[source]
    values = {
        "source": source,
        "name": name,
        "happened": happened,
        "back": back,
        "count": gone.count,
        "kept": _lines(gone.own),
        "plain": _lines(gone.plain),
    }
    return _page(render_template("records/remove_many.html", **values))


def _remove_gone(source: str) -> AnyResponse:
    """Remove what the page has shown and what is still gone; with `keep` nothing that has dependents."""
    own = account()
    removed = services().library.batches.remove_gone(_gone_records(source, request.form), own.id if own else None)
    log_action("records", f"removed {records(len(removed))}", f"no longer at {source}")
    undo = " You can put them back for 30 days: More, Changes and undo." if removed else ""
    flash(removal_message(removed, source) + undo)
    return redirect(f"/import/{source}?done=removed", 303)


def _gone_records(source: str, form: Mapping[str, str]) -> GoneRecords:
    """Parse the form of that page. Raises `BadRequest` if it does not say which records it has shown."""
    try:
        until = float(form.get("until", ""))
    except ValueError:
        until = math.nan
    if not math.isfinite(until):
        raise BadRequest("The form was incomplete. Reload the page and try again.")
    return GoneRecords(source, until, spares_own="keep" in form)


def _page(html: str) -> AnyResponse:
    answer = AnyResponse(html, mimetype="text/html")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _lines(albums: Sequence[Album]) -> list[RemovableRecord]:
    own = services().removal.dependents([album.id for album in albums])
    return [RemovableRecord(album, ", ".join(own.get(album.id, RecordDependents()).parts())) for album in albums]


def _parts(own: RecordDependents, album: Album) -> list[str]:
    """Name the dependents of a record, addressed to its owner."""
    parts = [counted(own.plays, "play")] if own.plays else []
    if own.has_notes:
        parts.append(f"your notes, \N{LEFT DOUBLE QUOTATION MARK}{_quote(album.own_notes)}\N{RIGHT DOUBLE QUOTATION MARK}")
    if own.has_cover:
        parts.append("your uploaded cover")
    if own.stars:
        parts.append(f"your rating ({counted(own.stars, 'star')})")
    return parts


def _back(album: Album) -> str:
    """Return a sentence about what would bring a record back."""
    if album.source == "music":
        return _back_from_folder(album)
    if album.source == "discogs":
        return _back_from_discogs(album)
    if album.source == HAND:
        return "It was typed by hand. To get it back, type it again."
    return f"To get it back, {'add the demo records' if album.source == 'demo' else 'import the table'} again."


def _back_from_folder(album: Album) -> str:
    if album.gone_at is not None:
        return "Its folder is missing. If the folder comes back, the next scan imports the record again."
    if services().removal.is_in_folder(album.id, services().music.dirs()):
        return "Its folder is still there, so the next scan will import it again."
    return "Its folder is no longer scanned. Add the folder again and scan it to get the record back."


def _back_from_discogs(album: Album) -> str:
    has_token = services().discogs.status().has_token
    if not album.instance_id:  # it came by table, and no sync has seen it yet
        return "To get it back, import the table again" + (
            ", or sync with Discogs if it is in your collection there." if has_token else "."
        )
    if album.gone_at is not None:
        return "It is no longer in your Discogs collection. Add it back there and sync."
    if has_token:
        return "It is still in your Discogs collection, so the next sync will import it again."
    return "Connect Discogs again and sync, as long as it is still in your collection there."


def _quote(text: str) -> str:
    return _cut(" ".join(text.split()), MAX_QUOTE_CHARS)


def _cut(text: str, limit: int = MAX_NAME_CHARS) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
