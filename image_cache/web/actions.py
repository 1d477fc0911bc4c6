"""`log_action`: what views call when someone changed something, for the log of operators."""

from collections.abc import Mapping

from flask import request

from image_cache.files.download.bandwidth import words_for_log
from image_cache.text import account_key
from image_cache.web.context import account, api_token, is_local_request, services

UNKNOWN = "unknown name"
LIMITS = {"max_size_mb": "disk {} MB", "memory_mb": "memory {} MB", "ttl_hours": "TTL {} hours"}


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


def log_limits(cache: str, values: Mapping[str, object]) -> None:
    """Log new limits of a cache in words; `values` as its form or its API names them."""
    words = [LIMITS[name].format(value) for name, value in values.items() if name in LIMITS and value not in ("", None)]
    if words:
        log_action("limits", "changed the limits", ", ".join((cache, *words)))


def log_speed(mb_per_s: object, full_hours: str) -> None:
    """Log a new speed limit of downloads; none: it was removed."""
    log_action("limits", "changed the speed of downloads", words_for_log(mb_per_s, full_hours))


def log_failed_login(typed: str) -> None:
    """Log a failed login. A name without an account is not written: it may be a password in the wrong field."""
    key = account_key(typed)
    known = next((one.name for one in services().accounts.accounts() if account_key(one.name) == key), UNKNOWN)
    log_action("logins", "failed to log in", who=known, is_merged=True)
