"""What ends the service or the machine: power cuts, kill -9, SIGSTOP."""

import hashlib
import random
import time
from http.client import HTTPException

from tests.pi.board import Board
from tests.pi.case import case
from tests.pi.guest import Watch
from tests.pi.photographs import photograph
from tests.pi.visits import sha256_of_original, upload


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


@case
def cuts_at_work(board: Board) -> None:
    """Power cuts during an import, a scrub, a backup and an update: nothing acknowledged is lost, and the work can be done again."""
    dice = random.Random(16)
    body = photograph(1, 1)
    status, kept, _ = upload(board, body)
    assert status == 201, kept
    rows: list[dict[str, object]] = [{"artist": f"Artist {number:04}", "title": f"Title {number}"} for number in range(2000)]
    board.import_records(rows[:50])
    board.import_records(rows)  # leaves the table that the cut import reads again
    board.guest.run("rm -rf /srv/new && cp -a /srv/vinylvault /srv/new && sed -i '1s/$/, newer/' /srv/new/README.md && sync")
    work = {  # and for how many seconds it goes on at most before the power is cut
        "import": ("albums import /srv/records.json", 20),
        "scrub": ("verify", 5),
        "backup": ("backup /srv/$(date +%s).tar", 8),
        "update": ("update --from /srv/new --wheelhouse /srv/wheels", 90),
    }
    for name, (words, most_s) in work.items():
        board.guest.run(f"systemctl reset-failed work 2>/dev/null; systemd-run -q --unit=work $(command -v vinylvault) {words}")
        time.sleep(dice.uniform(1, most_s))
        was_running = board.guest.run("systemctl is-active work", ok=False).strip() in ("active", "activating")
        board.guest.cut()
        began = time.monotonic()
        board.again()
        took = time.monotonic() - began
        board.wait_until(lambda: board.health()["Catalogue"]["state"] == "well")
        is_kept = sha256_of_original(board, kept) == hashlib.sha256(body).hexdigest()
        status, printed = board.command(words)
        board.note(
            **{
                name: f"{'cut at work' if was_running else 'cut after it'}, back in {took:.0f} s, original {'kept' if is_kept else 'LOST'}, again: exit {status}"
            }
        )
        assert is_kept
        assert status == 0, printed[-2000:]
        board.wait_until(board.responds, 900)
    assert board.health()["Catalogue"]["message"].startswith("2,000"), board.health()["Catalogue"]


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
