"""Domain models that all layers share: plain values without I/O, and the visibility policy of streams."""

import datetime
import enum
from dataclasses import field
from typing import Any

from image_cache.frozen import frozen


@frozen
class Track:
    """One line of a tracklist. `position` as printed on the sleeve (A1, B2, 3), `duration_s` None when unknown."""

    position: str
    title: str
    duration_s: int | None = None


@frozen
class Album:
    """One record of the collection: a row of `catalog.db`.

    `artist_sort` and `title_sort` are folded for sorting (no leading article, no diacritics, lower case). `added_at` and
    `last_played_at` are Unix seconds; `year` is None if unknown. `cover_url` comes from the source, `own_cover` was chosen
    here, `found_cover` was found elsewhere, `refused_cover` is a `cover_url` that is not a cover; `picture` is what is shown.
    `source_values` is what the source says of fields that a person typed over: see `records.editing.own_values`. `shelf` is where
    the record stands, `price` what was paid for it as `money` keeps it, `bought` the day (2024-05-31, 2024-05 or 2024),
    `value` what a marketplace asked at `valued_at`, and `value_from` says which of its prices that is.
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
    source_values: str = ""
    shelf: str = ""
    price: str = ""
    bought: str = ""
    value: str = ""
    value_from: str = ""
    valued_at: float | None = None
    picture: str | None = field(init=False)

    def __post_init__(self) -> None:
        # `catalog.db` has a generated column with the same rule.
        shown = self.own_cover or (None if self.cover_url == self.refused_cover else self.cover_url) or self.found_cover
        object.__setattr__(self, "picture", shown)

    @property
    def release_id(self) -> str:
        """The id of the release at its source. The second copy of a release has the id `123-2`."""
        return self.source_id.partition("-")[0] if self.source == "discogs" else self.source_id

    @property
    def is_source_rejected(self) -> bool:
        """True if the image of its source is taken for no cover, and no user said that it is right."""
        return self.cover_url is not None and self.cover_url == self.refused_cover and self.own_cover != self.cover_url


@frozen
class AlbumQuery:
    """Search, order and filters of a page of the wall. `sort` is one of `SORTS`, colour, and with a text match: what fits best first.

    `with_notes` False: the text is not looked for in notes, which the viewer may not read. `source` leaves out what is gone from it.
    `filters` are further pairs: artist, label, style, year, stars, condition, played, added.
    """

    text: str = ""
    sort: str = "artist"
    genre: str = ""
    decade: int | None = None
    format: str = ""
    with_notes: bool = True
    source: str = ""  # without its missing records
    filters: tuple[tuple[str, str], ...] = ()
    is_reversed: bool = False


@frozen
class Group:
    """Consecutive records under one divider: a letter, a decade or a month. `page` is the page of the wall where it begins."""

    label: str
    anchor: str
    count: int
    page: int


@frozen
class AlbumPage:
    """One page of the wall. `groups` are those of the whole result; `heads` maps a record id of this page to the group that it opens.
    Of a search: `correction` is what was looked for instead; `has_more`: it ended early; `is_incomplete`: its index is being built."""

    query: AlbumQuery
    albums: tuple[Album, ...]
    page: int
    pages: int
    total: int
    groups: tuple[Group, ...] = ()
    heads: dict[int, Group] = field(default_factory=dict)
    correction: str = ""
    has_more: bool = False
    is_incomplete: bool = False


@frozen
class Cover:
    """The state of a record's cover when a page is rendered.

    `state`: `ready` (the thumbnail is cached), `waiting` (queued, or not requested yet), `working` (being fetched),
    `failed` (no retry before `retry_at`), `none` (the record has no cover URL). `digest` is "" for `none`. `average` is
    "#rrggbb"; `hue` (degrees, OKLCH) and `chroma` tint the page of the record; `edge_px` is the longer edge of the origin's image.
    These four are None until the first render.
    """

    digest: str
    state: str
    average: str | None = None
    hue: int | None = None
    chroma: float | None = None
    retry_at: float | None = None
    edge_px: int | None = None


@frozen
class NewAccount:
    """An account that is about to be made; its name and password are checked."""

    name: str
    name_key: str
    password_hash: str


@frozen
class Account:
    """An account. `role` is one of four, each with the rights of those after it.

    `operator` runs the server, `owner` changes the collection and has streams, `member` plays, rates and writes notes, `viewer`
    sees the streams that they were invited to and is a visitor elsewhere.
    """

    id: int
    name: str
    role: str


@frozen
class TaskState:
    """State of a task, such as an import. `state` is waiting, running, done, failed or cancelled.

    `total` is None while unknown; `says` is a message for people; `paused_until` (Unix seconds) is set while it waits for a service.
    The contents of `wanted`, `position` and `outcome` depend on the kind.
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
    """Who may see an image, besides the owner and co-owners of its stream."""

    PUBLIC = "public"
    PRIVATE = "private"
    SUBSCRIBERS = "subscribers"


@frozen
class Stream:
    """A stream of images. `slug` is its name in URLs and on disk, and never changes.

    `visibility` is the default of new images; a public stream is listed even while empty. One without `owner_id` (created by a
    script) belongs to the operators. `event_date` is an ISO date or other words; `cover_id` the image that stands for the stream;
    `shows_taken`: others than its editors see when an image was taken.
    """

    id: int
    slug: str
    title: str
    description: str = ""
    visibility: ImageVisibility = ImageVisibility.PUBLIC
    owner_id: int | None = None
    owner_name: str = ""
    created_at: float = 0.0
    event_date: str = ""
    cover_id: str = ""
    shows_taken: bool = False


@frozen
class StreamImage:
    """One uploaded image. The names of the fields are documented for scripts.

    `file_path` (the original) and `thumbnail_path` are relative to the folders of originals and of the image cache;
    `dimensions` are (width, height) after orientation; `created_at` and `last_accessed` are ISO 8601 in UTC, `taken_at` by the
    clock of the camera.
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
    is_animated: bool = False  # the first frame is shown; False if it was uploaded before this was stored
    taken_at: str = ""
    duration_s: float | None = None  # of a video; None: an image

    @property
    def is_video(self) -> bool:
        return self.duration_s is not None


@frozen
class SharedImages:
    """What a link shows: what subscribers of a stream see, or of its images only `image_ids`, the private ones of them in `private_ids`."""

    stream_id: int
    image_ids: frozenset[str] | None = None
    private_ids: frozenset[str] = frozenset()


@frozen
class Viewer:
    """The viewer of a page, from the catalogue only: the account of the session, and the streams it owns, co-owns or follows.

    `shared`: the visitor of a link, who has no account and sees what it shows, nothing else.
    """

    account_id: int | None = None
    name: str = ""
    role: str = ""
    owns: frozenset[int] = frozenset()
    co_owns: frozenset[int] = frozenset()
    follows: frozenset[int] = frozenset()
    shared: SharedImages | None = None


ANONYMOUS = Viewer()


def iso_utc(seconds: float) -> str:
    """Format a point in time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
