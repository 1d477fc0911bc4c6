"""Further images of a record: its back, inner sleeve, label. Uploaded, checked and stored as covers are."""

import logging
from typing import BinaryIO

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import ImageRejected, UnknownAlbum
from image_cache.importers.artwork.choose import CoverEditor
from image_cache.importers.artwork.images_table import RecordImage, RecordImageTable
from image_cache.models import Album

logger = logging.getLogger(__name__)

KINDS = {"back": "Back", "inner": "Inner sleeve", "label": "Label", "insert": "Insert", "other": "Other"}
MAX_IMAGES = 12  # of a record


class RecordImages:
    """What users do about further images. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase, editor: CoverEditor) -> None:
        self._rows = RecordImageTable(catalog)
        self._editor = editor

    def of(self, album_id: int) -> list[RecordImage]:
        """Return the images of a record in their order."""
        return self._rows.of(album_id)

    def upload(self, album: Album, file: BinaryIO | bytes, kind: str) -> None:
        """Add an uploaded image at the end. Raises as `CoverEditor.upload`, and `ImageRejected` for one too many."""
        address, body = self._editor.store(file)
        if not self._rows.add(album.id, kind if kind in KINDS else "other", address, MAX_IMAGES):
            is_there = self._rows.has(album.id, address)
            self._editor.delete_unused(address)
            if is_there:
                raise ImageRejected("this record has this image already")
            if not self._editor.rows.album(album.id):
                raise UnknownAlbum(album.id)
            raise ImageRejected(f"a record can have {MAX_IMAGES} further images. Remove one to add another")
        self._editor.keep(address, body)
        logger.info("record image added album=%s", album.id)

    def move(self, album: Album, image_id: int, *, is_later: bool) -> bool:
        """Move an image one place; False if it is at that end, or gone."""
        return self._rows.move(album.id, image_id, is_later=is_later)

    def remove(self, album: Album, image_id: int) -> bool:
        """Remove an image, and its file unless something else shows it; False if it was gone."""
        address = self._rows.remove(album.id, image_id)
        self._editor.delete_unused(address)
        return address is not None
