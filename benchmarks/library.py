"""What a page, a search and a spin cost at 1,000 and at 100,000 albums, and what a change of the albums costs once.

    python -m benchmarks.library [--albums 1000 100000]

Prints median, p90, p99 and max of each in milliseconds, and the ratio of the medians; exit code 1 when a page or a
search of the same number of hits costs more than twice as much in the large collection.
"""

import argparse
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from image_cache.db.catalog import CatalogDatabase
from image_cache.engine.index import Index
from image_cache.imaging.color import Colour, packed
from image_cache.import_models import ImportRow
from image_cache.importers.artwork.similar_covers import groups
from image_cache.models import AlbumQuery, Track
from image_cache.records.library import Library
from image_cache.records.orders.appearance_table import RecordAppearance, RecordAppearanceTable
from image_cache.records.orders.colours import colour_place

SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ten",
    "dra",
    "vos",
    "el",
    "un",
    "pra",
    "she",
    "bor",
    "qui",
    "nat",
    "ol",
    "fen",
    "gar",
    "zu",
    "il",
    "mer",
    "sto",
]
GENRES = ("Jazz", "Rock", "Electronic", "Folk", "Classical", "Hip Hop", "Funk", "Pop")
LIMIT = 2.0
BOUNDED = {
    "page 1",
    "any page",
    "last page by year",
    "page 1 by colour",
    "any page by colour",
    "near in colour",
    "search, 5 hits",
}


def word(rng: random.Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))


def rows(count: int) -> Iterator[ImportRow]:
    rng = random.Random(33)
    for number in range(count):
        # Five albums have the word that is searched for, at any size: the same hits out of a larger heap.
        title = "needle" if number % (count // 5) == 0 else word(rng)
        yield ImportRow(
            line=number + 2,
            title=f"{title} {word(rng)}".title(),
            artist=f"{word(rng)} {word(rng)}".title(),
            source_id=str(number),
            year=rng.randint(1950, 2024),
            genres=(rng.choice(GENRES),),
            formats=("Vinyl", "LP"),
            label=word(rng),
            added_at=1_500_000_000.0 + number * 500,
            cover_url=f"https://covers.example/{number}.jpg",
            tracks=tuple(Track(f"A{n}", f"{word(rng)} {word(rng)}", 200) for n in range(1, 9)),
        )


def look_at(looks: RecordAppearanceTable, count: int) -> float:
    """Give every album a sleeve of random colours, as the survey would; return the seconds that grouping their hashes takes."""
    rng = random.Random(5)
    hashes = [rng.getrandbits(64) for _ in range(count)]
    palettes = [
        tuple(Colour(0.2, rng.random(), rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)) for _ in range(5)) for _ in range(500)
    ]
    with looks.database.write() as conn:
        for album_id in range(1, count + 1):
            digest, colours = album_id.to_bytes(32, "big"), palettes[album_id % 500]
            conn.execute(
                "INSERT INTO looks VALUES (?, 1, ?, ?, 0)", (digest, hashes[album_id - 1].to_bytes(8, "big"), packed(colours))
            )
            looks.put(conn, [RecordAppearance(album_id, digest.hex(), *colour_place(colours))])
        looks.changed(conn, time.time())
    begun = time.perf_counter()
    groups(looks.hashes()[1])
    return time.perf_counter() - begun


def measured(call: Callable[[], object], times: int) -> list[float]:
    """Return the milliseconds of each call, sorted; the first five calls do not count."""
    found = []
    for turn in range(times + 5):
        begun = time.perf_counter()
        call()
        if turn >= 5:
            found.append((time.perf_counter() - begun) * 1000)
    return sorted(found)


def collection(folder: Path, count: int) -> dict[str, list[float]]:
    catalog = CatalogDatabase(folder / f"{count}.db")
    index = Index(folder / f"{count}-index.db")
    looks = RecordAppearanceTable(index.database)
    library = Library(catalog, appearances=looks)
    begun = time.perf_counter()
    library.import_rows(rows(count))
    print(
        f"{count:>7,} albums imported in {time.perf_counter() - begun:.1f} s, {(folder / f'{count}.db').stat().st_size / 1e6:.0f} MB"
    )
    print(f"{count:>7,} hashes grouped in {look_at(looks, count):.2f} s, behind")
    rng = random.Random(1)
    pages = library.page(AlbumQuery(), 1).pages
    fresh = iter(range(10**6))

    def search(text: str) -> Callable[[], object]:
        # Another run of blanks each time, so that no answer comes from the memory of the last one.
        return lambda: library.page(AlbumQuery(text=text + " " * next(fresh)), 1)

    def changed() -> None:
        library.rate(1, None)
        with catalog.write() as conn:
            conn.execute("UPDATE albums SET added_at = added_at + 1 WHERE id = 1")
        library.page(AlbumQuery(), 1)

    def recoloured() -> None:
        with looks.database.write() as conn:
            looks.changed(conn, time.time())
        library.page(AlbumQuery(sort="colour"), 1)

    found = {
        "page 1": measured(lambda: library.page(AlbumQuery(), 1), 200),
        "any page": measured(lambda: library.page(AlbumQuery(), rng.randint(1, pages)), 200),
        "last page by year": measured(lambda: library.page(AlbumQuery(sort="year"), pages), 200),
        "page 1 by colour": measured(lambda: library.page(AlbumQuery(sort="colour"), 1), 200),
        "any page by colour": measured(lambda: library.page(AlbumQuery(sort="colour"), rng.randint(1, pages)), 200),
        "near in colour": measured(lambda: library.near_in_colour(rng.randint(1, count)), 100),
        "search, 5 hits": measured(search("needl"), 200),
        "search, 3 words": measured(search("needle k l"), 50),
        "search, a letter": measured(search("k"), 20),
        "search, 12 letters": measured(search("a b d e f g i k l m n o"), 10),
        "100 KB of quotes": measured(search('"' * 100_000), 20),
        "genre": measured(lambda: library.page(AlbumQuery(genre="Jazz"), 2), 100),
        "filter counts": measured(library.facets, 100),
        "neighbours": measured(lambda: library.neighbours(500), 100),
        "random": measured(library.random, 200),
        "page after a change": measured(changed, 10),
        "colour after a change": measured(recoloured, 5),
    }
    catalog.close()
    index.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--albums", type=int, nargs=2, default=(1000, 100_000), metavar=("SMALL", "LARGE"))
    small, large = parser.parse_args().albums
    print(f"{platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name:
        sizes = {count: collection(Path(name), count) for count in (small, large)}
    worst = 0.0
    print(f"{'ms: median  p90  p99  max':<22}{small:>31,}{large:>31,}   ratio")
    for what in sizes[small]:
        cells = ""
        for count in (small, large):
            times = sizes[count][what]
            cells += "".join(
                f"{value:>7.2f}"
                for value in (statistics.median(times), times[int(len(times) * 0.9)], times[int(len(times) * 0.99)], times[-1])
            ).rjust(31)
        ratio = statistics.median(sizes[large][what]) / statistics.median(sizes[small][what])
        if what in BOUNDED:
            worst = max(worst, ratio)
        print(f"{what:<22}{cells}{ratio:>8.2f}")
    print(f"worst ratio of a page or a search: {worst:.2f}, the limit is {LIMIT:g}")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
