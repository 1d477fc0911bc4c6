"""Login, logout, and claiming a server that has no operator yet."""

from typing import Any

from flask import Blueprint, current_app, g, redirect, render_template, request, session
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response

from image_cache.accounts.household import device_name, session_number
from image_cache.errors import AccountRejected, LoginFailed
from image_cache.models import Account
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action, log_failed_login
from image_cache.web.context import SESSION_TOKEN, account, services
from image_cache.web.rate_limits import limiter

accounts = declare_access(read=Role.VISITOR, change=Role.VISITOR)(Blueprint("accounts", __name__))

Refusal = tuple[str, int, dict[str, str]]


@accounts.get("/login")
def login_page() -> Response | str:
    if account() is not None:
        return redirect(_next())
    if not services().accounts.has_operator():
        return redirect("/claim")
    return render_template("accounts/login.html", next=_next())


@accounts.post("/login")
@limiter.limit("10 per minute")
def login() -> Response | Refusal:
    """Open a session. Attempts at one name are counted by `Accounts`, those of a client at any name by the rate limit."""
    name = request.form.get("name", "")
    try:
        token = services().accounts.login(name, request.form.get("password", ""), request.remote_addr or "", _device())
    except LoginFailed as error:
        log_failed_login(name)
        return render_template("accounts/login.html", error=str(error), name=name, next=_next()), *_refusal(error)
    answer = open_session(token)
    log_action("logins", "logged in", _device())
    return answer


@accounts.get("/claim")
def claim_page() -> Response | str:
    if services().accounts.has_operator():
        return redirect("/login")
    return render_template("accounts/claim.html", code=request.args.get("code", ""), next=_next())


@accounts.post("/claim")
@limiter.limit("10 per minute")
def claim() -> Response | Refusal:
    """Create the first operator, with the setup code from the log."""
    code, name = request.form.get("code", ""), request.form.get("name", "")
    try:
        token = services().accounts.claim(code, name, request.form.get("password", ""), request.remote_addr or "")
    except (LoginFailed, AccountRejected) as error:
        return render_template("accounts/claim.html", error=str(error), code=code, name=name, next=_next()), *_refusal(error)
    answer = open_session(token)
    log_action("accounts", "created the first operator account", _device())
    return answer


@accounts.get("/account")
@declare_access(read=Role.ACCOUNT, login="/account")
def account_page() -> str:
    """Show who is logged in and where, with the form that changes the password."""
    return _account_page(done=request.args.get("done", ""))


@accounts.post("/account/sessions/end")
@declare_access(change=Role.ACCOUNT, login="/account")
@limiter.limit("60 per minute")
def end_session() -> Response:
    """Log out on another device."""
    services().household.end_session(logged_in(), request.form.get("session", ""))
    return redirect("/account?done=session", 303)


@accounts.post("/account/sessions/end-all")
@declare_access(change=Role.ACCOUNT, login="/account")
@limiter.limit("10 per minute")
def end_all_sessions() -> Response:
    """Log out everywhere, here as well."""
    services().accounts.revoke(logged_in())
    session.clear()
    return redirect("/login", 303)


@accounts.post("/account/password")
@declare_access(change=Role.ACCOUNT, login="/account")
@limiter.limit("10 per minute")
def change_password() -> Response | Refusal:
    """Change your own password. All other sessions of the account end."""
    who = logged_in()
    old, new = request.form.get("old_password", ""), request.form.get("password", "")
    try:
        token = services().accounts.change_password(who, old, new, request.remote_addr or "", _device())
    except (LoginFailed, AccountRejected) as error:
        return _account_page(error=str(error)), *_refusal(error)
    session.clear()
    session[SESSION_TOKEN] = token
    log_action("accounts", "changed the password of", who.name)
    return redirect("/account?done=password", 303)


@accounts.post("/logout")
def logout() -> Response:
    token = session.get(SESSION_TOKEN)
    if token:
        services().accounts.logout(token)
    session.clear()
    return redirect("/", 303)


def _account_page(**values: Any) -> str:
    sessions, current = services().household.sessions(logged_in()), session_number(session.get(SESSION_TOKEN, ""))
    space = services().streams.quotas.space(logged_in().id)
    return render_template("accounts/account.html", sessions=sessions, current=current, space=space, **values)


def logged_in() -> Account:
    """Return the account of the session. Raises `Unauthorized` if it was removed at this very moment."""
    found = account()
    if found is None:
        raise Unauthorized
    return found


def _device() -> str:
    return device_name(request.user_agent.string)


def start_session(token: str) -> None:
    """Start a session with a new cookie: nothing of the anonymous session is carried over, not even the CSRF token."""
    old = session.get(SESSION_TOKEN)
    if old:
        services().accounts.logout(old)
    session.clear()
    session[SESSION_TOKEN] = token
    g.pop("account", None)
    current_app.logger.debug("session opened")


def open_session(token: str) -> Response:
    start_session(token)
    return redirect(_next(), 303)


def _next() -> str:
    """Return the path to go to after the login, never another site (as `//host` and `/\\host` are)."""
    target = request.values.get("next", "")
    return target if target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable() else "/"


def _refusal(error: Exception) -> tuple[int, dict[str, str]]:
    """Return status and headers: 429 during a pause, 400 for an invalid name or password, else 403."""
    pause_s = getattr(error, "retry_after_s", None)
    if pause_s:
        return 429, {"Retry-After": str(max(1, round(pause_s)))}
    return (400 if isinstance(error, AccountRejected) else 403), {}
