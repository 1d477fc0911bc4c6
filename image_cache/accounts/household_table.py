"""Table module of the household in `catalog.db`: roles, sessions as people see them, and links that make or reset an account."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.frozen import frozen
from image_cache.models import Account, NewAccount


@frozen
class HouseholdAccount:
    """An account with its open sessions. `seen_at` (Unix seconds) is None if it has none."""

    account: Account
    sessions: int
    seen_at: float | None


@frozen
class OpenSession:
    """A session that is open. `number` names it to its owner; `device` is "" if the browser did not say."""

    number: str
    device: str
    created_at: float
    seen_at: float


@frozen
class AccountLink:
    """A link that works once: it makes an account of `role`, or gives `account` a new password. Times in Unix seconds."""

    id: int
    role: str
    created_at: float
    expires_at: float
    account: Account | None = None


NUMBER_BYTES = 8


class HouseholdTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def accounts(self, open_since: float) -> list[HouseholdAccount]:
        """Return all accounts by name, each with its sessions that were used since then."""
        rows = self.db.rows(
            "SELECT accounts.id, name, role, count(seen_at) AS sessions, max(seen_at) AS seen_at FROM accounts"
            " LEFT JOIN sessions ON account_id = accounts.id AND seen_at >= ? GROUP BY accounts.id ORDER BY name_key",
            (open_since,),
        )
        return [HouseholdAccount(Account(row["id"], row["name"], row["role"]), row["sessions"], row["seen_at"]) for row in rows]

    def account(self, account_id: int) -> Account | None:
        row = self.db.row("SELECT id, name, role FROM accounts WHERE id = ?", (account_id,))
        return Account(row["id"], row["name"], row["role"]) if row else None

    def change_role(self, account_id: int, role: str) -> bool:
        """Change a role; return False if there is no such account, or if it is the last operator."""
        with self.db.write() as conn:
            changed = conn.execute(
                "UPDATE accounts SET role = ? WHERE id = ? AND (role <> 'operator' OR ? = 'operator'"
                " OR (SELECT count(*) FROM accounts WHERE role = 'operator') > 1)",
                (role, account_id, role),
            ).rowcount
            # A link that was made to reset an operator must not outlive the change of the role.
            conn.execute("DELETE FROM account_links WHERE account_id = ?", (account_id,))
            return changed == 1

    def sessions(self, account_id: int, open_since: float) -> list[OpenSession]:
        """Return the sessions of an account that were used since then, the last used first."""
        rows = self.db.rows(
            "SELECT token_hash, device, created_at, seen_at FROM sessions"
            " WHERE account_id = ? AND seen_at >= ? ORDER BY seen_at DESC, token_hash",
            (account_id, open_since),
        )
        return [OpenSession(_session_number(token_hash), *facts) for token_hash, *facts in rows]

    def end_session(self, account_id: int, number: str) -> bool:
        with self.db.write() as conn:
            rows = conn.execute("SELECT token_hash FROM sessions WHERE account_id = ?", (account_id,)).fetchall()
            found = [(row[0],) for row in rows if _session_number(row[0]) == number]
            conn.executemany("DELETE FROM sessions WHERE token_hash = ?", found)
            return len(found) == 1

    def add_link(self, token_hash: bytes, role: str, account_id: int | None, now: float, expires_at: float) -> int:
        """Add a link and delete expired ones; an earlier one for the same account no longer works. Returns its id."""
        with self.db.write() as conn:
            conn.execute("DELETE FROM account_links WHERE expires_at <= ? OR account_id = ?", (now, account_id))
            row = conn.execute(
                "INSERT INTO account_links (token_hash, role, account_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
                (token_hash, role, account_id, now, expires_at),
            ).fetchone()
            return int(row["id"])

    def links(self, now: float) -> list[AccountLink]:
        return [_link(row) for row in self.db.rows(f"{_LINKS} WHERE expires_at > ? ORDER BY l.id", (now,))]

    def link(self, token_hash: bytes, now: float) -> AccountLink | None:
        row = self.db.row(f"{_LINKS} WHERE token_hash = ? AND expires_at > ?", (token_hash, now))
        return _link(row) if row else None

    def revoke_link(self, link_id: int) -> bool:
        with self.db.write() as conn:
            return conn.execute("DELETE FROM account_links WHERE id = ?", (link_id,)).rowcount == 1

    def join(self, token_hash: bytes, new: NewAccount, now: float) -> Account | None:
        """Make the account of a link and use the link up, both or neither; None if the link no longer works.

        Raises `IntegrityError` for a name that is taken: the link still works then.
        """
        with self.db.write() as conn:
            used = _use(conn, token_hash, now, "account_id IS NULL")
            if used is None:
                return None
            row = conn.execute(
                "INSERT INTO accounts (name, name_key, password_hash, role, created_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
                (new.name, new.name_key, new.password_hash, used["role"], now),
            ).fetchone()
            return Account(row["id"], new.name, used["role"])

    def reset_password(self, token_hash: bytes, password_hash: str, now: float) -> bool:
        """Give the account of a link a new password, end its sessions and use the link up; False if it no longer works."""
        with self.db.write() as conn:
            used = _use(conn, token_hash, now, "account_id IS NOT NULL")
            if used is None:
                return False
            conn.execute("UPDATE accounts SET password_hash = ? WHERE id = ?", (password_hash, used["account_id"]))
            conn.execute("DELETE FROM sessions WHERE account_id = ?", (used["account_id"],))
            return True


_LINKS = (
    "SELECT l.id, l.role, l.created_at, l.expires_at, a.id AS account_id, a.name, a.role AS account_role"
    " FROM account_links AS l LEFT JOIN accounts AS a ON a.id = l.account_id"
)


def _link(row: Row) -> AccountLink:
    owner = None if row["account_id"] is None else Account(row["account_id"], row["name"], row["account_role"])
    return AccountLink(row["id"], row["role"], row["created_at"], row["expires_at"], owner)


def _use(conn: Connection, token_hash: bytes, now: float, kind: str) -> Row | None:
    sql = f"DELETE FROM account_links WHERE token_hash = ? AND expires_at > ? AND {kind} RETURNING role, account_id"
    found: Row | None = conn.execute(sql, (token_hash, now)).fetchone()
    return found


def _session_number(token_hash: bytes) -> str:
    return token_hash[:NUMBER_BYTES].hex().upper()
