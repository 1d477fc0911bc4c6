"""The tables of `catalog.db` about folders of music: what the last scan found where. Statements only."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.importers.music.albums import FoundAlbum
from image_cache.models import Album
from image_cache.records.merge import create_album, merge_row
from image_cache.records.table import AlbumTable

MUSIC = "music"  # the source of albums that lie in folders
AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class MusicRoot:
    """A root as it was found last. `path` is as it was named, `real_path` free of links; `state` is new, well or gone.

    `mounts` are those of `mounts_of` when it was looked at last, `whole_mounts` when all of it was seen.
    """

    id: int
    name: str
    path: str
    real_path: str
    mounts: tuple[str, ...] = ()
    whole_mounts: tuple[str, ...] = ()
    state: str = "new"
    says: str = ""
    scanned_at: float | None = None
    folders: int = 0
    files: int = 0
    albums: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class MusicFolder:
    """A folder as it was found last. `path` is percent-encoded, below its root; `left_out` counts files that are in no album."""

    id: int
    path: str
    mark: bytes
    files: int = 0
    left_out: int = 0


class MusicTable:
    """Roots, folders, and which albums lie in them. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def roots(self) -> list[MusicRoot]:
        """Return every root that was ever known, with its totals."""
        return [
            _root(row)
            for row in self.db.rows(
                "SELECT r.*, count(f.id) AS folders, coalesce(sum(f.files), 0) AS files, coalesce(sum(f.left_out), 0) AS left_out,"
                " (SELECT count(*) FROM music_albums AS a JOIN music_folders AS g ON g.id = a.folder_id WHERE g.root_id = r.id) AS albums"
                " FROM music_roots AS r LEFT JOIN music_folders AS f ON f.root_id = r.id GROUP BY r.id ORDER BY r.id"
            )
        ]

    def places(self) -> list[MusicRoot]:
        """Return where every root is, without its totals."""
        sql = "SELECT id, name, path, real_path FROM music_roots ORDER BY id"
        return [MusicRoot(row["id"], row["name"], row["path"], row["real_path"]) for row in self.db.rows(sql)]

    def keep_root(self, conn: Connection, name: str, path: str, real_path: str) -> None:
        """Write where a root is."""
        conn.execute(
            "INSERT INTO music_roots (name, path, real_path, state) VALUES (?, ?, ?, 'new')"
            " ON CONFLICT (name) DO UPDATE SET path = excluded.path, real_path = excluded.real_path",
            (name, path, real_path),
        )

    def looked(self, root_id: int, mounts: Sequence[str], state: str, says: str) -> None:
        with self.db.write() as conn:
            conn.execute(
                "UPDATE music_roots SET mounts = ?, state = ?, says = ? WHERE id = ?", (json.dumps(mounts), state, says, root_id)
            )

    def scanned(self, root: MusicRoot, now: float) -> None:
        """Note that a scan saw all of a root, or all but what `says` names."""
        with self.db.write() as conn:
            conn.execute(
                "UPDATE music_roots SET mounts = ?, whole_mounts = ?, state = ?, says = ?, scanned_at = ? WHERE id = ?",
                (json.dumps(root.mounts), json.dumps(root.whole_mounts), root.state, root.says, now, root.id),
            )

    def folder(self, root_id: int, path: str) -> MusicFolder | None:
        row = self.db.row("SELECT id, path, mark FROM music_folders WHERE root_id = ? AND path = ?", (root_id, path))
        return MusicFolder(row["id"], row["path"], row["mark"]) if row else None

    def folders(self, root_id: int) -> Iterator[MusicFolder]:
        """Yield the folders of a root by path, in chunks."""
        last = None
        sql = "SELECT id, path, mark FROM music_folders WHERE root_id = ? AND (? IS NULL OR path > ?) ORDER BY path LIMIT ?"
        while rows := self.db.rows(sql, (root_id, last, last, AT_A_TIME)):
            yield from (MusicFolder(row["id"], row["path"], row["mark"]) for row in rows)
            last = rows[-1]["path"]

    def files(self, root_id: int) -> int:
        row = self.db.row("SELECT coalesce(sum(files), 0) AS n FROM music_folders WHERE root_id = ?", (root_id,))
        return int(row["n"]) if row else 0

    def keep_folder(self, conn: Connection, root_id: int, folder: MusicFolder) -> int:
        """Write what a folder is like now; its id is ignored. Returns the id."""
        row = conn.execute(
            "INSERT INTO music_folders (root_id, path, mark, files, left_out) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (root_id, path) DO UPDATE SET mark = excluded.mark, files = excluded.files, left_out = excluded.left_out"
            " RETURNING id",
            (root_id, folder.path, folder.mark, folder.files, folder.left_out),
        ).fetchone()
        return int(row["id"])

    def forget_folder(self, conn: Connection, folder_id: int) -> None:
        """Forget a folder, and that albums lay in it. The albums stay."""
        conn.execute("DELETE FROM music_folders WHERE id = ?", (folder_id,))

    def id_of(self, conn: Connection, source_id: str) -> int:
        """Return the id of an album that lies in a folder."""
        return int(conn.execute("SELECT id FROM albums WHERE source = ? AND source_id = ?", (MUSIC, source_id)).fetchone()["id"])

    def albums_of(self, conn: Connection, folder_id: int) -> list[int]:
        return [
            row["album_id"]
            for row in conn.execute("SELECT album_id FROM music_albums WHERE folder_id = ? ORDER BY album_id", (folder_id,))
        ]

    def place(self, conn: Connection, album_id: int, folder_id: int) -> None:
        """Note that an album lies in a folder, and in no other."""
        conn.execute("INSERT OR REPLACE INTO music_albums VALUES (?, ?)", (album_id, folder_id))

    def take_away(self, conn: Connection, album_id: int) -> None:
        conn.execute("DELETE FROM music_albums WHERE album_id = ?", (album_id,))

    def mark_gone(self, conn: Connection, album_ids: Sequence[int], now: float) -> int:
        """Mark albums as gone; return how many were not before."""
        done = 0
        for album_id in album_ids:
            done += conn.execute("UPDATE albums SET gone_at = ? WHERE id = ? AND gone_at IS NULL", (now, album_id)).rowcount
        return done

    def namesakes(self, conn: Connection, album: Album) -> list[tuple[int, str | None, int | None]]:
        """Return (id, path of its folder, root id) of the albums in folders that have the artist and title of another; no path: gone."""
        rows = conn.execute(
            "SELECT a.id, f.path, f.root_id FROM albums AS a LEFT JOIN music_albums AS m ON m.album_id = a.id"
            " LEFT JOIN music_folders AS f ON f.id = m.folder_id"
            " WHERE a.artist_sort = ? AND a.title_sort = ? AND a.source = ? ORDER BY a.id",
            (album.artist_sort, album.title_sort, MUSIC),
        )
        return [(row["id"], row["path"], row["root_id"]) for row in rows]


def _root(row: Row) -> MusicRoot:
    lists = {name: tuple(json.loads(row[name])) for name in ("mounts", "whole_mounts")}
    return MusicRoot(**{**dict(row), **lists})


Finds = Sequence[tuple[FoundAlbum, str | None]]


class AlbumWriter:
    """Writes the albums of folders in one transaction. `counts` are how many were new, changed, moved, back, gone.

    `is_there(root id, path)` tells whether a folder still exists, for albums that may have moved.
    """

    def __init__(
        self,
        catalog: CatalogDatabase,
        rows: MusicTable,
        root: MusicRoot,
        *,
        conn: Connection,
        now: float,
        is_there: Callable[[int, str], bool],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._albums = AlbumTable(catalog)
        self._rows = rows
        self._root = root
        self._conn = conn
        self._now = now
        self._is_there = is_there

    def write(self, folder: MusicFolder, finds: Finds, newest_s: float) -> None:
        """Write a folder and its albums. Who is who: the same name in the same place; one that was retagged; one that moved here."""
        folder_id = self._rows.keep_folder(self._conn, self._root.id, folder)
        here = set(self._rows.albums_of(self._conn, folder_id))
        lost: list[tuple[FoundAlbum, str | None]] = []
        for find, cover in finds:
            before = self._albums.by_identity(MUSIC, self._source_id(folder, find))
            if before is None:
                lost.append((find, cover))
            else:
                here.discard(before.id)
                self._change(folder_id, before, find, cover, before.source_id)
        if len(lost) == 1 and len(here) == 1:
            before = self._by_id(here.pop())
            if before is not None:
                find, cover = lost.pop()
                self._change(folder_id, before, find, cover, self._source_id(folder, find))
        for find, cover in lost:
            self._add(folder, folder_id, find, cover, newest_s)
        self.counts["gone"] += self._rows.mark_gone(self._conn, sorted(here), self._now)
        for album_id in here:
            self._rows.take_away(self._conn, album_id)

    def _add(self, folder: MusicFolder, folder_id: int, find: FoundAlbum, cover: str | None, newest_s: float) -> None:
        source_id = self._source_id(folder, find)
        # The first scan of a collection dates records by their files; what comes in later came in now.
        dated = min(newest_s, self._now) if self._root.scanned_at is None and newest_s > 0 else self._now
        row = replace(find.row, cover_url=cover, added_at=float(int(dated)))
        album = replace(create_album(row, MUSIC, source_id, self._now), seen_at=self._now)
        for album_id, path, root_id in self._rows.namesakes(self._conn, album):
            if path is None or root_id is None or (path != folder.path and not self._is_there(root_id, path)):
                before = self._by_id(album_id)
                if before is not None:
                    self._change(folder_id, before, find, cover, source_id, word="moved")
                    return
        self._albums.insert(self._conn, album)
        self.counts["new"] += 1
        self._rows.place(self._conn, self._rows.id_of(self._conn, source_id), folder_id)

    def _change(
        self, folder_id: int, before: Album, find: FoundAlbum, cover: str | None, source_id: str, *, word: str = "changed"
    ) -> None:
        # Tags are all that such a source has to say: what they do not say any more is taken back.
        after = replace(merge_row(before, find.row), source_id=source_id, year=find.row.year, cover_url=cover, gone_at=None)
        self._rows.place(self._conn, before.id, folder_id)
        if after == before:
            return
        self.counts[word if before.gone_at is None else "back"] += 1
        self._albums.update(self._conn, before, replace(after, seen_at=self._now))

    def _source_id(self, folder: MusicFolder, find: FoundAlbum) -> str:
        text = f"{self._root.name}\0{folder.path}\0{find.key}"
        return f"folder-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def _by_id(self, album_id: int) -> Album | None:
        known = self._albums.album(album_id)
        return None if known is None else self._albums.by_identity(known.source, known.source_id)
