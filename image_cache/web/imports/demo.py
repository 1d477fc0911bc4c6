"""Demo collection page: add its records, or remove them."""

from flask import Response, redirect, render_template
from werkzeug.wrappers import Response as AnyResponse

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
        "total": services().library.count(),
        "may_operate": may_operate(),
    }
    return Response(render_template("imports/demo.html", **values))


@limiter.limit("10 per minute")
def start() -> AnyResponse:
    """Add the demo collection."""
    tasks.wait(services().demo.start())
    return redirect(PATH, 303)


@limiter.limit("10 per minute")
def remove() -> AnyResponse:
    services().demo.remove()
    return redirect(PATH, 303)
