"""The cases, the most valuable first. Each begins with a machine of its own and leaves nothing to the next."""

import hashlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException

from tests.pi.board import Board
from tests.pi.guest import Watch
from tests.pi.photographs import hostile, photograph
from tests.support.visitor import SLUG

COVERS = 60
HITS = 600
DIGEST = re.compile(r"/cache/thumbnails/([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Case:
    """`boots`: it boots the installed machine itself instead of continuing the frozen one."""

    name: str
    run: Callable[[Board], None]
    boots: bool

    @property
    def title(self) -> str:
        return (self.run.__doc__ or "").partition("\n")[0].rstrip(".")


KNOWN: dict[str, Case] = {}


def case(run: Callable[[Board], None], *, boots: bool = False) -> Callable[[Board], None]:
    name = run.__name__.rstrip("_")
    KNOWN[name] = Case(name, run, boots)
    return run


def case_that_boots(run: Callable[[Board], None]) -> Callable[[Board], None]:
    return case(run, boots=True)


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


@case
def covers(board: Board) -> None:
    """60 covers of 1,500 px downloaded while someone browses, then 600 hits."""
    digests = download(board, COVERS)
    written = board.written_bytes() or 0
    cpu_s = board.cpu_s()
    hits = Counter(board.get(f"/cache/thumbnails/{digests[n % COVERS]}.webp").status for n in range(HITS))
    board.note(
        hits=dict(hits),
        cpu_ms_per_hit=round((board.cpu_s() - cpu_s) / HITS * 1000, 1),
        written_kb_by_hits=round(((board.written_bytes() or 0) - written) / 1e3),
    )
    assert hits == {200: HITS}, hits
    check_fetched_once(board)


@case
def many_covers(board: Board) -> None:
    """300 covers of 1,500 px downloaded while someone browses"""
    download(board, 300)
    check_fetched_once(board)


@case
def uploads(board: Board) -> None:
    """Uploads of 12, 24 and 48 megapixels, baseline and progressive, then three of 12 at once."""
    for megapixels in (12, 24, 48):
        for progressive in (False, True):
            body = photograph(megapixels, megapixels, progressive=progressive)
            status, said, took = upload(board, body)
            name = f"{megapixels}_mp_{'progressive' if progressive else 'baseline'}"
            if status == 201:
                shown = board.wait_until(lambda image_id=said: is_rendered(board, image_id), 900)  # type: ignore[misc]
                board.note(**{name: f"201 in {took:.0f} s, large after {shown:.0f} s"})
            else:
                board.note(**{name: f"{status}, {said}"})
                assert status == 415, f"{name} must be stored, or refused in words: {status} {said}"
                assert megapixels > float(said.partition("the limit is ")[2].partition(". ")[0]), f"{name}: {said}"
    results: list[tuple[int, str, float]] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(upload(board, photograph(12, 100 + n, progressive=True))))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    visits = Visits(Counter())
    while any(thread.is_alive() for thread in threads):
        visits.look(board)
        time.sleep(1)
    for status, said, _ in results:
        assert status == 201, said
        board.wait_until(lambda image_id=said: is_rendered(board, image_id), 900)  # type: ignore[misc]
    board.note(
        three_at_once=[status for status, _, _ in results],
        log=journal_by_kind(board),
        pages_meanwhile=dict(visits.statuses),
        slowest_page_s=round(visits.slowest_s, 1),
    )
    assert len(results) == 3
    assert set(visits.statuses) == {200}, visits.statuses


@case
def cuts(board: Board) -> None:
    """Power cuts in the middle of uploads: what was acknowledged is there, byte for byte."""
    dice = random.Random(15)
    acknowledged: dict[str, str] = {}
    number = 0
    lost: list[str] = []
    refused: list[str] = []
    for cut in range(board.cuts):
        board.wait_until(lambda: board.health()["Catalogue"]["state"] == "well" if board.responds() else False)

        def send() -> None:
            nonlocal number
            number += 1
            body = photograph(1, 1000 + number % 5) + number.to_bytes(4, "big")
            try:
                status, said, _ = upload(board, body)
            except (OSError, HTTPException):  # the power was cut
                return
            if status == 201:
                acknowledged[said] = hashlib.sha256(body).hexdigest()
            elif status in (409, 413, 415):  # the stream is full, say: it would be refused for ever
                refused.append(said)

        before = len(acknowledged)
        sending = [Watch(send) for _ in range(2)]
        board.wait_until(lambda: len(acknowledged) > before or bool(refused), every_s=0.2)  # noqa: B023  runs at once
        assert not refused, refused
        time.sleep(dice.uniform(0, 20))
        board.guest.cut()
        for one in sending:
            one.stop()
        began = time.monotonic()
        board.again()
        took = time.monotonic() - began
        lost = [image_id for image_id, digest in acknowledged.items() if sha256_of_original(board, image_id) != digest]
        board.note(
            **{f"cut_{cut + 1}": f"{len(acknowledged)} acknowledged, {len(acknowledged) - len(lost)} kept, back in {took:.0f} s"}
        )
        assert not lost, lost
    check = "import sqlite3; print(*[sqlite3.connect(f).execute('PRAGMA quick_check').fetchone()[0] for f in ('/var/lib/vinylvault/state/catalog.db', )])"
    board.note(
        acknowledged=len(acknowledged),
        kept=len(acknowledged) - len(lost),
        quick_check=board.guest.run(f'python3 -c "{check}"').strip(),
    )


def sha256_of_original(board: Board, image_id: str) -> str:
    reply = board.owner.get(f"/streams/{SLUG}/images/{image_id}/original")
    return hashlib.sha256(reply.body).hexdigest() if reply.status == 200 else f"status {reply.status}"


@case
def hostile_(board: Board) -> None:
    """Hostile images as uploads and as covers: refused in words, and the wall stays."""
    images = hostile()
    pid = board.main_pid()
    said = {}
    for name, body in images.items():
        status, words, _ = upload(board, body)
        said[name] = status
        assert status in (201, 400, 413, 415, 429), (name, status, words)
        assert board.status_of("/") == 200, name
    rows: list[dict[str, object]] = [
        {"artist": name, "title": "T", "cover_url": board.origin.put(f"/{name}", body)} for name, body in images.items()
    ]
    board.import_records(rows)
    digests = DIGEST.findall(board.get("/", "text/html").body.decode())
    board.wait_until(lambda: all(board.origin.count(f"/{name}") for name in images), every_s=5)
    last: Counter[int] = Counter()

    def is_quiet() -> bool:
        last.clear()
        last.update(board.get(f"/cache/thumbnails/{digest}.webp").status for digest in set(digests))
        return str(board.health()["Queue"]["message"]) == "Queue is empty."

    board.wait_until(is_quiet, every_s=10)
    board.note(uploads=dict(Counter(said.values())), covers=dict(last), restarts=board.restarts(), log=journal_by_kind(board))
    assert board.main_pid() == pid, "the service was started again"
    assert board.status_of("/") == 200


@case
def restarts(board: Board) -> None:
    """kill -9 of the service, then SIGSTOP: it comes back by itself."""
    for name, number in (("kill_9", "KILL"), ("sigstop", "STOP")):
        pid = board.main_pid()
        board.guest.run(f"kill -{number} {pid}")
        took = board.wait_until(
            lambda pid=pid: board.main_pid() not in (0, pid) and board.responds() and board.state() == "active", 900
        )  # type: ignore[misc]
        board.note(**{f"{name}_back_s": round(took), f"{name}_result": board.restarts()})
    board.note(journal=[line for line in board.journal().splitlines() if "memory" in line.lower()][-3:])
    assert board.state() == "active"


@case
def full(board: Board) -> None:
    """A card with no free byte, and the service started again on it."""
    status, first, _ = upload(board, photograph(1, 1))
    assert status == 201, first
    board.guest.run(
        "fallocate -l $(($(df -B1 --output=avail / | tail -1) - 4096)) /srv/full; cat /dev/zero >/srv/rest 2>/dev/null; sync; true"
    )
    free = board.guest.run("df -B1 --output=avail / | tail -1").strip()
    refused, words, _ = upload(board, photograph(1, 2))
    board.note(free_bytes=free, wall=board.status_of("/"), upload=f"{refused} {words}")
    assert board.status_of("/") == 200
    board.guest.run("systemctl restart vinylvault", ok=False)
    took = board.wait_until(board.responds, 900)
    board.note(started_full=board.state(), after_s=round(took), wall_started_full=board.status_of("/"))
    assert sha256_of_original(board, first) == hashlib.sha256(photograph(1, 1)).hexdigest()
    board.guest.run("rm /srv/full /srv/rest; sync")
    board.wait_until(lambda: upload(board, photograph(1, 3))[0] == 201, 600, every_s=10)
    board.note(after_room="201")
    assert refused == 507, (refused, words)


@case
def read_only(board: Board) -> None:
    """A card that went read-only, and the service started again on it."""
    status, first, _ = upload(board, photograph(1, 1))
    assert status == 201, first
    board.guest.run("sync; echo u > /proc/sysrq-trigger; sleep 5; ! touch /srv/x")
    refused, words, _ = upload(board, photograph(1, 2))
    board.note(wall=board.status_of("/"), upload=f"{refused} {words}")
    assert board.status_of("/") == 200
    assert refused == 507, (refused, words)
    board.guest.run("systemctl restart vinylvault", ok=False)
    took = board.wait_until(board.responds, 900)
    board.note(started_read_only=board.state(), after_s=round(took), wall_started_read_only=board.status_of("/"))
    assert board.status_of("/") == 200


@case
def clock(board: Board) -> None:
    """The clock set to 1970 while it runs, a start with it, and back."""
    digests, _ = put_covers(board, 6)
    wait_for_thumbnails(board, digests)
    asked = board.origin.count()
    board.guest.run("date -s 1970-01-02 >/dev/null")
    board.note(
        wall_in_1970=board.status_of("/"),
        health=[c["message"] for c in board.health().values() if "clock" in c["message"].lower()],
    )
    board.guest.run("systemctl restart vinylvault", ok=False)
    board.wait_until(board.responds, 900)
    there = sum(board.get(f"/cache/thumbnails/{digest}.webp").status == 200 for digest in digests)
    board.note(started_in_1970=board.state(), covers=percent(there, 6))
    assert there == 6
    board.guest.run(f"date -s @{time.time():.0f} >/dev/null")
    time.sleep(60)
    there = sum(board.get(f"/cache/thumbnails/{digest}.webp").status == 200 for digest in digests)
    board.note(covers_after=percent(there, 6), fetched_again=board.origin.count() - asked)
    assert there == 6
    assert board.origin.count() == asked


@case_that_boots
def no_memory_group(board: Board) -> None:
    """Without the memory group, as Raspberry Pi OS boots: uploads of 12 and 48 megapixels"""
    board.booted(kernel="cgroup_disable=memory")
    board.wait_until(board.responds)
    for megapixels in (12, 48):
        status, said, took = upload(board, photograph(megapixels, megapixels))
        assert status == 201, said
        shown = board.wait_until(lambda image_id=said: is_rendered(board, image_id), 900)  # type: ignore[misc]
        board.note(**{f"{megapixels}_mp": f"201 in {took:.0f} s, large after {shown:.0f} s"})
    board.note(oom_kills=board.guest.run("grep oom_kill /proc/vmstat").split()[-1], pss_mb=round(board.pss_mb()))


@case
def commands(board: Board) -> None:
    """`status`, `health`, `report`, `verify`, `doctor`, and both timers."""
    for words, allowed in (("status", {0, 1}), ("health", {0, 1}), ("report", {0, 1}), ("verify", {0}), ("doctor", {0, 1})):
        began = time.monotonic()
        status, printed = board.command(words)
        board.note(**{words: f"exit {status}, {time.monotonic() - began:.0f} s"})
        assert status in allowed, printed
        assert "Traceback" not in printed, printed
    for unit in ("vinylvault-cleanup.service", "vinylvault-backup.service"):
        board.guest.run(f"systemctl start {unit}")
        board.note(**{unit.partition(".")[0]: board.guest.run(f"systemctl show {unit} -p Result --value").strip()})


@case
def backup(board: Board) -> None:
    """A backup, restored into an empty vault."""
    put_covers(board, 12, side=600)
    ids = {}
    for seed in (1, 2, 3):
        body = photograph(2, seed)
        status, said, _ = upload(board, body)
        assert status == 201, said
        ids[said] = hashlib.sha256(body).hexdigest()
    status, printed = board.command("backup /srv/all.tar")
    assert status == 0, printed
    board.guest.run("systemctl stop vinylvault && rm -rf /var/lib/vinylvault/state/* /var/cache/vinylvault/*")
    status, printed = board.command("restore /srv/all.tar")
    assert status == 0, printed
    board.wait_until(board.responds, 900)
    board.owner.log_in("owner")  # no session outlives a restore
    kept = sum(sha256_of_original(board, image_id) == digest for image_id, digest in ids.items())
    board.note(
        restored=printed.strip().splitlines()[-1], catalogue=board.health()["Catalogue"]["message"], originals=percent(kept, 3)
    )
    assert kept == 3
    assert board.health()["Catalogue"]["message"] == "12 records."


@case
def demo(board: Board) -> None:
    """The demo collection of 240 records: drawn, downloaded and shown, in a vault of its own."""
    board.guest.run("systemctl stop vinylvault")
    board.guest.run(
        "systemd-run -q --unit=demo -p MemoryMax=60% -p WorkingDirectory=/opt/vinylvault/current --setenv=HOME=/root "
        "--setenv=VINYL_VAULT_DATA_DIR=/var/tmp/demo /opt/vinylvault/current/venv/bin/python -m image_cache.cli demo"
    )
    took = board.wait_until(board.responds, 1800)
    pages = [board.get(f"/?page={page}", "text/html").body.decode() for page in range(1, 5)]
    digests = set(DIGEST.findall("".join(pages)))
    drawn = wait_for_thumbnails(board, list(digests))
    peak = int(board.guest.run("cat /sys/fs/cgroup/system.slice/demo.service/memory.peak")) / 1e6
    board.note(page_after_s=round(took), covers=len(digests), all_after_s=round(drawn), peak_with_its_origin_mb=round(peak))
    assert len(digests) > 200


@case
def update(board: Board) -> None:
    """An update that is good, and one that is ill and is rolled back."""
    before = board.guest.run("readlink /opt/vinylvault/current").strip()
    copy = "rm -rf /srv/new && cp -a /srv/vinylvault /srv/new && "
    board.guest.run(f"{copy} sed -i '1s/$/, newer/' /srv/new/README.md")
    began = time.monotonic()
    status, printed = board.command("update --from /srv/new --wheelhouse /srv/wheels")
    assert status == 0, printed[-2000:]
    after = board.guest.run("readlink /opt/vinylvault/current").strip()
    assert after != before
    board.wait_until(board.responds, 900)
    board.note(good=f"{before} to {after} in {time.monotonic() - began:.0f} s")
    board.guest.run(f"{copy} sed -i 's/200 if can_serve(checks) else 503/503/' /srv/new/image_cache/web/admin/health.py")
    began = time.monotonic()
    status, printed = board.guest.tried("/srv/new/systemd/install.sh update --wheelhouse /srv/wheels")
    assert status == 1, printed[-2000:]
    assert "rolled back" in printed, printed[-2000:]
    assert board.guest.run("readlink /opt/vinylvault/current").strip() == after
    board.wait_until(board.responds, 900)
    board.note(ill=f"rolled back in {time.monotonic() - began:.0f} s")
