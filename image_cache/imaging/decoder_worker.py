"""Decoder processes: a fork server and its worker, started by `decoder.Decoder`.

The fork server has Pillow loaded, holds no image, and forks a worker when the web process requests one over the control socket:
a fork takes milliseconds, a new interpreter a tenth of a second, on a Pi most of one. The worker has limits that it cannot raise,
receives images over its own socket, and exits after some of them. Both are single-threaded, so that forking and the
parent-death signal are safe.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from dataclasses import replace
from typing import Any, NoReturn

from image_cache.errors import ImageRejected
from image_cache.imaging import heic, pillow
from image_cache.imaging.variants import ImageAppearance, Variant, cover_variants
from image_cache.sandbox.channel import ProtocolError, WorkerChannel
from image_cache.sandbox.limits import ProcessLimits, confine, grant_time, leave_network

FACTS = ("format", "width", "height", "mode", "cost_bytes", "frames", "taken_at")
MAX_USER_THREADS = 512  # of the whole user: those of the service count
IDLE_EXIT = 3  # exit code of a worker that was idle for too long


def main(control_fd: int, limits: ProcessLimits) -> None:
    """Run the fork server until the parent is gone or was silent for `idle_s`."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides: we exit when it closes its socket
    pillow.warm_up()
    control = socket.socket(fileno=control_fd)
    leave_network()
    with contextlib.suppress(OSError):
        os.nice(5)
    gc.collect()
    gc.freeze()  # a collection in the worker would otherwise write to every page that it shares with this process
    if heic.is_installed():  # its library decodes in its own threads
        limits = replace(limits, max_user_threads=MAX_USER_THREADS)
    server = _ForkServer(control, limits)
    try:
        while server.serve_once():
            pass
    finally:
        server.end_worker()


class _ForkServer:
    """Forks workers, one at a time, and reports how the last one ended."""

    def __init__(self, control: socket.socket, limits: ProcessLimits) -> None:
        self._control = control
        self._limits = limits
        self._worker = 0
        self._alive = -1  # read end of a pipe whose other end only the worker holds: it is closed when the worker exits
        self._last = 0  # exit code of the last worker, negative for a signal

    def serve_once(self) -> bool:
        """Wait for a request of the parent, or for the worker to exit. Return False if there is no reason to continue."""
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
        """Kill and reap the worker, if there is one."""
        if not self._worker:
            return
        os.kill(self._worker, signal.SIGKILL)  # harmless if it has exited: until it is reaped its pid is not reused
        _, status = os.waitpid(self._worker, 0)
        self._last = os.waitstatus_to_exitcode(status)
        os.close(self._alive)
        self._worker = 0

    def _fork_worker(self) -> None:
        parent_end, worker_end = socket.socketpair()
        alive, held = os.pipe()
        server_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(alive)
                parent_end.close()
                self._control.close()
                _run_worker(worker_end, self._limits, server_pid)
            finally:  # never unwind into the code of the fork server
                if sys.exc_info()[0] is not None:
                    traceback.print_exc()
                os._exit(1)
        os.close(held)
        worker_end.close()
        self._worker, self._alive = pid, alive
        note = json.dumps({"pid": pid, "last": self._last}).encode()
        self._last = 0
        with contextlib.suppress(OSError), parent_end:  # the parent may be gone; the next call will notice
            socket.send_fds(self._control, [note], [parent_end.fileno()])


def _run_worker(sock: socket.socket, limits: ProcessLimits, server_pid: int) -> NoReturn:
    """Handle requests until the socket is closed, none came for `idle_s`, or there were enough of them."""
    confine(limits, server_pid)
    channel = WorkerChannel(sock, max_body_bytes=limits.budget_bytes)
    for _ in range(limits.max_requests):
        if not select.select([sock], [], [], limits.idle_s)[0]:
            os._exit(IDLE_EXIT)
        try:
            head, body = channel.receive()
            sock.sendall(b"+")  # acknowledged: from here on a failure is caused by this image
            grant_time(limits)
            response, blobs, is_sound = _handle(head, body, limits.budget_bytes)
            signal.setitimer(signal.ITIMER_REAL, 0)
            channel.send(response, *blobs)
        except (ProtocolError, OSError):
            os._exit(0)  # the parent exited, or gave up on this image
        del body, blobs
        if not is_sound:
            break
    os._exit(0)


def _handle(head: dict[str, Any], body: bytes, budget_bytes: int) -> tuple[dict[str, Any], list[bytes], bool]:
    """Handle one request. Return the response, its bytes, and whether this process can handle another one."""
    try:
        if head["do"] == "render":
            variants = [Variant(**values) for values in head["variants"]]
            rendered = pillow.render(body, variants, budget_bytes=budget_bytes, analyses=head.get("analyses") is True)
            response = {name: getattr(rendered, name) for name in ("width", "height", "average", "hue", "chroma")}
            response["sizes"] = {name: len(blob) for name, blob in rendered.variants.items()}
            if rendered.appearance is not None:
                response |= _appearance(rendered.appearance)
            return response, list(rendered.variants.values()), True
        if head["do"] == "jpeg":
            return {}, [pillow.to_jpeg(body, head["quality"], budget_bytes=budget_bytes)], True
        return _look(head["do"], body, budget_bytes), [], True
    except ImageRejected as error:
        return {"rejected": error.reason, "kind": error.kind}, [], True
    except MemoryError:
        return {"failed": f"needs more than {budget_bytes >> 20} MB of memory to decode, which is the limit"}, [], False


def _look(what: str, body: bytes, budget_bytes: int) -> dict[str, Any]:
    """Return facts of an image for a request that makes no other one of it."""
    if what == "analyse":
        return _appearance(pillow.analyse(body, budget_bytes=budget_bytes))
    if what == "barcode":
        digits, is_sure = pillow.read_barcode(body, budget_bytes=budget_bytes)
        return {"digits": digits, "is_sure": is_sure}
    if what == "measure":
        return {"cpu_ms": _measure()}
    facts = pillow.probe(body, budget_bytes=budget_bytes)
    return {name: getattr(facts, name) for name in FACTS}


def _measure() -> float:
    """Render an image of our own as a cover is rendered; return the milliseconds of CPU time. The same work on every machine."""
    edge, shown = 250, 1500
    body = pillow.to_jpeg(pillow.grey_webp(os.urandom(edge * edge), (edge, edge), (shown, shown)), 90)
    began = time.process_time()
    pillow.render(body, cover_variants()[:3])
    return (time.process_time() - began) * 1000


def _appearance(found: ImageAppearance) -> dict[str, Any]:
    colours = [(colour.share, colour.lightness, colour.a, colour.b) for colour in found.colours]
    return {"colours": colours, "hash": found.hash, "is_blank": found.is_blank}
