"""Music tables of `catalog.db`: roots, their folders, and which albums the last scan found in them. Statements only."""

import json
from collections.abc import Iterator, Sequence

from image_cache.db.catalog import CatalogDatabase, gone_changed
from image_cache.db.database import Connection, Row
from image_cache.frozen import frozen
from image_cache.models import Album

MUSIC = "music"  # the source of albums from folders, and the kind of the task that scans them
AT_A_TIME = 500


@frozen
class MusicRoot:
    """A root as the last scan found it. `path` is as configured, `real_path` free of links; `state` is new, well, part or gone.

    `mounts` are those of `mounts_of` at the last check, `whole_mounts` those of the last complete scan.
    """

    id: int
    name: str
    path: str
    real_path: str
    mounts: tuple[str, ...] = ()
    whole_mounts: tuple[str, ...] = ()
    state: str = "new"
    message: str = ""
    scanned_at: float | None = None
    folders: int = 0
    files: int = 0
    albums: int = 0
    left_out: int = 0


@frozen
class MusicFolder:
    """A folder as the last scan found it. `path` is percent-encoded, below its root; `left_out` counts files in no album.

    `mark` changes if any of its files does. Folders that are discs of one album have one mark: that of all their files.
    """

    id: int
    path: str
    mark: bytes
    files: int = 0
    left_out: int = 0


class MusicTable:
    """Roots, folders, and which albums are in them. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def roots(self) -> list[MusicRoot]:
        """Return every root that was ever configured, with its totals."""
        return [
            _root(row)
            for row in self.db.rows(
                "SELECT r.*, count(f.id) AS folders, coalesce(sum(f.files), 0) AS files, coalesce(sum(f.left_out), 0) AS left_out,"
                " (SELECT count(*) FROM music_albums AS a JOIN music_folders AS g ON g.id = a.folder_id WHERE g.root_id = r.id) AS albums"
                " FROM music_roots AS r LEFT JOIN music_folders AS f ON f.root_id = r.id GROUP BY r.id ORDER BY r.id"
            )
        ]

    def root_paths(self) -> list[MusicRoot]:
        """Return every root without its totals: id, name and paths only."""
        sql = "SELECT id, name, path, real_path FROM music_roots ORDER BY id"
        return [MusicRoot(row["id"], row["name"], row["path"], row["real_path"]) for row in self.db.rows(sql)]

    def save_root(self, conn: Connection, name: str, path: str, real_path: str) -> None:
        conn.execute(
            "INSERT INTO music_roots (name, path, real_path, state) VALUES (?, ?, ?, 'new')"
            " ON CONFLICT (name) DO UPDATE SET path = excluded.path, real_path = excluded.real_path",
            (name, path, real_path),
        )

    def record_check(self, root_id: int, mounts: Sequence[str], state: str, message: str) -> None:
        with self.db.write() as conn:
            conn.execute(
                "UPDATE music_roots SET mounts = ?, state = ?, says = ? WHERE id = ?",
                (json.dumps(mounts), state, message, root_id),
            )

    def record_scan(self, root: MusicRoot, now: float) -> None:
        """Record a scan of a whole root, or of all but what its message names."""
        with self.db.write() as conn:
            conn.execute(
                "UPDATE music_roots SET mounts = ?, whole_mounts = ?, state = ?, says = ?, scanned_at = ? WHERE id = ?",
                (json.dumps(root.mounts), json.dumps(root.whole_mounts), root.state, root.message, now, root.id),
            )

    def folder(self, root_id: int, path: str) -> MusicFolder | None:
        row = self.db.row("SELECT id, path, mark FROM music_folders WHERE root_id = ? AND path = ?", (root_id, path))
        return MusicFolder(row["id"], row["path"], row["mark"]) if row else None

    def folders(self, root_id: int) -> Iterator[MusicFolder]:
        """Yield the folders of a root by path, in chunks."""
        sql = "SELECT id, path, mark FROM music_folders WHERE root_id = ?{} ORDER BY path LIMIT ?"
        rows = self.db.rows(sql.format(""), (root_id, AT_A_TIME))
        while rows:
            yield from (MusicFolder(row["id"], row["path"], row["mark"]) for row in rows)
            rows = self.db.rows(sql.format(" AND path > ?"), (root_id, rows[-1]["path"], AT_A_TIME))

    def discs(self, root_id: int) -> dict[bytes, list[str]]:
        """Return the paths of folders that are discs of one album, by their mark."""
        found: dict[bytes, list[str]] = {}
        sql = (
            "SELECT mark, path FROM music_folders WHERE root_id = ? AND mark IN"
            " (SELECT mark FROM music_folders WHERE root_id = ? AND mark <> ? GROUP BY mark HAVING count(*) > 1) ORDER BY path"
        )
        for row in self.db.rows(sql, (root_id, root_id, b"")):
            found.setdefault(row["mark"], []).append(row["path"])
        return found

    def folders_with(self, root_id: int, artist_sort: str, title_sort: str) -> list[str]:
        """Return the paths of the folders that have an album of this artist and title."""
        rows = self.db.rows(
            "SELECT f.path FROM albums AS a JOIN music_albums AS m ON m.album_id = a.id JOIN music_folders AS f ON f.id = m.folder_id"
            " WHERE a.artist_sort = ? AND a.title_sort = ? AND a.source = ? AND f.root_id = ? ORDER BY f.path",
            (artist_sort, title_sort, MUSIC, root_id),
        )
        return [row["path"] for row in rows]

    def files(self, root_id: int) -> int:
        row = self.db.row("SELECT coalesce(sum(files), 0) AS n FROM music_folders WHERE root_id = ?", (root_id,))
        return int(row["n"]) if row else 0

    def save_folder(self, conn: Connection, root_id: int, folder: MusicFolder) -> int:
        """Write a folder, whose own `id` is ignored; return the id of its row."""
        row = conn.execute(
            "INSERT INTO music_folders (root_id, path, mark, files, left_out) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (root_id, path) DO UPDATE SET mark = excluded.mark, files = excluded.files, left_out = excluded.left_out"
            " RETURNING id",
            (root_id, folder.path, folder.mark, folder.files, folder.left_out),
        ).fetchone()
        return int(row["id"])

    def folder_id(self, conn: Connection, root_id: int, path: str) -> int | None:
        row = conn.execute("SELECT id FROM music_folders WHERE root_id = ? AND path = ?", (root_id, path)).fetchone()
        return None if row is None else int(row["id"])

    def delete_folder(self, conn: Connection, folder_id: int) -> None:
        """Delete a folder, and that albums were in it. The albums stay."""
        conn.execute("DELETE FROM music_folders WHERE id = ?", (folder_id,))

    def move_own(self, conn: Connection, from_id: int, to_id: int) -> None:
        """Move the single plays of an album to another, and the rating that was given here unless the other has one."""
        conn.execute("UPDATE plays SET album_id = ? WHERE album_id = ?", (to_id, from_id))
        moved = conn.execute(
            "UPDATE albums SET own_rating = (SELECT own_rating FROM albums WHERE id = ?) WHERE id = ? AND own_rating IS NULL",
            (from_id, to_id),
        )
        if moved.rowcount:
            conn.execute("UPDATE albums SET own_rating = NULL WHERE id = ?", (from_id,))

    def albums_of(self, conn: Connection, folder_id: int) -> list[int]:
        return [
            row["album_id"]
            for row in conn.execute("SELECT album_id FROM music_albums WHERE folder_id = ? ORDER BY album_id", (folder_id,))
        ]

    def set_folder(self, conn: Connection, album_id: int, folder_id: int) -> None:
        """Record the one folder that an album is in."""
        conn.execute(
            "INSERT INTO music_albums VALUES (?, ?) ON CONFLICT (album_id) DO UPDATE SET folder_id = excluded.folder_id",
            (album_id, folder_id),
        )

    def clear_folder(self, conn: Connection, album_id: int) -> None:
        conn.execute("DELETE FROM music_albums WHERE album_id = ?", (album_id,))

    def mark_gone(self, conn: Connection, album_ids: Sequence[int], now: float) -> int:
        """Mark albums as gone; return how many were not gone before."""
        count = 0
        for album_id in album_ids:
            count += conn.execute("UPDATE albums SET gone_at = ? WHERE id = ? AND gone_at IS NULL", (now, album_id)).rowcount
        if count:
            gone_changed(conn)
        return count

    def namesakes(self, conn: Connection, album: Album) -> list[tuple[int, str | None, int | None]]:
        """Return (id, path of its folder, root id) of the albums with the same artist and title; path None: it has gone."""
        rows = conn.execute(
            "SELECT a.id, f.path, f.root_id FROM albums AS a LEFT JOIN music_albums AS m ON m.album_id = a.id"
            " LEFT JOIN music_folders AS f ON f.id = m.folder_id"
            " WHERE a.artist_sort = ? AND a.title_sort = ? AND a.source = ? ORDER BY a.id",
            (album.artist_sort, album.title_sort, MUSIC),
        )
        return [(row["id"], row["path"], row["root_id"]) for row in rows]


def _root(row: Row) -> MusicRoot:
    values = dict(row)
    lists = {name: tuple(json.loads(values[name])) for name in ("mounts", "whole_mounts")}
    return MusicRoot(message=values.pop("says"), **{**values, **lists})
