"""Cases of everyday life and of what is around the service: a day in a household, nginx, the sandbox, power cuts during its work."""

import hashlib
import random
import re
import time
from collections import Counter

from tests.pi.board import UNIT, Board
from tests.pi.cases import case, percent, put_covers, sha256_of_original, upload, wait_for_thumbnails
from tests.pi.photographs import photograph

HOURS = 24
ALBUM = re.compile(r'href="/album/(\d+)"')
GROWTH_MB = 4.0  # of a day; what grows with every hour grows by more
WRITTEN_MB = 20.0  # in a day
WORK_S = 30.0  # how long work may have gone on when the power is cut


@case
def household(board: Board) -> None:
    """24 hours of a household, each in a minute: pages, covers, records played, an upload in the evening; memory and bytes written."""
    digests, _ = put_covers(board, 70, side=600)  # two pages
    wait_for_thumbnails(board, digests)
    albums = ALBUM.findall(board.get("/", "text/html").body.decode())[:60]
    statuses: Counter[int] = Counter()
    memory: list[float] = []
    written = board.written_bytes() or 0
    for hour in range(HOURS):
        began = time.monotonic()
        board.guest.run('date -s "+1 hour" >/dev/null')
        if 7 <= hour <= 22:
            for path in ("/", "/?page=2", f"/album/{albums[hour]}", "/search?q=artist", f"/album/{albums[hour + 24]}"):
                statuses[board.status_of(path)] += 1
            for digest in digests[hour : hour + 20]:
                statuses[board.status_of(f"/cache/thumbnails/{digest}.webp")] += 1
            played = board.owner.ask(
                "POST", f"/album/{albums[hour]}/played", b"", {"Content-Type": "application/x-www-form-urlencoded"}
            )
            statuses[200 if played.status in (200, 303) else played.status] += 1
        if hour == 20:
            status, said, _ = upload(board, photograph(2, hour))
            assert status == 201, said
        memory.append(board.pss_mb())
        time.sleep(max(0.0, 60 - (time.monotonic() - began)))  # what runs by the minute has to run
    wrote_mb = ((board.written_bytes() or 0) - written) / 1e6
    first, last = max(memory[:8]), memory[-1]
    board.note(
        pages_and_covers=dict(statuses),
        pss_mb=[round(one, 1) for one in memory[::4]],
        written_mb=round(wrote_mb, 1),
        restarts=board.restarts(),
    )
    assert set(statuses) == {200}, statuses
    assert last - first < GROWTH_MB, memory
    assert wrote_mb < WRITTEN_MB, wrote_mb


@case
def no_inodes(board: Board) -> None:
    """A cache folder on a file system that has no inode left."""
    place = "/var/cache/vinylvault"
    board.guest.run(f"systemctl stop {UNIT} && cp -a {place} /srv/kept")
    board.guest.run(
        f"mount -t tmpfs -o nr_inodes=2000,size=64m,uid=$(id -u vinylvault) tmpfs {place} && cp -a /srv/kept/. {place}"
    )
    board.guest.run(f"i=0; while touch {place}/fill-$i 2>/dev/null; do i=$((i + 1)); done; systemctl start {UNIT}", ok=False)
    board.wait_until(board.responds, 900)
    digests, _ = put_covers(board, 6, side=600)
    time.sleep(30)
    there = sum(board.get(f"/cache/thumbnails/{digest}.webp").status == 200 for digest in digests)
    board.note(started=board.state(), wall=board.status_of("/"), covers_without_inodes=percent(there, 6))
    assert board.status_of("/") == 200
    board.guest.run(f"rm -f {place}/fill-*")
    took = wait_for_thumbnails(board, digests)
    board.note(covers_after="6 of 6", after_s=round(took))


@case
def sandbox(board: Board) -> None:
    """What the service can reach from inside its unit."""
    inside = f"nsenter -t {board.main_pid()} -m setpriv --reuid vinylvault --regid vinylvault --clear-groups sh -c"
    writes = ("/etc", "/usr", "/opt/vinylvault", "/srv", "/root", "/home", "/boot", "/dev", "/sys/fs/cgroup")
    open_ = [path for path in writes if board.guest.tried(f"{inside} 'touch {path}/x'")[0] == 0]
    reads = ("~root/.ssh/authorized_keys", "/etc/shadow", "/dev/vda", "/dev/mem", "/proc/1/environ", "/home/.")
    read = [path for path in reads if board.guest.tried(f"{inside} 'head -c1 {path} >/dev/null && ls {path} >/dev/null'")[0] == 0]
    own = board.guest.tried(f"{inside} 'touch /var/lib/vinylvault/state/x /var/cache/vinylvault/x'")[0] == 0
    board.guest.run("rm -f /var/lib/vinylvault/state/x /var/cache/vinylvault/x")
    processes = board.guest.run(f"{inside} 'ls /proc | grep -c ^[0-9]'", ok=False).strip()
    limits = board.guest.run(
        f"systemctl show {UNIT} -p TasksMax -p MemoryMax -p NoNewPrivileges -p CapabilityBoundingSet"
    ).split()
    board.note(can_write_elsewhere=open_ or "nothing", can_read_of_others=read or "nothing", own_folders=own, processes=processes)
    board.note(limits=limits, exposure=board.guest.run(f"systemd-analyze security {UNIT} | tail -1", ok=False).strip())
    assert not open_, open_
    assert own


@case
def nginx(board: Board) -> None:
    """nginx in front, put there by `install.sh`: pages and 600 hits through it, then hits without the service."""
    digests, _ = put_covers(board, 20, side=600)
    wait_for_thumbnails(board, digests)
    status, printed = board.guest.tried(
        "VINYLVAULT_HEALTH_S=900 /srv/vinylvault/systemd/install.sh --with-nginx --wheelhouse /srv/wheels"
    )
    assert status == 0, printed[-2000:]
    # From inside: the service listens on the loopback only, now that nginx is in front of it.
    asks = "python3 -c \"import urllib.request; urllib.request.urlopen('http://127.0.0.1/keys', timeout=60)\""
    board.wait_until(lambda: board.guest.tried(asks)[0] == 0, 900)
    names = " ".join(digests)
    script = (
        "import http.client, collections, sys\n"
        "c = http.client.HTTPConnection('127.0.0.1', 80, timeout=300); found = collections.Counter()\n"
        "def get(p):\n    c.request('GET', p); r = c.getresponse(); r.read(); found[r.status] += 1\n"
        f"names = '{names}'.split()\n"
        "for n in range(600): get(f'/cache/thumbnails/{names[n % len(names)]}.webp')\n"
        "if sys.argv[1:] != ['alone']: get('/')\n"
        "print(dict(found))"
    )
    board.guest.write("/srv/hits.py", script)
    cpu_s = board.cpu_s()
    both = board.guest.run("python3 /srv/hits.py").strip()
    served = board.cpu_s() - cpu_s
    board.guest.run(f"systemctl stop {UNIT}")
    alone = board.guest.run("python3 /srv/hits.py alone", ok=False).strip().splitlines()[-1]
    board.note(through_nginx=both, cpu_s_of_the_service=round(served, 1), with_the_service_stopped=alone)
    assert both == "{200: 601}", both


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
    work = {
        "import": "albums import /srv/records.json",
        "scrub": "verify",
        "backup": "backup /srv/$(date +%s).tar",
        "update": "update --from /srv/new --wheelhouse /srv/wheels",
    }
    for name, words in work.items():
        board.guest.run(f"systemctl reset-failed work 2>/dev/null; systemd-run -q --unit=work $(command -v vinylvault) {words}")
        time.sleep(dice.uniform(1, WORK_S))
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
