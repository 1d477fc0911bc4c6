"""Album writer: saves the albums of scanned folders. It recognises an album that was retagged, or whose folder has moved."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.importers.music.albums import FoundAlbum
from image_cache.importers.music.table import MUSIC, MusicFolder, MusicRoot, MusicTable
from image_cache.models import Album
from image_cache.records.merge import create_album, merge_row
from image_cache.records.table import AlbumTable

FoundAlbums = Sequence[tuple[FoundAlbum, str | None]]  # each with the address of its cover


class AlbumWriter:
    """Writes the albums of folders in one transaction. `counts` are how many were new, changed, moved, back, gone.

    `folder_exists(root id, path)` returns whether a folder still exists, for albums that may have moved.
    """

    def __init__(
        self,
        catalog: CatalogDatabase,
        rows: MusicTable,
        root: MusicRoot,
        *,
        conn: Connection,
        now: float,
        folder_exists: Callable[[int, str], bool],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._albums = AlbumTable(catalog)
        self._rows = rows
        self._root = root
        self._conn = conn
        self._now = now
        self._folder_exists = folder_exists

    def write(self, folder: MusicFolder, found: FoundAlbums, newest_s: float) -> None:
        """Write a folder and its albums. An album is known by its name and folder; else it was retagged; else it has moved here."""
        folder_id = self._rows.save_folder(self._conn, self._root.id, folder)
        missing = set(self._rows.albums_of(self._conn, folder_id))
        unknown: list[tuple[FoundAlbum, str | None]] = []
        for album, cover in found:
            before = self._albums.by_identity(MUSIC, self._source_id(folder, album))
            if before is None:
                unknown.append((album, cover))
            else:
                missing.discard(before.id)
                self._change(folder_id, before, album, cover, before.source_id)
        if len(unknown) == 1 and len(missing) == 1:
            before = self._by_id(missing.pop())
            if before is not None:
                album, cover = unknown.pop()
                self._change(folder_id, before, album, cover, self._source_id(folder, album))
        for album, cover in unknown:
            self._add(folder, folder_id, album, cover, newest_s)
        self.counts["gone"] += self._rows.mark_gone(self._conn, sorted(missing), self._now)
        for album_id in missing:
            self._rows.clear_folder(self._conn, album_id)

    def _add(self, folder: MusicFolder, folder_id: int, found: FoundAlbum, cover: str | None, newest_s: float) -> None:
        source_id = self._source_id(folder, found)
        # The first scan of a collection dates records by their files; those of later scans were added now.
        dated = min(newest_s, self._now) if self._root.scanned_at is None and newest_s > 0 else self._now
        row = replace(found.row, cover_url=cover, added_at=float(int(dated)))
        album = replace(create_album(row, MUSIC, source_id, self._now), seen_at=self._now)
        for album_id, path, root_id in self._rows.namesakes(self._conn, album):
            if path is None or root_id is None or (path != folder.path and not self._folder_exists(root_id, path)):
                before = self._by_id(album_id)
                if before is not None:
                    self._change(folder_id, before, found, cover, source_id, word="moved")
                    return
        self._albums.insert(self._conn, album)
        self.counts["new"] += 1
        self._rows.set_folder(self._conn, self._rows.id_of(self._conn, source_id), folder_id)

    def _change(
        self, folder_id: int, before: Album, found: FoundAlbum, cover: str | None, source_id: str, *, word: str = "changed"
    ) -> None:
        # This source has nothing but the tags: a value that they no longer have is removed.
        after = replace(merge_row(before, found.row), source_id=source_id, year=found.row.year, cover_url=cover, gone_at=None)
        self._rows.set_folder(self._conn, before.id, folder_id)
        if after == before:
            return
        self.counts[word if before.gone_at is None else "back"] += 1
        self._albums.update(self._conn, before, replace(after, seen_at=self._now))

    def _source_id(self, folder: MusicFolder, found: FoundAlbum) -> str:
        text = f"{self._root.name}\0{folder.path}\0{found.key}"
        return f"folder-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def _by_id(self, album_id: int) -> Album | None:
        known = self._albums.album(album_id)
        return None if known is None else self._albums.by_identity(known.source, known.source_id)
