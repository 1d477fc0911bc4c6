"""What a grid page shows, worked out before the template: its address, its tiles, its ruler. No SQL, no markup of its own."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, NotFound

from image_cache.models import Album, AlbumPage, AlbumQuery, Cover, Group
from image_cache.units import whole_number
from image_cache.web import svg as drawing

SORTS = {"artist": "Artist", "title": "Title", "year": "Year", "added": "Added", "plays": "Plays", "colour": "Colour"}
DENSITIES = {"s": "Small sleeves", "m": "Medium sleeves", "l": "Large sleeves"}
LETTERS = ("#", *string.ascii_uppercase)
LAMPS = 3  # no more sleeves than this may blink at a time: as many as downloads run
LONGEST_TEXT = 200  # letters of a search that are looked at


@dataclass(frozen=True, slots=True)
class Wall:
    """The address of a grid page, parsed: everything that decides what it shows."""

    query: AlbumQuery
    page: int = 1
    density: str = "m"
    path: str = "/"

    def url(self, **changes: str | int | None) -> str:
        """Return the address of this wall with some things changed. A changed filter or order begins at page one again."""
        values: dict[str, str | int | None] = {
            "q": self.query.text,
            "sort": self.query.sort,
            "genre": self.query.genre,
            "decade": self.query.decade,
            "format": self.query.format,
            "page": self.page if set(changes) <= {"density", "page"} else 1,
        } | changes
        kept = {name: value for name, value in values.items() if value not in (None, "") and (name, value) not in _PLAIN}
        return self.path + (f"?{urlencode(kept)}" if kept else "")

    @property
    def filters(self) -> int:
        return sum(bool(value) for value in (self.query.genre, self.query.decade, self.query.format))


_PLAIN = {("sort", "artist"), ("page", 1)}


def read_wall(args: MultiDict[str, str], density: str | None, path: str = "/") -> Wall:
    """Parse the query string of a grid page. `density` is what the viewer chose last.

    Raises: `BadRequest` or `NotFound` with a sentence that names what cannot be shown.
    """
    sort = args.get("sort") or "artist"
    if sort not in SORTS:
        raise BadRequest(f"There is no order “{sort[:40]}”. Records stand by artist, title, year, added, plays or colour.")
    decade = args.get("decade") or None
    if decade is not None and not (decade.isascii() and decade.isdigit() and len(decade) == 4):
        raise BadRequest(f"“{decade[:40]}” is not a decade such as 1970.")
    text = args.get("page") or "1"
    page = whole_number(text, 1, 99_999_999)
    if page is None:
        raise NotFound(f"There is no page “{text[:40]}”.")
    chosen = args.get("density") or density or "m"
    query = AlbumQuery(
        text=" ".join((args.get("q") or "").split())[:LONGEST_TEXT],
        sort=sort,
        genre=(args.get("genre") or "")[:LONGEST_TEXT],
        decade=int(decade) if decade else None,
        format=(args.get("format") or "")[:LONGEST_TEXT],
    )
    return Wall(query, page, chosen if chosen in DENSITIES else "m", path)


@dataclass(frozen=True, slots=True)
class Tile:
    """One sleeve on the wall. `tab` is set on the first of its group; `blinks` while its cover is on its way."""

    album: Album
    cover: Cover
    tab: Group | None
    eager: bool
    blinks: bool

    @property
    def drawn(self) -> Markup:
        return drawing.sleeve(self.cover, self.album.artist)

    @property
    def state(self) -> str:
        return self.cover.state

    @property
    def says(self) -> str:
        """Return what a screen reader adds to the name."""
        return {"waiting": "cover on its way", "working": "cover on its way", "ready": ""}.get(self.cover.state, "no cover yet")


def tiles(
    albums: Sequence[Album], covers: Sequence[Cover], heads: Mapping[int, Group] | None = None, *, eager: int = 8
) -> list[Tile]:
    """Pair albums with their covers. The first `eager` are loaded at once, the rest as they come near."""
    blinking = 0
    result = []
    for at, (album, cover) in enumerate(zip(albums, covers, strict=True)):
        blinks = cover.state == "working" and blinking < LAMPS
        blinking += blinks
        result.append(Tile(album, cover, (heads or {}).get(album.id), at < eager, blinks))
    return result


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the ruler. `href` is empty when nothing is filed under it."""

    label: str
    href: str
    says: str
    spines: Markup
    is_here: bool = False


def ruler(page: AlbumPage, wall: Wall) -> list[Cell]:
    """Lay out the ruler: every letter, also the empty ones, or the decades or months that there are."""
    groups = {group.label: group for group in page.groups}
    labels = list(groups)
    if wall.query.sort == "colour":
        from image_cache.records.ordering import BANDS

        labels = [*BANDS, *(label for label in labels if label not in BANDS)]
    if wall.query.sort in ("artist", "title") and all(len(label) == 1 for label in labels):
        labels = [*LETTERS, *(label for label in labels if label not in LETTERS)]
    each = max(1, -(-max((group.count for group in page.groups), default=0) // drawing.MOST_SPINES))
    cells = []
    for label in labels:
        group = groups.get(label)
        if group is None:
            cells.append(Cell(label, "", "", Markup("")))
            continue
        address = "" if group.page == page.page else wall.url(page=group.page)
        drawn = drawing.coloured(label, group.count, each) if wall.query.sort == "colour" else drawing.spines(group.count, each)
        says = f"{label}, {group.count} {'record' if group.count == 1 else 'records'}"
        cells.append(Cell(label, f"{address}#{group.anchor}", says, drawn))
    return cells


def opening_group(page: AlbumPage, page_size: int) -> str:
    """Return the label of the group that the first record of this page stands in."""
    before = (page.page - 1) * page_size
    label = ""
    for group in page.groups:
        if before < 0:
            break
        label = group.label
        before -= group.count
    return label
