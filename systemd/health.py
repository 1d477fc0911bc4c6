"""Wait until the service answers, and say how it is: `health.py --wait 60 [--strict]`. Exit status 0 when it answers.

With `--strict` only a healthy or degraded one is good enough, for an update that must decide whether to stay. Without, an
answer is: a vault whose catalogue is broken still serves images, and starting it again would not repair it.
"""

import argparse
import http.client
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from image_cache.config import load_settings
from image_cache.errors import ConfigError

PAUSE_S = 0.25
ANSWER_S = 20.0


def ask(host: str, port: int, name: str) -> tuple[int, str]:
    """Return the status of `/health` and its verdict with what is wrong."""
    line = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        line.request("GET", "/health", headers={"Host": name, "Accept": "application/json"})
        answer = line.getresponse()
        body = answer.read(1_000_000)
    finally:
        line.close()
    try:
        found = json.loads(body)
        wrong = [
            f"{what}: {check['message']}" for what, check in found["checks"].items() if check["state"] in ("failed", "warning")
        ]
        return answer.status, " ".join([f"{found['status']}.", *wrong])
    except (ValueError, KeyError, TypeError):
        return answer.status, f"it answers {answer.status}."


def main() -> int:
    parser = argparse.ArgumentParser(description="Wait until VinylVault answers, and say how it is.")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--strict", action="store_true", help="fail when it answers but is unhealthy")
    given = parser.parse_args()
    try:
        settings = load_settings()
    except ConfigError as error:
        print(f"VinylVault was not asked, because a setting is wrong. {error}.", file=sys.stderr)
        return 2
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)  # noqa: S104
    name = next(iter(settings.TRUSTED_HOSTS), "localhost").lstrip(".")
    deadline = time.monotonic() + given.wait
    while True:
        try:
            status, verdict = ask(host, settings.PORT, name)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() >= deadline:
                print(f"VinylVault does not answer on port {settings.PORT} ({error}).", file=sys.stderr)
                return 2
            time.sleep(PAUSE_S)
            continue
        is_good = status < 500 or not given.strict
        if is_good or time.monotonic() >= deadline:
            print(f"VinylVault is {verdict}", flush=True)
            return 0 if is_good else 2
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    sys.exit(main())
