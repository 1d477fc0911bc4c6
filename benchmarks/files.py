"""What it costs to keep a large file, beside `curl -o` and `sha256sum` on the same file from the same origin.

    python -m benchmarks.files [--mib 1024] [--runs 3] [--dir FOLDER]

Each way is run several times by turns, each in its own process; the origin is a third process that uses sendfile. Prints
the times in seconds, and by how many megabytes the peak memory of our process grew over what it held before the fetch. Exit
code 1 when the median is more than 1.5 times that of curl and sha256sum together, or the memory grew by 16 MB.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_TIMES = 1.5
MOST_MB = 16

ORIGIN = """
import os, socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        client, _ = server.accept()
        with client, open(sys.argv[1], "rb") as file:
            head = b""
            while b"\\r\\n\\r\\n" not in head:
                head += client.recv(65536)
            size = os.fstat(file.fileno()).st_size
            client.sendall(b'HTTP/1.1 200 OK\\r\\nETag: "1"\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n' % size)
            try:
                client.sendfile(file)
            except OSError:
                pass
"""

OURS = """
import json, resource, sys, time
from pathlib import Path
from image_cache import ImageCacheManager
import image_cache.net.client  # the price of the program, not of the file
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1000
with ImageCacheManager(cache_dir=sys.argv[1], max_cache_size_mb=100_000) as manager:
    manager.get_stats()
    before, start = peak(), time.perf_counter()
    path = manager.get_file(sys.argv[2])
    fetched = time.perf_counter() - start
    start = time.perf_counter()
    assert manager.get_file(sys.argv[2]) == path
    print(json.dumps({"s": fetched, "grown_mb": peak() - before, "hit_ms": (time.perf_counter() - start) * 1000}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure; default is that for temporary files")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.dir) as name:
        return _measure(Path(name), chosen.mib, chosen.runs)


def _measure(folder: Path, mib: int, runs: int) -> int:
    volume = folder / "volume.bin"
    with volume.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    origin = subprocess.Popen([sys.executable, "-c", ORIGIN, str(volume)], stdout=subprocess.PIPE, text=True)
    assert origin.stdout is not None
    url = f"http://127.0.0.1:{int(origin.stdout.readline())}/volume.bin"
    theirs, ours = [], []
    try:
        for turn in range(runs):
            theirs.append(_curl(folder, url))
            ours.append(_ours(folder / f"cache-{turn}", url))
    finally:
        origin.kill()
        origin.wait()
        origin.stdout.close()
    print(
        f"{mib} MiB over loopback, {runs} runs by turns; {platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    )
    print(f"curl -o, then sha256sum   {_shown(theirs)} s")
    print(f"ImageCacheManager.get_file {_shown([run['s'] for run in ours])} s")
    ratio = statistics.median(run["s"] for run in ours) / statistics.median(theirs)
    grown = max(run["grown_mb"] for run in ours)
    print(f"ratio {ratio:.2f} (at most {MOST_TIMES}), peak memory grew {grown:.1f} MB (less than {MOST_MB})")
    print(f"the second get_file took {statistics.median(run['hit_ms'] for run in ours):.2f} ms")
    return 0 if ratio <= MOST_TIMES and grown < MOST_MB else 1


def _curl(folder: Path, url: str) -> float:
    target = folder / "curl.bin"
    start = time.perf_counter()
    subprocess.run(["curl", "-s", "-o", str(target), url], check=True)
    subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    target.unlink()
    return seconds


def _ours(folder: Path, url: str) -> dict[str, float]:
    trusted = url.rpartition("/")[0]
    env = {**os.environ, "VINYL_VAULT_TRUSTED_ORIGINS": trusted, "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0"}
    done = subprocess.run([sys.executable, "-c", OURS, str(folder), url], check=True, cwd=ROOT, env=env, stdout=subprocess.PIPE)
    shutil.rmtree(folder)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _shown(times: list[float]) -> str:
    return f"median {statistics.median(times):.2f}, from {min(times):.2f} to {max(times):.2f}"


if __name__ == "__main__":
    sys.exit(main())
