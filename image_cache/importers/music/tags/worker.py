"""Tag worker: the process that reads tags, started by `reader.TagReader` only. Nothing here runs in the web process.

It opens no files: each request carries its open files. Requests and answers alternate on one socket, so that the files of two
requests never mix.
"""

import contextlib
import json
import os
import select
import signal
import socket
from typing import Any, NoReturn

from image_cache.importers.music.tags import formats as music_tags
from image_cache.sandbox.channel import ProtocolError, WorkerChannel
from image_cache.sandbox.limits import ProcessLimits, confine, grant_time, leave_network

AT_A_TIME = 16  # files per request
MAX_REQUEST_BYTES = 4096


def main(line: int, parent: int, limits: ProcessLimits) -> NoReturn:
    """Answer requests until the socket closes, there was none for `idle_s`, or enough files were read."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides: it closes the socket
    leave_network()
    with contextlib.suppress(OSError):
        os.nice(5)
    confine(limits, parent, is_tied=False)
    sock = socket.socket(fileno=line)
    channel = WorkerChannel(sock, max_body_bytes=0)
    left = limits.max_requests
    try:
        while left > 0 and select.select([sock], [], [], limits.idle_s)[0]:
            request, files, _, _ = socket.recv_fds(sock, MAX_REQUEST_BYTES, AT_A_TIME)
            if not request:
                break
            do = json.loads(request)["do"]
            sock.sendall(b"+")  # a failure after this is due to the files
            for file in files:
                grant_time(limits)
                head, body = _answer(do, file)
                signal.setitimer(signal.ITIMER_REAL, 0)
                channel.send(head, body)
                left -= 1
    except (ProtocolError, OSError, ValueError):
        pass  # the parent has exited
    os._exit(0)


def _answer(do: str, file: int) -> tuple[dict[str, Any], bytes]:
    try:
        with music_tags.Bounded(file) as opened:
            if do == "picture":
                found = music_tags.picture(opened)
                return {"has_picture": found is not None}, found or b""
            return {"tags": music_tags.read(opened)}, b""
    except music_tags.NotMusic as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        return {"refused": "reading its tag needs too much memory"}, b""
    except OSError as error:
        return {"unreadable": error.strerror or str(error)}, b""
