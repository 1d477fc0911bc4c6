"""Servers that speak the protocols of ListenBrainz and Last.fm as they document them, with their limits, errors and oddities.

    with ListenBrainzServer() as server:
        ...
        assert server.listens() == [(1764440000, "Artist", "Title")]

Faults are put into `faults`, one for each request to come: "drop before" and "drop after" (the work was done), a status, or a number
of Last.fm's list of errors. Every connection has a thread; leaving the block joins them.
"""

import hashlib
import json
import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

TOKEN = "5b4c2a1e-7f60-4a3b-9d8e-0123456789ab"
KEY, SECRET = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
ALLOWED = "allowed-token-of-a-browser-000001"
SESSION = "session-key-of-vera-0000000000001"
OLDEST, AHEAD_S = 1033410600, 3600


class _Server:
    """A server on loopback. `requests`: (method, path, headers, body) of each call, as it came in."""

    def __init__(self) -> None:
        self.faults: list[str | int] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.lock = threading.Lock()
        owner = self

        class Handler(_Handler):
            service = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False
        self.base = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]] | None:
        """Return status, body and headers; None to cut the connection."""
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    service: ClassVar[_Server]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.service.lock:
            self.service.requests.append((self.command, self.path, headers, body))
            found = self.service.answer(self.command, self.path, headers, body)
        self.close_connection = True
        if found is None:
            return
        status, content, more = found
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Connection": "close", **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def _json(status: int, value: Any) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps(value).encode(), {"Content-Type": "application/json"}


class ListenBrainzServer(_Server):
    """ListenBrainz with one account. `calls` in a window of `window_s` are allowed; a listen by `BAD_ARTIST` is refused."""

    BAD_ARTIST = "Refused"

    def __init__(self, *, calls: int = 1000, window_s: float = 10.0) -> None:
        super().__init__()
        self.token = TOKEN
        self.stored: dict[tuple[int, str], dict[str, Any]] = {}
        self._calls, self._window_s = calls, window_s
        self._window, self._used = -math.inf, 0  # monotonic time begins with the machine

    def listens(self) -> list[tuple[int, str, str]]:
        """Return (listened_at, artist, title) of everything that is stored, in order."""
        with self.lock:
            found = [(at, row["artist_name"], row["track_name"]) for (at, _), row in self.stored.items()]
        return sorted(found)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]] | None:
        fault = self.faults.pop(0) if self.faults else None
        if fault == "drop before":
            return None
        if isinstance(fault, int):
            return _json(fault, {"code": fault, "error": "Cannot submit listens to queue, please try again later."})
        left_s = self._over_limit_s()
        if left_s:
            return 429, b"Rate limit exceeded", {"Content-Type": "text/plain", "X-RateLimit-Reset-In": str(left_s)}
        is_known = headers.get("authorization", "") == f"Token {self.token}"
        if (method, path) == ("GET", "/1/validate-token"):
            good = {"code": 200, "message": "Token valid.", "valid": True, "user_name": "vera_lb"}
            return _json(200, good if is_known else {"code": 200, "message": "Token invalid.", "valid": False})
        assert (method, path) == ("POST", "/1/submit-listens")
        if not is_known:
            return _json(401, {"code": 401, "error": "Invalid authorization token."})
        error = self._store(json.loads(body))
        found = _json(400, {"code": 400, "error": error}) if error else _json(200, {"status": "ok"})
        return None if fault == "drop after" else found

    def _over_limit_s(self) -> int:
        """Count a call; return the seconds that are left of the window if it is one too many, else 0."""
        now = time.monotonic()
        if now - self._window >= self._window_s:
            self._window, self._used = now, 0
        self._used += 1
        return max(1, round(self._window_s - (now - self._window))) if self._used > self._calls else 0

    def _store(self, told: dict[str, Any]) -> str:
        kind, payload = told.get("listen_type"), told.get("payload")
        if kind not in ("single", "import") or not payload or (kind == "single" and len(payload) != 1) or len(payload) > 1000:
            return "JSON document is invalid."
        for row in payload:
            about, at = row["track_metadata"], row["listened_at"]
            if set(row) != {"listened_at", "track_metadata"} or type(at) is not int or not OLDEST <= at < time.time() + AHEAD_S:
                return "Value for key listened_at is too high."
            if not about["artist_name"] or not about["track_name"] or about["artist_name"] == self.BAD_ARTIST:
                return "JSON document should not contain this listen."
        for row in payload:
            about = row["track_metadata"]
            same = {**about, "additional_info": {k: v for k, v in about["additional_info"].items() if "version" not in k}}
            self.stored[row["listened_at"], json.dumps(same, sort_keys=True)] = about
        return ""


class LastfmServer(_Server):
    """Last.fm with one account, which has allowed `ALLOWED`. `ignored`: artist to code; everything is stored as often as it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.session = SESSION
        self.ignored: dict[str, int] = {}
        self.stored: list[tuple[int, str, str]] = []
        self.sizes: list[int] = []

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]] | None:
        fault = self.faults.pop(0) if self.faults else None
        if fault == "drop before":
            return None
        if isinstance(fault, int):
            return _json(500 if fault in (8, 11, 16) else 403, {"error": fault, "message": f"Error {fault}"})
        told = dict(parse_qsl(body.decode(), keep_blank_values=True))
        if method != "POST" or path != "/2.0/" or told.get("format") != "json":
            return _json(400, {"error": 3, "message": "Invalid Method"})
        error = self._refusal(told)
        if error:
            return _json(403, {"error": error, "message": f"Error {error}"})
        found = getattr(self, "_" + told["method"].replace(".", "_"))(told)
        return None if fault == "drop after" else _json(200, found)

    def _refusal(self, told: dict[str, str]) -> int:
        signed = sorted((name, value) for name, value in told.items() if name not in ("api_sig", "format", "callback"))
        text = "".join(name + value for name, value in signed) + SECRET
        if told.get("api_key") != KEY:
            return 10
        if told.get("api_sig") != hashlib.md5(text.encode()).hexdigest():
            return 13
        if told["method"] == "auth.getSession":
            return 0 if told.get("token") == ALLOWED else 14
        return 0 if told.get("sk") == self.session else 9

    def _auth_getSession(self, _told: dict[str, str]) -> Any:
        return {"session": {"name": "vera_fm", "key": self.session, "subscriber": 0}}

    def _user_getInfo(self, _told: dict[str, str]) -> Any:
        return {"user": {"name": "vera_fm"}}

    def _user_getRecentTracks(self, told: dict[str, str]) -> Any:
        rows = [
            {"name": title, "artist": {"#text": artist}, "date": {"uts": str(at), "#text": ""}}
            for at, artist, title in self.stored
            if int(told["from"]) <= at <= int(told["to"])
        ]
        rows.append({"name": "Something else", "artist": {"#text": "Someone"}, "@attr": {"nowplaying": "true"}})
        return {"recenttracks": {"track": rows if len(rows) > 1 else rows[0], "@attr": {"user": told["user"]}}}

    def _track_scrobble(self, told: dict[str, str]) -> Any:
        size = sum(name.startswith("artist[") for name in told)
        assert 0 < size <= 50, size
        self.sizes.append(size)
        rows = []
        for index in range(size):
            artist, title, at = told[f"artist[{index}]"], told[f"track[{index}]"], told[f"timestamp[{index}]"]
            code = self.ignored.get(artist, 0)
            if not code:
                self.stored.append((int(at), artist, title))
            text = {"artist": {"corrected": "0", "#text": artist}, "track": {"corrected": "0", "#text": title}}
            rows.append({**text, "timestamp": at, "ignoredMessage": {"code": str(code), "#text": ""}})
        refused = sum(row["ignoredMessage"]["code"] != "0" for row in rows)
        head = {"accepted": size - refused, "ignored": refused}
        return {"scrobbles": {"scrobble": rows if len(rows) > 1 else rows[0], "@attr": head}}
