"""The schema of `files.db`, as migrations. Append; never change one that was released."""

MIGRATIONS = (
    """
    -- `epoch`: raised after an unclean stop; a file that was not verified since is verified before it is handed out.
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

    -- One row per file, written after the file, removed after it. There are hundreds, not millions: sums need no triggers.
    CREATE TABLE files (
        digest TEXT PRIMARY KEY,            -- of the URL
        url TEXT NOT NULL,
        name TEXT NOT NULL,
        path TEXT NOT NULL,                 -- below the folder; holds the content's hash, so other bytes have another path
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,          -- a file that was touched since is verified before it is handed out
        etag TEXT NOT NULL,
        last_modified TEXT NOT NULL,
        stored_at REAL NOT NULL,
        checked_at REAL NOT NULL,           -- when the origin last said that this is its file
        ttl_s REAL,                         -- NULL: the default, also when that changes
        used_at REAL NOT NULL,
        hits INTEGER NOT NULL DEFAULT 0,
        verified_at REAL NOT NULL,
        epoch INTEGER NOT NULL,
        is_corrupt INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX files_lru ON files (used_at);

    -- What is on its way, or was and did not arrive. A row goes with its file's arrival.
    CREATE TABLE fetches (
        digest TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        name TEXT NOT NULL,
        sha256 TEXT NOT NULL DEFAULT '',    -- what the caller expects
        ttl_s REAL,
        is_wanted INTEGER NOT NULL,         -- the background brings it; 0: a caller waits for it
        state TEXT NOT NULL CHECK (state IN ('waiting', 'working', 'paused', 'failed')),
        reason TEXT NOT NULL DEFAULT '',
        failures INTEGER NOT NULL DEFAULT 0,
        retry_at REAL NOT NULL DEFAULT 0,
        added_at REAL NOT NULL,
        total_bytes INTEGER,                -- as far as the origin says
        began_at REAL NOT NULL DEFAULT 0,   -- of the attempt under way, for its speed
        began_bytes INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    """,
    # What a fetch has cost over all turns, see `FetchEffort`.
    """
    ALTER TABLE fetches ADD COLUMN furthest_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE fetches ADD COLUMN received_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE fetches ADD COLUMN cuts INTEGER NOT NULL DEFAULT 0;
    """,
    # A pinned file is never evicted. A fetch hands its pin to the file that it brings.
    """
    ALTER TABLE files ADD COLUMN is_pinned INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE fetches ADD COLUMN is_pinned INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE fetches ADD COLUMN mirrors TEXT NOT NULL DEFAULT '';  -- further URLs of the same content, one a line

    CREATE TABLE attempts (
        id INTEGER PRIMARY KEY,
        digest TEXT NOT NULL,
        source TEXT NOT NULL,
        began_at REAL NOT NULL,
        ended_at REAL,
        from_bytes INTEGER NOT NULL,
        received_bytes INTEGER NOT NULL DEFAULT 0,
        result TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX attempts_by_file ON attempts (digest, id);
    """,
)
