"""Previews of volumes: header facts and three slices of a NIfTI or MGH file, made by a sandboxed child process.

This module runs in the web process and knows no nibabel. The child opens nothing: it gets the open file, reads what it needs, and
exits. There is one child at a time; the latest previews are cached in memory.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from image_cache.errors import DecoderFailed, FileRejected, StorageError
from image_cache.frozen import frozen
from image_cache.resources import SITE
from image_cache.sandbox.channel import ProtocolError, WorkerChannel

SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh")
WALL_S = 20.0
CPU_S = 12
BUDGET_BYTES = 192 << 20  # address space beyond the interpreter with its libraries: 64 MB decompressed, and room to render
MAX_RESPONSE_BYTES = 4 << 20
MAX_PREVIEWS = 16  # in memory, at most 100 KB each

_START = (
    "import json, sys; root, limits = sys.argv[1:]; sys.path.insert(0, root); "
    "from image_cache.imaging.volume.worker import main; main(**json.loads(limits))"
)
# One thread per library: the limits of the child allow no more.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


Key = tuple[str, tuple[int, ...]]  # SHA-256 of the file, numbers of the slices


@frozen
class Slice:
    """One image: the name of its plane, `index` (from 1) of `count` slices, its size in px, and WebP bytes."""

    name: str
    index: int
    count: int
    width: int
    height: int
    body: bytes


@frozen
class Preview:
    """A preview. `refusal`: why there are no slices although the header can be read."""

    facts: tuple[tuple[str, str], ...]
    slices: tuple[Slice, ...]
    refusal: str = ""


class Previewer:
    """Makes previews. Any thread."""

    def __init__(self) -> None:
        self._making = threading.Lock()  # held while the child works: two children would need two budgets
        self._lock = threading.Lock()  # protects _previews
        self._previews: OrderedDict[Key, Preview | FileRejected] = OrderedDict()

    def preview(self, path: Path, name: str, sha256: str, at: tuple[int, ...] = ()) -> Preview:
        """Return the preview of the file with this hash: the slices `at` these numbers from 1, or the middle ones.

        Raises `FileRejected` if it is not a volume, or broken; `DecoderFailed` if the child died or took too long.
        """
        key = (sha256, at)
        found = self._peek(key)
        if found is None:
            with self._making:
                found = self._peek(key)
                if found is None:
                    try:
                        found = _make(path, name, at)
                    except FileRejected as error:
                        found = error
                    with self._lock:
                        self._previews[key] = found
                        while len(self._previews) > MAX_PREVIEWS:
                            self._previews.popitem(last=False)
        if isinstance(found, FileRejected):
            raise FileRejected(found.name, found.expected, found.found)
        return found

    def _peek(self, key: Key) -> Preview | FileRejected | None:
        with self._lock:
            found = self._previews.get(key)
            if found is not None:
                self._previews.move_to_end(key)
            return found


def is_volume(name: str) -> bool:
    """Return True if the name is that of a volume."""
    return name.lower().endswith(SUFFIXES)


def is_installed() -> bool:
    """Return True if the extra for previews is installed."""
    return importlib.util.find_spec("nibabel") is not None


def _make(path: Path, name: str, at: tuple[int, ...]) -> Preview:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error
    our_end, child_end = socket.socketpair()
    with our_end, child_end:
        limits = {
            "file": file,
            "socket_fd": child_end.fileno(),
            "name": name,
            "at": at,
            "parent": os.getpid(),
            "budget_bytes": BUDGET_BYTES,
            "cpu_s": CPU_S,
            "wall_s": WALL_S,
        }
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, str(SITE), json.dumps(limits)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=(file, child_end.fileno()),
                start_new_session=True,
            )
        except OSError as error:
            raise DecoderFailed(f"the preview could not start: {error.strerror}") from error
        finally:
            os.close(file)
        child_end.close()
        try:
            head, blob = WorkerChannel(our_end, max_body_bytes=MAX_RESPONSE_BYTES).receive(
                deadline_at=time.monotonic() + WALL_S + 2
            )
        except ProtocolError as error:
            raise DecoderFailed(f"the preview exited ({error})") from error
        finally:
            child.kill()
            child.wait()
    return _preview(name, head, blob)


def _preview(name: str, head: dict[str, Any], blob: bytes) -> Preview:
    """Build the preview from a response. The child decoded untrusted bytes, so its response is not trusted either."""
    if "failed" in head:
        raise DecoderFailed(str(head["failed"])[:300])
    if "expected" in head:
        raise FileRejected(name, str(head["expected"])[:200], str(head.get("found"))[:200])
    try:
        facts = tuple((str(key)[:40], str(value)[:200]) for key, value in head["facts"][:20])
        slices, offset = [], 0
        for title, index, count, width, height, size in head["slices"][:3]:
            body = blob[offset : offset + int(size)]
            offset += int(size)
            slices.append(Slice(str(title)[:20], int(index), int(count), int(width), int(height), body))
    except (KeyError, TypeError, ValueError) as error:
        raise DecoderFailed("the preview returned an invalid response") from error
    is_sane = offset == len(blob) and all(
        item.body[:4] == b"RIFF" and item.body[8:12] == b"WEBP" and 0 < item.width <= 1000 and 0 < item.height <= 1000
        for item in slices
    )
    if not is_sane:
        raise DecoderFailed("the preview returned an invalid response")
    return Preview(facts, tuple(slices), str(head.get("refusal", ""))[:200])
