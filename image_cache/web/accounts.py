"""Logging in and out, and claiming a machine that has no operator yet."""

from flask import Blueprint, current_app, g, redirect, render_template, request, session
from werkzeug.wrappers import Response

from image_cache.errors import AccountRejected, LoginFailed
from image_cache.web.access import Role, access
from image_cache.web.context import SESSION_TOKEN, account, services
from image_cache.web.rate_limits import limiter

accounts = access(read=Role.VISITOR, change=Role.VISITOR)(Blueprint("accounts", __name__))

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
    """Open a session. The tries of a name are counted by the accounts, those of an address, whatever the name, by the limiter."""
    name = request.form.get("name", "")
    try:
        token = services().accounts.login(name, request.form.get("password", ""), request.remote_addr or "")
    except LoginFailed as error:
        return render_template("accounts/login.html", error=str(error), name=name, next=_next()), *_refusal(error)
    return _enter(token)


@accounts.get("/claim")
def claim_page() -> Response | str:
    if services().accounts.has_operator():
        return redirect("/login")
    return render_template("accounts/claim.html", code=request.args.get("code", ""), next=_next())


@accounts.post("/claim")
@limiter.limit("10 per minute")
def claim() -> Response | Refusal:
    """Make the first operator, for whoever can read the code in the log."""
    code, name = request.form.get("code", ""), request.form.get("name", "")
    try:
        token = services().accounts.claim(code, name, request.form.get("password", ""), request.remote_addr or "")
    except (LoginFailed, AccountRejected) as error:
        return render_template("accounts/claim.html", error=str(error), code=code, name=name, next=_next()), *_refusal(error)
    return _enter(token)


@accounts.post("/logout")
def logout() -> Response:
    token = session.get(SESSION_TOKEN)
    if token:
        services().accounts.logout(token)
    session.clear()
    return redirect("/", 303)


def _enter(token: str) -> Response:
    """Begin a session under a new cookie: nothing of what an anonymous visitor had is carried over, the CSRF token neither."""
    old = session.get(SESSION_TOKEN)
    if old:
        services().accounts.logout(old)
    session.clear()
    session[SESSION_TOKEN] = token
    g.pop("account", None)
    current_app.logger.debug("session opened")
    return redirect(_next(), 303)


def _next() -> str:
    """Return where to go after logging in: a path of ours, never another site (`//host` and `/\\host` are such)."""
    target = request.values.get("next", "")
    return target if target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable() else "/"


def _refusal(error: Exception) -> tuple[int, dict[str, str]]:
    """Return status and headers: 429 during a pause, 400 for what cannot be a name or password, else 403."""
    pause_s = getattr(error, "retry_after_s", None)
    if pause_s:
        return 429, {"Retry-After": str(max(1, round(pause_s)))}
    return (400 if isinstance(error, AccountRejected) else 403), {}
