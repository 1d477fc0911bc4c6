"""Plays at a time of one's choice."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.records.playing.plays_table import PlaysTable


def count_play(catalog: CatalogDatabase, album_id: int, played_at: float) -> None:
    """Count a play of a record."""
    with catalog.write() as conn:
        assert PlaysTable(catalog).add_play(conn, album_id, played_at, "", None) is not None
