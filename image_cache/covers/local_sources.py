"""Sleeves of the demo collection, drawn when they are asked for by a child process. Their address is `demo:` and a file name.

No table and no form can say such an address: only the import of the demo gives it out.
"""

import contextlib
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from image_cache.errors import OriginNotFound, OriginUnavailable
from image_cache.net.fetch_result import FetchResult
from image_cache.net.lazy_client import LazyHttpClient

SCHEME = "demo:"
ROOT = Path(__file__).resolve().parents[2]
DRAW_S = 60.0  # a sleeve takes a second on a Pi, and the first one loads Pillow
IDLE_S = 30.0
MOST_BYTES = 8 << 20
_ADDRESS = re.compile(r"demo:([a-z0-9-]{1,200}\.(?:jpg|png))")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}


class DrawnCovers:
    """Asks the studio, one sleeve at a time. Any thread; may be constructed before a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while a sleeve is drawn: there is one child
        self._child: subprocess.Popen[bytes] | None = None
        self._used_at = 0.0
        self._is_closed = False

    def fetch(self, address: str) -> FetchResult:
        """Draw a sleeve. Raises `OriginNotFound` for a name that is not in the collection, `OriginUnavailable` without a studio."""
        name = _ADDRESS.fullmatch(address)
        if name is None:
            raise OriginNotFound(address, "not the address of a sleeve of the demo")
        with self._lock:
            try:
                body = self._drawn(name[1])
            except (OSError, EOFError) as error:
                self._end()
                raise OriginUnavailable(address, "the sleeve could not be drawn") from error
            self._used_at = time.monotonic()
        if not body:
            raise OriginNotFound(address, "no such sleeve in the demo")
        return FetchResult(address, 200, body)

    def close_idle(self) -> None:
        """End a studio that has nothing to do. Cheap, never waits for a drawing; housekeeping calls it."""
        if self._lock.acquire(blocking=False):
            try:
                if self._child is not None and time.monotonic() - self._used_at > IDLE_S:
                    self._end()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the studio, also in the middle of a sleeve; refuse later ones."""
        self._is_closed = True
        child = self._child
        if child is not None:
            child.kill()  # whoever waits for its answer gets the end of it
        with self._lock:
            self._end()

    def _drawn(self, name: str) -> bytes:
        child = self._child
        if child is None or child.poll() is not None:
            self._end()
            child = self._child = self._started()
        if child.stdin is None or child.stdout is None:
            raise EOFError
        child.stdin.write(name.encode("ascii") + b"\n")
        child.stdin.flush()
        if not select.select([child.stdout], [], [], DRAW_S)[0]:
            raise EOFError
        size = int.from_bytes(_exactly(child.stdout.read(4), 4), "big")
        if size > MOST_BYTES:
            raise EOFError
        return _exactly(child.stdout.read(size), size)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise EOFError
        return subprocess.Popen(
            [sys.executable, "-m", "demo.studio"],
            cwd=ROOT,
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


class LocalSource(Protocol):
    """A place on this machine that answers addresses of one scheme, like `OwnCovers`."""

    def fetch(self, address: str) -> FetchResult:
        """Return the picture. Raises `OriginError` or `StorageError`."""
        ...


Here = Mapping[str, LocalSource]  # by scheme


class LocalSources:
    """Fetches by scheme: `here` first, everything else through the guarded fetch, which refuses what is not http."""

    def __init__(self, net: LazyHttpClient, here: Here) -> None:
        self._net = net
        self._here = here

    def fetch(self, url: str, *, etag: str = "", last_modified: str = "") -> FetchResult:
        place = self._here.get(url.partition(":")[0])
        return place.fetch(url) if place else self._net.fetch(url, etag=etag, last_modified=last_modified)
