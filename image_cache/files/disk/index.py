"""Table module of `files.db`: stored files, pending fetches and counters. SQL only; the rules are in `store`."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from image_cache.db.database import Connection, Database, Row
from image_cache.files.disk.schema import MIGRATIONS
from image_cache.files.paths import Remote
from image_cache.frozen import frozen


@frozen
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
    is_pinned: bool = False

    @property
    def remote(self) -> Remote:
        return Remote(self.url, self.digest, self.name)


@frozen
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
    is_pinned: bool = False
    mirrors: str = ""

    @property
    def remote(self) -> Remote:
        return Remote(self.url, self.digest, self.name)


_STORED = ", ".join(StoredFile.__match_args__)
_PENDING = ", ".join(PendingFile.__match_args__)


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
        """Return the least recently used files, without the pinned ones and the one of digest `keep`."""
        return [
            _stored(row)
            for row in self.db.rows(
                f"SELECT {_STORED} FROM files WHERE NOT is_pinned AND digest <> ? ORDER BY used_at, digest LIMIT ?", (keep, count)
            )
        ]

    def totals(self) -> tuple[int, int]:
        """Return the number of files and their bytes."""
        row = self.db.row("SELECT count(*), coalesce(sum(size_bytes), 0) FROM files")
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def oldest_use(self) -> float | None:
        """Return when the least recently used file was used; None without files."""
        row = self.db.row("SELECT min(used_at) FROM files")
        return None if row is None else row[0]

    def pinned(self, besides: str = "") -> tuple[int, int]:
        """Return the number of pinned files and their bytes, without the file of digest `besides`."""
        row = self.db.row("SELECT count(*), coalesce(sum(size_bytes), 0) FROM files WHERE is_pinned AND digest <> ?", (besides,))
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def insert(self, stored: StoredFile, *, ends_fetch: bool = False) -> None:
        """Write the row of a file, in place of its earlier version; with `ends_fetch` its fetch is done in the same transaction."""
        values = [getattr(stored, name) for name in StoredFile.__match_args__]
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

    def add_pending(
        self, remote: Remote, *, sha256: str, ttl_s: float | None, is_wanted: bool, state: str, mirrors: tuple[str, ...] = ()
    ) -> None:
        """Write that a file is to be fetched; what is known of an earlier attempt stays."""
        with self.db.write() as conn:
            conn.execute(_ADD, _fetch_row(remote, sha256, mirrors, self._clock(), ttl_s=ttl_s, is_wanted=is_wanted, state=state))

    def add_all(self, files: Iterable[tuple[Remote, str, tuple[str, ...]]], **facts: object) -> None:
        """Write that files (remote, SHA-256, mirrors) are to be fetched by the queue, with these facts, in one transaction."""
        assigned = ", ".join(f"{name} = ?" for name in facts)
        with self.db.write() as conn:
            for remote, sha256, mirrors in files:
                conn.execute(_ADD, _fetch_row(remote, sha256, mirrors, self._clock()))
                conn.execute(f"UPDATE fetches SET {assigned} WHERE digest = ?", (*facts.values(), remote.digest))

    def change_all(self, digests: Iterable[str], states: tuple[str, ...], **facts: object) -> None:
        """Change those fetches that are in one of these states."""
        assigned = ", ".join(f"{name} = ?" for name in facts)
        marks = ", ".join("?" * len(states))
        with self.db.write() as conn:
            conn.executemany(
                f"UPDATE fetches SET {assigned} WHERE digest = ? AND state IN ({marks})",
                [(*facts.values(), digest, *states) for digest in digests],
            )

    def now(self) -> float:
        return self._clock()

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


_ADD = (
    "INSERT INTO fetches (digest, url, name, sha256, ttl_s, is_wanted, state, added_at, mirrors) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET sha256 = excluded.sha256, ttl_s = excluded.ttl_s, reason = '', retry_at = 0,"
    " state = CASE WHEN state = 'working' THEN state ELSE excluded.state END, is_wanted = max(is_wanted, excluded.is_wanted),"
    " mirrors = CASE WHEN excluded.mirrors = '' THEN mirrors ELSE excluded.mirrors END"
)


def _fetch_row(
    remote: Remote,
    sha256: str,
    mirrors: tuple[str, ...],
    now: float,
    *,
    ttl_s: float | None = None,
    is_wanted: bool = True,
    state: str = "waiting",
) -> tuple[object, ...]:
    return (remote.digest, remote.url, remote.name, sha256, ttl_s, is_wanted, state, now, "\n".join(mirrors))


def file_facts(conn: Connection) -> Iterator[dict[str, object]]:
    """Yield what is needed to fetch each file again, by URL."""
    return map(dict, conn.execute("SELECT url, name, sha256, size_bytes, ttl_s FROM files ORDER BY url"))


def _stored(row: Row) -> StoredFile:
    values = dict(row)
    return StoredFile(**{**values, "is_corrupt": bool(values["is_corrupt"]), "is_pinned": bool(values["is_pinned"])})


def _pending(row: Row) -> PendingFile:
    values = dict(row)
    return PendingFile(**{**values, "is_wanted": bool(values["is_wanted"]), "is_pinned": bool(values["is_pinned"])})
