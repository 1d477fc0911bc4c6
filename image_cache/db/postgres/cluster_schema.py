"""What belongs into a schema, and the tables beside the catalogue that only PostgreSQL has: nodes and deletions.

Script n is in PostgreSQL's words and runs as number n of its schema, after the tables that SQLite has too; `schema_version` has how
many have run. One that was released is never edited.
"""

from collections.abc import Sequence

from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.postgres.deletion_schema import LOG
from image_cache.db.postgres.schema import schema
from image_cache.frozen import frozen

CATALOG_SCRIPTS: tuple[str, ...] = (
    """
    -- Who serves this catalogue, and until when it was heard of: Unix seconds by the clock of this server. `deleted_seq` is the
    -- last deletion that the node has carried out.
    CREATE TABLE nodes (
        name text COLLATE "C" PRIMARY KEY,
        boot text COLLATE "C" NOT NULL,
        version text COLLATE "C" NOT NULL,
        schema bigint NOT NULL,
        started_at double precision NOT NULL,
        seen_at double precision NOT NULL,
        deleted_seq bigint NOT NULL DEFAULT 0
    );
    -- What every node has to delete from its own disk, in order.
    CREATE TABLE deletions (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        at double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp())
    );
    """,
    LOG,
)


@frozen
class Tables:
    """What belongs into a schema: the tables that SQLite has after `migrations`, then the scripts."""

    migrations: Sequence[str]
    scripts: Sequence[str]

    @property
    def version(self) -> int:
        return len(self.migrations)

    def first(self) -> list[str]:
        """Return the statements that make the tables which SQLite has too, their rows included."""
        return schema(self.migrations)


CATALOG = Tables(MIGRATIONS, CATALOG_SCRIPTS)
