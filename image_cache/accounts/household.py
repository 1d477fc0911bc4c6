"""The household: who has an account and with which role, links that invite and reset, sessions, and who may count plays.

Knows no cookies and no pages. Tokens never reach a log.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Sequence

from image_cache.accounts.household_table import AccountLink, HouseholdAccount, HouseholdTable, OpenSession
from image_cache.accounts.service import IDLE_S, ROLES, Accounts
from image_cache.codes import hash_token
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.database import IntegrityError
from image_cache.errors import AccountRejected, InvitationRejected
from image_cache.models import Account

logger = logging.getLogger(__name__)

INVITE_DAYS = 7
RESET_DAYS = 1
DAY_S = 86400.0
GUESTS_PLAY = "household.guests_play"
INVITED = ("member", "owner")  # roles that a link gives; an operator is made on the page, by name

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "a Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


class Household:
    """The accounts of a household. Any thread; several processes share what is in the catalogue."""

    def __init__(self, catalog: CatalogDatabase, accounts: Accounts, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = HouseholdTable(catalog)
        self._settings = SettingsTable(catalog)
        self._accounts = accounts
        self._clock = clock

    def accounts(self) -> list[HouseholdAccount]:
        """Return every account by name, with its open sessions."""
        return self._rows.accounts(self._clock() - IDLE_S)

    def account(self, account_id: int) -> Account:
        """Raises `AccountRejected`."""
        found = self._rows.account(account_id) if 0 < account_id < 2**63 else None
        if found is None:
            raise AccountRejected("name", "There is no such account.")
        return found

    def change_role(self, account_id: int, role: str) -> Account:
        """Change a role; it counts from the next request. Raises `AccountRejected`, also for the last operator."""
        _check_role(role)
        before = self.account(account_id)
        if not self._rows.change_role(account_id, role):
            raise AccountRejected("role", f"{before.name} is the last operator. Make another account an operator first.")
        logger.info("account role changed id=%d role=%s", account_id, role)
        return Account(account_id, before.name, role)

    def remove(self, account_id: int) -> Account:
        """Remove an account; see `Accounts.remove`. Raises `AccountRejected`."""
        return self._accounts.remove(self.account(account_id).name)

    def sessions(self, account: Account) -> list[OpenSession]:
        """Return the open sessions of an account, the last used first."""
        return self._rows.sessions(account.id, self._clock() - IDLE_S)

    def end_session(self, account: Account, number: str) -> bool:
        """End one session of an account; False if it had ended already."""
        return self._rows.end_session(account.id, number[:16])

    def invite(self, role: str) -> tuple[str, AccountLink]:
        """Return the token of a link that makes one account of this role, and its facts. Raises `AccountRejected`."""
        _check_role(role, INVITED)
        return self._make_link(role, None, INVITE_DAYS)

    def reset(self, account_id: int) -> tuple[str, AccountLink]:
        """Return the token of a link that gives an account a new password. Until it is used, the old one works."""
        owner = self.account(account_id)
        return self._make_link(owner.role, owner, RESET_DAYS)

    def links(self) -> list[AccountLink]:
        """Return the links that still work, the oldest first."""
        return self._rows.links(self._clock())

    def revoke_link(self, link_id: int) -> bool:
        """Revoke a link; False if it was used or revoked already."""
        return 0 < link_id < 2**63 and self._rows.revoke_link(link_id)

    def link(self, token: str) -> AccountLink:
        """Return a link that still works. Raises `InvitationRejected`."""
        found = self._rows.link(hash_token(token[:200]), self._clock())
        if found is None:
            raise InvitationRejected("This link has expired or was used already. Ask for another one.")
        return found

    def join(self, token: str, name: str, password: str, address: str, device: str = "") -> str:
        """Make the account of an invite link; return a session token.

        Raises `InvitationRejected`, and `AccountRejected` for a name or password: then the link still works.
        """
        self.link(token)
        new = self._accounts.prepare(name, password)
        try:
            made = self._rows.join(hash_token(token[:200]), new, self._clock())
        except IntegrityError as error:
            raise AccountRejected("name", f"{new.name} already has an account. Choose another name.") from error
        if made is None:
            raise InvitationRejected("This link has expired or was used already. Ask for another one.")
        logger.info("account added id=%d role=%s", made.id, made.role)
        return self._accounts.open_session(made, address, device)

    def choose_password(self, token: str, password: str, address: str, device: str = "") -> str:
        """Set a password by a reset link, which ends all sessions of the account; return the token of a new one.

        Raises `InvitationRejected`, and `AccountRejected` for the password: then the link still works.
        """
        owner = self.link(token).account
        if owner is None:
            raise InvitationRejected("This link makes an account. It cannot reset a password.")
        new = self._accounts.prepare(owner.name, password)
        if not self._rows.reset_password(hash_token(token[:200]), new.password_hash, self._clock()):
            raise InvitationRejected("This link has expired or was used already. Ask for another one.")
        logger.info("password reset account_id=%d", owner.id)
        return self._accounts.open_session(owner, address, device)

    def may_guests_play(self) -> bool:
        """Return True if anyone on the home network may count plays without an account."""
        return self._settings.values(GUESTS_PLAY).get(GUESTS_PLAY) == "1"

    def let_guests_play(self, *, allowed: bool) -> None:
        self._settings.set({GUESTS_PLAY: "1" if allowed else "0"})

    def _make_link(self, role: str, owner: Account | None, days: int) -> tuple[str, AccountLink]:
        token, now = secrets.token_urlsafe(16), self._clock()
        ends = now + days * DAY_S
        number = self._rows.add_link(hash_token(token), role, owner.id if owner else None, now, ends)
        logger.info("account link made id=%d role=%s account_id=%s", number, role, owner.id if owner else None)
        return token, AccountLink(number, role, now, ends, owner)


def session_number(token: str) -> str:
    """Return the number of the session of a token, as `OpenSession` has it."""
    return hash_token(token).hex()[:16].upper()


def device_name(user_agent: str) -> str:
    """Return a browser and its system in words, such as "Firefox on Android"; "" if neither is known."""
    agent = user_agent[:500]
    browser = next((name for mark, name in _BROWSERS if re.search(rf"\b{mark}/", agent)), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if browser and system else browser or system


def _check_role(role: str, roles: Sequence[str] = ROLES) -> None:
    if role not in roles:
        raise AccountRejected("role", f"role must be one of {', '.join(roles)}, not {role[:40]!r}")
