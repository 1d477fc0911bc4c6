"""Pictures of volumes: header facts and three middle slices of a NIfTI or MGH file, made by a limited child process.

This module belongs to the web process and knows no nibabel. The child opens nothing: it is given the open file, reads what it
needs of it, and is gone afterwards. There is one at a time; what was made last is kept in memory.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_cache.errors import DecoderFailed, FileRejected, StorageError
from image_cache.sandbox.channel import ProtocolError, WorkerChannel

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh")
WALL_S = 20.0
CPU_S = 12
BUDGET_BYTES = 192 << 20  # address space beyond the interpreter with its libraries: 64 MB unfolded, and room to draw
MAX_ANSWER_BYTES = 4 << 20
KEPT = 16  # previews in memory, at most 100 KB each

_START = (
    "import json, sys; root, limits = sys.argv[1:]; sys.path.insert(0, root); "
    "from image_cache.imaging.volume_worker import main; main(**json.loads(limits))"
)
# One thread each: the limits of the child allow no others.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One picture: which plane, where of how many, its size in px, and WebP bytes."""

    name: str
    at: int
    of: int
    width: int
    height: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Preview:
    """What a volume shows. `refusal`: why there are no pictures although the header can be read."""

    facts: tuple[tuple[str, str], ...]
    slices: tuple[Slice, ...]
    refusal: str = ""


class Previewer:
    """Makes previews. Any thread; nothing is started before the first one."""

    def __init__(self) -> None:
        self._making = threading.Lock()  # held while the child works: two would need two budgets
        self._lock = threading.Lock()  # protects _kept
        self._kept: OrderedDict[str, Preview | FileRejected] = OrderedDict()

    def preview(self, path: Path, name: str, sha256: str) -> Preview:
        """Return the preview of the file with this hash.

        Raises `FileRejected` for what is no volume, or a broken one; `DecoderFailed` when the child died or took too long.
        """
        found = self._look(sha256)
        if found is None:
            with self._making:
                found = self._look(sha256)
                if found is None:
                    try:
                        found = _make(path, name)
                    except FileRejected as error:
                        found = error
                    with self._lock:
                        self._kept[sha256] = found
                        while len(self._kept) > KEPT:
                            self._kept.popitem(last=False)
        if isinstance(found, FileRejected):
            raise FileRejected(found.name, found.expected, found.found)
        return found

    def _look(self, sha256: str) -> Preview | FileRejected | None:
        with self._lock:
            found = self._kept.get(sha256)
            if found is not None:
                self._kept.move_to_end(sha256)
            return found


def is_volume(name: str) -> bool:
    """Tell by its name whether a file may be a volume."""
    return name.lower().endswith(SUFFIXES)


def is_installed() -> bool:
    """Tell whether the extra for previews is there."""
    return importlib.util.find_spec("nibabel") is not None


def _make(path: Path, name: str) -> Preview:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error
    ours, theirs = socket.socketpair()
    with ours, theirs:
        limits = {
            "file": file,
            "line": theirs.fileno(),
            "name": name,
            "parent": os.getpid(),
            "budget_bytes": BUDGET_BYTES,
            "cpu_s": CPU_S,
            "wall_s": WALL_S,
        }
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, str(ROOT), json.dumps(limits)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=(file, theirs.fileno()),
                start_new_session=True,
            )
        except OSError as error:
            raise DecoderFailed(f"the preview does not start: {error.strerror}") from error
        finally:
            os.close(file)
        theirs.close()
        try:
            head, blob = WorkerChannel(ours, max_body_bytes=MAX_ANSWER_BYTES).receive(deadline_at=time.monotonic() + WALL_S + 2)
        except ProtocolError as error:
            raise DecoderFailed(f"the preview left ({error})") from error
        finally:
            child.kill()
            child.wait()
    return _preview(name, head, blob)


def _preview(name: str, head: dict[str, Any], blob: bytes) -> Preview:
    """Build the value from an answer. The child handled hostile bytes, so its answer is checked like a stranger's."""
    if "failed" in head:
        raise DecoderFailed(str(head["failed"])[:300])
    if "expected" in head:
        raise FileRejected(name, str(head["expected"])[:200], str(head.get("found"))[:200])
    try:
        facts = tuple((str(key)[:40], str(value)[:200]) for key, value in head["facts"][:20])
        slices, at = [], 0
        for title, index, count, width, height, size in head["slices"][:3]:
            body = blob[at : at + int(size)]
            at += int(size)
            slices.append(Slice(str(title)[:20], int(index), int(count), int(width), int(height), body))
    except (KeyError, TypeError, ValueError) as error:
        raise DecoderFailed("the preview gave an answer that makes no sense") from error
    is_sane = at == len(blob) and all(
        one.body[:4] == b"RIFF" and one.body[8:12] == b"WEBP" and 0 < one.width <= 1000 and 0 < one.height <= 1000
        for one in slices
    )
    if not is_sane:
        raise DecoderFailed("the preview gave an answer that makes no sense")
    return Preview(facts, tuple(slices), str(head.get("refusal", ""))[:200])
