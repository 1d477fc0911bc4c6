"""A catalogue in PostgreSQL as the settings name it, and whether it can be used, in one line before anything is written.

Passwords are in a file, never in the DSN: a setting is shown by tools that list the environment.
"""

import ipaddress
from pathlib import Path

from image_cache.config import Settings
from image_cache.db.database import DatabaseError, WrongVersion
from image_cache.errors import ConfigError

try:
    from psycopg import Error, conninfo

    from image_cache.db.postgres.cluster_schema import CATALOG
    from image_cache.db.postgres.database import MIN_SERVER, PgDatabase
    from image_cache.db.postgres.node import node_name
    from image_cache.db.postgres.upkeep import is_foreign
except ImportError as error:
    problem = "PostgreSQL support is not installed. Run: pip install --require-hashes -r requirements-cluster.txt"
    raise ConfigError("VINYL_VAULT_DATABASE", problem) from error

DSN, PASSWORD = "VINYL_VAULT_DATABASE", "VINYL_VAULT_DATABASE_PASSWORD_FILE"
SOCKETS = "/var/run/postgresql"
ENCRYPTED = ("require", "verify-ca", "verify-full")


def open_postgres(settings: Settings, *, is_reader: bool = False) -> PgDatabase:
    """Return the catalogue that the settings name; connects to nothing yet. Raises `ConfigError`."""
    known = _parsed(settings.DATABASE)
    hosts = [host for host in str(known["hostaddr"] or known["host"]).split(",") if not _is_near(host)]
    if hosts and known.get("sslmode", "require") not in ENCRYPTED:
        problem = f"sslmode={known['sslmode']} sends everything in the clear to {hosts[0]}; use {', '.join(ENCRYPTED)}"
        raise ConfigError(DSN, problem)
    if hosts:
        known.setdefault("sslmode", "require")
    if settings.DATABASE_PASSWORD_FILE is not None:
        known["password"] = _password(settings.DATABASE_PASSWORD_FILE)
    host = str(known["host"])
    where = f"PostgreSQL database {known.get('dbname') or ''} at {'this machine' if '/' in host else host}"
    return PgDatabase(
        conninfo.make_conninfo("", **known),
        settings.DATABASE_SCHEMA,
        where,
        is_reader=is_reader,
        migrates=settings.DATABASE_MIGRATE == "auto",
        node=node_name(settings.NODE, settings.cache_dir, is_kept=not is_reader),
    )


def check_server(settings: Settings, *, is_target: bool = False) -> None:
    """Raise `ConfigError` if the server cannot be reached, is too old, or has another encoding or a schema for a newer version.

    Writes nothing.
    """
    catalog = open_postgres(settings, is_reader=True)
    try:
        server, encoding, state, count = catalog.survey()
    except DatabaseError as error:
        raise ConfigError(DSN, str(error)) from error
    finally:
        catalog.close()
    if server < MIN_SERVER:
        raise ConfigError(DSN, f"the server is PostgreSQL {server}; {MIN_SERVER} or newer is needed")
    if encoding != "UTF8":
        raise ConfigError(DSN, f"the database has the encoding {encoding}; create it with UTF8")
    if state is not None and is_foreign(state, CATALOG):
        raise ConfigError(DSN, str(WrongVersion(catalog.path, state.level, CATALOG.level)))
    if is_target:  # of a move: it is empty beside a catalogue, and that is right
        return
    # Originals without a row are swept, and records that are not shown would look lost.
    left = [path for path in (settings.catalog_path, settings.stream_images_dir, settings.own_covers_dir) if _holds(path)]
    if left and not count:
        problem = f"this catalogue is empty, but {left[0]} belongs to another one. Nothing was changed. Use another data folder"
        raise ConfigError(DSN, problem)


def _parsed(dsn: str) -> dict[str, str | int | None]:
    example = "must be a URL such as postgresql://vinylvault@localhost/vinylvault"
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise ConfigError(DSN, example)
    try:
        known = dict(conninfo.conninfo_to_dict(dsn))
    except Error:
        raise ConfigError(DSN, example) from None  # libpq's message has parts of the DSN, perhaps a password
    if known.get("service"):
        raise ConfigError(DSN, example)
    if known.pop("password", None):
        raise ConfigError(DSN, f"must not contain a password; put it in a file and name the file in {PASSWORD}")
    # Said in full, so that no PGHOST, PGHOSTADDR or service of the environment leads elsewhere.
    return {"host": SOCKETS, "hostaddr": "", **known}


def _password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(PASSWORD, f"cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from error


def _is_near(host: str) -> bool:
    """Return True for a socket, and for an address of this machine."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _holds(path: Path) -> bool:
    if path.is_file():
        return path.stat().st_size > 0
    return path.is_dir() and any(found.is_file() and not found.name.startswith(".") for found in path.rglob("*"))
