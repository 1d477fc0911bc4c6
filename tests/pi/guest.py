"""The emulated machine: `start` boots it or continues where it was frozen, `cut` cuts its power, `run` runs a script in it as root.

Four cortex-a53 of a Pi would be four threads here; `PI_CPUS` says how many there are. Its processor is emulated, so seconds say
nothing about a Pi. The address 10.0.2.2 in it is 127.0.0.1 here.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tests.pi.image import Image
from tests.support.ports import free_port

HOST = "10.0.2.2"
CPUS = os.environ.get("PI_CPUS", "2")
NICE = os.environ.get("PI_NICE", "19")  # it takes what other work leaves
BOOT_S = 900.0  # a machine that shares two busy cores
SCRIPT_S = 3600.0


class Guest:
    """One machine. `folder` is for its sockets and its console; `port` leads to port 5000 in it."""

    def __init__(self, image: Image, folder: Path, *, memory_mb: int) -> None:
        self.image = image
        self.folder = folder
        self.memory_mb = memory_mb
        self.port, self._ssh_port = free_port(), free_port()
        self.boots = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._line: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def console(self) -> Path:
        return self.folder / "console"

    def start(self, disk: Path, *, kernel: str = "", clock: str = "", frozen: Path | None = None) -> None:
        """Boot from a disk, with more words for the kernel and a clock that says `clock`; or continue from `frozen`."""
        command = [
            *("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", CPUS, "-m", str(self.memory_mb)),
            *("-accel", "tcg,thread=multi,tb-size=256", "-nographic", "-no-reboot", "-monitor", "none"),
            *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)),
            *("-append", f"root=/dev/vda rw console=ttyAMA0 loglevel=4 {kernel}".strip()),
            *("-drive", f"file={disk},if=none,id=card,format=qcow2,cache=writeback,discard=unmap"),
            *(
                "-device",
                "virtio-blk-pci,drive=card",
                "-device",
                "virtio-net-pci,netdev=net,romfile=",
                "-device",
                "virtio-rng-pci",
            ),
            "-netdev",
            f"user,id=net,hostfwd=tcp:127.0.0.1:{self._ssh_port}-:22,hostfwd=tcp:127.0.0.1:{self.port}-:5000",
            *("-serial", f"file:{self.console}", "-qmp", f"unix:{self.folder / 'qmp'},server=on,wait=off"),
        ]
        if clock:
            command += ["-rtc", f"base={clock}"]
        if frozen:
            command += ["-incoming", f"exec:cat {frozen}"]
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["nice", "-n", NICE, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if frozen:
            self._wait_for(lambda: self._ask("query-status")["status"] == "paused")
            self._ask("cont")
        else:
            self.boots += 1
        self._wait_for(self._connects)
        if frozen and not clock:
            self.run(f"date -s @{time.time():.0f} >/dev/null")

    def cut(self) -> None:
        """Cut the power: what the machine had not written is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self._hang_up()

    close = cut

    def off(self) -> None:
        """Shut down as a careful owner would."""
        assert self._process is not None
        self.run("systemctl poweroff", ok=False)
        self._process.wait(BOOT_S)
        self.cut()

    def freeze(self, state: Path) -> None:
        """Write down the whole machine, memory and processor, and end it: `start(frozen=state)` continues from here."""
        self.run("sync")
        self._hang_up()
        self._ask("stop")
        self._ask("migrate", uri=f"exec:cat > {state}.part")
        self._wait_for(lambda: self._ask("query-migrate").get("status") == "completed")
        self.cut()
        state.with_name(f"{state.name}.part").rename(state)

    def run(self, script: str, *, ok: bool = True, stdin: bytes = b"", timeout_s: float = SCRIPT_S) -> str:
        """Run a script of sh, and return what it printed, errors included. Raises `AssertionError` when it fails."""
        status, printed = self.tried(script, stdin=stdin, timeout_s=timeout_s)
        assert not ok or status == 0, f"{script!r} ended with {status}: {printed[-3000:]}"
        return printed

    def tried(self, script: str, *, stdin: bytes = b"", timeout_s: float = SCRIPT_S) -> tuple[int, str]:
        """Run a script, and return its exit status with what it printed."""
        done = subprocess.run(
            [*self._ssh(), "-o", "ControlMaster=no", "root@127.0.0.1", f"{{ {script}\n}} 2>&1"],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # of the connection itself
            timeout=timeout_s,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def send(self, folder: Path, target: str) -> None:
        """Copy a folder into the machine."""
        packed = subprocess.run(["tar", "-cf", "-", "-C", str(folder), "."], stdout=subprocess.PIPE, check=True).stdout
        self.run(f"mkdir -p {target} && tar -xf - -C {target} --no-same-owner", stdin=packed)

    def write(self, path: str, text: str) -> None:
        self.run(f"cat > {path}", stdin=text.encode())

    def _ssh(self) -> list[str]:
        options = {
            "UserKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "no",
            "LogLevel": "ERROR",
            "ConnectTimeout": "60",
            "BatchMode": "yes",
            "ControlPath": f"{self.folder}/ssh",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", str(self.image.key), "-p", str(self._ssh_port), *words]

    def _connects(self) -> bool:
        """Open one connection for all scripts: its keys take seconds on an emulated processor."""
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "qemu.log").read_text(encoding="utf-8")[-2000:]
        if self._line is None or self._line.poll() is not None:
            (self.folder / "ssh").unlink(missing_ok=True)
            self._line = subprocess.Popen(
                [*self._ssh(), "-o", "ControlMaster=yes", "-N", "root@127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return (self.folder / "ssh").exists() and self.tried("true")[0] == 0

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.send_signal(signal.SIGTERM)
            try:
                line.wait(10)
            except subprocess.TimeoutExpired:  # it may wait for a script whose end was lost
                line.kill()
                line.wait()
        (self.folder / "ssh").unlink(missing_ok=True)

    def _wait_for(self, is_so: Any) -> None:
        end = time.monotonic() + BOOT_S
        while True:
            with contextlib.suppress(OSError):
                if is_so():
                    return
            console = self.console.read_text(encoding="utf-8", errors="replace") if self.console.exists() else ""
            assert time.monotonic() < end, f"did not happen within {BOOT_S} s:\n{console[-2000:]}"
            time.sleep(1)

    def _ask(self, command: str, **arguments: str) -> dict[str, Any]:
        """Ask the emulator. Raises `OSError` while it does not listen."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect(str(self.folder / "qmp"))
            with line.makefile("rw", encoding="utf-8") as file:
                file.readline()
                answer: dict[str, Any] = {}
                for one in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    file.write(json.dumps(one) + "\n")
                    file.flush()
                    answer = json.loads(file.readline())
                    while "event" in answer:
                        answer = json.loads(file.readline())
        assert "return" in answer, answer
        found: dict[str, Any] = answer["return"]
        return found


def overlay(disk: Path, base: Path) -> Path:
    """Make a new disk that begins as `base` is, and leaves that as it is."""
    disk.parent.mkdir(parents=True, exist_ok=True)
    disk.unlink(missing_ok=True)
    kind = "raw" if base.suffix == ".ext4" else "qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(base.absolute()), str(disk.absolute())], check=True
    )
    return disk


class Watch:
    """Counts what a thread does until `stop`: someone who browses, someone who uploads."""

    def __init__(self, work: Any) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Any) -> None:
        while not self._stopping.is_set():
            work()
            self._stopping.wait(1)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
