"""Scripts of `catalog_schema.MIGRATIONS` about folders of music, and about what random picked."""

MUSIC = """
-- Folders of music on this machine, as the last scan found them. Paths are percent-encoded: their bytes need not be UTF-8.
CREATE TABLE music_roots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,            -- stands in the addresses of pictures
    path TEXT NOT NULL,                   -- as it was named,
    real_path TEXT NOT NULL,              -- and without links
    mounts TEXT NOT NULL DEFAULT '[]',    -- JSON: what was mounted there when it was looked at last
    whole_mounts TEXT NOT NULL DEFAULT '[]',  -- the same, of the last scan that saw all of it
    state TEXT NOT NULL DEFAULT '',       -- new, well, part (some of it is missing), gone
    says TEXT NOT NULL DEFAULT '',        -- one sentence for people
    scanned_at REAL                       -- the end of the last scan that saw all of it
);
CREATE TABLE music_folders (
    id INTEGER PRIMARY KEY,
    root_id INTEGER NOT NULL REFERENCES music_roots ON DELETE CASCADE,
    path TEXT NOT NULL,
    mark BLOB NOT NULL,        -- names, sizes and times of its files
    files INTEGER NOT NULL,
    left_out INTEGER NOT NULL, -- files that are no part of an album
    UNIQUE (root_id, path)
);
CREATE TABLE music_albums (
    album_id INTEGER PRIMARY KEY REFERENCES albums ON DELETE CASCADE,
    folder_id INTEGER NOT NULL REFERENCES music_folders ON DELETE CASCADE
);
CREATE INDEX music_albums_of_folder ON music_albums (folder_id);
"""

SPINS = """
-- What random picked last, over all processes, so that nothing comes up again too soon.
CREATE TABLE spins (id INTEGER PRIMARY KEY AUTOINCREMENT, album_id INTEGER NOT NULL, spun_at REAL NOT NULL);
CREATE INDEX albums_gone ON albums (id) WHERE gone_at IS NOT NULL;
"""
