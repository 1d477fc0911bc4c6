"""The decoder: renders pictures in a limited child process, so that a hostile one can hurt nothing but itself.

This module belongs to the web process. It knows no Pillow: bytes go to the child over a socket, and bytes come back.
The child is started when the first picture comes and leaves by itself when none came for a while.
"""

import contextlib
import dataclasses
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image_cache.errors import DecoderFailed, ImageRejected
from image_cache.imaging.color import COLOURS, Colour
from image_cache.imaging.variants import Facts, ImageAppearance, Rendered, Variant
from image_cache.sandbox.channel import ProtocolError, WorkerChannel

ROOT = Path(__file__).resolve().parents[2]
MAX_ANSWER_BYTES = 64 << 20  # all variants of one picture together are a few hundred kilobytes
START_S = 15.0  # a Pi with a cold SD card needs a few seconds to load Pillow
GRACE_S = 3.0  # the child's own alarm comes first; this is for a child that cannot even die
STOP_S = 2.0

_START = (
    "import json, sys; root, fd, limits = sys.argv[1:]; sys.path.insert(0, root); "
    "from image_cache.imaging.decoder_worker import main; from image_cache.sandbox.limits import ProcessLimits; "
    "main(int(fd), ProcessLimits(**json.loads(limits)))"
)
# Nothing of our environment is the child's business. One arena is enough for one thread and keeps its memory small.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
_COLOUR = re.compile(r"#[0-9a-f]{6}")


class Decoder:
    """Renders one picture at a time in a child process with limits of memory, CPU, wall time, files and network.

    Any thread may call it. Nothing is started by constructing it; it may be constructed before a fork. A picture that the
    child refuses raises `ImageRejected`; one that kills it, or runs into a limit, raises `DecoderFailed`, and the next
    picture gets a new child. After `idle_s` without pictures no process is left.
    """

    def __init__(
        self,
        budget_bytes: int,
        *,
        idle_s: float = 60.0,
        cpu_s: int = 10,
        wall_s: float = 12.0,
        images_per_child: int = 50,
    ) -> None:
        self._limits = {
            "budget_bytes": budget_bytes,
            "idle_s": idle_s,
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "images": images_per_child,
        }
        self._wall_s = wall_s
        self._cpu_s = cpu_s
        # Held while a picture is decoded: there is one child, and two decodes at a time would need two budgets.
        self._lock = threading.Lock()
        self._closed = False
        self._owner = os.getpid()
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._worker: WorkerChannel | None = None
        self._worker_pid = 0

    def render(self, body: bytes, variants: Sequence[Variant]) -> Rendered:
        """Decode once and make every variant. Waits for the pictures of other threads first."""
        head, blob = self._request({"do": "render", "variants": [dataclasses.asdict(v) for v in variants]}, body)
        return _rendered(head, blob, {variant.name for variant in variants})

    def jpeg(self, webp: bytes, quality: int = 85) -> bytes:
        """Return a rendered variant as JPEG, what is transparent on white."""
        return self._request({"do": "jpeg", "quality": quality}, webp)[1]

    def analyse(self, webp: bytes) -> ImageAppearance:
        """Return what a rendered variant looks like: its colours, a hash of its shapes, whether it is blank."""
        head, _ = self._request({"do": "look"}, webp)
        try:
            colours = tuple(Colour(*map(float, one)) for one in head["colours"])
            seen = ImageAppearance(colours, None if head["hash"] is None else int(head["hash"]), head["is_blank"] is True)
        except (KeyError, TypeError, ValueError) as error:
            raise DecoderFailed("the decoder gave an answer that makes no sense") from error
        is_sane = 0 < len(colours) <= COLOURS and all(
            0 <= one.share <= 1.001 and -0.01 <= one.lightness <= 1.01 and abs(one.a) < 0.5 and abs(one.b) < 0.5
            for one in colours
        )
        if not is_sane or not 0 <= (seen.hash or 0) < 1 << 64:
            raise DecoderFailed("the decoder gave an answer that makes no sense")
        return seen

    def probe(self, body: bytes) -> Facts:
        """Read the header of a picture; refuse one that costs more than the budget."""
        head, _ = self._request({"do": "probe"}, body)
        try:
            return Facts(str(head["format"]), int(head["width"]), int(head["height"]), str(head["mode"]), int(head["cost_bytes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DecoderFailed("the decoder gave an answer that makes no sense") from error

    def processes(self) -> tuple[int, ...]:
        """Return the ids of the child processes that were there last, for measuring."""
        nursery = self._nursery
        return () if nursery is None else (nursery.pid, *([self._worker_pid] if self._worker else []))

    def close_idle(self) -> None:
        """Collect what an idle child left behind. Cheap, never waits; housekeeping calls it."""
        if self._lock.acquire(blocking=False):
            try:
                if self._owner == os.getpid() and self._nursery is not None and self._nursery.poll() is not None:
                    self._release()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the child, also in the middle of a picture, and refuse all others. May be called again."""
        self._closed = True
        nursery, control = self._nursery, self._control
        if nursery is None or control is None or self._owner != os.getpid():
            return
        # Not under the lock, which a picture may hold for seconds: the child sees the line close, and its end frees the lock.
        with contextlib.suppress(OSError):
            control.shutdown(socket.SHUT_RDWR)
        _await_end(nursery)
        with self._lock:
            self._release()

    # --- one question, one answer

    def _request(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Send a question and return the answer. Raises `ImageRejected` or `DecoderFailed`."""
        if len(body) > self._limits["budget_bytes"]:
            raise ImageRejected(f"{len(body)} bytes, the decode budget allows {self._limits['budget_bytes']}")
        with self._lock:
            try:
                answer, blob = self._exchange(head, body)
            finally:
                if self._closed:
                    self._release()
        if "rejected" in answer:
            raise ImageRejected(str(answer["rejected"])[:300])
        if "failed" in answer:
            raise DecoderFailed(str(answer["failed"])[:300])
        return answer, blob

    def _exchange(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        is_last_try = False
        while True:
            channel = self._ready_worker()
            deadline_at = time.monotonic() + self._wall_s + GRACE_S
            has_begun = False
            try:
                channel.send(head, body, deadline_at=deadline_at)
                has_begun = channel.receive_sign(deadline_at=deadline_at)
                return channel.receive(deadline_at=deadline_at)
            except ProtocolError as error:
                is_late = time.monotonic() >= deadline_at
                reason = self._reason(error, is_late)
                if has_begun or is_late or is_last_try:
                    raise DecoderFailed(reason) from error
                is_last_try = True  # the worker had left before it saw the picture: idle, or after its last one

    def _reason(self, error: ProtocolError, is_late: bool) -> str:
        """Say why a worker did not answer, and make sure that it is gone."""
        if is_late or self._closed:
            if self._nursery is not None:
                self._nursery.kill()  # takes its worker with it
            self._release()
            return "the decoder was closed" if self._closed else f"no answer within {self._wall_s:g} s"
        last = self._new_worker()
        if last == -signal.SIGXCPU:
            return f"more than {self._cpu_s} s of CPU time"
        if last == -signal.SIGALRM:
            return f"more than {self._wall_s:g} s"
        if last is not None and last < 0:
            return f"the decoder died of {signal.Signals(-last).name}"
        return f"the decoder left ({error})"

    # --- the child

    def _ready_worker(self) -> WorkerChannel:
        """Return the line to a worker that waits for a question; start what is missing."""
        if self._owner != os.getpid():
            self._forget()
        # A line on which something waits although nothing was asked is one that closed.
        if self._worker is not None and not select.select([self._worker.socket], [], [], 0)[0]:
            return self._worker
        for _ in range(2):
            if self._closed:
                raise DecoderFailed("the decoder was closed")
            if self._nursery is None:
                self._start()
            self._new_worker()
            if self._worker is not None:
                return self._worker
        raise DecoderFailed("the decoder does not start")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            command = [sys.executable, "-I", "-c", _START, str(ROOT), str(fd), json.dumps(self._limits)]
            try:
                self._nursery = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=_ENVIRONMENT,
                    cwd="/",
                    pass_fds=(fd,),
                    start_new_session=True,  # Ctrl-C in a terminal is for us, not for a decode
                )
            except OSError as error:
                ours.close()
                raise DecoderFailed(f"the decoder does not start: {error.strerror}") from error
        self._control = ours

    def _new_worker(self) -> int | None:
        """Ask the nursery for a worker. Returns how the one before ended, None when the nursery itself is gone."""
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
            os.set_inheritable(fds[0], False)  # Python leaves a received one open for the programs we start
            self._worker = WorkerChannel(socket.socket(fileno=fds[0]), max_body_bytes=MAX_ANSWER_BYTES)
            self._worker_pid = int(facts["pid"])
            return int(facts["last"])
        except (OSError, ValueError, IndexError):  # it left for being idle, or was killed
            self._release()
            return None

    def _release(self) -> None:
        """Drop the child and everything that leads to it."""
        for line in (self._worker, self._control):
            if line is not None:
                line.close()
        if self._nursery is not None:
            _await_end(self._nursery)
        self._nursery = self._control = self._worker = None

    def _forget(self) -> None:
        """After a fork: what there is belongs to the parent. Close our copies of the lines and touch nothing else."""
        for line in (self._worker, self._control):
            if line is not None:
                line.close()
        if self._nursery is not None:
            self._nursery.returncode = 0  # not ours to wait for; else it complains when it is collected
        self._nursery = self._control = self._worker = None
        self._owner = os.getpid()


def _await_end(nursery: subprocess.Popen[bytes]) -> None:
    try:
        nursery.wait(STOP_S)
    except subprocess.TimeoutExpired:
        nursery.kill()
        nursery.wait()


def _rendered(head: dict[str, Any], blob: bytes, names: set[str]) -> Rendered:
    """Build the value from an answer. The child handled hostile bytes, so its answer is checked like a stranger's."""
    try:
        sizes = {str(name): int(size) for name, size in head["sizes"].items()}
        average, hue, chroma = str(head["average"]), int(head["hue"]), float(head["chroma"])
        width, height = int(head["width"]), int(head["height"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DecoderFailed("the decoder gave an answer that makes no sense") from error
    variants: dict[str, bytes] = {}
    at = 0
    for name, size in sizes.items():
        variants[name] = blob[at : at + size]
        at += size
    is_sane = (
        set(variants) == names
        and at == len(blob)
        and all(body[:4] == b"RIFF" and body[8:12] == b"WEBP" for body in variants.values())
        and _COLOUR.fullmatch(average)
        and 0 <= hue < 360
        and hue % 5 == 0
        and 0 <= chroma < 0.5
        and min(width, height) > 0
    )
    if not is_sane:
        raise DecoderFailed("the decoder gave an answer that makes no sense")
    return Rendered(variants, width, height, average, hue, chroma)
