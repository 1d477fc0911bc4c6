"""Responses that are made part by part, as their client takes them: a ZIP of two gigabytes holds no thread and no memory.

A thread makes the next parts when those before are sent, and is free again at once; the main loop sends them.
"""

import logging
import os
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import IO, Any

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError
from image_cache.server.connection import Connection
from image_cache.server.keeping import KeepingWorker
from image_cache.server.outgoing import Outgoing, Part

logger = logging.getLogger(__name__)

PAUSE_S = 0.5  # until a part that is not ready is asked for again
PIECE_BYTES = 262_144


def body_of(parts: Iterator[Part], environ: Mapping[str, Any], *, has_length: bool) -> Iterator[bytes]:
    """Yield the body of a response of these parts; `has_length`: it says its Content-Length.

    Our worker sends the head, and takes the parts one by one. Any other server reads them as bytes, in its thread.
    """
    outgoing = environ.get("gunicorn.socket")
    if not isinstance(outgoing, Outgoing):
        yield from _as_bytes(parts)
        return
    yield b""
    is_chunked = not has_length and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
    outgoing.send_parts(_in_chunks(parts) if is_chunked else parts)


def _as_bytes(parts: Iterator[Part]) -> Iterator[bytes]:
    for part in parts:
        if part is None:
            time.sleep(PAUSE_S)
        elif isinstance(part, bytes):
            yield part
        else:
            yield from iter(lambda file=part: file.read(PIECE_BYTES), b"")  # type: ignore[misc]


def _in_chunks(parts: Iterator[Part]) -> Iterator[Part]:
    """Frame each part as a chunk (RFC 9112, 7.1); the server adds the last one, which is empty."""
    for part in parts:
        if part is None:
            yield None
        elif size := _size_of(part):
            yield b"%x\r\n" % size
            yield part
            yield b"\r\n"


def _size_of(part: bytes | IO[bytes]) -> int:
    return len(part) if isinstance(part, bytes) else os.fstat(part.fileno()).st_size


class PartsWorker(KeepingWorker):
    """Makes the next parts of a response in a thread. Only the main loop uses the table."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._paused: dict[Connection, float] = {}  # until when

    def murder_keepalived(self, force: bool = False) -> None:
        """Close idle connections, and go on with those whose next part was not ready; called in every turn of the loop."""
        super().murder_keepalived(force)
        now = time.monotonic()
        for conn in [conn for conn, until in self._paused.items() if force or until <= now]:
            del self._paused[conn]
            if force:
                self._close(conn)
            else:
                self._make_parts(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        try:
            return super().handle_request(req, SimpleNamespace(sock=conn.outgoing, client=conn.client, server=conn.server))
        except TimeoutError:
            self.log.debug("A client did not read its response in time.")
            conn.outgoing.close()
            raise StopIteration from None

    def _make_parts(self, conn: Connection) -> None:
        self._in_thread(conn, conn.outgoing.make_parts, self._parts_made)

    def _parts_made(self, conn: Connection, future: Any) -> None:
        """Send what was made. A response that ends early is cut, so that its client knows that it is not whole."""
        try:
            is_ready = future.result()
        except (CacheError, DatabaseError) as error:
            logger.info("response cut reason=%s", error)
            self._close(conn)
        except Exception:
            self.log.exception("Error making a response")
            self._close(conn)
        else:
            if is_ready:
                self._send_on(conn)
            else:
                self._paused[conn] = time.monotonic() + PAUSE_S

    def _stop_pause(self, conn: Connection) -> None:
        del self._paused[conn]

    @abstractmethod
    def _in_thread(self, conn: Connection, work: Any, then: Any) -> None:
        """The worker supplies it."""

    @abstractmethod
    def _send_on(self, conn: Connection) -> None:
        """The worker supplies it."""
