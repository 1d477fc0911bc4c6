"""The nouns that travel between the layers. Plain values: no I/O, no rules but their own."""

import datetime
import enum
from dataclasses import dataclass, field
from typing import Any


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
    `last_played_at` are Unix seconds; `year` None means unknown. `cover_url` is what the source says, `own_cover` what was chosen
    here, `found_cover` what was looked up elsewhere, `refused_cover` a `cover_url` that is no cover; `picture` is what is shown.
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
    instance_id: str = ""
    barcode: str = ""
    mbid: str = ""
    own_notes: str = ""
    own_cover: str | None = None
    found_cover: str | None = None
    refused_cover: str | None = None
    seen_at: float | None = None
    gone_at: float | None = None
    detailed_at: float | None = None

    @property
    def release_id(self) -> str:
        """The id of the release at its source: a second copy of one release is called `123-2` here."""
        return self.source_id.partition("-")[0] if self.source == "discogs" else self.source_id

    @property
    def picture(self) -> str | None:
        """The address of the picture that is shown, None when there is none. `catalog.db` has a column of the same rule."""
        return self.own_cover or (None if self.cover_url == self.refused_cover else self.cover_url) or self.found_cover


@dataclass(frozen=True, slots=True)
class AlbumQuery:
    """What a grid page shows. `sort` is one of artist, title, year, added, plays, colour; filters are exact values, decade like 1970."""

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
    is_paused: bool = False  # an operator wants nothing fetched


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can log in. `role` is `operator` (runs the machine), `owner` (has streams) or `viewer` (was invited to one)."""

    id: int
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class AlbumRow:
    """One good row of an import. None means that the file does not say, so what the catalogue knows stays.

    `source_id` "" asks the library for a stable identity made from the row itself. `line` is where the row begins.
    `counts_copies` when rows with one id are copies on the shelf, not the same record said twice. `played_at` are single plays.
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
    instance_id: str | None = None
    barcode: str | None = None
    mbid: str | None = None
    own_notes: str | None = None
    counts_copies: bool = False
    last_played_at: float | None = None
    played_at: tuple[float, ...] = ()


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


@dataclass(frozen=True, slots=True)
class TaskState:
    """How far a task is that takes longer than a request. `state` is waiting, running, done, failed or cancelled.

    `total` None is not known yet; `says` is a sentence for people; `paused_until` in Unix seconds while it waits for somebody else.
    `wanted`, `position` and `outcome` are what its kind makes of them.
    """

    id: int
    kind: str
    state: str
    wanted: dict[str, Any]
    position: dict[str, Any]
    done: int
    total: int | None
    message: str
    paused_until: float | None
    outcome: dict[str, Any]
    created_at: float
    updated_at: float

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class ImageVisibility(enum.Enum):
    """Who may see an image besides those who edit its stream."""

    PUBLIC = "public"
    PRIVATE = "private"
    SUBSCRIBERS = "subscribers"


@dataclass(frozen=True, slots=True)
class Stream:
    """A series of images under one owner. `slug` is its name in addresses and on disk, and never changes.

    `visibility` is what a new image gets; a public stream is listed although it is empty. Without `owner_id` (a script made it)
    operators take care of it.
    """

    id: int
    slug: str
    title: str
    description: str = ""
    visibility: ImageVisibility = ImageVisibility.PUBLIC
    owner_id: int | None = None
    owner_name: str = ""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamImage:
    """One uploaded image. The positional fields and the attributes below them are documented names.

    `file_path` (the original) and `thumbnail_path` are relative to the folders of originals and of the image cache;
    `dimensions` are (width, height) after turning upright; `created_at` and `last_accessed` are ISO 8601 in UTC.
    """

    image_id: str
    stream_id: str
    filename: str
    file_path: str
    visibility: ImageVisibility = ImageVisibility.PUBLIC
    title: str = ""
    description: str = ""
    size_bytes: int = 0
    dimensions: tuple[int, int] = (0, 0)
    thumbnail_path: str = ""
    view_count: int = 0
    created_at: str = ""
    last_accessed: str | None = None
    is_sensitive: bool = False
    position: int = 0
    format: str = ""
    average: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks, as the server knows it: the account of the session, and which streams are its own, shared with it, or followed.

    Built from the catalogue only, never from anything that a request says.
    """

    account_id: int | None = None
    name: str = ""
    role: str = ""
    owns: frozenset[int] = frozenset()
    co_owns: frozenset[int] = frozenset()
    follows: frozenset[int] = frozenset()


STRANGER = Viewer()


def may_edit(viewer: Viewer, stream: Stream) -> bool:
    """Tell whether the viewer may upload to the stream and change or delete what is in it."""
    if stream.owner_id is None and viewer.role == "operator":
        return True
    return stream.id in viewer.owns or stream.id in viewer.co_owns


def may_own(viewer: Viewer, stream: Stream) -> bool:
    """Tell whether the viewer may also say who edits and follows the stream, and delete it."""
    return stream.id in viewer.owns or (stream.owner_id is None and viewer.role == "operator")


def may_see(viewer: Viewer, stream: Stream, image: StreamImage | ImageVisibility) -> bool:
    """Tell whether the viewer may see an image of the stream, or any image of this visibility. The one rule for every surface."""
    visibility = image.visibility if isinstance(image, StreamImage) else image
    if may_edit(viewer, stream) or visibility is ImageVisibility.PUBLIC:
        return True
    return visibility is ImageVisibility.SUBSCRIBERS and stream.id in viewer.follows


def is_member(viewer: Viewer, stream: Stream) -> bool:
    """Tell whether the viewer belongs to the stream in any way."""
    return may_edit(viewer, stream) or stream.id in viewer.follows


def iso(at: float) -> str:
    """Write a point in time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds")
