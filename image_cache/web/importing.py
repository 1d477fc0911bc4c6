"""How records come in and go out: `/import`. Looking needs an account, changing an operator; strangers find the door.

Every view imports what it needs when it is first called: an idle server holds none of it.
"""

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.door import check_keeper

importing = Blueprint("importing", __name__, url_prefix="/import")


@importing.before_request
def check_account() -> AnyResponse | None:
    return check_keeper(request.path)


@importing.get("")
def page() -> str:
    """Show the ways in, what runs and what ran lately."""
    from image_cache.web import task_view, ways

    return render_template("import.html", ways=ways.ways(), tasks=task_view.recent())
