"""What a client has not taken yet of its response. A thread hands it over at once; the main loop sends it. Knows HTTP not at all."""

import contextlib
import fcntl
import os
import select
import socket
import struct
import tempfile
import termios
from collections import deque
from typing import IO, Any

IN_MEMORY_BYTES = 1_000_000
PIECE_BYTES = 262_144
MAX_WAITING_BYTES = 32_000_000  # of one response that is generated; a file is not copied, whatever its size
WAIT_S = 20.0  # for the client to take a part of such a response, once that much waits


class Outgoing:
    """Takes the place of a socket for the code that writes a response.

    The thread uses it while it has the connection, the main loop before and after.
    """

    def __init__(self, sock: socket.socket, folder: str | None = None) -> None:
        self._sock = sock
        self._folder = folder
        self._waiting: deque[list[Any]] = deque()  # [file, offset, end] in order
        self.sent_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    @property
    def taken_bytes(self) -> int:
        """Return how much the client has received, as far as this side knows."""
        with contextlib.suppress(OSError):
            (queued,) = struct.unpack("i", fcntl.ioctl(self._sock, termios.TIOCOUTQ, b"\0\0\0\0"))
            return self.sent_bytes - int(queued)
        return self.sent_bytes

    def sendall(self, data: bytes) -> None:
        """Send what the client takes at once; keep the rest. Raises `OSError` if it is gone or far too slow."""
        view = memoryview(data)
        if not self._waiting:
            view = view[self._send(view) :]
        if view:
            self._keep(view)
        while self._kept_bytes() > MAX_WAITING_BYTES:
            poll = select.poll()
            poll.register(self._sock, select.POLLOUT)
            if not poll.poll(WAIT_S * 1000):
                raise TimeoutError
            self._send_waiting()

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> None:
        """Send a part of a file, later if need be: it may be closed and deleted afterwards."""
        end = os.fstat(file.fileno()).st_size if count is None else offset + count
        self._waiting.append([os.fdopen(os.dup(file.fileno()), "rb", buffering=0), offset, end])
        self._send_waiting()

    def flush(self) -> bool:
        """Send what the client takes now. Return False if the connection is over."""
        try:
            self._send_waiting()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Drop unsent data."""
        while self._waiting:
            self._waiting.popleft()[0].close()

    def _kept_bytes(self) -> int:
        return sum(end - offset for _, offset, end in self._waiting)

    def _keep(self, data: memoryview) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is None or not isinstance(last[0], tempfile.SpooledTemporaryFile) or last[2] > MAX_WAITING_BYTES:
            file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, mode="w+b", dir=self._folder)  # noqa: SIM115
            last = [file, 0, 0]
            self._waiting.append(last)
        last[0].seek(last[2])
        last[0].write(data)
        last[2] += len(data)

    def _send_waiting(self) -> None:
        while self._waiting:
            waiting = self._waiting[0]
            file, offset, end = waiting
            if offset < end:
                data = _read(file, offset, min(PIECE_BYTES, end - offset))
                if not data:  # the file became shorter than the announced length
                    raise BrokenPipeError
                sent = self._send(memoryview(data))
                waiting[1] += sent
                if sent < len(data):
                    return
            else:
                file.close()
                self._waiting.popleft()

    def _send(self, data: memoryview) -> int:
        done = 0
        while done < len(data):
            try:
                done += self._sock.send(data[done:])
            except BlockingIOError:
                break
        self.sent_bytes += done
        return done


def _read(file: Any, offset: int, count: int) -> bytes:
    if isinstance(file, tempfile.SpooledTemporaryFile):
        file.seek(offset)
        return bytes(file.read(count))
    return os.pread(file.fileno(), count, offset)  # its position is shared with others
