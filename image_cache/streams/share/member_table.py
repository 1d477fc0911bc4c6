"""Table module of stream members and invitations in `catalog.db`. SQL only; the rules are in `members`."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.frozen import frozen
from image_cache.models import Account, NewAccount, Viewer

CO_OWNER, SUBSCRIBER = "co-owner", "subscriber"


@frozen
class Member:
    """A co-owner or subscriber of a stream."""

    name: str
    role: str
    added_at: float


@frozen
class Invitation:
    """An invite link: makes an account a member until it expires or is used up."""

    id: int
    role: str
    created_at: float
    expires_at: float
    uses_left: int


class MemberTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def viewer(self, *, account_id: int | None = None, name_key: str = "") -> Viewer | None:
        """Return an account as a viewer, by its id or its folded name; None if there is none."""
        where, value = ("id = ?", account_id) if account_id is not None else ("name_key = ?", name_key)
        row = self._db.row(f"SELECT id, name, role FROM accounts WHERE {where}", (value,))
        if row is None:
            return None
        owned: dict[str, set[int]] = {"owner": set(), CO_OWNER: set(), SUBSCRIBER: set()}
        for found in self._db.rows(
            "SELECT id AS stream_id, 'owner' AS role FROM streams WHERE owner_id = ?"
            " UNION ALL SELECT id, 'owner' FROM trashed_streams WHERE owner_id = ?"
            " UNION ALL SELECT stream_id, role FROM stream_people WHERE account_id = ?",
            (row["id"], row["id"], row["id"]),
        ):
            owned[found["role"]].add(found["stream_id"])
        return Viewer(
            row["id"],
            row["name"],
            row["role"],
            frozenset(owned["owner"]),
            frozenset(owned[CO_OWNER]),
            frozenset(owned[SUBSCRIBER]),
        )

    def members(self, stream_id: int) -> list[Member]:
        rows = self._db.rows(
            "SELECT accounts.name, stream_people.role, added_at FROM stream_people JOIN accounts ON accounts.id = account_id"
            " WHERE stream_id = ? ORDER BY stream_people.role, name_key",
            (stream_id,),
        )
        return [Member(row["name"], row["role"], row["added_at"]) for row in rows]

    def add(self, stream_id: int, name_key: str, role: str, now: float) -> bool:
        """Make an account a member, or change its role; return False if there is no such account, or it owns the stream."""
        with self._db.write() as conn:
            return conn.execute(_ADD, {"stream": stream_id, "key": name_key, "role": role, "now": now}).rowcount == 1

    def remove(self, stream_id: int, name_key: str) -> bool:
        with self._db.write() as conn:
            return (
                conn.execute(
                    "DELETE FROM stream_people WHERE stream_id = ? AND account_id = (SELECT id FROM accounts WHERE name_key = ?)",
                    (stream_id, name_key),
                ).rowcount
                == 1
            )

    def invite(self, stream_id: int, token_hash: bytes, invitation: Invitation) -> int:
        """Add an invitation and return its id; delete those that have expired."""
        now = invitation.created_at
        with self._db.write() as conn:
            conn.execute("DELETE FROM invitations WHERE expires_at < ? OR uses_left < 1", (now,))
            row = conn.execute(
                "INSERT INTO invitations (token_hash, stream_id, role, created_at, expires_at, uses_left)"
                " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (token_hash, stream_id, invitation.role, now, invitation.expires_at, invitation.uses_left),
            ).fetchone()
            return int(row["id"])

    def invitations(self, stream_id: int, now: float) -> list[Invitation]:
        rows = self._db.rows(
            "SELECT * FROM invitations WHERE stream_id = ? AND expires_at >= ? AND uses_left > 0 ORDER BY id", (stream_id, now)
        )
        return [_invitation(row) for row in rows]

    def invitation(self, token_hash: bytes, now: float) -> tuple[Invitation, str] | None:
        """Return a valid invitation with the slug of its stream."""
        row = self._db.row(
            "SELECT invitations.*, slug FROM invitations JOIN streams ON streams.id = stream_id"
            " WHERE token_hash = ? AND expires_at >= ? AND uses_left > 0",
            (token_hash, now),
        )
        return (_invitation(row), row["slug"]) if row else None

    def revoke(self, stream_id: int, invitation_id: int) -> bool:
        with self._db.write() as conn:
            done = conn.execute("DELETE FROM invitations WHERE id = ? AND stream_id = ?", (invitation_id, stream_id))
            return done.rowcount == 1

    def accept(self, token_hash: bytes, account_id: int, now: float) -> bool:
        """Use an invitation; return False if it is not valid any more. A member with more rights keeps them."""
        with self._db.write() as conn:
            row = conn.execute(_USE, (token_hash, now)).fetchone()
            if row is None:
                return False
            _join(conn, row["stream_id"], account_id, row["role"], now)
            return True

    def accept_new(self, token_hash: bytes, new: NewAccount, now: float) -> Account | None:
        """Use an invitation and make the account that it is for, both or neither.

        Returns None if the invitation is not valid any more. Raises `IntegrityError` if the name is taken.
        """
        with self._db.write() as conn:
            row = conn.execute(_USE, (token_hash, now)).fetchone()
            if row is None:
                return None
            made = conn.execute(
                "INSERT INTO accounts (name, name_key, password_hash, role, created_at) VALUES (?, ?, ?, 'viewer', ?) RETURNING id",
                (new.name, new.name_key, new.password_hash, now),
            ).fetchone()
            _join(conn, row["stream_id"], made["id"], row["role"], now)
            return Account(made["id"], new.name, "viewer")


def _join(conn: Connection, stream_id: int, account_id: int, role: str, now: float) -> None:
    conn.execute(
        "INSERT INTO stream_people SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM streams WHERE id = ? AND owner_id = ?)"
        " ON CONFLICT (stream_id, account_id) DO UPDATE SET role = excluded.role WHERE excluded.role = 'co-owner'",
        (stream_id, account_id, role, now, stream_id, account_id),
    )


_USE = (
    "UPDATE invitations SET uses_left = uses_left - 1 WHERE token_hash = ? AND expires_at >= ? AND uses_left > 0"
    " RETURNING stream_id, role"
)
_ADD = """
INSERT INTO stream_people SELECT :stream, id, :role, :now FROM accounts
WHERE name_key = :key AND NOT EXISTS (SELECT 1 FROM streams WHERE streams.id = :stream AND owner_id = accounts.id)
ON CONFLICT (stream_id, account_id) DO UPDATE SET role = excluded.role
"""


def _invitation(row: Row) -> Invitation:
    return Invitation(row["id"], row["role"], row["created_at"], row["expires_at"], row["uses_left"])
