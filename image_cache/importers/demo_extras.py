"""The wantlist, crates, prices, values and sides of a demo: added once to its records, and removed with them."""

from collections.abc import Mapping
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import FieldRejected
from image_cache.import_models import ImportRow
from image_cache.models import Album
from image_cache.records.crates.table import CrateTable
from image_cache.records.library import Library
from image_cache.records.playing.plays_table import PlaysTable
from image_cache.records.playing.sides import playable_sides
from image_cache.records.values.table import ValuesTable

Made = Mapping[str, list[int]]  # "wants" and "crates": their numbers


class DemoExtras:
    """Any thread."""

    def __init__(self, catalog: CatalogDatabase, library: Library) -> None:
        self._library = library
        self._crates = CrateTable(catalog)
        self._plays = PlaysTable(catalog)
        self._values = ValuesTable(catalog)
        self._db = catalog

    def add(self, albums: list[Album], now: float) -> dict[str, list[int]]:
        """Add everything to the records of the demo; return what `remove` needs."""
        self._add_keeping(albums)
        self._add_values(albums, now)
        self._add_sides(albums)
        return {"wants": self._add_wants(), "crates": self._add_crates(albums, now)}

    def count(self, made: Made) -> tuple[int, int]:
        """Return how many of its wants and crates are still there."""
        wants = sum(self._library.wants.table.want(one) is not None for one in made.get("wants", ()))
        return wants, sum(self._crates.crate(one) is not None for one in made.get("crates", ()))

    def remove(self, made: Made) -> None:
        """Remove wants and crates, once the records of the demo are gone. A crate that holds a record of a user stays, with that."""
        with self._db.write() as conn:
            for want_id in made.get("wants", ()):
                self._library.wants.table.remove(conn, want_id)
        for crate_id in made.get("crates", ()):
            if not self._crates.ids(crate_id, 1):
                self._crates.delete(crate_id)

    def _add_keeping(self, albums: list[Album]) -> None:
        from image_cache.demo.extras import keeping

        rows = (ImportRow(1, one.title, one.artist, source=one.source, source_id=one.source_id) for one in albums)
        self._library.import_rows([replace(row, **keeping(one)) for row, one in zip(rows, albums, strict=True)])  # type: ignore[arg-type]

    def _add_values(self, albums: list[Album], now: float) -> None:
        from image_cache.demo.extras import MADE_UP, value

        valued = [(one.id, found) for one in albums if (found := value(one))]
        with self._db.write() as conn:
            self._values.put(conn, [(album_id, found, MADE_UP) for album_id, found in valued], now)

    def _add_sides(self, albums: list[Album]) -> None:
        from image_cache.demo.extras import sides_played

        with self._db.write() as conn:
            for one in albums:
                names = [side.name for side in playable_sides(one)]
                self._plays.name_sides(conn, sides_played(one.title, names, self._plays.without_sides(conn, one.id)))

    def _add_wants(self) -> list[int]:
        from image_cache.demo.extras import WANTS

        fields = ("artist", "title", "label", "catno", "year", "formats", "notes")
        return [self._library.wants.type(dict(zip(fields, one, strict=True))) for one in WANTS]

    def _add_crates(self, albums: list[Album], now: float) -> list[int]:
        from image_cache.demo.extras import CRATES, crate_of

        made = []
        for name, note in CRATES:
            try:
                crate_id = self._crates.add(name, note, now)
            except FieldRejected:  # a user has one of this name
                continue
            self._crates.put(crate_id, [one.id for one in crate_of(name, albums)])
            made.append(crate_id)
        return made
