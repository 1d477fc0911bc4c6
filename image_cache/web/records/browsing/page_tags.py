"""ETags of pages: going back to a page that has not changed is a 304, without rendering it.

A tag stands for everything that decides a page: every commit to catalogue and index, the address, and what this viewer may see. It
holds within one process and for a few minutes, so that what depends on the time of day, and stale covers, get their turn.
Pages for people who are logged in have none: they are never cached.
"""

import functools
import hashlib
import secrets
import time
from collections.abc import Callable

from flask import Response, request, session
from werkzeug.wrappers import Response as AnyResponse

from image_cache.db.database import DatabaseError
from image_cache.web.context import FLASH, account, may_change, may_operate, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.responses import PAGE_CACHING, matches

HOLDS_S = 300
_PROCESS = secrets.token_bytes(16)  # settings, templates and code are those of this process


def revalidated(view: Callable[..., AnyResponse]) -> Callable[..., AnyResponse]:
    """Give the page of a view an ETag, and answer 304 to a browser that has it."""

    @functools.wraps(view)
    def tagged(**arguments: object) -> AnyResponse:
        state = _state()  # read before the page: if something changes meanwhile, the page is newer than its tag, never older
        if state is None:
            return view(**arguments)
        if matches(request.headers.get("If-None-Match", ""), tag := _tag(state)):
            return Response(status=304, headers={"ETag": tag, "Cache-Control": PAGE_CACHING})
        answer = view(**arguments)
        if answer.status_code == 200 and answer.headers.get("Cache-Control") == PAGE_CACHING:
            answer.headers["ETag"] = _tag(state)  # the page may have begun the session, whose token is in its forms
        return answer

    return tagged


def _state() -> tuple[object, ...] | None:
    """Return the state of the data; None for a page that is not kept, tells a message once, or shows more than the data."""
    try:
        if may_change() or may_operate() or account() is not None or FLASH in session or "done" in request.args:
            return None
        known = services()
        if known.covers.progress() is not None or not known.library.count():  # the first run shows the state of the machine
            return None
        return known.catalog.version(), known.covers.cache.index.database.version()
    except DatabaseError:
        return None


def _tag(state: tuple[object, ...]) -> str:
    viewer = (session.get("csrf_token"), url_prefix(), request.cookies.get("density"), request.headers.get("Save-Data"))
    parts = (state, request.full_path, request.headers.get("Host"), viewer, int(time.time() // HOLDS_S))
    return f'"{hashlib.sha256(_PROCESS + repr(parts).encode()).hexdigest()[:32]}"'
