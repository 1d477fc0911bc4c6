"""Table module of streams and their images in `catalog.db`. SQL only; the access policy is in `models`."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row, parameter_marks
from image_cache.models import ImageVisibility, Stream, StreamImage, iso_utc
from image_cache.text import MAX_QUERY_CHARS, MAX_QUERY_WORDS, respellings

if TYPE_CHECKING:
    from image_cache.imaging.video.mask import Mask

_STREAM = (
    "SELECT streams.id, slug, title, description, visibility, owner_id, coalesce(accounts.name, '') AS owner_name,"
    " streams.created_at, event_date, cover_id, shows_taken FROM streams LEFT JOIN accounts ON accounts.id = owner_id"
)
_IMAGE = "SELECT stream_images.*, streams.slug AS slug FROM stream_images JOIN streams ON streams.id = stream_images.stream_id"
IDS_PER_STATEMENT = 500
# An original that is deleted with its image: the next sweep removes it.
STRAY = "INSERT INTO stray_originals VALUES (?, ?, 0) ON CONFLICT (file_path) DO NOTHING"


class StreamTable:
    """Streams and images. Any thread, several processes. Methods that take a connection are called within a `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def revision(self) -> int:
        """Return a number that grows whenever an image is added, deleted, or changes its visibility."""
        row = self.db.row("SELECT value FROM revisions WHERE name = 'streams'")
        return int(row["value"]) if row else 0

    # Streams

    def streams(self) -> list[Stream]:
        """Return all streams, the newest first."""
        return [stream_of(row) for row in self.db.rows(f"{_STREAM} ORDER BY streams.id DESC")]

    def stream(self, slug: str) -> Stream | None:
        row = self.db.row(f"{_STREAM} WHERE slug = ?", (slug,))
        return stream_of(row) if row else None

    def add_stream(self, stream: Stream) -> bool:
        """Add a stream; return False if the slug is taken, also by a stream in the trash."""
        with self.db.write() as conn:
            return (
                conn.execute(
                    "INSERT INTO streams (slug, title, description, visibility, owner_id, created_at) SELECT ?, ?, ?, ?, ?, ?"
                    " WHERE NOT EXISTS (SELECT 1 FROM trashed_streams WHERE slug = ?) ON CONFLICT (slug) DO NOTHING",
                    (
                        stream.slug,
                        stream.title,
                        stream.description,
                        stream.visibility.value,
                        stream.owner_id,
                        stream.created_at,
                        stream.slug,
                    ),
                ).rowcount
                == 1
            )

    def update_stream(self, stream_id: int, values: Mapping[str, str]) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        with self.db.write() as conn:
            conn.execute(f"UPDATE streams SET {names} WHERE id = ?", (*values.values(), stream_id))

    def delete_stream(self, stream_id: int) -> list[tuple[str, str]]:
        """Delete a stream with its images, also those in the trash; return (image id, file path) of originals that are orphans now."""
        with self.db.write() as conn:
            rows = conn.execute(
                "SELECT id, file_path FROM stream_images WHERE stream_id = ?"
                " UNION ALL SELECT id, file_path FROM trashed_images WHERE stream_id = ?",
                (stream_id, stream_id),
            ).fetchall()
            conn.executemany(STRAY, ((r["file_path"], r["id"]) for r in rows))
            # Row by row, so that the triggers of the search see each of them.
            conn.execute("DELETE FROM stream_images WHERE stream_id = ?", (stream_id,))
            conn.execute("DELETE FROM trashed_images WHERE stream_id = ?", (stream_id,))
            conn.execute("DELETE FROM streams WHERE id = ?", (stream_id,))
        return [(row["id"], row["file_path"]) for row in rows]

    # Images

    def images(self, stream_id: int) -> list[StreamImage]:
        """Return the images of a stream in order."""
        rows = self.db.rows(f"{_IMAGE} WHERE stream_id = ? ORDER BY position, number", (stream_id,))
        return [image_of(row) for row in rows]

    def image_ids(self) -> list[str]:
        """Return the ids of all images, without those in the trash."""
        return [str(row["id"]) for row in self.db.rows("SELECT id FROM stream_images")]

    def image(self, image_id: str) -> tuple[Stream, StreamImage] | None:
        """Return an image with its stream, by one statement whether it exists or not: timing reveals nothing."""
        row = self.db.row(
            "SELECT i.*, s.slug, s.title AS s_title, s.description AS s_description, s.visibility AS s_visibility, s.owner_id,"
            " s.created_at AS s_created_at, s.event_date, s.cover_id, s.shows_taken, coalesce(a.name, '') AS owner_name FROM stream_images AS i"
            " JOIN streams AS s ON s.id = i.stream_id LEFT JOIN accounts AS a ON a.id = s.owner_id WHERE i.id = ?",
            (image_id,),
        )
        if row is None:
            return None
        stream = Stream(
            row["stream_id"],
            row["slug"],
            row["s_title"],
            row["s_description"],
            ImageVisibility(row["s_visibility"]),
            row["owner_id"],
            row["owner_name"],
            row["s_created_at"],
            row["event_date"],
            row["cover_id"],
            bool(row["shows_taken"]),
        )
        return stream, image_of(row)

    def cover(self, stream: Stream, kinds: Sequence[ImageVisibility]) -> StreamImage | None:
        """Return the image that stands for a stream: its cover, else the first; of these visibilities, and never a sensitive one."""
        if not kinds:
            return None
        row = self.db.row(
            f"{_IMAGE} WHERE stream_id = ? AND stream_images.visibility IN ({parameter_marks(len(kinds))}) AND is_sensitive = 0"
            " ORDER BY stream_images.id != ?, position, number LIMIT 1",
            (stream.id, *(kind.value for kind in kinds), stream.cover_id),
        )
        return image_of(row) if row else None

    def totals(self, stream_id: int | None = None) -> dict[int, dict[ImageVisibility, tuple[int, int, int]]]:
        """Return (images, bytes, most views of one image) for each stream and visibility."""
        where, values = ("", ()) if stream_id is None else (" WHERE stream_id = ?", (stream_id,))
        found: dict[int, dict[ImageVisibility, tuple[int, int, int]]] = {}
        for row in self.db.rows(
            "SELECT stream_id, visibility, count(*) AS n, sum(size_bytes) AS bytes, max(view_count) AS most"
            f" FROM stream_images{where} GROUP BY stream_id, visibility",
            values,
        ):
            found.setdefault(row["stream_id"], {})[ImageVisibility(row["visibility"])] = (row["n"], row["bytes"], row["most"])
        return found

    def search(self, text: str, stream_id: int | None = None) -> list[StreamImage]:
        """Return the images whose title or description has every search word, or a word that begins with it; best first."""
        terms = search_terms(text)
        if not terms:
            return []
        where = " AND stream_id = ?" if stream_id is not None else ""
        rows = self.db.rows(
            f"{_IMAGE} JOIN image_words ON image_words.rowid = stream_images.number"
            f" WHERE image_words MATCH ?{where} ORDER BY rank, stream_images.number",
            (terms, *(() if stream_id is None else (stream_id,))),
        )
        return [image_of(row) for row in rows]

    def count_streams(self) -> int:
        return int(self.db.rows("SELECT count(*) FROM streams")[0][0])

    def count(self, conn: Connection, stream_id: int) -> int:
        """Return how many images of a stream count against its limit: those in the trash as well."""
        sql = "SELECT (SELECT count(*) FROM stream_images WHERE stream_id = ?) + (SELECT count(*) FROM trashed_images WHERE stream_id = ?)"
        return int(conn.execute(sql, (stream_id, stream_id)).fetchone()[0])

    def duplicate_of(self, conn: Connection, stream_id: int, sha256: bytes) -> str | None:
        """Return the id of the image in the stream that has the same bytes."""
        row = conn.execute("SELECT id FROM stream_images WHERE stream_id = ? AND sha256 = ?", (stream_id, sha256)).fetchone()
        return row["id"] if row else None

    def mask(self, image_id: str) -> "Mask | None":
        """Return what viewers do not get of a video; None if there is none of this id."""
        from image_cache.imaging.video.mask import Mask

        row = self.db.row("SELECT mask FROM stream_images WHERE id = ? AND duration_s IS NOT NULL", (image_id,))
        return Mask.parse(row["mask"]) if row else None

    def add_image(self, conn: Connection, stream_id: int, image: StreamImage, sha256: bytes, mask: str = "") -> None:
        """Append an image; its original is no orphan any more. `mask` is that of a video."""
        conn.execute(
            "INSERT INTO stream_images (id, stream_id, filename, file_path, visibility, title, description, folded, is_sensitive,"
            " position, size_bytes, width, height, format, sha256, average, created_at, view_count, taken_at,"
            " duration_s, mask, is_animated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT coalesce(max(position), 0) + 1 FROM stream_images WHERE stream_id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                image.image_id,
                stream_id,
                image.filename,
                image.file_path,
                image.visibility.value,
                image.title,
                image.description,
                respellings((image.title, image.description)),
                int(image.is_sensitive),
                stream_id,
                image.size_bytes,
                *image.dimensions,
                image.format,
                sha256,
                image.average,
                datetime.datetime.fromisoformat(image.created_at).timestamp(),
                image.view_count,
                image.taken_at,
                image.duration_s,
                mask,
                int(image.is_animated),
            ),
        )
        conn.execute("DELETE FROM stray_originals WHERE file_path = ?", (image.file_path,))

    def update_image(self, image: StreamImage, stream_id: int, *, position: int | None = None) -> bool:
        """Write the changeable columns of an image; `position` (from 1) moves it. Return False if it is gone."""
        with self.db.write() as conn:
            changed = conn.execute(
                "UPDATE stream_images SET visibility = ?, title = ?, description = ?, folded = ?, is_sensitive = ? WHERE id = ?",
                (
                    image.visibility.value,
                    image.title,
                    image.description,
                    respellings((image.title, image.description)),
                    int(image.is_sensitive),
                    image.image_id,
                ),
            ).rowcount
            if changed and position is not None:
                rows = conn.execute(
                    "SELECT number, id FROM stream_images WHERE stream_id = ? ORDER BY position, number", (stream_id,)
                )
                order = [(row["id"], row["number"]) for row in rows]
                moved = next(entry for entry in order if entry[0] == image.image_id)
                order.remove(moved)
                order.insert(max(0, position - 1), moved)
                conn.executemany(
                    "UPDATE stream_images SET position = ? WHERE number = ? AND position != ?",
                    ((place, number, place) for place, (_, number) in enumerate(order, 1)),
                )
            return bool(changed)

    def set_created_and_views(self, image_id: str, created_at: float | None, views: int) -> None:
        """Set the creation time and the views of an imported image."""
        with self.db.write() as conn:
            conn.execute(
                "UPDATE stream_images SET created_at = coalesce(?, created_at), view_count = ? WHERE id = ?",
                (created_at, views, image_id),
            )

    def delete_image(self, image_id: str) -> bool:
        """Delete an image; its original is an orphan from now on. Return False if there is none."""
        with self.db.write() as conn:
            row = conn.execute("DELETE FROM stream_images WHERE id = ? RETURNING file_path", (image_id,)).fetchone()
            if row is not None:
                conn.execute(STRAY, (row["file_path"], image_id))
            return row is not None

    # Views

    def add_views(self, views: Mapping[tuple[str, str], int], last_at: Mapping[str, float]) -> None:
        """Add views, given as {(image id, day): count}. Those of deleted images are dropped."""
        with self.db.write() as conn:
            for (image_id, day), count in views.items():
                row = conn.execute(
                    "UPDATE stream_images SET view_count = view_count + ?, last_viewed_at = ? WHERE id = ? RETURNING number",
                    (count, last_at.get(image_id), image_id),
                ).fetchone()
                if row is not None:
                    conn.execute(
                        "INSERT INTO image_views VALUES (?, ?, ?) ON CONFLICT (image_number, day) DO UPDATE"
                        " SET views = image_views.views + excluded.views",
                        (row["number"], day, count),
                    )

    def views(self, image_ids: Iterable[str], since_day: str) -> dict[str, dict[str, int]]:
        """Return {day: views} for each image that has any."""
        found: dict[str, dict[str, int]] = {}
        ids = list(image_ids)
        for start in range(0, len(ids), IDS_PER_STATEMENT):
            chunk = ids[start : start + IDS_PER_STATEMENT]
            for row in self.db.rows(
                "SELECT id, day, views FROM image_views JOIN stream_images ON number = image_number"
                f" WHERE id IN ({parameter_marks(len(chunk))}) AND day >= ? ORDER BY day",
                (*chunk, since_day),
            ):
                found.setdefault(row["id"], {})[row["day"]] = row["views"]
        return found


def search_terms(text: str) -> str:
    """Return a full-text query for a visitor's words; each is quoted, so nothing in them is syntax. Empty without a word."""
    text = "".join(" " if char in '\0"' or "\ud800" <= char <= "\udfff" else char for char in text[:MAX_QUERY_CHARS])
    words = [word for word in text.lower().split() if any(char.isalnum() for char in word)]
    return " ".join(f'"{word}" *' for word in list(dict.fromkeys(words))[:MAX_QUERY_WORDS])


def stream_of(row: Row) -> Stream:
    values = dict(row)
    return Stream(**values | {"visibility": ImageVisibility(row["visibility"]), "shows_taken": bool(row["shows_taken"])})


def image_of(row: Row | Mapping[str, Any]) -> StreamImage:
    return StreamImage(
        image_id=row["id"],
        stream_id=row["slug"],
        filename=row["filename"],
        file_path=row["file_path"],
        visibility=ImageVisibility(row["visibility"]),
        title=row["title"],
        description=row["description"],
        size_bytes=row["size_bytes"],
        dimensions=(row["width"], row["height"]),
        view_count=row["view_count"],
        created_at=iso_utc(row["created_at"]),
        last_accessed=iso_utc(row["last_viewed_at"]) if row["last_viewed_at"] else None,
        is_sensitive=bool(row["is_sensitive"]),
        position=row["position"],
        format=row["format"],
        average=row["average"],
        number=row["number"],
        taken_at=row["taken_at"],
        duration_s=row["duration_s"],
        is_animated=bool(row["is_animated"]),
    )
