"""Memory of the processes: after the start, after covers were loaded, with and without the decoder, which leaves after a minute.

    python -m benchmarks.memory [--covers 60]

PSS counts shared pages by their share: what the machine would get back. "web" is the server without its decoder. The covers are
loaded but not looked at, so that the memory tier, which has its own budget, is empty. CPU is that of a minute of idling.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.measure import cpu_s, machine, pss_mb, table, tree
from benchmarks.servers import fill, origin, pid_of
from tests.support.vault import Vault, compiled_in

DECODER_LEAVES_S = 75.0  # 60 s without images, and the housekeeper that collects it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--covers", type=int, default=60)
    known = parser.parse_args()
    print(f"Memory\n{machine()}")
    rows: list[tuple[object, ...]] = []
    with (
        tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name,
        origin(known.covers) as base,
        Vault(Path(name) / "vault", trusted=(base,), **compiled_in(Path(name) / "compiled")) as vault,
    ):
        vault.stop()
        vault.start()
        pid = pid_of(vault)

        def note(what: str) -> int:
            web = vault.workers()
            decoder = [process for process in tree(pid) if process not in web]
            rows.append((what, pss_mb(*web), pss_mb(*decoder), len(decoder)))
            return len(decoder)

        vault.get("/")
        time.sleep(2)
        note("started, one page shown")
        fill(vault, [f"{base}/{n}.jpg" for n in range(known.covers)])
        note(f"{known.covers} covers loaded")
        begun, before = time.monotonic(), cpu_s(pid)
        while note("") and time.monotonic() - begun < DECODER_LEAVES_S:
            rows.pop()
            time.sleep(1)
        rows.pop()
        left_s = time.monotonic() - begun
        note("idle")
        time.sleep(max(0.0, 60 - left_s))
        idle_s = time.monotonic() - begun
        used = (cpu_s(pid) - before) / idle_s * 60_000
    table(("", "web PSS MB", "decoder PSS MB", "decoder processes"), rows)
    print(f"The decoder left after {left_s:.0f} s. A minute of idling takes {used:.0f} ms of CPU.\n")


if __name__ == "__main__":
    main()
