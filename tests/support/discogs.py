"""A server that speaks as Discogs documents it, as its own process: a collection, releases, images under signed addresses.

    with DiscogsServer(records=250, window_s=1.0) as discogs:
        ...
        assert discogs.log()["over"] == 0

It counts calls in a moving window and refuses what is over the limit; the window may be shorter than a minute. Faults are ordered
with `control`. Sources: the developer pages of Discogs (paging, limits, media type) and answers that its clients keep as samples.
"""

import argparse
import base64
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.servers import about_to_start

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMn"
ACCOUNT = "vera.vinyl"
LIMIT = 60
WITH_PICTURES = 900_000
ARTISTS = (
    [{"name": "Zeno Parrish", "anv": "", "join": "", "id": 1}],
    [{"name": "Brine Parliament (2)", "anv": "", "join": "", "id": 2}],
    [{"name": "Ada Quill", "anv": "A. Quill", "join": "&", "id": 3}, {"name": "The Sills (4)", "anv": "", "join": "", "id": 4}],
    [
        {"name": "One", "anv": "", "join": ",", "id": 5},
        {"name": "Two", "anv": "", "join": "Feat.", "id": 6},
        {"name": "Three", "anv": "", "join": "", "id": 7},
    ],
)
GRADES = ("Mint (M)", "Near Mint (NM or M-)", "Very Good Plus (VG+)")


class DiscogsServer:
    """The process, from the side of a test."""

    def __init__(self, *, records: int = 0, window_s: float = 1.0, images: str = "https://i.discogs.com") -> None:
        about_to_start()
        command = [sys.executable, "-m", "tests.support.discogs", "--records", str(records), "--window", str(window_s)]
        self.process = subprocess.Popen(
            [*command, "--images", images, "--parent", str(os.getpid())], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.base = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def control(self, **wanted: Any) -> Any:
        """Change how it behaves; see `State.control`."""
        asked = urllib.request.Request(f"{self.base}/__control", data=json.dumps(wanted).encode(), method="POST")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def log(self) -> dict[str, Any]:
        """Return {"requests": [[path, status, authorization, user agent], ...], "over": calls above the limit, "used": most at a time}."""
        return dict(self.control())

    def paths(self, pattern: str = "", status: int | None = None) -> list[str]:
        """Return the paths that were requested, in order, that match."""
        return [row[0] for row in self.log()["requests"] if re.search(pattern, row[0]) and status in (None, row[1])]


def item(number: int, release: int | None = None) -> dict[str, Any]:
    """Return record number `number` of a collection as a listing shows it, without its addresses."""
    release = release or 100_000 + number
    chance = random.Random(number)
    day = f"{2001 + number // 336:04}-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}"
    return {
        "id": release,
        "instance_id": 700_000_000 + number,
        "folder_id": 1,
        "rating": number % 6,
        "date_added": f"{day}T12:00:00-08:00",
        "notes": [
            {"field_id": 1, "value": chance.choice(GRADES)},
            {"field_id": 2, "value": chance.choice(GRADES) if number % 2 else ""},
            {"field_id": 3, "value": f"Bought on {day}" if number % 5 == 0 else ""},
            {"field_id": 4, "value": f"B {number % 9}" if number % 7 == 0 else ""},
        ],
        "basic_information": {
            "id": release,
            "master_id": 0,
            "title": f"Record {number:05}",
            "year": 0 if number % 11 == 0 else 1950 + number % 70,
            "artists": ARTISTS[number % len(ARTISTS)],
            "labels": [{"name": "Staithe (3)", "catno": "none" if number % 13 == 0 else f"ST {number}"}],
            "formats": [{"name": "Vinyl", "qty": "1", "descriptions": ["LP", "Album"], "text": "Red"}],
            "genres": [("Jazz", "Rock", "Folk, World, & Country")[number % 3]],
            "styles": ["Modal"],
            "has_picture": number % 10 != 9,
        },
    }


def want(release: int, notes: str = "") -> dict[str, Any]:
    """Return an entry of a wantlist: it has no instance, and its notes are one text."""
    listed = item(release - 100_000)
    return {name: listed[name] for name in ("id", "basic_information", "date_added")} | {
        "rating": 0,
        "notes": notes,
        "notes_public": True,
    }


def release(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": f"Release {number}",
        "tracklist": [
            {"position": "", "type_": "heading", "title": "First half", "duration": ""},
            {"position": "A1", "type_": "track", "title": f"Opening {number}", "duration": "3:04"},
            {
                "position": "",
                "type_": "index",
                "title": "Suite",
                "duration": "",
                "sub_tracks": [
                    {"position": "A2a", "type_": "track", "title": "Ebb", "duration": "1:00"},
                    {"position": "A2b", "type_": "track", "title": "Flow", "duration": ""},
                ],
            },
            {
                "position": "B1",
                "type_": "track",
                "title": "Closing",
                "duration": "1:02:10",
                "artists": [{"name": "Guest (2)", "anv": "", "join": ""}],
            },
        ],
        "identifiers": [
            {"type": "Matrix / Runout", "value": "ST 1 A"},
            {"type": "Barcode", "value": "5 012345 678900", "description": "Text"},
        ],
        # A release has images that its line in a collection does not show: here those with a number from 900,000 on.
        "images": [
            {"type": "secondary", "uri": f"https://i.discogs.com/R-{number}-1500000001-1111.jpeg", "width": 600, "height": 600},
            {"type": "primary", "uri": f"https://i.discogs.com/R-{number}-1500000000-1234.jpeg", "width": 600, "height": 600},
        ]
        if number >= WITH_PICTURES
        else [],
    }


def searched(query: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return what a search finds among two pressings of one record, and one that has another barcode in its free text."""
    pressings = [
        (501, "UK", "1979", "ST 1", ["5 012345 678900", "ST 1 A"]),
        (502, "Germany", "1980", "ST 1-2", ["5012345678900"]),
        (503, "US", "1981", "US 9", ["Not 5012345678900 but 7 2064-24425-2 4"]),
    ]
    barcode, catno, words = (query.get(name, [""])[0] for name in ("barcode", "catno", "q"))
    found = []
    for number, country, year, number_on_spine, codes in pressings:
        digits = ["".join(filter(str.isdigit, code)) for code in codes]
        if (
            barcode in digits
            or (catno and catno == number_on_spine)
            or (words and words.lower() in ("soft tides", "5012345678900"))
        ):
            one = {"id": number, "type": "release", "title": "Soft Tide (2) - Low Water", "year": year, "country": country}
            names = {"label": ["Stern", "Stern Records"], "catno": number_on_spine, "format": ["Vinyl", "LP"], "genre": ["Jazz"]}
            cover = f"https://i.discogs.com/R-{number}-1500000000-1234.jpeg"
            found.append({**one, **names, "barcode": codes, "style": [], "cover_image": cover, "thumb": ""})
    return found


class State:
    """What the server is. `lock` protects everything."""

    def __init__(self, records: int, window_s: float, images: str) -> None:
        self.lock = threading.Lock()
        self.window_s = window_s
        self.images = images
        self._begin(records)

    def _begin(self, records: int) -> None:
        self.items = [item(n) for n in range(records)]
        self.token = TOKEN
        self.is_private = False
        self.faults: list[dict[str, Any]] = []
        self.before_page: dict[int, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, int, str, str]] = []
        self.calls: deque[float] = deque()
        self.others = 0
        self.over = self.used = 0
        self.wants: list[dict[str, Any]] = []
        self.is_seller = False
        self.signature = 0
        self.dead: set[str] = set()

    def control(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Do what a test orders, and tell what was asked so far.

        `add` numbers of new records, `remove` places in the collection, `change` {place: values of the description}, `copy` a place of
        which a second copy is added, `faults` a list of {path, kind, after?, skip?, times?, every?}, `before_page` {page: an order
        carried out before that page is answered}, `token`, `private`, `others` calls of other clients in the window, `forget` the log,
        `kill_signatures`: addresses given out so far die. `wants`: [release, notes] of the wantlist.
        `seller`: the account has the settings of a seller, so that prices are suggested. `reset` makes it a new server with so many records, before all of that.
        """
        with self.lock:
            if "reset" in wanted:
                self._begin(wanted["reset"])
            self._order(wanted)
            return {"requests": self.requests, "over": self.over, "used": self.used, "items": len(self.items)}

    def _order(self, wanted: dict[str, Any]) -> None:
        for place in sorted(wanted.get("remove", ()), reverse=True):
            del self.items[place]
        for place in wanted.get("copy", ()):
            first = self.items[place]
            self.items.append({**first, "instance_id": 900_000_000 + len(self.items), "notes": []})
        for number in wanted.get("add", ()):
            self.items.append(item(number))
        for place, values in wanted.get("change", {}).items():
            known = self.items[int(place)]
            known["basic_information"] |= values.pop("basic_information", {})
            known |= values
        for name in ("token", "faults", "others", "signature"):
            if name in wanted:
                setattr(self, name, wanted[name])
        if "wants" in wanted:
            self.wants = [want(*one) for one in wanted["wants"]]
        self.is_private = wanted.get("private", self.is_private)
        self.is_seller = wanted.get("seller", self.is_seller)
        if "before_page" in wanted:
            self.before_page = {int(page): orders for page, orders in wanted["before_page"].items()}
        if wanted.get("kill_signatures"):
            self.dead = {f"sig{n}" for n in range(self.signature + 1)}
        if wanted.get("forget"):
            self.requests, self.over, self.used = [], 0, 0

    def count(self) -> tuple[int, bool]:
        """Count a call; return (calls in the window before it, whether it is over the limit)."""
        with self.lock:
            now = time.monotonic()
            while self.calls and self.calls[0] <= now - self.window_s:
                self.calls.popleft()
            used = len(self.calls) + self.others
            is_over = used >= LIMIT
            self.calls.append(now)
            self.over += is_over
            self.used = max(self.used, used + 1)
            return used, is_over

    def fault(self, path: str) -> dict[str, Any] | None:
        with self.lock:
            for fault in self.faults:
                if not re.search(fault.get("path", ""), path):
                    continue
                fault["seen"] = fault.get("seen", 0) + 1
                if fault["seen"] <= fault.get("skip", 0) or fault["seen"] % fault.get("every", 1):
                    continue
                if fault.get("times", 1_000_000) > 0:
                    fault["times"] = fault.get("times", 1_000_000) - 1
                    return dict(fault)
        return None

    def page(self, number: int, size: int) -> dict[str, Any] | None:
        with self.lock:
            for order in self.before_page.pop(number, []):
                self._order(order)
            self.signature += 1
            pages = max(1, -(-len(self.items) // size))
            if number > pages:
                return None
            shown = self.items[(number - 1) * size : number * size]
            return {
                "pagination": {"page": number, "pages": pages, "per_page": size, "items": len(self.items), "urls": {}},
                "releases": [self._with_addresses(one) for one in shown],
            }

    def wants_page(self, number: int, size: int) -> dict[str, Any] | None:
        with self.lock:
            pages = max(1, -(-len(self.wants) // size))
            if number > pages:
                return None
            shown = [self._with_addresses(one) for one in self.wants[(number - 1) * size : number * size]]
            totals = {"page": number, "pages": pages, "per_page": size, "items": len(self.wants), "urls": {}}
            return {"pagination": totals, "wants": shown}

    def _with_addresses(self, one: dict[str, Any]) -> dict[str, Any]:
        basic = dict(one["basic_information"])
        has_picture = basic.pop("has_picture", True)
        if has_picture:
            basic.setdefault("thumb", self.address(one["id"], 150, 40))
            basic.setdefault("cover_image", self.address(one["id"], 600, 90))
        else:
            basic.setdefault("thumb", "")
            basic.setdefault("cover_image", "https://st.discogs.com/8deafd/images/spacer.gif")
        return {**one, "basic_information": basic}

    def address(self, number: int, edge: int, quality: int) -> str:
        packed = (
            base64.urlsafe_b64encode(f"s3://discogs-database-images/R-{number}-1500000000-1234.jpeg".encode())
            .decode()
            .rstrip("=")
        )
        strewn = "/".join(packed[at : at + 16] for at in range(0, len(packed), 16))
        return f"{self.images}/sig{self.signature}/rs:fit/g:sm/q:{quality}/h:{edge}/w:{edge}/{strewn}.jpeg"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._send(200, self.state.control(json.loads(body)), {})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if "/rs:fit/" in path or path.endswith(".jpeg"):
            self._picture(path)
            return
        used, is_over = self.state.count()
        headers = {
            "X-Discogs-Ratelimit": str(LIMIT),
            "X-Discogs-Ratelimit-Used": str(min(used, LIMIT)),  # its numbers lag by one
            "X-Discogs-Ratelimit-Remaining": str(max(0, LIMIT - used)),
        }
        fault = self.state.fault(self.path)
        if is_over:
            status, data = 429, {"message": "You are making requests too quickly."}
        elif fault is not None and fault["kind"].isdigit():
            status, data = int(fault["kind"]), {"message": "as ordered"}
            headers |= {"Retry-After": str(fault["after"])} if "after" in fault else {}
        else:
            status, data = self._answer(path)
        with self.state.lock:
            self.state.requests.append(
                (self.path, status, self.headers.get("Authorization", ""), self.headers.get("User-Agent", ""))
            )
        if fault is not None and not fault["kind"].isdigit() and not is_over:
            self._break(fault["kind"], data)
        else:
            self._send(status, data, headers)

    def _answer(self, path: str) -> tuple[int, Any]:
        token = self.headers.get("Authorization", "").removeprefix("Discogs token=")
        if not self.headers.get("User-Agent"):
            return 403, {"message": "You must send a User-Agent."}
        if "vnd.discogs.v2" not in self.headers.get("Accept", ""):
            return 406, {"message": "not this media type"}
        if token != self.state.token:
            return 401, {"message": "Invalid consumer token. Please register an app before making requests."}
        found = self._found([unquote(part) for part in path.strip("/").split("/")])
        return found or (404, {"message": "The requested resource was not found."})

    def _found(self, parts: list[str]) -> tuple[int, Any] | None:
        query = parse_qs(urlsplit(self.path).query)
        if parts == ["oauth", "identity"]:
            return 200, {"id": 1, "username": ACCOUNT, "resource_url": "", "consumer_name": ""}
        if parts == ["database", "search"]:
            return 200, {"pagination": {"page": 1, "pages": 1}, "results": searched(query)}
        if parts[:2] == ["users", ACCOUNT]:
            return self._of_account(parts[2:], query)
        if parts[:1] == ["marketplace"] and len(parts) == 3 and parts[2].isdigit():
            return self._price(parts[1], int(parts[2]), query)
        is_release = parts[0] == "releases" and len(parts) == 2 and parts[1].isdigit()
        return (200, release(int(parts[1]))) if is_release else None

    def _of_account(self, parts: list[str], query: dict[str, list[str]]) -> tuple[int, Any] | None:
        number, size = int(query.get("page", ["1"])[0]), min(100, int(query.get("per_page", ["50"])[0]))
        if parts == ["wants"]:
            page = self.state.wants_page(number, size)
            return (200, page) if page else None
        if parts[:1] == ["collection"] and self.state.is_private:
            return 403, {"message": "You are not allowed to view this collection."}
        if parts == ["collection", "fields"]:
            names = ("Media", "Sleeve", "Notes", "Shelf")
            return 200, {"fields": [{"id": n, "name": name, "position": n} for n, name in enumerate(names, 1)]}
        page = self.state.page(number, size) if parts == ["collection", "folders", "0", "releases"] else None
        return (200, page) if page else None

    def _price(self, what: str, number: int, query: dict[str, list[str]]) -> tuple[int, Any] | None:
        if what == "stats":
            currency = query.get("curr_abbr", ["USD"])[0]
            price = None if number % 4 == 0 else {"value": number % 100 + 0.5, "currency": currency}
            return 200, {"lowest_price": price, "num_for_sale": 0 if price is None else 3, "blocked_from_sale": False}
        if not self.state.is_seller:
            return 404, {"message": "You must complete your seller settings."}
        grades = {"Near Mint (NM or M-)": 30.25, "Very Good Plus (VG+)": 20.0, "Good Plus (G+)": 4.1}
        return 200, {} if number % 3 == 0 else {grade: {"value": price, "currency": "EUR"} for grade, price in grades.items()}

    def _picture(self, path: str) -> None:
        from tests.support.origin import jpeg

        with self.state.lock:
            is_dead = path.split("/")[1] in self.state.dead
            self.state.requests.append((self.path, 403 if is_dead else 200, self.headers.get("Authorization", ""), ""))
        if is_dead:
            self._send(403, {}, {})
            return
        seed = sum(path.encode())
        self._send(200, jpeg(300, 300, (seed % 256, seed * 7 % 256, seed * 13 % 256)), {}, "image/jpeg")

    def _break(self, kind: str, data: Any) -> None:
        """Break the protocol: `cut` in the middle of the body, `reset` before it, `html` in place of JSON."""
        self.close_connection = True
        body = b"<html>maintenance</html>" if kind == "html" else json.dumps(data).encode()
        if kind != "reset":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if kind == "html" else body[: len(body) // 2])
        if kind != "html":
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, data: Any, headers: dict[str, str], kind: str = "application/json") -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The test looks at `DiscogsServer.log`; nothing is printed."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--records", type=int, default=0)
    options.add_argument("--window", type=float, default=60.0)
    options.add_argument("--images", default="https://i.discogs.com")
    options.add_argument("--parent", type=int, default=0)
    chosen = options.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    images = chosen.images if chosen.images != "self" else f"http://127.0.0.1:{server.server_address[1]}"
    _Handler.state = State(chosen.records, chosen.window, images)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    while not chosen.parent or os.getppid() == chosen.parent:  # ends with the test, also when that is killed
        time.sleep(0.5)


if __name__ == "__main__":
    main()
