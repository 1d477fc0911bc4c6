"""What a cold import writes to a disk: by file as the programs wrote it, and all that reached the disk.

    python -m benchmarks.written [--covers 1000]

Needs root and strace. The vault is on an ext4 file system of its own, in a file that is mounted as a disk. Covers have 1,500 px,
each is another image; they are shown once, and the measurement ends 12 s after the last one, when everything is on the disk. Then
each of them is requested ten times: hits. *By file* are the bytes of write calls, *on the disk* the sectors that the file system
wrote in the end, with its journal and its inodes. A page of a file that changes twice before it is written counts twice in the
first and once in the second.
"""

import argparse
import io
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from benchmarks.measure import machine, table
from tests.support.origin import Origin
from tests.support.vault import Vault

CALL = re.compile(r"(?:write|pwrite64|writev|pwritev2?)\(\d+<(/[^>]*)>.* = (\d+)$")
COVER = re.compile(r"/cache/thumbnails/([0-9a-f]{64})\.webp")
SETTLED_S = 12.0
DISK_BYTES = 3 << 30
SECTOR_BYTES = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--covers", type=int, default=1000)
    count = parser.parse_args().covers
    print(f"{count:,} covers of 1,500 px, cold\n{machine()}")
    with (
        tempfile.TemporaryDirectory(prefix="vinylvault-bench-", dir="/var/tmp") as name,  # /tmp may be memory
        disk(Path(name)) as (folder, device),
        Origin() as origin,
        Vault(folder / "vault", trusted=(origin.base,), VINYL_VAULT_FREE_SPACE_FLOOR_MB="0") as vault,
    ):
        rows: list[dict[str, object]] = [
            {"artist": f"Artist {n:05}", "title": f"Title {n}", "cover_url": origin.put(f"/{n}.jpg", sleeve(n))}
            for n in range(count)
        ]
        vault.import_albums(rows)
        before = sectors(device)
        with traced(vault, Path(name) / "trace") as written:
            digests = show_all(vault, count)
            time.sleep(SETTLED_S)
        on_disk = sectors(device) - before
        files = sum(path.stat().st_size for path in folder.rglob("*.webp"))
        report(count, written, on_disk, files)
        before = sectors(device)
        for digest in digests * 10:
            assert vault.get(f"/cache/thumbnails/{digest}.webp").status == 200
        time.sleep(SETTLED_S)
        print(f"{10 * len(digests):,} hits: {sectors(device) - before:,} bytes on the disk")


@contextmanager
def disk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Mount a new file system of its own; yield its folder and the name of its device."""
    image, mounted = folder / "disk", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    subprocess.run(["mount", "-o", "loop,noatime", image, mounted], check=True)
    try:
        number = os.stat(mounted).st_dev
        yield mounted, f"{os.major(number)}:{os.minor(number)}"
    finally:
        subprocess.run(["umount", "-l", mounted], check=True)


def sectors(device: str) -> int:
    """Return the bytes that reached a disk so far, after everything that waits was written."""
    os.sync()
    return int(Path(f"/sys/dev/block/{device}/stat").read_text(encoding="ascii").split()[6]) * SECTOR_BYTES


def sleeve(number: int) -> bytes:
    image = Image.effect_noise((300, 300), 60).resize((1500, 1500)).convert("RGB")
    image.paste((number * 7 % 256, number * 13 % 256, 90), (0, 0, 700, 700))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


@contextmanager
def traced(vault: Vault, log: Path) -> Iterator[Counter[str]]:
    """Count the bytes of write calls of the service and its children, by kind of file, until the end of the block."""
    assert vault.process is not None
    pids = {vault.process.pid, *vault.workers()}
    words = ["strace", "-f", "-y", "-qq", "-s0", "-e", "trace=write,pwrite64,writev,pwritev,pwritev2", "-o", str(log)]
    process = subprocess.Popen([*words, *(f"-p{pid}" for pid in pids)])
    time.sleep(1)
    written: Counter[str] = Counter()
    try:
        yield written
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if (call := CALL.search(line)) and not call[1].startswith(("/dev/", "/proc/", "/sys/")):
                written[kind(call[1])] += int(call[2])


def kind(path: str) -> str:
    name = Path(path.removesuffix(" (deleted)")).name
    if "/covers/" in path:
        return "covers/"
    return name if name.startswith(("index.db", "catalog.db")) else "everything else"


def show_all(vault: Vault, count: int) -> list[str]:
    """Look through the wall until each cover is there; return their names."""
    pages = range(1, count // 60 + 2)
    digests = sorted({d for page in pages for d in COVER.findall(vault.get(f"/?page={page}", Accept="text/html").body.decode())})
    assert len(digests) == count, len(digests)
    waiting, end = set(digests), time.monotonic() + 3600
    while waiting:
        waiting = {digest for digest in waiting if vault.get(f"/cache/thumbnails/{digest}.webp").status != 200}
        assert time.monotonic() < end, f"{len(waiting)} covers did not come"
        time.sleep(1)
    return digests


def report(count: int, written: Counter[str], on_disk: int, files: int) -> None:
    rows = [[name, f"{size / count / 1000:.1f}", f"{size / files:.2f}"] for name, size in written.most_common()]
    rows.append(["all write calls", f"{written.total() / count / 1000:.1f}", f"{written.total() / files:.2f}"])
    rows.append(["on the disk", f"{on_disk / count / 1000:.1f}", f"{on_disk / files:.2f}"])
    print(f"The files of the covers have {files / count / 1000:.1f} KB each.")
    table(["", "KB for a cover", "of the files"], rows)


if __name__ == "__main__":
    main()
