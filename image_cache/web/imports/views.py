"""How records come in and go out: `/import`. Looking needs an account, changing an operator; strangers find the door.

Every view loads what it needs when it is first called: an idle server holds none of it.
"""

from flask import Blueprint, render_template
from werkzeug.wrappers import Response as AnyResponse

from image_cache.web.access import Role, access, this_page
from image_cache.web.imports import tables as import_tables
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import larger_body

importing = access(read=Role.OWNER, change=Role.OPERATOR, login=this_page)(Blueprint("importing", __name__, url_prefix="/import"))


@importing.get("")
def page() -> str:
    """Show the ways in, what runs and what ran lately."""
    from image_cache.web.imports import methods as ways
    from image_cache.web.imports import tasks as task_view

    return render_template("imports/index.html", ways=ways.ways(), tasks=task_view.recent())


@importing.get("/table")
def table() -> AnyResponse:
    """Show the form for a table, and what became of the last one."""
    return import_tables.page()


@importing.post("/table")
@larger_body(import_tables.table_body_limits)
@limiter.limit("30 per minute")
def upload() -> AnyResponse:
    """Keep a table and look through it; nothing goes in yet."""
    return import_tables.upload()


@importing.post("/table/<int:task_id>/<action>")
@limiter.limit("60 per minute")
def act(task_id: int, action: str) -> AnyResponse:
    """Take in the table that a task has looked through, or leave it."""
    return import_tables.act(task_id, action)


@importing.get("/records.<kind>")
@limiter.limit("10 per minute")
def export(kind: str) -> AnyResponse:
    """Send all records as a table, `csv` or `json`."""
    return import_tables.export(kind)


@importing.get("/demo")
def demo() -> AnyResponse:
    from image_cache.web.imports import demo

    return demo.page()


@importing.post("/demo")
@limiter.limit("10 per minute")
def take_demo() -> AnyResponse:
    """Put the demo collection on the shelf."""
    from image_cache.web.imports import demo

    return demo.take()


@importing.post("/demo/remove")
@limiter.limit("10 per minute")
def remove_demo() -> AnyResponse:
    """Take the demo collection from the shelf again."""
    from image_cache.web.imports import demo

    return demo.remove()
