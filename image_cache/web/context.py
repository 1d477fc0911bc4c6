"""What every route may ask: the services, who looks, and the rate limiter."""

import ipaddress
import os
import secrets
from pathlib import Path

from flask import Flask, Request, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_limiter import Limiter

from image_cache.errors import ConfigError
from image_cache.models import Account
from image_cache.services import Services

EXTENSION = "vinylvault"
ROOT = Path(__file__).resolve().parents[2]
STATIC_DIR, TEMPLATE_DIR = ROOT / "static", ROOT / "templates"
SESSION_TOKEN = "token"  # noqa: S105  the name of a cookie field
SECRET_BYTES = 32
FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def services() -> Services:
    """Return the services of the application that handles this request."""
    found: Services = current_app.extensions[EXTENSION]
    return found


def account() -> Account | None:
    """Return who is logged in, looked up once a request."""
    if "account" not in g:
        token = session.get(SESSION_TOKEN)
        g.account = services().accounts.who(token) if token else None
    found: Account | None = g.account
    return found


def is_on_this_machine() -> bool:
    """Tell whether the request comes from the machine itself, and from nobody who stands behind a proxy or a foreign page on it.

    A page on another site can make a browser on this machine send requests here; those carry a foreign Origin, or, when its
    name was bent to this address, a foreign Host.
    """
    host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    return (
        _is_loopback(request.environ.get("REMOTE_ADDR", ""))
        and host in LOOPBACK_HOSTS
        and not any(name in request.headers for name in FORWARDING)
        and is_same_origin(request)
    )


def is_same_origin(asked: Request) -> bool:
    """Tell whether a browser says that the request comes from one of our own pages, or says nothing (no browser)."""
    origin = asked.headers.get("Origin")
    if origin is not None and origin != f"{asked.scheme}://{asked.host}":
        return False
    return asked.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")


def may_operate() -> bool:
    """Tell whether the request may run the machine: an operator who is logged in, or somebody on the machine itself."""
    who = account()
    return (who is not None and who.role == "operator") or is_on_this_machine()


def may_change() -> bool:
    """Tell whether the request may change the collection: anybody with an account, or somebody on the machine itself."""
    return account() is not None or is_on_this_machine()


def limit_key() -> str:
    """Return whose requests are counted together: an IPv4 address, or the /64 that one household has in IPv6."""
    address = request.remote_addr or "unknown"
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    return address


limiter = Limiter(limit_key)


class Sessions(SecureCookieSessionInterface):
    """Signed cookies that are Secure exactly when the page came over TLS: on a home network it mostly does not."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def prepare_session(app: Flask, key_path: Path) -> None:
    """Give the app its session key, made on the first start. Raises `ConfigError` for one that is too short."""
    app.secret_key = _secret_key(key_path)
    app.session_interface = Sessions()
    app.config.update(SESSION_COOKIE_NAME="vinylvault", SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")


def _secret_key(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(SECRET_BYTES) + "\n")
    key = path.read_bytes().strip()
    if len(key) < SECRET_BYTES:
        raise ConfigError("VINYL_VAULT_SECRET_KEY_FILE", f"{path} holds {len(key)} bytes, at least {SECRET_BYTES} are needed")
    return key


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
