"""Make a running vault load covers, for a measuring script that only knows addresses at an origin.

    python benchmarks/adapter.py http://127.0.0.1:8000 < addresses.txt

Source addresses come in on stdin, one a line. They are preloaded, and when every one is ready a line for each goes out in the
same order: the path of the 600 px image, a tab, the path of the 150 px one. The vault must be on this server (only there
may unknown addresses be registered) and must trust the origin (`VINYL_VAULT_TRUSTED_ORIGINS`). Polling is paid by the vault
that is measured, so it is rare.
"""

import json
import sys
import time
import urllib.request
from collections.abc import Iterable
from typing import Any

AT_A_TIME = 500
POLL_S = 0.5


def post(base: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        reply: dict[str, Any] = json.load(answer)
    return reply


def load(base: str, urls: list[str]) -> dict[str, str]:
    """Have all addresses loaded; returns the digest of each. Exits with a sentence when one is refused or fails."""
    digests: dict[str, str] = {}
    parts = [urls[start : start + AT_A_TIME] for start in range(0, len(urls), AT_A_TIME)]
    for part in parts:
        reply = post(base, "/api/cache/preload", {"urls": part})
        if reply["refused"]:
            sys.exit(f"refused: {reply['refused']}")
        digests |= reply["digests"]
    for part in parts:
        rest = [digests[url] for url in part]
        while rest:
            time.sleep(POLL_S)
            state = post(base, "/api/cache/state", {"digests": rest})
            if state["failed"] or state["none"]:
                sys.exit(f"not loaded: {len(state['failed'])} failed, {len(state['none'])} unknown")
            rest = state["waiting"] + state["working"]
    return digests


def make_small(base: str, digests: Iterable[str]) -> None:
    """Ask for the 150 px images, which are made on request, until all are there."""
    rest = list(digests)
    while rest := [digest for digest in rest if _status(f"{base}/cache/thumbnails/{digest}.webp") != 200]:
        time.sleep(POLL_S)


def _status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return int(answer.status)


def main() -> None:
    base = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:5000"
    urls = sys.stdin.read().split()
    digests = load(base, urls)
    make_small(base, digests.values())
    for url in urls:
        print(f"/cache/detail/{digests[url]}.webp\t/cache/thumbnails/{digests[url]}.webp")


if __name__ == "__main__":
    main()
