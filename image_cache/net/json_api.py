"""Client of a JSON API: one host, no redirects, responses of bounded size, the errors of the HTTP client."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from image_cache.errors import OriginUnavailable
from image_cache.frozen import frozen
from image_cache.net.json_values import parse_json
from image_cache.net.lazy_client import LazyHttpClient

MAX_BYTES = 8_000_000  # a hundred releases with all details are 400 KB


@frozen
class ApiResponse:
    """A response: the parsed JSON, and the headers (case-insensitive), which may state rate limits.

    `data` is None if the response of `exchange` was not JSON.
    """

    data: Any
    headers: Mapping[str, str]
    status: int = 200


class JsonApiClient:
    """Client of one service. Any thread. `headers` are sent to it alone: a redirect is an error."""

    def __init__(self, fetcher: LazyHttpClient, base_url: str, headers: Mapping[str, str], *, deadline_s: float = 30.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._fetcher = fetcher
        self._headers = {"Accept": "application/json", **headers}
        self._deadline_s = deadline_s

    def get(self, *path: str, headers: Mapping[str, str] | None = None, **query: str | int) -> ApiResponse:
        """Get a path. It is passed as segments, which are quoted here.

        Raises `OriginNotFound` (404), `OriginUnavailable` (429 and 5xx with `retry_after_s`, a broken connection, a response that
        is not JSON), `OriginError` with its `status` for other refusals (401, 403), `OriginDenied`.
        """
        url = self._url(path, query)
        with self._fetcher.open(
            url,
            headers={**self._headers, **(headers or {})},
            max_bytes=MAX_BYTES,
            deadline_s=self._deadline_s,
            redirects=0,
        ) as response:
            return ApiResponse(parse_json(b"".join(response.chunks()), url), response.headers)

    def exchange(self, *path: str, body: bytes | None = None, content_type: str = "", **query: str | int) -> ApiResponse:
        """Send a GET, or a POST if there is a body, once; return the response whatever its status and content.

        Services that answer an error with words, or a rate limit with plain text, are called by this. Raises `OriginUnavailable`
        if no whole response came, which says nothing about whether a POST was received; `OriginDenied`.
        """
        url = self._url(path, query)
        sent = {**self._headers, "Content-Type": content_type} if body is not None else self._headers
        with self._fetcher.open(
            url, headers=sent, body=body, accepted=None, max_bytes=MAX_BYTES, deadline_s=self._deadline_s, redirects=0
        ) as response:
            content = b"".join(response.chunks())
            try:
                data = parse_json(content, url)
            except OriginUnavailable:
                data = None
            return ApiResponse(data, response.headers, response.status)

    def _url(self, path: tuple[str, ...], query: Mapping[str, str | int]) -> str:
        url = "/".join((self.base_url, *(quote(segment, safe="") for segment in path)))
        return f"{url}?{urlencode(query)}" if query else url
