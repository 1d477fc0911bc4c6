"""Builds the emulated machine's disk, kernel and initrd out of Debian packages: no image is downloaded.

Packages are unpacked and configured by mmdebstrap under qemu-user, which is slow for scripts that start many programs. The two
slowest, ca-certificates and initramfs-tools, are replaced by empty packages of the same name: nothing in the machine needs them.
"""

import contextlib
import gzip
import lzma
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

BASE_DIR = Path(os.environ.get("PI_DIR", "/var/tmp/vinylvault-pi"))
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}  # Debian 12 and 13, as Raspberry Pi OS follows them
PACKAGES = (
    *("linux-image-cloud-arm64", "systemd", "systemd-sysv", "udev", "dbus", "systemd-timesyncd", "kmod", "e2fsprogs"),
    *("python3", "python3-venv", "openssh-server", "iproute2", "procps", "busybox-static", "nginx-light"),
)
DISK_MB = 5000  # of an SD card of 8 GB; sparse here
PROGRAMS = {  # and the Debian package that has it
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
    "qemu-aarch64-static": "qemu-user-static",
    "mkfs.ext4": "e2fsprogs",
    "ssh": "openssh-client",
}
DUMMIES = {"ca-certificates": "", "initramfs-tools": "Provides: linux-initramfs-tool\n"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
MASKED = (
    *("systemd-networkd-wait-online.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"),
    *("e2scrub_all.timer", "man-db.timer", "nginx.service"),
)
INIT = """#!/bin/sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
for module in /modules/*; do busybox insmod $module; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do busybox sleep 0.2; tries=$((tries + 1)); done
busybox mount -t ext4 -o rw,noatime /dev/vda /disk || exec busybox sh
busybox mount --move /dev /disk/dev
busybox umount /proc /sys
exec busybox switch_root /disk /sbin/init
"""
MODULES = ("virtio_pci", "virtio_mmio", "virtio_blk", "ext4")  # what is built into the kernel is left out


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine boots from. `disk` is an ext4 file system that is never written to; `key` opens the account of root."""

    suite: str
    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.ext4"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def built(self) -> Path:
        """Written last: how many seconds the build took."""
        return self.folder / "built"


def missing() -> str:
    """Return what to do before a rehearsal can run here, or nothing."""
    packages = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if packages:
        return f"Missing: apt-get install binfmt-support {' '.join(packages)}"
    if os.geteuid() != 0:
        return "Run it as root: it sets up a file system with the owners that Debian has."
    if not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists():
        return "Not registered: mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; update-binfmts --enable qemu-aarch64"
    return ""


def image(suite: str) -> Image:
    """Return the image of a suite; built the first time."""
    made = Image(suite, BASE_DIR / suite)
    if made.built.exists():
        return made
    began = time.monotonic()
    made.folder.mkdir(parents=True, exist_ok=True)
    root = made.folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    if not made.key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f", str(made.key)], check=True)
    _install(suite, root, [_dummy(made.folder, name, more) for name, more in DUMMIES.items()], made.folder / "build.log")
    _settle(root, made.key.with_suffix(".pub").read_text(encoding="ascii"))
    shutil.copy(next(root.glob("boot/vmlinuz-*")), made.kernel)
    _write_initrd(root, made.folder / "initrd.d", made.initrd)
    _write_disk(root, made.disk)
    shutil.rmtree(root)
    made.built.write_text(f"{time.monotonic() - began:.0f}\n", encoding="ascii")
    return made


def _dummy(folder: Path, name: str, more: str) -> Path:
    """Return an empty package of that name, newer than any real one."""
    tree = folder / f"{name}.d"
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 99999999\nArchitecture: all\nMaintainer: rehearsal <root@localhost>\n{more}"
        "Description: empty, in place of the real one\n",
        encoding="ascii",
    )
    package = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(package)], check=True, stdout=subprocess.DEVNULL)
    return package


def _install(suite: str, root: Path, dummies: list[Path], log: Path) -> None:
    names = " ".join(f"/{dummy.name}" for dummy in dummies)
    copies = " ".join(str(dummy) for dummy in dummies)
    command = [
        *("mmdebstrap", "--mode=root", "--arch=arm64", "--variant=minbase", "--format=directory"),
        *('--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=APT::Install-Recommends "false"'),
        *("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"),
        *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=force-unsafe-io"),
        "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",
        f"--include={','.join(PACKAGES)}",
        f'--essential-hook=cp {copies} "$1/" && chroot "$1" dpkg -i {names} && cd "$1" && rm .{names.replace(" /", " ./")}',
        *(suite, str(root), f"deb http://deb.debian.org/debian {suite} main"),
    ]
    with log.open("ab") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    assert done.returncode == 0, log.read_text(encoding="utf-8", errors="replace")[-3000:]


def _settle(root: Path, public_key: str) -> None:
    """Make a machine of it: a name, a network, a way in, and nothing that fetches packages meanwhile."""
    files = {
        "etc/hostname": "pi\n",
        "etc/hosts": "127.0.0.1 localhost pi\n::1 localhost\n",
        "etc/fstab": "/dev/vda / ext4 defaults,noatime 0 1\n",
        "etc/systemd/network/10-all.network": "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n",
        "etc/systemd/timesyncd.conf.d/none.conf": "[Time]\nNTP=\nFallbackNTP=\n",
        "root/.ssh/authorized_keys": public_key,
    }
    # The empty package has none, and the pip of trixie does not start without the file.
    certificates = root / CERTIFICATES.relative_to("/")
    certificates.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(CERTIFICATES, certificates)
    (root / "etc/resolv.conf").unlink(missing_ok=True)  # a link into /run, in some suites
    for name, text in {**files, "etc/resolv.conf": "nameserver 10.0.2.3\n"}.items():
        (root / name).parent.mkdir(mode=0o700 if ".ssh" in name else 0o755, parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
    units = root / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    for name in ("systemd-networkd.service", "ssh.service"):
        with contextlib.suppress(FileExistsError):
            (wanted / name).symlink_to(f"/usr/lib/systemd/system/{name}")
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (root / "etc/machine-id").write_text("uninitialized\n", encoding="ascii")


def _modules(root: Path) -> list[Path]:
    """Return the kernel modules that the disk needs, in the order in which they are loaded."""
    folder = next(path for path in (root / "usr/lib/modules", root / "lib/modules") if path.is_dir())
    folder = next(folder.iterdir())
    needs = dict(line.split(":", 1) for line in (folder / "modules.dep").read_text(encoding="ascii").splitlines())
    by_name = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in needs}
    found: list[Path] = []
    for name in MODULES:
        if path := by_name.get(name):
            found += [folder / one for one in (*reversed(needs[path].split()), path) if folder / one not in found]
    return found


def _write_initrd(root: Path, tree: Path, out: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "dev", "proc", "sys", "disk", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox" if (root / "usr/bin/busybox").exists() else root / "bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    (tree / "init").write_text(INIT, encoding="ascii")
    (tree / "init").chmod(0o755)
    for number, path in enumerate(_modules(root)):
        body = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        (tree / f"modules/{number:02}-{path.name.removesuffix('.xz')}").write_bytes(body)
    out.write_bytes(gzip.compress(newc(tree), 1))
    shutil.rmtree(tree)


def newc(tree: Path) -> bytes:
    """Return an archive as the kernel reads it from an initrd: cpio, the format without a checksum."""
    out = bytearray()
    paths = sorted(tree.rglob("*"))
    for number, path in enumerate([*paths, None], 1):
        name = "TRAILER!!!" if path is None else str(path.relative_to(tree))
        mode = 0 if path is None else path.lstat().st_mode
        body = b""
        if path is not None and path.is_symlink():
            body = os.readlink(path).encode()
        elif path is not None and path.is_file():
            body = path.read_bytes()
        fields = (number, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name) + 1, 0)
        for part in (b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0", body):
            out += part + bytes(-len(part) % 4)  # the header is 110 bytes, and the name fills it up to a multiple of four
    return bytes(out)


def _write_disk(root: Path, disk: Path) -> None:
    disk.unlink(missing_ok=True)
    with disk.open("wb") as out:
        out.truncate(DISK_MB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-L", "root", "-d", str(root), str(disk)], check=True)
