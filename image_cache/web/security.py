"""CSRF protection of every change, and the security headers of every response."""

import logging
import re

from flask import Flask, Response, g, request
from werkzeug.exceptions import Forbidden

from image_cache.web.access import SAFE_METHODS
from image_cache.web.compression import MaskedCsrf, register_compression
from image_cache.web.context import is_local_request, is_same_origin, presented_token
from image_cache.web.request_body import set_body_limits

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
IMAGE_POLICY = "default-src 'none'; sandbox"
NOT_ALLOWED = ("This request came from another site, so it was blocked.", "This page has expired. Reload it and try again.")
BROWSER_HEADERS = ("Origin", "Cookie", "Referer", "Sec-Fetch-Site")

SECRET = re.compile(r"^(/(?:s|invite|join)/)[^/]+")  # what follows lets anyone in who reads it
ORIGIN = re.compile(r"https?://[^/\s]{1,190}")

csrf = MaskedCsrf()
logger = logging.getLogger(__name__)


def register_security(app: Flask) -> None:
    """Check origin and token of every change; set the security headers of every response, errors included."""
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_SSL_STRICT=False)
    csrf.init_app(app)
    register_compression(app)  # last of all that changes a response: hooks run in reverse order
    app.before_request(set_body_limits)  # before the token is looked for, which reads the body
    app.before_request(_check_change)
    app.after_request(_set_headers)


def _check_change() -> None:
    """Refuse a change that a foreign page caused: its Origin is another, or it does not know the token of the session."""
    if request.method in SAFE_METHODS or request.endpoint is None:
        return
    if not is_same_origin(request):
        raise Forbidden(_explain_origin())
    # A page of another site cannot send this header, and with it no session counts.
    if presented_token():
        return
    # curl on the server itself has neither a session nor a token. A browser there sends one of these, and needs the token.
    if is_local_request() and not any(name in request.headers for name in BROWSER_HEADERS):
        return
    csrf.protect()


def logged_path() -> str:
    """Return the path of this request for a log: without the code of a link."""
    return SECRET.sub(r"\1...", request.path)


def _explain_origin() -> str:
    """Return why a change was refused. If only a proxy is to blame, name both addresses and what to set, and log them."""
    origin, site = request.headers.get("Origin", ""), request.headers.get("Sec-Fetch-Site")
    own = f"{request.scheme}://{request.host}"
    logger.warning("change refused path=%s origin=%r host=%r site=%r", logged_path(), origin[:200], own[:200], site)
    if site is not None or ORIGIN.fullmatch(origin) is None:  # the browser itself says that the page is foreign
        return NOT_ALLOWED[0]
    return (
        f"{NOT_ALLOWED[0]} Your browser sent it from {origin[:200]}, but the server is at {own[:200]}. If you use a proxy, "
        "make it pass the Host header unchanged (nginx: proxy_set_header Host $http_host) and set VINYL_VAULT_TRUSTED_PROXIES."
    )


def _set_headers(response: Response) -> Response:
    headers = response.headers
    is_image = (response.mimetype or "").startswith("image/")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.path.startswith("/s/"):  # a link to shared images, also one that no route has
        headers["Referrer-Policy"], headers["X-Robots-Tag"] = "no-referrer", "noindex, nofollow"
    headers.setdefault("Referrer-Policy", "same-origin")
    policy = headers.setdefault("Content-Security-Policy", IMAGE_POLICY if is_image else PAGE_POLICY)
    if policy != IMAGE_POLICY:
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cache-Control", "no-store" if response.status_code >= 400 or "account" in g else "private, no-cache")
    return response
