"""Accounts, log-ins, sessions, tries and the setup code, with real hashes on a real catalogue."""

import logging
import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from image_cache.accounts.service import IDLE_S, PAUSE_S, TOUCH_S, Accounts
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import AccountRejected, LoginFailed
from image_cache.models import Account
from tests.support.catalogs import catalog_at
from tests.support.clock import FakeClock
from tests.support.statements import before_statement

PASSWORD = "turntable 33"
HOME = "192.168.1.20"


@pytest.fixture
def accounts(catalog: CatalogDatabase, clock: FakeClock) -> Accounts:
    return Accounts(catalog, clock=clock)


@pytest.fixture
def ida(accounts: Accounts) -> Account:
    return accounts.add("Ida", PASSWORD, "operator")


def refused(accounts: Accounts, name: str = "Ida", password: str = "wrong one", address: str = HOME) -> LoginFailed:
    with pytest.raises(LoginFailed) as caught:
        accounts.login(name, password, address)
    return caught.value


def writes(catalog: CatalogDatabase) -> int:
    """Return a number that every change of the file moves."""
    with catalog.reading() as conn:
        return int(conn.total_changes)


# Accounts and passwords


def test_an_account_logs_in_and_is_known_by_its_token(accounts: Accounts, ida: Account) -> None:
    token = accounts.login("Ida", PASSWORD, HOME)
    assert accounts.account_for_session(token) == ida == Account(1, "Ida", "operator")


@pytest.mark.parametrize("name", ["ida", "IDA", " Ida ", "\N{FULLWIDTH LATIN CAPITAL LETTER I}da"])
@pytest.mark.slow
def test_a_name_is_the_same_however_it_is_typed(accounts: Accounts, ida: Account, name: str) -> None:
    assert accounts.account_for_session(accounts.login(name, PASSWORD, HOME)) == ida
    with pytest.raises(AccountRejected, match="is already taken"):
        accounts.add(name, PASSWORD, "owner")


def test_a_password_is_the_same_from_every_keyboard(accounts: Accounts) -> None:
    accounts.add("Zoë", "Müllerstraße", "owner")
    assert accounts.login("Zoe\u0308", "Mu\u0308llerstraße", HOME)


@pytest.mark.parametrize(
    ("name", "password", "role", "field"),
    [
        ("", PASSWORD, "owner", "name"),
        ("  ", PASSWORD, "owner", "name"),
        ("x" * 41, PASSWORD, "owner", "name"),
        ("a\nb", PASSWORD, "owner", "name"),
        ("a\ud800", PASSWORD, "owner", "name"),
        ("Ida", "short 7", "owner", "password"),
        ("Ida", "x" * 1001, "owner", "password"),
        ("turntable", "Turntable", "owner", "password"),
        ("Ida", PASSWORD, "root", "role"),
    ],
)
def test_what_cannot_be_an_account_is_refused(accounts: Accounts, name: str, password: str, role: str, field: str) -> None:
    with pytest.raises(AccountRejected) as caught:
        accounts.add(name, password, role)
    assert caught.value.field == field
    assert password not in str(caught.value) or password == ""
    assert accounts.accounts() == []


@pytest.mark.slow
def test_neither_passwords_nor_tokens_nor_the_code_are_in_a_log(
    accounts: Accounts, ida: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = accounts.login("Ida", PASSWORD, HOME)
    refused(accounts, name="a secret in the wrong field", password="another secret", address="1.2.3.4\nforged line")
    accounts.set_password("Ida", "a third secret")
    text = caplog.text
    assert "login failed" in text
    for secret in (PASSWORD, token, "secret", "Ida"):
        assert secret not in text
    assert "\nforged" not in text


@pytest.mark.sqlite_only  # reads its files
def test_the_files_hold_neither_passwords_nor_tokens(accounts: Accounts, ida: Account, catalog: CatalogDatabase) -> None:
    token = accounts.login("Ida", PASSWORD, HOME)
    catalog.close()
    held = b"".join(file.read_bytes() for file in catalog.path.parent.iterdir())
    assert b"scrypt:32768:8:1$" in held
    assert PASSWORD.encode() not in held
    assert token.encode() not in held


@pytest.mark.slow
def test_a_new_password_ends_all_sessions(accounts: Accounts, ida: Account) -> None:
    token = accounts.login("Ida", PASSWORD, HOME)
    accounts.set_password("ida", "another one 45")
    assert accounts.account_for_session(token) is None
    refused(accounts, password=PASSWORD)
    assert accounts.login("Ida", "another one 45", HOME)
    with pytest.raises(AccountRejected, match="no account"):
        accounts.set_password("Bob", PASSWORD)


# Sessions


def test_every_login_has_its_own_token(accounts: Accounts, ida: Account) -> None:
    first, second = accounts.login("Ida", PASSWORD, HOME), accounts.login("Ida", PASSWORD, HOME)
    assert first != second
    accounts.logout(first)
    accounts.logout(first)
    assert accounts.account_for_session(first) is None
    assert accounts.account_for_session(second) == ida


def test_all_sessions_of_an_account_can_be_ended(accounts: Accounts, ida: Account) -> None:
    tokens = [accounts.login("Ida", PASSWORD, HOME) for _ in range(2)]
    assert accounts.revoke(ida) == 2
    assert [accounts.account_for_session(token) for token in tokens] == [None, None]


@pytest.mark.parametrize("token", ["", "x", "x" * 10_000, "\0", "\ud800", "' OR 1=1 --"])
def test_what_is_no_token_is_nobody(accounts: Accounts, ida: Account, token: str) -> None:
    accounts.login("Ida", PASSWORD, HOME)
    assert accounts.account_for_session(token) is None


def test_a_session_ends_after_twelve_idle_hours_and_not_before(accounts: Accounts, ida: Account, clock: FakeClock) -> None:
    token = accounts.login("Ida", PASSWORD, HOME)
    for _ in range(5):
        clock.advance(IDLE_S - 1)
        assert accounts.account_for_session(token) == ida
    clock.advance(IDLE_S + 1)
    assert accounts.account_for_session(token) is None
    clock.advance(-IDLE_S)
    assert accounts.account_for_session(token) is None


@pytest.mark.sqlite_only  # counts its changes
def test_a_request_does_not_write(accounts: Accounts, ida: Account, clock: FakeClock, catalog: CatalogDatabase) -> None:
    token = accounts.login("Ida", PASSWORD, HOME)
    before = writes(catalog)
    for _ in range(100):
        clock.advance((TOUCH_S - 1) / 100)
        accounts.account_for_session(token)
    assert writes(catalog) == before
    clock.advance(2)
    accounts.account_for_session(token)
    accounts.account_for_session(token)
    assert writes(catalog) == before + 1


def test_a_clock_that_is_set_back_does_not_make_a_session_live_longer(accounts: Accounts, ida: Account, clock: FakeClock) -> None:
    token = accounts.login("Ida", PASSWORD, HOME)
    clock.advance(-10 * 365 * 86400)
    assert accounts.account_for_session(token) == ida
    clock.advance(IDLE_S + 1)
    assert accounts.account_for_session(token) is None


def test_sessions_that_are_over_are_forgotten(
    accounts: Accounts, ida: Account, clock: FakeClock, catalog: CatalogDatabase
) -> None:
    accounts.login("Ida", PASSWORD, HOME)
    clock.advance(IDLE_S + 1)
    accounts.login("Ida", PASSWORD, HOME)
    assert len(catalog.rows("SELECT * FROM sessions")) == 1


# Tries


@pytest.mark.slow
def test_five_wrong_tries_then_a_pause_of_fifteen_minutes(accounts: Accounts, ida: Account, clock: FakeClock) -> None:
    told = [str(refused(accounts)) for _ in range(5)]
    assert told == [
        "Wrong name or password. You have 4 attempts left before a pause of 15 minutes.",
        "Wrong name or password. You have 3 attempts left before a pause of 15 minutes.",
        "Wrong name or password. You have 2 attempts left before a pause of 15 minutes.",
        "Wrong name or password. You have 1 attempt left before a pause of 15 minutes.",
        "Wrong name or password. Too many failed attempts: try again in 15 minutes.",
    ]
    clock.advance(61)
    paused = refused(accounts, password=PASSWORD)
    assert str(paused) == "Too many failed attempts. Try again in 14 minutes."
    assert (paused.tries_left, paused.retry_after_s) == (0, PAUSE_S - 61)
    clock.advance(PAUSE_S - 61)
    assert accounts.login("Ida", PASSWORD, HOME)


def test_the_facts_of_a_refusal_are_there_as_numbers(accounts: Accounts, ida: Account) -> None:
    failed = refused(accounts)
    assert (failed.tries_left, failed.retry_after_s) == (4, None)


@pytest.mark.slow
def test_the_right_password_forgives_the_wrong_ones(accounts: Accounts, ida: Account) -> None:
    for _ in range(4):
        refused(accounts)
    accounts.login("Ida", PASSWORD, HOME)
    assert refused(accounts).tries_left == 4


@pytest.mark.slow
def test_one_address_does_not_lock_out_another(accounts: Accounts, ida: Account) -> None:
    for _ in range(6):
        refused(accounts)
    assert accounts.login("Ida", PASSWORD, "192.168.1.21")


@pytest.mark.slow
def test_a_name_that_is_not_there_is_answered_like_one_that_is(accounts: Accounts, ida: Account) -> None:
    known = [refused(accounts, "Ida") for _ in range(6)]
    unknown = [refused(accounts, "Bob") for _ in range(6)]
    assert [(e.reason, e.tries_left) for e in known] == [(e.reason, e.tries_left) for e in unknown]


@pytest.mark.slow
def test_the_addresses_of_one_ipv6_host_count_together(accounts: Accounts, ida: Account) -> None:
    left = [refused(accounts, address=f"2001:db8::{n}").tries_left for n in range(4)]
    assert left == [4, 3, 2, 1]
    assert refused(accounts, address="2001:db8:0:1::1").tries_left == 4
    assert refused(accounts, address="::ffff:192.168.1.20").tries_left == 4
    assert refused(accounts, address=HOME).tries_left == 3


@pytest.mark.slow
def test_a_pause_survives_a_restart(accounts: Accounts, ida: Account, clock: FakeClock, tmp_path: Path) -> None:
    for _ in range(5):
        refused(accounts)
    again = catalog_at(tmp_path / "catalog.db")
    assert refused(Accounts(again, clock=clock), password=PASSWORD).retry_after_s == PAUSE_S
    again.close()


@pytest.mark.slow
def test_a_clock_that_is_set_back_does_not_pause_for_years(accounts: Accounts, ida: Account, clock: FakeClock) -> None:
    for _ in range(5):
        refused(accounts)
    clock.advance(-10 * 365 * 86400)
    assert refused(accounts, password=PASSWORD).retry_after_s == PAUSE_S
    clock.advance(PAUSE_S)
    assert accounts.login("Ida", PASSWORD, HOME)


@pytest.mark.slow
def test_tries_at_the_same_moment_are_no_more_than_five(accounts: Accounts, ida: Account) -> None:
    barrier = threading.Barrier(8)
    told: list[str] = []

    def attempt() -> None:
        barrier.wait()
        told.append(str(refused(accounts)))

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(text.startswith("Wrong name or password.") for text in told) == 5


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 100_000, "' OR 1=1 --", "\u0301" * 100_000])
def test_no_text_breaks_the_login(accounts: Accounts, text: str) -> None:
    assert refused(accounts, name=text, password=text, address=text).tries_left == 4


@pytest.mark.slow
def test_an_unknown_name_takes_as_long_as_a_wrong_password(accounts: Accounts, ida: Account) -> None:
    times: dict[str, list[float]] = {"Ida": [], "Bob": []}
    for number in range(30):
        for name, taken in times.items():
            began = time.thread_time()
            refused(accounts, name, address=f"10.0.0.{number}")
            taken.append(time.thread_time() - began)
    known, unknown = (min(values) for values in times.values())  # a busy machine can only add to it
    assert 0.8 < unknown / known < 1.25


# Claiming the machine


def test_a_new_machine_has_a_code_that_makes_the_first_operator(accounts: Accounts) -> None:
    code = accounts.setup_code()
    assert code is not None
    assert len(code) == 9
    assert code == accounts.setup_code()
    assert not accounts.has_operator()
    token = accounts.claim(code.lower().replace("-", " "), "Ida", PASSWORD, HOME)
    assert accounts.account_for_session(token) == Account(1, "Ida", "operator")
    assert accounts.has_operator()
    assert accounts.setup_code() is None


def test_the_code_is_the_same_after_a_restart(accounts: Accounts, tmp_path: Path) -> None:
    other = catalog_at(tmp_path / "catalog.db")
    assert Accounts(other).setup_code() == accounts.setup_code()
    other.close()


@pytest.mark.sqlite_only  # traces its connection
def test_an_operator_who_comes_while_the_code_is_made_leaves_no_code(
    accounts: Accounts, catalog: CatalogDatabase, tmp_path: Path
) -> None:
    """A second worker that starts at that moment would print a code for a machine that has its operator."""
    other = catalog_at(tmp_path / "catalog.db")
    before_statement(catalog, "BEGIN IMMEDIATE", lambda: Accounts(other).add("Ida", PASSWORD, "operator"))
    assert accounts.setup_code() is None
    assert accounts.has_operator()
    other.close()


def test_a_wrong_code_claims_nothing_and_is_limited(accounts: Accounts, clock: FakeClock) -> None:
    code = accounts.setup_code()
    assert code is not None
    for wrong in ("", "AAAA-AAAA", code[:-1], code + "2", "\ud800"):
        with pytest.raises(LoginFailed, match="Wrong setup code"):
            accounts.claim(wrong, "Eve", PASSWORD, "192.168.1.66")
    with pytest.raises(LoginFailed, match="Too many failed attempts"):
        accounts.claim(code, "Eve", PASSWORD, "192.168.1.66")
    assert not accounts.has_operator()
    accounts.claim(code, "Ida", PASSWORD, HOME)


def test_nobody_claims_a_machine_that_has_its_operator(accounts: Accounts) -> None:
    code = accounts.setup_code()
    assert code is not None
    accounts.add("Ida", PASSWORD, "operator")
    for tried in (code, "", "None"):
        with pytest.raises(LoginFailed, match="An operator account already exists"):
            accounts.claim(tried, "Eve", PASSWORD, HOME)
    assert [account.name for account in accounts.accounts()] == ["Ida"]


@pytest.mark.slow
def test_an_owner_is_not_the_operator(accounts: Accounts) -> None:
    accounts.add("Ola", PASSWORD, "owner")
    assert not accounts.has_operator()
    code = accounts.setup_code()
    assert code is not None
    with pytest.raises(AccountRejected, match="is already taken"):
        accounts.claim(code, "ola", PASSWORD, HOME)
    assert accounts.claim(code, "Ida", PASSWORD, HOME)


def test_a_weak_password_does_not_use_up_a_try(accounts: Accounts) -> None:
    code = accounts.setup_code()
    assert code is not None
    for _ in range(6):
        with pytest.raises(AccountRejected):
            accounts.claim(code, "Ida", "short", HOME)
    assert accounts.claim(code, "Ida", PASSWORD, HOME)


def _claim(
    path: Path, code: str, name: str, start: "multiprocessing.synchronize.Barrier", told: "multiprocessing.Queue[str]"
) -> None:
    catalog = CatalogDatabase(path)
    accounts = Accounts(catalog)
    start.wait()
    try:
        accounts.claim(code, name, PASSWORD, HOME)
        told.put("claimed")
    except LoginFailed as error:
        told.put(str(error))
    catalog.close()


def test_two_claims_at_once_make_one_operator(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = CatalogDatabase(path)
    code = Accounts(catalog).setup_code()
    catalog.close()
    assert code is not None
    context = multiprocessing.get_context("fork")
    barrier, told = context.Barrier(2), context.Queue()
    claimers = [context.Process(target=_claim, args=(path, code, name, barrier, told)) for name in ("Ida", "Eve")]
    for claimer in claimers:
        claimer.start()
    answers = sorted(told.get(timeout=60) for _ in claimers)
    for claimer in claimers:
        claimer.join(60)
    assert answers == ["An operator account already exists. Log in instead.", "claimed"]
