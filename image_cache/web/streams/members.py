"""Who belongs to a stream: the owner's page, and the way in for those who were invited."""

from flask import Blueprint, g, redirect, request, session
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import AccountRejected, FieldRejected, LoginFailed
from image_cache.models import Stream
from image_cache.units import whole_number
from image_cache.web.access import Role, access
from image_cache.web.context import SESSION_TOKEN, account, services
from image_cache.web.rate_limits import limiter
from image_cache.web.streams.viewer import need_owner, refresh_viewer, viewer
from image_cache.web.streams.views import page_of

stream_people = access(read=Role.STREAM_POLICY, change=Role.STREAM_POLICY)(Blueprint("stream_people", __name__))

ACTIONS = ("add", "remove", "invite", "withdraw")


@stream_people.get("/streams/<slug>/people")
def people(slug: str) -> AnyResponse:
    return _people(_owned(slug))


@stream_people.post("/streams/<slug>/people")
@limiter.limit("60 per minute")
def change(slug: str) -> AnyResponse:
    """Add or remove somebody, make or withdraw an invitation. The link of a new one is shown once, here."""
    here = _owned(slug)
    form, who = request.form, services().streams.members
    action = form.get("action", "")
    try:
        if action == "add":
            who.add(here, form.get("name", ""), form.get("role", ""))
        elif action == "remove":
            who.remove(here, form.get("name", ""))
        elif action == "invite":
            days, uses = _number(form.get("days", "7"), "days"), _number(form.get("uses", "1"), "uses")
            token, _ = who.invite(here, form.get("role", "subscriber"), days=days, uses=uses)
            return _people(here, link=f"{request.host_url}invite/{token}")
        elif action == "withdraw":
            who.withdraw(here, _number(form.get("invitation", ""), "invitation"))
        else:
            raise FieldRejected("action", f"An action is one of {', '.join(ACTIONS)}.")
    except FieldRejected as error:
        answer = _people(here, error=error.reason)
        answer.status_code = 400
        return answer
    return redirect(f"/streams/{slug}/people", 303)


@stream_people.get("/invite/<token>")
@access(read=Role.VISITOR)
def invitation(token: str) -> AnyResponse:
    """Show what the link offers: joining, or an account first."""
    return _invitation(token)


@stream_people.post("/invite/<token>")
@access(change=Role.VISITOR)
@limiter.limit("20 per minute")
def accept(token: str) -> AnyResponse:
    """Join the stream: as whoever is logged in, or as somebody new."""
    streams, accounts = services().streams, services().accounts
    streams.members.invitation(token)
    who = account()
    if who is None:
        name, password = request.form.get("name", ""), request.form.get("password", "")
        try:
            accounts.add(name, password, "viewer")
            opened = accounts.login(name, password, request.remote_addr or "")
        except (AccountRejected, LoginFailed) as error:
            answer = _invitation(token, error=str(error), name=name)
            answer.status_code = 403
            return answer
        session.clear()
        session[SESSION_TOKEN] = opened
        g.pop("account", None)
        refresh_viewer()
        who = account()
    if who is None:  # removed by an operator in this very moment
        raise Unauthorized
    return redirect(f"/streams/{streams.members.accept(token, who.id)}", 303)


def _owned(slug: str) -> Stream:
    here = services().streams.queries.stream(viewer(), slug)
    need_owner(here)
    return here


def _people(here: Stream, *, link: str = "", error: str = "") -> AnyResponse:
    who = services().streams.members
    return page_of(
        "streams/members.html", stream=here, members=who.members(here), invitations=who.invitations(here), link=link, error=error
    )


def _invitation(token: str, *, error: str = "", name: str = "") -> AnyResponse:
    found, slug = services().streams.members.invitation(token)
    here = services().streams.rows.stream(slug)
    return page_of("streams/invite.html", invitation=found, stream=here, token_text=token, error=error, typed=name)


def _number(text: str, field: str) -> int:
    number = whole_number(text, 0, 999_999_999)
    if number is None:
        raise FieldRejected(field, f"{field} is not a whole number.")
    return number
