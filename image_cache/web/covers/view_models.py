"""What the pages about covers say: where a cover is from, what was tried, what is in progress, which flaws there are."""

import time
from collections.abc import Sequence

from markupsafe import Markup

from image_cache.covers.stats import Progress
from image_cache.engine.registry import ImageRecord
from image_cache.frozen import frozen
from image_cache.importers.artwork.pages import DUMMY, TWINS, CoverOptions, FlawedRecord
from image_cache.importers.artwork.strategies import LABELS
from image_cache.importers.artwork.table import CoverTries
from image_cache.models import Album, Cover, TaskState
from image_cache.records.orders.appearance_table import UnfetchedCover
from image_cache.units import counted
from image_cache.web import svg as drawing
from image_cache.web.template_helpers import clock, day, moment, rough

SOURCES = {"discogs": "Discogs", "table": "the table", "music": "the music folder", "demo": "the demo collection"}
DONE = {
    "uploaded": "Your image is now the cover. Syncs will not change it.",
    "choose": "Cover changed. Syncs and checks will not change it back.",
    "remove": "Undone. The cover from the original source is used again.",
    "again": "Search queued with top priority.",
    "believe": "Retrying the original source.",
    "image": "Image added.",
    "image-moved": "Order changed.",
    "image-removed": "Image removed.",
}
# kind -> the title of its section, and its text; the worst first.
KINDS = {
    DUMMY: (
        "Placeholders",
        "The source has only a blank image, a “no image” placeholder or a dead link. VinylVault does not show these unless you choose to.",
    ),
    "small": ("Smaller than 300 px", "These look blurry on the record page."),
    "oblong": ("Not square", "Sleeves are square, so these are cropped on the wall."),
    TWINS: (
        "Possible duplicates",
        "Covers that look the same. You may have the record twice, or one record has the wrong cover. VinylVault does not merge anything.",
    ),
}


@frozen
class SearchLine:
    """The line of the search in progress. `is_paused` while it waits for an origin or an operator."""

    message: str
    done: int
    total: int
    is_paused: bool


@frozen
class MissingRow:
    """One record without a cover. `offers` is how many images there are to choose from, `is_queued` that a search is next."""

    album: Album
    drawn: Markup
    message: str
    offers: int
    is_queued: bool


@frozen
class AuditTile:
    """One record with a flaw. `message` is the size of its cover, or what is shown instead."""

    album: Album
    cover: Cover
    message: str


@frozen
class Section:
    """One flaw: how many records, or groups of them, have it, and some of them."""

    kind: str
    name: str
    message: str
    count: int
    groups: tuple[tuple[AuditTile, ...], ...]


@frozen
class ProgressLine:
    """The line about covers that are being fetched, in the same words with and without scripts. `left` is empty without an estimate."""

    total: int
    done: int
    words: str
    left: str
    lamp: str


def progress_line(progress: Progress | None) -> ProgressLine | None:
    """Return the line of a fetch that is under way, waits or is paused; None if there is none."""
    if progress is None:
        return None
    count = f"{progress.done:,} of {progress.total:,}"
    if progress.state == "paused":
        return ProgressLine(progress.total, progress.done, f"Downloads paused, {count}", "", "waiting")
    if progress.waits_until is not None:
        whom = "waiting for its source" if progress.waiting == 1 else "waiting for their sources"
        words = f"{counted(progress.waiting, 'cover')} {whom}, {count}"
        return ProgressLine(progress.total, progress.done, words, f"next retry at {clock(progress.waits_until)}", "waiting")
    left = f"about {rough(progress.eta_s)} left" if progress.eta_s is not None else ""
    return ProgressLine(progress.total, progress.done, f"Downloading covers, {count}", left, "working")


def outcome_words(total: int, fetched: int, given_up: int) -> str:
    """Return what is to be said when nothing is being fetched any more."""
    if fetched >= total:
        return "All covers downloaded"
    if fetched + given_up >= total:
        return f"{fetched:,} {'cover' if fetched == 1 else 'covers'} downloaded, {given_up:,} failed"
    return f"{fetched:,} of {total:,} covers downloaded"


def search_line(state: TaskState | None) -> SearchLine | None:
    """Return the line of a search, None if none runs."""
    if state is None:
        return None
    total = max(state.total or 0, state.done + 1)
    left = total - state.done
    message = f"Searching for covers: {left:,} left" if state.total else "Searching for covers"
    is_paused = state.paused_until is not None
    if state.paused_until is not None and state.message:
        message = f"{message}. {state.message} Next retry at {clock(state.paused_until)}."
    return SearchLine(message, state.done, total, is_paused)


def missing_row(album: Album, tries: CoverTries) -> MissingRow:
    return MissingRow(album, drawing.die_cut(None, album.artist), tried(tries), len(tries.offers), tries.next_at == 0)


def unfetched_row(album: Album, found: UnfetchedCover) -> MissingRow:
    return MissingRow(album, drawing.die_cut(None, album.artist), unfetched_words(found), 0, is_queued=False)


def unfetched_words(found: UnfetchedCover) -> str:
    """Return why a cover that its source should have is not here, and when it is tried again."""
    again = f" Next retry: {moment(found.next_at)}." if found.next_at > time.time() else ""
    if found.is_given_up:
        return f"Given up: {found.failure}.{again}"
    return f"Download failed: {found.failure}.{again}"


def section(kind: str, count: int, groups: Sequence[Sequence[FlawedRecord]]) -> Section:
    name, message = KINDS[kind]
    return Section(kind, name, message, count, tuple(tuple(_tile(record, kind) for record in group) for group in groups))


def origin(album: Album, tries: CoverTries) -> str:
    """Return where the cover that is shown is from, empty if there is none."""
    if album.own_cover is not None:
        if album.own_cover.startswith("own:"):
            return "Uploaded by you"
        return "Chosen by you, from the source" if album.own_cover == album.cover_url else "Chosen by you"
    if album.picture is None:
        return ""
    if album.picture == album.cover_url:
        return f"From {SOURCES.get(album.source, album.source)}"
    return f"Found by {LABELS[tries.strategy]}" if tries.strategy in LABELS else "Found elsewhere"


def note(album: Album, choice: CoverOptions) -> str:
    """Return what is wrong with the cover, empty for nothing."""
    if choice.cover.state == "failed":
        reason = choice.image.failure if choice.image is not None else ""
        return f"Download failed: {reason}." if reason else "Download failed."
    return tried(choice.tries) if album.picture is None else ""


def tried(tries: CoverTries) -> str:
    """Return what was tried for a record that has no cover."""
    if tries.next_at == 0:
        return f"{tries.reason}. Search queued" if tries.reason else "Search queued"
    if tries.tried_at is None:
        return "Not searched yet"
    again = f", next search on {day(tries.next_at)}" if tries.next_at > time.time() else ""
    return f"{tries.reason.rstrip('.')}. Searched on {day(tries.tried_at)}{again}"


def dimensions_text(image: ImageRecord | None) -> str:
    """Return the size of an image in pixels, empty before it was fetched."""
    return f"{image.width} \N{MULTIPLICATION SIGN} {image.height} px" if image and image.width and image.height else ""


def _tile(record: FlawedRecord, kind: str) -> AuditTile:
    album = record.album
    if kind != DUMMY:
        message = dimensions_text(record.image)
    elif album.picture is None:
        message = "no cover yet"
    else:
        message = "replaced by your upload" if album.own_cover else "replaced by one found elsewhere"
    return AuditTile(album, record.cover, message)
