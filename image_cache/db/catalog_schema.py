"""The schema of `catalog.db`: script n takes it from version n to n + 1. A script that was released is never edited."""

from image_cache.db.operator_schema import ACTIONS, ALERTS
from image_cache.db.play_schema import PLAY_IMPORTS, SCROBBLING
from image_cache.db.record_schema import BATCHES, COPIES, KEEPING, RECORD_IMAGES, VALUES, WANTS
from image_cache.db.stream_schema import REPEATS, SHARES, SPACE, TRASH

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


ALBUMS = """
CREATE TABLE albums (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- an id is an address that people keep: never given to another record
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,
    title TEXT NOT NULL,
    artist TEXT NOT NULL,
    title_sort TEXT NOT NULL,
    artist_sort TEXT NOT NULL,
    year INTEGER,
    genres TEXT NOT NULL DEFAULT '[]',
    styles TEXT NOT NULL DEFAULT '[]',
    formats TEXT NOT NULL DEFAULT '[]',
    label TEXT NOT NULL DEFAULT '',
    catno TEXT NOT NULL DEFAULT '',
    rating INTEGER,        -- what the table says
    own_rating INTEGER,    -- what was said here; wins, and no import touches it
    media_condition TEXT NOT NULL DEFAULT '',
    sleeve_condition TEXT NOT NULL DEFAULT '',
    notes TEXT NOT NULL DEFAULT '',
    cover_url TEXT,
    tracks TEXT NOT NULL DEFAULT '[]',     -- [[position, title, seconds or null], ...]
    folded TEXT NOT NULL DEFAULT '',       -- spellings that the full-text tokenizer does not fold itself (lodz for Łódź)
    added_at REAL NOT NULL,
    plays INTEGER NOT NULL DEFAULT 0,
    last_played_at REAL,
    UNIQUE (source, source_id)
);
CREATE INDEX albums_by_artist ON albums (artist_sort, coalesce(year, 9999), title_sort, id);
CREATE INDEX albums_by_title ON albums (title_sort, artist_sort, id);
CREATE INDEX albums_by_year ON albums (year);

CREATE TABLE plays (
    id INTEGER PRIMARY KEY,
    album_id INTEGER NOT NULL REFERENCES albums ON DELETE CASCADE,
    played_at REAL NOT NULL
);
CREATE INDEX plays_of_album ON plays (album_id, id);

-- What the wall is filtered by, one row a value.
CREATE TABLE facets (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    album_id INTEGER NOT NULL REFERENCES albums ON DELETE CASCADE,
    PRIMARY KEY (kind, value, album_id)
) WITHOUT ROWID;
CREATE INDEX facets_of_album ON facets (album_id);

-- Two counters that go up with every change, so that what was worked out from the albums knows when it is old.
-- Playing a record has its own: it moves nothing but the order by plays.
CREATE TABLE revisions (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO revisions VALUES ('albums', 0), ('plays', 0);

-- Contentless: the text is in `albums` already. Deleting needs the very text that was inserted, hence the twin SELECTs.
CREATE VIRTUAL TABLE words USING fts5(
    title, artist, label, tracks, notes, folded,
    content='', columnsize=0, prefix='1 2', tokenize='unicode61 remove_diacritics 2'
);

CREATE TRIGGER albums_inserted AFTER INSERT ON albums BEGIN
    UPDATE revisions SET value = value + 1;
    INSERT OR IGNORE INTO facets SELECT 'genre', value, NEW.id FROM json_each(NEW.genres);
    INSERT OR IGNORE INTO facets SELECT 'format', value, NEW.id FROM json_each(NEW.formats);
    INSERT INTO words (rowid, title, artist, label, tracks, notes, folded) VALUES (
        NEW.id, NEW.title, NEW.artist, NEW.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(NEW.tracks)), NEW.notes, NEW.folded);
END;

CREATE TRIGGER albums_deleted AFTER DELETE ON albums BEGIN
    UPDATE revisions SET value = value + 1;
    INSERT INTO words (words, rowid, title, artist, label, tracks, notes, folded) VALUES (
        'delete', OLD.id, OLD.title, OLD.artist, OLD.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(OLD.tracks)), OLD.notes, OLD.folded);
END;

CREATE TRIGGER albums_moved AFTER UPDATE OF title_sort, artist_sort, year, genres, formats, added_at ON albums BEGIN
    UPDATE revisions SET value = value + 1;
    DELETE FROM facets WHERE album_id = OLD.id;
    INSERT OR IGNORE INTO facets SELECT 'genre', value, NEW.id FROM json_each(NEW.genres);
    INSERT OR IGNORE INTO facets SELECT 'format', value, NEW.id FROM json_each(NEW.formats);
END;

CREATE TRIGGER albums_reworded AFTER UPDATE OF title, artist, label, tracks, notes, folded ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'albums';
    INSERT INTO words (words, rowid, title, artist, label, tracks, notes, folded) VALUES (
        'delete', OLD.id, OLD.title, OLD.artist, OLD.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(OLD.tracks)), OLD.notes, OLD.folded);
    INSERT INTO words (rowid, title, artist, label, tracks, notes, folded) VALUES (
        NEW.id, NEW.title, NEW.artist, NEW.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(NEW.tracks)), NEW.notes, NEW.folded);
END;

CREATE TRIGGER albums_played AFTER UPDATE OF plays, last_played_at ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'plays';
END;
"""

ACCOUNTS = """
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,  -- case folded: "Ida" and "ida" are one account
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('operator', 'owner')),
    created_at REAL NOT NULL
);

-- Only the hash of a token: a copy of this file lets nobody in.
CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at REAL NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_of_account ON sessions (account_id);

CREATE TABLE tries (who BLOB PRIMARY KEY, used INTEGER NOT NULL, last_at REAL NOT NULL) WITHOUT ROWID;

CREATE TABLE setup (code TEXT NOT NULL);  -- one row until the machine has its operator
"""

STREAMS = """
-- A third role: somebody who was invited to a stream. SQLite cannot change a CHECK, so the table is made anew; its sessions
-- wait outside, because dropping a parent takes its children along.
CREATE TEMP TABLE waiting_sessions AS SELECT * FROM sessions;
CREATE TABLE accounts_anew (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('operator', 'owner', 'viewer')),
    created_at REAL NOT NULL
);
INSERT INTO accounts_anew SELECT * FROM accounts;
DROP TABLE accounts;
ALTER TABLE accounts_anew RENAME TO accounts;
INSERT INTO sessions SELECT * FROM waiting_sessions;
DROP TABLE waiting_sessions;

CREATE TABLE streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    visibility TEXT NOT NULL CHECK (visibility IN ('public', 'private', 'subscribers')),  -- of new images
    owner_id INTEGER REFERENCES accounts ON DELETE SET NULL,
    created_at REAL NOT NULL
);

CREATE TABLE stream_people (
    stream_id INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('co-owner', 'subscriber')),
    added_at REAL NOT NULL,
    PRIMARY KEY (stream_id, account_id)
) WITHOUT ROWID;
CREATE INDEX stream_people_by_account ON stream_people (account_id);

CREATE TABLE stream_images (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,  -- random, 128 bits
    stream_id INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
    filename TEXT NOT NULL,
    file_path TEXT NOT NULL,
    visibility TEXT NOT NULL CHECK (visibility IN ('public', 'private', 'subscribers')),
    title TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    folded TEXT NOT NULL DEFAULT '',
    is_sensitive INTEGER NOT NULL DEFAULT 0,
    position INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    format TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    average TEXT,
    created_at REAL NOT NULL,
    view_count INTEGER NOT NULL DEFAULT 0,
    last_viewed_at REAL,
    UNIQUE (stream_id, sha256)
);
CREATE INDEX stream_images_in_order ON stream_images (stream_id, position, number);

CREATE TABLE image_views (
    image_number INTEGER NOT NULL REFERENCES stream_images ON DELETE CASCADE,
    day TEXT NOT NULL,
    views INTEGER NOT NULL,
    PRIMARY KEY (image_number, day)
) WITHOUT ROWID;

-- Originals that may lie in the storage without an image: uploads under way, and what is deleted but not gone yet.
CREATE TABLE stray_originals (
    file_path TEXT PRIMARY KEY,
    image_id TEXT NOT NULL,
    since REAL NOT NULL
) WITHOUT ROWID;

-- Only the hash of a link: a copy of this file lets nobody in.
CREATE TABLE invitations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL UNIQUE,
    stream_id INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('co-owner', 'subscriber')),
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    uses_left INTEGER NOT NULL
);

CREATE VIRTUAL TABLE image_words USING fts5(
    title, description, folded, content='', columnsize=0, prefix='1 2', tokenize='unicode61 remove_diacritics 2'
);
INSERT INTO revisions VALUES ('streams', 0);  -- so that every process knows when what it counted is old
CREATE TRIGGER stream_images_changed AFTER UPDATE OF visibility ON stream_images BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'streams';
END;
CREATE TRIGGER stream_images_inserted AFTER INSERT ON stream_images BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'streams';
    INSERT INTO image_words (rowid, title, description, folded) VALUES (NEW.number, NEW.title, NEW.description, NEW.folded);
END;
CREATE TRIGGER stream_images_deleted AFTER DELETE ON stream_images BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'streams';
    INSERT INTO image_words (image_words, rowid, title, description, folded)
        VALUES ('delete', OLD.number, OLD.title, OLD.description, OLD.folded);
END;
CREATE TRIGGER stream_images_reworded AFTER UPDATE OF title, description, folded ON stream_images BEGIN
    INSERT INTO image_words (image_words, rowid, title, description, folded)
        VALUES ('delete', OLD.number, OLD.title, OLD.description, OLD.folded);
    INSERT INTO image_words (rowid, title, description, folded) VALUES (NEW.number, NEW.title, NEW.description, NEW.folded);
END;
"""

SETTINGS = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;  -- what operators change on a page
"""

SOURCES = """
ALTER TABLE albums ADD COLUMN instance_id TEXT NOT NULL DEFAULT '';  -- which copy of a release, where the source tells copies apart
ALTER TABLE albums ADD COLUMN barcode TEXT NOT NULL DEFAULT '';      -- digits only
ALTER TABLE albums ADD COLUMN mbid TEXT NOT NULL DEFAULT '';         -- of the release at MusicBrainz
ALTER TABLE albums ADD COLUMN own_notes TEXT NOT NULL DEFAULT '';    -- written here; no import touches them
ALTER TABLE albums ADD COLUMN own_cover TEXT;      -- chosen or uploaded here; wins, and no import touches it
ALTER TABLE albums ADD COLUMN found_cover TEXT;    -- looked up elsewhere, because the source has none
ALTER TABLE albums ADD COLUMN refused_cover TEXT;  -- the source's address, when what it leads to is no cover
ALTER TABLE albums ADD COLUMN seen_at REAL;        -- when its source showed it last
ALTER TABLE albums ADD COLUMN gone_at REAL;        -- when its source was seen without it; never deleted for that
ALTER TABLE albums ADD COLUMN detailed_at REAL;    -- when its source was asked for the tracks
-- The address of the picture that is shown.
ALTER TABLE albums ADD COLUMN picture TEXT AS (coalesce(own_cover, nullif(cover_url, refused_cover), found_cover)) VIRTUAL;
CREATE INDEX albums_bare ON albums (id) WHERE picture IS NULL;
CREATE INDEX albums_of_instance ON albums (source, instance_id) WHERE instance_id <> '';

DROP TRIGGER albums_inserted;
CREATE TRIGGER albums_inserted AFTER INSERT ON albums BEGIN
    UPDATE revisions SET value = value + 1;
    INSERT OR IGNORE INTO facets SELECT 'genre', value, NEW.id FROM json_each(NEW.genres);
    INSERT OR IGNORE INTO facets SELECT 'format', value, NEW.id FROM json_each(NEW.formats);
    INSERT INTO words (rowid, title, artist, label, tracks, notes, folded) VALUES (
        NEW.id, NEW.title, NEW.artist, NEW.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(NEW.tracks)),
        NEW.notes || ' ' || NEW.own_notes, NEW.folded);
END;
DROP TRIGGER albums_deleted;
CREATE TRIGGER albums_deleted AFTER DELETE ON albums BEGIN
    UPDATE revisions SET value = value + 1;
    INSERT INTO words (words, rowid, title, artist, label, tracks, notes, folded) VALUES (
        'delete', OLD.id, OLD.title, OLD.artist, OLD.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(OLD.tracks)),
        OLD.notes || ' ' || OLD.own_notes, OLD.folded);
END;
DROP TRIGGER albums_reworded;
CREATE TRIGGER albums_reworded AFTER UPDATE OF title, artist, label, tracks, notes, own_notes, folded ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'albums';
    INSERT INTO words (words, rowid, title, artist, label, tracks, notes, folded) VALUES (
        'delete', OLD.id, OLD.title, OLD.artist, OLD.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(OLD.tracks)),
        OLD.notes || ' ' || OLD.own_notes, OLD.folded);
    INSERT INTO words (rowid, title, artist, label, tracks, notes, folded) VALUES (
        NEW.id, NEW.title, NEW.artist, NEW.label,
        (SELECT group_concat(json_extract(value, '$[1]'), ' ') FROM json_each(NEW.tracks)),
        NEW.notes || ' ' || NEW.own_notes, NEW.folded);
END;

-- What takes longer than a request: a sync, a scan, a large table. One of a kind runs at a time.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    wanted TEXT NOT NULL,                 -- JSON: what to do
    position TEXT NOT NULL DEFAULT '{}',  -- JSON: where it goes on after a stop
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER,                        -- NULL: not known yet
    says TEXT NOT NULL DEFAULT '',        -- one sentence for people: what it does, or why it failed
    paused_until REAL,
    outcome TEXT NOT NULL DEFAULT '{}',   -- JSON: what came of it
    is_cancelled INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX tasks_open ON tasks (kind) WHERE state IN ('waiting', 'running');
"""

COVERS = """
-- What was done to find a cover: for each record that was looked at, when, how, and what there is to choose from.
CREATE TABLE cover_tries (
    album_id INTEGER PRIMARY KEY REFERENCES albums ON DELETE CASCADE,
    tried_at REAL,                           -- NULL: asked for and not tried yet
    next_at REAL NOT NULL,                   -- 0: somebody asked for it, also for a record that has a picture
    way TEXT NOT NULL DEFAULT '',            -- which way found one
    reason TEXT NOT NULL DEFAULT '',         -- a sentence when none was found
    candidates TEXT NOT NULL DEFAULT '[]',   -- JSON: [{url, says, way}]
    refused TEXT NOT NULL DEFAULT '[]'       -- JSON: addresses that led to nothing, or to no cover
);
CREATE INDEX cover_tries_asked ON cover_tries (album_id) WHERE next_at = 0;

INSERT INTO revisions VALUES ('pictures', 0);  -- so that what was worked out from the pictures knows when it is old
CREATE TRIGGER albums_pictured AFTER UPDATE OF cover_url, own_cover, found_cover, refused_cover ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'pictures';
END;
"""

DISCOGS = """
-- Services that are asked for data: how fast, what came of it, on whose behalf. One row a service.
CREATE TABLE services (
    name TEXT PRIMARY KEY,
    calls TEXT NOT NULL DEFAULT '[]',        -- JSON: when we asked, Unix seconds, oldest first, of the last window only
    others REAL NOT NULL DEFAULT 0,          -- calls in that window that are not ours, as the service counted them
    others_at REAL NOT NULL DEFAULT 0,
    cap INTEGER,                             -- what the service said it allows, less a margin
    paused_until REAL NOT NULL DEFAULT 0,
    account TEXT NOT NULL DEFAULT '',
    items INTEGER,                           -- how many records it has for that account
    contact_at REAL,                         -- the last good answer
    pass_at REAL,                            -- the last time that all of it was read
    failed_at REAL,
    fault TEXT NOT NULL DEFAULT '',          -- why the last call failed: away, refused, trouble; '' when it did not
    says TEXT NOT NULL DEFAULT ''            -- the same for people
) WITHOUT ROWID;

-- Which copies a pass through a collection has shown so far; what is not among them at its end is gone.
CREATE TABLE sync_seen (source TEXT NOT NULL, instance_id TEXT NOT NULL, PRIMARY KEY (source, instance_id)) WITHOUT ROWID;

-- Records that somebody opened before their tracks were known; the newest is asked for first.
CREATE TABLE detail_wishes (
    album_id INTEGER PRIMARY KEY REFERENCES albums ON DELETE CASCADE,
    asked_at REAL NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at REAL NOT NULL DEFAULT 0
);
"""

HOUSEHOLD = """
-- A fourth role. SQLite cannot change a CHECK, but a column takes its own CHECK along when it goes.
ALTER TABLE accounts ADD COLUMN role_of_four TEXT NOT NULL DEFAULT 'viewer'
    CHECK (role_of_four IN ('operator', 'owner', 'member', 'viewer'));
UPDATE accounts SET role_of_four = role;
ALTER TABLE accounts DROP COLUMN role;
ALTER TABLE accounts RENAME COLUMN role_of_four TO role;

ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT '';  -- "Firefox on Android", as the browser said at the login

-- Links that make an account, or with `account_id` give an existing one a new password. Only the hash of a link is kept.
CREATE TABLE account_links (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('operator', 'owner', 'member', 'viewer')),
    account_id INTEGER REFERENCES accounts ON DELETE CASCADE,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
);
"""

SEARCH = """
-- The search by tiers. What stands in these tables is made by image_cache.records.search.rules: a trigger could not.
-- `words` is contentless: the text is in `albums` already, and deleting needs the very text that was inserted.
DROP TRIGGER albums_inserted;
DROP TRIGGER albums_deleted;
DROP TRIGGER albums_reworded;
DROP TABLE words;
CREATE VIRTUAL TABLE words USING fts5(
    names, facts, tracks, notes, content='', columnsize=0, prefix='1 2', tokenize='unicode61 remove_diacritics 2'
);
-- What a record is found by as a whole, or by its beginning: names and numbers without gaps.
CREATE TABLE keys (kind TEXT, key TEXT, album_id INTEGER, PRIMARY KEY (kind, key, album_id)) WITHOUT ROWID;
-- The words that a slip may have been meant as; backwards as well, because a slip leaves one half of a word whole.
CREATE TABLE vocabulary (term TEXT PRIMARY KEY, backwards TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX vocabulary_backwards ON vocabulary (backwards);
-- One row: the rules that the three were made by, and the last album that is in them. Later ones are added in the background.
CREATE TABLE search_index (rules INTEGER NOT NULL, upto INTEGER NOT NULL);
INSERT INTO search_index VALUES (0, 0);

CREATE TRIGGER albums_inserted AFTER INSERT ON albums BEGIN
    UPDATE revisions SET value = value + 1;
    INSERT OR IGNORE INTO facets SELECT 'genre', value, NEW.id FROM json_each(NEW.genres);
    INSERT OR IGNORE INTO facets SELECT 'format', value, NEW.id FROM json_each(NEW.formats);
END;
-- Records at Discogs whose tracks are unknown: looked for every minute.
CREATE INDEX albums_untracked ON albums (id) WHERE source = 'discogs' AND detailed_at IS NULL AND gone_at IS NULL;

-- Walls with their filters and order, under a name. Without an account everyone sees it.
CREATE TABLE saved_views (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER REFERENCES accounts ON DELETE CASCADE,
    name TEXT NOT NULL,
    address TEXT NOT NULL,  -- the query of its URL
    created_at REAL NOT NULL
);
CREATE TRIGGER saved_views_inserted AFTER INSERT ON saved_views BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'views';
END;
CREATE TRIGGER saved_views_deleted AFTER DELETE ON saved_views BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'views';
END;
INSERT INTO revisions VALUES ('ratings', 0), ('views', 0);
CREATE TRIGGER albums_rated AFTER UPDATE OF rating, own_rating ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'ratings';
END;
CREATE TRIGGER albums_deleted AFTER DELETE ON albums BEGIN
    UPDATE revisions SET value = value + 1;
END;
DROP TRIGGER albums_moved;
CREATE TRIGGER albums_moved AFTER UPDATE OF title_sort, artist_sort, year, genres, formats, added_at, media_condition ON albums BEGIN
    UPDATE revisions SET value = value + 1;
END;
CREATE TRIGGER albums_regrouped AFTER UPDATE OF genres, formats ON albums BEGIN
    DELETE FROM facets WHERE album_id = OLD.id;
    INSERT OR IGNORE INTO facets SELECT 'genre', value, NEW.id FROM json_each(NEW.genres);
    INSERT OR IGNORE INTO facets SELECT 'format', value, NEW.id FROM json_each(NEW.formats);
END;
CREATE TRIGGER albums_reworded AFTER UPDATE OF title, artist, label, catno, styles, barcode, source_id, tracks, notes, own_notes ON albums BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'albums';
END;
"""

TURNTABLE = """
-- Which sides were heard, one a line, and who played them: NULL for a guest at home, and for plays from before.
ALTER TABLE plays ADD COLUMN sides TEXT NOT NULL DEFAULT '';
ALTER TABLE plays ADD COLUMN account_id INTEGER REFERENCES accounts ON DELETE SET NULL;
CREATE INDEX plays_in_time ON plays (played_at, id);
CREATE INDEX plays_of_account ON plays (account_id) WHERE account_id IS NOT NULL;

-- One row: the side that plays, for every device that looks. `album_id` is 0 while nothing does.
CREATE TABLE now_playing (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL DEFAULT 0,
    album_id INTEGER NOT NULL DEFAULT 0,
    side TEXT NOT NULL DEFAULT '',
    started_at REAL NOT NULL DEFAULT 0,
    length_s INTEGER,
    play_id INTEGER,
    is_counted INTEGER NOT NULL DEFAULT 0,
    account_id INTEGER
);
INSERT INTO now_playing (id) VALUES (1);
"""

OWN_VALUES = """
-- JSON: what the source says of the fields that a person typed over. Their columns in this row have what was typed.
ALTER TABLE albums ADD COLUMN source_values TEXT NOT NULL DEFAULT '';
CREATE INDEX albums_of_barcode ON albums (barcode) WHERE barcode <> '';

CREATE TABLE record_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    album_id INTEGER NOT NULL REFERENCES albums ON DELETE CASCADE,
    field TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    changed_at REAL NOT NULL,
    account_id INTEGER REFERENCES accounts ON DELETE SET NULL
);
CREATE INDEX record_changes_of_album ON record_changes (album_id, id);
CREATE INDEX record_changes_of_account ON record_changes (account_id) WHERE account_id IS NOT NULL;
"""

MIGRATIONS = (
    ALBUMS,
    ACCOUNTS,
    STREAMS,
    SETTINGS,
    SOURCES,
    COVERS,
    DISCOGS,
    MUSIC,
    SPINS,
    HOUSEHOLD,
    SEARCH,
    TURNTABLE,
    OWN_VALUES,
    TRASH,
    SHARES,
    BATCHES,
    KEEPING,
    WANTS,
    VALUES,
    SCROBBLING,
    PLAY_IMPORTS,
    RECORD_IMAGES,
    ALERTS,
    ACTIONS,
    COPIES,
    SPACE,
    REPEATS,
)
