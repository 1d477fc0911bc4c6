"""Table module of `files.db`: stored files, pending fetches and counters. SQL only; the rules are in `store`."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_cache.db.database import Connection, Database, Row
from image_cache.files.paths import Remote

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
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the store. `ttl_s` None: the default. `epoch`: in which its bytes were last compared with `sha256`."""

    digest: str
    url: str
    name: str
    path: str
    sha256: str
    size_bytes: int
    mtime_ns: int
    etag: str
    last_modified: str
    stored_at: float
    checked_at: float
    ttl_s: float | None
    used_at: float
    hits: int
    verified_at: float
    epoch: int
    is_corrupt: bool

    @property
    def remote(self) -> Remote:
        return Remote(self.url, self.digest, self.name)


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A fetch that is queued, under way, paused or failed. `state`: waiting, working, paused or failed."""

    digest: str
    url: str
    name: str
    sha256: str
    ttl_s: float | None
    is_wanted: bool
    state: str
    reason: str
    failures: int
    retry_at: float
    added_at: float
    total_bytes: int | None
    began_at: float
    began_bytes: int
    furthest_bytes: int
    received_bytes: int
    cuts: int

    @property
    def remote(self) -> Remote:
        return Remote(self.url, self.digest, self.name)


_STORED = ", ".join(StoredFile.__slots__)
_PENDING = ", ".join(PendingFile.__slots__)


class FileIndex:
    """Any thread, several processes. Raises `DatabaseError` when SQLite does."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, *, is_reader: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._is_reader = is_reader
        self._owner = 0
        self._database: Database | None = None

    @property
    def db(self) -> Database:
        # A script may fork after it used the cache; a connection must not be used in both processes.
        if self._database is None or self._owner != os.getpid():
            self._database = Database(self._path, MIGRATIONS, synchronous="NORMAL", is_disposable=True, is_reader=self._is_reader)
            self._owner = os.getpid()
        return self._database

    def close(self) -> None:
        if self._database is not None and self._owner == os.getpid():
            self._database.close()

    def find(self, digest: str) -> StoredFile | None:
        row = self.db.row(f"SELECT {_STORED} FROM files WHERE digest = ?", (digest,))
        return _stored(row) if row else None

    def files(self) -> list[StoredFile]:
        """Return all files, the most recently used first."""
        return [_stored(row) for row in self.db.rows(f"SELECT {_STORED} FROM files ORDER BY used_at DESC, digest")]

    def victims(self, count: int, keep: str = "") -> list[StoredFile]:
        """Return the least recently used files, without the one of digest `keep`."""
        return [
            _stored(row)
            for row in self.db.rows(
                f"SELECT {_STORED} FROM files WHERE digest <> ? ORDER BY used_at, digest LIMIT ?", (keep, count)
            )
        ]

    def totals(self) -> tuple[int, int]:
        """Return the number of files and their bytes."""
        row = self.db.row("SELECT count(*), coalesce(sum(size_bytes), 0) FROM files")
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def insert(self, stored: StoredFile, *, ends_fetch: bool = False) -> None:
        """Write the row of a file, in place of its earlier version; with `ends_fetch` its fetch is done in the same transaction."""
        values = [getattr(stored, name) for name in StoredFile.__slots__]
        with self.db.write() as conn:
            conn.execute(f"INSERT OR REPLACE INTO files ({_STORED}) VALUES ({', '.join('?' * len(values))})", values)
            if ends_fetch:
                conn.execute("DELETE FROM fetches WHERE digest = ?", (stored.digest,))

    def update(self, digest: str, **facts: object) -> bool:
        """Change a file's row; return False if there is none."""
        with self.db.write() as conn:
            assigned = ", ".join(f"{name} = ?" for name in facts)
            return conn.execute(f"UPDATE files SET {assigned} WHERE digest = ?", (*facts.values(), digest)).rowcount > 0

    def forget(self, stored: StoredFile) -> bool:
        """Delete the row of a file that is gone, but not that of a newer version. Return True if there was one."""
        with self.db.write() as conn:
            return conn.execute("DELETE FROM files WHERE digest = ? AND path = ?", (stored.digest, stored.path)).rowcount > 0

    def touch(self, uses: dict[str, tuple[float, int]], counts: dict[str, int]) -> None:
        """Write {digest: (last use, number of uses)} and the counters, in one transaction."""
        with self.db.write() as conn:
            conn.executemany(
                "UPDATE files SET used_at = max(used_at, ?), hits = hits + ? WHERE digest = ?",
                [(used_at, hits, digest) for digest, (used_at, hits) in uses.items()],
            )
            self.add_counts(conn, counts)

    def pending(self, digest: str) -> PendingFile | None:
        row = self.db.row(f"SELECT {_PENDING} FROM fetches WHERE digest = ?", (digest,))
        return _pending(row) if row else None

    def fetches(self) -> list[PendingFile]:
        return [_pending(row) for row in self.db.rows(f"SELECT {_PENDING} FROM fetches ORDER BY added_at, digest")]

    def add_pending(self, remote: Remote, *, sha256: str, ttl_s: float | None, is_wanted: bool, state: str) -> None:
        """Write that a file is to be fetched; what is known of an earlier attempt stays."""
        with self.db.write() as conn:
            conn.execute(
                "INSERT INTO fetches (digest, url, name, sha256, ttl_s, is_wanted, state, added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (digest) DO UPDATE SET sha256 = excluded.sha256, ttl_s = excluded.ttl_s, reason = '', retry_at = 0,"
                " state = CASE WHEN state = 'working' THEN state ELSE excluded.state END,"
                " is_wanted = max(is_wanted, excluded.is_wanted)",
                (remote.digest, remote.url, remote.name, sha256, ttl_s, is_wanted, state, self._clock()),
            )

    def change(self, digest: str, **facts: object) -> bool:
        """Change a fetch; return False if there is none."""
        with self.db.write() as conn:
            done = conn.execute(
                f"UPDATE fetches SET {', '.join(f'{name} = ?' for name in facts)} WHERE digest = ?", (*facts.values(), digest)
            )
            return done.rowcount > 0

    def drop(self, digests: Sequence[str]) -> None:
        with self.db.write() as conn:
            conn.executemany("DELETE FROM fetches WHERE digest = ?", [(digest,) for digest in digests])

    def claim(self, is_free: Callable[[PendingFile], bool]) -> PendingFile | None:
        """Claim the next fetch of the queue: one that is waiting, or one whose process died while it worked on it.

        The one whose last turn is longest ago comes first, so that a file that cannot be fetched keeps none of the others waiting.
        """
        now = self._clock()
        with self.db.write() as conn:
            rows = conn.execute(
                f"SELECT {_PENDING} FROM fetches WHERE is_wanted AND (state = 'working' OR (state = 'waiting' AND retry_at <= ?))"
                " ORDER BY began_at, added_at, digest",
                (now,),
            ).fetchall()
            for row in rows:
                pending = _pending(row)
                if pending.state == "waiting" or is_free(pending):
                    conn.execute("UPDATE fetches SET state = 'working', began_at = ? WHERE digest = ?", (now, pending.digest))
                    return pending
        return None

    def is_another_due(self, digest: str) -> bool:
        """Return True if a fetch other than this one waits in the queue and could begin now."""
        return (
            self.db.row(
                "SELECT 1 FROM fetches WHERE is_wanted AND state = 'waiting' AND retry_at <= ? AND digest <> ? LIMIT 1",
                (self._clock(), digest),
            )
            is not None
        )

    def add_counts(self, conn: Connection, counts: dict[str, int]) -> None:
        conn.executemany(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            [(name, value) for name, value in counts.items() if value],
        )

    def counts(self) -> dict[str, int]:
        return {str(name): int(value) for name, value in self.db.rows("SELECT name, value FROM counters")}

    def meta(self, name: str) -> int | None:
        row = self.db.row("SELECT value FROM meta WHERE name = ?", (name,))
        return int(row[0]) if row else None

    def set_meta(self, name: str, value: int) -> None:
        with self.db.write() as conn:
            conn.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


def file_facts(conn: Connection) -> Iterator[dict[str, object]]:
    """Yield what is needed to fetch each file again, by URL."""
    return map(dict, conn.execute("SELECT url, name, sha256, size_bytes, ttl_s FROM files ORDER BY url"))


def _stored(row: Row) -> StoredFile:
    values = dict(row)
    return StoredFile(**{**values, "is_corrupt": bool(values["is_corrupt"])})


def _pending(row: Row) -> PendingFile:
    values = dict(row)
    return PendingFile(**{**values, "is_wanted": bool(values["is_wanted"])})
