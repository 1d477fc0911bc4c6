"""One client of the worker: its socket, the request that arrives, the response that leaves."""

import contextlib
import socket
from typing import Any

from gunicorn import http
from gunicorn.http import wsgi
from gunicorn.workers.gthread import TConn

from image_cache.net.url import client_network
from image_cache.server.outgoing import Outgoing
from image_cache.server.request_framing import RequestBuffer


class Connection(TConn):  # type: ignore[misc]
    """One client. `request` buffers its current request, `outgoing` what it has not taken of the response."""

    def __init__(self, folder: str | None, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.folder = folder
        self.request = RequestBuffer(folder)
        self.outgoing = Outgoing(self.sock, folder)
        self.deadline = 0.0
        self.moved_bytes = 0  # when the deadline was set; of a connection that is closed: since then
        self.linger_until = 0.0  # how long a client that still sends is listened to after its response
        self.is_kept = False  # once the response is sent
        self.memory_bytes = self.file_bytes = 0  # as counted by the worker
        self.address = client_network(str(self.client[0])) if self.client else ""
        self.data_ready = True  # gunicorn must not wait on the socket for data that was read already

    def init(self) -> None:
        """Give the parser the buffered request, and nothing else: it never reads from the socket. Called in the thread."""
        self.initialized = True
        self.sock.setblocking(False)  # for the response, which waits in `outgoing`
        self.parser = http.get_parser(self.cfg, self.request.pieces(), self.client)

    def next_request(self) -> bytes:
        """Forget the request that was responded to. Return what was received of the next one."""
        rest = self.request.take_rest()
        self.request.close()
        self.request = RequestBuffer(self.folder)
        return rest

    def close(self, graceful: bool = False) -> None:
        self.request.close()
        self.outgoing.close()
        super().close(graceful)

    def environ(self) -> dict[str, Any]:
        """Return the WSGI environment of the request, without its body. Raises what the parser raises."""
        parser = http.get_parser(self.cfg, self.request.head_only(), self.client)
        _, environ = wsgi.create(next(parser), self.sock, self.client, self.server, self.cfg)
        found: dict[str, Any] = environ
        return found


def receive(sock: socket.socket, count: int) -> bytes | None:
    """Return the data received: None if there is none yet, empty if the connection is closed."""
    try:
        return sock.recv(count)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def send_now(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.send(data)
