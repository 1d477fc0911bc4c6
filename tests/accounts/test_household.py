"""The household: roles and their migration, links that invite and reset, sessions, and who may count plays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.accounts.household import DAY_S, Household, device_name, session_number
from image_cache.accounts.service import Accounts
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import HOUSEHOLD, MIGRATIONS
from image_cache.db.database import Database
from image_cache.errors import AccountRejected, InvitationRejected, LoginFailed
from tests.support.catalogs import Catalogs, catalog_at
from tests.support.clock import FakeClock

LAN = "192.168.1.77"
PASSWORD = "correct horse"


class Home:
    """A catalogue with its accounts, on a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.catalog = catalog_at(folder / "catalog.db")
        self.accounts = Accounts(self.catalog, clock=self.clock)
        self.household = Household(self.catalog, self.accounts, clock=self.clock)


@pytest.fixture
def home(catalogs: Catalogs, tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path)
    yield found
    found.catalog.close()


def test_an_older_catalogue_keeps_every_account_role_session_and_stream(tmp_path: Path) -> None:
    before = MIGRATIONS[: MIGRATIONS.index(HOUSEHOLD)]
    old = Database(tmp_path / "catalog.db", before, synchronous="FULL")
    with old.write() as conn:
        for number, role in enumerate(("operator", "owner", "viewer"), 1):
            conn.execute("INSERT INTO accounts VALUES (?, ?, ?, 'x', ?, 1.0)", (number, role, role, role))
            conn.execute("INSERT INTO sessions VALUES (?, ?, 1.0, 2.0)", (bytes([number]), number))
        conn.execute("INSERT INTO streams (slug, title, visibility, owner_id, created_at) VALUES ('s', 'S', 'private', 2, 1.0)")
        conn.execute("INSERT INTO stream_people VALUES (1, 3, 'subscriber', 1.0)")
    old.close()
    catalog = CatalogDatabase(tmp_path / "catalog.db")
    assert [tuple(row) for row in catalog.rows("SELECT name, role FROM accounts ORDER BY id")] == [
        ("operator", "operator"),
        ("owner", "owner"),
        ("viewer", "viewer"),
    ]
    assert [tuple(row) for row in catalog.rows("SELECT account_id, seen_at, device FROM sessions ORDER BY account_id")] == [
        (1, 2.0, ""),
        (2, 2.0, ""),
        (3, 2.0, ""),
    ]
    assert catalog.rows("SELECT owner_id FROM streams")[0][0] == 2
    assert catalog.rows("SELECT account_id FROM stream_people")[0][0] == 3
    catalog.close()


def test_a_role_changes_but_never_that_of_the_last_operator(home: Home) -> None:
    ann, ben = (home.accounts.add(name, PASSWORD, role) for name, role in (("Ann", "operator"), ("Ben", "viewer")))
    with pytest.raises(AccountRejected, match="Ann is the last operator"):
        home.household.change_role(ann.id, "member")
    assert home.household.change_role(ben.id, "operator").role == "operator"
    assert home.household.change_role(ann.id, "member").role == "member"
    assert {one.account.name: one.account.role for one in home.household.accounts()} == {"Ann": "member", "Ben": "operator"}
    with pytest.raises(AccountRejected, match="role must be one of"):
        home.household.change_role(ann.id, "king")
    for nobody in (0, 99, 2**70):
        with pytest.raises(AccountRejected, match="no such account"):
            home.household.change_role(nobody, "member")


def test_an_invite_link_makes_one_account_of_its_role(home: Home) -> None:
    token, link = home.household.invite("member")
    assert (link.role, link.expires_at - link.created_at) == ("member", 7 * DAY_S)
    with pytest.raises(AccountRejected, match="at least 8"):
        home.household.join(token, "Edie", "short", LAN)
    opened = home.household.join(token, "Edie", PASSWORD, LAN, "Firefox on Android")
    account = home.accounts.account_for_session(opened)
    assert account is not None
    assert (account.name, account.role) == ("Edie", "member")
    with pytest.raises(InvitationRejected):
        home.household.join(token, "Second", PASSWORD, LAN)
    assert home.household.links() == []


def test_a_taken_name_leaves_the_link_for_another_try(home: Home) -> None:
    home.accounts.add("Edie", PASSWORD, "owner")
    token, _ = home.household.invite("member")
    with pytest.raises(AccountRejected, match="edie already has an account"):
        home.household.join(token, "edie", PASSWORD, LAN)
    assert home.household.join(token, "Edie 2", PASSWORD, LAN)


def test_a_link_expires_and_can_be_revoked(home: Home) -> None:
    late, _ = home.household.invite("owner")
    home.clock.advance(7 * DAY_S)
    with pytest.raises(InvitationRejected):
        home.household.link(late)
    token, link = home.household.invite("owner")
    assert home.household.revoke_link(link.id)
    assert not home.household.revoke_link(link.id)
    with pytest.raises(InvitationRejected):
        home.household.join(token, "Edie", PASSWORD, LAN)
    with pytest.raises(AccountRejected):
        home.household.invite("operator")


def test_a_reset_ends_the_sessions_and_only_the_newest_link_works(home: Home) -> None:
    ben = home.accounts.add("Ben", PASSWORD, "member")
    session = home.accounts.login("Ben", PASSWORD, LAN)
    old, _ = home.household.reset(ben.id)
    token, link = home.household.reset(ben.id)
    assert link.account == ben
    with pytest.raises(InvitationRejected):
        home.household.choose_password(old, "another good one", LAN)
    assert home.accounts.account_for_session(session) == ben  # the old password works until the link is used
    opened = home.household.choose_password(token, "another good one", LAN)
    assert home.accounts.account_for_session(opened) == ben
    assert home.accounts.account_for_session(session) is None
    with pytest.raises(LoginFailed):
        home.accounts.login("Ben", PASSWORD, LAN)
    with pytest.raises(InvitationRejected):
        home.household.choose_password(token, "a third good one", LAN)


def test_a_changed_role_or_a_removal_revokes_a_reset_link(home: Home) -> None:
    home.accounts.add("Ann", PASSWORD, "operator")
    ben, edie = (home.accounts.add(name, PASSWORD, "member") for name in ("Ben", "Edie"))
    tokens = [home.household.reset(one.id)[0] for one in (ben, edie)]
    home.household.change_role(ben.id, "viewer")
    home.household.remove(edie.id)
    for token in tokens:
        with pytest.raises(InvitationRejected):
            home.household.link(token)


def test_sessions_are_listed_with_their_device_and_end_one_by_one(home: Home) -> None:
    ben = home.accounts.add("Ben", PASSWORD, "member")
    other = home.accounts.add("Edie", PASSWORD, "member")
    first = home.accounts.login("Ben", PASSWORD, LAN, "Firefox on Android")
    home.clock.advance(60)
    home.accounts.login("Ben", PASSWORD, LAN)
    found = home.household.sessions(ben)
    assert [(one.device, one.number == session_number(first)) for one in found] == [("", False), ("Firefox on Android", True)]
    assert not home.household.end_session(other, session_number(first))
    assert home.household.end_session(ben, session_number(first))
    assert home.accounts.account_for_session(first) is None
    home.clock.advance(13 * 3600)
    assert home.household.sessions(ben) == []


def test_guests_count_plays_only_after_an_operator_said_so(home: Home) -> None:
    assert not home.household.may_guests_play()
    home.household.let_guests_play(allowed=True)
    assert home.household.may_guests_play()
    home.household.let_guests_play(allowed=False)
    assert not home.household.may_guests_play()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Android 14; Mobile; rv:141.0) Gecko/141.0 Firefox/141.0", "Firefox on Android"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/604.1",
            "Safari on an iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        ("curl/8.5.0", ""),
        ("", ""),
    ],
)
def test_a_device_is_named_by_browser_and_system(agent: str, name: str) -> None:
    assert device_name(agent) == name
