"""Row parser: the cells of one row, text or JSON values by column name, to an `ImportRow`. It has every rule about cells."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from image_cache import money
from image_cache.errors import ImportRejected
from image_cache.import_models import ImportRow
from image_cache.tables.cells import (
    COUNT,
    MAX_LONG_CHARS,
    READERS,
    SHORTENED,
    SKIPPED,
    BadCell,
    LossyValue,
    bounded_moment,
    read_day,
    read_line,
    read_moment,
    shown,
)
from image_cache.tables.dates import DateOrders
from image_cache.text import cut

# In the order of an export.
COLUMNS = (
    *("id", "source", "source_id", "title", "artist", "year", "genres", "styles", "formats", "label", "catno", "rating"),
    *("media_condition", "sleeve_condition", "added", "notes", "cover_url", "plays", "last_played", "tracks"),
    *("barcode", "mbid", "instance_id", "own_notes", "shelf", "price", "bought"),
)
# What other programs, and fields that collectors name themselves, call our columns.
OTHER_NAMES = {
    **dict.fromkeys(("location", "storage", "storage_location", "shelf_location"), "shelf"),
    **dict.fromkeys(("price_paid", "paid", "purchase_price", "cost"), "price"),
    **dict.fromkeys(("bought_on", "purchase_date", "date_purchased", "purchased", "date_of_purchase"), "bought"),
}
# Close enough to be meant, too far to be taken: `formats` is part of what identifies a row, so an old table would come in twice.
MEANT = {
    "genre": "genres",
    "style": "styles",
    "format": "formats",
    "stars": "rating",
    "play_count": "plays",
    "tracklist": "tracks",
    **dict.fromkeys(("cover", "cover_image", "image", "image_url", "artwork"), "cover_url"),
    **dict.fromkeys(("catalogue_number", "catalog_number", "cat_no", "cat#", "catalog#"), "catno"),
    **dict.fromkeys(("condition", "media", "grade"), "media_condition"),
    **dict.fromkeys(("ean", "upc"), "barcode"),
}
CURRENCY = "currency"  # a column that only says what the prices are in
IN_NOTES = {"price": "Price paid", "bought": "Bought"}  # cells that are text for the notes if they are no price and no date
UNTITLED = "Untitled"


def known_column(name: str, header: Collection[str]) -> str:
    """Return our name of a column, "" for one that is not ours. `header` has the plain names of all columns."""
    plain = plain_name(name)
    if plain in COLUMNS or plain == CURRENCY:
        return plain
    ours = OTHER_NAMES.get(plain, "")
    return "" if ours in header or next((one for one in header if OTHER_NAMES.get(one) == ours), plain) != plain else ours


def meant_columns(names: Sequence[str]) -> list[str]:
    """Return a remark for each column whose name is almost one that we know. Such a column is kept in the notes."""
    plain = {plain_name(name) for name in names}
    return [
        f"column {shown(name)} goes into the notes. If it means {ours}, rename the column"
        for name in names
        if (ours := MEANT.get(plain_name(name))) and ours not in plain
    ]


def own_field(name: str) -> str:
    """Return which of shelf, price and bought a field is that a collector named, "" for any other."""
    plain = plain_name(name)
    return plain if plain in ("shelf", "price", "bought") else OTHER_NAMES.get(plain, "")


def plain_name(name: str) -> str:
    """Return the name of a column in lower case, with underscores for spaces."""
    return "_".join(name.lower().split())


def row_from(
    line: int,
    cells: Mapping[str, Any],
    *,
    counts_copies: bool = False,
    own: Mapping[str, str] | None = None,
    dates: DateOrders | None = None,
    losses: Sequence[str] = (),
) -> ImportRow:
    """Return the row; raise `ImportRejected` if it has neither artist nor title. Keys are column names, known ones in lower case.

    Empty text, None and a missing column all mean no value. Unknown columns, and the collector's `own` whatever they are called,
    become lines of the notes. A cell that cannot be used is cut or left out; `ImportRow.losses` says so, after the `losses` given.
    """
    reader = _Reader(cells, dates or DateOrders(), losses)
    get = reader.get
    title, artist = get("title", read_line), get("artist", read_line)
    if not title and not artist:
        raise ImportRejected(line, "neither artist nor title")
    if not title:
        reader.losses.append(f"no title: imported as {UNTITLED}")
    values: dict[str, Any] = {name: get(name, read) for name, read in READERS.items() if name != "bought"}
    values["bought"] = get("bought", reader.day)
    values["price"] = reader.in_currency(values["price"])
    notes = _with_unknown_columns(values.pop("notes"), cells, {**reader.moved, **(own or {})}, reader.losses)
    return ImportRow(
        line=line,
        title=title or UNTITLED,
        artist=artist or "",
        source=values.pop("source") or "",
        source_id=values.pop("source_id") or "",
        added_at=get("added", reader.moment),
        last_played_at=get("last_played", reader.moment),
        notes=notes,
        counts_copies=counts_copies,
        losses=tuple(reader.losses),
        **values,
    )


class _Reader:
    """Reads the cells of one row and remembers what was lost. `moved` are cells that go into the notes instead."""

    def __init__(self, cells: Mapping[str, Any], dates: DateOrders, losses: Sequence[str]) -> None:
        self.losses = list(losses)
        self.moved: dict[str, str] = {}
        self._cells = cells
        self._dates = dates

    def get(self, name: str, read: Callable[[str, Any], Any]) -> Any:
        value = self._cells.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if name == "tracks" and isinstance(value, str | int) and COUNT.fullmatch(str(value).strip()):
            self.moved[name.capitalize()] = str(value).strip()  # how many there are
            return None
        try:
            found = read(name, value)
        except BadCell as problem:
            if name in IN_NOTES and isinstance(value, str):
                self.moved[IN_NOTES[name]] = value.strip()
                self.losses.append(f"{problem}; put in the notes")
                return None
            self.losses.append(f"{problem}{SKIPPED}")
            return None
        if isinstance(found, LossyValue):
            self.losses.append(found.remark)
            return found.value
        return found

    def in_currency(self, price: str | None) -> str | None:
        """Return a price in the currency of its row, if it names none itself."""
        named = self._cells.get(CURRENCY)
        if not price or not isinstance(named, str) or not named.strip():
            return price
        try:
            return money.price_of(price) if " " in price else money.price_of(price, named)
        except ValueError:
            self.losses.append(f"{CURRENCY} must be three letters such as EUR, not {shown(named)}{SKIPPED}")
            return price

    def day(self, name: str, value: Any) -> Any:
        """Read a day as it is written, or as any date of this file."""
        try:
            return read_day(name, value)
        except BadCell:
            found = self.moment(name, value)
        moment = found.value if isinstance(found, LossyValue) else found
        text = datetime.fromtimestamp(moment, UTC).date().isoformat()
        return LossyValue(text, found.remark) if isinstance(found, LossyValue) else text

    def moment(self, name: str, value: Any) -> Any:
        try:
            return read_moment(name, value)
        except BadCell:
            if not isinstance(value, str):
                raise
            try:
                moment, remark = self._dates.read(name, value)
                return (
                    LossyValue(bounded_moment(name, value, moment.timestamp()), remark)
                    if remark
                    else bounded_moment(name, value, moment.timestamp())
                )
            except (ValueError, OverflowError, IndexError):
                pass
            raise


def _with_unknown_columns(notes: str | None, cells: Mapping[str, Any], own: Mapping[str, str], losses: list[str]) -> str | None:
    found = [notes] if notes else []
    unknown = [
        (name, value) for name, value in cells.items() if name not in (*COLUMNS, CURRENCY) and value is not None and value != ""
    ]
    for name, value in (*unknown, *own.items()):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        # The name comes from the file too.
        try:
            parts = [read_line("a column's name", name), read_line(shown(name), text)]
        except BadCell as problem:
            losses.append(f"{problem}{SKIPPED}")
            continue
        losses += [part.remark for part in parts if isinstance(part, LossyValue)]
        label, text = (part.value if isinstance(part, LossyValue) else part for part in parts)
        entry = f"{label}: {text}"
        # An export to which its old columns were added again has them in the notes only once.
        if text and entry not in "\n".join(found).split("\n"):
            found.append(entry)
    whole = "\n".join(found)
    kept = cut(whole, MAX_LONG_CHARS)
    if len(kept) < len(whole):
        losses.append(f"notes and unknown columns together are longer than {MAX_LONG_CHARS:,} characters{SHORTENED}")
    return kept or None
