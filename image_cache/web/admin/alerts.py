"""`/admin/alerts`: where alerts are sent, which ones, and a test. Secrets are written here and never shown again."""

import time

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected
from image_cache.maintenance.alerts.destinations import KINDS, NTFY, read_destination
from image_cache.maintenance.alerts.service import AlertChoices, DestinationState
from image_cache.maintenance.alerts.table import TEST
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.template_helpers import moment

HERE = "/admin/alerts"
FIELDS = ("url", "secret", "host", "port", "login", "sender", "recipient")
SECRETS = ("secret",)

alerts = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login=HERE)(Blueprint("alerts", __name__, url_prefix=HERE))


@alerts.get("")
def page() -> AnyResponse:
    return _page()


@alerts.post("/add")
@limiter.limit("30 per minute")
def add() -> AnyResponse:
    """Add a destination."""
    kind = request.form.get("kind", "")
    typed = {name: request.form.get(name, "") for name in FIELDS}
    try:
        new = read_destination(kind, typed)
        services().alerts.add(new)
        log_action("limits", "added a destination of alerts", f"{KINDS[new.kind]}, {new.name}")
    except FieldRejected as error:
        kept = {name: value for name, value in typed.items() if name not in SECRETS}
        return _page(400, kind=kind, typed=kept, wrong=error)
    return redirect(HERE, 303)


@alerts.post("/when")
def choose() -> AnyResponse:
    """Choose which turns of the verdict are sent."""
    chosen = {name: name in request.form for name in ("degraded", "unhealthy", "recovered", "details")}
    services().alerts.choose(AlertChoices(**chosen))
    return redirect(HERE, 303)


@alerts.post("/test")
@limiter.limit("10 per minute")
def send_test() -> AnyResponse:
    """Send a test in the background; the page says whether it arrived."""
    if not services().alerts.enqueue_test(request.form.get("destination", "")):
        raise NotFound("This destination was removed.")
    return redirect(HERE, 303)


@alerts.post("/remove")
def remove() -> AnyResponse:
    """Remove a destination with its secret."""
    if not services().alerts.remove(request.form.get("destination", "")):
        raise NotFound("This destination is already removed.")
    log_action("limits", "removed a destination of alerts")
    return redirect(HERE, 303)


def _page(
    status: int = 200, *, kind: str = "", typed: dict[str, str] | None = None, wrong: FieldRejected | None = None
) -> AnyResponse:
    kind = kind or request.args.get("kind", NTFY)
    rows = [(one.destination, *_said(one)) for one in services().alerts.destinations()]
    values = {
        "rows": rows,
        "kinds": KINDS,
        "kind": kind if kind in KINDS else NTFY,
        "choices": services().alerts.choices(),
        "is_sending": any(lamp == "working" for _, lamp, _ in rows),
    }
    answer = Response(render_template("admin/alerts.html", **values, typed=typed or {}, wrong=wrong), status)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _said(one: DestinationState) -> tuple[str, str]:
    """Return a lamp, and in words what was sent last and whether it arrived."""
    last = one.last
    if last is None:
        return "waiting", "Nothing sent yet."
    what = "a test" if last.event == TEST else last.text.partition(" See /")[0]
    if last.state == "sent":
        return "well", f"Sent {_when(last.ended_at)}: {what}"
    if last.state == "failed":
        lost = "" if last.event == TEST else f" It was: {what}"
        return "failed", f"Not sent {_when(last.ended_at)}. {last.reason}{lost}"
    if last.tries and last.state == "waiting":
        return "warning", f"Not sent yet. {last.reason} Next retry {_when(last.due_at)}: {what}"
    return "working", f"Sending {what}"


def _when(at: float) -> str:
    is_today = time.localtime(at)[:3] == time.localtime()[:3]
    return f"today, {moment(at)}" if is_today else f"on {moment(at)}"
