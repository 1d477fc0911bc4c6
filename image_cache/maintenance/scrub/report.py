"""Scrub report: what was checked, what was wrong, and the outcome; stored in a small file beside the index."""

import json
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from image_cache.filesystem import replacing
from image_cache.frozen import frozen

logger = logging.getLogger(__name__)

MAX_FINDINGS = 200  # that a report names; all of them are counted

# What is wrong, in words for people.
DAMAGES = {
    "missing": "in the index, but the file is missing",
    "torn": "wrong size",
    "altered": "checksum mismatch",
    "undecodable": "checksum OK, but not a valid image",
    "unreadable": "read error",
    "orphan": "not in the index",
    "leftover": "temporary file of a killed process",
    "foreign": "unexpected file",
    "link": "unexpected symbolic link",
}
# The outcome. "" means that no repair was requested.
OUTCOMES = {
    "rebuilt": "rendered again from a larger size or the original",
    "queued": "queued for download",
    "removed": "removed; rendered again when needed",
    "adopted": "added to the index",
    "set aside": "moved to the folder .set-aside: not made by VinylVault, check it before you delete it",
    "kept": "left unchanged: no replacement available",
}


@frozen
class ScrubFinding:
    """One damage. `where` is covers, streams, originals or files; `path` is below its folder."""

    where: str
    path: str
    what: str
    outcome: str = ""


@dataclass(slots=True)
class ScrubReport:
    """The figures of one run, or of all runs of one round. Grows during the run.

    `checked` counts by place, `found` the damages by kind, `outcomes` the repairs by outcome. `doubts` are images on which the
    decoder had no verdict. `notes` are sentences about what could not be checked. `done` is the share of a round, from 0 to 1.
    """

    started_at: float = 0.0
    ended_at: float = 0.0
    is_repair: bool = False
    done: float = 0.0
    bytes: int = 0
    doubts: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    damages: list[ScrubFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return self.done >= 1

    @property
    def is_clean(self) -> bool:
        """Whether all that was checked is intact, or was repaired."""
        return not self.unmended and not self.notes

    @property
    def unmended(self) -> int:
        return self.outcomes[""] + self.outcomes["kept"]

    def add(self, damage: ScrubFinding) -> None:
        self.found[damage.what] += 1
        self.outcomes[damage.outcome] += 1
        if len(self.damages) < MAX_FINDINGS:
            self.damages.append(damage)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes and len(self.notes) < MAX_FINDINGS:
            self.notes.append(sentence)

    def join(self, later: "ScrubReport") -> None:
        """Add the figures of a later run of the same round."""
        self.ended_at, self.done, self.is_repair = later.ended_at, later.done, later.is_repair
        self.bytes += later.bytes
        self.doubts += later.doubts
        for mine, theirs in ((self.checked, later.checked), (self.found, later.found), (self.outcomes, later.outcomes)):
            mine.update(theirs)
        self.damages = [*self.damages, *later.damages][:MAX_FINDINGS]
        for sentence in later.notes:
            self.note(sentence)

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "checked": dict(self.checked),
            "found": dict(self.found),
            "outcomes": dict(self.outcomes),
            "is_whole": self.is_whole,
            "is_clean": self.is_clean,
            "unmended": self.unmended,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Raises `TypeError`, `ValueError` or `KeyError` for anything that is not a report."""
        return cls(
            started_at=float(values["started_at"]),
            ended_at=float(values["ended_at"]),
            is_repair=bool(values["is_repair"]),
            done=float(values["done"]),
            bytes=int(values["bytes"]),
            doubts=int(values["doubts"]),
            checked=Counter(values["checked"]),
            found=Counter(values["found"]),
            outcomes=Counter(values["outcomes"]),
            damages=[ScrubFinding(**damage) for damage in values["damages"]],
            notes=[str(sentence) for sentence in values["notes"]],
        )


class Reports:
    """The file with the last run and its round. Disposable like everything beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[ScrubReport | None, ScrubReport | None]:
        """Return (last run, its round); None for each if never written or unreadable."""
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
            return ScrubReport.from_dict(known["last"]), ScrubReport.from_dict(known["round"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("scrub report unreadable path=%s reason=%s", self.path, error)
        return None, None

    def write(self, last: ScrubReport, *, is_first: bool) -> None:
        """Store a run; `is_first` starts a new round with it. A disk error costs the report only."""
        _, current = self.read()
        if is_first or current is None:
            current = last
        else:
            current.join(last)
        text = json.dumps({"last": last.to_dict(), "round": current.to_dict()}, ensure_ascii=False)
        try:
            with replacing(self.path) as file:
                file.write(text.encode())
        except OSError as error:
            logger.warning("scrub report not written path=%s reason=%s", self.path, error)
