"""Members of a stream: the page of its owner, and joining with an invite link."""

from flask import Blueprint, g, redirect, request, session
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import AccountRejected, FieldRejected, LoginFailed
from image_cache.models import Stream
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import SESSION_TOKEN, account, public_origin, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.qr import qr_code
from image_cache.web.rate_limits import limiter
from image_cache.web.streams.viewer import refresh_viewer, require_owner, viewer
from image_cache.web.streams.views import page_of

stream_members = declare_access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY)(Blueprint("stream_members", __name__))

ACTIONS = ("add", "remove", "invite", "withdraw")


@stream_members.get("/streams/<slug>/people")
def members_page(slug: str) -> AnyResponse:
    return _members_page(_owned(slug))


@stream_members.post("/streams/<slug>/people")
@limiter.limit("60 per minute")
def change(slug: str) -> AnyResponse:
    """Add or remove a member, create or revoke an invitation. The link of a new one is shown once, here."""
    stream = _owned(slug)
    form, members = request.form, services().stream_members
    action = form.get("action", "")
    try:
        if action == "add":
            members.add(stream, form.get("name", ""), form.get("role", ""))
            log_action("links", "added a member", stream.title)
        elif action == "remove":
            members.remove(stream, form.get("name", ""))
            log_action("links", "removed a member", stream.title)
        elif action == "invite":
            days, uses = _number(form.get("days", "7"), "days"), _number(form.get("uses", "1"), "uses")
            token, _ = members.invite(stream, form.get("role", "subscriber"), days=days, uses=uses)
            log_action("links", "created an invite link", stream.title)
            return _members_page(stream, link=f"{public_origin()}{url_prefix()}/invite/{token}")
        elif action == "withdraw":
            members.revoke(stream, _number(form.get("invitation", ""), "invitation"))
            log_action("links", "revoked an invite link", stream.title)
        else:
            raise FieldRejected("action", f"action must be one of {', '.join(ACTIONS)}.")
    except FieldRejected as error:
        response = _members_page(stream, error=error.reason)
        response.status_code = 400
        return response
    return redirect(f"/streams/{slug}/people", 303)


@stream_members.get("/invite/<token>")
@declare_access(read=Role.VISITOR)
def invitation(token: str) -> AnyResponse:
    """Show what the link offers: joining, or an account first."""
    return _invitation(token)


@stream_members.post("/invite/<token>")
@declare_access(change=Role.VISITOR)
@limiter.limit("20 per minute")
def accept(token: str) -> AnyResponse:
    """Join the stream with the account of the session, or with a new one."""
    members, accounts = services().stream_members, services().accounts
    _, slug = members.invitation(token)
    who = account()
    if who is not None:
        return redirect(f"/streams/{members.accept(token, who.id)}", 303)
    name, password = request.form.get("name", ""), request.form.get("password", "")
    address = request.remote_addr or ""
    try:
        made = members.accept_new(token, accounts.prepare(name, password))
        # Of a name that is taken nothing is said: it is a login, with its limit of attempts.
        opened = accounts.open_session(made, address) if made else accounts.login(name, password, address)
    except (AccountRejected, LoginFailed) as error:
        response = _invitation(token, error=str(error), name=name)
        response.status_code = 403
        return response
    session.clear()
    session[SESSION_TOKEN] = opened
    g.pop("account", None)
    refresh_viewer()
    if made:
        return redirect(f"/streams/{slug}", 303)
    who = account()
    if who is None:  # removed by an operator at this very moment
        raise Unauthorized
    return redirect(f"/streams/{members.accept(token, who.id)}", 303)


def _owned(slug: str) -> Stream:
    stream = services().stream_queries.stream(viewer(), slug)
    require_owner(stream)
    return stream


def _members_page(stream: Stream, *, link: str = "", error: str = "") -> AnyResponse:
    members = services().stream_members
    values = {"members": members.members(stream), "invitations": members.invitations(stream), "link": link, "error": error}
    if link:
        values["code"] = qr_code(link, "QR code of the invite link")
    return page_of("streams/members.html", stream=stream, **values)


def _invitation(token: str, *, error: str = "", name: str = "") -> AnyResponse:
    found, slug = services().stream_members.invitation(token)
    stream = services().streams.find_stream(slug)
    return page_of("streams/invite.html", invitation=found, stream=stream, token_text=token, error=error, typed=name)


def _number(text: str, field: str) -> int:
    number = whole_number(text, 0, 999_999_999)
    if number is None:
        raise FieldRejected(field, f"{field} must be a whole number.")
    return number
