"""The household: the page of accounts and roles for operators, and the links that make an account or reset a password."""

from flask import Blueprint, redirect, render_template, request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.accounts.household import INVITED, device_name
from image_cache.accounts.household_table import AccountLink
from image_cache.errors import AccountRejected, FieldRejected
from image_cache.streams.upload.quotas import AS_SET
from image_cache.units import size
from image_cache.web.access import Role, declare_access
from image_cache.web.accounts.views import start_session
from image_cache.web.actions import log_action
from image_cache.web.context import account, flash, pop_flash, public_origin, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.qr import qr_code
from image_cache.web.rate_limits import limiter
from image_cache.web.responses import page_response

household = declare_access(read=Role.OPERATOR, change=Role.OPERATOR, login="/accounts")(Blueprint("household", __name__))

ROLE_NAMES = {"viewer": "Viewer", "member": "Member", "owner": "Owner", "operator": "Operator"}
# What each role can do: on the page, and compared with the rules by a test. "home": where the operator lets guests play.
RIGHTS = (
    ("See the wall, search, what is playing", ("yes", "yes", "yes", "yes")),
    ("Count plays", ("home", "yes", "yes", "yes")),
    ("Rate, write notes", ("", "yes", "yes", "yes")),
    ("See notes and prices", ("notes", "yes", "yes", "yes")),
    ("Add and edit records, choose covers", ("", "", "yes", "yes")),
    ("Export records, see imports and files", ("", "", "yes", "yes")),
    ("Import and remove records", ("", "", "", "yes")),
    ("Accounts, cache, settings", ("", "", "", "yes")),
)


@household.get("/accounts")
def accounts_page() -> AnyResponse:
    """Show who has an account, with which role, and the links that still work."""
    return _page()


@household.post("/accounts/<int:account_id>/role")
@limiter.limit("60 per minute")
def change_role(account_id: int) -> AnyResponse:
    try:
        changed = services().household.change_role(account_id, request.form.get("role", ""))
    except AccountRejected as error:
        return _page(error=str(error))
    log_action("accounts", "changed the role of", f"{changed.name}, {_with_article(changed.role)}")
    return _done(f"{changed.name} is now {_with_article(changed.role)}.")


@household.post("/accounts/invite")
@limiter.limit("30 per minute")
def invite() -> AnyResponse:
    """Create an invite link. It is shown once, here: only its hash is kept."""
    try:
        token, link = services().household.invite(request.form.get("role", ""))
    except AccountRejected as error:
        return _page(error=str(error))
    log_action("links", f"invited {_with_article(link.role)}")
    return _page(made=link, token=token)


@household.post("/accounts/<int:account_id>/reset")
@limiter.limit("30 per minute")
def reset(account_id: int) -> AnyResponse:
    """Create a link with which its owner chooses a new password. Until then the old one works."""
    try:
        token, link = services().household.reset(account_id)
    except AccountRejected as error:
        return _page(error=str(error))
    log_action("links", "created a link for a new password", link.account.name if link.account else "")
    return _page(made=link, token=token)


@household.post("/accounts/<int:account_id>/logout")
@limiter.limit("60 per minute")
def log_out(account_id: int) -> AnyResponse:
    """End all sessions of an account."""
    try:
        found = services().household.account(account_id)
    except AccountRejected as error:
        return _page(error=str(error))
    services().accounts.revoke(found)
    log_action("accounts", "logged out everywhere", found.name)
    return _done(f"{found.name} is logged out everywhere.")


@household.post("/accounts/<int:account_id>/space")
@limiter.limit("60 per minute")
def change_space(account_id: int) -> AnyResponse:
    """Set how much the streams of an account may hold; an empty field is the limit for everyone."""
    limit = request.form.get("limit", "").strip() or AS_SET
    try:
        found = services().household.account(account_id)
        space = services().streams.quotas.set_limit(account_id, limit)
    except (AccountRejected, FieldRejected) as error:
        return _page(error=str(error))
    says = "no limit" if space.limit_bytes is None else size(space.limit_bytes)
    log_action("accounts", "changed the space of", f"{found.name}, {says}")
    return _done(f"The streams of {found.name} may hold {'any size' if space.limit_bytes is None else says}.")


@household.get("/accounts/<int:account_id>/remove")
def ask_removal(account_id: int) -> AnyResponse:
    try:
        found = services().household.account(account_id)
    except AccountRejected as error:
        return _page(error=str(error))
    return page_response(render_template("accounts/remove.html", found=found))


@household.post("/accounts/<int:account_id>/remove")
@limiter.limit("60 per minute")
def remove(account_id: int) -> AnyResponse:
    own = account()
    try:
        if own is not None and own.id == account_id:
            raise AccountRejected("name", "You cannot remove your own account. Another operator can.")
        removed = services().household.remove(account_id)
    except AccountRejected as error:
        return _page(error=str(error))
    log_action("accounts", "removed the account of", removed.name)
    return _done(f"The account of {removed.name} is removed.")


@household.post("/accounts/links/<int:link_id>/revoke")
@limiter.limit("60 per minute")
def revoke_link(link_id: int) -> AnyResponse:
    if not services().household.revoke_link(link_id):
        raise NotFound("This link was already used or revoked.")
    log_action("links", "revoked a link")
    return _done("The link no longer works.")


@household.post("/accounts/guests")
@limiter.limit("60 per minute")
def change_guests() -> AnyResponse:
    """Choose whether anyone on the home network can count plays."""
    allowed = request.form.get("allowed", "")
    if allowed not in ("", "0", "1"):
        raise BadRequest("allowed must be 0 or 1.")
    services().household.let_guests_play(allowed=allowed == "1")
    log_action("accounts", "let visitors count plays" if allowed == "1" else "let only members count plays")
    says = "Anyone on the home network can count plays." if allowed == "1" else "Only members can count plays."
    return _done(says)


@household.get("/join/<token>")
@declare_access(read=Role.VISITOR)
def join_page(token: str) -> AnyResponse:
    """Show what a link offers: an account, or a new password. Opening it uses nothing up."""
    return _join_page(token)


@household.post("/join/<token>")
@declare_access(change=Role.VISITOR)
@limiter.limit("20 per minute")
def join(token: str) -> AnyResponse:
    """Make the account or set the password of a link, and log in."""
    home, form = services().household, request.form
    where, device = request.remote_addr or "", device_name(request.user_agent.string)
    try:
        if home.link(token).account is None:
            opened = home.join(token, form.get("name", ""), form.get("password", ""), where, device)
        else:
            opened = home.choose_password(token, form.get("password", ""), where, device)
    except AccountRejected as error:
        answer = _join_page(token, error=str(error))
        answer.status_code = 400
        return answer
    start_session(opened)
    log_action("accounts", "used an invite link or a link for a new password")
    return redirect("/", 303)


def _page(*, error: str = "", made: AccountLink | None = None, token: str = "") -> AnyResponse:
    home = services().household
    link = f"{public_origin()}{url_prefix()}/join/{token}" if made else ""
    values = {
        "accounts": home.accounts(),
        "roles": ROLE_NAMES,
        "spaces": services().streams.quotas.spaces(),
        "invited": INVITED,
        "rights": RIGHTS,
        "links": [one for one in home.links() if made is None or one.id != made.id],
        "guests_play": home.may_guests_play(),
        "public_notes": services().settings.PUBLIC_NOTES,
        "made": made,
        "link": link,
        "code": qr_code(link, "QR code of the link") if made else "",
        "error": error,
        "notice": pop_flash(request.args.get("done", "")),
    }
    answer = page_response(render_template("accounts/accounts.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    if error:
        answer.status_code = 400
    return answer


def _join_page(token: str, *, error: str = "") -> AnyResponse:
    found = services().household.link(token)
    values = {"link": found, "error": error, "typed": request.form.get("name", "")[:80], "as": _with_article(found.role)}
    answer = page_response(render_template("accounts/join.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _done(message: str) -> AnyResponse:
    flash(message)
    return redirect("/accounts?done=removed", 303)


def _with_article(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"
