"""Tag reader: reads tags and embedded images in a limited child process, so that a hostile file can do no harm.

This module belongs to the web process and does not import mutagen: open files are sent to the child over a socket, values and bytes
come back. The child is started with the first file, replaced after some thousands, and exits when it is idle.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from image_cache.errors import DecoderFailed
from image_cache.frozen import frozen
from image_cache.resources import SITE
from image_cache.sandbox.channel import ProtocolError, WorkerChannel

AT_A_TIME = 16  # files per request; the child expects no more
FILES_PER_CHILD = 4000
MAX_PICTURE_BYTES = 10_000_000
IDLE_S = 20.0
CPU_S, WALL_S, GRACE_S = 8, 15.0, 3.0  # for one file; a slow disk may take the wall time
STOP_S = 2.0
START_S = 60.0  # a small board with a cold SD card and a busy processor; a child that ends meanwhile is noticed at once

_START = (
    "import json, sys; root, line, parent, limits = sys.argv[1:]; sys.path.insert(0, root); "
    "from image_cache.importers.music.tags.worker import main; from image_cache.sandbox.limits import ProcessLimits; "
    "main(int(line), int(parent), ProcessLimits(**json.loads(limits)))"
)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
_TEXTS = ("title", "artist", "albumartist", "album", "date", "label", "catno", "barcode", "mbid", "track", "disc", "compilation")


@frozen
class Tags:
    """The tags of a file as text, not interpreted yet. `kind` is its format, such as FLAC."""

    kind: str
    title: str = ""
    artist: str = ""
    albumartist: str = ""
    album: str = ""
    date: str = ""
    genres: tuple[str, ...] = ()
    label: str = ""
    catno: str = ""
    barcode: str = ""
    mbid: str = ""
    track: str = ""
    disc: str = ""
    compilation: str = ""
    seconds: int | None = None
    has_picture: bool = False
    has_large_picture: bool = False


@frozen
class TagReadRefused:
    """A file that could not be read, and why."""

    reason: str


class TagReader:
    """Reads open files. Any thread; nothing is started before the first file. The caller closes the files."""

    def __init__(self, budget_bytes: int, *, cpu_s: int = CPU_S, wall_s: float = WALL_S, idle_s: float = IDLE_S) -> None:
        self._limits = {
            "budget_bytes": budget_bytes,
            "idle_s": idle_s,
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "max_requests": FILES_PER_CHILD,
        }
        self._wall_s = wall_s
        self._lock = threading.Lock()  # held during a request: there is one child
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._is_closed = False

    def tags(self, files: Sequence[int]) -> list[Tags | TagReadRefused]:
        """Return the tags of each open file. Raises `DecoderFailed` if no child can be started."""
        answers: list[Tags | TagReadRefused] = []
        while len(answers) < len(files):
            part = files[len(answers) : len(answers) + AT_A_TIME]
            with self._lock:
                answers += self._request(part)
        return answers

    def picture(self, file: int) -> bytes | None:
        """Return the embedded image, at most 10 MB, or None if there is none.

        Raises `DecoderFailed` if the file cannot be read, or if the child crashed because of it.
        """
        with self._lock:
            try:
                head, body = self._send("picture", [file], MAX_PICTURE_BYTES).receive(deadline_at=self._deadline())
            except ProtocolError as error:
                self._release()
                raise DecoderFailed(f"the embedded image cannot be read ({error})") from error
            finally:
                if self._is_closed:
                    self._release()
        if "has_picture" not in head:
            raise DecoderFailed(str(head.get("refused") or head.get("unreadable"))[:200])
        return body if head["has_picture"] is True and body else None

    def processes(self) -> tuple[int, ...]:
        """Return the process id of the child, for measurements."""
        child = self._child
        return () if child is None else (child.pid,)

    def close(self) -> None:
        """Kill the child, also in the middle of a file, and start no other. Idempotent."""
        self._is_closed = True
        child = self._child
        if child is not None:
            child.kill()  # a thread that waits for it sees the socket close, and releases it under the lock
        with self._lock:
            self._release()

    def _request(self, files: Sequence[int]) -> list[Tags | TagReadRefused]:
        """Return the answers for all files, or up to the one that crashed the child."""
        answers: list[Tags | TagReadRefused] = []
        try:
            channel = self._send("tags", files, 0)
            for _ in files:
                head, _ = channel.receive(deadline_at=self._deadline())
                answers.append(_tags(head))
        except ProtocolError:
            self._release()
            if self._is_closed:
                raise DecoderFailed("the tag reader was closed") from None
            answers.append(TagReadRefused("reading its tag timed out"))
        return answers

    def _send(self, do: str, files: Sequence[int], max_bytes: int) -> WorkerChannel:
        """Send a request and wait until the child starts on it. Raises `DecoderFailed` if none does."""
        request = json.dumps({"do": do}).encode()
        for _ in range(2):  # a child that was idle, or has read enough files, may exit at this moment
            line = self._ready()
            if self._is_closed:  # during its start: `close` found no child to kill, and waits for the lock
                self._release()
                raise DecoderFailed("the tag reader was closed")
            channel = WorkerChannel(line, max_body_bytes=max_bytes)
            try:
                line.settimeout(START_S)
                socket.send_fds(line, [request], list(files))
                channel.receive_ack(deadline_at=time.monotonic() + START_S)
            except (OSError, ProtocolError):
                self._release()
            else:
                return channel
        raise DecoderFailed("the tag reader could not start")

    def _deadline(self) -> float:
        return time.monotonic() + self._wall_s + GRACE_S

    def _ready(self) -> socket.socket:
        """Return the socket of a child that waits for a request."""
        if self._is_closed:
            raise DecoderFailed("the tag reader was closed")
        # A socket that is readable although nothing was requested was closed.
        if self._socket is not None and not select.select([self._socket], [], [], 0)[0]:
            return self._socket
        self._release()
        parent, child = socket.socketpair()
        with child:
            line = child.fileno()
            command = [sys.executable, "-I", "-c", _START, str(SITE), str(line), str(os.getpid()), json.dumps(self._limits)]
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_ENVIRONMENT,
                    cwd="/",
                    pass_fds=(line,),
                    start_new_session=True,
                )
            except OSError as error:
                parent.close()
                raise DecoderFailed(f"the tag reader could not start: {error.strerror}") from error
        self._socket = parent
        return parent

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._child is not None:
            self._child.kill()
            # It may hang in a disk that does not respond; it exits when that does.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_S)
        self._socket = self._child = None


def _tags(head: dict[str, Any]) -> Tags | TagReadRefused:
    """Build the value from an answer, which is checked: the child has handled hostile bytes."""
    found = head.get("tags")
    if not isinstance(found, dict):
        return TagReadRefused(str(head.get("refused") or head.get("unreadable") or "the response is invalid")[:200])
    seconds = found.get("seconds")
    genres = found.get("genres")
    return Tags(
        kind=str(found.get("kind", ""))[:20],
        **{name: _text(found.get(name)) for name in _TEXTS},
        genres=tuple(_text(genre) for genre in genres[:8]) if isinstance(genres, list) else (),
        seconds=seconds if isinstance(seconds, int) and 0 < seconds < 1_000_000 else None,
        has_picture=found.get("has_picture") is True,
        has_large_picture=found.get("has_large_picture") is True,
    )


def _text(value: object) -> str:
    # JSON can contain half of a surrogate pair, a database cannot.
    return str(value or "")[:300].encode("utf-8", "replace").decode("utf-8")
