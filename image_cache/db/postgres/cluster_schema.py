"""What belongs into a schema, and the tables beside the catalogue that only PostgreSQL has: nodes and deletions.

Script n is in PostgreSQL's words and runs as number n of its schema, after the tables that SQLite has too; `schema_version` has how
many have run. One that was released is never edited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field

from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.postgres.deletion_schema import LOG
from image_cache.db.postgres.schema import ONE_STEP, schema
from image_cache.frozen import frozen

# The triggers of 0.2.0 count each change of a record; see `schema.ONE_STEP`.
_ONE_STEP = f"""
    DO $$ DECLARE found record; BEGIN
        FOR found IN
            SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE prosrc LIKE '%UPDATE revisions SET value = value + 1%'
            AND prosrc NOT LIKE '%{ONE_STEP}%' AND pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
        LOOP
            EXECUTE replace(replace(found.text,
                'value + 1 WHERE name', 'value + 1 WHERE {ONE_STEP} AND name'), 'value + 1;', 'value + 1 WHERE {ONE_STEP};');
        END LOOP;
    END $$
"""

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
    _ONE_STEP,
)


@frozen
class Tables:
    """What belongs into a schema: the tables that SQLite has after `migrations`, then the scripts.

    `own` has the text for PostgreSQL of a migration that is not translated well, by its number. `oldest_reader` is the lowest level
    whose program works with these tables: the level at which something was taken away, or changed its meaning. `first_version` is the number of migrations that the first release
    with PostgreSQL had: a schema with fewer was not made by us.
    """

    migrations: Sequence[str]
    scripts: Sequence[str]
    own: Mapping[int, str] = field(default_factory=dict)
    oldest_reader: int = 0
    first_version: int = 0

    @property
    def version(self) -> int:
        return len(self.migrations)

    @property
    def level(self) -> int:
        """One number for both lists: each of them only grows."""
        return len(self.migrations) + len(self.scripts)

    def first(self) -> list[str]:
        """Return the statements that make the tables which SQLite has too, their rows included."""
        return schema(self.migrations)


CATALOG = Tables(MIGRATIONS, CATALOG_SCRIPTS, first_version=27)
