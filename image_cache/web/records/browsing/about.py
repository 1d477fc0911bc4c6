"""Head of the page of an artist, a label or a shelf: the wall of that name, with a few figures and links."""

from urllib.parse import urlencode

from image_cache.frozen import frozen
from image_cache.models import AlbumQuery
from image_cache.records.filters.narrowing import Facets
from image_cache.web.context import services

LINKS = 3


@frozen
class AboutLink:
    """A value that many of the records have, with their number."""

    words: str
    href: str
    count: int


@frozen
class About:
    """What the wall of one artist, label or shelf says at its top. `years` is 1955 to 1972, "" if none is known."""

    name: str
    years: str
    plays: int
    title: str
    links: list[AboutLink]


def about(query: AlbumQuery, facets: Facets) -> About | None:
    """Return the head of the wall of an artist, a label or a shelf; None for any other wall."""
    names = dict(query.filters)
    kind = next((kind for kind in ("artist", "label", "shelf") if kind in names), None)
    if kind is None:
        return None
    first, last, plays = services().library.figures(query)
    years = "" if first is None else str(first) if first == last else f"{first}\N{EN DASH}{last}"
    other, title = ("label", "On") if kind == "artist" else ("style", "Styles")
    counts = sorted(facets.others.get(other, ()), key=lambda pair: -pair[1])[:LINKS]
    links = [AboutLink(value, f"/?{urlencode({kind: names[kind], other: value})}", count) for value, count in counts]
    return About(names[kind], years, plays, title, links)
