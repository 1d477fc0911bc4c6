"""Filters of the wall: which records have which value, as sets of bits, and how many are left of each under the other filters. No I/O.

A set has one bit for each album id: 12.5 KB for 100,000 records. They are made when someone first chooses a filter.
"""

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from image_cache import money
from image_cache.frozen import frozen

DAY_S = 86400.0
MAX_LABELS = 200  # labels and shelves: the largest ones; any other is found by its name
MAX_OPTIONS = 60  # of a kind that are offered
GRADES = ("M", "NM", "VG+", "VG", "G+", "G", "F", "P")
NO_GRADE = "none"
NO_PRICE = "none"
UNRATED = "0"
# When a record was played last: within so many days.
PLAYED = {"never": 0.0, "month": 30.0, "year": 365.0, "longer": float("inf")}
_GRADE = re.compile(r"(?<![A-Z])(NM|M-|VG\+\+|VG\+|VG|G\+|EX|M|G|F|P)(?![\w+-])")
_GRADE_WORDS = (
    *(("near mint", "NM"), ("mint", "M"), ("excellent", "VG+"), ("very good plus", "VG+"), ("very good", "VG")),
    *(("good plus", "G+"), ("good", "G"), ("fair", "F"), ("poor", "P")),
)
_SAME_GRADE = {"M-": "NM", "EX": "VG+", "VG++": "VG+"}
_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


@frozen
class FilterRow:
    """What a record is filtered by and what seldom changes. `added_at` is Unix seconds."""

    id: int
    year: int | None
    genres: tuple[str, ...]
    styles: tuple[str, ...]
    formats: tuple[str, ...]
    label: str
    condition: str
    added_at: float
    shelf: str
    price: str


@frozen
class UseRow:
    """What a record is filtered by and what changes as it is played and rated. `rating` is what is shown; times are Unix seconds."""

    id: int
    rating: int | None
    last_played_at: float | None
    plays: int
    value: str


@lru_cache(maxsize=1024)  # a collection has some dozen different ones
def grade_of(condition: str) -> str:
    """Return the grade in a condition: VG+ for "Very Good Plus (VG+)", "VG+" and "very good plus, light hairlines"; `NO_GRADE`."""
    found = _GRADE.search(condition)
    if found:
        return _SAME_GRADE.get(found[1], found[1])
    lowered = condition.lower()
    return next((grade for words, grade in _GRADE_WORDS if lowered.startswith(words)), NO_GRADE)


def played_span(last_played_at: float | None, plays: int, now: float) -> str:
    """Return the value of `PLAYED` that a record has."""
    if last_played_at is None:
        return "longer" if plays else "never"
    days = (now - last_played_at) / DAY_S
    return next(span for span, most in PLAYED.items() if span != "never" and days <= most)


def price_band(price: str) -> str:
    """Return the lower end of the band of a price as it is stored, `NO_PRICE` without one."""
    found = money.parts(price)
    return str(max(low for low in money.BANDS if low * 100 <= found[0])) if found else NO_PRICE


class FilterSets:
    """The sets of all values. Immutable once made."""

    def __init__(self, sets: Mapping[str, Mapping[str, int]]) -> None:
        self._sets = sets

    def with_others(self, other: "FilterSets") -> "FilterSets":
        """Return the sets of both."""
        return FilterSets({**self._sets, **other._sets})

    def bits(self, kind: str, value: str) -> int:
        """Return the records with a value, none for an unknown one."""
        return self._sets.get(kind, {}).get(value, 0)

    def counts(self, kind: str, among: int) -> list[tuple[str, int]]:
        """Return the values of a kind that records in `among` have, with their counts: by name, grade, year; the largest ones only."""
        found = [(value, count) for value, bits in self._sets.get(kind, {}).items() if (count := (bits & among).bit_count())]
        largest = sorted(found, key=lambda pair: -pair[1])[:MAX_OPTIONS]
        return sorted(largest, key=lambda pair: _place(kind, pair[0]))


def lasting_sets(rows: Iterable[FilterRow], size: int) -> FilterSets:
    """Make the sets of what seldom changes; `size` is above every id."""
    members, named = _Members(size), Counter[tuple[str, str]]()
    kept: list[tuple[int, tuple[str, str]]] = []
    for row in rows:
        for kind, value in _values(row):
            members.put(kind, value, row.id)
        for pair in (("label", row.label), ("shelf", row.shelf)):
            if pair[1]:
                named[pair] += 1
                kept.append((row.id, pair))
    largest = {
        pair
        for kind in ("label", "shelf")
        for pair, _ in Counter({p: n for p, n in named.items() if p[0] == kind}).most_common(MAX_LABELS)
    }
    for album_id, pair in kept:
        if pair in largest:
            members.put(*pair, album_id)
    return members.sets()


def use_sets(rows: Iterable[UseRow], size: int, now: float) -> FilterSets:
    """Make the sets of what changes as records are played and rated; `size` is above every id."""
    members = _Members(size)
    for row in rows:
        members.put("stars", str(row.rating or UNRATED), row.id)
        members.put("played", played_span(row.last_played_at, row.plays, now), row.id)
        members.put("value", price_band(row.value), row.id)
    return members.sets()


class _Members:
    """Sets that are being made."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bits: dict[str, dict[str, bytearray]] = {}

    def put(self, kind: str, value: str, album_id: int) -> None:
        if album_id >= self._size:  # added since the order of the wall was built
            return
        values = self._bits.setdefault(kind, {})
        bits = values.get(value)
        if bits is None:
            bits = values[value] = bytearray(self._size // 8 + 1)
        bits[album_id >> 3] |= 1 << (album_id & 7)

    def sets(self) -> FilterSets:
        return FilterSets(
            {
                kind: {value: int.from_bytes(bits, "little") for value, bits in values.items()}
                for kind, values in self._bits.items()
            }
        )


def bits_of(ids: Iterable[int], size: int) -> int:
    """Return ids as a set of bits."""
    bits = bytearray(size // 8 + 1)
    for one in ids:
        if one < size:
            bits[one >> 3] |= 1 << (one & 7)
    return int.from_bytes(bits, "little")


def ids_of(bits: int) -> list[int]:
    """Return the ids of a set of bits."""
    data = bits.to_bytes(bits.bit_length() // 8 + 1, "little")
    return [at * 8 + bit for at, byte in enumerate(data) if byte for bit in _BITS[byte]]


def narrowed(chosen: Mapping[str, int], but: str, every: int) -> int:
    """Return the records that pass all chosen filters but one kind."""
    left = every
    for kind, bits in chosen.items():
        if kind != but:
            left &= bits
    return left


def _values(row: FilterRow) -> Sequence[tuple[str, str]]:
    found = [("genre", value) for value in row.genres]
    found += [("style", value) for value in row.styles]
    found += [("format", value) for value in row.formats]
    if row.year is not None:
        found.append(("decade", str(row.year // 10 * 10)))
    found.append(("condition", grade_of(row.condition)))
    found.append(("price", price_band(row.price)))
    found.append(("added", str(datetime.datetime.fromtimestamp(row.added_at, datetime.UTC).year)))
    return found


def _place(kind: str, value: str) -> tuple[int, str]:
    if kind == "condition":
        return (GRADES.index(value) if value in GRADES else len(GRADES), "")
    if kind == "played":
        return (list(PLAYED).index(value), "")
    if kind in ("price", "value"):
        return (money.BANDS[-1] + 1 if value == NO_PRICE else int(value), "")
    if kind in ("stars", "added"):
        return (-int(value), "")
    return (0, value.casefold())
