"""The origin of the demo: a real HTTP server, in its own process, that draws the sleeves of the collection and two volumes.

`python -m image_cache.demo.origin --port 5077 --dir var-demo/origin`. It listens on the loopback only. A sleeve or a volume is drawn
when it is first requested, one at a time, and stored as a file; after that it is a plain file server with validators, and with ranges
for the volumes. It knows nothing of the application.
"""

import argparse
import contextlib
import hashlib
import logging
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from image_cache.demo.painting import paint
from image_cache.demo.records import pictures
from image_cache.demo.volumes import VOLUMES, draw_volume

logger = logging.getLogger(__name__)
HERE = Path(__file__).resolve().parent
TYPES = {".jpg": "image/jpeg", ".png": "image/png"}
FROM = re.compile(r"bytes=(\d{1,12})-")
SLOW_BYTES_PER_S = 22_000  # of a slow volume: above the lowest speed that a file cache accepts
PIECE_S = 0.25
MAX_AGE_S = 86_400  # a day, as image hosts commonly answer
IDLE_S = 30  # how long a kept-alive connection may be silent
WATCH_S = 0.5


def edition() -> str:
    """Return the name of this drawing style: it changes with every change of a recipe, a typeface or a record."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.suffix in {".py", ".ttf", ".txt"}:
            digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    return f"edition-{digest.hexdigest()[:12]}"


class Studio:
    """Gives out the files of the sleeves and volumes. Any thread may call `sleeve` and `volume`."""

    def __init__(self, folder: Path) -> None:
        self._known = pictures()
        self._folder = folder / edition()
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in folder.glob("edition-*"):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        # One thread, so that a small machine draws one sleeve at a time and none twice. Always the same, because malloc keeps what a
        # thread has freed for it: after 120 sleeves, drawn by the threads of their requests, it had 159 MB instead of 82.
        self._painter = ThreadPoolExecutor(1, "painter")

    def sleeve(self, name: str) -> Path | None:
        """Return the file of a sleeve such as `slug.jpg`, drawn now if it has to be; None when there is no such record."""
        entry = self._known.get(name)
        return None if entry is None else self._drawn(name, lambda: paint(entry, png=name.endswith(".png")))

    def volume(self, name: str) -> Path | None:
        """Return the file of a volume, drawn now if it has to be; None when there is no such volume."""
        volume = VOLUMES.get(name)
        return None if volume is None else self._drawn(name, lambda: draw_volume(volume))

    def _drawn(self, name: str, draw: Callable[[], bytes]) -> Path:
        path = self._folder / name
        if not path.exists():
            self._painter.submit(self._draw, path, draw).result()
        return path

    @staticmethod
    def _draw(path: Path, draw: Callable[[], bytes]) -> None:
        if not path.exists():
            # Renamed when whole: an origin that is killed leaves no partial image.
            unfinished = path.with_suffix(".part")
            unfinished.write_bytes(draw())
            unfinished.replace(path)


class Origin(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, studio: Studio, delay_s: float) -> None:
        self.studio = studio
        self.delay_s = delay_s
        super().__init__(("127.0.0.1", port), SleeveHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hung up is its own affair.
        if not isinstance(sys.exception(), ConnectionError):
            logger.exception("request failed client=%s", client_address)


class SleeveHandler(BaseHTTPRequestHandler):
    """`GET /sleeves/<name>`, `GET /files/<name>` and `GET /health`; HEAD of each."""

    protocol_version = "HTTP/1.1"
    server_version = "SleeveOrigin/1"
    sys_version = ""
    timeout = IDLE_S
    server: Origin

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/health":
            self._answer(HTTPStatus.OK, b"ok\n", {"Content-Type": "text/plain", "Cache-Control": "no-store"})
        elif path.startswith("/sleeves/"):
            self._sleeve(path.removeprefix("/sleeves/"))
        elif path.startswith("/files/"):
            self._volume(path.removeprefix("/files/"))
        else:
            self._missing()

    do_HEAD = do_GET

    def _sleeve(self, name: str) -> None:
        if self.server.delay_s:
            time.sleep(self.server.delay_s)
        file = self.server.studio.sleeve(name)
        if file is None:
            self._missing()
            return
        body, headers = self._read(file)
        if self._has_it(headers["ETag"], file.stat().st_mtime):
            self._answer(HTTPStatus.NOT_MODIFIED, b"", headers)
        else:
            self._answer(HTTPStatus.OK, body, {"Content-Type": TYPES[file.suffix], **headers})

    def _volume(self, name: str) -> None:
        file = self.server.studio.volume(name)
        if file is None:
            self._missing()
            return
        body, headers = self._read(file)
        headers |= {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        speed = SLOW_BYTES_PER_S if VOLUMES[name].is_slow else 0
        wanted = FROM.fullmatch(self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and self.headers.get("If-Range", headers["ETag"]) == headers["ETag"] else 0
        if self._has_it(headers["ETag"], file.stat().st_mtime):
            self._answer(HTTPStatus.NOT_MODIFIED, b"", headers)
        elif start >= len(body):
            self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", {**headers, "Content-Range": f"bytes */{len(body)}"})
        elif start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self._answer(HTTPStatus.PARTIAL_CONTENT, body[start:], headers, speed)
        else:
            self._answer(HTTPStatus.OK, body, headers, speed)

    @staticmethod
    def _read(file: Path) -> tuple[bytes, dict[str, str]]:
        body = file.read_bytes()
        return body, {
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:20]}"',
            "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True),
            "Cache-Control": f"public, max-age={MAX_AGE_S}",
        }

    def _has_it(self, tag: str, changed_at: float) -> bool:
        """Return True if the client's copy is current. The date counts only without a tag (RFC 9110, 13.2.2)."""
        tags = self.headers.get("If-None-Match")
        if tags is not None:
            return tags.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in tags.split(","))
        since = self.headers.get("If-Modified-Since")
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return since is not None and int(changed_at) <= parsedate_to_datetime(since).timestamp()
        return False

    def _missing(self) -> None:
        self._answer(HTTPStatus.NOT_FOUND, b"no such file\n", {"Content-Type": "text/plain", "Cache-Control": "no-store"})

    def _answer(self, status: HTTPStatus, body: bytes, headers: dict[str, str], bytes_per_s: int = 0) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        size = int(bytes_per_s * PIECE_S) or len(body)
        for start in range(0, len(body), max(1, size)):
            if start:
                time.sleep(PIECE_S)
            self.wfile.write(body[start : start + size])

    def log_message(self, format: str, *args: object) -> None:
        logger.debug("%s %s", self.address_string(), format % args)


def watch_parent(parent: int, leave: Callable[[], None]) -> None:
    """Call `leave` when the parent process has ended."""
    is_child = os.getppid() == parent

    def is_gone() -> bool:
        if is_child:
            return os.getppid() != parent
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False

    def watch() -> None:
        while not is_gone():
            time.sleep(WATCH_S)
        leave()

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m image_cache.demo.origin", description="Serve the sleeves and volumes of the demo on the loopback."
    )
    parser.add_argument("--port", type=int, default=5077, help="0 takes a free one")
    parser.add_argument("--dir", type=Path, required=True, help="folder where drawn sleeves are kept")
    parser.add_argument("--delay-ms", type=int, default=0, help="wait this long before each sleeve, as a far origin would")
    parser.add_argument("--parent", type=int, help="leave when the process with this id is gone")
    options = parser.parse_args(arguments)
    # Drawing gives way to the pages that wait for it on the same machine.
    os.nice(5)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with Origin(options.port, Studio(options.dir), options.delay_ms / 1000) as server:
        if options.parent:
            watch_parent(options.parent, over.set)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="serve", daemon=True).start()
        sys.stdout.write(f"demo origin on http://127.0.0.1:{server.server_port}, sleeves in {options.dir}\n")
        sys.stdout.flush()
        over.wait()
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
