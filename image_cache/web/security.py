"""What holds for every request: who may change things, and the headers of every answer."""

import logging

from flask import Flask, Response, g, render_template, request, url_for
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.context import is_on_this_machine, is_same_origin, may_change, may_operate, services
from image_cache.web.request_body import admit

logger = logging.getLogger(__name__)

SAFE = ("GET", "HEAD", "OPTIONS")
NEED_ACCOUNT = ("pages.played", "pages.unplayed", "notes.write", "notes.rate")  # endpoints that change the collection
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
IMAGE_POLICY = "default-src 'none'; sandbox"
NOT_ALLOWED = ("Only pages of this vault may do that.", "The page is too old. Load it again, then try once more.")
BROWSER_SIGNS = ("Origin", "Cookie", "Referer", "Sec-Fetch-Site")

csrf = CSRFProtect()


def register_guard(app: Flask) -> None:
    """Check the origin and the token of every change; set the security headers of every answer, errors included."""
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_SSL_STRICT=False)
    csrf.init_app(app)
    app.before_request(admit)  # before the token is looked for, which reads the body
    app.before_request(_check_change)
    app.before_request(_check_account)
    app.after_request(_set_headers)


def _check_change() -> None:
    """Refuse a change that a foreign page caused: its Origin is another, or it does not know the token of the session."""
    if request.method in SAFE or request.endpoint is None:
        return
    if not is_same_origin(request):
        raise Forbidden(NOT_ALLOWED[0])
    # curl on the machine itself has neither a session nor a token. A browser there gives itself away, and has to know the token.
    if is_on_this_machine() and not any(sign in request.headers for sign in BROWSER_SIGNS):
        return
    csrf.protect()


def _check_account() -> AnyResponse | None:
    """Ask an anonymous visitor to log in where a change of the collection needs an account; afterwards back to the record.

    The form itself is the answer, not a redirect: a script of ours sees the status, and a plain form shows the page.
    """
    if request.endpoint not in NEED_ACCOUNT or may_change():
        return None
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        raise Unauthorized("Log in first.")
    form = "accounts/login.html" if services().accounts.has_operator() else "accounts/claim.html"
    page = render_template(form, next=url_for("pages.album", **(request.view_args or {})))
    return Response(page, 401)


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


def check_keeper(path: str) -> AnyResponse | None:
    """Show strangers the way in, afterwards to `path`; refuse changes of those who do not run the machine. For `before_request`."""
    if not may_change():
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
            raise Unauthorized("Log in first.")
        form = "accounts/login.html" if services().accounts.has_operator() else "accounts/claim.html"
        return Response(render_template(form, next=path), 401)
    if request.method == "POST" and not may_operate():
        raise Forbidden("Only an operator may do that.")
    return None
