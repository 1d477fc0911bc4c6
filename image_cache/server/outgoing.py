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
from collections.abc import Iterator
from typing import IO, Any

IN_MEMORY_BYTES = 1_000_000
PIECE_BYTES = 262_144
MAX_WAITING_BYTES = 32_000_000  # of one response that is generated; a file is not copied, whatever its size
AT_ONCE_BYTES = 1_000_000  # of parts, after which a thread makes no more until they are sent
WAIT_S = 20.0  # for the client to take a part of such a response, once that much waits

Part = bytes | IO[bytes] | None  # of a response that is made as it is sent; a whole file; None: not ready yet


class Outgoing:
    """Takes the place of a socket for the code that writes a response.

    The thread uses it while it has the connection, the main loop before and after.
    """

    def __init__(self, sock: socket.socket, folder: str | None = None) -> None:
        self._sock = sock
        self._folder = folder
        self._waiting: deque[Any] = deque()  # in order: [file, offset, end], or an iterator of parts
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

    def send_parts(self, parts: Iterator[Part]) -> None:
        """Send what `make_parts` gets from here, between what waits now and what is added later."""
        self._waiting.append(parts)

    @property
    def needs_parts(self) -> bool:
        """True if everything is sent that comes before the next parts."""
        return bool(self._waiting) and not isinstance(self._waiting[0], list)

    def make_parts(self) -> bool:
        """Get the next parts, about `AT_ONCE_BYTES`; return False if none is ready. Called in a thread; raises what they raise."""
        parts, later, made = self._waiting.popleft(), self._waiting, False
        self._waiting = deque()
        is_over = False
        try:
            while self._kept_bytes() < AT_ONCE_BYTES:
                try:
                    part = next(parts)
                except StopIteration:
                    is_over = made = True
                    break
                if part is None:
                    break
                made = True
                self._add(part)
        finally:
            self._waiting.extend(later if is_over else [parts, *later])
        return made

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
            waiting = self._waiting.popleft()
            (waiting[0] if isinstance(waiting, list) else waiting).close()

    def _add(self, part: bytes | IO[bytes]) -> None:
        if isinstance(part, bytes):
            self._keep(memoryview(part))
            return
        size = os.fstat(part.fileno()).st_size
        if size <= PIECE_BYTES:  # a copy costs less than a descriptor for each of many small files
            self._keep(memoryview(os.pread(part.fileno(), size, 0)))
        else:
            self._waiting.append([os.fdopen(os.dup(part.fileno()), "rb", buffering=0), 0, size])

    def _kept_bytes(self) -> int:
        return sum(waiting[2] - waiting[1] for waiting in self._waiting if isinstance(waiting, list))

    def _keep(self, data: memoryview) -> None:
        last = self._waiting[-1] if self._waiting else None
        if not isinstance(last, list) or not isinstance(last[0], tempfile.SpooledTemporaryFile) or last[2] > MAX_WAITING_BYTES:
            file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, mode="w+b", dir=self._folder)  # noqa: SIM115
            last = [file, 0, 0]
            self._waiting.append(last)
        last[0].seek(last[2])
        last[0].write(data)
        last[2] += len(data)

    def _send_waiting(self) -> None:
        while self._waiting:
            waiting = self._waiting[0]
            if not isinstance(waiting, list):
                return
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
