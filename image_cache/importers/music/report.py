"""What a scan of music folders has done and could not do, as it is saved and shown."""

from collections import Counter
from dataclasses import dataclass, field

from image_cache.import_models import ImportRow, RowLoss
from image_cache.importers.music.names import Names

KEPT_PROBLEMS = 40
MAX_LOSSES = 200  # that the report names; they are saved with the position
COUNTS = ("new", "changed", "moved", "back", "gone", "read", "refused", "large_pictures", "lossy")


@dataclass(slots=True)
class ScanStats:
    """What a scan has done so far. `counts` and `problems` survive a stop; the rest starts at zero again."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    problems: list[str] = field(default_factory=list)
    losses: list[RowLoss] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # music that cannot be read, by kind
    files: int = 0
    folders: int = 0
    links: int = 0
    unread: int = 0
    total: int | None = None

    def add_problem(self, path: Names | str, reason: str) -> None:
        """Add a problem with a file or folder to the report."""
        where = path if isinstance(path, str) else "/".join(path) or "the music folder"
        line = f"{where}: {reason}".encode("utf-8", "replace").decode("utf-8")[:300]
        if len(self.problems) < KEPT_PROBLEMS and line not in self.problems:
            self.problems.append(line)

    def add_losses(self, path: Names, row: ImportRow) -> None:
        """Add what was cut from an album to the report."""
        self.counts["lossy"] += bool(row.losses)
        folder = "/".join(path).encode("utf-8", "replace").decode("utf-8")[:300]
        self.losses += [RowLoss(folder, row.artist, row.title, what) for what in row.losses[: MAX_LOSSES - len(self.losses)]]
