"""A ZIP of 500 originals of 4 MB, 2 GB in all, taken by a fast and a slow reader at once: the memory of the server before and at most.

    python -m benchmarks.archive [--images 500] [--megabytes 4] [--slow-s 60]

The originals are planted: files and rows as uploads leave them. The slow reader takes 1 MB/s for `--slow-s`.
"""

import argparse
import http.client
import os
import tempfile
import threading
import time
from pathlib import Path

from app import create_app
from benchmarks.measure import machine, pss_mb, table
from image_cache.config import Settings
from image_cache.models import StreamImage, iso_utc
from image_cache.streams.upload.validation import new_image_id
from tests.support.vault import Vault, compiled_in
from tests.support.visitor import SLUG, Browser, prepared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--slow-s", type=float, default=60)
    known = parser.parse_args()
    print(f"A ZIP of originals\n{machine()}")
    with (
        tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name,
        Vault(Path(name) / "vault", **compiled_in(Path(name) / "compiled")) as vault,
    ):
        owner = prepared(vault)
        vault.stop()
        plant(vault.folder, known.images, int(known.megabytes * 1e6))
        vault.start()
        owner.get(f"/streams/{SLUG}")
        before, found, is_over = pss_mb(*vault.workers()), [0.0], threading.Event()
        watch = threading.Thread(target=watch_memory, args=(vault, found, is_over))
        slow: list[int] = []
        slowly = threading.Thread(target=lambda: slow.append(read(vault, owner, 1e6, known.slow_s)))
        for thread in (watch, slowly):
            thread.start()
        began = time.monotonic()
        fast = read(vault, owner)
        took_s = time.monotonic() - began
        slowly.join()
        is_over.set()
        watch.join()
    assert fast > known.images * known.megabytes * 1e6, "the fast reader has all of it"
    columns = ("MB before", "MB at most", "fast reader, MB", "MB/s", "slow reader, MB")
    table(columns, [(before, found[0], fast / 1e6, fast / 1e6 / took_s, slow[0] / 1e6)])


def plant(folder: Path, images: int, size: int) -> None:
    app = create_app(Settings(DATA_DIR=folder))
    streams = app.extensions["vinylvault"].streams
    try:
        for number in range(1, images + 1):
            image_id = new_image_id(number.to_bytes(16))
            path = f"{SLUG}/{image_id}_original.jpg"
            streams.images.storage.put(path, os.urandom(size))
            made = StreamImage(
                image_id, SLUG, f"{number}.jpg", path, size_bytes=size, created_at=iso_utc(time.time()), format="JPEG"
            )
            with streams.rows.db.write() as conn:
                streams.rows.add_image(conn, streams.find_stream(SLUG).id, made, os.urandom(32))
    finally:
        app.extensions["vinylvault"].close()


def watch_memory(vault: Vault, found: list[float], is_over: threading.Event) -> None:
    while not is_over.wait(0.1):
        found[0] = max(found[0], pss_mb(*vault.workers()))


def read(vault: Vault, owner: Browser, rate: float = 1e12, for_s: float = 1e9) -> int:
    connection, began, got = http.client.HTTPConnection("127.0.0.1", vault.port, timeout=60), time.monotonic(), 0
    connection.request("GET", f"/streams/{SLUG}/images.zip", headers={"Cookie": owner.cookie, "Host": "vault.local"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()[:300]
    while time.monotonic() - began < for_s and (data := answer.read(262_144)):
        got += len(data)
        time.sleep(max(0.0, got / rate - (time.monotonic() - began)))
    connection.close()
    return got


if __name__ == "__main__":
    main()
