"""One record of the demo collection as it was written down."""

from typing import NamedTuple


class DemoRecord(NamedTuple):
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
