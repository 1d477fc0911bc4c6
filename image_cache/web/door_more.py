"""What stands between strangers and the pages of those who keep the collection."""

from flask import Response, render_template, request
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.context import may_change, may_operate, services


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
