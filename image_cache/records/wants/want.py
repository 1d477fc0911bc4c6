"""A want: a record that someone wants and does not have. Plain data, no I/O."""

from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.text import sort_key

WANTED, BOUGHT, HIDDEN = "wanted", "bought", "hidden"


@frozen
class Want:
    """A record that is wanted. `source` and `source_id` as of an album; those that were typed have the source `hand`.

    `notes` were written here, `source_notes` by its source. `is_listed`: it stands on a wantlist at its source. `state` is wanted,
    bought (`album_id` is the record that it became, None if that was removed) or hidden: removed here, but still listed there.
    Times are Unix seconds.
    """

    id: int
    source: str
    source_id: str
    artist: str
    title: str
    year: int | None = None
    label: str = ""
    catno: str = ""
    formats: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    barcode: str = ""
    cover_url: str | None = None
    notes: str = ""
    source_notes: str = ""
    is_listed: bool = False
    state: str = WANTED
    added_at: float = 0.0
    changed_at: float = 0.0
    album_id: int | None = None

    @property
    def facts(self) -> str:
        """What tells its pressing from others: label, number, year, formats."""
        return " · ".join(filter(None, (self.label, self.catno, str(self.year or ""), ", ".join(self.formats))))

    @property
    def all_notes(self) -> str:
        return "\n".join(filter(None, (self.notes, self.source_notes)))

    def as_album(self) -> Album:
        """Return the want as an album that is in no collection, to draw its sleeve and to show its cover."""
        return Album(
            id=0,
            source=self.source,
            source_id=self.source_id,
            title=self.title,
            artist=self.artist,
            title_sort=sort_key(self.title),
            artist_sort=sort_key(self.artist),
            year=self.year,
            genres=self.genres,
            formats=self.formats,
            label=self.label,
            catno=self.catno,
            barcode=self.barcode,
            cover_url=self.cover_url,
        )
