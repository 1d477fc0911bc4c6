"""`python -m benchmarks`: every measurement that needs nothing but this project, a few minutes in all.

    python -m benchmarks [wall warm cold memory imports index library streams attacks]

Without names all run, in this order. Each is a program of its own with options: `python -m benchmarks.warm --help`.
"""

import subprocess
import sys

from benchmarks.measure import machine

PARTS = ("wall", "warm", "cold", "memory", "imports", "index", "library", "streams", "attacks")


def main() -> int:
    chosen = sys.argv[1:] or PARTS
    if unknown := set(chosen) - set(PARTS):
        print(f"No measurement {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}.\n{__doc__}", file=sys.stderr)
        return 2
    print(machine())
    worst = 0
    for part in chosen:
        print(f"\n$ python -m benchmarks.{part}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
