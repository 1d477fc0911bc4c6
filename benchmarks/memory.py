"""Memory of the processes: after the start, after covers were loaded, with and without the decoder, which leaves after a minute.

    python -m benchmarks.memory [--covers 60 1000]

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

DRAWN = 120  # covers that differ; the others have the same pixels at another address
IDLE_S = 70.0  # what is kept for later is given back once a minute
DECODER_LEAVES_S = 75.0  # 60 s without images, and the housekeeper that collects it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--covers", type=int, nargs="+", default=[60])
    known = parser.parse_args()
    print(f"Memory\n{machine()}")
    rows = [row for covers in known.covers for row in _measured(covers)]
    table(("", "web PSS MB", "decoder PSS MB", "decoder processes", "its end, s", "CPU ms of an idle minute"), rows)


def _measured(covers: int) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    with (
        tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name,
        origin(min(covers, DRAWN)) as base,
        Vault(Path(name) / "vault", trusted=(base,), **compiled_in(Path(name) / "compiled")) as vault,
    ):
        vault.stop()
        vault.start()  # its modules are compiled
        pid = pid_of(vault)

        def decoders() -> list[int]:
            return [process for process in tree(pid) if process not in vault.workers()]

        def note(what: str, *more: object) -> None:
            rows.append((what, pss_mb(*vault.workers()), pss_mb(*decoders()), len(decoders()), *(more or ("", ""))))

        vault.get("/")
        time.sleep(2)
        note("one page shown")
        fill(vault, [f"{base}/{n // DRAWN}/{n % DRAWN}.jpg" for n in range(covers)])
        note(f"{covers:,} covers loaded")
        begun, before = time.monotonic(), cpu_s(pid)
        while decoders() and time.monotonic() - begun < DECODER_LEAVES_S:
            time.sleep(1)
        left_s = time.monotonic() - begun
        time.sleep(max(0.0, IDLE_S - left_s))
        used = (cpu_s(pid) - before) / (time.monotonic() - begun) * 60_000
        note(f"idle after {covers:,} covers", left_s, used)
    return rows


if __name__ == "__main__":
    main()
