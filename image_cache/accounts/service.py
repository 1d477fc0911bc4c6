"""Accounts, logins, sessions, and the setup code that claims a new server. Knows no cookies and no pages.

Passwords, tokens and the code never reach a log; neither does an unknown name: it may be a password typed
into the wrong field.
"""

import hashlib
import hmac
import logging
import secrets
import threading
import time
import unicodedata
from collections.abc import Callable

from image_cache.accounts.table import AccountTable
from image_cache.codes import bare_code, hash_token, new_code
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import AccountRejected, LoginFailed
from image_cache.models import Account, NewAccount
from image_cache.net.url import client_network
from image_cache.text import account_key

logger = logging.getLogger(__name__)

ROLES = ("operator", "owner", "member", "viewer")
MAX_ATTEMPTS = 5
PAUSE_S = 15 * 60.0
IDLE_S = 12 * 3600.0
TOUCH_S = 5 * 60.0  # the last use of a session is written at most this often, not with every request
MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 1000
MIN_LINK_PASSWORD_CHARS = 4  # of a link that is itself a secret of 78 bits
MAX_NAME_CHARS = 40
HASH_WAIT_S = 10.0

_METHOD = "scrypt:32768:8:1"
# Checked for an unknown name, so that the response takes as long as for a known one. No password has this hash.
_UNKNOWN_ACCOUNT_HASH = f"{_METHOD}${'0' * 16}${'0' * 128}"


class Accounts:
    """Accounts and their sessions. Any thread; several processes share what is in the catalogue."""

    # A hash takes 32 MB and a tenth of a second of a core: one at a time, whatever the number of threads.
    _hashing = threading.BoundedSemaphore(1)

    def __init__(self, catalog: CatalogDatabase, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = AccountTable(catalog)
        self._clock = clock

    def add(self, name: str, password: str, role: str) -> Account:
        """Create an account. Raises `AccountRejected` for a taken name and for an invalid name, password or role."""
        if role not in ROLES:
            raise AccountRejected("role", f"unknown role {role[:40]!r}; choose one of {', '.join(ROLES)}")
        name = _checked_name(name)
        _check_password(name, password)
        account = self._rows.add(name, name.casefold(), self._hash(password), role, self._clock(), only_first=False)
        if account is None:
            raise AccountRejected("name", f"the name {name} is already taken")
        logger.info("account added id=%d role=%s", account.id, account.role)
        return account

    def prepare(self, name: str, password: str) -> NewAccount:
        """Return the account that these would make, for a transaction of another room. Raises `AccountRejected`."""
        name = _checked_name(name)
        _check_password(name, password)
        return NewAccount(name, name.casefold(), self._hash(password))

    def open_session(self, account: Account, address: str, device: str = "") -> str:
        """Return a session token for an account that was just made, without its password being checked again."""
        client = hashlib.sha256(f"{account.id}\n{client_network(address)}".encode(errors="replace")).digest()
        return self._open(account, client, device)

    def change_password(self, account: Account, old: str, new: str, address: str, device: str = "") -> str:
        """Change a password by its owner, end all sessions and return the token of a new one.

        Raises `LoginFailed` for a wrong old password, `AccountRejected` for a new one that is too short or the like.
        """
        _check_password(account.name, new)
        self.logout(self.login(account.name, old, address))
        self.set_password(account.name, new)
        return self.open_session(account, address, device)

    def remove(self, name: str) -> Account:
        """Remove an account, its sessions and memberships. Raises `AccountRejected` for the last operator.

        Its streams stay, without an owner: operators see them.
        """
        key = account_key(name)
        found = self._rows.account(key)
        if found is None:
            raise AccountRejected("name", "no account has this name")
        if not self._rows.remove(key):
            raise AccountRejected("name", f"{found[0].name} is the last operator; add another one first")
        logger.info("account removed id=%d", found[0].id)
        return found[0]

    def add_made_up(self, name: str) -> Account:
        """Create the operator of a demo, with a password that no one knows. Raises `AccountRejected`."""
        return self.add(name, secrets.token_urlsafe(32), "operator")

    def remove_made_up(self, account_id: int) -> None:
        """Remove the operator of a demo with its sessions; its streams stay, without an owner."""
        self._rows.remove_made_up(account_id)
        logger.info("account removed id=%d", account_id)

    def set_password(self, name: str, password: str) -> None:
        """Change a password and end all sessions of the account. Raises `AccountRejected`."""
        name = _checked_name(name)
        _check_password(name, password)
        if not self._rows.set_password(name.casefold(), self._hash(password)):
            raise AccountRejected("name", "no account has this name")

    def find(self, name: str) -> Account:
        """Return the account of a name. Raises `AccountRejected`."""
        found = self._rows.account(account_key(name))
        if found is None:
            raise AccountRejected("name", "no account has this name")
        return found[0]

    def accounts(self) -> list[Account]:
        return self._rows.accounts()

    def has_operator(self) -> bool:
        return self._rows.has_operator()

    def login(self, name: str, password: str, address: str, device: str = "") -> str:
        """Return a new session token. Raises `LoginFailed`, the same for a wrong password and an unknown name.

        Every login has its own token; an earlier one is closed with `logout`.
        """
        key = account_key(name)
        client, used = self._count_attempt(f"login\n{key}", address)
        found = self._rows.account(key)
        is_right = self._check(found[1] if found else _UNKNOWN_ACCOUNT_HASH, password)
        if found is None or not is_right:
            logger.warning("login failed account_id=%s address=%r", found[0].id if found else None, address)
            raise _refusal(used, "name or password")
        return self._open(found[0], client, device)

    def account_for_session(self, token: str) -> Account | None:
        """Return the account of a session, None if there is no such session (any more). Writes at most every five minutes."""
        if not token or len(token) > 100:
            return None
        token_hash = hash_token(token)
        found = self._rows.session(token_hash)
        if found is None:
            return None
        account, seen_at = found
        now = self._clock()
        if now - seen_at > IDLE_S:
            self._rows.close_session(token_hash)
            return None
        # A last use in the future is a clock that was set back: it counts as now, or the session would live too long.
        if not 0 <= now - seen_at < TOUCH_S:
            self._rows.touch(token_hash, now)
        return account

    def logout(self, token: str) -> None:
        """End a session. Idempotent."""
        self._rows.close_session(hash_token(token))

    def revoke(self, account: Account) -> int:
        """End all sessions of an account and return how many."""
        return self._rows.close_sessions_of(account.id)

    def hash_of_link(self, password: str) -> str:
        """Return the hash of the password of a link. Raises `AccountRejected`."""
        if not MIN_LINK_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
            raise AccountRejected("password", f"the password of a link must have {MIN_LINK_PASSWORD_CHARS} to 1,000 characters")
        return self._hash(password)

    def check_link(self, link: str, password_hash: str, password: str, address: str) -> None:
        """Check the password of a link; attempts are counted as those of a login. Raises `LoginFailed`."""
        client, used = self._count_attempt(f"link\n{link}", address)
        if not self._check(password_hash, password):
            logger.warning("link password wrong link=%s address=%r", link, address)
            raise _refusal(used, "password")
        self._rows.forget_attempts(client)

    def setup_code(self) -> str | None:
        """Return the code that claims this server, the same until it is used; None if there is an operator.

        The caller prints it where only people with access to the server can read it.
        """
        return self._rows.setup_code(new_code(groups=2))

    def claim(self, code: str, name: str, password: str, address: str = "") -> str:
        """Create the first operator with the setup code; return a session token.

        Raises `AccountRejected` for the name or password, `LoginFailed` for a wrong code or if there is an operator.
        """
        name = _checked_name(name)
        _check_password(name, password)
        client, used = self._count_attempt("claim", address)
        right = self.setup_code()
        if right is None:
            raise LoginFailed("An operator account already exists. Log in instead.")
        if not hmac.compare_digest(bare_code(code).encode(), bare_code(right).encode()):
            logger.warning("claim failed address=%r", address)
            raise _refusal(used, "setup code")
        account = self._rows.add(name, name.casefold(), self._hash(password), "operator", self._clock(), only_first=True)
        if account is None:
            if self._rows.has_operator():
                raise LoginFailed("An operator account already exists. Log in instead.")
            raise AccountRejected("name", f"the name {name} is already taken")
        logger.info("operator account created account_id=%d", account.id)
        return self._open(account, client)

    def _open(self, account: Account, client: bytes, device: str = "") -> str:
        token = secrets.token_urlsafe(32)
        now = self._clock()
        self._rows.open_session(hash_token(token), account.id, now, now - IDLE_S, client, device=device)
        logger.info("login account_id=%d", account.id)
        return token

    def _count_attempt(self, what: str, address: str) -> tuple[bytes, int]:
        """Count an attempt at `what` from an address; return the client and its attempts. Raises `LoginFailed` during a pause."""
        client = hashlib.sha256(f"{what}\n{client_network(address)}".encode(errors="replace")).digest()
        used, wait_s = self._rows.count_attempt(client, MAX_ATTEMPTS, PAUSE_S, self._clock())
        if used > MAX_ATTEMPTS:
            minutes = -(-int(wait_s) // 60) or 1
            reason = f"Too many failed attempts. Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
            raise LoginFailed(reason, tries_left=0, retry_after_s=wait_s)
        return client, used

    def _hash(self, password: str) -> str:
        from werkzeug.security import generate_password_hash

        with self._hashing:
            return generate_password_hash(_normalized(password), _METHOD)

    def _check(self, password_hash: str, password: str) -> bool:
        from werkzeug.security import check_password_hash

        # A flood of logins must not block every request thread for minutes.
        if not self._hashing.acquire(timeout=HASH_WAIT_S):
            raise LoginFailed("Too many people are logging in right now. Try again in a few seconds.", retry_after_s=HASH_WAIT_S)
        try:
            return check_password_hash(password_hash, _normalized(password[: MAX_PASSWORD_CHARS + 1]))
        finally:
            self._hashing.release()


def _refusal(used: int, what: str) -> LoginFailed:
    left = MAX_ATTEMPTS - used
    if left <= 0:
        return LoginFailed(
            f"Wrong {what}. Too many failed attempts: try again in 15 minutes.", tries_left=0, retry_after_s=PAUSE_S
        )
    attempts = f"{left} {'attempt' if left == 1 else 'attempts'}"
    return LoginFailed(f"Wrong {what}. You have {attempts} left before a pause of 15 minutes.", tries_left=left)


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFKC", name).strip()
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise AccountRejected("name", f"enter a name of 1 to {MAX_NAME_CHARS} characters")
    if not name.isprintable():
        raise AccountRejected("name", "the name contains characters that cannot be displayed")
    return name


def _check_password(name: str, password: str) -> None:
    if len(password) < MIN_PASSWORD_CHARS:
        raise AccountRejected("password", f"the password must have at least {MIN_PASSWORD_CHARS} characters")
    if len(password) > MAX_PASSWORD_CHARS:
        raise AccountRejected("password", f"the password must have at most {MAX_PASSWORD_CHARS:,} characters")
    if password.casefold() == name.casefold():
        raise AccountRejected("password", "the password must not be the same as the name")


def _normalized(text: str) -> str:
    """Return the text in one Unicode form, whichever the keyboard sent, without lone surrogates."""
    return unicodedata.normalize("NFC", text).encode("utf-8", errors="replace").decode("utf-8")
