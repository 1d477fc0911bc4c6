"""`python -m benchmarks`: every measurement that needs nothing but this project, half an hour in all.

    python -m benchmarks [wall warm cold memory imports index library search streams archive attacks]

Without names all run, in this order. Each is its own program with options: `python -m benchmarks.warm --help`.
"""

import subprocess
import sys

from benchmarks.measure import machine

PARTS: dict[str, list[str]] = {
    "wall": ["--covers", "60", "1000"],
    "warm": [],
    "cold": [],
    "memory": ["--covers", "60", "1000"],
    "imports": ["--records", "10000", "100000"],
    "index": [],
    "library": [],
    "search": [],
    "streams": [],
    "archive": [],
    "attacks": [],
}


def main() -> int:
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := set(chosen) - PARTS.keys():
        print(f"No measurement {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}.\n{__doc__}", file=sys.stderr)
        return 2
    print(machine())
    worst = 0
    for part in chosen:
        print(f"\n$ python -m benchmarks.{part} {' '.join(PARTS[part])}".rstrip(), flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", f"benchmarks.{part}", *PARTS[part]], check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
