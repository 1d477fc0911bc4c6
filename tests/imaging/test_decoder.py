"""Decoder processes: real children, real limits, real crashes."""

import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from image_cache.errors import DecoderFailed, ImageRejected
from image_cache.imaging import pillow as imaging
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.decoder_answers import check_rendered
from image_cache.imaging.variants import Variant, cover_variants
from tests.support.pictures import decoded, encoded, noise, png_header

pytestmark = pytest.mark.decoder

ROOT = Path(__file__).resolve().parents[2]
PAIR = (cover_variants()[0], cover_variants()[2])
BUDGET = 256 << 20
WAIT_S = 30.0
PATIENT_S = 120.0  # wall time that seconds of CPU may take on a busy machine
SLOW = (Variant("large", 4000, 85, 6),)  # several seconds of work for libwebp on any machine
COVER = encoded(noise("RGB", 300, 300), "JPEG")
LARGE = encoded(noise("RGB", 1000, 1000).resize((4000, 4000), Image.Resampling.NEAREST), "JPEG", quality=60)


@pytest.fixture
def start() -> Iterator[Callable[..., Decoder]]:
    """Creates decoders, and closes them at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(contextlib.closing(Decoder(BUDGET, **options)))


@pytest.fixture
def decoder(start: Callable[..., Decoder]) -> Decoder:
    return start()


@contextlib.contextmanager
def open_handle(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process has ended."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def ends(pid: int, within_s: float = WAIT_S) -> bool:
    """Return True if the process ends in time, or has ended already."""
    try:
        with open_handle(pid) as handle:
            return bool(select.select([handle], [], [], within_s)[0])
    except ProcessLookupError:
        return True


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class InThread(threading.Thread):
    """Renders something slow in a separate thread, and keeps the result."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder, self.error = decoder, None
        decoder.render(COVER, PAIR)
        self.worker = decoder.processes()[1]
        self.start()
        ticks = cpu_ticks(self.worker)
        while cpu_ticks(self.worker) < ticks + 3:  # 30 ms of CPU: it has the image and is rendering
            assert self.is_alive()

    def run(self) -> None:
        try:
            self.decoder.render(LARGE, SLOW)
        except DecoderFailed as error:
            self.error = error


# --- normal operation


def test_the_child_renders_what_pillow_renders(decoder):
    assert decoder.render(COVER, PAIR) == imaging.render(COVER, PAIR)


def test_the_child_probes_and_makes_jpegs(decoder):
    assert decoder.probe(COVER) == imaging.probe(COVER)
    webp = decoder.render(COVER, PAIR).variants["detail"]
    assert decoder.jpeg(webp, 80) == imaging.to_jpeg(webp, 80)
    assert decoded(decoder.jpeg(webp)).format == "JPEG"


def test_constructing_starts_nothing():
    threads = set(threading.enumerate())
    decoder = Decoder(BUDGET)
    assert decoder.processes() == ()
    assert set(threading.enumerate()) <= threads
    decoder.close_idle()
    decoder.close()


def test_one_worker_renders_many_images_and_is_then_replaced(start):
    decoder = start(images_per_child=3)
    seen = []
    for _ in range(7):
        decoder.render(COVER, PAIR)
        seen.append(decoder.processes())
    decoder.close()
    nurseries, workers = zip(*seen, strict=True)
    assert len(set(nurseries)) == 1
    assert [workers.count(pid) for pid in dict.fromkeys(workers)] == [3, 3, 1]


def test_a_rejected_image_costs_no_worker(decoder):
    decoder.render(COVER, PAIR)
    before = decoder.processes()
    for body in (b"", b"<html>", COVER[:500], png_header(30_000, 30_000)):
        with pytest.raises(ImageRejected):
            decoder.render(body, PAIR)
    with pytest.raises(ImageRejected, match=r"900\.0 megapixels, the limit is 25\.0"):
        decoder.probe(png_header(30_000, 30_000))
    decoder.render(COVER, PAIR)
    assert decoder.processes() == before


def test_a_body_above_the_budget_is_rejected_unsent():
    decoder = Decoder(1 << 20)
    with pytest.raises(ImageRejected, match="too large to decode: 1,048,577 bytes"):
        decoder.render(bytes((1 << 20) + 1), PAIR)
    assert decoder.processes() == ()


def test_a_large_body_arrives_completely(decoder):
    body = COVER + bytes(18_000_000)
    assert decoder.render(body, PAIR).variants == imaging.render(COVER, PAIR).variants


def test_many_threads_share_one_child_and_get_their_own_images(decoder):
    bodies = [encoded(noise("RGB", 40 + n, 30, n), "PNG") for n in range(6)]
    start = threading.Barrier(len(bodies))
    made = {}

    def run(n: int) -> None:
        start.wait()
        for _ in range(4):
            made[n] = decoder.render(bodies[n], PAIR)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(made[n].width, made[n].height) for n in range(6)] == [(40 + n, 30) for n in range(6)]
    assert len(decoder.processes()) == 2


def test_a_large_jpeg_is_never_decoded_at_full_size(decoder):
    body = encoded(Image.new("RGB", (5000, 5000), "navy"), "JPEG")
    decoder.render(body, PAIR)
    peak_kb = int(status_of(decoder.processes()[1])["VmHWM"].split()[0])
    assert peak_kb < 60 << 10  # its pixels alone would be 100 MB


# --- limits


def test_the_worker_has_its_limits(decoder):
    decoder.render(COVER, PAIR)
    nursery, worker = decoder.processes()
    rows = {line[:26].strip(): line[26:].split() for line in Path(f"/proc/{worker}/limits").read_text().splitlines()}
    assert rows["Max address space"][:2] == [str(BUDGET + (128 << 20))] * 2
    assert rows["Max file size"][:2] == ["0", "0"]
    assert rows["Max open files"][:2] == ["64", "64"]
    assert rows["Max core file size"][:2] == ["0", "0"]
    assert rows["Max processes"][:2] == ["0", "512"]  # libheif decodes in a thread: the worker may allow itself some for a HEIC
    assert int(rows["Max cpu time"][0]) <= 12
    assert int(rows["Max cpu time"][1]) == 11 * 50
    assert status_of(worker)["NoNewPrivs"] == "1"
    assert status_of(worker)["Threads"] == "1"
    assert len(os.listdir(f"/proc/{worker}/fd")) <= 5
    assert os.getpriority(os.PRIO_PROCESS, worker) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    assert os.getpgid(nursery) != os.getpgid(0)


AT_CAP = {
    "PNG": lambda: encoded(Image.new("RGBA", (5000, 4000), (9, 9, 9, 9)), "PNG", compress_level=1),
    "GIF": lambda: encoded(Image.new("P", (8000, 4000)), "GIF", transparency=0),
    "BMP": lambda: encoded(Image.new("RGB", (4000, 4000)), "BMP"),
    "WEBP": lambda: encoded(Image.new("RGBA", (4000, 3000), (9, 9, 9, 9)), "WEBP", lossless=True, quality=0, method=0),
    "AVIF": lambda: encoded(Image.new("RGB", (4000, 4000)), "AVIF", speed=10),
    "JPEG": lambda: encoded(Image.new("RGB", (10_000, 5_000)), "JPEG", progressive=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("format_", AT_CAP)
def test_an_image_at_the_limit_is_rendered_within_the_budget(start, format_):
    decoder, body = start(wall_s=PATIENT_S), AT_CAP[format_]()
    decoder.render(COVER, PAIR)
    base_kb = int(status_of(decoder.processes()[1])["VmRSS"].split()[0])
    made = decoder.render(body, cover_variants())
    assert max(decoded(made.variants["detail-2x"]).size) == 1200
    peak_kb = int(status_of(decoder.processes()[1])["VmHWM"].split()[0])
    assert peak_kb - base_kb < BUDGET >> 10


def test_the_child_has_no_network_where_the_kernel_allows_that(decoder):
    decoder.render(COVER, PAIR)
    may_unshare = [subprocess.run(["unshare", *how, "true"], check=False).returncode == 0 for how in (["-n"], ["-Un"])]
    is_apart = os.readlink(f"/proc/{decoder.processes()[1]}/ns/net") != os.readlink("/proc/self/ns/net")
    assert is_apart == any(may_unshare)


def test_the_child_sees_nothing_of_our_environment(decoder, monkeypatch):
    monkeypatch.setenv("VINYL_VAULT_TEST_SECRET", "hunter2")
    decoder.render(COVER, PAIR)
    for pid in decoder.processes():
        assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_the_decoder_can_be_started_in_any_folder(decoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    decoder.render(COVER, PAIR)


@pytest.mark.slow
def test_an_image_that_takes_too_long_is_ended_by_the_clock(start):
    decoder = start(wall_s=2.0)  # the small one has the same time, also on a busy machine
    with pytest.raises(DecoderFailed, match=r"more than 2 s"):
        decoder.render(LARGE, SLOW)
    assert decoder.render(COVER, PAIR).width == 300


@pytest.mark.slow
def test_an_image_that_takes_too_much_cpu_is_ended(start):
    decoder = start(cpu_s=1, wall_s=PATIENT_S)
    with pytest.raises(DecoderFailed, match="more than 1 s of CPU"):
        decoder.render(LARGE, SLOW)
    assert decoder.render(COVER, PAIR).width == 300


@pytest.mark.slow
def test_cpu_time_is_counted_per_image_and_not_in_total(start):
    decoder = start(cpu_s=2, wall_s=PATIENT_S)
    body = encoded(noise("RGB", 600, 600), "PNG")  # far below the limit, on a slow and busy machine too
    decoder.render(body, (Variant("work", 600, 85, 6),))
    worker = decoder.processes()[1]
    while cpu_ticks(worker) <= 3 * os.sysconf("SC_CLK_TCK"):
        decoder.render(body, (Variant("work", 600, 85, 6),))
        assert decoder.processes()[1] == worker


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_with_its_fork_server(start):
    decoder = start(wall_s=2.0)
    decoder.render(COVER, PAIR)
    nursery, worker = decoder.processes()
    for pid in (nursery, worker):
        os.kill(pid, signal.SIGSTOP)
    with open_handle(worker) as handle:
        with pytest.raises(DecoderFailed, match=r"no response within 2 s"):
            decoder.render(COVER, PAIR)
        assert select.select([handle], [], [], WAIT_S)[0]
    assert decoder.render(COVER, PAIR).width == 300


# --- crashes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS])
def test_a_worker_that_dies_costs_its_image_only(decoder, number):
    busy = InThread(decoder)
    os.kill(busy.worker, number)
    busy.join()
    assert busy.error is not None
    assert busy.error.reason == f"the decoder was killed by {number.name}"
    assert decoder.render(COVER, PAIR) == imaging.render(COVER, PAIR)
    assert decoder.processes()[1] != busy.worker


def test_a_worker_that_dies_between_two_images_costs_nothing(decoder):
    decoder.render(COVER, PAIR)
    worker = decoder.processes()[1]
    with open_handle(worker) as handle:
        os.kill(worker, signal.SIGKILL)
        assert select.select([handle], [], [], WAIT_S)[0]
    decoder.render(COVER, PAIR)


def test_a_worker_that_dies_before_it_has_the_image_costs_nothing(decoder):
    """It was stopped while idle and is killed while the image waits in its socket: another worker renders it."""
    decoder.render(COVER, PAIR)
    worker = decoder.processes()[1]
    os.kill(worker, signal.SIGSTOP)
    killer = threading.Timer(0.1, os.kill, (worker, signal.SIGKILL))
    killer.start()
    decoder.render(COVER, PAIR)
    killer.join()


@pytest.mark.slow
def test_a_fork_server_that_dies_takes_its_worker_along_and_is_replaced(decoder):
    busy = InThread(decoder)
    nursery, worker = decoder.processes()
    os.kill(nursery, signal.SIGKILL)
    busy.join()
    assert isinstance(busy.error, DecoderFailed)
    assert ends(worker)
    decoder.render(COVER, PAIR)
    assert decoder.processes()[0] != nursery


@pytest.mark.slow
def test_idle_processes_exit(start):
    for idle_s in (0.5, 2.0, 8.0):  # a loaded machine gets more time: what counts is that it is less than another idle time
        decoder = start(idle_s=idle_s)
        decoder.render(COVER, PAIR)
        nursery, worker = pids = decoder.processes()
        assert ends(worker)
        if ends(nursery, within_s=0.8 * idle_s):
            break
    else:
        pytest.fail("the nursery waited for another idle time")
    decoder.close_idle()
    assert decoder.processes() == ()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)  # not even a zombie
    decoder.render(COVER, PAIR)
    assert set(decoder.processes()).isdisjoint(pids)


@pytest.mark.slow
def test_an_idle_child_that_exited_is_replaced_without_close_idle(start):
    decoder = start(idle_s=0.2)
    for _ in range(2):
        decoder.render(COVER, PAIR)
        assert all(ends(pid) for pid in decoder.processes())


def test_closing_leaves_no_process(decoder):
    decoder.render(COVER, PAIR)
    pids = decoder.processes()
    decoder.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    decoder.close()
    with pytest.raises(DecoderFailed, match="closed"):
        decoder.render(COVER, PAIR)


def test_closing_does_not_wait_for_a_slow_image(decoder):
    busy = InThread(decoder)
    pids = decoder.processes()
    decoder.close()
    busy.join(WAIT_S)
    assert not busy.is_alive()
    assert busy.error is not None
    assert busy.error.reason == "the decoder was closed"  # neither done nor out of time
    assert all(ends(pid) for pid in pids)
    assert decoder.processes() == ()


_HOLDER = """
import json, sys
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import cover_variants
decoder = Decoder(256 << 20)
decoder.render(open(sys.argv[1], "rb").read(), cover_variants()[:1])
print(json.dumps(decoder.processes()), flush=True)
sys.stdin.read()
"""


def test_no_orphan_survives_a_parent_that_was_killed(tmp_path):
    (tmp_path / "cover").write_bytes(COVER)
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "cover")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        parent.kill()
        parent.wait()
    assert len(pids) == 2
    assert all(ends(pid) for pid in pids)


_FORKER = """
import os, pathlib, sys
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import cover_variants
body = pathlib.Path(sys.argv[1]).read_bytes()
decoder = Decoder(256 << 20)
decoder.render(body, cover_variants()[:1])
before = decoder.processes()
pid = os.fork()
if pid == 0:
    decoder.render(body, cover_variants()[:1])
    is_own = set(decoder.processes()).isdisjoint(before)
    decoder.close()
    os._exit(0 if is_own else 1)
_, status = os.waitpid(pid, 0)
decoder.render(body, cover_variants()[:1])
assert decoder.processes() == before, "the fork took our child away"
decoder.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_after_a_fork_each_process_has_its_own_child(tmp_path):
    (tmp_path / "cover").write_bytes(COVER)
    command = [sys.executable, "-W", "error", "-c", _FORKER, str(tmp_path / "cover")]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_failures_leak_no_descriptors(decoder):
    decoder.render(COVER, PAIR)
    gc.collect()  # objects of earlier tests would be closed in the middle
    before = len(os.listdir("/proc/self/fd"))
    for n in range(6):
        worker = decoder.processes()[1]
        with open_handle(worker) as handle:
            os.kill(decoder.processes()[n % 2], signal.SIGKILL)  # its worker dies with the fork server
            assert select.select([handle], [], [], WAIT_S)[0]
        decoder.render(COVER, PAIR)
    assert len(os.listdir("/proc/self/fd")) == before


# --- responses are checked


@pytest.mark.parametrize(
    "change",
    [
        {"average": "red;}"},
        {"hue": 33},
        {"hue": 360},
        {"chroma": 7.0},
        {"width": 0},
        {"sizes": {"thumbnails": 5}},
        {"sizes": {"detail": 12}},
        {"sizes": None},
        {"hue": None},
    ],
)
def test_an_invalid_response_is_a_failure(change):
    """The child decoded untrusted bytes, so its response is not trusted."""
    webp = b"RIFF\0\0\0\0WEBP"
    head = {"sizes": {"thumbnails": 12}, "width": 9, "height": 9, "average": "#00ff00", "hue": 30, "chroma": 0.1}
    assert check_rendered(head, webp, {"thumbnails"}, analyses=False).hue == 30
    with pytest.raises(DecoderFailed, match="invalid response"):
        check_rendered({**head, **change}, webp, {"thumbnails"}, analyses=False)
