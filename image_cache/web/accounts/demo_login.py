"""The login of the demo: one click on the server itself, in a vault that `vinylvault demo` made. Anywhere else it does not exist."""

from flask import Blueprint, Flask, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from image_cache.models import Account
from image_cache.web.access import Role, declare_access
from image_cache.web.accounts.views import open_session
from image_cache.web.actions import log_action
from image_cache.web.context import account, is_local_request, may_operate, services
from image_cache.web.rate_limits import limiter

demo_login = declare_access(change=Role.VISITOR)(Blueprint("demo_login", __name__))


def register_demo(app: Flask, origin_url: str) -> None:
    """Tell templates that this is the demo, if it is: nothing is added to the pages of any other vault."""
    if origin_url:
        app.jinja_env.globals.update(demo_account=demo_account, demo_hints=demo_hints)


def demo_account() -> Account | None:
    """Return the account that this request may log in to with one click; None without the demo, and from another machine."""
    return services().demo_vault.account() if is_local_request() else None


def demo_hints() -> dict[str, bool]:
    """Return what the line on the wall mentions: what an operator sees, and the login."""
    return {"operates": may_operate(), "login": account() is None and demo_account() is not None}


@demo_login.post("/login/demo")
@limiter.limit("10 per minute")
def log_in() -> Response:
    """Log in to the account of the demo. 404 wherever there is no such login."""
    found = demo_account()
    if found is None:
        raise NotFound
    log_action("logins", "logged in", "with one click", who=found.name)
    return open_session(services().accounts.open_session(found, request.remote_addr or ""))
