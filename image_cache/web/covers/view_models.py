"""What the pages about covers say, worked out before the template: where a cover is from, what was tried, what runs."""

import time
from dataclasses import dataclass

from image_cache.importers.artwork.strategies import LABELS
from image_cache.importers.artwork.table import CoverTries
from image_cache.models import Album, Cover, TaskState
from image_cache.web import svg as drawing
from image_cache.web.context import services
from image_cache.web.template_helpers import day, know_covers

SOURCES = {"discogs": "Discogs", "table": "the table", "music": "the music folder", "demo": "the demo collection"}
DONE = {
    "uploaded": "Your picture is the cover now. No sync changes it.",
    "choose": "Chosen. No sync changes it.",
    "remove": "Your own is gone. The source decides again.",
    "again": "In line, in front of all others.",
    "believe": "The source is asked again.",
}


@dataclass(frozen=True, slots=True)
class MissingRow:
    """One line of the list. `offers` is how many pictures there are to choose from."""

    album: Album
    drawn: str
    says: str
    offers: int
    is_asked: bool


@dataclass(frozen=True, slots=True)
class SearchLine:
    """The line of the search that runs. `says` is the whole of it; `is_paused` while it waits for somebody else."""

    says: str
    done: int
    total: int
    is_paused: bool


def search_line(state: TaskState | None) -> SearchLine | None:
    """Return what to say of a search, None when none runs."""
    if state is None:
        return None
    total = max(state.total or 0, state.done + 1)
    left = total - state.done
    says = f"Finding covers: {left:,} left" if state.total else "Finding covers"
    is_paused = state.paused_until is not None
    if is_paused and state.message:
        says = f"{says}. {state.message}"
    return SearchLine(says, state.done, total, is_paused)


def missing_row(album: Album, tries: CoverTries) -> MissingRow:
    drawn = drawing.die_cut(None, album.artist)
    return MissingRow(album, drawn, tried(tries), len(tries.offers), tries.next_at == 0)


def tried(tries: CoverTries) -> str:
    """Say what was tried for a record that has no cover."""
    if tries.next_at == 0:
        return f"{tries.reason}. In line" if tries.reason else "In line"
    if tries.tried_at is None:
        return "Not looked for yet"
    again = f", again on {day(tries.next_at)}" if tries.next_at > time.time() else ""
    return f"{tries.reason.rstrip('.')}. Looked for on {day(tries.tried_at)}{again}"


def origin(album: Album, tries: CoverTries) -> str:
    """Say where the picture that is shown is from, empty when there is none."""
    if album.own_cover is not None:
        if album.own_cover.startswith("own:"):
            return "Your own picture"
        return "Chosen by you, from the source" if album.own_cover == album.cover_url else "Chosen by you"
    if album.picture is None:
        return ""
    if album.picture == album.cover_url:
        return f"From {SOURCES.get(album.source, album.source)}"
    return f"Found by {LABELS[tries.strategy]}" if tries.strategy in LABELS else "Found elsewhere"


def note(album: Album, tries: CoverTries, cover: Cover) -> str:
    """Say what is the matter with the cover, empty when nothing is."""
    if cover.state == "failed":
        image = services().covers.registry.get(cover.digest)
        reason = image.failure if image is not None else ""
        return f"It could not be fetched: {reason}." if reason else "It could not be fetched."
    if album.picture is None:
        return tried(tries)
    return ""


def size_of(address: str | None) -> str:
    """Return the size of the picture behind an address in pixels, empty before it was fetched."""
    if not address:
        return ""
    covers = services().covers
    image = covers.registry.get(covers.names.of(address)[1])
    return (
        f"{image.width} \N{MULTIPLICATION SIGN} {image.height} px" if image is not None and image.width and image.height else ""
    )


# kind -> what its section is called, and what it says. In the order of how much it disturbs.
KINDS = {
    "dummy": (
        "Stand-ins",
        "Their source has no cover, only a picture of nothing, or an address that leads nowhere. It is not shown.",
    ),
    "small": ("Smaller than 300 px", "They look soft on their own page."),
    "oblong": ("Not square", "A sleeve is. These are cut at the edges on the wall."),
    "twins": (
        "The same sleeve twice",
        "A hint, nothing more: the same record twice, or one with the cover of another. Nothing is merged.",
    ),
}


@dataclass(frozen=True, slots=True)
class AuditTile:
    """One record with a flaw. `says` is its size, or what is shown instead."""

    album: Album
    cover: Cover
    says: str


@dataclass(frozen=True, slots=True)
class Section:
    """One flaw: how many records, or groups of them, have it, and some of them. Only twins stand in groups of more than one."""

    kind: str
    name: str
    says: str
    count: int
    groups: tuple[tuple[AuditTile, ...], ...]


def counts() -> dict[str, int]:
    """Return how many records have each flaw, and how many groups of records look the same."""
    return {"dummy": services().artwork.editor.rows.count_rejected(), **services().artwork.appearances.counts()}


def section(kind: str, count: int, first: int, most: int) -> Section:
    """Return a section with up to `most` records, or groups of them, from the `first` on."""
    looks = services().artwork.appearances
    if kind == "twins":
        groups = looks.twins(first, most)
    elif kind == "dummy":
        groups = [[one] for one in services().artwork.editor.rows.rejected(first, most)]
    else:
        groups = [[one] for one in looks.flawed(kind, first, most)]
    ids = [one for group in groups for one in group]
    albums = {album.id: album for album in services().library.albums_by_id(ids)}
    shown = list(albums.values())
    covers = dict(zip((album.id for album in shown), know_covers([album.picture for album in shown]), strict=True))
    name, says = KINDS[kind]
    tiles = (tuple(_tile(albums[one], covers[one], kind) for one in group if one in albums) for group in groups)
    return Section(kind, name, says, count, tuple(group for group in tiles if group))


def _tile(album: Album, cover: Cover, kind: str) -> AuditTile:
    if kind != "dummy":
        return AuditTile(album, cover, size_of(album.picture))
    if album.picture is None:
        return AuditTile(album, cover, "no cover yet")
    return AuditTile(album, cover, "your own instead" if album.own_cover else "another one was found")
