"""Table module of links to streams, and of the images that visitors sent through them, in `catalog.db`. SQL only."""

from collections.abc import Mapping, Sequence
from dataclasses import field

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Row
from image_cache.frozen import frozen


@frozen
class Share:
    """A link to a stream, or to chosen images of it. Times in Unix seconds; `expires_at` is None if it never expires.

    `images` counts the chosen images, `private_images` those of them that were private.
    """

    id: int
    stream_id: int
    slug: str
    name: str
    owner_name: str
    password_hash: str = field(repr=False)
    is_selection: bool
    may_download: bool
    may_upload: bool
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    opens: int
    opened_at: float | None
    images: int
    private_images: int

    def works(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@frozen
class VisitorImage:
    """An image that a visitor sent through a link. `link` is "" if its link is gone."""

    image_id: str
    sender: str
    sent_at: float
    link: str


class ShareTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def add(self, token_hash: bytes, account_id: int, share: Share, images: Sequence[tuple[str, bool]]) -> int:
        """Add a link with its chosen images, given as (image id, was private); return its id."""
        with self._db.write() as conn:
            row = conn.execute(
                "INSERT INTO shares (token_hash, stream_id, account_id, name, password_hash, is_selection, may_download, may_upload,"
                " created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    token_hash,
                    share.stream_id,
                    account_id,
                    share.name,
                    share.password_hash,
                    int(share.is_selection),
                    int(share.may_download),
                    int(share.may_upload),
                    share.created_at,
                    share.expires_at,
                ),
            ).fetchone()
            conn.executemany(
                "INSERT INTO share_images VALUES (?, ?, ?) ON CONFLICT (share_id, image_id) DO NOTHING",
                [(row["id"], image_id, int(was_private)) for image_id, was_private in images],
            )
            return int(row["id"])

    def shares(self, stream_id: int) -> list[Share]:
        """Return all links of a stream, the newest first."""
        return [_share(row) for row in self._db.rows(f"{_SHARE} WHERE s.stream_id = ? ORDER BY s.id DESC", (stream_id,))]

    def share(self, token_hash: bytes) -> Share | None:
        """Return the link of a code, whether it works or not."""
        row = self._db.row(f"{_SHARE} WHERE s.token_hash = ?", (token_hash,))
        return _share(row) if row else None

    def chosen(self, share_id: int) -> list[tuple[str, bool]]:
        """Return (image id, was private) of the chosen images."""
        rows = self._db.rows("SELECT image_id, was_private FROM share_images WHERE share_id = ?", (share_id,))
        return [(row["image_id"], bool(row["was_private"])) for row in rows]

    def revoke(self, stream_id: int, share_id: int, now: float) -> bool:
        return self._change("revoked_at = ?", "revoked_at IS NULL", (now, stream_id, share_id))

    def restore(self, stream_id: int, share_id: int, since: float) -> bool:
        """Undo a revocation that was made since then."""
        return self._change("revoked_at = NULL", "revoked_at >= ?", (stream_id, share_id, since))

    def replace_token(self, stream_id: int, share_id: int, token_hash: bytes) -> bool:
        """Give a link another code; the old one no longer works."""
        return self._change("token_hash = ?", "revoked_at IS NULL", (token_hash, stream_id, share_id))

    def remove(self, stream_id: int, share_id: int) -> bool:
        with self._db.write() as conn:
            sql = "DELETE FROM shares WHERE stream_id = ? AND id = ?"
            return conn.execute(sql, (stream_id, share_id)).rowcount == 1

    def add_opens(self, opens: Mapping[int, tuple[int, float]]) -> None:
        """Add opens, given as {link id: (count, last at)}. Those of removed links are dropped."""
        with self._db.write() as conn:
            conn.executemany(
                "UPDATE shares SET opens = opens + ?, opened_at = ? WHERE id = ?",
                [(count, at, share_id) for share_id, (count, at) in opens.items()],
            )

    def add_sent(self, image_id: str, share_id: int, sender: str, now: float) -> None:
        """Note that an image was sent by a visitor and waits for approval."""
        with self._db.write() as conn:
            conn.execute("INSERT INTO visitor_images VALUES (?, ?, ?, ?, 1)", (image_id, share_id, sender, now))

    def add_repeat(self, image_id: str, share_id: int, sender: str, now: float, *, forget_before: float) -> None:
        """Note that a visitor sent an image which the stream has. It is news for the owners unless that image waits itself.

        What they saw and what was sent before `forget_before` is forgotten.
        """
        with self._db.write() as conn:
            conn.execute("DELETE FROM visitor_repeats WHERE is_new = 0 AND sent_at < ?", (forget_before,))
            conn.execute(
                "INSERT INTO visitor_repeats (image_id, share_id, sender, sent_at, is_new) SELECT stream_images.id, ?, ?, ?,"
                " CASE WHEN EXISTS (SELECT 1 FROM visitor_images WHERE image_id = stream_images.id AND is_waiting = 1)"
                " THEN 0 ELSE 1 END FROM stream_images WHERE stream_images.id = ?",
                (share_id, sender, now, image_id),
            )

    def repeats(self, stream_id: int) -> list[VisitorImage]:
        """Return what visitors sent although the stream has it and no owner has seen yet, the oldest first."""
        rows = self._db.rows(
            "SELECT stream_images.id, sender, sent_at, coalesce(shares.name, '') AS link FROM visitor_repeats AS r"
            " JOIN stream_images ON stream_images.id = r.image_id LEFT JOIN shares ON shares.id = r.share_id"
            " WHERE stream_images.stream_id = ? AND is_new = 1 ORDER BY r.id",
            (stream_id,),
        )
        return [VisitorImage(*row) for row in rows]

    def end_repeats(self, stream_id: int) -> int:
        """Note that an owner has seen them; return how many there were."""
        with self._db.write() as conn:
            sql = "UPDATE visitor_repeats SET is_new = 0 WHERE is_new = 1 AND image_id IN (SELECT id FROM stream_images WHERE stream_id = ?)"
            return conn.execute(sql, (stream_id,)).rowcount

    def count_sent(self, share_id: int, since: float) -> int:
        """Return how many images were sent through a link since then: those that are still there, and those that were before."""
        sql = " UNION ALL ".join(
            f"SELECT 1 FROM {table} WHERE share_id = ? AND sent_at > ?" for table in ("visitor_images", "visitor_repeats")
        )
        return len(self._db.rows(sql, (share_id, since, share_id, since)))

    def waiting(self, stream_id: int) -> list[VisitorImage]:
        """Return the images of a stream that wait for approval, the oldest first."""
        rows = self._db.rows(
            "SELECT stream_images.id, sender, sent_at, coalesce(shares.name, '') AS link FROM visitor_images"
            " JOIN stream_images ON stream_images.id = image_id LEFT JOIN shares ON shares.id = share_id"
            " WHERE stream_images.stream_id = ? AND is_waiting = 1 ORDER BY sent_at, number",
            (stream_id,),
        )
        return [VisitorImage(*row) for row in rows]

    def approve(self, image_id: str) -> bool:
        """End the wait of an image; False if it does not wait."""
        with self._db.write() as conn:
            sql = "UPDATE visitor_images SET is_waiting = 0 WHERE is_waiting = 1 AND image_id = ?"
            return conn.execute(sql, (image_id,)).rowcount == 1

    def _change(self, values: str, where: str, parameters: tuple[object, ...]) -> bool:
        with self._db.write() as conn:
            sql = f"UPDATE shares SET {values} WHERE stream_id = ? AND id = ? AND {where}"
            return conn.execute(sql, parameters).rowcount == 1


_SHARE = (
    "SELECT s.id, s.stream_id, streams.slug, s.name, coalesce(accounts.name, '') AS owner_name, s.password_hash, s.is_selection,"
    " s.may_download, s.may_upload, s.created_at, s.expires_at, s.revoked_at, s.opens, s.opened_at,"
    " (SELECT count(*) FROM share_images WHERE share_id = s.id) AS images,"
    " (SELECT count(*) FROM share_images WHERE share_id = s.id AND was_private = 1) AS private_images"
    " FROM shares AS s JOIN streams ON streams.id = s.stream_id LEFT JOIN accounts ON accounts.id = s.account_id"
)


def _share(row: Row) -> Share:
    values = dict(row)
    return Share(**{**values, **{name: bool(values[name]) for name in ("is_selection", "may_download", "may_upload")}})
