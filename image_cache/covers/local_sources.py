"""Covers that come from this server instead of an origin: sources by URL scheme, and the drawn covers of the demo."""

import contextlib
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from image_cache.errors import OriginNotFound, OriginUnavailable
from image_cache.net.fetch_result import FetchResult
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.resources import SITE

SCHEME = "demo:"
DRAW_S = 60.0  # a cover takes a second on a Pi, and the first one loads Pillow
IDLE_S = 30.0
MAX_BYTES = 8 << 20
_DEMO_URL = re.compile(r"demo:([a-z0-9-]{1,200}\.(?:jpg|png))")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}


class LocalSource(Protocol):
    """Answers the URLs of one scheme on this server, like `OwnCovers`."""

    def fetch(self, url: str, /) -> FetchResult:
        """Return the image. Raises `OriginError` or `StorageError`."""
        ...


class LocalSources:
    """Fetches by scheme: local sources first, everything else by the guarded fetch, which refuses what is not http."""

    def __init__(self, net: LazyHttpClient, sources: Mapping[str, LocalSource]) -> None:
        self._net = net
        self._sources = sources

    def fetch(self, url: str, *, etag: str = "", last_modified: str = "") -> FetchResult:
        source = self._sources.get(url.partition(":")[0])
        return source.fetch(url) if source else self._net.fetch(url, etag=etag, last_modified=last_modified)


class DrawnCovers:
    """Covers of the demo collection, drawn on request by a child process. Any thread; may be constructed before a fork.

    Their URL is `demo:` and a file name. No table and no form can name such a URL: only the import of the demo gives it out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while a cover is drawn: there is one child
        self._child: subprocess.Popen[bytes] | None = None
        self._used_at = 0.0
        self._is_closed = False

    def fetch(self, url: str) -> FetchResult:
        """Draw a cover. Raises `OriginNotFound` for a name that is not in the collection, `OriginUnavailable` if the child fails."""
        name = _DEMO_URL.fullmatch(url)
        if name is None:
            raise OriginNotFound(url, "not the URL of a demo cover")
        with self._lock:
            try:
                body = self._draw(name[1])
            except (OSError, EOFError) as error:
                self._end()
                raise OriginUnavailable(url, "the demo cover could not be drawn") from error
            self._used_at = time.monotonic()
        if not body:
            raise OriginNotFound(url, "no such demo cover")
        return FetchResult(url, 200, body)

    def close_idle(self) -> None:
        """End an idle child. Cheap, never waits for a drawing; housekeeping calls it."""
        if self._lock.acquire(blocking=False):
            try:
                if self._child is not None and time.monotonic() - self._used_at > IDLE_S:
                    self._end()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the child, even in the middle of a cover; later fetches are refused."""
        self._is_closed = True
        child = self._child
        if child is not None:
            child.kill()  # a thread that waits for its answer reads the end of the pipe
        with self._lock:
            self._end()

    def _draw(self, name: str) -> bytes:
        child = self._child
        if child is None or child.poll() is not None:
            self._end()
            child = self._child = self._start()
        if child.stdin is None or child.stdout is None:
            raise EOFError
        child.stdin.write(name.encode("ascii") + b"\n")
        child.stdin.flush()
        if not select.select([child.stdout], [], [], DRAW_S)[0]:
            raise EOFError
        size = int.from_bytes(_exactly(child.stdout.read(4), 4), "big")
        if size > MAX_BYTES:
            raise EOFError
        return _exactly(child.stdout.read(size), size)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise EOFError
        return subprocess.Popen(
            [sys.executable, "-m", "image_cache.demo.studio"],
            cwd=SITE,
            env=_ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _exactly(data: bytes, count: int) -> bytes:
    if len(data) != count:
        raise EOFError
    return data
