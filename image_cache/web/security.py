"""What holds for every request: who may change things, and the headers of every answer."""

import logging

from flask import Flask, Response, g, request
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import Forbidden

from image_cache.web.access import SAFE_METHODS
from image_cache.web.context import is_local_request, is_same_origin
from image_cache.web.request_body import set_body_limits

logger = logging.getLogger(__name__)

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
IMAGE_POLICY = "default-src 'none'; sandbox"
NOT_ALLOWED = ("Only pages of this vault may do that.", "The page is too old. Load it again, then try once more.")
BROWSER_SIGNS = ("Origin", "Cookie", "Referer", "Sec-Fetch-Site")

csrf = CSRFProtect()


def register_security(app: Flask) -> None:
    """Check the origin and the token of every change; set the security headers of every answer, errors included."""
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_SSL_STRICT=False)
    csrf.init_app(app)
    app.before_request(set_body_limits)  # before the token is looked for, which reads the body
    app.before_request(_check_change)
    app.after_request(_set_headers)


def _check_change() -> None:
    """Refuse a change that a foreign page caused: its Origin is another, or it does not know the token of the session."""
    if request.method in SAFE_METHODS or request.endpoint is None:
        return
    if not is_same_origin(request):
        raise Forbidden(NOT_ALLOWED[0])
    # curl on the machine itself has neither a session nor a token. A browser there gives itself away, and has to know the token.
    if is_local_request() and not any(sign in request.headers for sign in BROWSER_SIGNS):
        return
    csrf.protect()


def _set_headers(answer: Response) -> Response:
    headers = answer.headers
    is_image = (answer.mimetype or "").startswith("image/")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    policy = headers.setdefault("Content-Security-Policy", IMAGE_POLICY if is_image else PAGE_POLICY)
    if policy != IMAGE_POLICY:
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cache-Control", "no-store" if answer.status_code >= 400 or "account" in g else "private, no-cache")
    return answer
