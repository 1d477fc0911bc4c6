"""The page where an account turns on scrobbling, and sees what waits or was refused. Nothing is called from here."""

from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected
from image_cache.net.token_file import looks_like_token
from image_cache.scrobbling.service import LASTFM, LISTENBRAINZ
from image_cache.web.access import Role, declare_access
from image_cache.web.accounts.views import logged_in
from image_cache.web.context import flash, pop_flash, public_origin, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import page_response

scrobbling = declare_access(read=Role.ACCOUNT, change=Role.ACCOUNT, login="/account/scrobbling")(
    Blueprint("scrobbling", __name__)
)

PAGE = "/account/scrobbling"
LASTFM_AUTH = "https://www.last.fm/api/auth/"


@scrobbling.get(PAGE)
def scrobbling_page() -> AnyResponse:
    """Show the services that this server can send plays to."""
    return _page()


@scrobbling.post(f"{PAGE}/listenbrainz")
@limiter.limit("20 per minute")
def connect_listenbrainz() -> AnyResponse:
    """Keep the token (form field token); it is tested in the background."""
    try:
        services().scrobbling.connect(logged_in().id, LISTENBRAINZ, request.form.get("token", ""))
    except FieldRejected as error:
        answer = _page(error=error.reason)
        answer.status_code = 400
        return answer
    return _done("Token saved. VinylVault is testing it now.")


@scrobbling.get(f"{PAGE}/lastfm")
def lastfm_returned() -> AnyResponse:
    """Ask whether to connect, after Last.fm has sent the browser back: a link alone must not connect a foreign account."""
    token = request.args.get("token", "")
    if not looks_like_token(token):
        raise BadRequest("Last.fm did not send a token. Connect it again.")
    answer = page_response(render_template("accounts/lastfm.html", token_of_lastfm=token))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@scrobbling.post(f"{PAGE}/lastfm")
@limiter.limit("20 per minute")
def connect_lastfm() -> AnyResponse:
    """Keep the token (form field token) that the user allowed; it is exchanged for a session in the background."""
    try:
        services().scrobbling.connect(logged_in().id, LASTFM, request.form.get("token", ""))
    except FieldRejected as error:
        raise BadRequest("Last.fm did not send a token. Connect it again.") from error
    return _done("Last.fm allowed it. VinylVault is connecting now.")


@scrobbling.post(f"{PAGE}/<name>/<action>")
@limiter.limit("60 per minute")
def act(name: str, action: str) -> AnyResponse:
    """Change one connection: guests (form field on), retry, drop what was refused, disconnect."""
    who, scrobbles = logged_in().id, services().scrobbling
    if scrobbles.rows.scrobbler(who, name) is None:
        raise NotFound("This service is not connected.")
    if action == "guests":
        takes = request.form.get("on") == "1"
        scrobbles.rows.set_guests(who, name, takes)
        return _done("Plays without an account are sent, too." if takes else "Only your own plays are sent.")
    if action == "retry":
        scrobbles.retry(who, name)
        return _done("VinylVault is sending it again.")
    if action == "drop":
        dropped = scrobbles.rows.drop_refused(who, name)
        return _done(f"{dropped} refused {'track' if dropped == 1 else 'tracks'} removed from the queue.")
    if action == "disconnect":
        waiting = scrobbles.disconnect(who, name)
        left = f" {waiting} {'track was' if waiting == 1 else 'tracks were'} not sent." if waiting else ""
        return _done(f"Disconnected.{left}")
    raise NotFound


def _page(error: str = "") -> AnyResponse:
    scrobbles = services().scrobbling
    callback = f"{public_origin()}{url_prefix()}{PAGE}/lastfm"
    lastfm_url = f"{LASTFM_AUTH}?{urlencode({'api_key': scrobbles.lastfm_key, 'cb': callback})}" if scrobbles.lastfm_key else ""
    found = scrobbles.connections(logged_in().id)
    values = {"connections": found, "lastfm_url": lastfm_url, "error": error, "done": pop_flash(request.args.get("done", ""))}
    answer = page_response(render_template("accounts/scrobbling.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _done(message: str) -> AnyResponse:
    flash(message)
    return redirect(f"{PAGE}?done=removed", 303)
