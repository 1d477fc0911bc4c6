"""What every route may ask: the services, who looks, and the rate limiter."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Request, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface

from image_cache.models import Account
from image_cache.services import Services

EXTENSION = "vinylvault"
WARM = "vinylvault.warm"  # the look that answers warm covers, for the server's main loop
ROOT = Path(__file__).resolve().parents[2]
STATIC_DIR, TEMPLATE_DIR = ROOT / "static", ROOT / "templates"
SESSION_TOKEN = "token"  # noqa: S105  the name of a cookie field
COOKIE = "vinylvault"
OWNER_ROLES = ("operator", "owner")  # not those who were only invited to look
FORWARDING = ("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def services() -> Services:
    """Return the services of the application that handles this request."""
    found: Services = current_app.extensions[EXTENSION]
    return found


def account() -> Account | None:
    """Return who is logged in, looked up once a request."""
    if "account" not in g:
        token = session.get(SESSION_TOKEN)
        g.account = services().accounts.account_for_session(token) if token else None
    found: Account | None = g.account
    return found


def is_local_request() -> bool:
    """Tell whether the request comes from the machine itself, and from nobody who stands behind a proxy or a foreign page on it.

    A page on another site can make a browser on this machine send requests here; those carry a foreign Origin, or, when its
    name was bent to this address, a foreign Host. A proxy on this machine has to send a forwarding header, whichever.
    """
    if "local" not in g:
        g.local = (
            _is_loopback(request.environ.get("REMOTE_ADDR", ""))
            # Not `request.host`: it raises for one that is not ours, on the page that says so, too.
            and _host_name(request.environ.get("HTTP_HOST", "")) in LOOPBACK_HOSTS
            and not any(name.lower() in FORWARDING or name.lower().startswith("x-forwarded") for name, _ in request.headers)
            and is_same_origin(request)
        )
    return bool(g.local)


def is_same_origin(asked: Request) -> bool:
    """Tell whether a browser says that the request comes from one of our own pages, or says nothing (no browser).

    Sec-Fetch-Site cannot be set by a page. Where it is missing, as over plain HTTP, the Origin must be ours in full.
    """
    site, origin = asked.headers.get("Sec-Fetch-Site"), asked.headers.get("Origin")
    if site is not None and site not in ("none", "same-origin"):
        return False
    if origin is None or origin == f"{asked.scheme}://{asked.host}":
        return True
    # Behind a proxy that ends TLS and is not named in the settings, our own idea of the scheme is wrong; the browser's is not.
    try:
        return site == "same-origin" and urlsplit(origin).netloc == asked.host
    except ValueError:
        return False


def may_operate() -> bool:
    """Tell whether the request may run the machine: an operator who is logged in, or somebody on the machine itself."""
    who = account()
    return (who is not None and who.role == "operator") or is_local_request()


def may_change() -> bool:
    """Tell whether the request may change the collection: owners and operators, or somebody on the machine itself."""
    return has_owner_account() or is_local_request()


def has_owner_account() -> bool:
    """Return True if an owner or operator is logged in, not just an account that was invited to look."""
    who = account()
    return who is not None and who.role in OWNER_ROLES


class Sessions(SecureCookieSessionInterface):
    """Signed cookies that are Secure exactly when the page came over TLS: on a home network it mostly does not.

    The prefix `__Host-` makes a browser refuse such a cookie from a sibling host or over plain HTTP.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def get_cookie_name(self, app: Flask) -> str:
        return f"__Host-{COOKIE}" if request.is_secure else COOKIE


def prepare_session(app: Flask, key: bytes) -> None:
    """Sign the sessions of the app with this key."""
    app.secret_key = key
    app.session_interface = Sessions()
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_PATH="/")


def _host_name(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


FIELD = "notice"
MAX_CHARS = 300  # a cookie takes 4 KB, escaped


def flash(text: str) -> None:
    """Leave a sentence for the page that this answer leads to; its address says `done=removed`."""
    session[FIELD] = text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def pop_flash(done: str) -> str:
    """Return the sentence that was left, once, when the address has this `done`; empty when there is none."""
    return str(session.pop(FIELD, "")) if done == "removed" and FIELD in session else ""
