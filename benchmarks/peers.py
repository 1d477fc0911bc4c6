"""Ours beside well-known image servers, with the scripts of a peers folder: the warm hit, the cold path, the recipe, memory.

    PEERS_DIR=/path/to/peers python -m benchmarks.peers [--quick] [warm revalidate c1 gallery cold huge quality recipe memory]

The folder is not a part of this project. It holds `warm.py`, `cold.py`, `recipes.py` and `memory.py`, which start nginx, thumbor,
ipx and others and measure any server beside them; its own README says how it is set up (`PEERS_HOME` is where it installed).
Here a vault is started for each run, told to trust the origin of those scripts (`PEERS_PORT`, 9300), and filled.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.adapter import make_small
from benchmarks.measure import machine
from benchmarks.servers import fill, origin, pid_of
from benchmarks.streams import stream_of_fifty
from tests.support.vault import ROOT, Vault

THUMBNAILS = 200
PORT = int(os.environ.get("PEERS_PORT", "9300"))
RENDER = "image_cache.imaging.pillow:render_pair"


class Peers:
    """The folder of the scripts, and how they are run on a vault."""

    def __init__(self, folder: Path, *, is_quick: bool) -> None:
        self._folder = folder
        self._extra = ["--quick"] if is_quick else []

    def run(self, script: str, *arguments: str, **env: str) -> None:
        command = [sys.executable, str(self._folder / script), *arguments, *(self._extra if script != "memory.py" else [])]
        print(f"\n$ {script} {' '.join(arguments)}", flush=True)
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT), **env})

    def warm(self, *options: str) -> None:
        with _folder() as folder, origin(THUMBNAILS) as base, Vault(folder / "vault", trusted=(base,)) as vault:
            digests = fill(vault, [f"{base}/{n}.jpg" for n in range(THUMBNAILS)])
            make_small(vault.url, digests)
            listed = folder / "paths"
            listed.write_text("".join(f"/cache/thumbnails/{digest}.webp\n" for digest in digests), encoding="ascii")
            self.run("warm.py", *options, "--server", f"ours={vault.url},{pid_of(vault)},{listed}")

    def gallery(self) -> None:
        """Thumbnails of a stream, each requested by its policy, beside images without a policy."""
        with _folder() as folder:
            paths = stream_of_fifty(folder / "vault")
            listed = folder / "paths"
            listed.write_text("".join(f"{path}\n" for path in paths), encoding="ascii")
            with Vault(folder / "vault") as vault:
                server = f"ours={vault.url},{pid_of(vault)},{listed}"
                self.run("warm.py", "nginx-static", "flask-send-file", "thumbor", "--server", server)

    def cold(self, *options: str, recipe: str = "fast") -> None:
        trusted = (f"http://127.0.0.1:{PORT}",)
        with _folder() as folder, Vault(folder / "vault", trusted=trusted, VINYL_VAULT_RECIPE=recipe) as vault:
            self.run("cold.py", *options, "--server", f"ours={vault.url},{pid_of(vault)},{_adapter(vault)}")

    def memory(self) -> None:
        with _folder() as folder, origin(48) as base, Vault(folder / "vault", trusted=(base,)) as vault:
            urllib.request.urlopen(vault.url).close()
            listed = folder / "urls"
            listed.write_text("\n".join(f"{base}/{n}.jpg" for n in range(48)), encoding="ascii")
            load = f"{_adapter(vault)} < {listed} > /dev/null"
            self.run("memory.py", "watch", "--settle", "75", str(pid_of(vault)), "--", "sh", "-c", load)


def _adapter(vault: Vault) -> str:
    return f"{sys.executable} {ROOT}/benchmarks/adapter.py {vault.url}"


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name:
        yield Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all")
    parser.add_argument("--peers", type=Path, default=os.environ.get("PEERS_DIR"), help="the folder; default $PEERS_DIR")
    parser.add_argument("--quick", action="store_true", help="a run of seconds: the same columns, more noise")
    known = parser.parse_args()
    if known.peers is None or not (known.peers / "warm.py").is_file():
        sys.exit("No peers to measure: set PEERS_DIR to the folder of their scripts (warm.py, cold.py, recipes.py, memory.py).")
    peers = Peers(known.peers.resolve(), is_quick=known.quick)
    parts: dict[str, Callable[[], None]] = {
        "warm": peers.warm,
        "revalidate": lambda: peers.warm("--revalidate"),
        "c1": lambda: peers.warm("--c1"),
        "gallery": peers.gallery,
        "cold": lambda: peers.cold("--quality"),
        "huge": lambda: peers.cold("thumbor", "--set", "huge/baseline.jpg"),
        "quality": lambda: peers.cold("--quality", "--set", "covers", recipe="quality"),
        "recipe": lambda: peers.run(
            "recipes.py", "--module", RENDER, "--python", sys.executable, "--set", "covers,big,covers_png"
        ),
        "memory": peers.memory,
    }
    unknown = set(known.parts) - set(parts)
    if unknown:
        sys.exit(f"No part {', '.join(sorted(unknown))}; there are {', '.join(parts)}.")
    print(machine())
    for name in known.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
