"""The context of a request: the services, the account that is logged in, what it may do, its session."""

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Request, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.sansio.utils import host_is_trusted

from image_cache.accounts.token_table import ApiToken
from image_cache.accounts.tokens import PREFIX
from image_cache.models import Account
from image_cache.resources import resource
from image_cache.services import Services
from image_cache.web.forwarded import url_prefix

EXTENSION = "vinylvault"
BODY_LIMIT = "vinylvault.body_limit"  # how much the body of a request may have, for the main loop of the server
WARM = "vinylvault.warm"  # what has the warm covers, for the main loop of the server
STATIC_DIR, TEMPLATE_DIR = resource("static"), resource("templates")
SESSION_TOKEN = "token"  # noqa: S105  the name of a cookie field
COOKIE = "vinylvault"
OWNER_ROLES = ("operator", "owner")  # not members, who play and rate, nor viewers, who were only invited to a stream
MEMBER_ROLES = (*OWNER_ROLES, "member")
FORWARDING = ("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip")
TUNNELS = ("true-client-ip", "cf-connecting-ip", "via")  # of services that bring requests from the internet to a proxy at home
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
HOME_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"),
    )
)
FLASH = "notice"
MAX_FLASH_CHARS = 300  # a cookie takes 4 KB, escaped


def services() -> Services:
    """Return the services of the application that handles this request."""
    found: Services = current_app.extensions[EXTENSION]
    return found


def account() -> Account | None:
    """Return the account of the session, or of the API token of the request, looked up once per request; never of both."""
    if "account" not in g:
        if presented_token():
            token_of_script = api_token()
            g.account = token_of_script.account if token_of_script else None
        else:
            token = session.get(SESSION_TOKEN)
            g.account = services().accounts.account_for_session(token) if token else None
    found: Account | None = g.account
    return found


def presented_token() -> str:
    """Return the API token that the request presents, whether it works or not; "" without one."""
    header: str = request.environ.get("HTTP_AUTHORIZATION", "")
    if not header:
        return ""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token.startswith(PREFIX) else ""


def api_token() -> ApiToken | None:
    """Return the API token of the request, looked up once; None without one that works."""
    if "api_token" not in g:
        presented = presented_token()
        g.api_token = services().api_tokens.find(presented, request.remote_addr or "") if presented else None
    found: ApiToken | None = g.api_token
    return found


def may_operate() -> bool:
    """Return True if the request may operate the server: from an operator, or from the server itself."""
    found = account()
    return (found is not None and found.role == "operator") or is_local_request()


def may_change() -> bool:
    """Return True if the request may change the collection: from an owner or operator, or from the server itself."""
    return has_owner_account() or is_local_request()


def is_member() -> bool:
    """Return True if the request is from the household: a member, owner or operator, or the server itself."""
    found = account()
    return (found is not None and found.role in MEMBER_ROLES) or is_local_request()


def may_play() -> bool:
    """Return True if the request may count plays: from a member, or from the home network where the operator lets guests do so."""
    return is_member() or (is_home_request() and services().household.may_guests_play())


def has_owner_account() -> bool:
    """Return True if an owner or operator is logged in, not just an account that was invited to a stream."""
    found = account()
    return found is not None and found.role in OWNER_ROLES


def is_local_request() -> bool:
    """Return True if the request comes from the server itself, not from behind a proxy or a foreign page on it.

    A page of another site can make a browser on the server send requests here. Those have a foreign Origin or, after DNS
    rebinding, a foreign Host. A proxy on the server has to send a forwarding header of some kind.
    """
    if "is_local" not in g:
        g.is_local = (
            _is_loopback(request.environ.get("REMOTE_ADDR", ""))
            # Not `request.host`: it raises for an untrusted host, also on the page that reports it.
            and _host_name(request.environ.get("HTTP_HOST", "")) in LOOPBACK_HOSTS
            and not any(name.lower() in FORWARDING or name.lower().startswith("x-forwarded") for name, _ in request.headers)
            and is_own_origin(request)
        )
    return bool(g.is_local)


def is_home_request() -> bool:
    """Return True if the request comes from a private address of this network, as far as every proxy on the way can tell.

    Fails closed: a proxy that the settings do not name, or one more than they name, may bring requests from anywhere. So does an
    IPv6 address of the public internet, which devices at home may have as well.
    """
    names = [name.lower() for name, _ in request.headers]
    hops = services().settings.TRUSTED_PROXIES
    if hops:
        chain = [part for value in request.headers.getlist("X-Forwarded-For") for part in value.split(",")]
        is_hidden = len(chain) > hops or any(name in TUNNELS for name in names)
    else:
        is_hidden = any(name in FORWARDING or name.startswith("x-forwarded") for name in names)
    return not is_hidden and _is_private(request.remote_addr or "")


def is_own_origin(request: Request) -> bool:
    """Return True if the Origin of a request is the address that we were asked at, or there is none (no browser)."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site not in ("none", "same-origin"):
        return False
    if origin is None or origin in _own_origins(request):
        return True
    # Behind a TLS proxy that the settings do not name, our scheme is wrong; the browser's is right.
    try:
        return site == "same-origin" and urlsplit(origin).netloc == request.host
    except ValueError:
        return False


def is_same_origin(request: Request) -> bool:
    """Return True if a browser says that the request comes from one of our own pages, or says nothing (no browser).

    A page cannot set Sec-Fetch-Site, so "same-origin" is enough even where a proxy has changed the Host. Browsers send it over
    TLS and on the server itself only. Without it, the whole Origin must be ours.
    """
    return request.headers.get("Sec-Fetch-Site") == "same-origin" or is_own_origin(request)


def public_origin() -> str:
    """Return the origin for a link that is given away: where the browser of this change is, which `is_same_origin` has checked.

    A Host can be changed by a proxy; where hosts are named in the settings, only these are used.
    """
    origin = request.headers.get("Origin", "")
    names = services().settings.TRUSTED_HOSTS
    if origin.startswith(("http://", "https://")) and (not names or host_is_trusted(urlsplit(origin).netloc, names)):
        return origin
    return f"{request.scheme}://{request.host}"


def _own_origins(request: Request) -> set[str]:
    """Return the origins of our own pages: of the Host, and of its name with the port that a trusted proxy was asked at."""
    own = {f"{request.scheme}://{request.host}"}
    ports = [port.strip() for port in request.headers.get("X-Forwarded-Port", "").split(",")]
    hops = services().settings.TRUSTED_PROXIES
    # A Host that has a port is believed: the proxy may itself be behind a port that is mapped, as in a container.
    if hops and len(ports) >= hops and ports[-hops].isdecimal() and _host_name(request.host) == request.host:
        own.add(f"{request.scheme}://{request.host}:{ports[-hops]}")
    return own


def flash(text: str) -> None:
    """Keep a message for the next page, whose URL has `done=removed`."""
    session[FLASH] = text if len(text) <= MAX_FLASH_CHARS else text[: MAX_FLASH_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def pop_flash(done: str) -> str:
    """Return the message once, if the URL has this `done`; empty if there is none."""
    return str(session.pop(FLASH, "")) if done == "removed" and FLASH in session else ""


class Sessions(SecureCookieSessionInterface):
    """Signed cookies that are Secure exactly if the page came over TLS: on a home network it mostly does not.

    The prefix `__Host-` makes a browser refuse such a cookie from a sibling host or over plain HTTP.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def get_cookie_path(self, app: Flask) -> str:
        return url_prefix() or "/"

    def get_cookie_name(self, app: Flask) -> str:
        if not request.is_secure:
            return COOKIE
        return f"__Secure-{COOKIE}" if url_prefix() else f"__Host-{COOKIE}"  # the latter may have no other path than /


def prepare_session(app: Flask, key: bytes) -> None:
    """Sign the sessions of `app` with this key."""
    app.secret_key = key
    app.session_interface = Sessions()
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_PATH="/")


def _host_name(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def _is_loopback(address: str) -> bool:
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _is_private(address: str) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in HOME_NETWORKS if network.version == parsed.version)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
