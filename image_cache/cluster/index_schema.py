"""The half of `index.db` that all nodes share: the register of images, jobs, hosts in trouble, and what covers look like.

It is in a schema beside that of the catalogue, which has the same name with `_covers`: it is disposable, a dump can leave it out,
and its writers do not wait for those of the catalogue. Files, counters and statistics stay in the `index.db` of each node.
"""

from image_cache.db.postgres.cluster_schema import Tables
from image_cache.engine.schema import MIGRATIONS

COVERS = "_covers"  # after the name of the catalogue's schema
FIRST = 4  # of the index's migrations; what a later one changes in a shared table is a script of its own here

# From the index to its shared half, in SQLite's words. Triggers are in those that both understand.
_SHARED_HALF = """
    DROP TABLE entries;
    DROP TABLE counters;
    DROP TABLE samples;
    DROP TABLE hosts;
    DROP TABLE reuse;
    ALTER TABLE images ADD COLUMN stored_at REAL;  -- NULL: the variants are not in the store yet
    ALTER TABLE images ADD COLUMN kept_by TEXT;  -- the process whose node has them on its disk, as long as the store has not
    CREATE INDEX images_kept ON images (kept_by) WHERE stored_at IS NULL AND kept_by IS NOT NULL;

    DROP TRIGGER images_added;
    CREATE TRIGGER images_added AFTER INSERT ON images BEGIN
        INSERT INTO image_totals VALUES (new.namespace, 1, CASE WHEN new.fetched_at IS NULL THEN 0 ELSE 1 END,
            CASE WHEN new.is_final = 1 AND new.fetched_at IS NULL THEN 1 ELSE 0 END)
        ON CONFLICT (namespace) DO UPDATE SET registered = image_totals.registered + excluded.registered,
            fetched = image_totals.fetched + excluded.fetched, given_up = image_totals.given_up + excluded.given_up;
    END;
    DROP TRIGGER images_removed;
    CREATE TRIGGER images_removed AFTER DELETE ON images BEGIN
        UPDATE image_totals SET registered = registered - 1,
            fetched = fetched - CASE WHEN old.fetched_at IS NULL THEN 0 ELSE 1 END,
            given_up = given_up - CASE WHEN old.is_final = 1 AND old.fetched_at IS NULL THEN 1 ELSE 0 END
        WHERE namespace = old.namespace;
    END;
    DROP TRIGGER images_changed;
    CREATE TRIGGER images_changed AFTER UPDATE OF fetched_at, is_final ON images BEGIN
        UPDATE image_totals SET fetched = fetched - CASE WHEN old.fetched_at IS NULL THEN 0 ELSE 1 END
                + CASE WHEN new.fetched_at IS NULL THEN 0 ELSE 1 END,
            given_up = given_up - CASE WHEN old.is_final = 1 AND old.fetched_at IS NULL THEN 1 ELSE 0 END
                + CASE WHEN new.is_final = 1 AND new.fetched_at IS NULL THEN 1 ELSE 0 END
        WHERE namespace = new.namespace;
    END;
    -- What is in the store has the name of the old digest.
    DROP TRIGGER images_moved;
    CREATE TRIGGER images_moved AFTER UPDATE OF digest ON images WHEN new.digest <> old.digest BEGIN
        DELETE FROM looks WHERE digest = old.digest;
        UPDATE images SET stored_at = NULL WHERE digest = new.digest;
    END;
    DROP TRIGGER images_fetched;
    CREATE TRIGGER images_fetched AFTER UPDATE OF fetched_at ON images WHEN new.fetched_at IS NOT NULL BEGIN
        INSERT INTO looks (digest) VALUES (new.digest)
        ON CONFLICT (digest) DO UPDATE SET looked_at = NULL WHERE looks.colours IS NULL;
    END;
    DROP TRIGGER jobs_added;
    CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
        INSERT INTO totals VALUES ('jobs', 1, 0) ON CONFLICT (namespace) DO UPDATE SET entries = totals.entries + 1;
    END;
"""

SCRIPTS: tuple[str, ...] = ()
SHARED_INDEX = Tables((*MIGRATIONS[:FIRST], _SHARED_HALF), SCRIPTS)
