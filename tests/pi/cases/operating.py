"""What operators do: commands and timers, a backup, updates, nginx in front, the demo; and what the unit lets the service reach."""

import hashlib
import time

from tests.pi.board import UNIT, Board
from tests.pi.case import case
from tests.pi.photographs import photograph
from tests.pi.visits import DIGEST, percent, put_covers, sha256_of_original, upload, wait_for_thumbnails


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
