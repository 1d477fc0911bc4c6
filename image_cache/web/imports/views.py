"""Import pages: `/import`, with the pages of tables and of the demo. Reading needs an account, changing an operator."""

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.imports import demo, methods, tables, tasks
from image_cache.web.security import check_keeper

importing = Blueprint("importing", __name__, url_prefix="/import")


@importing.before_request
def check_account() -> AnyResponse | None:
    return check_keeper(request.path)


@importing.get("")
def page() -> str:
    """Show the import methods and the newest tasks."""
    return render_template("imports/index.html", ways=methods.available_methods(), tasks=tasks.recent())


importing.add_url_rule("/table", "table", tables.page)
importing.add_url_rule("/table", "upload", tables.upload, methods=["POST"])
importing.add_url_rule("/table/<int:task_id>/<action>", "act", tables.act, methods=["POST"])
importing.add_url_rule("/records.<kind>", "export", tables.export)
importing.add_url_rule("/demo", "demo", demo.page)
importing.add_url_rule("/demo", "take_demo", demo.start, methods=["POST"])
importing.add_url_rule("/demo/remove", "remove_demo", demo.remove, methods=["POST"])
