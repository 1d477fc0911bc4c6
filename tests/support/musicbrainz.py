"""MusicBrainz and the Cover Art Archive as their own process: what they answer, with their limits, on loopback.

    with Archive(folder) as archive:
        mbid = archive.add("Blue Lines", "Massive", barcode="5012980000000", fronts=[jpeg(900, 900)])
        ...
        archive.asked("/ws/2/")  # [(when, path, user agent), ...]

The web service refuses what names no agent (403), answers 503 for a while when asked more than once a second, searches by the
few fields that the program requests, and links releases with Discogs. The archive answers 307 to a second host, which answers 302
to a third, as the real one does; its originals are huge, and a client that requests one by mistake gets 20 MB.
"""

import argparse
import hashlib
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.servers import about_to_start

ROOT = Path(__file__).resolve().parents[2]
ALLOWED_S = 0.95  # between two requests; the rule says one a second on the average
TERM = re.compile(r'(\w+):(?:"((?:[^"\\]|\\.)*)"|(\S+))')
HUGE_BYTES = 21_000_000


def mbid_of(*words: str) -> str:
    """Return an id that is the same for the same words."""
    text = hashlib.sha256("|".join(words).encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"


class Archive:
    """The process, in the hands of a test. What is added is known to it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._releases: list[dict[str, Any]] = []
        self._write()
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; after a stop under its old address."""
        about_to_start()
        command = [sys.executable, "-m", "tests.support.musicbrainz", str(self.folder), "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """What a vault needs to ask this one."""
        return {
            "FIND_COVERS": True,
            "MUSICBRAINZ_API_URL": f"{self.base}/ws/2",
            "COVER_ART_URL": f"{self.base}/caa",
        }

    @property
    def environment(self) -> dict[str, str]:
        return {f"VINYL_VAULT_{name}": "1" if value is True else str(value) for name, value in self.settings.items()}

    def add(self, title: str, artist: str, *, fronts: list[bytes] | None = None, group: str = "", **facts: str) -> str:
        """Add a release with its fronts; facts are barcode, catno, label, discogs, year. Returns its id."""
        mbid = mbid_of(title, artist, *facts.values(), group)
        pictures = []
        for number, body in enumerate(fronts or [], 1000 + 10 * len(self._releases)):
            (self.folder / f"{number}.jpg").write_bytes(body)
            pictures.append(number)
        rgid = mbid_of("group", group or title, artist)
        self._releases.append({"id": mbid, "title": title, "artist": artist, "group": rgid, "fronts": pictures, **facts})
        self._write()
        return mbid

    def refuse(self, status: int, times: int = 1, *, path: str = "/", retry_after: int | None = None) -> None:
        """Let the next requests below a path be answered with a status."""
        self._control("refuse", {"status": status, "times": times, "path": path, "retry_after": retry_after})

    def answer_with(self, body: str, times: int = 1, *, path: str = "/") -> None:
        """Let the next requests below a path be answered with these bytes, status 200."""
        self._control("refuse", {"status": 200, "times": times, "path": path, "retry_after": None, "body": body})

    def asked(self, path: str = "/") -> list[tuple[float, str, str]]:
        """Return (when, path with query, user agent) of every request below a path, in order."""
        return [(at, what, agent) for at, what, agent in self._control("asked", {}) if what.startswith(path)]

    def refused(self) -> int:
        """Return how many requests came too fast."""
        return int(self._control("refused", {}))

    def _write(self) -> None:
        temp = self.folder / "releases.new"
        temp.write_text(json.dumps(self._releases), encoding="utf-8")
        temp.replace(self.folder / "releases.json")

    def _control(self, what: str, body: object) -> Any:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request("POST", f"/control/{what}", json.dumps(body))
            return json.loads(line.getresponse().read())
        finally:
            line.close()


# --- the process


@dataclass(slots=True)
class State:
    folder: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    last_at: float = 0.0
    too_fast: int = 0

    def releases(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "releases.json").read_text(encoding="utf-8"))
        return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def do_GET(self) -> None:
        state, now = self.state, time.monotonic()
        agent = self.headers.get("User-Agent", "")
        with state.lock:
            state.asked.append((now, self.path, agent))
            refusal = next((one for one in state.refusals if one["times"] > 0 and self.path.startswith(one["path"])), None)
            if refusal:
                refusal["times"] -= 1
            is_service = self.path.startswith("/ws/2/")
            is_fast = is_service and now - state.last_at < ALLOWED_S
            if is_service:
                state.last_at = now
                state.too_fast += is_fast
        if refusal:
            headers = {} if refusal["retry_after"] is None else {"Retry-After": str(refusal["retry_after"])}
            if refusal.get("body") is not None:
                self.send(refusal["status"], refusal["body"].encode(), "application/json", headers)
                return
            self.answer(refusal["status"], {"error": "refused"}, headers)
        elif is_service and (not agent or agent.startswith("python")):
            self.answer(403, {"error": "no user agent"})
        elif is_fast:
            self.answer(503, {"error": "Your requests are exceeding the allowable rate limit."})
        elif is_service:
            self.service()
        elif self.path.startswith("/caa/"):
            self.archive()
        else:
            self.store()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.state.lock:
            if self.path == "/control/refuse":
                self.state.refusals.append(body)
            told = {"/control/asked": self.state.asked, "/control/refused": self.state.too_fast}.get(self.path, 0)
            self.answer(200, told)

    def service(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        steps = parts.path.removeprefix("/ws/2/").split("/")
        releases = self.state.releases()
        if query.get("fmt") != "json":
            self.answer(400, {"error": "this one speaks JSON only"})
        elif steps[0] == "url":
            number = re.fullmatch(r"https://www\.discogs\.com/release/(\d+)", query.get("resource", ""))
            linked = [one for one in releases if number and one.get("discogs") == number[1]]
            relations = [{"type": "discogs", "target-type": "release", "release": told(one, 100)} for one in linked]
            self.answer(*((200, {"relations": relations}) if linked else (404, {"error": "Not Found"})))
        elif len(steps) == 2:
            found = [one for one in releases if one["id"] == steps[1]]
            self.answer(*((200, told(found[0], 100)) if found else (404, {"error": "Not Found"})))
        else:
            hits = [(one, score) for one in releases if (score := score_of(one, query.get("query", ""))) > 0]
            hits.sort(key=lambda hit: -hit[1])
            self.answer(
                200, {"count": len(hits), "offset": 0, "releases": [told(*hit) for hit in hits[: int(query.get("limit", 25))]]}
            )

    def archive(self) -> None:
        """The first host: everything that there is answers 307."""
        kind, mbid, *rest = urlsplit(self.path).path.removeprefix("/caa/").split("/")
        if not re.fullmatch(r"[0-9a-f-]{36}", mbid):
            self.answer(400, {"error": "invalid MBID"})
            return
        key = "id" if kind == "release" else "group"
        found = next((one for one in self.state.releases() if one[key] == mbid and one["fronts"]), None)
        if found is None:
            self.answer(404, {"error": "no cover art"})
        elif rest:
            self.move(307, f"/download/mbid-{found['id']}/{rest[0]}")
        else:
            self.move(307, f"/download/mbid-{found['id']}/index.json")

    def store(self) -> None:
        """The second and the third host."""
        path = urlsplit(self.path).path
        if path.startswith("/download/"):
            self.move(302, path.replace("/download/", "/items/"))
            return
        steps = path.split("/")
        mbid, name = steps[-2].removeprefix("mbid-"), steps[-1]
        release = next((one for one in self.state.releases() if one["id"] == mbid), None)
        picture = re.fullmatch(r"(\d+)(?:-(250|500|1200))?\.jpg", name)
        if release and name == "index.json":
            self.answer(200, listing(release))
        elif release and picture and int(picture[1]) in release["fronts"]:
            body = (self.state.folder / f"{picture[1]}.jpg").read_bytes()
            self.send(200, body if picture[2] else body.ljust(HUGE_BYTES, b"\0"), "image/jpeg", {})
        else:
            self.answer(404, {"error": "not here"})

    def move(self, status: int, location: str) -> None:
        self.send(status, b"see there\n", "text/plain", {"Location": location})

    def answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), "application/json", headers or {})

    def send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the client has hung up
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """The test asks what came."""


def told(release: dict[str, Any], score: int) -> dict[str, Any]:
    return {
        "id": release["id"],
        "score": score,
        "title": release["title"],
        "artist-credit": [{"name": release["artist"], "joinphrase": ""}],
        "release-group": {"id": release["group"]},
        "date": release.get("year", ""),
        "country": "GB",
        "barcode": release.get("barcode", ""),
    }


def listing(release: dict[str, Any]) -> dict[str, Any]:
    address = f"http://coverartarchive.org/release/{release['id']}"
    images = [
        {
            "id": str(number),
            "front": at == 0,
            "back": False,
            "approved": True,
            "types": ["Front"] if at == 0 else ["Booklet"],
            "comment": "",
            "image": f"{address}/{number}.jpg",
            "thumbnails": {size: f"{address}/{number}-{size}.jpg" for size in ("250", "500", "1200", "small", "large")},
        }
        for at, number in enumerate(release["fronts"])
    ]
    return {"images": images, "release": f"https://musicbrainz.org/release/{release['id']}"}


def score_of(release: dict[str, Any], query: str) -> int:
    """Return how well a release answers: 100 when every field that is requested agrees, less when only words do, 0 for not at all."""
    fields = {"release": "title", "artist": "artist", "barcode": "barcode", "catno": "catno", "label": "label"}
    scores: dict[str, int] = {}
    for name, quoted, word in TERM.findall(query):
        wanted = re.sub(r"\\(.)", r"\1", unquote(quoted or word.rstrip(")"))).lower()
        known = str(release.get(fields.get(name, ""), "")).lower()
        shared = set(wanted.split()) & set(known.split())
        score = 100 if wanted == known else 70 * len(shared) // max(len(wanted.split()), 1)
        scores[name] = max(scores.get(name, 0), score)
    must = [name for name in ("release", "catno") if name in scores] or list(scores)
    if not scores or any(scores[name] == 0 for name in must):
        return 0
    return max(scores.values()) if "barcode" in scores or "catno" in scores else sum(scores.values()) // len(scores)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is daily business."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    Handler.state = State(options.folder)
    server = Server(("127.0.0.1", options.port), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    finally:
        server.socket.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main()
