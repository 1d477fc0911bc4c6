"""Messages between the web process and the decoder child: a JSON head and raw bytes over a socket. No pickle: the child is not trusted."""

import json
import socket
import struct
import time
from typing import Any

_LENGTHS = struct.Struct(">II")
MAX_HEAD_BYTES = 64 << 10


class ProtocolError(Exception):
    """The other side closed the line, ran out of time or sent something that is no message."""


class WorkerChannel:
    """One end of a socket. `deadline_at` is a point of `time.monotonic`; without one a call waits as long as it takes."""

    def __init__(self, sock: socket.socket, *, max_body_bytes: int) -> None:
        self.socket = sock
        self._max_body_bytes = max_body_bytes

    def send(self, head: dict[str, Any], *parts: bytes, deadline_at: float | None = None) -> None:
        """Send one message; its body is all parts, one after the other. Raises `ProtocolError`."""
        text = json.dumps(head).encode()
        lengths = _LENGTHS.pack(len(text), sum(map(len, parts)))
        for piece in (lengths + text, *parts):
            self._wait(deadline_at)
            try:
                self.socket.sendall(piece)
            except OSError as error:
                raise ProtocolError(f"cannot send: {error}") from error

    def receive_sign(self, *, deadline_at: float | None = None) -> bool:
        """Wait for the one byte that says "I have your message and begin". Raises `ProtocolError`."""
        return bool(self._exactly(1, deadline_at))

    def receive(self, *, deadline_at: float | None = None) -> tuple[dict[str, Any], bytes]:
        """Return the next message. Raises `ProtocolError`, with "closed" as its text when the line ended between two messages."""
        first = self._exactly(_LENGTHS.size, deadline_at)
        head_bytes, body_bytes = _LENGTHS.unpack(first)
        if head_bytes > MAX_HEAD_BYTES or body_bytes > self._max_body_bytes:
            raise ProtocolError(f"a message of {head_bytes} and {body_bytes} bytes")
        try:
            head = json.loads(self._exactly(head_bytes, deadline_at))
        except ValueError as error:
            raise ProtocolError("a head that is not JSON") from error
        if not isinstance(head, dict):
            raise ProtocolError("a head that is no object")
        return head, self._exactly(body_bytes, deadline_at)

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, count: int, deadline_at: float | None) -> bytes:
        parts: list[bytes] = []
        while count:
            self._wait(deadline_at)
            try:
                # WAITALL lets the kernel fill one buffer of the full length: a body is not copied a second time.
                part = self.socket.recv(count, socket.MSG_WAITALL)
            except OSError as error:
                raise ProtocolError(f"cannot receive: {error}") from error
            if not part:
                raise ProtocolError("closed")
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _wait(self, deadline_at: float | None) -> None:
        """Give the next call what is left of the time."""
        left = None if deadline_at is None else deadline_at - time.monotonic()
        if left is not None and left <= 0:
            raise ProtocolError("out of time")
        self.socket.settimeout(left)
