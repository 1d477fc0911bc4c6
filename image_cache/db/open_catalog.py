"""The catalogue that the settings name: a file, or with a DSN a schema in PostgreSQL."""

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase


def open_catalog(settings: Settings, *, is_reader: bool = False) -> CatalogDatabase:
    """Return the catalogue of the settings: in its file, or with a DSN in PostgreSQL. Raises `ConfigError` for a DSN that is none."""
    if settings.DATABASE:
        from image_cache.db.postgres.server import open_postgres

        return open_postgres(settings, is_reader=is_reader)
    return CatalogDatabase(settings.catalog_path, is_reader=is_reader)


def has_catalog(settings: Settings) -> bool:
    """Return True if there is a catalogue already, as far as can be told without a question to a server."""
    return bool(settings.DATABASE) or settings.catalog_path.exists()
