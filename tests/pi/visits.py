"""What cases do with a machine: put records on the wall, wait for covers, upload, look at the wall, read the journal."""

import hashlib
import re
import time
from collections import Counter
from dataclasses import dataclass

from tests.pi.board import Board
from tests.pi.guest import Watch
from tests.pi.photographs import photograph
from tests.support.visitor import SLUG

DIGEST = re.compile(r"/cache/thumbnails/([0-9a-f]{64})")


def percent(part: int, whole: int) -> str:
    return f"{part} of {whole}"


def upload(board: Board, body: bytes) -> tuple[int, str, float]:
    """Upload an image: the status, its identifier or what was said, and the seconds it took. Tries again as the page's script does."""
    began = time.monotonic()
    for _ in range(3):
        reply = board.owner.upload(body, visibility="public")
        if reply.status != 503 or "retry-after" not in reply.headers:
            break
        time.sleep(float(reply.headers["retry-after"]))
    took = time.monotonic() - began
    try:
        result = reply.json()["results"][0]
    except (ValueError, KeyError, IndexError):
        return reply.status, reply.body.decode(errors="replace")[:200], took
    return reply.status, str(result.get("image_id") or result.get("reason") or result), took


def is_rendered(board: Board, image_id: str) -> bool:
    """Return whether the large variant is there. Raises `AssertionError` when it is said never to be."""
    reply = board.owner.get(f"/streams/{SLUG}/images/{image_id}/large")
    assert reply.status in (200, 202, 503), (reply.status, reply.body[:200])
    return reply.status == 200 and reply.body[8:12] == b"WEBP"


def sha256_of_original(board: Board, image_id: str) -> str:
    reply = board.owner.get(f"/streams/{SLUG}/images/{image_id}/original")
    return hashlib.sha256(reply.body).hexdigest() if reply.status == 200 else f"status {reply.status}"


def put_covers(board: Board, count: int, side: int = 1500) -> tuple[list[str], int]:
    """Put covers on the origin and their records on the wall: the digests, and the bytes of all covers."""
    body_of = [photograph(side * side * 0.75 / 1e6, seed) for seed in range(8)]
    rows: list[dict[str, object]] = []
    size = 0
    for number in range(count):
        body = body_of[number % 8] + number.to_bytes(4, "big")  # what follows the end of a JPEG makes it another one
        size += len(body)
        rows.append({"artist": f"Artist {number:04}", "title": "T", "cover_url": board.origin.put(f"/{number}.jpg", body)})
    board.import_records(rows)
    digests: dict[str, None] = {}
    for page in range(1, -(-count // 60) + 1):
        digests.update(dict.fromkeys(DIGEST.findall(board.get(f"/?page={page}", "text/html").body.decode())))
    assert len(digests) == count, f"{len(digests)} covers on the wall, not {count}"
    return list(digests), size


@dataclass(slots=True)
class Visits:
    """What a visitor gets who looks at the wall all the time."""

    statuses: Counter[int]
    slowest_s: float = 0.0

    def look(self, board: Board, path: str = "/") -> None:
        began = time.monotonic()
        self.statuses[board.status_of(path)] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def wait_for_thumbnails(board: Board, digests: list[str]) -> float:
    """Wait until all are there; return for how many seconds."""
    left = set(digests)

    def all_there() -> bool:
        for digest in sorted(left)[:10]:
            if board.get(f"/cache/thumbnails/{digest}.webp").status == 200:
                left.discard(digest)
        return not left

    return board.wait_until(all_there, 7200, every_s=4)


def download(board: Board, count: int) -> list[str]:
    """Put records with covers on the wall, look at it until all covers are there, and return their digests."""
    digests, size = put_covers(board, count)
    visits = Visits(Counter())
    browsing = Watch(lambda: visits.look(board))
    cpu_s = board.cpu_s()
    took = wait_for_thumbnails(board, digests)
    browsing.stop()
    written = board.written_bytes() or 0
    asked = Counter(request.path for request in board.origin.requests)
    board.note(
        covers=percent(len(digests), count),
        fetched_once=percent(sum(1 for n in asked.values() if n == 1), count),
        seconds=round(took),
        cpu_s_per_cover=round((board.cpu_s() - cpu_s) / count, 1),
        covers_mb=round(size / 1e6, 1),
        written_mb_with_the_import=round(written / 1e6, 1),
        pages_meanwhile=dict(visits.statuses),
        slowest_page_s=round(visits.slowest_s, 1),
        log=journal_by_kind(board),
    )
    assert set(visits.statuses) == {200}, visits.statuses
    return digests


def check_fetched_once(board: Board) -> None:
    asked = Counter(request.path for request in board.origin.requests)
    assert set(asked.values()) == {1}, f"asked for more than once: {asked.most_common(3)}"


def journal_by_kind(board: Board) -> dict[str, int]:
    """Return how often the service wrote which warning or error since its start, without the facts of each."""
    lines = board.guest.run("journalctl -u vinylvault -b -o cat --no-pager | grep -E '^(WARNING|ERROR|CRITICAL)' || true")
    return dict(Counter(re.split(r" \w+=", line.partition(" ")[2], maxsplit=1)[0][:80] for line in lines.splitlines()))
