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
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
FORMATS = {"LP": ("LP", "Album"), "2LP": ("2xLP", "Album"), "12": ('12"', "Single"), "7": ('7"', "Single"), "CD": ("CD", "Album")}
SIDE_PX = 800
# Real collections are not uniform: some pictures are PNG, some are small, some were scanned a little askew of square.
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


class Entry(NamedTuple):
    """One record as written in `collection.txt`."""

    artist: str
    genre: str
    styles: tuple[str, ...]
    label: str
    mood: str
    year: int
    format: str
    rating: int
    media: str
    sleeve: str
    family: str
    title: str
    notes: str


class Mood(NamedTuple):
    whole: tuple[str, ...]
    heads: tuple[str, ...]
    tails: tuple[str, ...]


def slug_of(artist: str, title: str) -> str:
    """Return the name of the record in addresses: lower-case ASCII, words joined by hyphens."""
    text = f"{artist} {title}".translate(str.maketrans("øØłŁßœı", "oOlLsoi"))
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
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


def pictures() -> dict[str, Entry]:
    """Return the records by the file name of their picture."""
    slugs = ((slug_of(entry.artist, entry.title), entry) for entry in entries())
    return {f"{slug}.png" if slug in PNGS else f"{slug}.jpg": entry for slug, entry in slugs}


def picture_of(entry: Entry) -> tuple[str, tuple[int, int]]:
    """Return what the drawing needs beyond the entry: the catalogue number and the width and height in pixels."""
    slug = slug_of(entry.artist, entry.title)
    return _catalogue_numbers()[entry], PNGS.get(slug) or ODD_SIZES.get(slug) or (SIDE_PX, SIDE_PX)


def _read_entries(text: str) -> Iterator[Entry]:
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
            yield Entry(
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
def _moods() -> dict[str, Mood]:
    lists: dict[str, tuple[list[str], list[str], list[str]]] = {}
    current: tuple[list[str], list[str], list[str]] = ([], [], [])
    for line in (HERE / "tracks.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            current = lists.setdefault(line[2:], ([], [], []))
        elif line.startswith("+"):
            current[1].append(line[1:])
        elif line.startswith("-"):
            current[2].append(line[1:])
        elif line and not line.startswith("#"):
            current[0].append(line)
    return {name: Mood(tuple(whole), tuple(heads), tuple(tails)) for name, (whole, heads, tails) in lists.items()}


@lru_cache(maxsize=1)
def _catalogue_numbers() -> dict[Entry, str]:
    """Number each house's records in the order of their years, with gaps for the records nobody here owns."""
    numbers = {}
    for label, (pattern, first) in HOUSES.items():
        rng = random.Random(f"house {label}")
        n = first
        for entry in sorted((e for e in entries() if e.label == label), key=lambda e: (e.year, e.title)):
            numbers[entry] = pattern.format(n=n, yy=f"{entry.year % 100:02d}")
            n += rng.choice((1, 1, 2, 3, 5, 8))
    return numbers


def _record(entry: Entry, catno: str, told: set[str], cover_url: str) -> dict[str, Any]:
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
        "tracks": _tracks(entry, rng, told),
        "cover_url": cover_url,
    }


def _tracks(entry: Entry, rng: random.Random, told: set[str]) -> list[dict[str, str]]:
    if " b/w " in entry.title:
        a_side, b_side = entry.title.split(" b/w ")
        return [_track("A", a_side, rng, 150, 200), _track("B", b_side, rng, 140, 210)]
    if entry.format == "12":
        name = entry.title
        return [
            _track("A", name, rng, 340, 470),
            _track("B1", f"{name} ({'Version' if entry.mood == 'dub' else 'Instrumental'})", rng, 300, 400),
            _track("B2", _names(entry, 1, rng, told)[0], rng, 230, 350),
        ]
    count = 12 if entry.format == "2LP" else rng.randint(7, 11)
    # An early or a classical record has few long pieces; the sides of a double are four.
    low, high = (250, 460) if entry.mood in {"movements", "haze"} else (140, 290) if entry.year < 1966 else (165, 355)
    if low == 250:
        count = min(count, 8)
    places = _positions(entry.format, count)
    names = _names(entry, len(places), rng, told)
    # Most records name themselves after one of their pieces.
    if entry.mood != "movements" and rng.random() < 0.55:
        names[rng.choice((0, 0, 1, len(names) // 2))] = entry.title
    return [_track(place, name, rng, low, high) for place, name in zip(places, names, strict=True)]


def _positions(form: str, count: int) -> list[str]:
    if form == "CD":
        return [str(n + 1) for n in range(count)]
    sides = "ABCD" if form == "2LP" else "AB"
    per_side, over = divmod(count, len(sides))
    return [f"{side}{n + 1}" for i, side in enumerate(sides) for n in range(per_side + (i < over))]


def _names(entry: Entry, count: int, rng: random.Random, told: set[str]) -> list[str]:
    """Return titles this artist has not used yet, no beginning twice on one record. A classical side opens with four movements."""
    mood = _moods()[entry.mood]
    heads = rng.sample(mood.heads, len(mood.heads))
    names: list[str] = []
    if entry.mood == "movements":
        names = [rng.choice([name for name in mood.whole if name.startswith(f"{n}. ")]) for n in ("I", "II", "III", "IV")]
    while len(names) < count:
        name = f"{heads[-1]} {rng.choice(mood.tails)}" if heads and rng.random() < 0.34 else rng.choice(mood.whole)
        if name in told or (entry.mood == "movements" and ". " in name):
            continue
        if heads and name.startswith(f"{heads[-1]} "):
            heads.pop()
        told.add(name)
        names.append(name)
    return names


def _track(position: str, title: str, rng: random.Random, low: int, high: int) -> dict[str, str]:
    minutes, seconds = divmod(rng.randint(low, high), 60)
    return {"position": position, "title": title, "duration": f"{minutes}:{seconds:02d}"}


def main() -> None:
    """Write the collection as JSON to stdout, ready for the import."""
    parser = argparse.ArgumentParser(prog="python -m demo.records", description=main.__doc__)
    parser.add_argument("origin_url", help="where the sleeves are served, for example http://127.0.0.1:5077")
    json.dump(records(parser.parse_args().origin_url.rstrip("/")), sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
