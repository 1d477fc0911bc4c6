"""Fetch from an origin: bytes of a URL, within limits of size and time, or an error that says why not.

Redirects are walked here, so that every hop goes through `adapters/peer.py`. Importing this module costs 12 MB (requests);
what the web process needs before the first fetch is in `adapters/policy.py`, `adapters/address.py` and `adapters/backoff.py`.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin

import requests
import urllib3.exceptions

from image_cache import __version__
from image_cache.errors import OriginDenied, OriginError, OriginNotFound, OriginTooLarge, OriginUnavailable
from image_cache.net import deadline
from image_cache.net.fetch_result import FetchResult
from image_cache.net.policy import PeerPolicy
from image_cache.net.transport import guarded_session
from image_cache.net.url import ILLEGAL, Target

MAX_REDIRECTS = 3
CHUNK_BYTES = 256 * 1024  # most at a time; usually what one read of the socket brings
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({408, 425, 429})  # with 5xx: asking again later helps
# JPEG first where an origin can choose: the decoder reads it at a fraction of its size, 3 bytes a pixel instead of 12 to 20.
ACCEPT = "image/jpeg, image/png;q=0.9, image/*;q=0.8, */*;q=0.5"

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')
_DATE = re.compile(r"[A-Za-z0-9,: +-]{10,64}")
_CONTENT_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s{0,8}=\s{0,8}\"?([0-9]{1,9})", re.IGNORECASE)
_NOT_FRESH = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])", re.IGNORECASE)


class HttpResponse:
    """The head of an answer whose body is still to be read, in chunks, under the limits of its fetch."""

    def __init__(
        self,
        url: str,
        response: requests.Response,
        watch: deadline.Deadline,
        max_bytes: int,
        pace: deadline.MinimumSpeed | None = None,
    ) -> None:
        self.url = url
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.length = _length(url, response)
        self._response = response
        self._watch = watch
        self._max_bytes = max_bytes
        self._pace = pace

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raises `OriginTooLarge` at the byte after the limit, `OriginUnavailable` when it ends early
        or too late. What was yielded before an error is all that came: nothing is held back.
        """
        got_bytes = window_bytes = 0
        while chunk := self._read():
            got_bytes += len(chunk)
            if got_bytes > self._max_bytes:
                raise OriginTooLarge(self.url, self._max_bytes, got_bytes)
            yield chunk
            if self._pace is not None:
                window_bytes += len(chunk)
                if window_bytes >= self._pace.window_bytes:
                    self._watch.renew()
                    window_bytes = 0
        if self.length is not None and got_bytes != self.length:
            raise OriginUnavailable(self.url, f"announced {self.length} bytes and sent {got_bytes}")

    def _read(self) -> bytes:
        with _our_errors(self.url, self._watch):
            # `read1` goes through http.client, which bounds the lines of a chunked body; `stream` reads them without end. `read`
            # would wait for a full chunk, and lose the beginning of one that a cut leaves unfinished.
            chunk: bytes = self._response.raw.read1(CHUNK_BYTES, decode_content=False)
        if self._watch.is_over:  # a cut line looks like the end of a body without a length
            raise _too_slow(self.url, self._watch)
        return chunk


class HttpClient:
    """Fetches URLs that `policy` allows. Any thread may call it; connections are kept for a while, threads are not.

    A fetch takes at most `deadline_s` in all, `connect_timeout_s` to each address tried, `read_timeout_s` from one byte to the next.
    `contact` goes into the User-Agent. `private_cas`: host to certificate file, for hosts with an authority of their own.
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
        self._session = guarded_session(policy, private_cas)
        self._watchdog = deadline.DeadlineWatcher()

    def fetch(self, url: str, *, etag: str = "", last_modified: str = "") -> FetchResult:
        """Return what `url` holds, or a 304 when it is still what the validators name.

        Raises `OriginDenied`, `OriginNotFound` (404, 410), `OriginTooLarge`, `OriginUnavailable`, or plain `OriginError` for other refusals.
        """
        conditions = {}
        if _ETAG.fullmatch(etag):
            conditions["If-None-Match"] = etag
        if _DATE.fullmatch(last_modified):
            conditions["If-Modified-Since"] = last_modified
        accepted = frozenset({200, 304}) if conditions else frozenset({200})
        with self.open(url, headers={"Accept": ACCEPT, **conditions}, accepted=accepted) as answer:
            # BytesIO hands its buffer over without a copy; joining a list would hold a large body twice.
            body = io.BytesIO()
            if answer.status == 200:
                body.writelines(answer.chunks())
                if not body.tell():  # headers that were cut short look like this too
                    raise OriginUnavailable(answer.url, "sent no bytes", status=200, kind="broken")
            return FetchResult(
                url=answer.url,
                status=answer.status,
                body=body.getvalue(),
                etag=_matching(_ETAG, answer.headers.get("ETag", "")),
                last_modified=_matching(_DATE, answer.headers.get("Last-Modified", "")),
                content_type=_matching(_CONTENT_TYPE, answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()),
                fresh_s=_fresh_s(answer.headers),
            )

    @contextmanager
    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        accepted: frozenset[int] = frozenset({200}),
        max_bytes: int | None = None,
        deadline_s: float | None = None,
        pace: deadline.MinimumSpeed | None = None,
        encodings: frozenset[str] = frozenset(),
        redirects: int = MAX_REDIRECTS,
    ) -> Iterator[HttpResponse]:
        """Ask for `url` and yield the answer with one of the `accepted` statuses; its body is read with `HttpResponse.chunks`.

        The limits hold until the block ends, and the connection is closed there unless the body was read to its end. With a
        `pace` there is no end to the time in all, as long as the body keeps that pace. `encodings` that the caller takes as they
        are: nothing is ever decoded here. With `redirects=0` none is followed: headers that hold a secret go to `url` alone.
        """
        most = self._max_bytes if max_bytes is None else max_bytes
        seconds = pace.window_s if pace is not None else self._deadline_s if deadline_s is None else deadline_s
        with self._watchdog.watch(seconds) as watch:
            if pace is not None:
                watch.reason = f"slower than {pace}"
            target, response = self._walk(url, headers or {}, watch, redirects)
            try:
                _check_answer(target.url, response, accepted, encodings)
                answer = HttpResponse(target.url, response, watch, most, pace)
                if answer.length is not None and answer.length > most:
                    raise OriginTooLarge(target.url, most, answer.length)
                yield answer
            finally:
                response.close()

    def close(self) -> None:
        """Cut running fetches (they raise `OriginUnavailable`), drop the connections, end the threads."""
        self._watchdog.close()
        self._session.close()

    def _walk(
        self, url: str, headers: Mapping[str, str], watch: deadline.Deadline, redirects: int
    ) -> tuple[Target, requests.Response]:
        target = self._policy.check(url)
        for _ in range(redirects + 1):
            response = self._send(target, headers, watch)
            if response.status_code not in REDIRECTS:
                return target, response
            response.close()  # unread: its body may be endless, and the next hop resolves and dials anew
            target = self._follow(target, response.headers.get("Location", ""))
        reason = f"more than {redirects} redirects" if redirects else "a redirect where none belongs"
        raise OriginError(url, reason, status=response.status_code)

    def _send(self, target: Target, headers: Mapping[str, str], watch: deadline.Deadline) -> requests.Response:
        sent = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **headers}
        token = deadline.current.set(watch)
        try:
            with _our_errors(target.url, watch):
                # Prepared without the session, which would merge in cookies and passwords if it had any.
                request = requests.Request("GET", target.url, headers=sent).prepare()
                response = self._session.send(request, stream=True, allow_redirects=False, timeout=self._timeouts, proxies={})
        finally:
            deadline.current.reset(token)
        if watch.is_over:  # http.client takes a cut line for the end of the headers
            response.close()
            raise _too_slow(target.url, watch)
        return response

    def _follow(self, target: Target, location: str) -> Target:
        with suppress(UnicodeError):
            location = location.encode("latin-1").decode("utf-8")  # http.client read the bytes as Latin-1
        try:
            # urljoin would drop tabs and line ends silently
            joined = "" if ILLEGAL.search(location) else urljoin(target.url, location)
        except ValueError:  # brackets without an IPv6 address
            joined = ""
        if not location or not joined:
            raise OriginDenied(target.url, "a redirect that cannot be read")
        following = self._policy.check(joined)
        if target.peer.scheme == "https" and following.peer.scheme == "http":
            raise OriginDenied(target.url, f"a redirect from https to http, at {following.peer.host}")
        if self._policy.is_trusted(following.peer) and not self._policy.is_trusted(target.peer):
            # The operator trusts that server to us, not to whoever can write a Location header.
            raise OriginDenied(target.url, f"a redirect from outside to the trusted {following.peer}")
        return following


@contextmanager
def _our_errors(url: str, watch: deadline.Deadline) -> Iterator[None]:
    """Turn what requests and urllib3 raise into ours. Nothing that the origin sent goes into the sentence."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if watch.is_over:
            raise _too_slow(url, watch) from error
        if isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
            raise OriginUnavailable(url, "the TLS certificate or connection is not valid", kind="tls") from error
        if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
            raise OriginUnavailable(url, "no byte came for too long", kind="timeout") from error
        raise OriginUnavailable(url, "the connection broke, or the answer is not HTTP", kind="broken") from error


def _too_slow(url: str, watch: deadline.Deadline) -> OriginUnavailable:
    return OriginUnavailable(url, watch.reason, kind="timeout")


def _check_answer(url: str, response: requests.Response, accepted: frozenset[int], encodings: frozenset[str]) -> None:
    status = response.status_code
    if status in {404, 410}:
        raise OriginNotFound(url, f"answered {status}", status=status)
    if status in BUSY or status >= 500:
        raise OriginUnavailable(url, f"answered {status}", status=status, retry_after_s=_retry_after_s(response.headers))
    if status not in accepted:
        raise OriginError(url, f"answered {status}", status=status)
    if status == 304:
        return
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    transfer = response.headers.get("Transfer-Encoding", "").strip().lower()
    if coding not in {"", "identity", *encodings} or transfer not in {"", "identity", "chunked"}:
        raise OriginUnavailable(url, "sends an encoding that was not asked for", status=status, kind="encoding")


def _length(url: str, response: requests.Response) -> int | None:
    """Return the announced length; None when the body ends by itself (chunked) or with the connection."""
    if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        return None
    text = response.headers.get("Content-Length", "").strip()
    if text and not re.fullmatch(r"[0-9]{1,18}", text):
        raise OriginUnavailable(url, "announces a length that is no number")
    return int(text) if text else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        # Against the origin's own clock: ours may be wrong.
        pause = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError):  # no date, or one with a time zone and one without
        return None
    return max(0.0, pause.total_seconds())


def _fresh_s(headers: Mapping[str, str]) -> float | None:
    control = headers.get("Cache-Control", "")[:1000]
    if _NOT_FRESH.search(control):
        return 0.0
    age = headers.get("Age", "").strip()
    found = _MAX_AGE.search(control)
    return max(0.0, float(found[1]) - (float(age) if _SECONDS.fullmatch(age) else 0.0)) if found else None


def _matching(pattern: re.Pattern[str], value: str) -> str:
    return value if pattern.fullmatch(value) else ""
