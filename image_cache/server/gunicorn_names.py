"""What our worker leans on inside gunicorn, beyond its documented interface. Where that differs, gunicorn's own worker serves instead.

Tried with 27.0.0 and 27.0.1, which have all of them; 25.0.3 and 26.0.0 do not. A version without one of these names would start, and
fail with the first request that needs it.
"""

import inspect
import logging
from collections.abc import Mapping
from importlib import import_module
from types import CodeType
from typing import Any

logger = logging.getLogger(__name__)

FALLBACK = "gthread"
# function -> what has to occur in its code: what it sets, and our methods that it has to call
NAMES: Mapping[str, tuple[str, ...]] = {
    "gunicorn.workers.base:Worker.__init__": ("alive", "cfg", "log", "max_requests", "nr", "sockets"),
    "gunicorn.workers.base:Worker.init_process": ("init_signals", "load_wsgi", "post_worker_init", "run"),
    "gunicorn.workers.gthread:ThreadWorker.__init__": (
        "keepalived_conns",
        "max_keepalived",
        "method_queue",
        "nr_conns",
        "poller",
        "tpool",
        "worker_connections",
    ),
    "gunicorn.workers.gthread:ThreadWorker.run": (
        "is_parent_alive",
        "keepalived_conns",
        "murder_keepalived",
        "murder_pending",
        "notify",
        "nr_conns",
        "wait_for_and_dispatch_events",
    ),
    "gunicorn.workers.gthread:ThreadWorker.set_accept_enabled": ("accept", "poller"),
    "gunicorn.workers.gthread:ThreadWorker.enqueue_req": ("defer", "finish_request", "handle", "submit"),
    "gunicorn.workers.gthread:ThreadWorker.handle": (
        "_keepalive_after",
        "handle_error",
        "handle_request",
        "init",
        "is_http2",
        "parser",
    ),
    "gunicorn.workers.gthread:ThreadWorker.handle_request": (
        "alive",
        "create",
        "keepalived_conns",
        "max_keepalived",
        "max_requests",
        "nr",
    ),
    "gunicorn.workers.gthread:ThreadWorker.handle_exit": ("alive",),
    "gunicorn.workers.gthread:TConn.__init__": ("client", "data_ready", "initialized", "parser", "server", "sock", "timeout"),
    "gunicorn.workers.gthread:PollableMethodQueue.defer": (),
    "gunicorn.arbiter:Arbiter.start": ("when_ready",),
    "gunicorn.http.wsgi:Response.close": (),
    "gunicorn.http.wsgi:Response.sendfile": ("sendfile",),
    "gunicorn.http.unreader:IterUnreader.chunk": (),
}
PARAMETERS: Mapping[str, int] = {"gunicorn.http:get_parser": 3, "gunicorn.http.wsgi:create": 5}  # that are given by position


def unknown_names(names: Mapping[str, tuple[str, ...]] = NAMES, parameters: Mapping[str, int] = PARAMETERS) -> list[str]:
    """Return which of the names this gunicorn does not have."""
    unknown = []
    for where, wanted in names.items():
        code = getattr(_find(where), "__code__", None)
        if code is None:
            unknown.append(where)
        else:
            there = _names_in(code)
            unknown += [f"{where}: {name}" for name in wanted if name not in there]
    for where, count in parameters.items():
        function = _find(where)
        if function is None or len(inspect.signature(function).parameters) < count:
            unknown.append(where)
    return unknown


def worker_class(names: Mapping[str, tuple[str, ...]] = NAMES) -> Any:
    """Return our worker, or the name of gunicorn's own if this version of gunicorn does not fit ours."""
    if unknown := unknown_names(names):
        logger.warning(
            "gunicorn differs unknown=%s: its own worker serves, slow clients can hold its threads", ", ".join(unknown)
        )
        return FALLBACK
    return import_module("image_cache.server.worker").BufferingWorker


def _find(where: str) -> Any:
    module, _, path = where.partition(":")
    try:
        found: Any = import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return None
    return found


def _names_in(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *(name for one in inner for name in _names_in(one))}
