"""What an operator wants to know of the server with the catalogue: its version, its room, its clock."""

import time

from image_cache.db.postgres.database import PgDatabase
from image_cache.frozen import frozen

_SERVER = (
    "SELECT current_setting('server_version'), (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()),"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    " CAST(current_setting('max_connections') AS bigint) - CAST(current_setting('superuser_reserved_connections') AS bigint),"
    " extract(epoch FROM clock_timestamp())"
)
_SIZES = (
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) ORDER BY 2 DESC, 1"
)


@frozen
class ServerFacts:
    """`schema` is the level of the catalogue's schema, `apart_s` how far this machine's clock is ahead of the server's.

    `sizes` are the tables with their bytes, indexes included, the largest first. `connections` are those of all programs.
    """

    version: str
    schema: int
    has_tls: bool
    connections: int
    max_connections: int
    apart_s: float
    sizes: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.sizes)


def server_facts(catalog: PgDatabase) -> ServerFacts:
    """Ask the server about itself. Raises `DatabaseError`."""
    began = time.time()
    version, has_tls, connections, most, at = catalog.rows(_SERVER)[0]
    middle = (began + time.time()) / 2
    sizes = tuple((str(name), int(size)) for name, size in catalog.rows(_SIZES))
    return ServerFacts(str(version), catalog.level(), bool(has_tls), int(connections), int(most), middle - float(at), sizes)
