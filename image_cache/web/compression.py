"""gzip for pages, scripts and style sheets, for browsers that take it.

BREACH guesses a secret of a page from the size of the compressed answer, by having it reflected next to it. Our only secret of this
kind is the token of the forms: it is masked differently in every response.
"""

import base64
import gzip
import secrets

from flask import Flask, Response, g, request
from flask_wtf.csrf import CSRFProtect, generate_csrf

TYPES = ("text/html", "text/css", "text/javascript", "application/javascript", "application/json", "image/svg+xml")
FEWEST_BYTES = 1000  # smaller ones fit into one packet anyway
MOST_PACKED = 64
LEVEL = 4  # a page of 98 KB takes 1 ms on a desktop core and leaves 9%; level 1 takes half of that and leaves 10%

_packed: dict[str, bytes] = {}  # by ETag, which names the file and when it was changed


class MaskedCsrf(CSRFProtect):  # type: ignore[misc]  # it has no types
    """Reads the token that `masked_token` wrote, and the plain one."""

    def _get_csrf_token(self) -> str | None:
        return unmask(super()._get_csrf_token())


def masked_token() -> str:
    """Return the token of the session, combined with random bytes; the same for all forms of one page."""
    if "masked_token" not in g:
        plain = generate_csrf().encode()
        pad = secrets.token_bytes(len(plain))
        g.masked_token = "~" + base64.urlsafe_b64encode(pad + _xor(pad, plain)).decode()
    return str(g.masked_token)


def unmask(token: str | None) -> str | None:
    """Return the plain token; any other value is returned unchanged, and is refused where it is compared."""
    if not token or not token.startswith("~"):
        return token
    try:
        both = base64.urlsafe_b64decode(token[1:])
        return _xor(both[: len(both) // 2], both[len(both) // 2 :]).decode()
    except ValueError:
        return token


def register_compression(app: Flask) -> None:
    """Compress what `app` answers, and mask the token of its forms. After `CSRFProtect.init_app`, whose helper it replaces."""
    app.jinja_env.globals["csrf_token"] = masked_token
    app.context_processor(lambda: {"csrf_token": masked_token})
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if response.mimetype not in TYPES or response.status_code in (204, 206, 304) or "Content-Encoding" in response.headers:
        return response
    response.vary.add("Accept-Encoding")
    is_taken = request.accept_encodings["gzip"] > 0
    if request.method == "HEAD" or not is_taken or "Content-Range" in response.headers or "X-Accel-Redirect" in response.headers:
        return response
    is_file = response.direct_passthrough
    if response.is_streamed and not is_file:
        return response
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) < FEWEST_BYTES:
        return response
    etag, _ = response.get_etag()
    response.set_data(_packed_file(etag, body) if is_file and etag else gzip.compress(body, LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("Accept-Ranges", None)
    if etag:
        response.set_etag(etag, weak=True)
    return response


def _packed_file(etag: str, body: bytes) -> bytes:
    """Pack one of our own files, once: there are few, and they are the same for everyone."""
    packed = _packed.get(etag)
    if packed is None:
        packed = gzip.compress(body, 9, mtime=0)
        if len(_packed) < MOST_PACKED:
            _packed[etag] = packed
    return packed


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))
