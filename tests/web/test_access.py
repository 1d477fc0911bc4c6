"""Which role may read and which may change, for every rule of the application: what is declared, and what is answered."""

import re
from collections.abc import Iterator

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.web.access import Role, check_declarations, declare_access, declared_access
from image_cache.web.rate_limits import limiter
from tests.support.catalogs import Catalogs
from tests.support.inside import PASSWORD, Inside, form_token, page_token
from tests.web.streams.test_access_matrix import TABLE as STREAM_TABLE

ROLES = ("visitor", "viewer", "member", "owner", "operator", "server")
ACCOUNTS = ROLES[1:5]
# Statuses for each role; the operator has not let guests count plays. `server`: curl on the server itself, without an account. Requests carry no fields, so that what is allowed
# may be answered with 400, 404 or 415 as well. Where the policy of a stream decides, `test_access_matrix` has the table.
STATUSES = """
GET    /                                            200 200 200 200 200 200
GET    /about                                       200 200 200 200 200 200
GET    /account                                     401 200 200 200 200 401
POST   /account/password                            401 400 400 400 400 401
GET    /account/scrobbling                          401 200 200 200 200 401
POST   /account/scrobbling/<name>/<action>          401 404 404 404 404 401
GET    /account/scrobbling/lastfm                   401 400 400 400 400 401
POST   /account/scrobbling/lastfm                   401 400 400 400 400 401
POST   /account/scrobbling/listenbrainz             401 400 400 400 400 401
POST   /account/sessions/end                        401 303 303 303 303 401
POST   /account/sessions/end-all                    401 303 303 303 303 401
GET    /accounts                                    401 403 403 403 200 200
GET    /account/tokens                              401 200 200 200 200 401
POST   /account/tokens                              401 400 400 400 400 401
POST   /account/tokens/<int:token_id>/revoke        401 404 404 404 404 401
POST   /accounts/<int:account_id>/logout            401 403 403 403 400 400
GET    /accounts/<int:account_id>/remove            401 403 403 403 400 400
POST   /accounts/<int:account_id>/remove            401 403 403 403 400 400
POST   /accounts/<int:account_id>/reset             401 403 403 403 400 400
POST   /accounts/<int:account_id>/role              401 403 403 403 400 400
POST   /accounts/<int:account_id>/space             401 403 403 403 400 400
POST   /accounts/guests                             401 403 403 403 303 303
POST   /accounts/invite                             401 403 403 403 400 400
POST   /accounts/links/<int:link_id>/revoke         401 403 403 403 404 404
GET    /add                                         401 403 403 200 200 200
POST   /add                                         401 403 403 400 400 400
GET    /add/<int:task_id>                           401 403 403 404 404 404
POST   /add/<int:task_id>                           401 403 403 400 400 400
GET    /add/record                                  401 403 403 200 200 200
POST   /add/record                                  401 403 403 400 400 400
GET    /admin/alerts                                401 403 403 403 200 200
POST   /admin/alerts/add                            401 403 403 403 400 400
POST   /admin/alerts/remove                         401 403 403 403 404 404
POST   /admin/alerts/test                           401 403 403 403 404 404
POST   /admin/alerts/when                           401 403 403 403 303 303
GET    /admin/log                                   401 403 403 403 200 200
GET    /admin/log.csv                               401 403 403 403 200 200
GET    /admin/cache                                 401 403 403 403 200 200
GET    /admin/cache/cleanup                         401 403 403 403 200 200
POST   /admin/cache/cleanup                         401 403 403 403 400 400
GET    /admin/cache/clear                           401 403 403 403 200 200
POST   /admin/cache/clear                           401 403 403 403 303 303
POST   /admin/cache/limits                          401 403 403 403 303 303
POST   /admin/cache/pause                           401 403 403 403 303 303
POST   /admin/cache/preload                         401 403 403 403 303 303
GET    /admin/cache/reset                           401 403 403 403 200 200
POST   /admin/cache/reset                           401 403 403 403 303 303
POST   /admin/cache/resume                          401 403 403 403 303 303
GET    /album/<int:album_id>                        200 200 200 200 200 200
GET    /album/<int:album_id>/cover                  401 403 403 200 200 200
POST   /album/<int:album_id>/cover/<action>         401 403 403 404 404 404
POST   /album/<int:album_id>/cover/upload           401 403 403 415 415 415
POST   /album/<int:album_id>/copies                 401 403 403 404 404 404
POST   /album/<int:album_id>/copies/forget          401 403 403 303 303 303
GET    /album/<int:album_id>/crates                 401 403 200 200 200 200
POST   /album/<int:album_id>/images                 401 403 403 415 415 415
POST   /album/<int:album_id>/images/<int:number>/<action> 401 403 403 404 404 404
POST   /album/<int:album_id>/copy                   401 403 403 303 303 303
GET    /album/<int:album_id>/edit                   401 403 403 200 200 200
POST   /album/<int:album_id>/edit                   401 403 403 303 303 303
GET    /album/<int:album_id>/merge                  401 403 403 200 200 200
POST   /album/<int:album_id>/merge                  401 403 403 404 404 404
POST   /album/<int:album_id>/notes                  401 403 303 303 303 303
POST   /album/<int:album_id>/played                 401 403 303 303 303 303
POST   /album/<int:album_id>/release                401 403 403 400 400 400
GET    /album/<int:album_id>/remove                 401 403 403 403 200 200
POST   /album/<int:album_id>/remove                 401 403 403 403 303 303
POST   /album/<int:album_id>/stars                  401 403 400 400 400 400
POST   /album/<int:album_id>/undo                   401 403 403 400 400 400
POST   /album/<int:album_id>/unplayed               401 403 303 303 303 303
GET    /alike                                       401 403 403 200 200 200
POST   /api/cache/cleanup                           401 403 403 403 200 200
POST   /api/cache/clear                             403 403 403 403 200 200
POST   /api/cache/invalidate                        401 403 403 403 400 400
GET    /api/cache/jobs/<name>                       404 404 404 404 404 404
DELETE /api/cache/pages/<page>                      401 403 403 200 200 200
GET    /api/cache/pages/<page>                      401 403 403 200 200 200
GET    /api/deletions                               401 403 403 200 200 200
POST   /api/cache/preload                           400 400 400 400 400 400
POST   /api/cache/state                             200 200 200 200 200 200
GET    /api/cache/stats                             200 200 200 200 200 200
GET    /api/files                                   401 403 403 200 200 200
POST   /api/files                                   401 403 403 403 400 400
DELETE /api/files/<digest>                          401 403 403 403 404 404
GET    /api/files/<digest>                          401 403 403 404 404 404
POST   /api/files/<digest>/<action>                 401 403 403 403 404 404
POST   /api/files/<digest>/ttl                      401 403 403 403 404 404
POST   /api/files/bounds                            401 403 403 403 200 200
POST   /api/files/clear                             401 403 403 403 200 200
GET    /api/files/names                             401 403 403 200 200 200
POST   /api/files/speed                             401 403 403 403 200 200
GET    /api/jobs                                    401 403 403 200 200 200
GET    /api/jobs/<int:task_id>                      401 403 403 200 200 200
GET    /api/now                                     200 200 200 200 200 200
POST   /api/streams                                 401 403 403 400 400 401
GET    /assets/<version>/<path:name>                404 404 404 404 404 404
GET    /assets/<version>/sheets/<names>.css         404 404 404 404 404 404
GET    /batches                                     401 403 403 200 200 200
GET    /batches/<int:batch_id>                      401 403 403 404 404 404
POST   /batches/<int:batch_id>/undo                 401 403 403 404 404 404
GET    /cache/<variant>/<name>.jpg                  404 404 404 404 404 404
GET    /cache/<variant>/<name>.webp                 404 404 404 404 404 404
GET    /cache/placeholders/placeholder_<kind>.webp  200 200 200 200 200 200
GET    /claim                                       302 302 302 302 302 302
POST   /claim                                       400 400 400 400 400 400
GET    /covers/audit                                401 403 403 200 200 200
GET    /covers/missing                              401 403 403 200 200 200
POST   /covers/missing                              401 403 403 303 303 303
GET    /crates                                      200 200 200 200 200 200
POST   /crates                                      401 403 400 400 400 400
GET    /crates/<int:crate_id>                       404 404 404 404 404 404
GET    /crates/<int:crate_id>/edit                  401 403 404 404 404 404
POST   /crates/<int:crate_id>/edit                  401 403 404 404 404 404
POST   /crates/<int:crate_id>/delete                401 403 404 404 404 404
POST   /crates/<int:crate_id>/records               401 403 404 404 404 404
GET    /files                                       401 403 403 200 200 200
POST   /files                                       401 403 403 403 400 400
GET    /files/<digest>                              401 403 403 404 404 404
POST   /files/<digest>/<action>                     401 403 403 403 404 404
GET    /files/<digest>/download                     401 403 403 404 404 404
GET    /files/<digest>/slice/<int:number>.webp      401 403 403 404 404 404
POST   /files/bounds                                401 403 403 403 303 303
POST   /files/cleanup                               401 403 403 403 303 303
GET    /files/clear                                 401 403 403 200 200 200
POST   /files/clear                                 401 403 403 403 303 303
GET    /files/logins                                401 403 403 403 200 200
POST   /files/logins                                401 403 403 403 400 400
POST   /files/logins/remove                         401 403 403 403 400 400
POST   /files/speed                                 401 403 403 403 303 303
GET    /files/registries                            401 403 403 200 200 200
POST   /files/registries                            401 403 403 403 400 400
GET    /files/registries/<name>                     401 403 403 404 404 404
POST   /files/registries/<name>/<action>            401 403 403 403 404 404
GET    /have                                        200 200 200 200 200 200
POST   /have                                        401 403 400 400 400 400
GET    /have/<int:task_id>                          401 403 404 404 404 404
GET    /health                                      200 200 200 200 200 200
GET    /livez                                       200 200 200 200 200 200
GET    /readyz                                      200 200 200 200 200 200
GET    /hidden                                      401 403 403 403 200 200
POST   /hidden/<int:hidden_id>/show                 401 403 403 403 404 404
GET    /import                                      401 403 403 200 200 200
GET    /import/demo                                 401 403 403 200 200 200
POST   /import/demo                                 401 403 403 403 303 303
GET    /import/demo/remove                          401 403 403 200 200 200
POST   /import/demo/remove                          401 403 403 403 303 303
GET    /import/discogs                              401 403 403 403 200 200
GET    /import/discogs/<int:task_id>/report.csv     401 403 403 403 404 404
GET    /import/discogs/forget                       401 403 403 403 200 200
POST   /import/discogs/forget                       401 403 403 403 303 303
GET    /import/discogs/gone                         401 403 403 403 200 200
POST   /import/discogs/gone                         401 403 403 403 400 400
POST   /import/discogs/sync                         401 403 403 403 303 303
POST   /import/discogs/test                         401 403 403 403 303 303
POST   /import/discogs/token                        401 403 403 403 400 400
GET    /import/plays                                401 403 403 200 200 200
POST   /import/plays                                401 403 403 403 400 400
POST   /import/plays/<int:number>/undo              401 403 403 403 404 404
POST   /import/plays/<int:task_id>/<action>         401 403 403 403 404 404
GET    /import/plays/<int:task_id>/unmatched.csv    401 403 403 404 404 404
GET    /import/music                                401 403 403 403 200 200
POST   /import/music/folders                        401 403 403 403 400 400
POST   /import/music/folders/remove                 401 403 403 403 404 404
GET    /import/music/<int:task_id>/report.csv       401 403 403 403 404 404
GET    /import/music/gone                           401 403 403 403 200 200
POST   /import/music/gone                           401 403 403 403 400 400
POST   /import/music/scan                           401 403 403 403 303 303
GET    /import/records.<kind>                       401 403 403 404 404 404
GET    /import/table                                401 403 403 200 200 200
POST   /import/table                                401 403 403 403 400 400
POST   /import/table/<int:task_id>/<action>         401 403 403 403 404 404
GET    /import/table/<int:task_id>/report.csv       401 403 403 404 404 404
GET    /invite/<token>                              404 404 404 404 404 404
POST   /invite/<token>                              404 404 404 404 404 404
GET    /join/<token>                                404 404 404 404 404 404
POST   /join/<token>                                404 404 404 404 404 404
GET    /keys                                        200 200 200 200 200 200
GET    /manifest.webmanifest                        200 200 200 200 200 200
GET    /login                                       200 302 302 302 302 200
POST   /login                                       403 403 403 403 403 403
POST   /login/demo                                  404 404 404 404 404 404
POST   /logout                                      303 303 303 303 303 303
GET    /metrics                                     401 401 401 401 401 200
GET    /more                                        200 200 200 200 200 200
GET    /now                                         200 200 200 200 200 200
POST   /now/spin                                    303 303 303 303 303 303
POST   /now/start                                   401 403 400 400 400 400
POST   /now/stop                                    401 403 303 303 303 303
POST   /pages/<page>/clear                          401 403 403 303 303 401
GET    /plays                                       200 200 200 200 200 200
POST   /plays/<int:play_id>/undo                    401 403 404 404 404 404
GET    /random                                      302 302 302 302 302 302
GET    /search                                      200 200 200 200 200 200
POST   /selection                                   401 403 400 400 400 400
GET    /selection/<int:selection_id>/crate          401 403 404 404 404 404
POST   /selection/<int:selection_id>/crate          401 403 404 404 404 404
GET    /selection/<int:selection_id>/edit           401 403 403 404 404 404
POST   /selection/<int:selection_id>/edit           401 403 403 404 404 404
GET    /selection/<int:selection_id>/records.csv    401 403 403 404 404 404
GET    /selection/<int:selection_id>/remove         401 403 403 403 404 404
POST   /selection/<int:selection_id>/remove         401 403 403 403 404 404
GET    /sort                                        200 200 200 200 200 200
GET    /s/<code>                                    404 404 404 404 404 404
POST   /s/<code>                                    404 404 404 404 404 404
GET    /s/<code>/add                                404 404 404 404 404 404
POST   /s/<code>/add                                404 404 404 404 404 404
GET    /s/<code>/images.zip                         404 404 404 404 404 404
GET    /s/<code>/slideshow                          404 404 404 404 404 404
GET    /s/<code>/images/<image_id>                  404 404 404 404 404 404
GET    /s/<code>/images/<image_id>/<size>           404 404 404 404 404 404
GET    /s/<code>/images/<image_id>/download         404 404 404 404 404 404
POST   /streams                                     401 403 403 400 400 401
GET    /spin                                        200 200 200 200 200 200
GET    /stats                                       200 200 200 200 200 200
GET    /stats.csv                                   200 200 200 200 200 200
GET    /stats/value                                 401 403 200 200 200 200
GET    /stats/value.csv                             401 403 200 200 200 200
GET    /stats/<int:year>                            404 404 404 404 404 404
GET    /stats/<int:year>.svg                        404 404 404 404 404 404
GET    /take-along                                  200 200 200 200 200 200
POST   /take-along                                  401 403 403 303 303 303
GET    /take-along/records.html                     200 200 200 200 200 200
POST   /tasks/<int:task_id>/cancel                  401 403 403 403 303 303
GET    /tint/<name>.css                             404 404 404 404 404 404
GET    /trash                                       401 200 200 200 200 401
GET    /trash/<slug>/delete                         401 404 404 404 404 401
POST   /trash/<slug>/delete                         401 404 404 404 404 401
POST   /trash/<slug>/restore                        401 404 404 404 404 401
POST   /views                                       401 403 400 400 400 400
POST   /views/<int:view_id>/remove                  401 403 404 404 404 404
GET    /views/new                                   401 403 200 200 200 200
GET    /wants                                       200 200 200 200 200 200
POST   /wants                                       401 403 400 400 400 400
GET    /wants/<int:want_id>                         404 404 404 404 404 404
POST   /wants/<int:want_id>/again                   401 403 404 404 404 404
POST   /wants/<int:want_id>/bought                  401 403 403 404 404 404
POST   /wants/<int:want_id>/notes                   401 403 404 404 404 404
POST   /wants/<int:want_id>/remove                  401 403 404 404 404 404
GET    /wants/new                                   401 403 200 200 200 200
"""
TABLE = {
    (line[0], line[1]): dict(zip(ROLES, map(int, line[2:]), strict=True)) for line in map(str.split, STATUSES.split("\n")[1:-1])
}
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def used(module_catalogs: Catalogs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A vault with an account of each role, which tests change."""
    folder = tmp_path_factory.mktemp("access")
    with Inside(folder / "vault", METRICS=True, **module_catalogs.settings(folder)) as inside:
        for role in ACCOUNTS:
            inside.account(role, role)
        inside.services.take_along.write(inside.services.take_along.path)
        yield inside


class Asker:
    """The browser of one role, or curl on the server itself."""

    def __init__(self, inside: Inside, role: str) -> None:
        self.inside = inside
        self.role = role
        if role == "server":
            self.client: FlaskClient = inside.client(cookies=False, accept="text/html")
            return
        address = f"192.168.1.{80 + ROLES.index(role)}"  # one for each: failed logins are counted by address
        self.client = inside.client(address=address, host="vault.local:5000", accept="text/html")
        if role in ACCOUNTS:
            form = {"name": role, "password": PASSWORD, "csrf_token": form_token(self.client)}
            assert self.client.post("/login", data=form).status_code == 303
        self.token = page_token(self.client)

    def ask(self, method: str, path: str, **headers: str) -> TestResponse:
        limiter.storage.reset()
        if method in UNSAFE and self.role != "server":
            headers["X-CSRFToken"] = self.token
        return self.client.open(path, method=method, headers=headers)


def methods_of(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Yield (method, rule, endpoint); HEAD and OPTIONS come with the others."""
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, rule.rule, rule.endpoint


def paths(inside: Inside, rule: str, number: int) -> str:
    """Return a path of a rule: of its own record, because some requests remove it."""
    values: dict[str, object] = {
        "variant": "detail",
        "name": "ab" * 16,
        "kind": "detail",
        "version": "x",
        "names": "no-sheets",
        "digest": "0123456789abcdef" * 2,
    }
    values |= {"year": 1971, "action": "pause", "number": 0, "page": "stream_details", "token": "no-such-token", "slug": "none"}
    values |= {"code": "no-such-link", "image_id": "none", "size": "thumb", "token_id": 999_999}
    if "album_id" in rule:
        values["album_id"] = inside.album(title=f"T{number}")
    if "account_id" in rule:
        values["account_id"] = 999_999  # no one's: these rules would change who the next request is
    if "play_id" in rule:
        values["play_id"] = 999_999
    if "want_id" in rule:
        values["want_id"] = 999_999
    if "view_id" in rule:
        values["view_id"] = 999_999
    values |= dict.fromkeys(("link_id", "crate_id", "batch_id", "hidden_id", "selection_id"), 999_999)
    if "task_id" in rule:
        values["task_id"] = inside.services.tasks.rows.add(f"kind{number}", {}, 1.0)[0]
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule).format(**values)


def test_every_method_of_every_rule_declares_a_role_and_has_a_row(used: Inside) -> None:
    found = {(method, rule): declared_access(used.app, endpoint, method)[0] for method, rule, endpoint in methods_of(used.app)}
    decided_by_stream = {key for key, role in found.items() if role is Role.STREAM_POLICY}
    assert set(TABLE) == set(found) - decided_by_stream
    assert decided_by_stream <= set(STREAM_TABLE)


@pytest.mark.parametrize("role", ROLES)
def test_every_rule_answers_each_role_as_the_table_says(used: Inside, role: str) -> None:
    asker = Asker(used, role)
    wrong = []
    for number, ((method, rule), statuses) in enumerate(sorted(TABLE.items(), key=lambda row: row[0][1] == "/logout")):
        answer = asker.ask(method, paths(used, rule, 1000 * ROLES.index(role) + number))
        if answer.status_code != statuses[role]:
            wrong.append(f"{method} {rule}: {answer.status_code}, not {statuses[role]}")
        if rule == "/account/sessions/end-all":
            asker = Asker(used, role)
    assert wrong == []


@pytest.mark.parametrize("role", ["visitor", "viewer", "member", "owner"])
def test_what_is_refused_tells_scripts_so_in_json(used: Inside, role: str) -> None:
    asker = Asker(used, role)
    for number, ((method, rule), statuses) in enumerate(TABLE.items()):
        if statuses[role] in (401, 403) and (rule, role) != ("/metrics", role) and rule != "/login":
            answer = asker.ask(method, paths(used, rule, 10_000 + 1000 * ROLES.index(role) + number), Accept="application/json")
            assert answer.json is not None, rule
            assert answer.json["status"] == answer.status_code == statuses[role], rule
            assert answer.json["error"] == "Log in to do this." or answer.json["error"].startswith("Only "), rule


@pytest.mark.parametrize(
    ("method", "rule", "leads_to"),
    [
        ("GET", "/admin/cache/clear", "/admin/cache"),
        ("GET", "/covers/audit", "/covers/audit"),
        ("POST", "/covers/missing", "/covers/missing"),
        ("POST", "/album/<int:album_id>/cover/upload", "/covers/missing"),
        ("POST", "/album/<int:album_id>/played", "/album/{}"),
        ("POST", "/album/<int:album_id>/stars", "/album/{}"),
        ("GET", "/album/<int:album_id>/remove", "/album/{}/remove"),
        ("GET", "/files/clear", "/files"),
        ("GET", "/import/table", "/import/table"),
        ("GET", "/import/discogs/forget", "/import/discogs"),
        ("POST", "/import/music/scan", "/import/music"),
    ],
)
def test_a_visitor_gets_the_login_form_and_comes_back_afterwards(used: Inside, method: str, rule: str, leads_to: str) -> None:
    path = paths(used, rule, 20_000)
    answer = Asker(used, "visitor").ask(method, path)
    assert answer.status_code == 401
    assert 'action="/login"' in answer.text
    assert f'name="next" value="{leads_to.format(path.split("/")[2])}"' in answer.text


def test_the_file_to_take_along_is_not_found_until_it_is_written(inside: Inside) -> None:
    inside.account()
    for client in (inside.stranger(), inside.logged_in_again()):
        assert client.get("/take-along/records.html").status_code == 404


def test_without_an_operator_the_form_claims_the_server(inside: Inside) -> None:
    answer = inside.stranger().get("/admin/cache")
    assert answer.status_code == 401
    assert 'action="/claim"' in answer.text


@pytest.mark.parametrize("method", ["GET", *UNSAFE])
def test_a_rule_without_a_declaration_stops_the_start_and_is_never_served(inside: Inside, method: str) -> None:
    def reached() -> str:
        return "reached"

    check_declarations(inside.app)
    inside.app.add_url_rule("/undeclared", "undeclared", reached, methods=[method])
    with pytest.raises(LookupError, match=f"no access declared for {method} undeclared"):
        check_declarations(inside.app)
    for client in (inside.logged_in(), inside.client(cookies=False)):
        answer = client.open("/undeclared", method=method, headers={"X-CSRFToken": page_token(client)})
        assert answer.status_code >= 400
        assert "reached" not in answer.text


def test_who_may_read_may_not_change_unless_it_is_declared(inside: Inside) -> None:
    """A method that is added to a blueprint which only says who may read it."""
    room = declare_access(read=Role.VISITOR)(Blueprint("room", __name__))
    room.add_url_rule("/room", "page", lambda: "reached", methods=["GET", "PATCH"])
    inside.app.register_blueprint(room)
    with pytest.raises(LookupError, match=r"no access declared for PATCH room\.page"):
        check_declarations(inside.app)
    client = inside.client(cookies=False)
    assert client.get("/room").text == "reached"
    assert "reached" not in client.patch("/room").text


def test_a_refused_request_uses_up_no_rate_limit(inside: Inside) -> None:
    """Clearing is allowed once in five minutes: a visitor who tries must not keep the operator waiting."""
    inside.account()
    visitor = inside.stranger()
    for _ in range(3):
        assert visitor.post("/api/cache/clear", headers={"X-CSRFToken": page_token(visitor)}).status_code == 403
    operator = inside.logged_in_again()
    assert operator.post("/api/cache/clear", headers={"X-CSRFToken": page_token(operator)}).status_code == 200
    assert operator.post("/api/cache/clear", headers={"X-CSRFToken": page_token(operator)}).status_code == 429


def test_who_is_logged_in_is_refused_in_words_and_not_asked_to_log_in_again(used: Inside) -> None:
    """A login form for someone who is logged in leads back to the same form."""
    for role in ("viewer", "member", "owner"):
        asker = Asker(used, role)
        for number, ((method, rule), statuses) in enumerate(TABLE.items()):
            if statuses[role] == 403 and rule != "/login" and not rule.startswith("/api/"):
                answer = asker.ask(method, paths(used, rule, 30_000 + 1000 * ROLES.index(role) + number))
                assert "<p>Only " in answer.text, rule
                assert 'action="/login"' not in answer.text, rule
                assert f'title="Your account">{role}</a>' in answer.text, rule


@pytest.mark.parametrize("path", ["/no-such-page", "/album/999999", "/streams/none", "/files/none"])
def test_a_page_that_reports_an_error_says_who_is_logged_in_like_every_page(used: Inside, path: str) -> None:
    stranger, owner = Asker(used, "visitor").ask("GET", path), Asker(used, "owner").ask("GET", path)
    assert stranger.status_code in (401, 404)
    assert owner.status_code == 404
    assert 'action="/logout"' in owner.text
    assert 'title="Your account">owner</a>' in owner.text
    assert 'action="/login"' in stranger.text or '<a href="/login">Log in</a>' in stranger.text
