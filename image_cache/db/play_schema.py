"""Later migrations of `catalog.db` for plays: scrobbling, imported plays."""

SCROBBLING = """
-- One row a side that counted as played: when it was started, and when it was flipped or stopped (NULL: it ran to its end).
CREATE TABLE sides_heard (
    id INTEGER PRIMARY KEY,
    play_id INTEGER NOT NULL REFERENCES plays ON DELETE CASCADE,
    side TEXT NOT NULL,  -- '' for a whole record
    started_at REAL NOT NULL,
    length_s INTEGER,
    ended_at REAL,
    account_id INTEGER REFERENCES accounts ON DELETE CASCADE,
    is_queued INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sides_heard_of_play ON sides_heard (play_id);
CREATE INDEX sides_heard_of_account ON sides_heard (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX sides_heard_open ON sides_heard (id) WHERE is_queued = 0;

-- Where an account sends its plays. The token is in a file of the state folder.
CREATE TABLE scrobblers (
    account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    service TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',  -- of the account there
    state TEXT NOT NULL,  -- new: its token is to be tested; on; stopped: the service refused the token
    says TEXT NOT NULL DEFAULT '',
    takes_guests INTEGER NOT NULL DEFAULT 0,
    since REAL NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    sent_at REAL,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, service)
) WITHOUT ROWID;

-- Tracks that are still to be sent. A row is deleted once the service has it, or its play is undone.
CREATE TABLE scrobbles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    service TEXT NOT NULL,
    play_id INTEGER NOT NULL REFERENCES plays ON DELETE CASCADE,
    listened_at INTEGER NOT NULL,
    track TEXT NOT NULL,  -- JSON, as it is sent: a retry must be the same
    state TEXT NOT NULL DEFAULT 'waiting',  -- waiting; sending: it may have arrived; refused
    says TEXT NOT NULL DEFAULT '',
    FOREIGN KEY (account_id, service) REFERENCES scrobblers ON DELETE CASCADE
);
CREATE INDEX scrobbles_in_order ON scrobbles (account_id, service, state, listened_at, id);
CREATE INDEX scrobbles_of_play ON scrobbles (play_id);
"""

PLAY_IMPORTS = """
-- Files of old plays. An undo removes the plays of one.
CREATE TABLE play_imports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    imported_at REAL NOT NULL
);
ALTER TABLE plays ADD COLUMN import_id INTEGER REFERENCES play_imports ON DELETE SET NULL;
CREATE INDEX plays_of_import ON plays (import_id, album_id) WHERE import_id IS NOT NULL;
"""
