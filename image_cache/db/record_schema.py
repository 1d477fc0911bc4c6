"""Later migrations of `catalog.db` for records: changes that can be undone, what is kept of a record, the wantlist, further images."""

BATCHES = """
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

-- The import that added a record, and whether its notes were written since.
ALTER TABLE albums ADD COLUMN import_id INTEGER;
ALTER TABLE albums ADD COLUMN is_touched INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER albums_touched AFTER UPDATE OF own_notes ON albums WHEN NEW.import_id IS NOT NULL AND NOT NEW.is_touched BEGIN
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

KEEPING = """
-- Where a record stands, what was paid for it (an amount and a currency: 12.50 EUR) and when (2024-05-31, 2024-05 or 2024).
ALTER TABLE albums ADD COLUMN shelf TEXT NOT NULL DEFAULT '';
ALTER TABLE albums ADD COLUMN price TEXT NOT NULL DEFAULT '';
ALTER TABLE albums ADD COLUMN bought TEXT NOT NULL DEFAULT '';
DROP TRIGGER albums_moved;
CREATE TRIGGER albums_moved
AFTER UPDATE OF title_sort, artist_sort, year, genres, formats, added_at, media_condition, shelf, price ON albums BEGIN
    UPDATE revisions SET value = value + 1;
END;
"""

WANTS = """
-- Records that someone wants and does not have. They are no albums: nothing that counts the collection sees them.
CREATE TABLE wants (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,
    artist TEXT NOT NULL,
    title TEXT NOT NULL,
    artist_sort TEXT NOT NULL,
    title_sort TEXT NOT NULL,
    year INTEGER,
    label TEXT NOT NULL DEFAULT '',
    catno TEXT NOT NULL DEFAULT '',
    formats TEXT NOT NULL DEFAULT '[]',
    genres TEXT NOT NULL DEFAULT '[]',
    barcode TEXT NOT NULL DEFAULT '',
    cover_url TEXT,
    notes TEXT NOT NULL DEFAULT '',          -- written here
    source_notes TEXT NOT NULL DEFAULT '',
    is_listed INTEGER NOT NULL DEFAULT 0,    -- it stands on a wantlist at its source
    state TEXT NOT NULL CHECK (state IN ('wanted', 'bought', 'hidden')),
    added_at REAL NOT NULL,
    changed_at REAL NOT NULL,                -- the state
    album_id INTEGER REFERENCES albums ON DELETE SET NULL,  -- the record that it became
    name_key TEXT NOT NULL,                  -- what all pressings have in common
    catno_key TEXT NOT NULL,
    words TEXT NOT NULL,                     -- what it is found by
    UNIQUE (source, source_id)
);
CREATE INDEX wants_by_name ON wants (name_key);
CREATE INDEX wants_by_barcode ON wants (barcode) WHERE barcode <> '';
CREATE INDEX wants_of_album ON wants (album_id) WHERE album_id IS NOT NULL;
"""

VALUES = """
-- What a marketplace asks for a record (an amount and a currency), where that is from, and when it said so.
ALTER TABLE albums ADD COLUMN value TEXT NOT NULL DEFAULT '';
ALTER TABLE albums ADD COLUMN value_from TEXT NOT NULL DEFAULT '';
ALTER TABLE albums ADD COLUMN valued_at REAL;
CREATE INDEX albums_by_valuation ON albums (coalesce(valued_at, 0), id) WHERE source = 'discogs' AND gone_at IS NULL;
INSERT INTO revisions VALUES ('values', 0);
CREATE TRIGGER albums_valued AFTER UPDATE OF value ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'values';
END;
"""

RECORD_IMAGES = """
-- Further images of a record: back, inner sleeve, label. Their files are stored as uploaded covers are.
CREATE TABLE record_images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    album_id INTEGER NOT NULL REFERENCES albums ON DELETE CASCADE,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    place INTEGER NOT NULL,
    UNIQUE (album_id, address)
);
CREATE INDEX record_images_of_file ON record_images (address);
"""

COPIES = """
-- Records that a person has said are copies of one another: all with the same number. They are not offered as the same again.
CREATE TABLE record_copies (
    album_id INTEGER PRIMARY KEY REFERENCES albums ON DELETE CASCADE,
    group_id INTEGER NOT NULL
);
CREATE INDEX record_copies_of_group ON record_copies (group_id);
"""
