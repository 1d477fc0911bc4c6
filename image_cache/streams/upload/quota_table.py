"""Table module of the space that owners use, and may use, for their streams. SQL only; the rules are in `quotas`."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.frozen import frozen

# Bytes of originals by the owner of their stream: shown, in the trash of a stream, and of a stream that is in the trash itself.
_HELD = (
    "SELECT owner_id, count(*) AS images, sum(size_bytes) AS bytes, 0 AS trash FROM stream_images"
    " JOIN streams ON streams.id = stream_id {where} GROUP BY owner_id"
    " UNION ALL SELECT owner_id, 0, sum(size_bytes), sum(size_bytes) FROM trashed_images"
    " JOIN streams ON streams.id = stream_id {where} GROUP BY owner_id"
    " UNION ALL SELECT owner_id, 0, sum(size_bytes), sum(size_bytes) FROM trashed_images"
    " JOIN trashed_streams ON trashed_streams.id = stream_id {where} GROUP BY owner_id"
)


@frozen
class HeldSpace:
    """What the streams of an account hold: images that are shown, all bytes, and those of them in the trash."""

    account_id: int | None  # None: streams without an owner
    name: str
    images: int
    used_bytes: int
    trash_bytes: int


class QuotaTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def held(self) -> list[HeldSpace]:
        """Return what each account holds, by name, also one that holds nothing; streams without an owner come last."""
        rows = self.db.rows(
            "WITH held AS (SELECT owner_id, sum(images) AS images, sum(bytes) AS bytes, sum(trash) AS trash"
            f" FROM ({_HELD.format(where='')}) AS parts GROUP BY owner_id)"
            " SELECT * FROM (SELECT id, name, images, bytes, trash FROM accounts LEFT JOIN held ON owner_id = id"
            " UNION ALL SELECT NULL, '', images, bytes, trash FROM held WHERE owner_id IS NULL) AS spaces"
            " ORDER BY CASE WHEN id IS NULL THEN 1 ELSE 0 END, lower(name), name"
        )
        return [HeldSpace(row["id"], row["name"], row["images"] or 0, row["bytes"] or 0, row["trash"] or 0) for row in rows]

    def held_by(self, conn: Connection, account_id: int) -> tuple[int, int]:
        """Return (bytes, those of them in the trash) of the streams of an account."""
        sql = (
            f"SELECT coalesce(sum(bytes), 0), coalesce(sum(trash), 0) FROM ({_HELD.format(where='WHERE owner_id = ?')}) AS parts"
        )
        row = conn.execute(sql, (account_id,) * 3).fetchone()
        return int(row[0]), int(row[1])

    def owner_of(self, conn: Connection, slug: str) -> int | None:
        row = conn.execute("SELECT owner_id FROM streams WHERE slug = ?", (slug,)).fetchone()
        return row["owner_id"] if row else None

    def limit(self, conn: Connection, account_id: int) -> Row | None:
        """Return the row of an account that has a limit of its own; its `limit_bytes` is None for no limit."""
        row: Row | None = conn.execute("SELECT limit_bytes FROM stream_quotas WHERE account_id = ?", (account_id,)).fetchone()
        return row

    def limits(self) -> dict[int, int | None]:
        """Return the limits of accounts that have their own."""
        return {row["account_id"]: row["limit_bytes"] for row in self.db.rows("SELECT * FROM stream_quotas")}

    def set_limit(self, account_id: int, limit_bytes: int | None) -> None:
        with self.db.write() as conn:
            conn.execute(
                "INSERT INTO stream_quotas VALUES (?, ?) ON CONFLICT (account_id) DO UPDATE SET limit_bytes = excluded.limit_bytes",
                (account_id, limit_bytes),
            )

    def drop_limit(self, account_id: int) -> None:
        with self.db.write() as conn:
            conn.execute("DELETE FROM stream_quotas WHERE account_id = ?", (account_id,))
