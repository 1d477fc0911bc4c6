"""Later migrations of `catalog.db` for streams: the trash, links, images of visitors, API tokens."""

TRASH = """
ALTER TABLE stream_images ADD COLUMN taken_at TEXT NOT NULL DEFAULT '';     -- ISO 8601 by the clock of the camera; nothing of the place
ALTER TABLE streams ADD COLUMN shows_taken INTEGER NOT NULL DEFAULT 0;      -- 1: also those who do not edit it see when
ALTER TABLE streams ADD COLUMN event_date TEXT NOT NULL DEFAULT '';         -- a date, or words such as "every Thursday"
ALTER TABLE streams ADD COLUMN cover_id TEXT NOT NULL DEFAULT '';           -- an image of the stream, '': the first one that a viewer sees

-- What was moved to the trash. These are tables of their own, so that no query of streams or images finds it by mistake.
CREATE TABLE trashed_streams (
    id INTEGER PRIMARY KEY,               -- as in `streams`, where it is free until then: numbers are not given out twice
    slug TEXT NOT NULL UNIQUE,
    owner_id INTEGER REFERENCES accounts ON DELETE SET NULL,
    facts TEXT NOT NULL,                  -- JSON: its row
    people TEXT NOT NULL,                 -- JSON: [[account id, role, added at], ...]
    trashed_at REAL NOT NULL
);
CREATE INDEX trashed_streams_by_owner ON trashed_streams (owner_id);
CREATE TABLE trashed_images (
    id TEXT PRIMARY KEY,
    stream_id INTEGER NOT NULL,           -- of a stream, or of one that is in the trash itself
    file_path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    facts TEXT NOT NULL,                  -- JSON: the rest of its row
    views TEXT NOT NULL,                  -- JSON: [[day, views], ...]
    trashed_at REAL NOT NULL,
    is_with_stream INTEGER NOT NULL       -- 1: it came with its stream, and goes back with it
);
CREATE INDEX trashed_images_of_stream ON trashed_images (stream_id, trashed_at);
CREATE INDEX trashed_images_in_time ON trashed_images (trashed_at);

-- The last change of many images that an account can take back, and what was there before.
CREATE TABLE stream_undos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL UNIQUE REFERENCES accounts ON DELETE CASCADE,
    action TEXT NOT NULL,
    before TEXT NOT NULL,                 -- JSON: what the action needs to be taken back
    failed TEXT NOT NULL,                 -- JSON: {image id: reason}
    created_at REAL NOT NULL
);
CREATE TRIGGER stream_images_moved AFTER UPDATE OF stream_id ON stream_images BEGIN
    UPDATE revisions SET value = value + 1 WHERE name = 'streams';
END;
"""

SPACE = """
-- How many bytes the streams of an account may hold, where that is not as set for everyone. NULL: no limit.
CREATE TABLE stream_quotas (
    account_id INTEGER PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    limit_bytes INTEGER
);
ALTER TABLE stream_images ADD COLUMN duration_s REAL;                  -- of a video, NULL: an image
ALTER TABLE stream_images ADD COLUMN mask TEXT NOT NULL DEFAULT '';     -- of a video: what viewers get zeros for, see `imaging.mp4`
CREATE INDEX streams_by_owner ON streams (owner_id);
"""

SHARES = """
-- Links to a stream, or to chosen images of it, for visitors without an account. Only the hash of a link is stored.
CREATE TABLE shares (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL UNIQUE,
    stream_id INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,  -- who made it; a link ends with the account
    name TEXT NOT NULL DEFAULT '',
    password_hash TEXT NOT NULL DEFAULT '',
    is_selection INTEGER NOT NULL DEFAULT 0,
    may_download INTEGER NOT NULL DEFAULT 1,
    may_upload INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    expires_at REAL,   -- NULL: never
    revoked_at REAL,
    opens INTEGER NOT NULL DEFAULT 0,
    opened_at REAL
);
CREATE INDEX shares_of_stream ON shares (stream_id);
CREATE INDEX shares_of_account ON shares (account_id);

CREATE TABLE share_images (
    share_id INTEGER NOT NULL REFERENCES shares ON DELETE CASCADE,
    image_id TEXT NOT NULL,        -- of an image, or of one in the trash, which is shown again when it is restored
    was_private INTEGER NOT NULL,  -- chosen although it was private; one that becomes private later is not shown
    PRIMARY KEY (share_id, image_id)
) WITHOUT ROWID;
CREATE INDEX share_images_of_image ON share_images (image_id);

-- Images that visitors sent through a link. They are private until an owner approves them.
CREATE TABLE visitor_images (
    image_id TEXT PRIMARY KEY,     -- of an image, or of one in the trash
    share_id INTEGER REFERENCES shares ON DELETE SET NULL,
    sender TEXT NOT NULL DEFAULT '',
    sent_at REAL NOT NULL,
    is_waiting INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE INDEX visitor_images_of_share ON visitor_images (share_id, sent_at);
-- An owner who makes such an image visible in any way has approved it.
CREATE TRIGGER visitor_images_approved AFTER UPDATE OF visibility ON stream_images WHEN NEW.visibility <> 'private' BEGIN
    UPDATE visitor_images SET is_waiting = 0 WHERE image_id = NEW.id;
END;
-- Deleted for good, from a stream or from the trash.
CREATE TRIGGER shared_images_deleted AFTER DELETE ON stream_images
WHEN NOT EXISTS (SELECT 1 FROM trashed_images WHERE id = OLD.id) BEGIN
    DELETE FROM share_images WHERE image_id = OLD.id;
    DELETE FROM visitor_images WHERE image_id = OLD.id;
END;
CREATE TRIGGER shared_images_deleted_from_trash AFTER DELETE ON trashed_images
WHEN NOT EXISTS (SELECT 1 FROM stream_images WHERE id = OLD.id) BEGIN
    DELETE FROM share_images WHERE image_id = OLD.id;
    DELETE FROM visitor_images WHERE image_id = OLD.id;
END;

-- Tokens with which scripts act for an account. Only the hash of a token is stored.
CREATE TABLE api_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL UNIQUE,
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,  -- words with a space between
    stream_id INTEGER REFERENCES streams ON DELETE CASCADE,  -- uploads go to this stream only
    created_at REAL NOT NULL,
    expires_at REAL,  -- NULL: never
    uses INTEGER NOT NULL DEFAULT 0,
    used_at REAL,
    used_from TEXT NOT NULL DEFAULT ''
);
CREATE INDEX api_tokens_of_account ON api_tokens (account_id);
CREATE INDEX api_tokens_of_stream ON api_tokens (stream_id) WHERE stream_id IS NOT NULL;
"""

REPEATS = """
-- 1: an animation, of which the first frame is shown. Of images that were uploaded before this was stored: 0.
ALTER TABLE stream_images ADD COLUMN is_animated INTEGER NOT NULL DEFAULT 0;

-- Images that visitors sent although the stream had them, where the link does not show that: the owners are told, not the visitor.
CREATE TABLE visitor_repeats (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id TEXT NOT NULL,        -- of the image in the stream
    share_id INTEGER REFERENCES shares ON DELETE SET NULL,
    sender TEXT NOT NULL DEFAULT '',
    sent_at REAL NOT NULL,
    is_new INTEGER NOT NULL DEFAULT 1  -- 0: an owner has seen it, or it was sent twice before anyone decided
);
CREATE INDEX visitor_repeats_of_share ON visitor_repeats (share_id, sent_at);
CREATE INDEX visitor_repeats_of_image ON visitor_repeats (image_id);
CREATE TRIGGER repeats_of_deleted AFTER DELETE ON stream_images
WHEN NOT EXISTS (SELECT 1 FROM trashed_images WHERE id = OLD.id) BEGIN
    DELETE FROM visitor_repeats WHERE image_id = OLD.id;
END;
CREATE TRIGGER repeats_of_deleted_from_trash AFTER DELETE ON trashed_images
WHEN NOT EXISTS (SELECT 1 FROM stream_images WHERE id = OLD.id) BEGIN
    DELETE FROM visitor_repeats WHERE image_id = OLD.id;
END;
"""
