"""What the audit of covers shows, worked out before the template: flaw by flaw, a tile for each record."""

from dataclasses import dataclass

from image_cache.models import Album, Cover
from image_cache.web.context import services
from image_cache.web.covers.view_models import size_of
from image_cache.web.template_helpers import know_covers

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
    return {"dummy": services().care.desk.rows.count_refused(), **services().care.looks.counts()}


def section(kind: str, count: int, first: int, most: int) -> Section:
    """Return a section with up to `most` records, or groups of them, from the `first` on."""
    looks = services().care.looks
    if kind == "twins":
        groups = looks.twins(first, most)
    elif kind == "dummy":
        groups = [[one] for one in services().care.desk.rows.refused(first, most)]
    else:
        groups = [[one] for one in looks.flawed(kind, first, most)]
    ids = [one for group in groups for one in group]
    albums = {album.id: album for album in services().library.some(ids)}
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
