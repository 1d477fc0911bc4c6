"""The 240 invented records of the demo, in the shape of the application's own JSON import.

`collection.txt` holds what was thought up by hand, `tracks.txt` the titles the tracklists are drawn from. What neither says
(dates, plays, durations) follows from the name of the record, so that every start tells the same story.
Source of a record's randomness: a seed of its artist and title. No I/O but reading the two files; knows nothing of drawing.
"""

import argparse
import datetime
import json
import random
import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from image_cache.demo.record import DemoRecord
from image_cache.demo.tracklists import tracklist

HERE = Path(__file__).resolve().parent
FORMATS = {"LP": ("LP", "Album"), "2LP": ("2xLP", "Album"), "12": ('12"', "Single"), "7": ('7"', "Single"), "CD": ("CD", "Album")}
SIDE_PX = 800
# Real collections are not uniform: some images are PNG, some are small, some were scanned a little askew of square.
PNGS = {
    "machine-embroidery-cross-stitch": (600, 600),
    "petra-holderich-nachbarn": (640, 640),
    "fennimore-static-errata": (600, 600),
    "olive-the-ledgers-double-entry": (600, 600),
}
ODD_SIZES = {
    "nine-pin-charlie-gutter-ball-blues": (600, 590),
    "ephraim-doss-levee-arithmetic": (796, 800),
    "the-gatehouse-carollers-wassail-if-you-must": (500, 500),
    "pilar-montecanto-cartas-sin-sello": (600, 600),
    "earl-pettibone-his-quiet-riot-act-kindly-disperse": (1000, 1000),
}
TODAY = datetime.date(2025, 10, 18)  # the day on which the collection was last added to
FIRST_BUY = datetime.date(2011, 3, 5)

# Each house numbers in its own way: (prefix and pattern, first number). `{n}` is the running number, `{yy}` the year's end.
HOUSES = {
    "Borrowed Tape": ("BT-{n:03d}", 4),
    "Carousel & Sons": ("C&S {n}", 4011),
    "Discoteca Mirabel": ("MIR {yy}.{n:02d}", 7),
    "Halfmetre": ("hm{n:03d}", 12),
    "Kiosk Nord": ("KN {n:04d}", 33),
    "Lamplighter Library": ("LLM {n}", 601),
    "Laterite": ("LAT-{n}", 303),
    "Marigold Engine": ("ME {n}", 6603),
    "Ninefold": ("9F-{n}", 909),
    "Pale Harbour": ("pale {n}", 9),
    "Penstock": ("PST {n}", 1504),
    "Quill & Harrow": ("QH {n}", 71),
    "Rua Onze": ("R11-{n:03d}", 77),
    "Saltmarket": ("SMK {n:02d}", 5),
    "Sunday Diesel": ("SD {n}", 118),
    "Thirteenth Float": ("FLOAT {n}", 13),
    "Understair": ("STAIR {n:02d}", 2),
    "Vellum & Reed": ("VR {n} ST", 2204),
    "Zuiderlicht": ("ZL {yy}{n:03d}", 21),
}


def slug_of(artist: str, title: str) -> str:
    """Return the name of the record in addresses: lower-case ASCII, words joined by hyphens."""
    text = f"{artist} {title}".translate(str.maketrans("øØłŁßœı", "oOlLsoi"))
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


@lru_cache(maxsize=1)
def entries() -> tuple[DemoRecord, ...]:
    """Return the collection as it was written down, in its order."""
    return tuple(_read_entries((HERE / "collection.txt").read_text(encoding="utf-8")))


def records(origin_url: str = "") -> list[dict[str, Any]]:
    """Return the whole collection for the JSON import; `origin_url` is where the sleeves are served, without a slash at the end."""
    numbers = _catalogue_numbers()
    files = {entry: name for name, entry in pictures().items()}
    told: dict[str, set[str]] = {}
    return [
        _record(entry, numbers[entry], told.setdefault(entry.artist, set()), f"{origin_url}/sleeves/{files[entry]}")
        for entry in entries()
    ]


def pictures() -> dict[str, DemoRecord]:
    """Return the records by the file name of their image."""
    slugs = ((slug_of(entry.artist, entry.title), entry) for entry in entries())
    return {f"{slug}.png" if slug in PNGS else f"{slug}.jpg": entry for slug, entry in slugs}


def picture_of(entry: DemoRecord) -> tuple[str, tuple[int, int]]:
    """Return what the drawing needs beyond the entry: the catalogue number and the width and height in pixels."""
    slug = slug_of(entry.artist, entry.title)
    return _catalogue_numbers()[entry], PNGS.get(slug) or ODD_SIZES.get(slug) or (SIDE_PX, SIDE_PX)


def _read_entries(text: str) -> Iterator[DemoRecord]:
    head: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            head = [part.strip() for part in line[1:].split("|")]
        elif line and not line.startswith("#"):
            facts, _, rest = line.partition(" = ")
            title, _, notes = rest.partition(" # ")
            year, form, rating, grades, family = facts.split()
            media, sleeve = grades.split("/")
            artist, genre, styles, label, mood = head
            names = tuple(style.strip() for style in styles.split(","))
            yield DemoRecord(
                artist,
                genre,
                names,
                label,
                mood,
                int(year),
                form,
                int(rating),
                media,
                sleeve,
                family,
                title.strip(),
                notes.strip(),
            )


@lru_cache(maxsize=1)
def _catalogue_numbers() -> dict[DemoRecord, str]:
    """Number each house's records in the order of their years, with gaps for the records no one here owns."""
    numbers = {}
    for label, (pattern, first) in HOUSES.items():
        rng = random.Random(f"house {label}")
        n = first
        for entry in sorted((e for e in entries() if e.label == label), key=lambda e: (e.year, e.title)):
            numbers[entry] = pattern.format(n=n, yy=f"{entry.year % 100:02d}")
            n += rng.choice((1, 1, 2, 3, 5, 8))
    return numbers


def _record(entry: DemoRecord, catno: str, told: set[str], cover_url: str) -> dict[str, Any]:
    slug = slug_of(entry.artist, entry.title)
    rng = random.Random(f"{entry.artist}\n{entry.title}")
    since = max(FIRST_BUY, datetime.date(min(entry.year + 1, 2018), 1, 1))
    # More was bought lately than long ago: the larger of two draws.
    share = max(rng.random(), rng.random())
    added = since + datetime.timedelta(days=int((TODAY - since).days * share))
    return {
        "source": "demo",
        "source_id": slug,
        "artist": entry.artist,
        "title": entry.title,
        "year": entry.year,
        "genres": [entry.genre],
        "styles": list(entry.styles),
        "formats": list(FORMATS[entry.format]),
        "label": entry.label,
        "catno": catno,
        "rating": entry.rating,
        "media_condition": entry.media,
        "sleeve_condition": entry.sleeve,
        "notes": entry.notes,
        "added": added.isoformat(),
        "plays": 0 if rng.random() < 0.12 else int(rng.expovariate(1 / (entry.rating * 2.2))) + 1,
        "tracks": tracklist(entry, rng, told),
        "cover_url": cover_url,
    }


def main() -> None:
    """Write the collection as JSON to stdout, ready for the import."""
    parser = argparse.ArgumentParser(prog="python -m image_cache.demo.records", description=main.__doc__)
    parser.add_argument("origin_url", help="where the sleeves are served, for example http://127.0.0.1:5077")
    json.dump(records(parser.parse_args().origin_url.rstrip("/")), sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
