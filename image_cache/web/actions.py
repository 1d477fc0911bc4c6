"""`log_action`: what views call when someone changed something, for the log of operators."""

from flask import request

from image_cache.text import account_key
from image_cache.web.context import account, api_token, is_local_request, services

UNKNOWN = "unknown name"


def log_action(kind: str, what: str, place: str = "", *, who: str = "", is_merged: bool = False) -> None:
    """Add a line to the log of actions: `what` is a verb in the past with its object ("uploaded 2 images"), `place` where.

    `kind` is one of `maintenance.actions.log.KINDS`. `who`: otherwise the API token or the account of the request. Titles of
    images, links and tokens must not be in it: operators of today are not the audience of a private image. Never raises.
    """
    found, token = account(), api_token()
    name = who or (
        f"{token.name} ({token.account.name})"
        if token
        else found.name
        if found
        else "the server itself"
        if is_local_request()
        else "a visitor"
    )
    services().actions.add(kind, name, what, place, request.remote_addr or "", is_merged=is_merged)


def log_failed_login(typed: str) -> None:
    """Log a failed login. A name without an account is not written: it may be a password in the wrong field."""
    key = account_key(typed)
    known = next((one.name for one in services().accounts.accounts() if account_key(one.name) == key), UNKNOWN)
    log_action("logins", "failed to log in", who=known, is_merged=True)
