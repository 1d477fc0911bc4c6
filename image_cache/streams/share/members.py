"""Members of a stream: co-owners and subscribers, and the invite links that make them."""

import hashlib
import logging
import secrets
import time
from collections.abc import Callable

from image_cache.db.database import IntegrityError
from image_cache.errors import FieldRejected, InvitationRejected
from image_cache.models import ANONYMOUS, Account, NewAccount, Stream, Viewer
from image_cache.streams.share.member_table import CO_OWNER, SUBSCRIBER, Invitation, Member, MemberTable
from image_cache.text import account_key

logger = logging.getLogger(__name__)

ROLES = (SUBSCRIBER, CO_OWNER)
MAX_DAYS = 90.0
MAX_USES = 100
DAY_S = 86400.0


class StreamMembers:
    """Who belongs to which stream. Any thread, several processes."""

    def __init__(self, rows: MemberTable, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = rows
        self._clock = clock

    def viewer(self, user_id: int | str | None) -> Viewer:
        """Return an account as a viewer, by its id or its name; a visitor if there is none."""
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
            raise FieldRejected("name", "No account has this name. Check the spelling or send an invite link.")

    def remove(self, stream: Stream, name: str) -> None:
        if not self._rows.remove(stream.id, account_key(name)):
            raise FieldRejected("name", "This person is not a member of the stream.")

    def invite(self, stream: Stream, role: str = SUBSCRIBER, *, days: float = 7, uses: int = 1) -> tuple[str, Invitation]:
        """Create an invitation; return its token, of which only the hash is stored, and its facts. Raises `FieldRejected`."""
        if not 0 < days <= MAX_DAYS:
            raise FieldRejected("days", f"An invite link can be valid for up to {MAX_DAYS:g} days.")
        if not 1 <= uses <= MAX_USES:
            raise FieldRejected("uses", f"An invite link can be used by 1 to {MAX_USES} people.")
        token, now = secrets.token_urlsafe(24), self._clock()
        made = Invitation(0, _checked_role(role), now, now + days * DAY_S, uses)
        number = self._rows.invite(stream.id, _hash(token), made)
        logger.info("invite link created stream=%s role=%s days=%g", stream.slug, role, days)
        return token, Invitation(number, made.role, made.created_at, made.expires_at, made.uses_left)

    def invitations(self, stream: Stream) -> list[Invitation]:
        return self._rows.invitations(stream.id, self._clock())

    def revoke(self, stream: Stream, invitation_id: int) -> None:
        if not 0 < invitation_id < 2**63 or not self._rows.revoke(stream.id, invitation_id):
            raise FieldRejected("invitation", "This invite link does not exist.")

    def invitation(self, token: str) -> tuple[Invitation, str]:
        """Return a valid invitation with the slug of its stream. Raises `InvitationRejected`."""
        found = self._rows.invitation(_hash(token), self._clock())
        if found is None:
            raise InvitationRejected("This invite link is invalid or has expired. Ask the owner for a new one.")
        return found

    def accept(self, token: str, account_id: int) -> str:
        """Make the account a member by an invite link; return the slug of the stream. Raises `InvitationRejected`."""
        _, slug = self.invitation(token)
        if not self._rows.accept(_hash(token), account_id, self._clock()):
            raise InvitationRejected("This invite link is invalid or has expired. Ask the owner for a new one.")
        return slug

    def accept_new(self, token: str, new: NewAccount) -> Account | None:
        """Make an account and let it join by an invite link, both or neither; None if the name is taken.

        Raises `InvitationRejected`: then there is no account.
        """
        try:
            made = self._rows.accept_new(_hash(token), new, self._clock())
        except IntegrityError:
            return None
        if made is None:
            raise InvitationRejected("This invite link is invalid or has expired. Ask the owner for a new one.")
        logger.info("account added id=%d role=%s", made.id, made.role)
        return made


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise FieldRejected("role", f"role must be one of {', '.join(ROLES)}.")
    return role


def _hash(token: str) -> bytes:
    return hashlib.sha256(token[:200].encode(errors="replace")).digest()
