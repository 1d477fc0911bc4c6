"""Moods: what a random pick is limited to, and which records are left. A table module, read-only."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.dialect import PLAYING_TIME_S
from image_cache.frozen import frozen
from image_cache.records.playing.random_pick import DAY_S

NEVER = "never"


@frozen
class SpinMood:
    """What a random pick is limited to. `minutes`: the whole record plays at most so long, as far as its tracks tell.

    `idle`: days for which it was not played, or `NEVER`; "" for any.
    """

    genre: str = ""
    decade: int | None = None
    format: str = ""
    minutes: int | None = None
    idle: str = ""


ANY = SpinMood()


class MoodTable:
    """Any thread."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def matching(self, mood: SpinMood, now: float) -> frozenset[int] | None:
        """Return the records that are short and rested enough; None if the mood limits neither. Reads every tracklist for `minutes`."""
        parts: list[str] = []
        values: list[float] = []
        if mood.idle == NEVER:
            parts.append("plays = 0")
        elif mood.idle:
            parts.append("coalesce(last_played_at, 0) < ?")
            values.append(now - int(mood.idle) * DAY_S)
        if mood.minutes is not None:
            parts.append(f"tracks <> '[]' AND {PLAYING_TIME_S} <= ?")
            values.append(mood.minutes * 60)
        if not parts:
            return None
        return frozenset(row[0] for row in self._db.stream(f"SELECT id FROM albums WHERE {' AND '.join(parts)}", values))
