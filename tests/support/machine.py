"""A Debian of its own for the installer: made by debootstrap, booted with its systemd as process 1, without any network.

It shares the kernel with this server and nothing else: file system (an overlay), processes, network, host name are its own. Its
control groups have no controllers where this server's are of the old kind; then memory and task limits are not enforced in it.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.vault import ROOT, wait_until

SUITES = {"bookworm": "3.11", "trixie": "3.13"}  # Debian 12 and 13, as Raspberry Pi OS follows them, and their Python
SUITE = os.environ.get("REHEARSAL_SUITE", "bookworm")
PACKAGES = "python3,python3-venv,systemd,systemd-sysv,ca-certificates,nginx-light,ffmpeg"
CLONE_NEWNET = 0x4000_0000
BASE_DIR = Path("/var/tmp/vinylvault-rehearsal")  # kept for a day: what is in it is Debian's only
KEEP_S = 86400.0

_BOOT = r"""
set -e
root=$1 lower=$2 upper=$3 share=$4 init=$5
echo $$ > "$6/cgroup.procs"
exec unshare -m -p -u -i -n -C --fork --kill-child=KILL bash -c '
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir="$2",upperdir="$3/upper",workdir="$3/work" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs tmpfs tmp
mkdir -p dev/shm dev/pts dev/mqueue dev/hugepages srv
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount --bind "$4" srv
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
hostname pi
pivot_root . mnt
cd /
umount -l /mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin $5 </dev/null
' boot "$@"
"""


def base(name: str = SUITE, packages: str = PACKAGES) -> Path:
    """Return an unchanged Debian root with these packages; it is built once a day."""
    root = BASE_DIR / name
    stamp = root / ".complete"
    with contextlib.suppress(FileNotFoundError):
        if stamp.read_text() == packages and time.time() - stamp.stat().st_mtime < KEEP_S:
            return root
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(root)],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=900,
    )
    (root / "etc/hostname").write_text("pi\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    stamp.write_text(packages)
    return root


class Machine:
    """`start` boots it, `run` runs a command in it as root. `share` is its /srv. `is_booted=False`: no service manager at all."""

    def __init__(self, folder: Path, *, is_booted: bool = True) -> None:
        self.folder = folder
        self.share = folder / "share"
        self._init = "/lib/systemd/systemd --system --show-status=no" if is_booted else "/usr/bin/sleep 86400"
        self._is_booted = is_booted
        self._process: subprocess.Popen[bytes] | None = None
        self._group: Path | None = None
        self._lower = base()
        for name in ("share", "root", "layer/upper", "layer/work"):
            (folder / name).mkdir(parents=True)

    @property
    def pid(self) -> int:
        """Process 1 of the machine, as this server numbers it."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="ascii").split()
        return int(children[0])

    def start(self) -> None:
        hierarchy = next(
            line.split()[1]
            for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
            if line.split()[2] == "cgroup2"
        )
        self._group = Path(tempfile.mkdtemp(prefix="vinylvault-rehearsal-", dir=hierarchy))
        log = (self.folder / "boot.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    *("bash", "-c", _BOOT, "boot", str(self.folder / "root"), str(self._lower), str(self.folder / "layer")),
                    *(str(self.share), self._init, str(self._group)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_up, 180)

    def stop(self) -> None:
        """Cut the power."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self.pid, signal.SIGKILL)  # all of its processes go with its first
        self._process.wait(60)
        self._process = None
        assert self._group is not None
        group = self._group
        wait_until(lambda: not group.exists() or _removed(group), 60)

    def run(self, *command: str, ok: bool = True, stdin: str = "", timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [
                "nsenter",
                "-t",
                str(self.pid),
                "-a",
                "env",
                "-i",
                "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=dumb",
                *command,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd="/",
        )
        assert not ok or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def write(self, path: str, text: str) -> None:
        self.run("tee", path, stdin=text)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Be in the machine's network meanwhile: this thread, and what it starts."""
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            libc.setns(here, CLONE_NEWNET)
            os.close(here)
            os.close(there)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "boot.log").read_text()
        try:
            if not self._is_booted:
                return self.run("test", "-d", "/proc/1", ok=False).returncode == 0 and self.run("hostname").stdout == "pi\n"
            state = self.run("systemctl", "is-system-running", ok=False).stdout.strip()
        except (IndexError, FileNotFoundError, AssertionError):
            return False
        return state in ("running", "degraded")


def program(target: Path) -> Path:
    """Copy the program as a release has it: what the installer takes, and nothing that a checkout has besides."""
    names = [
        *("app.py", "config.py", "cache_monitor.py", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md"),
        *_requirements(),
    ]
    target.mkdir(parents=True)
    for name in names:
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, target / name)
    for name in ("image_cache", "templates", "static", "docs", "systemd"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def _requirements() -> list[str]:
    return [path.name for path in ROOT.glob("requirements*.txt")]


def _removed(group: Path) -> bool:
    """Remove a control group with those below it, once their last process is gone."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not group.exists()
