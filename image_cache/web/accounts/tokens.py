"""API tokens of the own account: the list, a new one, and revoking one."""

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import NotFound, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from image_cache.accounts.token_table import ApiToken
from image_cache.accounts.tokens import EXPIRY_DAYS, SCOPES
from image_cache.errors import AccountRejected
from image_cache.models import Account
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.actions import log_action
from image_cache.web.context import account, flash, pop_flash, public_origin, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import page_response

api_tokens = declare_access(read=Role.ACCOUNT, change=Role.ACCOUNT, login="/account/tokens")(Blueprint("api_tokens", __name__))

SCOPE_WORDS = {"read": "Read streams", "upload": "Upload images", "manage": "Edit and delete"}
SOON_S = 7 * 86400.0  # before a token expires it is said in amber


@api_tokens.get("/account/tokens")
def tokens_page() -> AnyResponse:
    """Show the tokens of the account, what each may do and when it was last used."""
    return _page()


@api_tokens.post("/account/tokens")
@limiter.limit("30 per minute")
def create() -> AnyResponse:
    """Create a token. It is shown once, here: only its hash is stored."""
    form = request.form
    try:
        days = whole_number(form.get("days", "365"), 0, max(EXPIRY_DAYS))
        token, made = services().api_tokens.create(
            _own(),
            form.get("name", ""),
            form.getlist("scope"),
            days=-1 if days is None else days,
            stream_id=_stream_id(form.get("stream", "")),
        )
    except AccountRejected as error:
        return _page(error=error.reason)
    log_action("links", "created an API token", made.name)
    return _page(token=token, made=made)


@api_tokens.post("/account/tokens/<int:token_id>/revoke")
@limiter.limit("60 per minute")
def revoke(token_id: int) -> AnyResponse:
    if not services().api_tokens.revoke(_own(), token_id):
        raise NotFound("This token is already revoked.")
    log_action("links", "revoked an API token")
    flash("The token no longer works.")
    return redirect("/account/tokens?done=removed", 303)


def _own() -> Account:
    found = account()
    if found is None:  # removed by an operator at this very moment
        raise Unauthorized
    return found


def _streams() -> list[tuple[int, str, str]]:
    """Return (id, slug, title) of the streams that the account edits."""
    me = services().stream_members.viewer(_own().id)
    return [
        (card.stream.id, card.stream.slug, card.stream.title) for card in services().stream_queries.streams(me) if card.may_edit
    ]


def _stream_id(slug: str) -> int | None:
    if not slug:
        return None
    found = next((number for number, name, _ in _streams() if name == slug), None)
    if found is None:
        raise AccountRejected("stream", "Choose one of your streams.")
    return found


def _page(*, error: str = "", token: str = "", made: ApiToken | None = None) -> AnyResponse:
    tokens = services().api_tokens
    streams = _streams()
    slug = next((name for number, name, _ in streams if made is not None and number == made.stream_id), "your-stream")
    values = {
        "rows": [{"token": one, "works": tokens.works(one)} for one in tokens.tokens(_own())],
        "streams": streams,
        "scopes": SCOPES,
        "words": SCOPE_WORDS,
        "days": EXPIRY_DAYS,
        "soon_s": SOON_S,
        "now": services().covers.clock(),
        "token_text": token,
        "made": made,
        "example": f"{public_origin()}{url_prefix()}/api/streams/{slug}/images",
        "error": error,
        "typed": request.form,
        "notice": pop_flash(request.args.get("done", "")),
    }
    answer = page_response(render_template("accounts/tokens.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    if error:
        answer.status_code = 400
    return answer
