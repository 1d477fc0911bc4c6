"""JSON API client: requests, responses, and secret headers that are never sent elsewhere."""

from collections.abc import Iterator

import pytest

from image_cache.config import Settings
from image_cache.errors import OriginError, OriginNotFound, OriginUnavailable
from image_cache.net.json_api import JsonApiClient
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher
from tests.support.origin import Origin


@pytest.fixture
def api(origin: Origin) -> Iterator[JsonApiClient]:
    fetcher = LazyHttpClient(lambda: make_fetcher(settings_for(origin)))
    yield JsonApiClient(fetcher, origin.base + "/v2/", {"Authorization": "Discogs token=secret"})
    fetcher.close()


def settings_for(origin: Origin) -> Settings:
    return Settings(TRUSTED_ORIGINS=(origin.base,))


def test_a_response_is_its_json_and_its_headers(api: JsonApiClient, origin: Origin) -> None:
    origin.put("/v2/users/a%2Fb?page=2", b'{"a": [1]}', content_type="application/json", headers={"X-Left": "59"})
    answer = api.get("users", "a/b", page=2)
    assert answer.data == {"a": [1]}
    assert answer.headers["x-left"] == "59"
    assert origin.requests[0].headers["authorization"] == "Discogs token=secret"


def test_a_redirect_is_not_followed_so_that_no_other_host_gets_the_secret(api: JsonApiClient, origin: Origin) -> None:
    origin.put("/elsewhere", b"{}")
    origin.redirect("/v2/identity", origin.url("/elsewhere"))
    with pytest.raises(OriginError, match="redirect"):
        api.get("identity")
    assert origin.count("/elsewhere") == 0


@pytest.mark.parametrize(
    ("status", "error"), [(401, OriginError), (404, OriginNotFound), (429, OriginUnavailable), (503, OriginUnavailable)]
)
def test_a_refusal_is_an_error_with_its_status(api: JsonApiClient, origin: Origin, status: int, error: type[OriginError]) -> None:
    origin.put("/v2/x", b"{}", status=status, headers={"Retry-After": "40"})
    with pytest.raises(error) as caught:
        api.get("x")
    assert caught.value.status == status
    if error is OriginUnavailable:
        assert caught.value.retry_after_s == 40


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b"[" * 100_000, b""])
def test_a_response_that_is_not_json_is_an_error(api: JsonApiClient, origin: Origin, body: bytes) -> None:
    origin.put("/v2/x", body)
    with pytest.raises(OriginUnavailable, match="not valid JSON"):
        api.get("x")
