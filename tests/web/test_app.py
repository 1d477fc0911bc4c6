"""How the application starts what works in the background."""

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from image_cache import get_image_cache, get_image_manager
from image_cache.services import Services
from tests.support.inside import Inside
from tests.support.origin import Origin


def calls_of(function: Callable[..., object], run: Callable[[], object]) -> int:
    """Return how often this thread calls `function` while it runs the other one."""
    count = 0

    def profile(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call" and frame.f_code is function.__code__  # type: ignore[attr-defined]

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def test_threads_start_with_the_first_request_and_no_other_asks_for_them(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", settled=False) as inside:
        client = inside.client()
        assert not inside.services.pool.is_running
        assert calls_of(Services.start, lambda: client.get("/keys")) == 1
        assert inside.services.pool.is_running
        assert calls_of(Services.start, lambda: [client.get(path) for path in ("/keys", "/", "/health", "/nothing")]) == 0


def test_a_server_that_wraps_the_application_keeps_its_wrapper(tmp_path: Path) -> None:
    seen = []
    with Inside(tmp_path / "vault", settled=False) as inside:
        inner = inside.app.wsgi_app

        def outer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            seen.append(environ["PATH_INFO"])
            return inner(environ, start_response)

        inside.app.wsgi_app = outer  # type: ignore[method-assign]
        assert [inside.client().get("/keys").status_code for _ in range(2)] == [200, 200]
        assert inside.services.pool.is_running
    assert seen == ["/keys", "/keys"]


def test_the_documented_functions_give_what_the_application_uses(tmp_path: Path) -> None:
    """`get_image_cache()` raised inside the application that had opened the cache."""
    with Inside(tmp_path / "vault") as inside:
        assert get_image_cache() is inside.services.covers
        assert get_image_manager() is inside.services.streams


def test_the_debug_log_says_what_was_fetched_hit_and_missed(
    inside: Inside, origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "image_cache"):
        digest = inside.cover(origin)
        name = f"covers/thumbnails/{digest[:2]}/{digest}.webp"
        inside.services.covers.cache.memory.clear()
        visitor = inside.stranger()
        for _ in range(2):
            assert visitor.get(f"/cache/thumbnails/{digest}.webp").status_code == 200
        url = origin.put("/a.bin", b"x")
        inside.services.files.cache.get(url)
        inside.services.files.cache.get(url)
    said = [line for line in caplog.messages if line.startswith(("cache ", "fetched ", "Cache "))]
    expected = [
        f"fetched url={origin.base}/cover.jpg status=200 headers_s=",
        f"cache stored key={name} bytes=",
        f"cache hit tier=disk key={name}",
        f"cache hit tier=memory key={name}",
        f"Cache miss for: {url}",
        f"fetched url={url} status=200 headers_s=",
        f"Cache hit for: {url}",
    ]
    rest = iter(said)
    for line in expected:
        assert any(one.startswith(line) for one in rest), line
    assert any(line.startswith(f"cache miss key={name}") for line in said)
