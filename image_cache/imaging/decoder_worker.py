"""The decoder's own processes. Started by `decoder.Decoder` only; everything here runs outside the web process.

The nursery has Pillow loaded, holds no picture, and forks a worker whenever the parent asks for one over the control socket:
a fork takes milliseconds where a new interpreter takes a tenth of a second, on a Pi most of one. The worker has limits that it
cannot lift, answers pictures over a socket of its own, and leaves after some of them. Both are single-threaded, so that forking
and the parent-death signal are safe.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from image_cache.errors import ImageRejected
from image_cache.imaging import pillow as imaging
from image_cache.imaging.variants import Variant
from image_cache.sandbox.channel import ProtocolError, WorkerChannel
from image_cache.sandbox.limits import ProcessLimits, confine, grant_time, leave_network

IDLE_EXIT = 3  # exit code of a worker that nobody asked for so long


def main(control_fd: int, limits: ProcessLimits) -> None:
    """Run the nursery until the parent is gone or nobody asked for anything for `idle_s`."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides: we end when its end of the line closes
    imaging.warm_up()
    control = socket.socket(fileno=control_fd)
    leave_network()
    with contextlib.suppress(OSError):
        os.nice(5)
    gc.collect()
    gc.freeze()  # a collection in the worker would otherwise write to every page that it shares with us
    nursery = _ForkServer(control, limits)
    try:
        while nursery.turn():
            pass
    finally:
        nursery.end_worker()


class _ForkServer:
    """Forks workers, one at a time, and knows how the last one ended."""

    def __init__(self, control: socket.socket, limits: ProcessLimits) -> None:
        self._control = control
        self._limits = limits
        self._worker = 0
        self._alive = -1  # read end of a pipe whose other end only the worker holds: it closes when the worker is gone
        self._last = 0  # exit code of the last worker, negative for a signal

    def turn(self) -> bool:
        """Wait for the parent or for the worker's end. Returns whether there is a reason to go on."""
        watched: list[Any] = [self._control] + ([self._alive] if self._worker else [])
        ready, _, _ = select.select(watched, [], [], None if self._worker else self._limits.idle_s)
        if self._control in ready:
            if not self._control.recv(1):
                return False
            self.end_worker()
            self._fork_worker()
            return True
        if ready:
            self.end_worker()
            return self._last != IDLE_EXIT
        return False

    def end_worker(self) -> None:
        """Make sure that there is no worker, and reap it."""
        if not self._worker:
            return
        os.kill(self._worker, signal.SIGKILL)  # does nothing to one that has ended: until it is reaped its number is its own
        _, status = os.waitpid(self._worker, 0)
        self._last = os.waitstatus_to_exitcode(status)
        os.close(self._alive)
        self._worker = 0

    def _fork_worker(self) -> None:
        ours, theirs = socket.socketpair()
        alive, held = os.pipe()
        nursery = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(alive)
                ours.close()
                self._control.close()
                _work(theirs, self._limits, nursery)
            finally:  # never unwind into the nursery's own code
                if sys.exc_info()[0] is not None:
                    traceback.print_exc()
                os._exit(1)
        os.close(held)
        theirs.close()
        self._worker, self._alive = pid, alive
        note = json.dumps({"pid": pid, "last": self._last}).encode()
        self._last = 0
        with contextlib.suppress(OSError), ours:  # the parent may be gone; the next turn will see it
            socket.send_fds(self._control, [note], [ours.fileno()])


def _work(sock: socket.socket, limits: ProcessLimits, nursery: int) -> NoReturn:
    """Answer pictures until the line closes, nobody asks for `idle_s`, or there were enough of them."""
    confine(limits, nursery)
    channel = WorkerChannel(sock, max_body_bytes=limits.budget_bytes)
    for _ in range(limits.images):
        if not select.select([sock], [], [], limits.idle_s)[0]:
            os._exit(IDLE_EXIT)
        try:
            head, body = channel.receive()
            sock.sendall(b"+")  # from here on a failure belongs to this picture
            grant_time(limits)
            answer, blobs, is_whole = _answer(head, body, limits.budget_bytes)
            signal.setitimer(signal.ITIMER_REAL, 0)
            channel.send(answer, *blobs)
        except (ProtocolError, OSError):
            os._exit(0)  # the parent went away, or gave up on this picture
        del body, blobs
        if not is_whole:
            break
    os._exit(0)


def _answer(head: dict[str, Any], body: bytes, budget_bytes: int) -> tuple[dict[str, Any], list[bytes], bool]:
    """Do what `head` asks for. Returns the answer, its bytes, and whether this process is still fit for another picture."""
    try:
        if head["do"] == "render":
            variants = [Variant(**values) for values in head["variants"]]
            made = imaging.render(body, variants, budget_bytes=budget_bytes)
            answer = {name: getattr(made, name) for name in ("width", "height", "average", "hue", "chroma")}
            answer["sizes"] = {name: len(blob) for name, blob in made.variants.items()}
            return answer, list(made.variants.values()), True
        if head["do"] == "jpeg":
            return {}, [imaging.to_jpeg(body, head["quality"], budget_bytes=budget_bytes)], True
        if head["do"] == "look":
            seen = imaging.analyse(body, budget_bytes=budget_bytes)
            colours = [(one.share, one.lightness, one.a, one.b) for one in seen.colours]
            return {"colours": colours, "hash": seen.hash, "is_blank": seen.is_blank}, [], True
        facts = imaging.probe(body, budget_bytes=budget_bytes)
        return {name: getattr(facts, name) for name in ("format", "width", "height", "mode", "cost_bytes")}, [], True
    except ImageRejected as error:
        return {"rejected": error.reason}, [], True
    except MemoryError:
        return {"failed": f"ran out of the {budget_bytes >> 20} MB it may decode with"}, [], False
