"""A random pick with a mood: only records that fit come up, and how many that are is known before."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from image_cache.import_models import ImportRow
from image_cache.models import Track
from image_cache.records.library import Library
from image_cache.records.playing.moods import NEVER, SpinMood
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock

DAY_S = 86400.0


def row(
    title: str, seconds: tuple[int | None, ...], played_days_ago: float | None, clock: FakeClock, **more: object
) -> ImportRow:
    tracks = tuple(Track(f"A{n}", f"T{n}", length) for n, length in enumerate(seconds, 1))
    played = None if played_days_ago is None else clock() - played_days_ago * DAY_S
    plays = 0 if played is None else 1
    return ImportRow(1, title, "X", tracks=tracks, plays=plays, last_played_at=played, **more)  # type: ignore[arg-type]


@pytest.fixture
def library(catalogs: Catalogs, tmp_path: Path) -> Iterator[Library]:
    clock = FakeClock()
    with closing(catalog_at(tmp_path / "catalog.db")) as catalog:
        found = Library(catalog, clock=clock)
        found.import_rows(
            [
                row("short", (600, 600), None, clock, genres=("Jazz",), year=1965, formats=("LP",)),
                row("long", (1500, 1501), 10, clock, genres=("Jazz",), year=1971, formats=("CD",)),
                row("exact", (1200, 600), 40, clock, genres=("Rock",), year=1968, formats=("LP",)),
                row("untimed", (600, None), 400, clock, genres=("Jazz",), year=1961),
                ImportRow(1, "bare", "X", plays=2),
            ]
        )
        yield found


@pytest.mark.parametrize(
    ("mood", "titles"),
    [
        (SpinMood(), {"short", "long", "exact", "untimed", "bare"}),
        (SpinMood(minutes=30), {"short", "exact"}),
        (SpinMood(minutes=29), {"short"}),
        (SpinMood(minutes=51), {"short", "long", "exact"}),
        (SpinMood(idle=NEVER), {"short"}),
        (SpinMood(idle="30"), {"short", "exact", "untimed", "bare"}),
        (SpinMood(idle="365"), {"short", "untimed", "bare"}),
        (SpinMood(genre="Jazz", decade=1960), {"short", "untimed"}),
        (SpinMood(genre="Jazz", format="CD", minutes=60), {"long"}),
        (SpinMood(genre="Polka"), set()),
        (SpinMood(minutes=1), set()),
    ],
)
def test_only_what_fits_comes_up(library: Library, mood: SpinMood, titles: set[str]) -> None:
    assert library.count_mood(mood) == len(titles)
    picked = [library.spin(mood) for _ in range(60)]
    assert {album.title for album in picked if album} == titles
    assert all(picked) == bool(titles)


def test_a_play_changes_what_is_rested_at_once(library: Library) -> None:
    short = next(album for album in library.albums() if album.title == "short")
    library.record_play(short.id)
    assert library.count_mood(SpinMood(idle=NEVER)) == 0
    library.unplay(short.id)
    assert library.count_mood(SpinMood(idle=NEVER)) == 1
