"""What a scan writes down: albums of a folder, found again by where they lie, by what they were, or new. In the caller's transaction."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.importers.music.albums import FoundAlbum
from image_cache.importers.music.save import MUSIC, MusicFolder, MusicRoot, MusicTable
from image_cache.models import Album
from image_cache.records.merge import created, merged
from image_cache.records.table import AlbumTable

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

    def keep(self, folder: MusicFolder, finds: Finds, newest_s: float) -> None:
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
        album = replace(created(row, MUSIC, source_id, self._now), seen_at=self._now)
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
        after = replace(merged(before, find.row), source_id=source_id, year=find.row.year, cover_url=cover, gone_at=None)
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
