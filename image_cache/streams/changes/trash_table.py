"""Table module of the trash: images and streams that can be restored. SQL only; the rules are in `trash`.

A row is kept as it was, whatever columns its table has: a column that a later version adds goes to the trash and back as well.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row, parameter_marks
from image_cache.frozen import frozen
from image_cache.models import ImageVisibility, Stream, StreamImage
from image_cache.streams.table import STRAY, image_of

_COLUMNS = ("id", "stream_id", "file_path", "size_bytes", "sha256")
_MOVE = (
    "INSERT INTO trashed_images (id, stream_id, file_path, size_bytes, sha256, facts, views, trashed_at, is_with_stream)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TRASHED = (
    "SELECT trashed_images.*, streams.slug AS slug FROM trashed_images JOIN streams ON streams.id = trashed_images.stream_id"
)

Original = tuple[str, str]  # the id of an image, and the path of its original


@frozen
class TrashedImage:
    """An image in the trash, and when it was moved there (Unix seconds)."""

    image: StreamImage
    trashed_at: float


@frozen
class TrashedStream:
    """A stream in the trash, how many images it has, also those that were in its own trash, and when it was moved (Unix seconds)."""

    stream: Stream
    images: int
    size_bytes: int
    trashed_at: float


class TrashTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    # Images

    def images(self, stream_id: int) -> list[TrashedImage]:
        """Return the images of a stream that are in the trash, what was moved last first."""
        rows = self._db.rows(f"{_TRASHED} WHERE stream_id = ? ORDER BY trashed_at DESC, trashed_images.id", (stream_id,))
        return [_trashed(row) for row in rows]

    def image(self, stream_id: int, image_id: str) -> TrashedImage | None:
        row = self._db.row(f"{_TRASHED} WHERE trashed_images.id = ? AND stream_id = ?", (image_id, stream_id))
        return _trashed(row) if row else None

    def image_ids(self, stream_id: int) -> list[str]:
        return [row["id"] for row in self._db.rows("SELECT id FROM trashed_images WHERE stream_id = ?", (stream_id,))]

    def is_trashed(self, image_id: str) -> bool:
        return self._db.row("SELECT 1 FROM trashed_images WHERE id = ?", (image_id,)) is not None

    def slug_of(self, image_id: str) -> str | None:
        """Return the slug of the stream whose trash holds an image; None if there is none."""
        row = self._db.row(f"{_TRASHED} WHERE trashed_images.id = ?", (image_id,))
        return row["slug"] if row else None

    def totals(self, stream_id: int) -> tuple[int, int]:
        """Return (images, bytes) of a stream in the trash."""
        row = self._db.rows(
            "SELECT count(*), coalesce(sum(size_bytes), 0) FROM trashed_images WHERE stream_id = ?", (stream_id,)
        )[0]
        return int(row[0]), int(row[1])

    def move_images(self, stream_id: int, image_ids: Sequence[str], now: float) -> list[str]:
        """Move images of a stream to the trash; return the ids of those that there were."""
        with self._db.write() as conn:
            return _move(conn, stream_id, image_ids, now)

    def restore_images(self, stream_id: int, image_ids: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """Put images back to their places; return the ids, and for those that could not {id: the id of the same image}."""
        restored, same = [], {}
        with self._db.write() as conn:
            for image_id in image_ids:
                row = conn.execute(
                    "SELECT * FROM trashed_images WHERE id = ? AND stream_id = ?", (image_id, stream_id)
                ).fetchone()
                if row is None:
                    continue
                twin = conn.execute(
                    "SELECT id FROM stream_images WHERE stream_id = ? AND sha256 = ?", (stream_id, row["sha256"])
                ).fetchone()
                if twin is not None:
                    same[image_id] = twin["id"]
                    continue
                _restore(conn, row)
                restored.append(image_id)
        return restored, same

    def delete_images(self, stream_id: int, image_ids: Sequence[str] | None = None) -> list[Original]:
        """Delete images from the trash, all of the stream without ids; return their originals, which are orphans from now on."""
        with self._db.write() as conn:
            rows = conn.execute("SELECT id, file_path FROM trashed_images WHERE stream_id = ?", (stream_id,)).fetchall()
            chosen = [row for row in rows if image_ids is None or row["id"] in image_ids]
            return _delete(conn, chosen)

    def delete_images_before(self, before: float) -> list[Original]:
        """Delete the images that were moved to the trash before a time, as `delete_images` does; not those of trashed streams."""
        with self._db.write() as conn:
            sql = "SELECT id, file_path FROM trashed_images WHERE trashed_at < ? AND is_with_stream = 0"
            return _delete(conn, conn.execute(sql, (before,)).fetchall())

    def has_older(self, before: float) -> bool:
        """Return True if something was moved to the trash before a time."""
        tables = ("trashed_images", "trashed_streams")
        sql = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE trashed_at < ?" for table in tables)
        return self._db.row(f"{sql} LIMIT 1", (before, before)) is not None

    # Streams

    def streams(self) -> list[TrashedStream]:
        """Return all streams in the trash, what was moved last first."""
        rows = self._db.rows(
            "SELECT t.*, coalesce(accounts.name, '') AS owner_name,"
            " (SELECT count(*) FROM trashed_images WHERE stream_id = t.id) AS images,"
            " (SELECT coalesce(sum(size_bytes), 0) FROM trashed_images WHERE stream_id = t.id) AS bytes"
            " FROM trashed_streams AS t LEFT JOIN accounts ON accounts.id = owner_id ORDER BY trashed_at DESC, t.id DESC"
        )
        return [_trashed_stream(row) for row in rows]

    def move_stream(self, stream_id: int, now: float) -> list[str] | None:
        """Move a stream with its images to the trash; return their ids, None if there is no such stream. Invite links end."""
        with self._db.write() as conn:
            row = conn.execute("SELECT * FROM streams WHERE id = ?", (stream_id,)).fetchone()
            if row is None:
                return None
            ids = [found["id"] for found in conn.execute("SELECT id FROM stream_images WHERE stream_id = ?", (stream_id,))]
            moved = _move(conn, stream_id, ids, now, is_with_stream=True)
            people = conn.execute("SELECT account_id, role, added_at FROM stream_people WHERE stream_id = ?", (stream_id,))
            conn.execute(
                "INSERT INTO trashed_streams VALUES (?, ?, ?, ?, ?, ?)",
                (stream_id, row["slug"], row["owner_id"], json.dumps(dict(row)), json.dumps([tuple(one) for one in people]), now),
            )
            conn.execute("DELETE FROM streams WHERE id = ?", (stream_id,))
            return moved

    def restore_stream(self, stream_id: int) -> list[str] | None:
        """Put a stream back with its people and the images that came with it; return their ids, None if it is not in the trash."""
        with self._db.write() as conn:
            row = conn.execute("SELECT * FROM trashed_streams WHERE id = ?", (stream_id,)).fetchone()
            if row is None:
                return None
            # The account of the owner may have been removed since.
            _insert(conn, "streams", {**json.loads(row["facts"]), "owner_id": row["owner_id"]})
            conn.executemany(
                "INSERT INTO stream_people SELECT ?, id, ?, ? FROM accounts WHERE id = ?",
                [(stream_id, role, added_at, account_id) for account_id, role, added_at in json.loads(row["people"])],
            )
            conn.execute("DELETE FROM trashed_streams WHERE id = ?", (stream_id,))
            sql = "SELECT * FROM trashed_images WHERE stream_id = ? AND is_with_stream = 1"
            images = conn.execute(sql, (stream_id,)).fetchall()
            for image in images:
                _restore(conn, image)
            return [image["id"] for image in images]

    def delete_stream(self, stream_id: int) -> list[Original]:
        """Delete a stream from the trash with all images; return their originals, which are orphans from now on."""
        with self._db.write() as conn:
            if conn.execute("DELETE FROM trashed_streams WHERE id = ?", (stream_id,)).rowcount != 1:
                return []
            rows = conn.execute("SELECT id, file_path FROM trashed_images WHERE stream_id = ?", (stream_id,)).fetchall()
            return _delete(conn, rows)


def _move(conn: Connection, stream_id: int, image_ids: Sequence[str], now: float, *, is_with_stream: bool = False) -> list[str]:
    moved = []
    for image_id in image_ids:
        row = conn.execute("SELECT * FROM stream_images WHERE id = ? AND stream_id = ?", (image_id, stream_id)).fetchone()
        if row is None:
            continue
        views = conn.execute("SELECT day, views FROM image_views WHERE image_number = ?", (row["number"],)).fetchall()
        facts = {name: row[name] for name in row.keys() if name not in _COLUMNS}  # noqa: SIM118  a Row iterates its values
        conn.execute(
            _MOVE,
            (
                *(row[name] for name in _COLUMNS),
                json.dumps(facts),
                json.dumps([tuple(view) for view in views]),
                now,
                int(is_with_stream),
            ),
        )
        conn.execute("DELETE FROM stream_images WHERE id = ?", (image_id,))
        moved.append(image_id)
    return moved


def _restore(conn: Connection, row: Row) -> None:
    facts = json.loads(row["facts"])
    _insert(conn, "stream_images", {**{name: row[name] for name in _COLUMNS}, **facts})
    conn.executemany("INSERT INTO image_views VALUES (?, ?, ?)", [(facts["number"], *view) for view in json.loads(row["views"])])
    conn.execute("DELETE FROM trashed_images WHERE id = ?", (row["id"],))


def _insert(conn: Connection, table: str, values: Mapping[str, Any]) -> None:
    """Insert a row by the names of its columns, which come from the table itself."""
    conn.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({parameter_marks(len(values))})", tuple(values.values()))


def _delete(conn: Connection, rows: Sequence[Row]) -> list[Original]:
    conn.executemany(STRAY, ((row["file_path"], row["id"]) for row in rows))
    conn.executemany("DELETE FROM trashed_images WHERE id = ?", ((row["id"],) for row in rows))
    return [(row["id"], row["file_path"]) for row in rows]


def _trashed(row: Row) -> TrashedImage:
    return TrashedImage(
        image_of({"duration_s": None, "is_animated": 0, **json.loads(row["facts"]), **dict(row)}), row["trashed_at"]
    )


def _trashed_stream(row: Row) -> TrashedStream:
    facts = json.loads(row["facts"])
    stream = Stream(
        row["id"],
        row["slug"],
        facts["title"],
        facts["description"],
        ImageVisibility(facts["visibility"]),
        row["owner_id"],
        row["owner_name"],
        facts["created_at"],
        facts["event_date"],
        facts["cover_id"],
        bool(facts["shows_taken"]),
    )
    return TrashedStream(stream, row["images"], row["bytes"], row["trashed_at"])
