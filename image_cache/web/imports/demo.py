"""The page of the demo collection: on the shelf with one button, gone with another."""

from flask import Response, redirect, render_template
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.context import may_operate, services
from image_cache.web.imports import tasks as task_view
from image_cache.web.imports.methods import ways
from image_cache.web.imports.tables import wait

KIND = SOURCE = "demo"


def page() -> AnyResponse:
    line = task_view.latest(KIND)
    values = {
        "ways": ways(),
        "running": [line] if line is not None and not line.is_over else [],
        "on_shelf": services().library.count_source(SOURCE),
        "total": services().library.count(),
        "may_operate": may_operate(),
    }
    return Response(render_template("imports/demo.html", **values))


def take() -> AnyResponse:
    wait(services().tasks.start(KIND, {}))
    return redirect("/import/demo", 303)


def remove() -> AnyResponse:
    """Delete the records. Their sleeves leave the cache when their place is needed."""
    services().library.remove_source(SOURCE)
    return redirect("/import/demo", 303)
