"""Who is looking, for everything about streams: the account of the session, or, in the privacy self-test, who it pretends to be."""

from flask import g, request

from image_cache.errors import NotAllowed
from image_cache.models import STRANGER, Stream, Viewer, may_edit, may_own
from image_cache.web.access import LOG_IN_FIRST
from image_cache.web.context import account, services
from image_cache.web.rate_limits import limiter

PRETEND = "vinylvault.viewer"  # in the WSGI environment, where no header of a request can get
KINDS = ("stranger", "subscriber")


@limiter.request_filter
def _is_pretended() -> bool:
    return PRETEND in request.environ


def viewer() -> Viewer:
    """Return who asks, looked up once a request. Nothing that the request says takes part."""
    if "me" not in g:
        pretended = request.environ.get(PRETEND)
        if isinstance(pretended, Viewer):
            g.me = pretended
        else:
            who = account()
            g.me = services().streams.members.viewer(who.id) if who else STRANGER
    found: Viewer = g.me
    return found


def refresh_viewer() -> None:
    """Forget what the viewer may: it has just changed."""
    g.pop("me", None)


def impersonated_viewer(stream: Stream) -> tuple[Viewer, str]:
    """Return whose eyes the page is drawn for, and their kind: those named by `?as=` when an owner asks, else one's own ("")."""
    kind = request.args.get("as", "")
    if kind in KINDS and may_edit(viewer(), stream):
        return as_kind(kind, stream), kind
    return viewer(), ""


def as_kind(kind: str, stream: Stream) -> Viewer:
    """Return somebody without an account, or somebody who follows the stream."""
    return Viewer(name="a subscriber", role="viewer", follows=frozenset({stream.id})) if kind == "subscriber" else STRANGER


def need_editor(stream: Stream) -> None:
    """Raises `NotAllowed` unless the viewer may edit the stream."""
    if not may_edit(viewer(), stream):
        raise _refused("Only the owners of this stream may do that.")


def need_owner(stream: Stream) -> None:
    """Raises `NotAllowed` unless the viewer owns the stream."""
    if not may_own(viewer(), stream):
        raise _refused("Only the owner of this stream may do that.")


def _refused(sentence: str) -> NotAllowed:
    is_anonymous = viewer().account_id is None
    return NotAllowed(LOG_IN_FIRST if is_anonymous else sentence, needs_login=is_anonymous)
