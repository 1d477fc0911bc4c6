"""API tokens: a script acts for an account, within the scopes of its token, without a password and without a session.

Tokens never reach a log. Their form is known to scanners that look for secrets in published code.
"""

import logging
import secrets
import string
import threading
import time
import unicodedata
from collections.abc import Callable, Collection

from image_cache.accounts.token_table import ApiToken, TokenTable
from image_cache.codes import hash_token
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.errors import AccountRejected
from image_cache.models import Account

logger = logging.getLogger(__name__)

READ, UPLOAD, MANAGE = "read", "upload", "manage"
SCOPES = (READ, UPLOAD, MANAGE)
EXPIRY_DAYS = (30, 365, 0)  # that can be chosen; 0: never
PREFIX = "vv_"
SIGNS = 24  # of 62: 142 bits
MAX_TOKENS = 50  # of one account
MAX_NAME_CHARS = 60
MAX_PENDING = 1024  # tokens whose uses wait to be written
DAY_S = 86400.0
_ALPHABET = string.ascii_letters + string.digits


class ApiTokens:
    """Any thread, several processes; uses are counted in memory and written by `flush`, because reads do not write."""

    def __init__(self, catalog: CatalogDatabase, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = TokenTable(catalog)
        self._clock = clock
        self._lock = threading.Lock()  # protects _uses
        self._uses: dict[int, tuple[int, float, str]] = {}

    def create(
        self, account: Account, name: str, scopes: Collection[str], *, days: int = 365, stream_id: int | None = None
    ) -> tuple[str, ApiToken]:
        """Create a token; return it, of which only the hash is stored, and its facts. Raises `AccountRejected`.

        `stream_id` binds the scope `upload` to one stream; the caller has checked that the account edits it.
        """
        name = unicodedata.normalize("NFC", name).strip()
        if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
            raise AccountRejected("name", f"Enter a name of 1 to {MAX_NAME_CHARS} characters.")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise AccountRejected("scopes", f"Choose at least one scope of {', '.join(SCOPES)}.")
        if days not in EXPIRY_DAYS:
            raise AccountRejected("days", "A token can be valid for 30 days, 1 year, or without end.")
        if len(self.tokens(account)) >= MAX_TOKENS:
            raise AccountRejected("name", f"You have {MAX_TOKENS} tokens. Revoke one to create another.")
        now = self._clock()
        made = ApiToken(
            id=0,
            account=account,
            name=name,
            scopes=frozenset(scopes),
            stream_id=stream_id if UPLOAD in scopes else None,
            stream_title="",
            created_at=now,
            expires_at=now + days * DAY_S if days else None,
            uses=0,
            used_at=None,
            used_from="",
        )
        token = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(SIGNS))
        number = self._rows.add(hash_token(token), made)
        logger.info("API token created id=%d account_id=%d scopes=%s", number, account.id, ",".join(sorted(scopes)))
        return token, next(one for one in self.tokens(account) if one.id == number)

    def tokens(self, account: Account) -> list[ApiToken]:
        """Return the tokens of an account, the newest first, also expired ones."""
        return self._rows.tokens(account.id)

    def works(self, token: ApiToken) -> bool:
        return token.expires_at is None or self._clock() < token.expires_at

    def revoke(self, account: Account, number: int) -> bool:
        """Revoke a token of the account from the next request on; False if there is none."""
        revoked = 0 < number < 2**63 and self._rows.revoke(account.id, number)
        if revoked:
            logger.info("API token revoked id=%d account_id=%d", number, account.id)
        return revoked

    def find(self, token: str, address: str) -> ApiToken | None:
        """Return a token that works, and count its use; None if it is unknown, expired or revoked."""
        found = self._rows.token(hash_token(token[:100]))
        if found is None or not self.works(found):
            return None
        with self._lock:
            if len(self._uses) < MAX_PENDING or found.id in self._uses:
                self._uses[found.id] = (self._uses.get(found.id, (0, 0.0, ""))[0] + 1, self._clock(), address)
        return found

    def flush(self) -> None:
        """Write the pending uses. A database that refuses costs them, nothing else."""
        with self._lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            self._rows.add_uses(uses)
        except DatabaseError as error:
            logger.warning("token uses lost reason=%s", error)
