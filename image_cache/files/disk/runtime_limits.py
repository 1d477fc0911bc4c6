"""Limits of the file cache that an operator can change while it runs: disk budget and TTL."""

import math
import threading
import time
from collections.abc import Mapping

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.database import DatabaseError
from image_cache.errors import ConfigError
from image_cache.files.download.bandwidth import SpeedLimit, clock_text, parse_hours
from image_cache.frozen import frozen
from image_cache.units import MEGABYTE, decimal_number

REREAD_S = 1.0  # how late another process notices a change
BUDGET, TTL = "files.max_size_mb", "files.ttl_hours"
LINKS, HARD_LINKS = "files.link_folder", "files.link_hard"
SPEED, FULL_HOURS = "files.speed_mb_s", "files.full_hours"
# A slower line than 0.1 MB/s for all downloads would make each of them look like one that broke down.
RANGES = {BUDGET: (1.0, 67_108_864.0), TTL: (0.0, 87_600.0), SPEED: (0.1, 100_000.0)}


@frozen
class FileLimits:
    """The disk budget, how long a file is fresh, and how fast downloads may be in total (None: as fast as it goes)."""

    budget_bytes: int
    ttl_s: float
    speed: SpeedLimit | None = None


class FileRuntimeLimits:
    """Call it for the `FileLimits` in force: the settings, then what an operator changed. Without a readable catalogue the settings."""

    def __init__(self, settings: Settings, catalog: CatalogDatabase | None) -> None:
        self._default = FileLimits(settings.files_budget_bytes, settings.files_ttl_s)
        self._rows = SettingsTable(catalog) if catalog is not None else None
        self._lock = threading.Lock()  # protects the two below
        self._known = self._default
        self._read_at = -math.inf

    def __call__(self) -> FileLimits:
        with self._lock:
            if self._rows is None or time.monotonic() - self._read_at < REREAD_S:
                return self._known
        limits = self._read(self._rows)
        with self._lock:
            self._known, self._read_at = limits, time.monotonic()
        return limits

    def change(self, *, max_size_mb: float | None = None, ttl_hours: float | None = None) -> None:
        """Change one or both, for good and for all processes. Raises `ConfigError` for what is out of range."""
        if self._rows is None:
            raise ConfigError("files", "cannot save this setting: there is no catalogue")
        given = {BUDGET: max_size_mb, TTL: ttl_hours}
        values = {name: value for name, value in given.items() if value is not None}
        for name, value in values.items():
            check_range(name, value)
        self._rows.set({name: repr(value) for name, value in values.items()})
        with self._lock:
            self._read_at = -math.inf

    def change_speed(self, mb_per_s: float | None, full_hours: str = "") -> None:
        """Limit all downloads together, but between two times of the day (`18:00-07:00`); None removes the limit.

        Raises `ConfigError`.
        """
        if self._rows is None:
            raise ConfigError("files", "cannot save this setting: there is no catalogue")
        hours = parse_hours(full_hours)
        if mb_per_s is not None:
            check_range(SPEED, mb_per_s)
        elif hours is not None:
            raise ConfigError("full_hours", "hours of full speed need a speed limit for the other hours")
        text = "" if hours is None else f"{clock_text(hours[0])}-{clock_text(hours[1])}"
        self._rows.set({SPEED: "" if mb_per_s is None else repr(mb_per_s), FULL_HOURS: text})
        with self._lock:
            self._read_at = -math.inf

    def link_folder(self) -> tuple[str, bool]:
        """Return the folder of links that the service keeps in step, and whether its links are hard; empty if there is none."""
        if self._rows is None:
            return "", False
        stored = self._rows.values("files.link")
        return stored.get(LINKS, ""), stored.get(HARD_LINKS, "") == "1"

    def keep_link_folder(self, folder: str, *, is_hard: bool = False) -> None:
        """Have the service keep a folder of links in step; an empty text ends that."""
        if self._rows is None:
            raise ConfigError("files", "cannot save this setting: there is no catalogue")
        self._rows.set({LINKS: folder, HARD_LINKS: "1" if is_hard else ""})

    def _read(self, rows: SettingsTable) -> FileLimits:
        try:
            stored = rows.values("files.")
        except DatabaseError:
            return self._default
        budget, ttl = (decimal_number(stored.get(name), *RANGES[name]) for name in (BUDGET, TTL))
        return FileLimits(
            self._default.budget_bytes if budget is None else int(budget * MEGABYTE),
            self._default.ttl_s if ttl is None else ttl * 3600,
            _speed(stored),
        )


def _speed(stored: Mapping[str, str]) -> SpeedLimit | None:
    speed = decimal_number(stored.get(SPEED), *RANGES[SPEED])
    if speed is None:
        return None
    try:
        hours = parse_hours(stored.get(FULL_HOURS, ""))
    except ConfigError:  # edited by hand: the limit holds all day
        hours = None
    return SpeedLimit(speed * MEGABYTE, *(hours or (None, None)))


def check_range(name: str, value: float) -> None:
    """Raise `ConfigError` for a value that the setting cannot have."""
    low, high = RANGES[name]
    if not low <= value <= high:  # NaN fails too
        raise ConfigError(name.partition(".")[2], f"{value:g} must be between {low:g} and {high:.0f}")
