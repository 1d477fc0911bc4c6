"""The viewer of a request about streams: the account of the session, or the one that the privacy check impersonates."""

from flask import g, request

from image_cache.errors import NotAllowed
from image_cache.models import ANONYMOUS, Stream, Viewer
from image_cache.visibility import may_edit, may_own
from image_cache.web.access import LOG_IN_FIRST
from image_cache.web.context import account, api_token, services
from image_cache.web.rate_limits import limiter

IMPERSONATED = "vinylvault.viewer"  # in the WSGI environ, out of reach of any request header
KINDS = ("stranger", "subscriber")


@limiter.request_filter
def _is_impersonated() -> bool:
    return IMPERSONATED in request.environ


def viewer() -> Viewer:
    """Return the viewer, looked up once per request. No parameter or header takes part."""
    if "me" not in g:
        impersonated = request.environ.get(IMPERSONATED)
        if isinstance(impersonated, Viewer):
            g.me = impersonated
        else:
            who = account()
            g.me = services().stream_members.viewer(who.id) if who else ANONYMOUS
    found: Viewer = g.me
    return found


def refresh_viewer() -> None:
    """Look the viewer up again: its rights have just changed."""
    g.pop("me", None)


def impersonated_viewer(stream: Stream) -> tuple[Viewer, str]:
    """Return the viewer to show the page for, and its kind: that of `?as=` for editors, else the viewer of the request and ""."""
    kind = request.args.get("as", "")
    if kind in KINDS and may_edit(viewer(), stream):
        return viewer_of_kind(kind, stream), kind
    return viewer(), ""


def viewer_of_kind(kind: str, stream: Stream) -> Viewer:
    """Return a viewer without an account, or one who follows the stream."""
    return Viewer(name="a subscriber", role="viewer", follows=frozenset({stream.id})) if kind == "subscriber" else ANONYMOUS


def require_editor(stream: Stream) -> None:
    """Raise `NotAllowed` unless the viewer may edit the stream."""
    if not may_edit(viewer(), stream):
        raise _refused("Only owners of this stream can do this.")


def require_stream_of_token(stream: Stream) -> None:
    """Raise `NotAllowed` if the request has an API token that uploads to another stream only."""
    token = api_token()
    if token is not None and token.stream_id not in (None, stream.id):
        raise NotAllowed("This API token can upload to another stream only.")


def require_owner(stream: Stream) -> None:
    """Raise `NotAllowed` unless the viewer owns the stream."""
    if not may_own(viewer(), stream):
        raise _refused("Only the owner of this stream can do this.")


def _refused(sentence: str) -> NotAllowed:
    is_anonymous = viewer().account_id is None
    return NotAllowed(LOG_IN_FIRST if is_anonymous else sentence, needs_login=is_anonymous)
