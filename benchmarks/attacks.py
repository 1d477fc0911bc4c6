"""Attacks: how long a page takes for another client during each attack, and after it. Two minutes.

    python -m benchmarks.attacks [--only WORDS] [--times 4] [--nginx]

Runs the attacks of `tests/support/attacks.py` one after the other on one vault with 60 covers, from 127.0.0.2, and loads the
first page from 127.0.0.1. An attack ends after `--times` pages or 8 s; one more page follows. Run it on an idle machine,
because the attacker has the same cores.
"""

import argparse
import http.client
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import cpu_s, machine, table
from benchmarks.servers import fill, origin, pid_of
from tests.support.attacks import Attack, attacks
from tests.support.front import Front, vault_behind

COVERS = 60
LONGEST_S = 8.0  # of one attack
PATIENCE_S = 20.0  # for one page
SETTLE_S = 0.3  # between two attacks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="attacks whose name contains this")
    parser.add_argument("--times", type=int, default=4, help="pages during each attack")
    parser.add_argument("--nginx", action="store_true", help="attack the nginx in front of the service")
    known = parser.parse_args()
    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vinylvault-bench-")))
        base = stack.enter_context(origin(COVERS))
        vault = stack.enter_context(vault_behind(folder, trusted=(base,)))
        urls = [f"{base}/{n}.jpg" for n in range(COVERS)]
        vault.import_albums([{"artist": f"A{n:02}", "title": "T", "cover_url": url} for n, url in enumerate(urls)])
        fill(vault, urls)
        port = stack.enter_context(Front(vault)).port if known.nginx else vault.port
        calm = sorted(_page_s(port) for _ in range(10))
        print(f"a page of {COVERS} records without an attack: {calm[5]:.2f} s, at most {calm[-1]:.2f} s\n", flush=True)
        rows = []
        for name, attack in attacks(port).items():
            if known.only in name:
                before = cpu_s(pid_of(vault))
                during, after = _under(attack, port, known.times)
                rows.append((name, f"{max(during):.2f}", f"{after:.2f}", f"{cpu_s(pid_of(vault)) - before:.1f}"))
                time.sleep(SETTLE_S)
        rows.sort(key=lambda row: -float(row[1]))
        table(("", "worst s", "after s", "CPU s of the service"), rows)


def _under(attack: Attack, port: int, times: int) -> tuple[list[float], float]:
    """Return the seconds of each page during an attack, and of one after it."""
    found: list[float] = []
    with ExitStack() as stack:
        step = attack(stack)
        ends_at = time.monotonic() + LONGEST_S
        while len(found) < times and (not found or time.monotonic() < ends_at):
            found.append(_page_s(port))
            step()
    return found, _page_s(port)


def _page_s(port: int) -> float:
    """Return the seconds of one page over a connection of its own; at most `PATIENCE_S`."""
    begun = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        client.request("GET", "/", headers={"Accept": "text/html"})
        answer = client.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the page was answered {answer.status}")
    except TimeoutError:
        return PATIENCE_S
    finally:
        client.close()
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
