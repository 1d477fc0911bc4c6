"""What an import reads and reports: its rows, what they lost, and the result. Plain data, no I/O."""

from image_cache.frozen import frozen
from image_cache.models import TaskState, Track


@frozen
class ImportRow:
    """One valid row of an import. None means that the file has no value, so the catalogue keeps its own.

    If `source_id` is "", the library derives a stable id from the row. `line` is the row of a spreadsheet, the line of a JSON file.
    `losses`: what was cut, guessed or left out. `counts_copies`: rows with one id are several copies. `played_at` are single plays.
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
    shelf: str | None = None
    price: str | None = None
    bought: str | None = None
    counts_copies: bool = False
    last_played_at: float | None = None
    played_at: tuple[float, ...] = ()
    losses: tuple[str, ...] = ()


@frozen
class RowLoss:
    """What an imported row lost: cells that were cut, guessed or left out."""

    row: int | str  # of a spreadsheet; the line of a JSON file, the number in a collection, the folder of the music
    artist: str
    title: str
    what: str

    @property
    def named(self) -> str:
        """Artist and title before a remark, "" if they are not known."""
        known = ", ".join(filter(None, (self.artist, self.title)))
        return f"{known}: " if known else ""


@frozen
class ImportReport:
    """Result of an import, in rows. `rejected` pairs a row number with its reason. Of these and of `losses` the first thousand."""

    read: int
    new: int
    changed: int
    same: int
    rejected: tuple[tuple[int, str], ...]
    losses: tuple[RowLoss, ...] = ()
    lossy: int = 0  # how many rows lost something
    hidden: int = 0  # how many are of records that were hidden for good

    @property
    def rejected_count(self) -> int:
        return self.read - self.new - self.changed - self.same - self.hidden

    def lines(self) -> list[RowLoss]:
        """Return what was rejected, cut, guessed or left out, in the order of the rows."""
        rejected = [RowLoss(row, "", "", f"rejected: {reason}") for row, reason in self.rejected]
        return sorted((*rejected, *self.losses), key=lambda loss: loss.row)


@frozen
class ImportStatus:
    """The newest preview and the newest import. `is_waiting`: the upload of the preview was neither imported nor discarded."""

    preview: TaskState | None
    imported: TaskState | None
    is_waiting: bool
