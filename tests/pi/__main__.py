"""`make rehearse-pi SUITE=bookworm MEMORY=512 CASES="covers uploads"`: everything that has not been done yet, then the report.

The image is built once for a suite, the program installed once for a version, the machine frozen once for a size of memory. A case
that held is not run again for the same version, unless `CASES` names it. With `PI_RELEASE=1a2b3c4d` cases that changed are run with
a version that was installed before. The exit status is 1 if a case failed.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.pi import report
from tests.pi.board import Board, install, prepare_stream
from tests.pi.guest import CPUS
from tests.pi.image import BASE_DIR, PYTHONS, image, missing
from tests.pi.order import CASES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=PYTHONS, default="bookworm")
    parser.add_argument("--memory", type=int, default=512, metavar="MB")
    parser.add_argument("--cases", nargs="*", default=[], choices=[*CASES, []], metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--cuts", type=int, default=10, help="how often the power is cut")
    parser.add_argument("--report", action="store_true", help="only write the report from what there is")
    known = parser.parse_args()
    if known.report:
        report.write(report.kept(BASE_DIR))
        return 0
    if reason := missing():
        print(reason, file=sys.stderr)
        return 2
    made = image(known.suite)
    board = Board(known.suite, known.memory)
    board.cuts = known.cuts
    runs = Runs(board)
    if not runs.has("build"):
        runs.keep("build", "The image is built from packages", float(made.built.read_text()), {})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with board.origin, contextlib.closing(board.guest):
        is_ready = prepared(board, runs)
        failed = [name for name in known.cases or CASES if is_ready and not runs.one(name, again=bool(known.cases))]
    report.write(report.kept(BASE_DIR))
    outcome = f"failed: {failed}" if failed else "all held" if is_ready else "not installed"
    print(f"{report.REPORT}: {outcome}")
    return 1 if failed or not is_ready else 0


def prepared(board: Board, runs: "Runs") -> bool:
    """Install and freeze, unless that was done for this version."""
    if not board.installed_disk.exists():

        def first() -> None:
            board.fresh()
            said = install(board)
            assert "Create it at /claim with this setup code" in said, said

        if not runs.run("install", "`install.sh` from a wheelhouse, without internet", first):
            return False
    return board.frozen.exists() or runs.run("start", "Boot to the wall, idle memory", lambda: started(board))


def started(board: Board) -> None:
    """Boot the installed machine, measure the start and its memory at rest, and freeze it."""
    began = time.monotonic()
    board.booted()
    ssh_s = time.monotonic() - began
    board.wait_until(board.responds)
    board.wait_until(lambda: board.state() == "active")
    cpu_s = board.cpu_s()
    board.note(ssh_s=round(ssh_s), wall_s=round(time.monotonic() - began), cpu_s_of_the_start=round(cpu_s, 1))
    assert board.status_of("/") == 200
    prepare_stream(board)
    time.sleep(90)  # until freed memory was given back
    group = "/sys/fs/cgroup/system.slice/vinylvault.service"
    board.note(
        idle_pss_mb=round(board.pss_mb(), 1),
        idle_group_mb=round(int(board.guest.run(f"cat {group}/memory.current")) / 1e6, 1),
        memory_max_mb=round(int(board.guest.run(f"cat {group}/memory.max")) / 1e6),
        memory_high=board.guest.run(f"cat {group}/memory.high").strip(),
        machine_mb=round(int(board.guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo")) * 1024 / 1e6),
        available_mb=round(int(board.guest.run("awk '/MemAvailable/ {print $2}' /proc/meminfo")) * 1024 / 1e6),
    )


class Runs:
    """Runs cases, and keeps what came of them."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.folder = board.image.folder / "results"
        self.folder.mkdir(exist_ok=True)

    def one(self, name: str, *, again: bool) -> bool:
        """Run a case, unless it held before with this version; return whether it held."""
        path = self._path(name)
        if path.exists() and not again and not json.loads(path.read_text(encoding="utf-8"))["failure"]:
            return True
        case = CASES[name]

        def whole() -> None:
            if not case.boots:
                self.board.continued()
            case.run(self.board)

        return self.run(name, case.title, whole)

    def has(self, name: str) -> bool:
        return self._path(name).exists()

    def run(self, name: str, title: str, work: Callable[[], None]) -> bool:
        """Do it, note memory and bytes, end the machine (`start` is frozen instead); return whether it held."""
        board = self.board
        print(f"{time.strftime('%H:%M:%S')} {board.suite} {board.memory_mb} MB: {name}: {title}", flush=True)
        board.figures, failure, watched, written = {}, "", None, None
        board.origin.requests.clear()
        began = time.monotonic()
        try:
            work()
        except Exception:  # noqa: BLE001  the next case runs all the same
            failure = traceback.format_exc(limit=-2)
            failure = f"{failure.strip().splitlines()[-1] if 'AssertionError' not in failure else failure.partition('AssertionError: ')[2]}\n{failure}"
            print(failure, flush=True)
            (self.folder / f"{name}.journal").write_text(self._journal(), encoding="utf-8")
        took = time.monotonic() - began
        if name != "install" or failure:
            try:
                watched, written = asdict(board.watched()), board.written_bytes()
                if name == "start" and not failure:
                    board.freeze()
            except (AssertionError, OSError, ValueError) as error:
                print(f"the machine could not be read at the end: {error}", flush=True)
        board.guest.cut()
        self.keep(name, title, took, board.figures, failure=failure, watched=watched, written=written)
        return not failure

    def keep(self, name: str, title: str, seconds: float, figures: dict[str, object], **more: object) -> None:
        board = self.board
        result = {
            "case": name,
            "title": title,
            "suite": board.suite,
            "memory_mb": board.memory_mb,
            "machine": f"{CPUS} emulated cores, Python {PYTHONS[board.suite]}",
            "version": board.version,
            "at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
            "load": os.getloadavg()[1],
            "seconds": seconds,
            "figures": figures,
            "failure": "",
            **more,
        }
        self._path(name).write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")

    def _journal(self) -> str:
        try:
            return self.board.guest.run("journalctl -b --no-pager | tail -400", ok=False, timeout_s=120)
        except (AssertionError, OSError, ValueError):
            return ""

    def _path(self, name: str) -> Path:
        return self.folder / f"{self.board.memory_mb}-{self.board.release}-{name}.json"


if __name__ == "__main__":
    sys.exit(main())
