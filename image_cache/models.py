"""The nouns that travel between the layers. Plain values: no I/O, no rules but their own."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Track:
    """One line of a tracklist. `position` as printed on the sleeve (A1, B2, 3), `duration_s` None when unknown."""

    position: str
    title: str
    duration_s: int | None = None


@dataclass(frozen=True, slots=True)
class Album:
    """One record on the shelf: a row of `catalog.db`.

    `artist_sort` and `title_sort` are folded for order (no leading article, no diacritics, lower case). `added_at` and
    `last_played_at` are Unix seconds; `year` None means unknown. `cover_url` is where the picture's truth lives, or None.
    """

    id: int
    source: str
    source_id: str
    title: str
    artist: str
    artist_sort: str
    title_sort: str
    year: int | None = None
    genres: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    label: str = ""
    catno: str = ""
    rating: int | None = None
    media_condition: str = ""
    sleeve_condition: str = ""
    notes: str = ""
    cover_url: str | None = None
    tracks: tuple[Track, ...] = ()
    added_at: float = 0.0
    plays: int = 0
    last_played_at: float | None = None


@dataclass(frozen=True, slots=True)
class AlbumQuery:
    """What a grid page shows. `sort` is one of artist, title, year, added, plays; filters are exact values, decade like 1970."""

    text: str = ""
    sort: str = "artist"
    genre: str = ""
    decade: int | None = None
    format: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A run of albums under one divider tab: a letter, a decade or a month. `page` is the grid page where it begins."""

    label: str
    anchor: str
    count: int
    page: int


@dataclass(frozen=True, slots=True)
class AlbumPage:
    """One grid page. `groups` covers the whole result (for the ruler); `heads` maps an album id of this page to the group it opens."""

    query: AlbumQuery
    albums: tuple[Album, ...]
    page: int
    pages: int
    total: int
    groups: tuple[Group, ...] = ()
    heads: dict[int, Group] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cover:
    """What is known about an album's picture at the moment a page is drawn.

    `state`: `ready` (the thumbnail is here), `waiting` (queued or not asked for yet), `working` (a fetch runs now),
    `failed` (given up until `retry_at`), `none` (the album has no address). `digest` is "" for `none`. `average` is
    "#rrggbb"; `hue` (degrees, OKLCH) and `chroma` tint the album page; `edge_px` is the longer edge of the origin's picture.
    These four are None until the first render.
    """

    digest: str
    state: str
    average: str | None = None
    hue: int | None = None
    chroma: float | None = None
    retry_at: float | None = None
    edge_px: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fetching of covers is. `failed` ones are among the `done`; `eta_s` None while the pace is unknown."""

    total: int
    done: int
    working: int
    failed: int
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can log in. `role` is `operator` (runs the machine) or `owner` (has streams)."""

    id: int
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class AlbumRow:
    """One good row of an import. None means that the file does not say, so what the catalogue knows stays.

    `source_id` "" asks the library for a stable identity made from the row itself. `line` is where the row begins.
    """

    line: int
    title: str
    artist: str
    source: str = ""
    source_id: str = ""
    year: int | None = None
    genres: tuple[str, ...] | None = None
    styles: tuple[str, ...] | None = None
    formats: tuple[str, ...] | None = None
    label: str | None = None
    catno: str | None = None
    rating: int | None = None
    media_condition: str | None = None
    sleeve_condition: str | None = None
    added_at: float | None = None
    notes: str | None = None
    cover_url: str | None = None
    plays: int | None = None
    tracks: tuple[Track, ...] | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, in rows. `rejected` pairs a line number with its reason, for the first thousand of them."""

    read: int
    new: int
    changed: int
    same: int
    rejected: tuple[tuple[int, str], ...]

    @property
    def rejected_count(self) -> int:
        return self.read - self.new - self.changed - self.same
