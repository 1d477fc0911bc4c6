"""The rows of who belongs to a stream, and of its invitations, in `catalog.db`. Statements only."""

import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Row
from image_cache.errors import FieldRejected, InvitationRejected
from image_cache.models import ANONYMOUS, Stream, Viewer
from image_cache.text import account_key

CO_OWNER, SUBSCRIBER = "co-owner", "subscriber"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who edits or follows a stream."""

    name: str
    role: str
    added_at: float


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that makes whoever opens it a member, until it is over or used up."""

    id: int
    role: str
    created_at: float
    expires_at: float
    uses_left: int


class MemberTable:
    """Members and invitations. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def viewer(self, *, account_id: int | None = None, name_key: str = "") -> Viewer | None:
        """Return an account as a viewer, by its id or its folded name; None when there is none."""
        where, value = ("id = ?", account_id) if account_id is not None else ("name_key = ?", name_key)
        row = self._db.row(f"SELECT id, name, role FROM accounts WHERE {where}", (value,))
        if row is None:
            return None
        owned: dict[str, set[int]] = {"owner": set(), CO_OWNER: set(), SUBSCRIBER: set()}
        for found in self._db.rows(
            "SELECT id AS stream_id, 'owner' AS role FROM streams WHERE owner_id = ?"
            " UNION ALL SELECT stream_id, role FROM stream_people WHERE account_id = ?",
            (row["id"], row["id"]),
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
        """Make an account a member, or give it another role; False when there is no such account, or it owns the stream."""
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
        """Note an invitation, its id given by the catalogue; forget those that are over. Returns the id."""
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
        """Return an invitation that still holds, with the slug of its stream."""
        row = self._db.row(
            "SELECT invitations.*, slug FROM invitations JOIN streams ON streams.id = stream_id"
            " WHERE token_hash = ? AND expires_at >= ? AND uses_left > 0",
            (token_hash, now),
        )
        return (_invitation(row), row["slug"]) if row else None

    def withdraw(self, stream_id: int, invitation_id: int) -> bool:
        with self._db.write() as conn:
            done = conn.execute("DELETE FROM invitations WHERE id = ? AND stream_id = ?", (invitation_id, stream_id))
            return done.rowcount == 1

    def accept(self, token_hash: bytes, account_id: int, now: float) -> bool:
        """Use an invitation; False when it does not hold any more. Who is a member with more rights keeps them."""
        with self._db.write() as conn:
            row = conn.execute(
                "UPDATE invitations SET uses_left = uses_left - 1 WHERE token_hash = ? AND expires_at >= ? AND uses_left > 0"
                " RETURNING stream_id, role",
                (token_hash, now),
            ).fetchone()
            if row is None:
                return False
            conn.execute(
                "INSERT INTO stream_people SELECT ?, ?, ?, ? WHERE NOT EXISTS"
                " (SELECT 1 FROM streams WHERE id = ? AND owner_id = ?)"
                " ON CONFLICT DO UPDATE SET role = excluded.role WHERE excluded.role = 'co-owner'",
                (row["stream_id"], account_id, row["role"], now, row["stream_id"], account_id),
            )
            return True


_ADD = """
INSERT INTO stream_people SELECT :stream, id, :role, :now FROM accounts
WHERE name_key = :key AND NOT EXISTS (SELECT 1 FROM streams WHERE streams.id = :stream AND owner_id = accounts.id)
ON CONFLICT DO UPDATE SET role = excluded.role
"""


def _invitation(row: Row) -> Invitation:
    return Invitation(row["id"], row["role"], row["created_at"], row["expires_at"], row["uses_left"])


logger = logging.getLogger(__name__)

ROLES = (SUBSCRIBER, CO_OWNER)
MAX_DAYS = 90.0
MAX_USES = 100
DAY_S = 86400.0


class StreamMembers:
    """Any thread, several processes."""

    def __init__(self, rows: MemberTable, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = rows
        self._clock = clock

    def viewer(self, user_id: int | str | None) -> Viewer:
        """Return an account as a viewer, by its number or its name; a stranger when there is none."""
        if user_id is None or user_id == "":
            return ANONYMOUS
        if isinstance(user_id, int):
            return self._rows.viewer(account_id=user_id) or ANONYMOUS
        return self._rows.viewer(name_key=account_key(user_id)) or ANONYMOUS

    def members(self, stream: Stream) -> list[Member]:
        return self._rows.members(stream.id)

    def add(self, stream: Stream, name: str, role: str) -> None:
        """Make an account a member. Raises `FieldRejected` for an unknown name or role."""
        if not self._rows.add(stream.id, account_key(name), _checked_role(role), self._clock()):
            raise FieldRejected("name", "There is no account of this name that could be added.")

    def remove(self, stream: Stream, name: str) -> None:
        if not self._rows.remove(stream.id, account_key(name)):
            raise FieldRejected("name", "Nobody of this name belongs to the stream.")

    def invite(self, stream: Stream, role: str = SUBSCRIBER, *, days: float = 7, uses: int = 1) -> tuple[str, Invitation]:
        """Return the token of a new invitation, which is kept nowhere, and what is known of it. Raises `FieldRejected`."""
        if not 0 < days <= MAX_DAYS:
            raise FieldRejected("days", f"An invitation holds for up to {MAX_DAYS:g} days.")
        if not 1 <= uses <= MAX_USES:
            raise FieldRejected("uses", f"An invitation is for 1 to {MAX_USES} people.")
        token, now = secrets.token_urlsafe(24), self._clock()
        made = Invitation(0, _checked_role(role), now, now + days * DAY_S, uses)
        number = self._rows.invite(stream.id, _hash(token), made)
        logger.info("invitation made stream=%s role=%s days=%g", stream.slug, role, days)
        return token, Invitation(number, made.role, made.created_at, made.expires_at, made.uses_left)

    def invitations(self, stream: Stream) -> list[Invitation]:
        return self._rows.invitations(stream.id, self._clock())

    def withdraw(self, stream: Stream, invitation_id: int) -> None:
        if not 0 < invitation_id < 2**63 or not self._rows.withdraw(stream.id, invitation_id):
            raise FieldRejected("invitation", "There is no such invitation.")

    def invitation(self, token: str) -> tuple[Invitation, str]:
        """Return what a link offers, with the slug of its stream. Raises `InvitationRejected`."""
        found = self._rows.invitation(_hash(token), self._clock())
        if found is None:
            raise InvitationRejected("This invitation is over, used up, or was never made.")
        return found

    def accept(self, token: str, account_id: int) -> str:
        """Make the account a member by a link; returns the slug of the stream. Raises `InvitationRejected`."""
        _, slug = self.invitation(token)
        if not self._rows.accept(_hash(token), account_id, self._clock()):
            raise InvitationRejected("This invitation is over, used up, or was never made.")
        return slug


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise FieldRejected("role", f"A role is one of {', '.join(ROLES)}.")
    return role


def _hash(token: str) -> bytes:
    return hashlib.sha256(token[:200].encode(errors="replace")).digest()
