"""Access control: each rule declares which role may read and which may change, and one hook checks it before the view runs.

A view inherits the declaration of its blueprint unless it has one of its own. A rule without a declaration stops the start, and
is never served.
"""

import enum
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, current_app, render_template, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from image_cache.frozen import frozen
from image_cache.web.context import (
    account,
    api_token,
    has_owner_account,
    is_member,
    may_change,
    may_operate,
    may_play,
    presented_token,
    services,
)
from image_cache.web.rate_limits import limit_key, limiter

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
MAX_WRONG_TOKENS, TOKEN_WINDOW_S = 30, 60  # of one client
BEARER = WWWAuthenticate("bearer")
LOG_IN_FIRST = "Log in to do this."
_DECLARED = "_declared_access"

Target = TypeVar("Target", bound=Blueprint | Callable[..., Any])


class Role(enum.Enum):
    """What a request must be allowed to do. The server itself counts as its operator: a terminal or a browser on it."""

    VISITOR = "anyone"
    ACCOUNT = "anyone with an account"
    PLAYER = "a member, or anyone on the home network where the operator lets guests count plays"
    MEMBER = "a member, owner or operator, or the server itself"
    OWNER_ACCOUNT = "an owner or operator who is logged in: the server itself has no account that a stream could belong to"
    OWNER = "an owner or operator, or the server itself"
    OPERATOR = "an operator, or the server itself"
    STREAM_POLICY = "the view decides with may_see, may_edit and may_own of the stream"
    METRICS_POLICY = "the view decides: the server itself, or the bearer token of the metrics"


MESSAGES = {
    Role.OPERATOR: "Only an operator can do this.",
    Role.MEMBER: "Only members of the household can do this.",
    Role.PLAYER: "Only members of the household can do this.",
    Role.OWNER: "Only owners and operators can do this.",
    Role.OWNER_ACCOUNT: "Only owners and operators can do this.",
}


@frozen
class Access:
    """A declaration. None as a role means that the blueprint decides, or that there is no such method.

    A refusal is 403 with `message` for those who are logged in: logging in again would change nothing. Anyone else gets 401, or 403
    where `asks_login` is False. `read_scope` and `change_scope` are what an API token needs; without one, tokens are refused. With `login` a browser gets the login form itself and is sent to that path afterwards; the form is no
    redirect, so that scripts see the status.
    """

    read: Role | None = None
    change: Role | None = None
    login: str | Callable[[], str] | None = None
    asks_login: bool = True
    message: str = ""
    read_scope: str = ""
    change_scope: str = ""

    def scope(self, method: str) -> str:
        return self.read_scope if method in SAFE_METHODS else self.change_scope

    def role(self, method: str) -> Role | None:
        return self.read if method in SAFE_METHODS else self.change


def declare_access(
    *,
    read: Role | None = None,
    change: Role | None = None,
    login: str | Callable[[], str] | None = None,
    asks_login: bool = True,
    message: str = "",
    read_scope: str = "",
    change_scope: str = "",
) -> Callable[[Target], Target]:
    """Declare the access to a view, as its decorator, or to all views of a blueprint."""

    def declare(target: Target) -> Target:
        setattr(target, _DECLARED, Access(read, change, login, asks_login, message, read_scope, change_scope))
        return target

    return declare


def register_access(app: Flask) -> None:
    """Check the access of every request to `app`."""
    app.before_request(_check_access)


def check_declarations(app: Flask) -> None:
    """Raise `LookupError` if a rule of `app` has a method without a declared role."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            declared_access(app, rule.endpoint, method)


def declared_access(app: Flask, endpoint: str, method: str) -> tuple[Role, Access]:
    """Return the role that a method of an endpoint requires, and the declaration it comes from. Raises `LookupError`."""
    declarations = [getattr(app.view_functions.get(endpoint), _DECLARED, None)]
    declarations.append(getattr(app.blueprints.get(endpoint.rpartition(".")[0]), _DECLARED, None))
    for declared in declarations:
        if declared is not None and (role := declared.role(method)) is not None:
            return role, declared
    # OPTIONS is answered for every rule, also where there is nothing to read.
    if method == "OPTIONS":
        return declared_access(app, endpoint, "POST")
    raise LookupError(f"no access declared for {method} {endpoint}")


def this_page() -> str:
    return request.path


def _check_access() -> AnyResponse | None:
    if request.endpoint is None:  # no such page, or not with this method: the router has the answer
        return None
    role, declared = declared_access(current_app, request.endpoint, request.method)
    if presented_token():
        _check_token(declared.scope(request.method))
    if _has(role):
        return None
    if account() is not None or not declared.asks_login:
        raise Forbidden(declared.message or MESSAGES[role])
    if declared.login is None or not _wants_page():
        raise Unauthorized(LOG_IN_FIRST)
    form = "accounts/login.html" if services().accounts.has_operator() else "accounts/claim.html"
    target = declared.login if isinstance(declared.login, str) else declared.login()
    return Response(render_template(form, next=target), 401)


def _check_token(scope: str) -> None:
    """Refuse an API token that does not work, or whose scopes do not include this one. A route without a scope takes no tokens."""
    found = api_token()
    if found is None:
        if limiter.storage.incr(f"token:{limit_key()}", TOKEN_WINDOW_S) > MAX_WRONG_TOKENS:
            raise TooManyRequests("Too many wrong API tokens. Try again in a minute.", retry_after=TOKEN_WINDOW_S)
        raise Unauthorized("This API token does not work. It may have expired or been revoked.", www_authenticate=BEARER)
    if not scope:
        raise Forbidden("API tokens cannot be used here.")
    if scope not in found.scopes:
        raise Forbidden(f"This API token does not have the scope {scope}.")


def _has(role: Role) -> bool:
    check = _CHECKS.get(role)
    return check is None or check()


def _has_account() -> bool:
    return account() is not None


# The others are decided by their views.
_CHECKS = {
    Role.ACCOUNT: _has_account,
    Role.PLAYER: may_play,
    Role.MEMBER: is_member,
    Role.OWNER_ACCOUNT: has_owner_account,
    Role.OWNER: may_change,
    Role.OPERATOR: may_operate,
}


def _wants_page() -> bool:
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
