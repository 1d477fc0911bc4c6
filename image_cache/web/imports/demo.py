"""Demo collection page: add its records, or remove everything that is made up."""

from flask import Response, redirect, render_template, session
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.actions import log_action
from image_cache.web.context import may_operate, services
from image_cache.web.imports import tasks
from image_cache.web.imports.methods import available_methods
from image_cache.web.rate_limits import limiter

PATH = "/import/demo"


def page() -> AnyResponse:
    demo = services().demo
    latest = demo.latest()
    values = {
        "ways": available_methods(),
        "running": [tasks.line(latest)] if latest is not None and not latest.is_over else [],
        "on_shelf": demo.count(),
        "contents": services().demo_vault.contents(),
        "total": services().library.count(),
        "may_operate": may_operate(),
    }
    return Response(render_template("imports/demo.html", **values))


@limiter.limit("10 per minute")
def start() -> AnyResponse:
    """Add the demo collection."""
    tasks.wait(services().demo.start())
    log_action("records", "added the demo collection")
    return redirect(PATH, 303)


def confirm_removal() -> AnyResponse:
    """Ask once whether to remove everything made up."""
    return Response(render_template("imports/demo_remove.html", contents=services().demo_vault.contents()))


@limiter.limit("10 per minute")
def remove() -> AnyResponse:
    """Remove everything made up. Where its operator was the only one, the next page makes the vault one's own."""
    demo_vault = services().demo_vault
    had_account = demo_vault.remove().has_account
    log_action("records", "removed the demo")
    if had_account and (code := demo_vault.claim_code()):
        session.clear()
        return redirect(f"/claim?code={code}", 303)
    return redirect(PATH, 303)
