"""A load of GET requests over kept-alive connections: wrk when it is installed, else a few threads of our own."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

CONNECTIONS = 16
# What a browser sends for an <img>: parsing it is a good part of what a Python server does for a hit.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux aarch64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB,en;q=0.9",
    "Referer": "http://vinylvault.local:5000/?page=3",
    "Cookie": "vinylvault=eyJjc3JmX3Rva2VuIjoiMDEyMzQ1Njc4OSJ9.aR8x0Q.0123456789abcdefghijklmnopq",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Dest": "image",
    "Priority": "i",
    "Connection": "keep-alive",
}
SCRIPT = """
local requests, n, i = {{}}, 0, 0
function init()
  for line in io.lines("{paths}") do n = n + 1; requests[n] = wrk.format("GET", line, {{{headers}}}) end
end
function request() i = i % n + 1; return requests[i] end
function done(all, took)
  local e = all.errors
  print("RESULT", all.requests, all.duration, took:percentile(50), took:percentile(99), e.connect + e.read + e.write + e.timeout + e.status)
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run came to. Latencies in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int


def tool() -> str:
    return "wrk" if shutil.which("wrk") else "Python threads (wrk is not installed: they are slower than the servers)"


def load(
    port: int, paths: Sequence[str], seconds: float, connections: int = CONNECTIONS, headers: Mapping[str, str] | None = None
) -> Load:
    """Ask for the paths in turn, over and over, as fast as the server answers."""
    sent = {**HEADERS, **(headers or {})}
    ask = _wrk if shutil.which("wrk") else _threads
    return ask(port, paths, seconds, connections, sent)


def _wrk(port: int, paths: Sequence[str], seconds: float, connections: int, sent: Mapping[str, str]) -> Load:
    with tempfile.TemporaryDirectory() as name:
        listed, script = Path(name, "paths"), Path(name, "load.lua")
        listed.write_text("\n".join(paths) + "\n", encoding="ascii")
        headers = ", ".join(f"['{key}'] = '{value}'" for key, value in sent.items())
        script.write_text(SCRIPT.format(paths=listed, headers=headers), encoding="ascii")
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script), f"http://127.0.0.1:{port}"],
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, took_us, p50_us, p99_us, errors = map(float, line.split()[1:])
    return Load(int(requests), took_us / 1e6, p50_us / 1e3, p99_us / 1e3, int(errors))


def _threads(port: int, paths: Sequence[str], seconds: float, connections: int, sent: Mapping[str, str]) -> Load:
    head = "".join(f"{key}: {value}\r\n" for key, value in sent.items())
    asked = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{head}\r\n".encode() for path in paths]
    times: list[float] = []
    errors: list[str] = []
    end = time.perf_counter() + seconds

    def run(first: int) -> None:
        requests = cycle(asked[first:] + asked[:first])
        while time.perf_counter() < end:
            with socket.create_connection(("127.0.0.1", port)) as sock, suppress(ConnectionError):
                ask(sock, requests)  # until the server closes it: nginx does so after 1,000 requests

    def ask(sock: socket.socket, requests: Iterator[bytes]) -> None:
        for request in requests:
            begun = time.perf_counter()
            if begun >= end:
                return
            sock.sendall(request)
            if not _read_answer(sock):
                errors.append("status")
            times.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=run, args=(n * len(asked) // connections,)) for n in range(connections)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, times = time.perf_counter() - begun, sorted(times)
    return Load(len(times), took, times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3, len(errors))


def _read_answer(sock: socket.socket) -> bool:
    """Read one answer with a Content-Length; return whether it is a 2xx or 304."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = sock.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    missing = length - len(body)
    while missing > 0:
        part = sock.recv(min(missing, 65536))
        if not part:
            raise ConnectionError("the server closed the connection within an answer")
        missing -= len(part)
    return head[9:10] == b"2" or head[9:12] == b"304"


def pin(pid: int, core: int) -> None:
    """Put every thread of a process on one core; threads of Python that change cores are up to 40% slower."""
    for name in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(name), {core})
