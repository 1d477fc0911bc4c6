"""A 5 MB photograph over HTTP, sent and shown as a thumbnail of 200 px: ours beside thumbor, whose upload stores the bytes alone.

    python -m benchmarks.uploads --thumbor /path/to/bin/thumbor [--uploads 20]

Both get the same photographs by turns, each of them new. Ours also renders the two larger sizes, reads what the phone wrote
(orientation, place) and syncs original and row to the disk before it answers; thumbor decodes when the thumbnail is requested.
"""

import argparse
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import cpu_s, machine, spread, table
from benchmarks.servers import pid_of, thumbor
from benchmarks.streams import photo
from tests.support.vault import Vault
from tests.support.visitor import prepared

Send = Callable[[bytes], bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thumbor", type=Path, required=True, help="its program")
    parser.add_argument("--uploads", type=int, default=20)
    options = parser.parse_args()
    print(machine())
    photos = [photo(number) for number in range(options.uploads + 1)]
    with tempfile.TemporaryDirectory(prefix="vinylvault-bench-") as name:
        folder = Path(name)
        with ours(folder / "vault") as vault, send_to_thumbor(options.thumbor, folder) as peer:
            both = [("ours", *vault), ("thumbor", *peer)]
            times: dict[str, list[float]] = {who: [] for who, _, _ in both}
            for _, _, send in both:  # the first one starts a decoder, or fills caches: it does not count
                send(photos[0])
            before = {who: cpu_s(pid) for who, pid, _ in both}
            for body in photos[1:]:
                for who, _, send in both:
                    begun = time.perf_counter()
                    assert send(body)[8:12] == b"WEBP"
                    times[who].append(1000 * (time.perf_counter() - begun))
            used = {who: (cpu_s(pid) - before[who]) / options.uploads * 1000 for who, pid, _ in both}
    rows = [(who, *spread(sorted(found))[:2], used[who]) for who, found in times.items()]
    table(("5 MB to its thumbnail", "median ms", "p90 ms", "CPU ms each"), rows)
    (_, mine, _, my_cpu), (_, theirs, _, their_cpu) = rows
    print(f"ratio to thumbor: {mine / theirs:.2f} by time, {my_cpu / their_cpu:.2f} by CPU")


@contextmanager
def ours(folder: Path) -> Iterator[tuple[int, Send]]:
    with Vault(folder, VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM="1000") as vault:
        owner = prepared(vault)

        def send(body: bytes) -> bytes:
            (row,) = owner.upload(body, visibility="private").json()["results"]
            return owner.get(row["thumb_url"]).body

        yield pid_of(vault), send


@contextmanager
def send_to_thumbor(program: Path, folder: Path) -> Iterator[tuple[int, Send]]:
    with thumbor(program, folder) as (port, pid):
        base = f"http://127.0.0.1:{port}"

        def send(body: bytes) -> bytes:
            asked = urllib.request.Request(f"{base}/image", body, {"Content-Type": "image/jpeg", "Slug": "photo.jpg"})
            with urllib.request.urlopen(asked, timeout=60) as answer:
                place = answer.headers["Location"].removeprefix("/image/")
            with urllib.request.urlopen(
                f"{base}/unsafe/fit-in/200x200/filters:format(webp):quality(85)/{place}", timeout=60
            ) as answer:
                return bytes(answer.read())

        yield pid, send


if __name__ == "__main__":
    main()
