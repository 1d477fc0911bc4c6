"""Makes a process one of a made-up next version, whose catalogue has one more migration. For nodes that tests start."""

import os

if os.environ.get("VINYLVAULT_TEST_NEXT"):
    from image_cache.db import catalog_schema

    catalog_schema.MIGRATIONS = (
        *catalog_schema.MIGRATIONS,
        """
        ALTER TABLE albums ADD COLUMN lent_to TEXT NOT NULL DEFAULT '';
        ALTER TABLE tasks ADD COLUMN note TEXT NOT NULL DEFAULT '';
        CREATE TABLE loans (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            album_id INTEGER NOT NULL REFERENCES albums ON DELETE CASCADE,
            person TEXT NOT NULL
        );
        CREATE INDEX loans_of_album ON loans (album_id);
        """,
    )
