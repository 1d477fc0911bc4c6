"""A board with VinylVault on it: installed once for a suite, frozen once for a size of memory, continued for each case."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.pi.guest import HOST, Guest, overlay
from tests.pi.image import PYTHONS, Image, image
from tests.support.inside import PASSWORD
from tests.support.machine import program
from tests.support.origin import Origin
from tests.support.vault import ROOT, Reply
from tests.support.visitor import SLUG, Browser

ORIGIN_PORT = int(os.environ.get("PI_ORIGIN_PORT", "5178"))  # named in the settings of the frozen machine
WAIT_S = 1800.0
ANSWER_S = 300.0
UNIT = "vinylvault.service"
# A line every two seconds: MemAvailable in KB, then of the service's control group its peak in bytes, and how often it was throttled
# (high), at its limit (max), and lost a process to it (oom_kill). Nothing is started for it but `sleep`.
WATCHER = f"""#!/bin/bash
group=/sys/fs/cgroup/system.slice/{UNIT}
while sleep 2; do
  available=0 peak=0 high=0 max=0 oom_kill=0
  while read -r name value _; do [[ $name != MemAvailable: ]] || {{ available=$value; break; }}; done </proc/meminfo
  if [[ -r $group/memory.peak ]]; then
    read -r peak <$group/memory.peak
    while read -r name value; do declare "$name=$value"; done <$group/memory.events
  fi 2>/dev/null
  echo "$available $peak $high $max $oom_kill"
done >>/run/watched
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """Of a stretch of time: bytes, and how often."""

    available: int
    peak: int
    high: int
    limit: int
    killed: int


class Board:
    """The machine with its service, an origin of covers that it may ask, and what a case notes down in `figures`."""

    def __init__(self, suite: str, memory_mb: int) -> None:
        self.suite, self.memory_mb = suite, memory_mb
        self.image: Image = image(suite)
        self.share = self.image.folder / "share"
        self.release = os.environ.get("PI_RELEASE") or _given(suite, self.share)
        self.folder = self.image.folder / self.release
        self.frozen = self.folder / f"{memory_mb}.state"
        self.figures: dict[str, Any] = {}
        self.cuts = 10
        self.guest = Guest(self.image, self.folder / f"{memory_mb}", memory_mb=memory_mb)
        self.visitor = self._client()
        self.origin: Origin = Origin(port=ORIGIN_PORT, name=HOST)
        self._written_at = (0, 0)
        self._browser: Browser | None = None

    @property
    def installed_disk(self) -> Path:
        return self.folder / "installed.qcow2"

    @property
    def frozen_disk(self) -> Path:
        return self.folder / f"{self.memory_mb}.qcow2"

    @property
    def case_disk(self) -> Path:
        return self.folder / f"{self.memory_mb}/case.qcow2"

    @property
    def version(self) -> str:
        """The version of the program that is installed, as git names it."""
        file = self.folder / "version"
        if not file.exists():
            named = ["git", "describe", "--always", "--dirty", "--tags"]
            file.write_text(subprocess.run(named, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip())
        return file.read_text().strip()

    # --- states to begin from

    def fresh(self) -> None:
        """Boot a machine on which nothing is installed; what is done to it stays in the disk of the installed one."""
        self.guest.start(overlay(self.installed_disk.with_suffix(".part"), self.image.disk))
        self._begin()

    def booted(self, *, kernel: str = "", clock: str = "") -> None:
        """Boot the installed machine, with its stream as soon as there is one."""
        disk = self.frozen_disk if self.frozen.exists() else self.installed_disk
        self.guest.start(overlay(self.case_disk, disk), kernel=kernel, clock=clock)
        self._begin()

    def continued(self) -> None:
        """Continue the machine whose service has started, and wait until it responds."""
        self._browser = None  # its session is the one of the frozen machine, not what an earlier case made of it
        self.guest.start(overlay(self.case_disk, self.frozen_disk), frozen=self.frozen)
        self._begin()
        self.wait_until(self.responds)

    def again(self, *, clock: str = "") -> None:
        """Boot the same card once more."""
        self.guest.start(self.case_disk, clock=clock)
        self._watch()
        self.wait_until(self.responds)

    def freeze(self) -> None:
        self.guest.freeze(self.frozen)
        self.case_disk.rename(self.frozen_disk)

    def _begin(self) -> None:
        # In /etc, so that it outlasts a power cut: no Pi is as slow as this processor beside other work.
        drop_in = f"/etc/systemd/system/{UNIT}.d"
        self.guest.run(
            f"mkdir -p {drop_in} && printf '[Service]\\nTimeoutStartSec=900\\n' >{drop_in}/slow.conf && "
            "{ systemctl daemon-reload || { sleep 30; systemctl daemon-reload; }; }"
        )
        self._watch()
        self.guest.run(": >/run/watched")
        self._written_at = (self.guest.boots, self._sectors())

    def _watch(self) -> None:
        if self.guest.tried("systemctl is-active -q watcher")[0] != 0:
            self.guest.write("/run/watcher", WATCHER)
            self.guest.run("systemd-run -q --unit=watcher bash /run/watcher")

    # --- what a case asks for

    def note(self, **figures: Any) -> None:
        """Write figures down for the report."""
        self.figures.update(figures)
        print("   ", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()), flush=True)

    def wait_until(self, is_so: Callable[[], bool], timeout_s: float = WAIT_S, every_s: float = 2.0) -> float:
        """Wait, and return for how many seconds. Raises `AssertionError` with the end of the journal."""
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > timeout_s:
                raise AssertionError(f"did not happen within {timeout_s:.0f} s:\n{self.journal()[-3000:]}")
            time.sleep(every_s)
        return time.monotonic() - began

    def get(self, path: str, accept: str = "*/*") -> Reply:
        """Request a page as a visitor."""
        return self.visitor.get(path, accept)

    def status_of(self, path: str) -> int:
        """Return the status of a page, 0 if there is no response at all."""
        try:
            return self.get(path, "text/html").status
        except (OSError, HTTPException):
            return 0

    def responds(self) -> bool:
        return self.status_of("/keys") == 200

    def health(self) -> dict[str, Any]:
        checks: dict[str, Any] = self.get("/health").json()["checks"]
        return checks

    @property
    def owner(self) -> Browser:
        """The operator's browser, logged in once for all cases: a password costs seconds here."""
        if self._browser is None:
            kept = self.folder / f"{self.memory_mb}.session"
            browser = self._client()
            if kept.exists():
                browser.cookie, browser.token = json.loads(kept.read_text(encoding="ascii"))
            else:
                browser.log_in("owner")
                kept.write_text(json.dumps([browser.cookie, browser.token]), encoding="ascii")
            self._browser = browser
        return self._browser

    def _client(self) -> Browser:
        client = Browser(self.guest)
        client.timeout_s = ANSWER_S
        return client

    def command(self, words: str, *, stdin: str = "") -> tuple[int, str]:
        """Run `vinylvault` in the machine: its exit status and what it printed."""
        return self.guest.tried(f"vinylvault {words}", stdin=stdin.encode())

    def import_records(self, rows: list[dict[str, object]]) -> str:
        self.guest.write("/srv/records.json", json.dumps(rows))
        status, printed = self.command("albums import /srv/records.json")
        assert status == 0, printed
        return printed.strip().splitlines()[-1]

    def state(self) -> str:
        return self.guest.run(f"systemctl is-active {UNIT}", ok=False).strip()

    def restarts(self) -> int:
        return int(self.guest.run(f"systemctl show {UNIT} -p NRestarts --value"))

    def cpu_s(self) -> float:
        """CPU time of the service since it was started, in seconds of this emulated processor."""
        return int(self.guest.run(f"systemctl show {UNIT} -p CPUUsageNSec --value")) / 1e9

    def main_pid(self) -> int:
        return int(self.guest.run(f"systemctl show {UNIT} -p MainPID --value"))

    def journal(self) -> str:
        return self.guest.run(f"journalctl -u {UNIT} -o cat --no-pager -n 40", ok=False)

    def pss_mb(self) -> float:
        """Memory of all processes of the service, shared pages by their share."""
        script = f"cat $(sed 's,.*,/proc/&/smaps_rollup,' /sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs)"
        return sum(int(kb) for kb in re.findall(r"^Pss:\s+(\d+) kB", self.guest.run(script), re.MULTILINE)) / 1024

    def watched(self) -> Watched:
        lines = [[int(word) for word in line.split()] for line in self.guest.run("cat /run/watched", ok=False).splitlines()]
        whole = [line for line in lines if len(line) == 5]
        if not whole:
            return Watched(0, 0, 0, 0, 0)
        columns = list(zip(*whole, strict=True))
        return Watched(min(columns[0]) * 1024, *(max(column) for column in columns[1:]))

    def written_bytes(self) -> int | None:
        """Bytes written to the card since the case began, of the whole machine; None after a boot."""
        boots, sectors = self._written_at
        return (self._sectors() - sectors) * 512 if boots == self.guest.boots else None

    def _sectors(self) -> int:
        return int(self.guest.run("sync; awk '$3 == \"vda\" {print $10}' /proc/diskstats"))


def install(board: Board) -> str:
    """Install from the wheelhouse, with an operator and a stream, and shut down. Returns what the installer said."""
    guest = board.guest
    guest.send(board.share / "good", "/srv/vinylvault")
    guest.send(board.share / "wheels", "/srv/wheels")
    settings = {"TRUSTED_ORIGINS": f"http://{HOST}:{ORIGIN_PORT}", "FIND_COVERS": "0", "MAX_STREAM_IMAGES_PER_STREAM": "1000"}
    guest.write("/etc/vinylvault.env", "".join(f"VINYL_VAULT_{name}={value}\n" for name, value in settings.items()))
    began = time.monotonic()
    said = guest.run("VINYLVAULT_HEALTH_S=900 /srv/vinylvault/systemd/install.sh --wheelhouse /srv/wheels")
    board.note(install_s=round(time.monotonic() - began), written_mb=_mb(board.written_bytes()))
    status, printed = board.command("users add owner --role operator", stdin=f"{PASSWORD}\n")
    assert status == 0, printed
    guest.off()
    board.installed_disk.with_suffix(".part").rename(board.installed_disk)
    return said


def prepare_stream(board: Board) -> None:
    """Log in and create the stream that uploads go to."""
    made = board.owner.ask(
        "POST", "/api/streams", json.dumps({"title": "Evening", "slug": SLUG}).encode(), {"Content-Type": "application/json"}
    )
    assert made.status == 201, made.body


def _mb(size: int | None) -> float | None:
    return None if size is None else round(size / 1e6, 1)


def _given(suite: str, share: Path) -> str:
    """Lay out the program and its wheels for the machine; return a name for this version of it."""
    shutil.rmtree(share / "good", ignore_errors=True)
    program(share / "good")
    files = [path for path in sorted((share / "good").rglob("*")) if path.is_file()]
    wheels, wanted = share / "wheels", _digest(path for path in files if path.name.startswith("requirements"))
    stamp = share / "wheels-for"
    if not stamp.exists() or stamp.read_text(encoding="ascii") != wanted:
        shutil.rmtree(wheels, ignore_errors=True)
        subprocess.run(
            ["make", "-s", "wheelhouse", f"WHEELHOUSE={wheels}", "ARCH=aarch64", f"FOR_PYTHON={PYTHONS[suite]}"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=1800,
        )
        stamp.write_text(wanted, encoding="ascii")
    return _digest(path for path in files if "docs" not in path.parts)[:8]


def _digest(paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.name}\0".encode() + path.read_bytes())
    return whole.hexdigest()
