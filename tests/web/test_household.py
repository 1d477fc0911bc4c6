"""Pages of the household: what each role sees and does, links with a QR code, guests on the home network."""

import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.web.accounts.household import RIGHTS
from tests.support.inside import LAN, PASSWORD, Inside, form_token, page_token

LINK = re.compile(r'value="(http://vault\.local:5000/join/[^"]+)"')


def post(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data={"csrf_token": page_token(client), **fields})


def logged_in(inside: Inside, role: str) -> FlaskClient:
    """Return a browser of a new account whose name is its role."""
    inside.account(role, role)
    client = inside.stranger()
    form = {"name": role, "password": PASSWORD, "csrf_token": form_token(client)}
    assert client.post("/login", data=form).status_code == 303
    return client


def test_an_operator_invites_a_member_by_a_link_with_a_qr_code(inside: Inside) -> None:
    operator = logged_in(inside, "operator")
    page = post(operator, "/accounts/invite", role="member").text
    assert page.count('<svg class="qr"') == 1
    found = LINK.search(page)
    assert found
    path = found[1].partition("5000")[2]
    guest = inside.stranger()
    assert "You are invited as a member" in guest.get(path).text
    form = {"name": "Edie", "password": PASSWORD, "csrf_token": form_token(guest, path)}
    assert guest.post(path, data=form).status_code == 303
    assert ">Edie</a>" in guest.get("/about").text
    assert guest.get("/accounts").status_code == 403
    assert inside.stranger().get(path).status_code == 404
    assert found[1] not in operator.get("/accounts").text


def test_a_reset_link_logs_its_owner_in_with_a_new_password(inside: Inside) -> None:
    operator, owner = logged_in(inside, "operator"), logged_in(inside, "owner")
    ben = next(one.account for one in inside.services.household.accounts() if one.account.name == "owner")
    path = LINK.search(post(operator, f"/accounts/{ben.id}/reset").text)[1].partition("5000")[2]  # type: ignore[index]
    client = inside.stranger()
    refused = client.post(path, data={"password": "short", "csrf_token": form_token(client, path)})
    assert (refused.status_code, "at least 8" in refused.text) == (400, True)
    assert client.post(path, data={"password": "a new long one", "csrf_token": form_token(client, path)}).status_code == 303
    assert client.get("/account").status_code == 200
    assert owner.get("/account").status_code == 401
    assert inside.services.accounts.login("owner", "a new long one", LAN)


def test_a_role_counts_from_the_next_request(inside: Inside) -> None:
    operator, member = logged_in(inside, "operator"), logged_in(inside, "member")
    who = next(one.account for one in inside.services.household.accounts() if one.account.name == "member")
    assert member.get("/covers/missing").status_code == 403
    assert post(operator, f"/accounts/{who.id}/role", role="owner").status_code == 303
    assert member.get("/covers/missing").status_code == 200
    refused = post(operator, f"/accounts/{who.id}/role", role="emperor")
    assert (refused.status_code, "role must be one of" in refused.text) == (400, True)


def test_nobody_removes_their_own_account_or_the_last_operator(inside: Inside) -> None:
    operator = logged_in(inside, "operator")
    own = inside.services.household.accounts()[0].account
    answer = post(operator, f"/accounts/{own.id}/remove")
    assert (answer.status_code, "cannot remove your own account" in answer.text) == (400, True)
    answer = inside.client(cookies=False).post(f"/accounts/{own.id}/remove")
    assert (answer.status_code, "last operator" in answer.text) == (400, True)
    assert len(inside.services.accounts.accounts()) == 1


def test_ones_own_sessions_end_one_by_one_and_all_at_once(inside: Inside) -> None:
    client = inside.logged_in("member")
    other, third = inside.logged_in_again(), inside.logged_in_again()
    page = client.get("/account").text
    numbers = re.findall(r'name="session" value="([0-9A-F]{16})"', page)
    assert len(numbers) == 2
    assert post(client, "/account/sessions/end", session=numbers[0]).status_code == 303
    assert sorted(one.get("/account").status_code for one in (other, third)) == [200, 401]
    assert post(client, "/account/sessions/end-all").headers["Location"] == "/login"
    assert [one.get("/account").status_code for one in (client, other, third)] == [401, 401, 401]


def plays(inside: Inside, album: int) -> int:
    found = inside.services.library.album(album)
    assert found is not None
    return found.plays


def test_a_guest_at_home_counts_plays_when_the_operator_lets_them(inside: Inside) -> None:
    album, operator, guest = inside.album(), logged_in(inside, "operator"), inside.stranger()
    assert post(guest, f"/album/{album}/played").status_code == 401
    assert post(operator, "/accounts/guests", allowed="1").status_code == 303
    assert post(guest, f"/album/{album}/played").status_code == 303
    assert plays(inside, album) == 1
    assert post(guest, f"/album/{album}/stars", stars="5").status_code == 401
    assert post(operator, "/accounts/guests").status_code == 303
    assert post(guest, f"/album/{album}/played").status_code == 401
    assert plays(inside, album) == 1


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("8.8.8.8", {}),
        ("2001:4860:4860::8888", {}),
        ("192.168.1.77", {"X_FORWARDED_FOR": "8.8.8.8"}),
        ("192.168.1.77", {"CF_CONNECTING_IP": "8.8.8.8"}),
        ("100.64.0.9", {}),
        ("no address", {}),
    ],
)
def test_who_may_be_elsewhere_is_no_guest_at_home(inside: Inside, address: str, headers: dict[str, str]) -> None:
    inside.services.household.let_guests_play(allowed=True)
    album = inside.album()
    client = inside.client(address=address, host="vault.local:5000", accept="text/html", **headers)
    assert post(client, f"/album/{album}/played").status_code in (401, 403)
    assert plays(inside, album) == 0


def test_a_member_plays_rates_and_writes_notes_and_does_nothing_else_to_the_collection(inside: Inside) -> None:
    album, client = inside.album("http://192.168.1.20/x.jpg"), logged_in(inside, "member")
    assert post(client, f"/album/{album}/played").status_code == 303
    assert post(client, f"/album/{album}/stars", stars="4").status_code == 303
    assert post(client, f"/album/{album}/notes", own_notes="lent to Jo").status_code == 303
    page = client.get(f"/album/{album}").text
    assert "lent to Jo" in page
    assert "192.168.1.20" not in page
    assert f'href="/album/{album}/cover"' not in page
    for path in (f"/album/{album}/remove", f"/album/{album}/cover", "/import", "/import/records.csv", "/files"):
        assert client.get(path).status_code == 403, path
    assert client.get(f"/search?q={'jo'}").text.count("Nothing filed under") == 0


# A line of the page -> rules that it is about. "home" counts as no: guests are not let in here.
PROMISED = {
    "See the wall, search, what is playing": [("GET", "/"), ("GET", "/search")],
    "Count plays": [("POST", "/album/<int:album_id>/played"), ("POST", "/album/<int:album_id>/unplayed")],
    "Rate, write notes": [("POST", "/album/<int:album_id>/stars"), ("POST", "/album/<int:album_id>/notes")],
    "Add and edit records, choose covers": [("POST", "/album/<int:album_id>/cover/<action>"), ("POST", "/covers/missing")],
    "Export records, see imports and files": [("GET", "/import"), ("GET", "/import/records.<kind>"), ("GET", "/files")],
    "Import and remove records": [("POST", "/import/table"), ("POST", "/album/<int:album_id>/remove")],
    "Accounts, cache, settings": [("GET", "/accounts"), ("POST", "/accounts/guests"), ("POST", "/admin/cache/limits")],
}


def test_the_table_of_roles_on_the_page_says_what_the_rules_do() -> None:
    from tests.web.test_access import TABLE

    for what, cells in RIGHTS:
        for rule in PROMISED.get(what, ()):
            allowed = {role: TABLE[rule][role] not in (401, 403) for role in ("visitor", "member", "owner", "operator")}
            assert list(allowed.values()) == [cell == "yes" for cell in cells], (what, rule)
    assert set(PROMISED) == {what for what, cells in RIGHTS if "notes" not in cells}
