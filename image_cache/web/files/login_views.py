"""Page of the logins for origins: `/files/logins`, for operators. A secret that was typed here is never shown again."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import CacheError
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter

logins = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login="/files")(
    Blueprint("file_logins", __name__, url_prefix="/files/logins")
)


@logins.get("")
def page() -> AnyResponse:
    return _page()


@logins.post("")
@limiter.limit("30 per minute")
def add() -> AnyResponse:
    """Add or replace the login of an origin: a token, or a user name with its password."""
    typed = {name: request.form.get(name, "").strip() for name in ("origin", "user")}
    try:
        services().files.logins.add(typed["origin"], request.form.get("secret", ""), user=typed["user"])
    except CacheError as error:
        return _page(400, **typed, error=str(error))
    log_action("limits", "saved a login for files", typed["origin"])
    return redirect("/files/logins", 303)


@logins.post("/remove")
def remove() -> AnyResponse:
    """Remove the login of an origin."""
    origin = request.form.get("origin", "")
    services().files.logins.remove(origin)
    log_action("deletions", "removed a login for files", origin)
    return redirect("/files/logins", 303)


def _page(status: int = 200, **typed: Any) -> AnyResponse:
    shown = services().files.logins.all()
    return Response(render_template("files/logins.html", logins=shown, typed=typed), status)
