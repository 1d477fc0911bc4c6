"""The process that reads tags. Started by `tag_reader.TagReader` only; everything here runs outside the web process.

It opens nothing: each question brings the open files along. Questions and answers take turns on one socket, so that the files of
a question never mix with those of the next.
"""

import contextlib
import json
import os
import select
import signal
import socket
from typing import Any, NoReturn

from image_cache.importers.music import tags as music_tags
from image_cache.sandbox.channel import ProtocolError, WorkerChannel
from image_cache.sandbox.limits import ProcessLimits, confine, grant_time, leave_network

AT_A_TIME = 16  # files of one question
MAX_QUESTION_BYTES = 4096


def main(line: int, parent: int, limits: ProcessLimits) -> NoReturn:
    """Answer questions until the line closes, nobody asks for `idle_s`, or there were enough files."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides: the line closes
    leave_network()
    with contextlib.suppress(OSError):
        os.nice(5)
    confine(limits, parent, is_tied=False)
    sock = socket.socket(fileno=line)
    channel = WorkerChannel(sock, max_body_bytes=0)
    left = limits.max_requests
    try:
        while left > 0 and select.select([sock], [], [], limits.idle_s)[0]:
            question, files, _, _ = socket.recv_fds(sock, MAX_QUESTION_BYTES, AT_A_TIME)
            if not question:
                break
            asked = json.loads(question)
            sock.sendall(b"+")  # from here on a failure belongs to the files
            for file in files:
                grant_time(limits)
                head, body = _answer(asked["do"], file)
                signal.setitimer(signal.ITIMER_REAL, 0)
                channel.send(head, body)
                left -= 1
    except (ProtocolError, OSError, ValueError):
        pass  # the parent went away
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
        return {"refused": "its tag needs more memory than a tag may"}, b""
    except OSError as error:
        return {"unreadable": error.strerror or str(error)}, b""
