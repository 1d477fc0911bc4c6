"""View model of the wall: its address, its tiles, its ruler."""

import string
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

from markupsafe import Markup, escape
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, NotFound

from image_cache.frozen import frozen
from image_cache.models import Album, AlbumPage, AlbumQuery, Cover, Group
from image_cache.records.orders.colours import BANDS
from image_cache.records.shelf import MATCH
from image_cache.units import whole_number
from image_cache.web import svg as drawing
from image_cache.web.context import services
from image_cache.web.privacy import is_hidden, may_read_notes, public_source
from image_cache.web.records.browsing.filters import (
    DIRECTIONS,
    LOG_IN_FOR_PRICES,
    FilterChoice,
    filters_of,
    in_words,
    read_filters,
)
from image_cache.web.template_helpers import srcset_pattern

SORTS = {"artist": "Artist", "title": "Title", "year": "Year", "added": "Added", "plays": "Plays", "colour": "Colour"}
MORE_SORTS = {
    "played": "Last played",
    "rating": "Rating",
    "label": "Label",
    "condition": "Condition",
    "shelf": "Shelf",
    "price": "Price paid",
    "value": "Value",
}  # on the page Sort
DENSITIES = {"s": "Small covers", "m": "Medium covers", "l": "Large covers"}
LETTERS = ("#", *string.ascii_uppercase)
MAX_BLINKING = 3  # covers at a time: as many as downloads run
MAX_QUERY_CHARS = 2000  # of an address that a form carries
MAX_TEXT_CHARS = 200  # of a search that are used
MESSAGES = {"waiting": "cover loading", "working": "cover loading", "ready": ""}  # by the state of the cover


def more_sorts() -> dict[str, str]:
    """Return the orders of the page Sort that this viewer may use, and that this collection has something for."""
    has_values = services().settings.DISCOGS_VALUES
    return {name: words for name, words in MORE_SORTS.items() if not is_hidden(name) and (has_values or name != "value")}


@frozen
class ChosenFilter:
    """A filter in words, and the URL of the same wall without it."""

    kind: str
    words: str
    without: str


@frozen
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
            "back": 1 if self.query.is_reversed and "sort" not in changes else None,
            **filters_of(self.query),
            "page": self.page if set(changes) <= {"density", "page"} else 1,
        } | changes
        query = {name: value for name, value in values.items() if value not in (None, "") and (name, value) not in _PLAIN}
        return self.path + (f"?{urlencode(query)}" if query else "")

    @property
    def query_string(self) -> str:
        """The query of its URL, without the page."""
        return self.url(page=1).partition("?")[2]

    def bare_url(self) -> str:
        """Return the URL of this wall without its filters."""
        return self.url(**dict.fromkeys(filters_of(self.query), ""))

    @property
    def filters(self) -> int:
        return len(filters_of(self.query))

    @property
    def chosen(self) -> list[ChosenFilter]:
        """The filters in words, each with the URL of the wall without it."""
        return [
            ChosenFilter(kind, in_words(kind, value), self.url(**{kind: ""})) for kind, value in filters_of(self.query).items()
        ]

    @property
    def direction(self) -> str:
        """Which way round the order is, "" for one that has no other way."""
        return DIRECTIONS[self.query.sort][self.query.is_reversed] if self.query.sort in DIRECTIONS else ""

    def kept(self, choices: Iterable[FilterChoice] | None = None) -> list[tuple[str, str]]:
        """Return what a form with these filters has to carry besides; without any, what the toolbar of the wall has to."""
        offered = {"genre", "decade", "format"} if choices is None else {choice.kind for choice in choices}
        others = [("sort", self.query.sort), ("back", "1" if self.query.is_reversed else "")]
        return [
            pair
            for pair in (*others, *filters_of(self.query).items())
            if pair[1] and pair[0] not in offered and pair not in _PLAIN
        ]


_PLAIN = {("sort", "artist"), ("sort", MATCH), ("page", 1)}


def read_wall(args: MultiDict[str, str], density: str | None, path: str = "/") -> WallAddress:
    """Parse the query string of a page of the wall. `density` is what the viewer chose last.

    Raises: `BadRequest` or `NotFound` with a sentence that names the invalid value.
    """
    words = " ".join((args.get("q") or "").split())[:MAX_TEXT_CHARS]
    sort = args.get("sort") or (MATCH if words else "artist")
    if sort not in SORTS and sort not in MORE_SORTS and not (sort == MATCH and words):
        raise BadRequest(f"Cannot sort by “{sort[:40]}”. Choose one of {', '.join((*SORTS, *MORE_SORTS))}.")
    if is_hidden(sort):
        raise BadRequest(LOG_IN_FOR_PRICES)
    decade = args.get("decade") or None
    if decade is not None and not (decade.isascii() and decade.isdigit() and len(decade) == 4):
        raise BadRequest(f"“{decade[:40]}” is not a decade. Use a year such as 1970.")
    text = args.get("page") or "1"
    page = whole_number(text, 1, 99_999_999)
    if page is None:
        raise NotFound(f"Page “{text[:40]}” does not exist.")
    chosen = args.get("density") or density or "m"
    query = AlbumQuery(
        text=words,
        sort=sort,
        genre=(args.get("genre") or "")[:MAX_TEXT_CHARS],
        decade=int(decade) if decade else None,
        format=(args.get("format") or "")[:MAX_TEXT_CHARS],
        with_notes=not words or may_read_notes(),
        source=(args.get("source") or "")[:MAX_TEXT_CHARS],
        filters=read_filters(args),
        is_reversed=args.get("back") == "1" and sort in DIRECTIONS,
    )
    return WallAddress(query, page, chosen if chosen in DENSITIES else "m", path)


def wall_of(query: str) -> WallAddress:
    """Return the wall of the query of an address, checked as that of a page is."""
    return read_wall(MultiDict(parse_qsl(query[:MAX_QUERY_CHARS])), None)


@frozen
class Tile:
    """One record on the wall. `tab` is set on the first of its group; it `blinks` while its cover is being fetched.

    `source` is the public part of the origin's URL of the cover, `drawn` is what is seen until the cover is loaded, `message` what a screen reader adds to the name,
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

        `sizes` are those of the image, `clear` is the image that is shown until it is there.
        """
        album, cover, tab = self.album, self.cover, self.tab
        title, facts = escape(album.title), " · ".join([str(fact) for fact in (album.label, album.year) if fact])
        address = f"/cache/thumbnails/{cover.digest}.webp"
        if cover.state == "ready":
            # Decoded with the page, so that its first paint has them: decoded beside it, they come a fifth of a second later.
            when = (
                'decoding="sync" loading="eager" fetchpriority="high"'
                if self.eager
                else 'decoding="async" loading="lazy" fetchpriority="low"'
            )
            shown = f'src="{address}" srcset="{self.srcset}" sizes="{sizes}" {when}>'
        else:
            shown = (
                f'decoding="async" data-srcset="{self.srcset}" sizes="{sizes}" loading="lazy" src="{clear}"><noscript>'
                f'<img src="{address}" alt="" width="150" height="150" loading="lazy"></noscript>'
            )
        parts = (
            f'<li id="{escape(tab.anchor)}" data-group="{escape(tab.label)}">'
            f'<span class="tab" aria-hidden="true">{escape(tab.label)}</span>'
            if tab
            else "<li>",
            f'<a class="tile" href="/album/{album.id}" aria-labelledby="r{album.id}"><span class="case">',
            f'<span class="sleeve" data-state="{cover.state}"{" data-lamp" if self.blinks else ""}>{self.drawn}',
            f'<img class="lazy-load" alt="{title}" width="150" height="150" data-size-type="thumbnails"'
            f' data-original-src="{escape(self.source)}" data-src="{address}" {shown}'
            if cover.digest
            else "",
            f'</span></span>\n<span class="cap" id="r{album.id}"><b>{escape(album.artist)}</b> <span>{title}</span>',
            f" <small>{escape(facts)}</small>" if facts else "",
            f' <span class="vh says">{self.message}</span>' if self.message else "",
            "</span></a></li>",
        )
        return Markup("".join(parts))  # noqa: S704  every text in them is escaped

    def option(self, sizes: str, clear: str, *, is_selected: bool) -> Markup:
        """Return the list item with a box over it that selects the record."""
        box = (
            f'<label class="choice"><input type="checkbox" form="selection" name="id" value="{self.album.id}"'
            f' aria-labelledby="r{self.album.id}"{" checked" if is_selected else ""}><span aria-hidden="true"></span></label></li>'
        )
        return Markup(str(self.item(sizes, clear)).removesuffix("</li>") + box)  # noqa: S704  numbers only are added


def tiles(
    albums: Sequence[Album],
    covers: Mapping[str | None, Cover],
    heads: Mapping[int, Group] | None = None,
    *,
    eager: int = 3,  # the first row of a phone: more of them keep each other waiting on a slow line, and so the others come later
) -> list[Tile]:
    """Pair albums with their covers. The first `eager` are loaded at once, the others when they scroll into view."""
    blinking, srcset = 0, srcset_pattern()
    result = []
    for index, album in enumerate(albums):
        url = album.picture
        cover = covers[url]
        blinks = cover.state == "working" and blinking < MAX_BLINKING
        blinking += blinks
        result.append(
            Tile(
                album=album,
                source=public_source(url),
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


@frozen
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
