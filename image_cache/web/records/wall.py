"""View model of the wall: its address, its tiles, its ruler."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup, escape
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, NotFound

from image_cache.models import Album, AlbumPage, AlbumQuery, Cover, Group
from image_cache.records.colours import BANDS
from image_cache.units import whole_number
from image_cache.web import svg as drawing
from image_cache.web.privacy import may_read_notes, sources_for_viewer
from image_cache.web.template_helpers import srcset_pattern

SORTS = {"artist": "Artist", "title": "Title", "year": "Year", "added": "Added", "plays": "Plays", "colour": "Colour"}
DENSITIES = {"s": "Small sleeves", "m": "Medium sleeves", "l": "Large sleeves"}
LETTERS = ("#", *string.ascii_uppercase)
MAX_BLINKING = 3  # covers at a time: as many as downloads run
MAX_TEXT_CHARS = 200  # of a search that are used
MESSAGES = {"waiting": "cover on its way", "working": "cover on its way", "ready": ""}  # by the state of the cover


@dataclass(frozen=True, slots=True)
class WallAddress:
    """The address of a page of the wall, parsed: everything that decides what it shows."""

    query: AlbumQuery
    page: int = 1
    density: str = "m"
    path: str = "/"

    def url(self, **changes: str | int | None) -> str:
        """Return the URL of this wall with some values changed. A changed filter or order starts at page one."""
        values: dict[str, str | int | None] = {
            "q": self.query.text,
            "sort": self.query.sort,
            "genre": self.query.genre,
            "decade": self.query.decade,
            "format": self.query.format,
            "source": self.query.source,
            "page": self.page if set(changes) <= {"density", "page"} else 1,
        } | changes
        query = {name: value for name, value in values.items() if value not in (None, "") and (name, value) not in _PLAIN}
        return self.path + (f"?{urlencode(query)}" if query else "")

    @property
    def filters(self) -> int:
        return sum(bool(value) for value in (self.query.genre, self.query.decade, self.query.format, self.query.source))


_PLAIN = {("sort", "artist"), ("page", 1)}


def read_wall(args: MultiDict[str, str], density: str | None, path: str = "/") -> WallAddress:
    """Parse the query string of a page of the wall. `density` is what the viewer chose last.

    Raises: `BadRequest` or `NotFound` with a sentence that names the invalid value.
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
    words = " ".join((args.get("q") or "").split())[:MAX_TEXT_CHARS]
    query = AlbumQuery(
        text=words,
        sort=sort,
        genre=(args.get("genre") or "")[:MAX_TEXT_CHARS],
        decade=int(decade) if decade else None,
        format=(args.get("format") or "")[:MAX_TEXT_CHARS],
        with_notes=not words or may_read_notes(),
        source=(args.get("source") or "")[:MAX_TEXT_CHARS],
    )
    return WallAddress(query, page, chosen if chosen in DENSITIES else "m", path)


@dataclass(frozen=True, slots=True)
class Tile:
    """One record on the wall. `tab` is set on the first of its group; it `blinks` while its cover is being fetched.

    `source` is the origin's URL of the cover as this viewer may see it, `drawn` is what is seen until the cover is loaded, `message` what a screen reader adds to the name,
    `srcset` the sizes of its cover.
    """

    album: Album
    source: str
    cover: Cover
    tab: Group | None
    eager: bool
    blinks: bool
    drawn: Markup
    message: str
    srcset: str

    def item(self, sizes: str, clear: str) -> Markup:
        """Return the list item of the wall. Python, because a macro of Jinja takes six times as long, sixty times a page.

        `sizes` are those of the picture, `clear` is the image that is shown until it is there.
        """
        album, cover, tab = self.album, self.cover, self.tab
        title, facts = escape(album.title), " · ".join([str(fact) for fact in (album.label, album.year) if fact])
        address = f"/cache/thumbnails/{cover.digest}.webp"
        if cover.state == "ready":
            when = 'loading="eager" fetchpriority="high"' if self.eager else 'loading="lazy"'
            shown = f'src="{address}" srcset="{self.srcset}" sizes="{sizes}" {when}>'
        else:
            shown = (
                f'data-srcset="{self.srcset}" sizes="{sizes}" loading="lazy" src="{clear}"><noscript>'
                f'<img src="{address}" alt="" width="150" height="150" loading="lazy"></noscript>'
            )
        parts = (
            f'<li id="{escape(tab.anchor)}" data-group="{escape(tab.label)}">'
            f'<span class="tab" aria-hidden="true">{escape(tab.label)}</span>'
            if tab
            else "<li>",
            f'<a class="tile" href="/album/{album.id}" aria-labelledby="r{album.id}"><span class="case">',
            f'<span class="sleeve" data-state="{cover.state}"{" data-lamp" if self.blinks else ""}>{self.drawn}',
            f'<img class="lazy-load" alt="{title}" width="150" height="150" decoding="async" data-size-type="thumbnails"'
            f' data-original-src="{escape(self.source)}" data-src="{address}" {shown}'
            if cover.digest
            else "",
            f'</span></span>\n<span class="cap" id="r{album.id}"><b>{escape(album.artist)}</b> <span>{title}</span>',
            f" <small>{escape(facts)}</small>" if facts else "",
            f' <span class="vh says">{self.message}</span>' if self.message else "",
            "</span></a></li>",
        )
        return Markup("".join(parts))  # noqa: S704  every text in them is escaped


def tiles(
    albums: Sequence[Album],
    covers: Mapping[str | None, Cover],
    heads: Mapping[int, Group] | None = None,
    *,
    eager: int = 8,
) -> list[Tile]:
    """Pair albums with their covers. The first `eager` are loaded at once, the others when they scroll into view."""
    blinking, source, srcset = 0, sources_for_viewer(), srcset_pattern()
    result = []
    for index, album in enumerate(albums):
        url = album.picture
        cover = covers[url]
        blinks = cover.state == "working" and blinking < MAX_BLINKING
        blinking += blinks
        result.append(
            Tile(
                album=album,
                source=source(url) if url else "",
                cover=cover,
                tab=(heads or {}).get(album.id),
                eager=index < eager,
                blinks=blinks,
                drawn=drawing.sleeve(cover, album),
                message=MESSAGES.get(cover.state, "no cover yet"),
                srcset=srcset.format(cover.digest),
            )
        )
    return result


@dataclass(frozen=True, slots=True)
class RulerCell:
    """One cell of the ruler. `href` is empty if there is no record under it; `page` is the page of the wall where the group begins."""

    label: str
    href: str
    message: str
    spines: Markup
    page: int = 0


def ruler(page: AlbumPage, wall: WallAddress) -> list[RulerCell]:
    """Lay out the ruler: every letter, also the empty ones, or the decades or months that occur."""
    groups = {group.label: group for group in page.groups}
    labels = list(groups)
    if wall.query.sort == "colour":
        labels = [*BANDS, *(label for label in labels if label not in BANDS)]
    if wall.query.sort in ("artist", "title") and all(len(label) == 1 for label in labels):
        labels = [*LETTERS, *(label for label in labels if label not in LETTERS)]
    each = max(1, -(-max((group.count for group in page.groups), default=0) // drawing.MAX_SPINES))
    cells = []
    for label in labels:
        group = groups.get(label)
        if group is None:
            cells.append(RulerCell(label, "", "", Markup("")))
            continue
        address = "" if group.page == page.page else wall.url(page=group.page)
        drawn = drawing.coloured(label, group.count, each) if wall.query.sort == "colour" else drawing.spines(group.count, each)
        message = f"{label}, {group.count} {'record' if group.count == 1 else 'records'}"
        cells.append(RulerCell(label, f"{address}#{group.anchor}", message, drawn, group.page))
    return cells


def opening_group(page: AlbumPage, page_size: int) -> str:
    """Return the label of the group of the first record on this page."""
    before = (page.page - 1) * page_size
    label = ""
    for group in page.groups:
        if before < 0:
            break
        label = group.label
        before -= group.count
    return label
