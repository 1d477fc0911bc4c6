"""Moves the catalogue of a vault between its file and PostgreSQL. The service is stopped; what is copied is compared; nothing is deleted.

Originals, uploaded covers and settings files are not moved: they are in the storage, or in the state folder.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.errors import Busy, CacheError
from image_cache.frozen import frozen
from image_cache.records.search.index_table import SearchIndexTable
from image_cache.vault_lock import exclusive


@frozen
class MovedTable:
    """`sha256` is that of all rows, the same on both sides; "" in a dry run."""

    name: str
    rows: int
    sha256: str = ""


class CannotMove(CacheError):
    """The catalogue cannot be moved as things are. Nothing was changed."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


def move_to_postgres(settings: Settings, dsn: str, report: Callable[[MovedTable], object], *, is_dry: bool = False) -> None:
    """Copy the catalogue from its file into PostgreSQL: all of it, or nothing. Its file stays as it is.

    Raises `CannotMove`, `ConfigError` for a DSN that cannot be used, `Busy` while the vault is served, `DatabaseError`.
    """
    from image_cache.db.postgres.copying import content_of, copy_to_postgres, counts
    from image_cache.db.postgres.server import check_server, open_postgres

    if not settings.catalog_path.is_file():
        raise CannotMove(f"There is no catalogue at {settings.catalog_path}.", "Check VINYL_VAULT_DATA_DIR.")
    there = replace(settings, DATABASE=dsn)
    check_server(there, is_target=True)
    with exclusive(settings.state_dir), contextlib.closing(CatalogDatabase(settings.catalog_path, is_reader=True)) as source:
        with contextlib.closing(open_postgres(there, is_reader=True)) as target:
            if target.exists():
                _refuse_running(target)
                if found := content_of(target):
                    raise CannotMove(
                        f"The schema {settings.DATABASE_SCHEMA} is not empty: it has rows in {found}.",
                        "Choose another one with VINYL_VAULT_DATABASE_SCHEMA.",
                    )
        if is_dry:
            _report_counts(counts(source), report)
            return
        with contextlib.closing(open_postgres(there)) as target:
            copy_to_postgres(
                source,
                target,
                SearchIndexTable(source).copy_words,
                lambda one: report(MovedTable(one.name, one.rows, one.sha256)),
            )


def move_from_postgres(settings: Settings, dsn: str, report: Callable[[MovedTable], object], *, is_dry: bool = False) -> None:
    """Copy the catalogue from PostgreSQL into a file: all of it, or nothing. The schema stays as it is. Raises as `move_to_postgres`."""
    from image_cache.db.postgres.copying import copy_from_postgres, counts
    from image_cache.db.postgres.server import check_server, open_postgres

    path = settings.catalog_path
    there = replace(settings, DATABASE=dsn)
    check_server(there, is_target=True)
    with exclusive(settings.state_dir), contextlib.closing(open_postgres(there, is_reader=True)) as source:
        if path.exists():
            raise CannotMove(f"There is a catalogue at {path} already.", "Move it away first, or use another data folder.")
        if not source.exists():
            raise CannotMove(f"There is no schema {settings.DATABASE_SCHEMA}.", "Check VINYL_VAULT_DATABASE_SCHEMA.")
        _refuse_running(source)
        if is_dry:
            _report_counts(counts(source), report)
            return
        copy_from_postgres(
            source, path, SearchIndexTable(source).copy_words, lambda one: report(MovedTable(one.name, one.rows, one.sha256))
        )


def _refuse_running(catalog: CatalogDatabase) -> None:
    """Raise `Busy` if a node serves this catalogue, on whatever machine."""
    from image_cache.cluster.nodes import SILENT_S, NodeTable

    with contextlib.suppress(DatabaseError):  # a schema of 0.2.0 knows no nodes
        running = [node.name for node in NodeTable(catalog).all() if node.silent_s < SILENT_S]
        if running:
            raise Busy(f"The catalogue is in use by node {', '.join(running)}. Stop the service on all nodes first")


def _report_counts(found: dict[str, int], report: Callable[[MovedTable], object]) -> None:
    for name, rows in found.items():
        report(MovedTable(name, rows))
