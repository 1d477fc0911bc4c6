"""A script of `catalog_schema`: batches and their undo, removed and hidden records, selections, crates."""

HANDS = """
-- What was done to many records at once, merged, removed or imported: undone as one, for 30 days.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('edit', 'remove', 'merge', 'import')),
    words TEXT NOT NULL,                  -- what was done, a sentence for people
    made_at REAL NOT NULL,
    account_id INTEGER REFERENCES accounts ON DELETE SET NULL,
    added INTEGER NOT NULL DEFAULT 0,     -- records, of an import
    changed INTEGER NOT NULL DEFAULT 0,
    first_id INTEGER,                     -- what an import added has ids from here
    last_id INTEGER,                      -- to here, among others
    task_id INTEGER,
    undone_at REAL,
    outcome TEXT NOT NULL DEFAULT ''      -- what came of the undo, a sentence for people
);
CREATE UNIQUE INDEX batches_of_task ON batches (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX batches_of_account ON batches (account_id) WHERE account_id IS NOT NULL;

-- What a batch changed of a record: JSON, the field to [before, after].
CREATE TABLE batch_changes (
    batch_id INTEGER NOT NULL REFERENCES batches ON DELETE CASCADE,
    album_id INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (batch_id, album_id)
) WITHOUT ROWID;
ALTER TABLE record_changes ADD COLUMN batch_id INTEGER;
CREATE INDEX record_changes_of_batch ON record_changes (batch_id) WHERE batch_id IS NOT NULL;

-- Records that were removed and can be put back: their rows, as compressed JSON.
CREATE TABLE removed_records (
    album_id INTEGER PRIMARY KEY,
    batch_id INTEGER NOT NULL REFERENCES batches ON DELETE CASCADE,
    body BLOB NOT NULL
);
CREATE INDEX removed_records_of_batch ON removed_records (batch_id);
CREATE TABLE removed_files (  -- their own covers and further images, which stay on the disk as long as a record can be put back
    album_id INTEGER NOT NULL REFERENCES removed_records ON DELETE CASCADE,
    address TEXT NOT NULL
);
CREATE INDEX removed_files_of_record ON removed_files (album_id);
CREATE INDEX removed_files_by_address ON removed_files (address);

-- The import that added a record, and whether a person has changed it since.
ALTER TABLE albums ADD COLUMN import_id INTEGER;
ALTER TABLE albums ADD COLUMN is_touched INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER albums_touched AFTER UPDATE OF own_rating, own_notes, own_cover, source_values ON albums
WHEN NEW.import_id IS NOT NULL AND NOT NEW.is_touched BEGIN
    UPDATE albums SET is_touched = 1 WHERE id = NEW.id;
END;

-- Records that no import brings back.
CREATE TABLE hidden_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    album_id INTEGER NOT NULL,            -- as it was
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,
    instance_id TEXT NOT NULL DEFAULT '',
    artist TEXT NOT NULL,
    title TEXT NOT NULL,
    artist_sort TEXT NOT NULL,
    title_sort TEXT NOT NULL,
    hidden_at REAL NOT NULL
);
CREATE UNIQUE INDEX hidden_records_of_source ON hidden_records (source, source_id);

-- Which records a person has selected; each step makes a new one, so that Back leads to the one before.
CREATE TABLE selections (id INTEGER PRIMARY KEY AUTOINCREMENT, ids TEXT NOT NULL, address TEXT NOT NULL, made_at REAL NOT NULL);
INSERT INTO sqlite_sequence (name, seq) VALUES ('selections', 1);  -- in an address, 1 begins a selection

CREATE TABLE crates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    is_public INTEGER NOT NULL DEFAULT 0,  -- visitors see it as well
    made_at REAL NOT NULL
);
CREATE TABLE crate_records (
    crate_id INTEGER NOT NULL REFERENCES crates ON DELETE CASCADE,
    album_id INTEGER NOT NULL REFERENCES albums ON DELETE CASCADE,
    place INTEGER NOT NULL,
    PRIMARY KEY (crate_id, album_id)
) WITHOUT ROWID;
CREATE INDEX crate_records_of_album ON crate_records (album_id);
"""
