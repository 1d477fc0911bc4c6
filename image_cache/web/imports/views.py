"""Import pages: `/import`, with the pages of tables, of old plays and of the demo. Reading needs an account, changing an operator."""

from flask import Blueprint, render_template

from image_cache.web.access import Role, declare_access, this_page
from image_cache.web.imports import demo, methods, plays, tables, tasks

importing = declare_access(read=Role.OWNER, change=Role.OPERATOR, login=this_page)(
    Blueprint("importing", __name__, url_prefix="/import")
)


@importing.get("")
def page() -> str:
    """Show the import methods and the newest tasks."""
    return render_template("imports/index.html", ways=methods.available_methods(), tasks=tasks.recent())


importing.add_url_rule("/table", "table", tables.page)
importing.add_url_rule("/table", "upload", tables.upload, methods=["POST"])
importing.add_url_rule("/table/<int:task_id>/<action>", "act", tables.act, methods=["POST"])
importing.add_url_rule("/table/<int:task_id>/report.csv", "report", tables.report)
importing.add_url_rule("/records.<kind>", "export", tables.export)
importing.add_url_rule("/plays", "plays", plays.page)
importing.add_url_rule("/plays", "upload_plays", plays.upload, methods=["POST"])
importing.add_url_rule("/plays/<int:task_id>/<action>", "act_on_plays", plays.act, methods=["POST"])
importing.add_url_rule("/plays/<int:number>/undo", "undo_plays", plays.undo, methods=["POST"])
importing.add_url_rule("/plays/<int:task_id>/unmatched.csv", "unmatched_plays", plays.unmatched)
importing.add_url_rule("/demo", "demo", demo.page)
importing.add_url_rule("/demo", "take_demo", demo.start, methods=["POST"])
importing.add_url_rule("/demo/remove", "confirm_demo", demo.confirm_removal)
importing.add_url_rule("/demo/remove", "remove_demo", demo.remove, methods=["POST"])
