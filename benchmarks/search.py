"""What the search finds first, and what each letter costs, over collections of 6,000 and 100,000 records.

    python -m benchmarks.search [--records 6000 100000]

Asks the queries of tests/cases/search-queries.csv, then every beginning of each of them, letter by letter as someone types; prints
the misses, the milliseconds of CPU time of a letter, what the import wrote, and what filters cost. Exit code 1 when more than two
queries miss.
"""

import argparse
import csv
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.collection import collection
from image_cache.db.catalog import CatalogDatabase
from image_cache.models import Album, AlbumQuery
from image_cache.records.library import Library

QUERIES = Path(__file__).resolve().parent.parent / "tests" / "cases" / "search-queries.csv"
MISSES = 2


@dataclass(frozen=True, slots=True)
class Expected:
    """A query and what has to be its first hit: patterns of artist and title, both empty for nothing, and facts in the note."""

    query: str
    artist: str
    title: str
    note: str

    def is_met(self, first: Album | None) -> bool:
        if first is None or not (self.artist or self.title):
            return first is None and not (self.artist or self.title)
        facts = {*first.genres, *first.styles, *first.formats, first.label}
        wanted = re.findall(r"\b(fact|year)=([^;]*)", self.note)
        return (
            _is_like(first.artist, self.artist)
            and _is_like(first.title, self.title)
            and all(str(first.year) == value if kind == "year" else value in facts for kind, value in wanted)
        )


def expectations(path: Path = QUERIES) -> list[Expected]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Expected(*row) for row in list(csv.reader(file))[1:]]


def letters(queries: list[Expected]) -> Iterator[str]:
    """Yield each beginning of each query once."""
    yield from dict.fromkeys(one.query[:end] for one in queries for end in range(1, len(one.query) + 1))


def first_hit(library: Library, text: str) -> Album | None:
    return next(iter(library.page(AlbumQuery(text=text, sort="match"), 1).albums), None)


def _is_like(name: str, pattern: str) -> bool:
    escaped = re.sub(r"([?\[])", r"[\1]", pattern.lower())
    return fnmatchcase(name.lower(), escaped)


def _written() -> int:
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(re.search(r"^wchar: (\d+)", text, re.MULTILINE)[1])  # type: ignore[index]


def measure(count: int, folder: Path) -> int:
    catalog = CatalogDatabase(folder / f"{count}.db")
    library = Library(catalog)
    written, began = _written(), time.process_time()
    library.import_rows(collection(count))
    cpu_s, written = time.process_time() - began, _written() - written
    library.count()
    queries = expectations()
    missed = [one for one in queries if not one.is_met(first_hit(library, one.query))]
    times = []
    for text in letters(queries):
        began = time.thread_time()
        library.page(AlbumQuery(text=text, sort="match"), 1)
        times.append((time.thread_time() - began) * 1000)
    times.sort()
    p95, p99 = times[int(len(times) * 0.95)], times[int(len(times) * 0.99)]
    print(f"{count:,} records: {len(queries) - len(missed)} of {len(queries)} first hits right", flush=True)
    for one in missed:
        print(f"  missed: {one.query}")
    print(
        f"  a letter ({len(times)}): median {statistics.median(times):.1f} ms, p95 {p95:.1f}, p99 {p99:.1f}, max {times[-1]:.1f}"
    )
    print(
        f"  import: {cpu_s:.1f} s CPU, {written / 1e6:.0f} MB written, catalogue {catalog.path.stat().st_size / 1e6:.0f} MB",
        flush=True,
    )
    filtered(library)
    catalog.close()
    return len(missed)


def filtered(library: Library) -> None:
    """Print what filters and the numbers beside them cost: the first time, when the sets are made, and later."""
    queries = {
        "Jazz": AlbumQuery(genre="Jazz"),
        "Jazz, LP, 1960s": AlbumQuery(genre="Jazz", format="LP", decade=1960),
        "not rated, never played": AlbumQuery(filters=(("stars", "0"), ("played", "never"))),
        "label": AlbumQuery(filters=(("label", "Blue Note"),)),
        "text and Jazz": AlbumQuery(text="moon", sort="match", genre="Jazz"),
    }
    began = time.thread_time()
    library.narrowed_facets(AlbumQuery())
    print(f"  filters: sets made in {(time.thread_time() - began) * 1000:.0f} ms", flush=True)
    for name, query in queries.items():
        began = time.thread_time()
        found = library.wall(query, 1)
        print(
            f"  {name}: page and numbers {(time.thread_time() - began) * 1000:.1f} ms, {found.page.total:,} records", flush=True
        )
    for sort in ("rating", "label", "condition", "played"):
        began = time.thread_time()
        library.page(AlbumQuery(sort=sort, is_reversed=True), 1)
        print(f"  order by {sort}, built: {(time.thread_time() - began) * 1000:.0f} ms", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=(6000, 100_000))
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as folder:
        return int(max(measure(count, Path(folder)) for count in parser.parse_args().records) > MISSES)


if __name__ == "__main__":
    sys.exit(main())
