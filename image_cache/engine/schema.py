"""Schema of `index.db`: script n takes it from version n to n + 1. A script that was released is never edited.

The index may be deleted at any time: `entries` is rebuilt from the files, `images` from the catalogue, the other tables start empty.
Digests are stored as 32 bytes, half the size of their hex text; times are Unix seconds.
"""

MIGRATIONS = [
    """
    -- Single values: `generation` (a clear raises it), `epoch` (raised with every change that moves digests), `adopted_at` (the
    -- files that were there before the index have their rows), `registered_at` (what the
    -- catalogue knows is among the images), `last_cleanup_at`.
    CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

    -- One row per file on disk, written after the file; removed after it.
    CREATE TABLE entries (
        digest BLOB NOT NULL,
        variant TEXT NOT NULL,
        namespace TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 BLOB,                        -- NULL: adopted from a file without a row, checked by its shape only
        stored_at INTEGER NOT NULL,
        used_at INTEGER NOT NULL            -- to the hour: reads must not wear the card
    );
    CREATE UNIQUE INDEX entries_key ON entries (digest, variant);
    CREATE INDEX entries_lru ON entries (namespace, used_at);

    -- Kept by triggers, because COUNT and SUM over a million rows take a quarter of a second.
    CREATE TABLE totals (namespace TEXT PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN
        INSERT INTO totals VALUES (new.namespace, 1, new.size_bytes)
        ON CONFLICT (namespace) DO UPDATE SET entries = entries + 1, bytes = bytes + new.size_bytes;
    END;
    CREATE TRIGGER entries_removed AFTER DELETE ON entries BEGIN
        UPDATE totals SET entries = entries - 1, bytes = bytes - old.size_bytes WHERE namespace = old.namespace;
    END;
    CREATE TRIGGER entries_resized AFTER UPDATE OF size_bytes ON entries BEGIN
        UPDATE totals SET bytes = bytes - old.size_bytes + new.size_bytes WHERE namespace = new.namespace;
    END;

    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

    -- What may be loaded: one row per image that the catalogue or an owner registered, under its current digest.
    CREATE TABLE images (
        digest BLOB PRIMARY KEY,
        namespace TEXT NOT NULL,
        identity TEXT NOT NULL,
        url TEXT NOT NULL,
        lane TEXT NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0,
        etag TEXT NOT NULL DEFAULT '',
        last_modified TEXT NOT NULL DEFAULT '',
        body_sha256 BLOB,                   -- of the fetched bytes: tells a changed picture from a repeated one
        fetched_at REAL,
        fresh_until REAL,
        width INTEGER, height INTEGER, average TEXT, hue INTEGER, chroma REAL,
        failures INTEGER NOT NULL DEFAULT 0,
        failure TEXT NOT NULL DEFAULT '',
        is_final INTEGER NOT NULL DEFAULT 0,    -- the failure is one that waiting alone does not mend
        retry_at REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX images_identity ON images (namespace, identity);
    CREATE INDEX images_unfetched ON images (namespace, retry_at) WHERE fetched_at IS NULL;
    CREATE INDEX images_revised ON images (namespace) WHERE revision > 0;

    -- How many images there are, were fetched, were given up before that; kept, because counting 300,000 takes most of a second.
    CREATE TABLE image_totals (
        namespace TEXT PRIMARY KEY, registered INTEGER NOT NULL, fetched INTEGER NOT NULL, given_up INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TRIGGER images_added AFTER INSERT ON images BEGIN
        INSERT INTO image_totals
        VALUES (new.namespace, 1, new.fetched_at IS NOT NULL, new.is_final AND new.fetched_at IS NULL)
        ON CONFLICT (namespace) DO UPDATE SET registered = registered + excluded.registered,
            fetched = fetched + excluded.fetched, given_up = given_up + excluded.given_up;
    END;
    CREATE TRIGGER images_removed AFTER DELETE ON images BEGIN
        UPDATE image_totals SET registered = registered - 1, fetched = fetched - (old.fetched_at IS NOT NULL),
            given_up = given_up - (old.is_final AND old.fetched_at IS NULL) WHERE namespace = old.namespace;
    END;
    CREATE TRIGGER images_changed AFTER UPDATE OF fetched_at, is_final ON images BEGIN
        UPDATE image_totals SET fetched = fetched - (old.fetched_at IS NOT NULL) + (new.fetched_at IS NOT NULL),
            given_up = given_up - (old.is_final AND old.fetched_at IS NULL) + (new.is_final AND new.fetched_at IS NULL)
        WHERE namespace = new.namespace;
    END;

    -- What is still to be loaded. A claimed job has a holder and a lease; a lease that ran out, or whose holder died, is free again.
    CREATE TABLE jobs (
        digest BLOB PRIMARY KEY,
        wants TEXT NOT NULL,                -- variants beyond the base ones, space-separated
        priority INTEGER NOT NULL,          -- 0 visible, 1 page, 2 warm
        lane TEXT NOT NULL,                 -- jobs of one lane share an origin and its patience
        batch TEXT NOT NULL DEFAULT '',     -- the preload it belongs to, for progress
        ready_at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        holder TEXT NOT NULL DEFAULT '',
        leased_until REAL NOT NULL DEFAULT 0
    );
    CREATE INDEX jobs_next ON jobs (priority, ready_at);
    CREATE INDEX jobs_leased ON jobs (leased_until, lane) WHERE leased_until > 0;
    CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
        INSERT INTO totals VALUES ('jobs', 1, 0) ON CONFLICT (namespace) DO UPDATE SET entries = entries + 1;
    END;
    CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
        UPDATE totals SET entries = entries - 1 WHERE namespace = 'jobs';
    END;

    -- A preload: how many it brought in and how they ended. Old ones are removed by housekeeping.
    CREATE TABLE batches (
        name TEXT PRIMARY KEY, total INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
        started_at REAL NOT NULL
    ) WITHOUT ROWID;

    -- Lanes in trouble only; a lane without a row is well.
    CREATE TABLE lanes (
        lane TEXT PRIMARY KEY, failures INTEGER NOT NULL, paused_until REAL NOT NULL, reason TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- What the figures were: one row for each five minutes of a day, one for each hour of a month; older ones go. Counts are
    -- added up by all processes, levels are those of the last one that wrote. `latency` is a `Latencies`, as text.
    CREATE TABLE samples (
        span_s INTEGER NOT NULL, at INTEGER NOT NULL,
        hits INTEGER NOT NULL, misses INTEGER NOT NULL, evictions INTEGER NOT NULL,
        fetches INTEGER NOT NULL, failures INTEGER NOT NULL, fetched_bytes INTEGER NOT NULL,
        written_bytes INTEGER NOT NULL,     -- by this service, as /proc/self/io counts it
        entries INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        queued INTEGER NOT NULL,            -- the most jobs that were in line at a tick
        latency TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (span_s, at)
    ) WITHOUT ROWID;

    -- What was fetched from whom, for as many lanes as were used last.
    CREATE TABLE hosts (
        lane TEXT PRIMARY KEY, fetches INTEGER NOT NULL, failures INTEGER NOT NULL, fetched_bytes INTEGER NOT NULL,
        latency TEXT NOT NULL DEFAULT '', used_at INTEGER NOT NULL
    ) WITHOUT ROWID;

    -- The last things that went wrong with covers, the newest with the highest number.
    CREATE TABLE errors (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, lane TEXT NOT NULL, what TEXT NOT NULL, reason TEXT NOT NULL,
        retry_at REAL NOT NULL
    );

    -- The sampled uses from which `reuse_curve` is drawn, packed: one row.
    CREATE TABLE reuse (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL);
    """,
    """
    -- What the thumbnail of an image looks like, worked out behind. A row without `looked_at` is still to be done.
    CREATE TABLE looks (
        digest BLOB PRIMARY KEY,
        looked_at REAL,
        hash BLOB,                          -- of the shapes, 8 bytes; NULL: too little in it to compare
        colours BLOB,                       -- four bytes a colour: share, lightness, a, b
        is_blank INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX looks_open ON looks (digest) WHERE looked_at IS NULL;
    INSERT INTO looks (digest) SELECT digest FROM images WHERE fetched_at IS NOT NULL;

    -- A fetch is followed by a look, unless there is one: equal digests are equal bytes. A digest that goes takes its look along.
    CREATE TRIGGER images_fetched AFTER UPDATE OF fetched_at ON images WHEN new.fetched_at IS NOT NULL BEGIN
        INSERT INTO looks (digest) VALUES (new.digest)
        ON CONFLICT (digest) DO UPDATE SET looked_at = NULL WHERE colours IS NULL;
    END;
    CREATE TRIGGER images_moved AFTER UPDATE OF digest ON images WHEN new.digest <> old.digest BEGIN
        DELETE FROM looks WHERE digest = old.digest;
    END;
    CREATE TRIGGER images_unlooked AFTER DELETE ON images BEGIN
        DELETE FROM looks WHERE digest = old.digest;
    END;

    -- The same for records, so that the wall by colour and the audit need not go through all of them.
    CREATE TABLE album_looks (
        album_id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL,
        band INTEGER,                       -- where it stands in the order by colour; NULL: not looked at yet
        place INTEGER,
        flaw TEXT NOT NULL DEFAULT '',      -- small, oblong; empty: none
        twins INTEGER                       -- records with the same number have sleeves that look the same
    );
    CREATE INDEX album_looks_in_order ON album_looks (band, place, album_id) WHERE band IS NOT NULL;
    CREATE INDEX album_looks_flawed ON album_looks (flaw, album_id) WHERE flaw <> '';
    CREATE INDEX album_looks_twins ON album_looks (twins, album_id) WHERE twins IS NOT NULL;
    """,
    """
    -- Why the last load failed, as a stable code: the HTTP status, or the kind of the error. `failure` is a text for people.
    ALTER TABLE images ADD COLUMN failure_code TEXT NOT NULL DEFAULT '';
    UPDATE images SET failure_code = substr(failure, 10), failure = 'HTTP ' || substr(failure, 10) WHERE failure LIKE 'answered %';
    UPDATE images SET failure_code = 'unknown-format' WHERE failure LIKE 'not a picture%';
    """,
]
