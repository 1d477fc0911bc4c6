"""HTTP client for origins, with limits of size and time.

Redirects are followed here, so that every hop passes the peer policy. Importing this module loads urllib3; processes that may never
fetch import `net/lazy_client.py`.
"""

import io
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin

import urllib3.exceptions
from urllib3 import BaseHTTPResponse

from image_cache import __version__
from image_cache.errors import OriginDenied, OriginError, OriginNotFound, OriginTooLarge, OriginUnavailable
from image_cache.frozen import frozen
from image_cache.net.deadline import Deadline, DeadlineWatcher, MinimumSpeed, current_deadline
from image_cache.net.fetch_result import FetchResult
from image_cache.net.policy import PeerPolicy
from image_cache.net.response_times import fresh_s, retry_after_s
from image_cache.net.transport import GuardedTransport
from image_cache.net.url import ILLEGAL, Target

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 10  # all within one deadline; browsers follow 20
CHUNK_BYTES = 256 * 1024  # at most; usually a chunk is what one read of the socket returns
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What a browser would decode. It ignores any other token (`aws-chunked`, `utf-8`, `binary`, `none`), because such bodies are plain.
CODINGS = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"})
BUSY = frozenset({408, 425, 429})  # with 5xx: a retry can succeed
# JPEG first where an origin can choose: it can be decoded at reduced size, with 3 bytes per pixel instead of 12 to 20.
ACCEPT = "image/jpeg, image/png;q=0.9, image/*;q=0.8, */*;q=0.5"

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')
_DATE = re.compile(r"[A-Za-z0-9,: +-]{10,64}")
_CONTENT_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")


class HttpResponse:
    """Status and headers of a response; the body is read in chunks, under the limits of its fetch."""

    def __init__(
        self,
        url: str,
        response: BaseHTTPResponse,
        deadline: Deadline,
        max_bytes: int,
        min_speed: MinimumSpeed | None = None,
    ) -> None:
        self.url = url
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.length = _length(url, response)
        self._response = response
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._min_speed = min_speed

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Raises `OriginTooLarge` at the first byte over the limit, `OriginUnavailable` if the body
        is cut short or takes too long. Everything received before an error has been yielded.
        """
        got_bytes = window_bytes = 0
        while chunk := self._read():
            got_bytes += len(chunk)
            if got_bytes > self._max_bytes:
                raise OriginTooLarge(self.url, self._max_bytes, got_bytes)
            yield chunk
            if self._min_speed is not None:
                window_bytes += len(chunk)
                if window_bytes >= self._min_speed.window_bytes:
                    self._deadline.restart()
                    window_bytes = 0
        if self.length is not None and got_bytes != self.length:
            reason = f"expected {self.length:,} bytes, received {got_bytes:,}"
            raise OriginUnavailable(self.url, reason, status=self.status, kind="broken", is_host_fault=False)

    def accept_speed(self, min_speed: MinimumSpeed) -> None:
        """Accept a body of another speed from here on; its time starts now."""
        self._min_speed = min_speed
        self._deadline.change(min_speed.window_s, f"too slow (less than {min_speed})")

    def _read(self) -> bytes:
        with _translate_errors(self.url, self._deadline, status=self.status):
            # `read1` uses http.client, which limits the length of lines in a chunked body; `stream` does not. `read` would wait
            # for a full chunk, and lose the beginning of one that is cut off.
            chunk: bytes = self._response.read1(CHUNK_BYTES, decode_content=False)
        if self._deadline.is_over:  # a closed connection looks like the end of a body without a length
            raise _too_slow(self.url, self._deadline)
        return chunk


@frozen
class _Sent:
    headers: Mapping[str, str]
    secrets: Mapping[str, str]  # for the first peer alone
    body: bytes | None


class HttpClient:
    """Fetches URLs that the policy allows. Any thread may call it; connections are pooled.

    A fetch takes at most `deadline_s` in total, `connect_timeout_s` per address, `read_timeout_s` between two bytes. `contact` is
    part of the User-Agent. `private_cas`: host to certificate file, for hosts with a private certificate authority.
    """

    def __init__(
        self,
        policy: PeerPolicy,
        *,
        max_bytes: int = 20_000_000,
        deadline_s: float = 20.0,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 5.0,
        contact: str = "",
        private_cas: Mapping[str, Path] | None = None,
    ) -> None:
        self._policy = policy
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s
        self._timeouts = (connect_timeout_s, read_timeout_s)
        printable = re.sub(r"[^ -~]|[()]", "", contact).strip()
        self._user_agent = f"VinylVault/{__version__}" + (f" (+{printable})" if printable else "")
        self._transport = GuardedTransport(policy, private_cas)
        self._watcher = DeadlineWatcher()

    def fetch(self, url: str, *, etag: str = "", last_modified: str = "") -> FetchResult:
        """Fetch the body of `url`, or a 304 if the validators still hold.

        Raises `OriginDenied`, `OriginNotFound` (404, 410), `OriginTooLarge`, `OriginUnavailable`, or plain `OriginError` for other refusals.
        """
        conditions = {}
        if _ETAG.fullmatch(etag):
            conditions["If-None-Match"] = etag
        if _DATE.fullmatch(last_modified):
            conditions["If-Modified-Since"] = last_modified
        accepted = frozenset({200, 304}) if conditions else frozenset({200})
        with self.open(url, headers={"Accept": ACCEPT, **conditions}, accepted=accepted) as response:
            # BytesIO returns its buffer without a copy; joining a list would hold a large body twice.
            body = io.BytesIO()
            if response.status != 304:
                body.writelines(response.chunks())
                if not body.tell():  # headers that were cut off look like this too
                    raise OriginUnavailable(response.url, "empty response", status=200, kind="broken", is_host_fault=False)
            return FetchResult(
                url=response.url,
                status=response.status,
                body=body.getvalue(),
                etag=_matching(_ETAG, response.headers.get("ETag", "")),
                last_modified=_matching(_DATE, response.headers.get("Last-Modified", "")),
                content_type=_matching(_CONTENT_TYPE, response.headers.get("Content-Type", "").partition(";")[0].strip().lower()),
                fresh_s=fresh_s(response.headers),
            )

    @contextmanager
    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        secrets: Mapping[str, str] | None = None,
        accepted: frozenset[int] | None = frozenset({200}),
        max_bytes: int | None = None,
        deadline_s: float | None = None,
        min_speed: MinimumSpeed | None = None,
        encodings: frozenset[str] = frozenset(),
        redirects: int = MAX_REDIRECTS,
    ) -> Iterator[HttpResponse]:
        """Request `url` and yield the response if its status is one of `accepted`; read the body with `HttpResponse.chunks`.

        The limits apply until the block ends; then the connection is closed, unless the body was read to its end. With
        `min_speed` the total time is not limited while the body is fast enough. `encodings` are those that the caller can
        decode; nothing is decoded here. With `redirects=0` none is followed, so that secret headers are sent to `url` alone.
        A `body` makes it a POST, which is sent once; take `redirects=0` with it. With `accepted=None` any status is a response.
        `secrets` are headers for the scheme, host and port of `url` only: a redirect elsewhere ends them, even if the next one leads back.
        """
        limit_bytes = self._max_bytes if max_bytes is None else max_bytes
        seconds = min_speed.window_s if min_speed is not None else self._deadline_s if deadline_s is None else deadline_s
        with self._watcher.watch(seconds) as deadline:
            if min_speed is not None:
                deadline.reason = f"too slow (less than {min_speed})"
            sent = _Sent(headers or {}, secrets or {}, body)
            target, response = self._send_following(url, sent, deadline, redirects)
            try:
                if accepted is not None:
                    _check_response(target.url, response, accepted, encodings)
                opened = HttpResponse(target.url, response, deadline, limit_bytes, min_speed)
                if opened.length is not None and opened.length > limit_bytes:
                    raise OriginTooLarge(target.url, limit_bytes, opened.length)
                yield opened
            finally:
                response.close()

    def close(self) -> None:
        """Abort running fetches (they raise `OriginUnavailable`), close the connections, end the threads."""
        self._watcher.close()
        self._transport.close()

    def _send_following(self, url: str, sent: _Sent, deadline: Deadline, redirects: int) -> tuple[Target, BaseHTTPResponse]:
        target = self._policy.check(url)
        peer = target.peer
        for left in range(redirects, -1, -1):
            began = time.monotonic()
            sent = sent if target.peer == peer else replace(sent, secrets={})
            response = self._send(target, sent, deadline)
            shown = target.url.partition("?")[0]  # a query may hold a secret
            logger.debug("fetched url=%s status=%s headers_s=%.3f", shown, response.status, time.monotonic() - began)
            if response.status not in REDIRECTS:
                return target, response
            response.close()  # unread, because its body may be endless
            if left:
                target = self._next_target(target, response.headers.get("Location", ""))
        reason = f"more than {redirects} redirects" if redirects else "unexpected redirect"
        raise OriginError(url, reason, status=response.status)

    def _send(self, target: Target, sent: _Sent, deadline: Deadline) -> BaseHTTPResponse:
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **sent.headers, **sent.secrets}
        token = current_deadline.set(deadline)
        try:
            with _translate_errors(target.url, deadline):
                response = self._transport.send(target, headers, *self._timeouts, sent.body)
        finally:
            current_deadline.reset(token)
        if deadline.is_over:  # http.client takes a closed connection for the end of the headers
            response.close()
            raise _too_slow(target.url, deadline)
        return response

    def _next_target(self, target: Target, location: str) -> Target:
        with suppress(UnicodeError):
            location = location.encode("latin-1").decode("utf-8")  # http.client read the bytes as Latin-1
        try:
            # urljoin would silently remove tabs and line breaks
            joined = "" if ILLEGAL.search(location) else urljoin(target.url, location)
        except ValueError:  # brackets without an IPv6 address
            joined = ""
        if not location or not joined:
            raise OriginDenied(target.url, "invalid redirect")
        following = self._policy.check(joined)
        if target.peer.scheme == "https" and following.peer.scheme == "http":
            raise OriginDenied(target.url, f"a redirect from https to http, at {following.peer.host}")
        if self._policy.is_trusted(following.peer) and not self._policy.is_trusted(target.peer):
            # The operator trusts this server with our own requests, not with those of any origin that can redirect.
            raise OriginDenied(target.url, f"a redirect from outside to the trusted origin {following.peer}")
        return following


@contextmanager
def _translate_errors(url: str, deadline: Deadline, *, status: int | None = None) -> Iterator[None]:
    """Convert the errors of urllib3. Their messages contain nothing that the origin sent.

    `status` is given once the headers have come: what breaks from there on is this response, not the host.
    """
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        if deadline.is_over:
            raise _too_slow(url, deadline) from error
        if isinstance(error, urllib3.exceptions.SSLError):
            raise OriginUnavailable(url, "invalid TLS certificate or connection", kind="tls") from error
        if isinstance(error, urllib3.exceptions.TimeoutError):
            raise OriginUnavailable(url, "timed out waiting for data", kind="timeout") from error
        is_host_fault = status is None and not isinstance(error, urllib3.exceptions.InvalidHeader)  # such as two lengths
        reason = "connection lost or invalid HTTP response"
        raise OriginUnavailable(url, reason, status=status, kind="broken", is_host_fault=is_host_fault) from error


def _too_slow(url: str, deadline: Deadline) -> OriginUnavailable:
    return OriginUnavailable(url, deadline.reason, kind="timeout")


def _check_response(url: str, response: BaseHTTPResponse, accepted: frozenset[int], encodings: frozenset[str]) -> None:
    status = response.status
    if status in {404, 410}:
        raise OriginNotFound(url, f"HTTP {status}", status=status)
    if status in BUSY or status >= 500:
        raise OriginUnavailable(url, f"HTTP {status}", status=status, retry_after_s=retry_after_s(response.headers))
    if status not in accepted and not (status == 203 and 200 in accepted):  # 203: a 200 that a proxy passed on
        raise OriginError(url, f"HTTP {status}", status=status)
    if status == 304:
        return
    codings = {token.strip().lower() for token in response.headers.get("Content-Encoding", "").split(",")}
    transfer = response.headers.get("Transfer-Encoding", "").strip().lower()
    if codings & CODINGS - encodings or transfer not in {"", "identity", "chunked"}:
        reason = "unsupported content encoding"
        raise OriginUnavailable(url, reason, status=status, kind="encoding", is_host_fault=False)


def _length(url: str, response: BaseHTTPResponse) -> int | None:
    """Return the announced length; None if the body is chunked or ends with the connection."""
    if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        return None
    lengths = {text.strip() for text in response.headers.get("Content-Length", "").split(",")} - {""}
    if not lengths:
        return None
    text = lengths.pop()
    if lengths or not re.fullmatch(r"[0-9]{1,18}", text):  # the same length twice is one length (RFC 9110, 8.6)
        reason = "two different Content-Length headers" if lengths else "invalid Content-Length"
        raise OriginUnavailable(url, reason, status=response.status, kind="broken", is_host_fault=False)
    return int(text)


def _matching(pattern: re.Pattern[str], value: str) -> str:
    return value if pattern.fullmatch(value) else ""
