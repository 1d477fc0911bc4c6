"""What else a collector has: a wantlist, crates, prices paid and values, the sides that were played. Made up, the same at every start."""

import datetime
from collections.abc import Iterable, Sequence
from random import Random

from image_cache.models import Album

CURRENCY = "GBP"
MADE_UP = "made up"  # where the values are from
SHELVES = ("Kallax 1", "Kallax 2", "Kallax 3", "Kallax 4", "Hall crate")

# Artist, title, label, catalogue number, year, formats, notes.
WANTS = (
    ("Ada Brandvold Quartet", "Third Rail, Slow Night", "Penstock", "PST 1531", "1964", "LP; Album", "Any pressing, up to £25."),
    ("Akua Mensima & the Tidal Kings", "Harbour Lights Dance Band", "Laterite", "", "1975", "LP; Album", ""),
    ("Ambrose Tiller", "A Gate Left Open", "Quill & Harrow", "", "1978", "LP; Album", "With the lyric sheet, or not at all."),
    ("Antimacassar", "Doily Riot", "Understair", "STAIR 09", "1981", '7"; Single', "Ann has two. Ask her."),
    ("Aphelion Works", "Perihelion", "Halfmetre", "", "1996", "2xLP; Album", ""),
    (
        "Cleo Varnish",
        "Second Coat",
        "Marigold Engine",
        "ME 6611",
        "1979",
        "LP; Album",
        "Seen in Hebden Bridge for £40. Too dear.",
    ),
    ("The Paraffin Sisters", "Wick and Wonder", "Saltmarket", "", "1968", "LP; Album", ""),
    (
        "Zoltan Reeve",
        "Short Waves from a Long Shed",
        "Lamplighter Library",
        "LLM 644",
        "1972",
        "LP; Album",
        "Library copy is fine.",
    ),
)
CRATES = (
    ("Sunday morning", "Quiet ones, before noon"),
    ("To sell", "For the fair in March"),
    ("Lent to Ann", "Since 3 May"),
)


def crate_of(name: str, albums: Sequence[Album]) -> list[Album]:
    """Return what is in a crate, in its order."""
    if name == "Sunday morning":
        quiet = [one for one in albums if (one.rating or 0) >= 4 and set(one.genres) & {"Jazz", "Folk & Country", "Classical"}]
        return sorted(quiet, key=lambda one: (one.year or 0, one.title))[:18]
    if name == "To sell":
        return sorted(albums, key=lambda one: (one.rating or 0, one.title))[:7]
    return sorted(albums, key=lambda one: (-(one.rating or 0), one.title))[3:6]


def keeping(album: Album) -> dict[str, str]:
    """Return where a record stands, and of two in three what was paid for it and when."""
    rng = Random(f"price of {album.title}")
    found = {"shelf": SHELVES[int(rng.betavariate(1, 1) * len(SHELVES)) % len(SHELVES)]}
    if rng.random() < 0.66:
        bought = datetime.datetime.fromtimestamp(album.added_at, datetime.UTC).date()
        found |= {"price": f"{_worth(album, rng):.2f} {CURRENCY}", "bought": bought.isoformat()}
    return found


def value(album: Album) -> str:
    """Return what a record is said to be worth, "" for one in four."""
    rng = Random(f"value of {album.title}")
    return f"{_worth(album, rng) * rng.uniform(0.8, 2.2):.2f} {CURRENCY}" if rng.random() < 0.75 else ""


def _worth(album: Album, rng: Random) -> float:
    """Return pounds and half pounds: few records are dear, old and well kept ones more often."""
    base = rng.lognormvariate(2.1, 0.6) * (1 + max(0, 1975 - (album.year or 1990)) / 20)
    return max(0.5, round(base * (1.3 if album.media_condition in ("M", "NM") else 1) * 2) / 2)


def sides_played(title: str, names: Sequence[str], plays: Iterable[int]) -> list[tuple[int, str]]:
    """Return (play, sides) for each play of a record with these sides: mostly all of them, sometimes one."""
    rng = Random(f"sides of {title}")
    return [(play, "\n".join(names if rng.random() < 0.7 else (rng.choice(names),))) for play in plays]
