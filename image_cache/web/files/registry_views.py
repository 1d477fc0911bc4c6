"""Pages of registries: `/files/registries`. A registry is a group of files with one progress."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import CacheError
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import may_operate, services
from image_cache.web.files.view_models import file_row, group_row
from image_cache.web.rate_limits import limiter

registries = declare_access(read=Role.OWNER, change=Role.OPERATOR, login="/files")(
    Blueprint("file_registries", __name__, url_prefix="/files/registries")
)


@registries.get("")
def page() -> AnyResponse:
    return _page()


@registries.post("")
@limiter.limit("30 per minute")
def add() -> AnyResponse:
    """Add a registry from pasted lines; those that name no file are shown with their number on its page."""
    typed = {name: request.form.get(name, "").strip() for name in ("name", "lines", "base_url")}
    try:
        registry = services().files.groups.registries.add(typed["name"], typed["lines"].encode(), base_url=typed["base_url"])
    except CacheError as error:
        return _page(400, **typed, error=str(error))
    log_action("limits", "added a registry of files", registry.name)
    return redirect(f"/files/registries/{registry.name}", 303)


@registries.get("/<name>")
def one(name: str) -> str:
    """Show one registry: how far its files are, the failed ones first."""
    group = services().files.groups.one(name)
    order = {"failed": 0, "working": 1, "paused": 2, "waiting": 3, "absent": 4, "done": 5}
    members = [
        (member, file_row(member.entry) if member.entry is not None else None)
        for member in sorted(group.members, key=lambda member: order[member.state])
    ]
    return render_template("files/registry.html", group=group, row=group_row(group), members=members, may_operate=may_operate())


@registries.post("/<name>/<action>")
@limiter.limit("60 per minute")
def act(name: str, action: str) -> AnyResponse:
    """Download all files of a registry, retry the failed ones, pause, resume, or remove the registry."""
    groups = services().files.groups
    if action == "remove":
        groups.registries.remove(name)
        log_action("deletions", "removed a registry of files", name)
        return redirect("/files/registries", 303)
    if action == "fetch":
        groups.fetch(name)
    elif action == "retry":
        groups.retry(name)
    elif action == "pause":
        groups.pause(name)
    elif action == "resume":
        groups.resume(name)
    else:
        raise NotFound
    return redirect(f"/files/registries/{name}", 303)


def _page(status: int = 200, **typed: Any) -> AnyResponse:
    rows = [group_row(group) for group in services().files.groups.all()]
    return Response(render_template("files/registries.html", rows=rows, typed=typed, may_operate=may_operate()), status)
