"""Image decoder: renders images in a sandboxed child process.

This module runs in the web process and knows no Pillow: bytes are sent to the child over a socket, and rendered bytes come back.
The child is started with the first image and exits after a while without any.
"""

import contextlib
import dataclasses
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from image_cache.errors import UNKNOWN_FORMAT, DecoderBusy, DecoderFailed, ImageRejected
from image_cache.imaging.decoder_answers import check_appearance, check_rendered
from image_cache.imaging.variants import Facts, ImageAppearance, Rendered, Variant
from image_cache.resources import SITE
from image_cache.sandbox.channel import ProtocolError, WorkerChannel

MAX_RESPONSE_BYTES = 64 << 20  # all variants of one image together are a few hundred kilobytes
START_S = 60.0  # a small board with a cold SD card and a busy processor; a child that ends meanwhile is noticed at once
CPU_S, WALL_S = 10, 60.0  # of an image, on a machine as fast as that on which `measure` takes `machine_speed.REFERENCE_MS`
GRACE_S = 3.0  # the child's own alarm comes first; this is for a child that hangs in spite of it
STOP_S = 2.0
MAX_WAITING = 3  # calls with a limited wait at a time: half of the request threads

_START = (
    "import json, sys; root, fd, limits = sys.argv[1:]; sys.path.insert(0, root); "
    "from image_cache.imaging.decoder_worker import main; from image_cache.sandbox.limits import ProcessLimits; "
    "main(int(fd), ProcessLimits(**json.loads(limits)))"
)
# The child gets nothing of our environment. One malloc arena is enough for one thread and saves memory.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}


class Decoder:
    """Renders one image at a time in a child process with limits of memory, CPU, wall time, files and network.

    Any thread may call it. The constructor starts nothing, so it may run before a fork. An image that the child rejects raises
    `ImageRejected`; one that kills the child, or exceeds a limit, raises `DecoderFailed`, and the next image gets a new child.
    CPU time is what limits an image, so that the same one is decoded or refused whatever else the server does; the wall time, for
    a child that waits, allows for a sixth of a CPU. After `idle_s` without images the child exits. Request threads pass `wait_s`,
    the longest wait for the images of others: then, or while others wait so already, they get `DecoderBusy`.
    """

    def __init__(
        self,
        budget_bytes: int,
        *,
        idle_s: float = 60.0,
        cpu_s: int = CPU_S,
        wall_s: float = WALL_S,
        images_per_child: int = 50,
    ) -> None:
        self._limits = {
            "budget_bytes": budget_bytes,
            "idle_s": idle_s,
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "max_requests": images_per_child,
        }
        self._wall_s = wall_s
        self._cpu_s = cpu_s
        # Held while an image is decoded: there is one child, and two decodes at a time would need two budgets.
        self._lock = threading.Lock()
        self._waiters = threading.BoundedSemaphore(MAX_WAITING)
        self._closed = False
        self._owner = os.getpid()
        self._fork_server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._worker: WorkerChannel | None = None
        self._worker_pid = 0
        self._last_exit: int | None = None  # how the last worker ended; protected by _lock

    def render(
        self, body: bytes, variants: Sequence[Variant], *, wait_s: float | None = None, analyses: bool = False
    ) -> Rendered:
        """Decode once and render every variant; with `analyses` also what `analyse` returns. Waits for the images of others first."""
        task = {"do": "render", "variants": [dataclasses.asdict(v) for v in variants], "analyses": analyses}
        head, blob = self._request(task, body, wait_s)
        return check_rendered(head, blob, {variant.name for variant in variants}, analyses=analyses)

    def jpeg(self, webp: bytes, quality: int = 85, *, wait_s: float | None = None) -> bytes:
        """Return a rendered variant as JPEG, with transparent pixels on white."""
        return self._request({"do": "jpeg", "quality": quality}, webp, wait_s)[1]

    def analyse(self, webp: bytes) -> ImageAppearance:
        """Return the palette of a rendered variant, a hash of its shapes, and whether it is blank."""
        return check_appearance(self._request({"do": "analyse"}, webp)[0])

    def barcode(self, body: bytes, *, wait_s: float | None = None) -> tuple[str, bool]:
        """Return the digits of the barcode in a photograph, "" if none was found, and whether they were seen twice."""
        head, _ = self._request({"do": "barcode"}, body, wait_s)
        digits = str(head.get("digits", ""))
        return (digits if digits.isascii() and digits.isdigit() else ""), head.get("is_sure") is True

    def probe(self, body: bytes, *, wait_s: float | None = None) -> Facts:
        """Read the header of an image. Raises `ImageRejected` if decoding would exceed the budget."""
        head, _ = self._request({"do": "probe"}, body, wait_s)
        try:
            numbers = [int(head[name]) for name in ("width", "height", "cost_bytes", "frames")]
            return Facts(
                str(head["format"]),
                numbers[0],
                numbers[1],
                str(head["mode"]),
                numbers[2],
                numbers[3],
                str(head.get("taken_at", ""))[:19],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DecoderFailed("the decoder returned an invalid response") from error

    def measure(self) -> float:
        """Render an image of our own; return the milliseconds of CPU time that a cover takes on this machine."""
        try:
            return float(self._request({"do": "measure"}, b"")[0]["cpu_ms"])
        except (KeyError, TypeError, ValueError) as error:
            raise DecoderFailed("the decoder returned an invalid response") from error

    def set_time_limits(self, cpu_s: int, wall_s: float) -> None:
        """Limit the time of each image from now on. Waits for the one that is being decoded; the next one gets a new child."""
        with self._lock:
            self._limits |= {"cpu_s": cpu_s, "wall_s": wall_s}
            self._cpu_s, self._wall_s = cpu_s, wall_s
            if self._owner == os.getpid():
                self._drop_child()

    @property
    def cpu_s(self) -> int:
        """Return the seconds of CPU time that an image may take."""
        return self._cpu_s

    def processes(self) -> tuple[int, ...]:
        """Return the ids of the child processes, for measurements."""
        server = self._fork_server
        return () if server is None else (server.pid, *([self._worker_pid] if self._worker else []))

    def close_idle(self) -> None:
        """Clean up after a child that exited for being idle. Cheap, never waits; housekeeping calls it."""
        if self._lock.acquire(blocking=False):
            try:
                if self._owner == os.getpid() and self._fork_server is not None and self._fork_server.poll() is not None:
                    self._drop_child()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the child, also in the middle of an image, and reject further ones. Idempotent."""
        self._closed = True
        server, control = self._fork_server, self._control
        if server is None or control is None or self._owner != os.getpid():
            return
        # Without the lock, which may be held for seconds: the child sees that the socket is closed, and its exit frees the lock.
        with contextlib.suppress(OSError):
            control.shutdown(socket.SHUT_RDWR)
        _wait_or_kill(server)
        with self._lock:
            self._drop_child()

    # --- request and response

    def _request(self, head: dict[str, Any], body: bytes, wait_s: float | None = None) -> tuple[dict[str, Any], bytes]:
        """Send a request and return the response. Raises `ImageRejected`, `DecoderFailed` or `DecoderBusy`."""
        if len(body) > self._limits["budget_bytes"]:
            raise ImageRejected(f"file too large to decode: {len(body):,} bytes, the limit is {self._limits['budget_bytes']:,}")
        with self._turn(wait_s):
            try:
                response, blob = self._exchange(head, body)
            finally:
                if self._closed:
                    self._drop_child()
        if "rejected" in response:
            raise ImageRejected(
                str(response["rejected"])[:300], kind=UNKNOWN_FORMAT if response.get("kind") == UNKNOWN_FORMAT else ""
            )
        if "failed" in response:
            raise DecoderFailed(str(response["failed"])[:300], retryable=False)
        return response, blob

    @contextlib.contextmanager
    def _turn(self, wait_s: float | None) -> Iterator[None]:
        """Hold the lock, waiting at most so long. Raises `DecoderBusy`."""
        if wait_s is None:
            with self._lock:
                yield
            return
        if not self._waiters.acquire(blocking=False):
            raise DecoderBusy
        try:
            if not self._lock.acquire(timeout=wait_s):
                raise DecoderBusy
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._waiters.release()

    def _exchange(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        is_last_try = False
        while True:
            channel = self._ready_worker()
            deadline_at = time.monotonic() + self._wall_s + GRACE_S
            has_begun = False
            try:
                channel.send(head, body, deadline_at=deadline_at)
                has_begun = channel.receive_ack(deadline_at=deadline_at)
                return channel.receive(deadline_at=deadline_at)
            except ProtocolError as error:
                is_late = time.monotonic() >= deadline_at
                reason = self._failure_reason(error, is_late)
                if has_begun or is_late or is_last_try:
                    is_costly = self._last_exit == -signal.SIGXCPU
                    raise DecoderFailed(reason, retryable=not is_costly) from error
                is_last_try = True  # the worker had exited before it got the image: idle, or after its last one

    def _failure_reason(self, error: ProtocolError, is_late: bool) -> str:
        """Return why a worker did not respond, and make sure that it is gone."""
        self._last_exit = None
        if is_late or self._closed:
            if self._fork_server is not None:
                self._fork_server.kill()  # its worker dies with it
            self._drop_child()
            return "the decoder was closed" if self._closed else f"no response within {self._wall_s:g} s"
        last = self._last_exit = self._new_worker()
        if last == -signal.SIGXCPU:
            return f"more than {self._cpu_s} s of CPU time"
        if last == -signal.SIGALRM:
            return f"more than {self._wall_s:g} s"
        if last is not None and last < 0:
            return f"the decoder was killed by {signal.Signals(-last).name}"
        return f"the decoder exited ({error})"

    # --- the child processes

    def _ready_worker(self) -> WorkerChannel:
        """Return the channel to an idle worker; start the processes that are missing."""
        if self._owner != os.getpid():
            self._drop_after_fork()
        # A socket that is readable although nothing was requested has been closed by the worker.
        if self._worker is not None and not select.select([self._worker.socket], [], [], 0)[0]:
            return self._worker
        for _ in range(2):
            if self._closed:
                raise DecoderFailed("the decoder was closed")
            if self._fork_server is None:
                self._start()
            self._new_worker()
            if self._worker is not None:
                return self._worker
        raise DecoderFailed("the decoder could not start")

    def _start(self) -> None:
        our_end, child_end = socket.socketpair()
        with child_end:
            fd = child_end.fileno()
            command = [sys.executable, "-I", "-c", _START, str(SITE), str(fd), json.dumps(self._limits)]
            try:
                self._fork_server = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=_ENVIRONMENT,
                    cwd="/",
                    pass_fds=(fd,),
                    start_new_session=True,  # Ctrl-C in a terminal must not reach the child
                )
            except OSError as error:
                our_end.close()
                raise DecoderFailed(f"the decoder could not start: {error.strerror}") from error
        self._control = our_end

    def _new_worker(self) -> int | None:
        """Ask the fork server for a worker. Return the exit code of the previous one, None if the fork server is gone."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        if self._control is None:
            return None
        try:
            self._control.settimeout(START_S)
            self._control.sendall(b"w")
            note, fds, _, _ = socket.recv_fds(self._control, 1024, 1)
            facts = json.loads(note)
            os.set_inheritable(fds[0], False)  # a received descriptor would otherwise be inherited by programs that we start
            self._worker = WorkerChannel(socket.socket(fileno=fds[0]), max_body_bytes=MAX_RESPONSE_BYTES)
            self._worker_pid = int(facts["pid"])
            return int(facts["last"])
        except (OSError, ValueError, IndexError):  # it exited for being idle, or was killed
            self._drop_child()
            return None

    def _drop_child(self) -> None:
        """Close the channels and end the child."""
        for end in (self._worker, self._control):
            if end is not None:
                end.close()
        if self._fork_server is not None:
            _wait_or_kill(self._fork_server)
        self._fork_server = self._control = self._worker = None

    def _drop_after_fork(self) -> None:
        """After a fork the child belongs to the parent: close our copies of the sockets and touch nothing else."""
        for end in (self._worker, self._control):
            if end is not None:
                end.close()
        if self._fork_server is not None:
            self._fork_server.returncode = 0  # not ours to wait for; otherwise Popen would warn when it is collected
        self._fork_server = self._control = self._worker = None
        self._owner = os.getpid()


def _wait_or_kill(server: subprocess.Popen[bytes]) -> None:
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
