"""A JSON service of somebody else, asked politely: one host, no redirects, an answer of bounded size, errors as of any origin."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from image_cache.errors import OriginUnavailable
from image_cache.net.lazy_client import LazyHttpClient

MAX_BYTES = 8_000_000  # a hundred releases with all their words are 400 KB


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """What a service said: the JSON, and the headers (any case), where limits stand."""

    data: Any
    headers: Mapping[str, str]


class JsonApiClient:
    """Asks one service. Any thread. `headers` go to it alone: an answer that points elsewhere is an error."""

    def __init__(self, fetcher: LazyHttpClient, base_url: str, headers: Mapping[str, str], *, deadline_s: float = 30.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._fetcher = fetcher
        self._headers = {"Accept": "application/json", **headers}
        self._deadline_s = deadline_s

    def get(self, *path: str, headers: Mapping[str, str] | None = None, **query: str | int) -> ApiResponse:
        """Ask for a path, given in segments that are quoted here.

        Raises `OriginNotFound` (404), `OriginUnavailable` (429 and 5xx with `retry_after_s`, a broken line, an answer that is no
        JSON), `OriginError` with its `status` for other refusals (401, 403), `OriginDenied`.
        """
        url = "/".join((self.base_url, *(quote(segment, safe="") for segment in path)))
        if query:
            url += "?" + urlencode(query)
        with self._fetcher.open(
            url,
            headers={**self._headers, **(headers or {})},
            max_bytes=MAX_BYTES,
            deadline_s=self._deadline_s,
            redirects=0,
        ) as answer:
            body = b"".join(answer.chunks())
            try:
                return ApiResponse(json.loads(body), answer.headers)
            except (ValueError, RecursionError) as error:
                raise OriginUnavailable(
                    url, "answered something that is not JSON", status=answer.status, kind="broken"
                ) from error
