"""Refuses the start of a node that cannot work: names the setting, before anything is written."""

import secrets

from image_cache.cluster.agreement import Agreement, check_settings, known_name
from image_cache.cluster.clock import DatabaseClock
from image_cache.cluster.nodes import NodeTable, ThisNode, boot_of
from image_cache.config import Settings
from image_cache.db.database import DatabaseError, WrongVersion
from image_cache.db.postgres.server import DSN, check_server, open_postgres
from image_cache.errors import ConfigError, StorageError
from image_cache.storage.base import Storage
from image_cache.storage.factory import open_storage

# The library's errors that mean a store which answers, and refuses. One that is away comes back: its images are shown as such.
REFUSED = ("PermissionDeniedError", "UnauthenticatedError", "FileNotFoundError", "NotFoundError")


def check_start(settings: Settings) -> None:
    """Raise `ConfigError` for a server, a store, or settings with which this node must not start. Writes nothing but a probe in the bucket."""
    if settings.NODE:
        check_settings(settings)
    check_server(settings)
    try:
        key = settings.secret_key_path.read_bytes().strip()
    except OSError:  # made, or refused, later
        key = b""
    catalog = open_postgres(settings, is_reader=True)
    try:
        problem = catalog.migration_problem()
        if isinstance(problem, WrongVersion) and settings.DATABASE_MIGRATE == "check":
            raise ConfigError("VINYL_VAULT_DATABASE_MIGRATE", f"{problem}. Run: vinylvault migrate")
        if problem is None:  # else it is new, or changed now: this node compares itself with the others before it serves
            Agreement(catalog, settings, key, known_name(settings)).check()
            if name := known_name(settings):
                ThisNode(NodeTable(catalog), name, boot_of(settings.cache_dir), DatabaseClock()).refuse_twin()
    except DatabaseError as error:
        raise ConfigError(DSN, str(error)) from error
    finally:
        catalog.close()
    if settings.STORAGE == "s3":
        check_bucket(open_storage(settings))


def check_bucket(storage: Storage) -> None:
    """Raise `ConfigError` if the store refuses to store, read or delete. Does nothing if it does not answer."""
    name = f"doctor/{secrets.token_hex(16)}"
    try:
        storage.put(name, b"probe")
        storage.get(name)
        storage.delete(name)
    except StorageError as error:
        if type(error.__cause__).__name__ in REFUSED:
            raise ConfigError("VINYL_VAULT_S3_BUCKET", error.reason) from error
