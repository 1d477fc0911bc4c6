"""Your own account: seen on every page, its password changed by yourself; accounts made by an invite link."""

import re
import threading

import pytest

from image_cache.errors import LoginFailed
from tests.support.inside import LAN, NAME, PASSWORD, Inside, form_token

NEW = "another good one"


@pytest.mark.parametrize("path", ["/", "/about", "/streams", "/search", "/album/1"])
def test_every_page_says_who_is_logged_in_and_logs_out(inside: Inside, path: str) -> None:
    inside.album("http://cover.example/1.jpg")
    client = inside.logged_in()
    page = client.get(path).text
    bar = page[page.index("<header") : page.index("</header>")]
    assert re.search(rf'<a class="who" href="/account"[^>]*>{NAME}</a>', bar)
    assert 'action="/logout"' in bar
    assert 'href="/login"' not in bar
    bar = inside.stranger().get(path).text
    assert '<a href="/login">Log in</a>' in bar
    assert 'action="/logout"' not in bar


def test_a_changed_password_ends_every_other_session(inside: Inside) -> None:
    client = inside.logged_in()
    other = inside.logged_in_again()
    fields = {"old_password": PASSWORD, "password": NEW, "csrf_token": form_token(client, "/account")}
    answer = client.post("/account/password", data=fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?done=password")
    assert client.get("/account").status_code == 200
    assert other.get("/account").status_code == 401
    assert inside.services.accounts.login(NAME, NEW, LAN)
    with pytest.raises(LoginFailed):
        inside.services.accounts.login(NAME, PASSWORD, LAN)


@pytest.mark.parametrize(("old", "new", "status"), [("wrong one", NEW, 403), (PASSWORD, "short", 400), (PASSWORD, NAME, 400)])
def test_a_refused_change_changes_nothing(inside: Inside, old: str, new: str, status: int) -> None:
    client = inside.logged_in()
    fields = {"old_password": old, "password": new, "csrf_token": form_token(client, "/account")}
    answer = client.post("/account/password", data=fields)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert client.get("/account").status_code == 200
    assert inside.services.accounts.login(NAME, PASSWORD, LAN)


def invited(inside: Inside) -> str:
    """Return the token of an invitation for one person."""
    streams, members = inside.services.streams, inside.services.stream_members
    owner = members.viewer(NAME)
    stream = streams.create_stream("Evening", "evening", visibility="subscribers", owner=owner)
    return members.invite(stream)[0]


def test_eight_at_once_with_one_invitation_leave_one_account(inside: Inside) -> None:
    inside.account()
    token = invited(inside)
    clients = [inside.stranger() for _ in range(8)]
    forms = [form_token(client, f"/invite/{token}") for client in clients]
    barrier, statuses = threading.Barrier(8), []

    def join(number: int) -> None:
        barrier.wait()
        data = {"name": f"Guest {number}", "password": PASSWORD, "csrf_token": forms[number]}
        statuses.append(clients[number].post(f"/invite/{token}", data=data).status_code)

    threads = [threading.Thread(target=join, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [303, *[404] * 7]
    assert len(inside.services.accounts.accounts()) == 2


def test_the_invitation_says_of_a_taken_name_what_a_login_says(inside: Inside) -> None:
    inside.account()
    inside.services.accounts.add("Ida", PASSWORD, "viewer")
    token = invited(inside)
    client = inside.stranger()
    texts = []
    for _ in range(6):
        data = {"name": "Ida", "password": "wrong password", "csrf_token": form_token(client, f"/invite/{token}")}
        answer = client.post(f"/invite/{token}", data=data)
        assert answer.status_code == 403
        assert "has an account" not in answer.text
        texts.append(answer.text)
    assert "Too many" in texts[-1]
    assert inside.services.stream_members.invitation(token), "it is not used up"


def test_the_link_of_an_invitation_leads_to_where_its_owner_is(inside: Inside) -> None:
    client = inside.logged_in()
    invited(inside)
    data = {"action": "invite", "role": "subscriber", "csrf_token": form_token(client, "/streams/evening/people")}
    headers = {"Origin": "https://vault.example", "Sec-Fetch-Site": "same-origin"}
    page = client.post("/streams/evening/people", data=data, headers=headers)
    assert "https://vault.example/invite/" in page.text
    assert "vault.local" not in page.text


def test_accounts_are_removed_but_for_the_last_operator(inside: Inside) -> None:
    client = inside.logged_in()
    accounts = inside.services.accounts
    accounts.add("Ida", PASSWORD, "operator")
    accounts.remove("vera")
    assert client.get("/account").status_code == 401
    with pytest.raises(Exception, match="last operator"):
        accounts.remove("Ida")
    assert [account.name for account in accounts.accounts()] == ["Ida"]
