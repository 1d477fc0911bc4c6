"""Table module of API tokens in `catalog.db`. SQL only; the rules are in `tokens`."""

from collections.abc import Mapping

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Row
from image_cache.frozen import frozen
from image_cache.models import Account


@frozen
class ApiToken:
    """A token with which scripts act for an account, within its scopes. Times in Unix seconds; `expires_at` None: never.

    `stream_id`: the only stream that it uploads to; None: each that the account edits. `stream_title` is of that stream.
    """

    id: int
    account: Account
    name: str
    scopes: frozenset[str]
    stream_id: int | None
    stream_title: str
    created_at: float
    expires_at: float | None
    uses: int
    used_at: float | None
    used_from: str


class TokenTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def add(self, token_hash: bytes, token: ApiToken) -> int:
        with self._db.write() as conn:
            row = conn.execute(
                "INSERT INTO api_tokens (token_hash, account_id, name, scopes, stream_id, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    token_hash,
                    token.account.id,
                    token.name,
                    " ".join(sorted(token.scopes)),
                    token.stream_id,
                    token.created_at,
                    token.expires_at,
                ),
            ).fetchone()
            return int(row["id"])

    def token(self, token_hash: bytes) -> ApiToken | None:
        row = self._db.row(f"{_SELECT} WHERE token_hash = ?", (token_hash,))
        return _token(row) if row else None

    def tokens(self, account_id: int) -> list[ApiToken]:
        """Return the tokens of an account, the newest first."""
        return [_token(row) for row in self._db.rows(f"{_SELECT} WHERE t.account_id = ? ORDER BY t.id DESC", (account_id,))]

    def revoke(self, account_id: int, token_id: int) -> bool:
        with self._db.write() as conn:
            sql = "DELETE FROM api_tokens WHERE account_id = ? AND id = ?"
            return conn.execute(sql, (account_id, token_id)).rowcount == 1

    def add_uses(self, uses: Mapping[int, tuple[int, float, str]]) -> None:
        """Add uses, given as {token id: (count, last at, from which address)}. Those of revoked tokens are dropped."""
        with self._db.write() as conn:
            conn.executemany(
                "UPDATE api_tokens SET uses = uses + ?, used_at = ?, used_from = ? WHERE id = ?",
                [(count, at, address, token_id) for token_id, (count, at, address) in uses.items()],
            )


_SELECT = (
    "SELECT t.*, a.name AS account_name, a.role AS account_role, coalesce(streams.title, '') AS stream_title FROM api_tokens AS t"
    " JOIN accounts AS a ON a.id = t.account_id LEFT JOIN streams ON streams.id = t.stream_id"
)


def _token(row: Row) -> ApiToken:
    return ApiToken(
        id=row["id"],
        account=Account(row["account_id"], row["account_name"], row["account_role"]),
        name=row["name"],
        scopes=frozenset(row["scopes"].split()),
        stream_id=row["stream_id"],
        stream_title=row["stream_title"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        uses=row["uses"],
        used_at=row["used_at"],
        used_from=row["used_from"],
    )
