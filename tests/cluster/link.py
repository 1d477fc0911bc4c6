"""A TCP proxy between one node and one engine, so that each node can lose each engine alone.

`pass`: bytes go through. `delay`: each piece waits first. `blackhole`: nothing goes through and nothing is closed, as when packets
are lost; what was sent arrives when it passes again. `reset`: connections are broken, and new ones too.
"""

import socket
import struct
import threading
from contextlib import suppress
from typing import Literal

from tests.support.ports import free_port

Mode = Literal["pass", "delay", "blackhole", "reset"]
BREAKS = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Link:
    """Listens on a port of its own from the start; `mode` says what becomes of connections, also of open ones."""

    def __init__(self, to: int, delay_s: float = 0.2) -> None:
        self._to, self._delay_s = to, delay_s
        self.port = free_port()
        self._mode: Mode = "pass"
        self._is_closed = False
        self._changed = threading.Condition()  # _mode, _is_closed, _pipes
        self._pipes: set[_Pipe] = set()
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, name="link", daemon=True).start()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        with self._changed:
            self._mode = mode
            self._changed.notify_all()
            cut = list(self._pipes) if mode == "reset" else []
        for pipe in cut:
            pipe.cut()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._pipes)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            cut = list(self._pipes)
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for pipe in cut:
            pipe.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if not self._may_pass():
            return _break(client)
        try:
            server = socket.create_connection(("127.0.0.1", self._to), 5)
            server.settimeout(None)
        except OSError:
            return _break(client)
        pipe = _Pipe(client, server)
        with self._changed:
            self._pipes.add(pipe)
            if self._mode == "reset" or self._is_closed:
                pipe.cut()
        back = threading.Thread(target=self._move, args=(pipe, server, client), daemon=True)
        back.start()
        self._move(pipe, client, server)
        back.join()
        with self._changed:
            self._pipes.discard(pipe)
        for one in (client, server):
            _break(one) if pipe.is_cut else one.close()
        return None

    def _move(self, pipe: "_Pipe", source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self._may_pass():
                    return pipe.cut()
                target.sendall(data)
        if not pipe.is_cut:
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
        return None

    def _may_pass(self) -> bool:
        """Wait as long as the mode says; return False if the connection is to be broken."""
        with self._changed:
            self._changed.wait_for(lambda: self._mode != "blackhole" or self._is_closed)
            if self._mode == "delay":
                self._changed.wait_for(lambda: self._mode != "delay" or self._is_closed, self._delay_s)
            return self._mode != "reset" and not self._is_closed


class _Pipe:
    """The two sockets of a connection. Cutting wakes those who read from them, and sends nothing."""

    def __init__(self, *sockets: socket.socket) -> None:
        self._sockets = sockets
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)


def _break(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, BREAKS)
    one.close()
