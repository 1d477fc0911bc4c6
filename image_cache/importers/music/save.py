"""Album writer: saves the albums of scanned folders. It recognises an album that was retagged, or whose folder has moved."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.frozen import frozen
from image_cache.importers.music.albums import FoundAlbum
from image_cache.importers.music.table import MUSIC, MusicFolder, MusicRoot, MusicTable
from image_cache.models import Album
from image_cache.records.batches.imports import ImportBatch, ImportedAlbums
from image_cache.records.merge import create_album, merge_row
from image_cache.tables.cells import MAX_OWN_CHARS
from image_cache.text import sort_key

FoundAlbums = Sequence[tuple[FoundAlbum, str | None]]  # each with the address of its cover


@frozen
class FolderResult:
    """A folder whose files were read and that is not saved yet. `discs` are other folders of its album, `parts` folders in it."""

    folder: MusicFolder
    albums: FoundAlbums
    newest_s: float
    discs: Sequence[MusicFolder] = ()
    parts: Sequence[str] = ()


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
        batch: ImportBatch | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._albums = ImportedAlbums(catalog, batch)
        self._rows = rows
        self._root = root
        self._conn = conn
        self._now = now
        self._folder_exists = folder_exists

    def write(self, result: FolderResult) -> None:
        """Write a folder and its albums. An album is known by its name and folder; else it was retagged; else it has moved here.

        Folders that are discs of one album had a record each before: one of these stays and gets what the others have of their owner.
        """
        folder = result.folder
        found = [one for one in result.albums if not (self._albums.hidden and self._is_hidden(folder, one[0]))]
        folder_id = self._rows.save_folder(self._conn, self._root.id, folder)
        missing = self._albums_in(folder_id)
        parts = [self._rows.folder_id(self._conn, self._root.id, path) for path in result.parts]
        of_parts = [part for part in parts if part is not None and part != folder_id]
        of_discs = [self._rows.save_folder(self._conn, self._root.id, disc) for disc in result.discs]
        of_others = {album.id: album for other in (*of_discs, *of_parts) for album in self._albums_in(other).values()}
        unknown: list[tuple[FoundAlbum, str | None]] = []
        kept: list[int] = []

        def keep(before: Album, album: FoundAlbum, cover: str | None) -> None:
            missing.pop(before.id, None)
            of_others.pop(before.id, None)
            kept.append(before.id)
            self._change(folder_id, before, album, cover, self._source_id(folder, album))

        for album, cover in found:
            before = self._albums.by_identity(MUSIC, self._source_id(folder, album))
            if before is None:
                unknown.append((album, cover))
            else:
                keep(before, album, cover)
        for album, cover in list(unknown):
            if before := _namesake(album, (missing | of_others).values()):
                unknown.remove((album, cover))
                keep(before, album, cover)
        heirs = list(missing.values()) or (list(of_others.values())[:1] if len(found) == 1 else [])
        if len(unknown) == 1 and len(heirs) == 1:
            keep(heirs[0], *unknown.pop())
        for album, cover in unknown:
            kept.append(self._add(folder, folder_id, album, cover, result.newest_s))
        if len(found) == 1:
            inherited = [*of_others.values(), *(album for album in missing.values() if _namesake(found[0][0], [album]))]
            for other in inherited:
                self._inherit(kept[0], other)
        gone = sorted(missing | of_others)
        self.counts["gone"] += self._rows.mark_gone(self._conn, gone, self._now)
        for album_id in gone:
            self._rows.clear_folder(self._conn, album_id)
        for part in of_parts:
            self._rows.delete_folder(self._conn, part)

    def _albums_in(self, folder_id: int) -> dict[int, Album]:
        found = (self._by_id(album_id) for album_id in self._rows.albums_of(self._conn, folder_id))
        return {album.id: album for album in found if album is not None}

    def _inherit(self, album_id: int, other: Album) -> None:
        """Move what is its owner's, and not of its source, from one album to another: plays, notes, rating, cover."""
        album, known = self._by_id(album_id), self._by_id(other.id)
        if album is None or known is None:
            return
        notes = "\n".join(filter(None, (album.own_notes, known.own_notes)))
        has_room = len(notes) <= MAX_OWN_CHARS
        takes_cover = album.own_cover is None
        after = replace(
            album,
            plays=album.plays + known.plays,
            last_played_at=max(album.last_played_at or 0.0, known.last_played_at or 0.0) or None,
            own_notes=notes if has_room else album.own_notes,
            own_cover=known.own_cover if takes_cover else album.own_cover,
        )
        left = replace(
            known,
            plays=0,
            last_played_at=None,
            own_notes="" if has_room else known.own_notes,
            own_cover=None if takes_cover else known.own_cover,
        )
        for before, now in ((album, after), (known, left)):
            if now != before:
                self._albums.update(self._conn, before, now)
        self._rows.move_own(self._conn, known.id, album.id)

    def _add(self, folder: MusicFolder, folder_id: int, found: FoundAlbum, cover: str | None, newest_s: float) -> int:
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
                    return before.id
        inserted = self._albums.insert(self._conn, album)
        self.counts["new"] += 1
        self._rows.set_folder(self._conn, inserted, folder_id)
        return inserted

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

    def _is_hidden(self, folder: MusicFolder, found: FoundAlbum) -> bool:
        source_id = self._source_id(folder, found)
        is_hidden = self._albums.hidden.has(MUSIC, source_id) or self._albums.hidden.has_names(found.row.artist, found.row.title)
        return is_hidden and self._albums.by_identity(MUSIC, source_id) is None

    def _source_id(self, folder: MusicFolder, found: FoundAlbum) -> str:
        text = f"{self._root.name}\0{folder.path}\0{found.key}"
        return f"folder-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def _by_id(self, album_id: int) -> Album | None:
        known = self._albums.album(album_id)
        return None if known is None else self._albums.by_identity(known.source, known.source_id)


def _namesake(found: FoundAlbum, albums: Iterable[Album]) -> Album | None:
    """Return the first album with the artist and title of one that was found."""
    names = sort_key(found.row.artist), sort_key(found.row.title)
    return next((album for album in albums if (album.artist_sort, album.title_sort) == names), None)
