"""Table module of changes of many images at once. SQL only; the rules are in `selection` and `moving`."""

from collections.abc import Sequence

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.models import StreamImage
from image_cache.streams.table import STRAY
from image_cache.text import respellings


class ImageChangeTable:
    """Any thread, several processes. Methods that take a connection are called within a `write()` block."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def update_images(self, images: Sequence[StreamImage]) -> list[StreamImage]:
        """Write visibility, sensitivity and title of images in one transaction; return those that there still were."""
        with self._db.write() as conn:
            return [
                image
                for image in images
                if conn.execute(
                    "UPDATE stream_images SET visibility = ?, is_sensitive = ?, title = ?, folded = ? WHERE id = ?",
                    (
                        image.visibility.value,
                        int(image.is_sensitive),
                        image.title,
                        respellings((image.title, image.description)),
                        image.image_id,
                    ),
                ).rowcount
            ]

    def set_order(self, stream_id: int, image_ids: Sequence[str]) -> None:
        """Number the images of a stream in this order."""
        with self._db.write() as conn:
            conn.executemany(
                "UPDATE stream_images SET position = ? WHERE id = ? AND stream_id = ? AND position != ?",
                ((place, image_id, stream_id, place) for place, image_id in enumerate(image_ids, 1)),
            )

    def sha256(self, conn: Connection, image_id: str) -> bytes:
        """Return the digest of the original; empty if the image is gone."""
        row = conn.execute("SELECT sha256 FROM stream_images WHERE id = ?", (image_id,)).fetchone()
        return bytes(row["sha256"]) if row else b""

    def move_image(self, conn: Connection, image: StreamImage, stream_id: int, file_path: str, position: int | None) -> bool:
        """Move an image to another stream, to its end or to a position; the original at its old path is an orphan from now on.

        Return False if the image is gone.
        """
        end = "(SELECT coalesce(max(position), 0) + 1 FROM stream_images WHERE stream_id = ?)"
        moved = conn.execute(
            f"UPDATE stream_images SET stream_id = ?, file_path = ?, position = coalesce(?, {end}) WHERE id = ?",
            (stream_id, file_path, position, stream_id, image.image_id),
        ).rowcount
        if moved:
            conn.execute("DELETE FROM stray_originals WHERE file_path = ?", (file_path,))
            conn.execute(STRAY, (image.file_path, image.image_id))
        return bool(moved)
