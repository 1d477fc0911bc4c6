"""What happens to a machine: a full card, one without inodes, a read-only one, and a clock without a battery."""

import hashlib
import time

from tests.pi.board import UNIT, Board
from tests.pi.case import case
from tests.pi.photographs import photograph
from tests.pi.visits import percent, put_covers, sha256_of_original, upload, wait_for_thumbnails


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
def no_inodes(board: Board) -> None:
    """A cache folder on a file system that has no inode left."""
    place = "/var/cache/vinylvault"
    board.guest.run(f"systemctl stop {UNIT} && cp -a {place} /srv/kept")
    board.guest.run(
        f"mount -t tmpfs -o nr_inodes=2000,size=400m,uid=$(id -u vinylvault) tmpfs {place} && cp -a /srv/kept/. {place}"
    )
    board.guest.run(f"i=0; while touch {place}/fill-$i 2>/dev/null; do i=$((i + 1)); done; systemctl start {UNIT}", ok=False)
    board.wait_until(board.responds, 900)
    digests, _ = put_covers(board, 6, side=600)
    time.sleep(30)
    there = sum(board.get(f"/cache/thumbnails/{digest}.webp").status == 200 for digest in digests)
    board.note(started=board.state(), wall=board.status_of("/"), covers_without_inodes=percent(there, 6))
    assert board.status_of("/") == 200
    board.guest.run(f"rm -f {place}/fill-*")
    assert board.status_of("/") == 200  # who looks at the wall again asks for its covers again
    took = wait_for_thumbnails(board, digests)
    board.note(covers_after="6 of 6", after_s=round(took))


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
