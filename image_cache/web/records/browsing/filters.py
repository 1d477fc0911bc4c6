"""Filters of the wall in its address: read from it, said in words, offered with the number of records that are left."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from werkzeug.exceptions import BadRequest

from image_cache import money
from image_cache.frozen import frozen
from image_cache.models import Album, AlbumQuery
from image_cache.records.filters.narrowing import Facets
from image_cache.records.filters.sets import GRADES, NO_GRADE, NO_PRICE, PLAYED, UNRATED
from image_cache.records.search.rules import inches, name_key, plain
from image_cache.web.privacy import is_hidden

MAX_CHARS = 200
FILTERS = ("artist", "label", "style", "year", "stars", "condition", "shelf", "price", "value", "played", "added")
ALL_FILTERS = ("genre", "decade", "format", *FILTERS, "source")
NAMES = {
    "genre": "Genre",
    "style": "Style",
    "decade": "Decade",
    "label": "Label",
    "format": "Format",
    "stars": "Rating",
    "condition": "Condition",
    "shelf": "Shelf",
    "price": "Price paid",
    "value": "Value",
    "played": "Played",
    "added": "Added",
}
PLAYED_WORDS = {
    "never": "never played",
    "month": "played in the last 30 days",
    "year": "played in the last year",
    "longer": "not played for a year",
}
PRICES = ("price", "value")
LOG_IN_FOR_PRICES = "Log in to sort or filter by price or value."
SOURCES = {"music": "music folders", "discogs": "Discogs", "table": "tables", "demo": "the demo"}
# What an order says of itself, and turned round. The order by colour has no other end.
DIRECTIONS = {
    "artist": ("A to Z", "Z to A"),
    "title": ("A to Z", "Z to A"),
    "label": ("A to Z", "Z to A"),
    "year": ("oldest first", "newest first"),
    "added": ("newest first", "oldest first"),
    "plays": ("most played first", "least played first"),
    "played": ("latest first", "longest ago first"),
    "rating": ("best first", "lowest first"),
    "condition": ("best first", "worst first"),
    "shelf": ("A to Z", "Z to A"),
    "price": ("dearest first", "cheapest first"),
    "value": ("dearest first", "cheapest first"),
}


@frozen
class FilterChoice:
    """A filter that can be chosen: its name, and (value, words, number of records) of each option."""

    kind: str
    name: str
    options: tuple[tuple[str, str, int], ...]
    chosen: str


def read_filters(args: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the filters of an address that `AlbumQuery` has no field for. Raises `BadRequest` with a sentence that names the value."""
    found = tuple((kind, args[kind].strip()[:MAX_CHARS]) for kind in FILTERS if args.get(kind, "").strip())
    for kind, value in found:
        is_number = value.isascii() and value.isdigit()
        if kind in {"year", "added"} and not (is_number and len(value) == 4):
            raise BadRequest(f"“{value[:40]}” is not a year such as 1973.")
        if kind == "stars" and not (is_number and 0 <= int(value) <= 5):
            raise BadRequest(f"A rating is 1 to 5, or 0 for none, not “{value[:40]}”.")
        if kind == "condition" and value not in (*GRADES, NO_GRADE):
            raise BadRequest(f"“{value[:40]}” is not a grade. Grades are {', '.join(GRADES)}, or {NO_GRADE}.")
        if is_hidden(kind):
            raise BadRequest(LOG_IN_FOR_PRICES)
        if kind in PRICES and value not in (*map(str, money.BANDS), NO_PRICE):
            raise BadRequest(f"“{value[:40]}” is not one of {', '.join(map(str, money.BANDS))}, {NO_PRICE}.")
        if kind == "played" and value not in PLAYED:
            raise BadRequest(f"“{value[:40]}” is not one of {', '.join(PLAYED)}.")
    return found


def filters_of(query: AlbumQuery) -> dict[str, str]:
    """Return all filters of a query, as they stand in its address."""
    decade = "" if query.decade is None else str(query.decade)
    named = {"genre": query.genre, "decade": decade, "format": query.format, **dict(query.filters), "source": query.source}
    return {kind: value for kind in ALL_FILTERS if (value := named.get(kind, ""))}


def in_words(kind: str, value: str) -> str:
    """Return a chosen filter in words: 1970s, 4 stars, never played."""
    if kind == "stars":
        return "not rated" if value == UNRATED else f"{value} {'star' if value == '1' else 'stars'}"
    if kind == "condition" and value == NO_GRADE:
        return "no grade"
    if kind == "price":
        return _band_words(value)
    if kind == "value":
        return "no value" if value == NO_PRICE else f"worth {_band_words(value)}"
    if kind == "source":
        return f"records from {SOURCES.get(value, value)}"
    return {"decade": f"{value}s", "played": PLAYED_WORDS.get(value, value), "added": f"added in {value}"}.get(kind, value)


def _band_words(value: str) -> str:
    """Return a band of prices in words: under 5, 10 to 20, 500 or more."""
    if value == NO_PRICE:
        return "no price"
    above = next((high for high in money.BANDS if high > int(value)), None)
    return f"under {above}" if value == "0" else f"{value} or more" if above is None else f"{value} to {above}"


def choices(query: AlbumQuery, facets: Facets) -> list[FilterChoice]:
    """Return what can be chosen, each with the numbers that the other filters leave; what is chosen stands there also with none."""
    chosen = filters_of(query)
    counted = {
        "genre": facets.genres,
        "decade": [(str(decade), count) for decade, count in facets.decades],
        "format": facets.formats,
        **facets.others,
    }
    result = []
    for kind, name in NAMES.items():
        if is_hidden(kind) or (kind in PRICES and [option for option, _ in counted.get(kind, ())] in ([], [NO_PRICE])):
            continue
        value, counts = chosen.get(kind, ""), list(counted.get(kind, ()))
        if value and value not in dict(counts):
            counts.insert(0, (value, 0))
        if counts:
            options = tuple((option, in_words(kind, option), count) for option, count in counts)
            result.append(FilterChoice(kind, name, options, value))
    return result


def named_walls(text: str, albums: Sequence[Album], facets: Facets) -> list[tuple[str, str]]:
    """Return (words, path) of the walls that a search names: the artist, the label, the genre, the format of these words."""
    key = name_key(plain(text))
    artist = next((album.artist for album in albums if name_key(plain(album.artist)) == key), "")
    label = next((album.label for album in albums if album.label and name_key(plain(album.label)) == key), "")
    genre = next((value for value, _ in facets.genres if name_key(plain(value)) == key), "")
    form = next((value for value, _ in facets.formats if name_key(inches(plain(value))) in {key, f"{key}rpm"}), "")
    named = (("artist", artist), ("label", label), ("genre", genre), ("format", form))
    return [(f"{kind.capitalize()} {value}", f"/?{urlencode({kind: value})}") for kind, value in named if value]
