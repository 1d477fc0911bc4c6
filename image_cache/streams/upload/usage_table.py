"""Table module of what each owner's streams hold. SQL only."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.frozen import frozen


@frozen
class OwnerUsage:
    """Originals of one owner, those in the trash apart. `name` is empty for streams whose owner has no account any more."""

    name: str
    images: int
    size_bytes: int
    trash_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.size_bytes + self.trash_bytes


class OwnerUsageTable:
    """Any thread. Reads a row per image: for pages of operators."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def owners(self) -> list[OwnerUsage]:
        """Return every owner of a stream, the one with the most bytes first."""
        rows = self._db.rows(
            """
            SELECT coalesce(accounts.name, '') AS name, sum(images) AS images, sum(bytes) AS size_bytes, sum(trash) AS trash_bytes
            FROM (
                SELECT streams.owner_id AS owner_id, count(stream_images.id) AS images,
                    coalesce(sum(stream_images.size_bytes), 0) AS bytes, 0 AS trash
                FROM streams LEFT JOIN stream_images ON stream_images.stream_id = streams.id GROUP BY streams.owner_id
                UNION ALL
                SELECT coalesce(streams.owner_id, trashed_streams.owner_id), 0, 0, sum(trashed_images.size_bytes)
                FROM trashed_images LEFT JOIN streams ON streams.id = trashed_images.stream_id
                    LEFT JOIN trashed_streams ON trashed_streams.id = trashed_images.stream_id
                GROUP BY 1
            ) AS owned LEFT JOIN accounts ON accounts.id = owner_id
            GROUP BY owner_id, accounts.name ORDER BY sum(bytes) + sum(trash) DESC, name
            """
        )
        return [OwnerUsage(**dict(row)) for row in rows]
