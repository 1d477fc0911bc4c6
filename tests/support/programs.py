"""Programs that some tests run beside Python: what is missing, which tests that leaves out, and the line that installs it.

`python -m tests.support.programs` before the tests. As root on Debian it installs them, after saying so; elsewhere the tests that
need a missing program are skipped, and say so. `VINYLVAULT_INSTALL=0` installs nothing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Program -> its Debian package, and what is tested with it.
PROGRAMS = {
    "chromium": ("chromium", "pages in a browser"),
    "nginx": ("nginx-light", "nginx in front"),
    "caddy": ("caddy", "Caddy in front"),
    "ffmpeg": ("ffmpeg", "pictures of videos"),
    "openssl": ("openssl", "certificates"),
    "curl": ("curl", "commands in documents"),
    "cc": ("gcc libc6-dev", "disks without hard links"),
    "shellcheck": ("shellcheck", "the installer's script"),
    "postgres": ("postgresql", "the catalogue in PostgreSQL"),
    "redis-server": ("redis-server", "limits over many nodes"),
    "systemd-analyze": ("systemd", "the units"),
    "systemd-sysusers": ("systemd", "the units"),
}
# What does as well. Debian 12 has no Valkey yet.
INSTEAD = {"redis-server": "valkey-server"}
# Debian keeps the programs of PostgreSQL out of PATH.
POSTGRES = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
PATH = ":".join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *POSTGRES])
# Nothing that is installed for a test may start as a service.
POLICY = Path("/usr/sbin/policy-rc.d")


def found(name: str) -> str | None:
    """Return the path of a program, or of one that does as well."""
    return (shutil.which(INSTEAD[name], path=PATH) if name in INSTEAD else None) or shutil.which(name, path=PATH)


def missing() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name in PROGRAMS if found(name) is None]


def install(packages: list[str]) -> None:
    """Install Debian packages. Raises `subprocess.CalledProcessError`."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    has_policy = POLICY.exists()
    if not has_policy:
        POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        POLICY.chmod(0o755)
    try:
        subprocess.run(["apt-get", "update", "-qq"], env=env, check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=env, check=True)
    finally:
        if not has_policy:
            POLICY.unlink()


def main() -> None:
    names = missing()
    if not names:
        return
    packages = sorted({package for name in names for package in PROGRAMS[name][0].split()})
    line = f"apt install --no-install-recommends {' '.join(packages)}"
    print(f"Not installed: {', '.join(f'{name} ({PROGRAMS[name][1]})' for name in names)}.", flush=True)
    wants = os.environ.get("VINYLVAULT_INSTALL", "1") != "0"
    if wants and os.geteuid() == 0 and shutil.which("apt-get") and Path("/etc/debian_version").exists():
        print(f"Installing what the tests need: {line}", flush=True)
        try:
            install(packages)
        except subprocess.CalledProcessError as error:
            sys.exit(f"That failed with status {error.returncode}. VINYLVAULT_INSTALL=0 runs the tests without.")
        return
    print(f"Their tests are left out. To run them too: sudo {line}", flush=True)


if __name__ == "__main__":
    main()
