"""How much space the streams of an owner may use. Originals count, also of co-owners and visitors, and those in the trash."""

import re

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.errors import FieldRejected, SpaceExceeded
from image_cache.frozen import frozen
from image_cache.models import Stream
from image_cache.streams.upload.quota_table import HeldSpace, QuotaTable

AS_SET, NO_LIMIT = "default", "none"
MAX_MB = 100_000_000
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(MB|GB|TB)?", re.IGNORECASE)
_UNITS = {"": 1, "MB": 1, "GB": 1000, "TB": 1_000_000}


@frozen
class OwnerSpace:
    """The space of one account. `limit_bytes` is None without a limit; `is_own`: it is not the one that is set for everyone."""

    held: HeldSpace
    limit_bytes: int | None
    is_own: bool

    @property
    def left_bytes(self) -> int | None:
        return None if self.limit_bytes is None else max(0, self.limit_bytes - self.held.used_bytes)


class StreamQuotas:
    """Any thread, several processes. A stream without an owner has no quota: it belongs to the operators."""

    def __init__(self, catalog: CatalogDatabase, default_bytes: int) -> None:
        self._rows = QuotaTable(catalog)
        self._default = default_bytes or None

    def spaces(self) -> list[OwnerSpace]:
        """Return the space of every account, by name; that of streams without an owner comes last."""
        own = self._rows.limits()
        return [
            OwnerSpace(held, None if held.account_id is None else own.get(held.account_id, self._default), held.account_id in own)
            for held in self._rows.held()
        ]

    def space(self, account_id: int) -> OwnerSpace:
        """Return the space of one account."""
        with self._rows.db.reading() as conn:
            used, trash = self._rows.held_by(conn, account_id)
            limit, is_own = self._limit(conn, account_id)
        return OwnerSpace(HeldSpace(account_id, "", 0, used, trash), limit, is_own)

    def left_bytes(self, stream: Stream) -> int | None:
        """Return how many bytes the owner of a stream may still store; None without a limit."""
        return None if stream.owner_id is None else self.space(stream.owner_id).left_bytes

    def check(self, stream: Stream, size_bytes: int, conn: Connection | None = None, *, moved_from: str = "") -> None:
        """Raise `SpaceExceeded` if a file of this size is too much for the owner of a stream.

        `conn`: within a transaction that stores it. `moved_from`: the slug of the stream that it leaves; to another one of the same
        owner it needs no more space.
        """
        if stream.owner_id is None:
            return
        if conn is None:
            with self._rows.db.reading() as reading:
                self.check(stream, size_bytes, reading, moved_from=moved_from)
            return
        limit, _ = self._limit(conn, stream.owner_id)
        if limit is None or (moved_from and self._rows.owner_of(conn, moved_from) == stream.owner_id):
            return
        used, trash = self._rows.held_by(conn, stream.owner_id)
        if used + size_bytes > limit:
            raise SpaceExceeded(limit, used, trash, size_bytes)

    def set_limit(self, account_id: int, text: str) -> OwnerSpace:
        """Set the limit of an account: megabytes, "5 GB", "none", or "default" for the one of the settings. Raises `FieldRejected`."""
        word = text.strip().casefold()
        if word == AS_SET:
            self._rows.drop_limit(account_id)
        else:
            self._rows.set_limit(account_id, None if word == NO_LIMIT else parse_size(text))
        return self.space(account_id)

    def _limit(self, conn: Connection, account_id: int) -> tuple[int | None, bool]:
        own = self._rows.limit(conn, account_id)
        return (self._default, False) if own is None else (own["limit_bytes"], True)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "500", "500 MB" or "5 GB"; a bare number is in MB. Raises `FieldRejected`."""
    found = _SIZE.fullmatch(text.strip())
    megabytes = float(found[1]) * _UNITS[(found[2] or "").upper()] if found else -1.0
    if not 0 <= megabytes <= MAX_MB:
        raise FieldRejected(
            "limit", f"The limit must be a size such as 500 MB or 5 GB, or “{NO_LIMIT}” or “{AS_SET}”, not “{text[:40]}”."
        )
    return round(megabytes * 1e6)
