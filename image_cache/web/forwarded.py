"""Below a path of a reverse proxy: inside, every path is without the prefix; it is added where a response leaves the application.

The templates say `/files`. One place knows the prefix, so that no link can be forgotten.
"""

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, request

PREFIX = "vinylvault.prefix"
SHAPE = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
# Text in a page cannot look like this: templates escape its quotes.
_LINK = re.compile(
    rb'(\s(?:href|src|action|formaction|poster|data-src|data-large|data-sharp|data-blurred|data-uploader)=")(/(?!/)[^"]*")'
)
_SET = re.compile(rb'\s(?:srcset|imagesrcset|data-srcset)="[^"]*"')
_SET_PART = re.compile(rb'(?<=[" ])/(?!/)')


class Forwarded:
    """Outermost layer: removes the prefix from the path, and lower-cases the Host, because DNS ignores case."""

    def __init__(self, app: WSGIApplication, prefix: str, proxies: int) -> None:
        self._app = app
        self._prefix = prefix
        self._proxies = proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_HOST" in environ:
            environ["HTTP_HOST"] = environ["HTTP_HOST"].lower()
        environ[PREFIX] = self._told(environ) or self._prefix
        path = environ.get("PATH_INFO", "")
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):  # a proxy that leaves it there
            environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
        return self._app(environ, start_response)

    def _told(self, environ: WSGIEnvironment) -> str:
        """Return the prefix that a trusted proxy sends. Anything but a plain path is ignored: it would be in every link."""
        told = [part.strip().rstrip("/") for part in environ.get("HTTP_X_FORWARDED_PREFIX", "").split(",")]
        if not self._proxies or len(told) < self._proxies:
            return ""
        return told[-self._proxies] if SHAPE.fullmatch(told[-self._proxies]) else ""


def url_prefix() -> str:
    """Return the path below which browsers see this vault, such as `/vinyl`; empty if it is the whole site."""
    return str(request.environ.get(PREFIX, ""))


def absolute_url(path: str) -> str:
    """Return a URL of this vault for readers outside of the page, such as a card in a chat."""
    return f"{request.host_url.rstrip('/')}{url_prefix()}{path}"


def register_prefix(app: Flask, prefix: str, proxies: int) -> None:
    """Add the prefix to what leaves `app`, if there can be one."""
    app.jinja_env.globals.update(url_prefix=url_prefix, absolute=absolute_url)
    if prefix or proxies:
        app.after_request(_add_prefix)


def _add_prefix(response: Response) -> Response:
    prefix = url_prefix()
    if not prefix:
        return response
    location = response.headers.get("Location", "")
    if location.startswith("/") and not location.startswith("//"):
        response.headers["Location"] = prefix + location
    if response.mimetype == "text/html" and not response.is_streamed and not response.direct_passthrough:
        response.set_data(add_to_links(response.get_data(), prefix.encode()))
    return response


def add_to_links(page: bytes, prefix: bytes) -> bytes:
    """Return a page whose links to this vault start with the prefix."""
    page = _LINK.sub(lambda found: found[1] + prefix + found[2], page)
    return _SET.sub(lambda found: _SET_PART.sub(prefix + b"/", found[0]), page)
