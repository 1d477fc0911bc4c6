"""Table module of accounts, sessions, login attempts and the setup code in `catalog.db`. SQL only; the rules are in `service`."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row
from image_cache.models import Account


class AccountTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def account(self, name_key: str) -> tuple[Account, str] | None:
        """Return the account of a folded name with its password hash."""
        row = self._db.row("SELECT id, name, role, password_hash FROM accounts WHERE name_key = ?", (name_key,))
        return (_account(row), row["password_hash"]) if row else None

    def accounts(self) -> list[Account]:
        return [_account(row) for row in self._db.rows("SELECT id, name, role FROM accounts ORDER BY name_key")]

    def count(self) -> int:
        return int(self._db.rows("SELECT count(*) FROM accounts")[0][0])

    def has_operator(self) -> bool:
        return self._db.row("SELECT 1 FROM accounts WHERE role = 'operator' LIMIT 1") is not None

    def add(self, name: str, name_key: str, password_hash: str, role: str, now: float, *, only_first: bool) -> Account | None:
        """Add an account; None if the name is taken, or with `only_first` if there is an operator already.

        The setup code is deleted in the same transaction that adds the first operator: it cannot be used twice.
        """
        with self._db.write() as conn:
            if only_first and conn.execute("SELECT 1 FROM accounts WHERE role = 'operator'").fetchone():
                return None
            row = conn.execute(
                "INSERT INTO accounts (name, name_key, password_hash, role, created_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name_key) DO NOTHING RETURNING id",
                (name, name_key, password_hash, role, now),
            ).fetchone()
            if row is None:
                return None
            if role == "operator":
                conn.execute("DELETE FROM setup")
            return Account(row["id"], name, role)

    def set_password(self, name_key: str, password_hash: str) -> bool:
        """Change a password and log out all sessions of the account; return False if there is no such account."""
        with self._db.write() as conn:
            row = conn.execute(
                "UPDATE accounts SET password_hash = ? WHERE name_key = ? RETURNING id", (password_hash, name_key)
            ).fetchone()
            if row is not None:
                conn.execute("DELETE FROM sessions WHERE account_id = ?", (row["id"],))
            return row is not None

    def remove(self, name_key: str) -> bool:
        """Remove an account; return False if it is the last operator."""
        with self._db.write() as conn:
            return (
                conn.execute(
                    "DELETE FROM accounts WHERE name_key = ? AND (role != 'operator'"
                    " OR (SELECT count(*) FROM accounts WHERE role = 'operator') > 1)",
                    (name_key,),
                ).rowcount
                == 1
            )

    def remove_made_up(self, account_id: int) -> None:
        """Remove an account even if it is the last operator: a setup code claims the server then."""
        with self._db.write() as conn:
            conn.execute("DELETE FROM accounts WHERE id = ?", (account_id,))

    def open_session(
        self, token_hash: bytes, account_id: int, now: float, idle_since: float, client: bytes, *, device: str = ""
    ) -> None:
        """Add a session, delete expired ones, and reset the attempts of `client`."""
        with self._db.write() as conn:
            conn.execute("DELETE FROM sessions WHERE seen_at < ?", (idle_since,))
            conn.execute("DELETE FROM tries WHERE who = ?", (client,))
            conn.execute(
                "INSERT INTO sessions (token_hash, account_id, created_at, seen_at, device) VALUES (?, ?, ?, ?, ?)",
                (token_hash, account_id, now, now, device),
            )

    def session(self, token_hash: bytes) -> tuple[Account, float] | None:
        """Return the account of a session and when it was last used."""
        row = self._db.row(
            "SELECT accounts.id, name, role, seen_at FROM sessions JOIN accounts ON accounts.id = account_id WHERE token_hash = ?",
            (token_hash,),
        )
        return (_account(row), row["seen_at"]) if row else None

    def touch(self, token_hash: bytes, now: float) -> None:
        with self._db.write() as conn:
            conn.execute("UPDATE sessions SET seen_at = ? WHERE token_hash = ?", (now, token_hash))

    def close_session(self, token_hash: bytes) -> None:
        with self._db.write() as conn:
            conn.execute("DELETE FROM sessions WHERE token_hash = ?", (token_hash,))

    def close_all_sessions(self) -> None:
        """End every session, forget failed logins, and revoke links and API tokens: a restored one may have been used or revoked since."""
        with self._db.write() as conn:
            conn.execute("DELETE FROM shares")
            conn.execute("DELETE FROM api_tokens")
            conn.execute("DELETE FROM invitations")
            conn.execute("DELETE FROM account_links")
            conn.execute("DELETE FROM sessions")
            conn.execute("DELETE FROM tries")

    def close_sessions_of(self, account_id: int) -> int:
        with self._db.write() as conn:
            return conn.execute("DELETE FROM sessions WHERE account_id = ?", (account_id,)).rowcount

    def count_attempt(self, client: bytes, limit: int, pause_s: float, now: float) -> tuple[int, float]:
        """Count an attempt before it is made, so that concurrent attempts cannot exceed the limit.

        Returns (attempts including this one, 0.0), or (limit + 1, seconds to wait) if it must not be made.
        """
        with self._db.write() as conn:
            # `last_at` in the future: the clock was set back. Counting it as now keeps a pause from lasting for years.
            conn.execute("UPDATE tries SET last_at = ? WHERE last_at > ?", (now, now))
            conn.execute("DELETE FROM tries WHERE last_at <= ?", (now - pause_s,))
            row = conn.execute("SELECT used, last_at FROM tries WHERE who = ?", (client,)).fetchone()
            if row and row["used"] >= limit:
                return limit + 1, row["last_at"] + pause_s - now
            _insert_attempt(conn, client, now)
            return (row["used"] if row else 0) + 1, 0.0

    def forget_attempts(self, client: bytes) -> None:
        with self._db.write() as conn:
            conn.execute("DELETE FROM tries WHERE who = ?", (client,))

    def setup_code(self, fresh: str) -> str | None:
        """Return the setup code, `fresh` if there was none yet; None if there is an operator."""
        row = self._db.row("SELECT code FROM setup")
        if row is None and not self.has_operator():
            with self._db.write() as conn:
                # Checked again under the write lock: two workers that start at once print the same code.
                conn.execute(
                    "INSERT INTO setup SELECT ? WHERE NOT EXISTS (SELECT 1 FROM setup)"
                    " AND NOT EXISTS (SELECT 1 FROM accounts WHERE role = 'operator')",
                    (fresh,),
                )
            row = self._db.row("SELECT code FROM setup")
        return str(row["code"]) if row else None


def _insert_attempt(conn: Connection, client: bytes, now: float) -> None:
    conn.execute(
        "INSERT INTO tries VALUES (?, 1, ?) ON CONFLICT (who) DO UPDATE SET used = tries.used + 1, last_at = excluded.last_at",
        (client, now),
    )


def _account(row: Row) -> Account:
    return Account(row["id"], row["name"], row["role"])
