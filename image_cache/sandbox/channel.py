"""Message channel to a worker process: a JSON head and raw bytes over a socket. No pickle, because the worker is not trusted."""

import json
import socket
import struct
import time
from typing import Any

_LENGTHS = struct.Struct(">II")
MAX_HEAD_BYTES = 64 << 10


class ProtocolError(Exception):
    """The other side closed the connection, ran out of time, or sent an invalid message."""


class WorkerChannel:
    """One end of a socket. `deadline_at` is a time of `time.monotonic`; without one a call waits indefinitely."""

    def __init__(self, sock: socket.socket, *, max_body_bytes: int) -> None:
        self.socket = sock
        self._max_body_bytes = max_body_bytes

    def send(self, head: dict[str, Any], *chunks: bytes, deadline_at: float | None = None) -> None:
        """Send one message; its body is the concatenation of the chunks. Raises `ProtocolError`."""
        text = json.dumps(head).encode()
        lengths = _LENGTHS.pack(len(text), sum(map(len, chunks)))
        for piece in (lengths + text, *chunks):
            self._wait(deadline_at)
            try:
                self.socket.sendall(piece)
            except OSError as error:
                raise ProtocolError(f"cannot send: {error}") from error

    def receive_ack(self, *, deadline_at: float | None = None) -> bool:
        """Wait for the single byte that acknowledges a message before it is processed. Raises `ProtocolError`."""
        return bool(self._receive_exactly(1, deadline_at))

    def receive(self, *, deadline_at: float | None = None) -> tuple[dict[str, Any], bytes]:
        """Return the next message. Raises `ProtocolError`, with the text "closed" if the connection ended between two messages."""
        lengths = self._receive_exactly(_LENGTHS.size, deadline_at)
        head_bytes, body_bytes = _LENGTHS.unpack(lengths)
        if head_bytes > MAX_HEAD_BYTES or body_bytes > self._max_body_bytes:
            raise ProtocolError(f"a message of {head_bytes} and {body_bytes} bytes")
        try:
            head = json.loads(self._receive_exactly(head_bytes, deadline_at))
        except ValueError as error:
            raise ProtocolError("a head that is not JSON") from error
        if not isinstance(head, dict):
            raise ProtocolError("a head that is no object")
        return head, self._receive_exactly(body_bytes, deadline_at)

    def close(self) -> None:
        self.socket.close()

    def _receive_exactly(self, count: int, deadline_at: float | None) -> bytes:
        chunks: list[bytes] = []
        while count:
            self._wait(deadline_at)
            try:
                # With WAITALL the kernel fills one buffer of the full length, so that the body is not copied again.
                chunk = self.socket.recv(count, socket.MSG_WAITALL)
            except OSError as error:
                raise ProtocolError(f"cannot receive: {error}") from error
            if not chunk:
                raise ProtocolError("closed")
            chunks.append(chunk)
            count -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _wait(self, deadline_at: float | None) -> None:
        """Limit the next call to the remaining time."""
        left = None if deadline_at is None else deadline_at - time.monotonic()
        if left is not None and left <= 0:
            raise ProtocolError("out of time")
        self.socket.settimeout(left)
