"""The reader of MP4 files: what viewers do not get, and hostile files within limits, without ffmpeg and with it."""

import contextlib
import io
import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from image_cache.errors import VideoRejected
from image_cache.imaging.video import frames, mp4
from image_cache.imaging.video.mask import Mask
from tests.support.origin import Origin
from tests.support.pictures import decoded, is_near
from tests.support.videos import SECRETS, alias_of, box, external, inner_moov, moov_of, replaced, url_of, with_moov
from tests.support.videos import video as made


def read(body: bytes) -> mp4.VideoFacts:
    return mp4.read_video(io.BytesIO(body), len(body))


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_viewers_get_picture_and_sound_and_nothing_else(suffix: str, tmp_path: Path) -> None:
    body = made(suffix=suffix)
    assert any(secret in body for secret in SECRETS)
    facts = read(body)
    assert (facts.dimensions, facts.suffix, round(facts.duration_s)) == ((320, 180), suffix, 3)
    shown = Mask.parse(facts.mask.dump()).apply(body, 0)
    assert len(shown) == len(body)
    assert not any(secret in shown for secret in SECRETS)
    # By pieces of any size it is the same, and ffmpeg decodes the same frames and sounds.
    assert b"".join(facts.mask.apply(body[at : at + 777], at) for at in range(0, len(body), 777)) == shown
    sums = []
    for number, part in enumerate((body, shown)):
        path = tmp_path / f"{number}.{suffix}"
        path.write_bytes(part)
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "md5", "-"]
        sums.append(subprocess.run(command, capture_output=True, check=True).stdout)
    assert sums[0] == sums[1]
    tags = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", str(tmp_path / f"1.{suffix}")], capture_output=True, check=True
    )
    assert not any(word in tags.stdout for word in (b"creation_time", b"location", b"title"))


def test_a_track_that_is_neither_picture_nor_sound_is_hidden_with_its_samples() -> None:
    """Cameras record where they are, ten times a second, in a track of its own."""
    body = made()
    inner = inner_moov(body)
    at = inner.index(b"soun")
    shown = read(body[: moov_of(body)[0]] + box(b"moov", inner[:at] + b"gpmd" + inner[at + 4 :]))
    freed = [offset for offset in shown.mask.freed if offset > moov_of(body)[0]]
    assert freed
    hidden = sum(stop - start for start, stop in shown.mask.zeros)
    assert hidden > 10_000, "the samples of the sound, which is no sound any more"


def test_a_date_is_that_of_the_recording() -> None:
    assert read(made(suffix="mp4")).taken_at.startswith("2026-07-1")


def test_photos_are_no_videos() -> None:
    assert mp4.is_video(made()[:12])
    assert mp4.is_video(made(suffix="mov")[:12])
    for brand in (b"heic", b"avif", b"mif1"):
        assert not mp4.is_video(box(b"ftyp", brand + bytes(8))[:12])
    assert not mp4.is_video(b"\xff\xd8\xff\xe0" + bytes(8))


def many_tracks(body: bytes) -> bytes:
    inner = inner_moov(body)
    at = inner.index(b"trak") - 4
    track = inner[at : at + int.from_bytes(inner[at : at + 4], "big")]
    return with_moov(body, inner + track * 4000)


def deep(body: bytes) -> bytes:
    inner = b""
    for _ in range(3000):
        inner = box(b"trak", inner)
    return with_moov(body, inner)


def bad_table(name: bytes, at: int) -> Callable[[bytes], bytes]:
    return lambda body: replaced(body, name, at, b"\xff\xff\xff\xff")


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda body: body[: len(body) // 2], "no index|cut off"),
    "cut in its index": (lambda body: body[:-100], "cut off"),
    "only a head": (lambda body: body[:32], "no index|cut off"),
    "an index of 4 GB": (lambda body: replaced(body, b"moov", -8, b"\xff\xff\xff\xff"), "cut off"),
    "a moov bomb": (lambda body: body + box(b"moov", bytes(17 << 20)), "two indexes"),
    "a large index": (lambda body: body[: moov_of(body)[0]] + box(b"moov", bytes(17 << 20)), "too large"),
    "a million empty boxes": (lambda body: with_moov(body, box(b"free") * 1_000_000), "too many parts"),
    "boxes of no length": (lambda body: with_moov(body, struct.pack(">I4s", 4, b"trak")), "impossible length"),
    "four thousand tracks": (many_tracks, "too many"),
    "deep boxes": (deep, "no video track|impossible|cut off|too many"),
    "huge dimensions": (lambda body: replaced(body, b"avc1", 24, struct.pack(">HH", 65535, 65535)), "65,535"),
    "another file": (lambda body: external(body, alias_of("/etc/passwd")), "other files"),
    "a URL": (lambda body: external(body, url_of("http://127.0.0.1:1/x.mp4")), "other files"),
    "a reference movie": (lambda body: with_moov(body, box(b"rmra", bytes(40))), "refers to other files"),
    "a compressed index": (lambda body: with_moov(body, box(b"cmov", bytes(40))), "compressed index"),
    "fragments": (lambda body: body + box(b"moof", bytes(8)), "fragments"),
    "a table of 4 G samples": (bad_table(b"stsz", 8), "too many frames|too short"),
    "4 G chunks": (bad_table(b"stco", 4), "too many pieces"),
    "data outside": (bad_table(b"stco", 8), "not there"),
    "a day": (lambda body: replaced(body, b"mvhd", 16, struct.pack(">I", 86_400_000)), "up to 60 minutes"),
    "an unknown codec": (lambda body: body.replace(b"avc1", b"xxxx"), "coded as"),
    "no picture": (lambda body: body.replace(b"vide", b"text"), "no video track"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words_before_ffmpeg_sees_it(name: str) -> None:
    make, words = HOSTILE[name]
    body = make(made())
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VideoRejected, match=words):
        read(body)
    assert time.process_time() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


@pytest.mark.slow
def test_any_damage_gives_a_video_or_a_refusal() -> None:
    body = made()
    start, end = moov_of(body)
    for seed in range(400):
        at = start + (seed * 7919) % (end - start)
        damaged = body[:at] + bytes([(body[at] + 1 + seed * 37) % 256]) + body[at + 1 :]
        try:
            facts = read(damaged)
        except VideoRejected:
            continue
        assert len(facts.mask.apply(damaged, 0)) == len(damaged)


def test_a_poster_is_a_frame_of_the_open_file() -> None:
    with Path("/proc/self/fd").joinpath(str(os.memfd_create("made"))).open("w+b") as file:
        file.write(made(colour="blue", size="1920x1080"))
        file.flush()
        poster = decoded(frames.poster_of(file, 3.0))
    assert poster.size == (1280, 720)
    assert is_near(poster.getpixel((600, 300)), (0, 0, 254), 20)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_ffmpeg_itself_opens_no_other_file(scheme: str, origin: Origin, tmp_path: Path) -> None:
    """Without the reader before it, a video whose data is elsewhere shows nothing of that, and requests nothing."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(made(colour="blue"))
    served = origin.put("/secret.mp4", secret.read_bytes())
    entry = alias_of(str(secret)) if scheme == "file" else url_of(served)
    hostile = tmp_path / "hostile.mp4"
    hostile.write_bytes(external(made(), entry))
    with hostile.open("rb") as file, contextlib.suppress(VideoRejected):
        assert is_near(decoded(frames.poster_of(file, 3.0)).getpixel((100, 100)), (254, 0, 0), 20)  # type: ignore[arg-type]
    assert origin.requests == []


def test_ffmpeg_has_no_network_and_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program in its place finds out what it would be allowed."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport resource, socket, sys\n"
        "limits = [resource.getrlimit(getattr(resource, n))[1] for n in ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE')]\n"
        "names = [name for _, name in socket.if_nameindex()]\n"
        "try: socket.create_connection(('192.0.2.1', 9), 1); reached = True\n"
        "except OSError as error: reached = error.errno\n"
        "sys.stdout.write(repr((limits, names, reached)))\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = tmp_path / "made.mp4"
    path.write_bytes(made())
    with path.open("rb") as file:
        limits, names, reached = eval(frames.poster_of(file, 3.0))
    assert limits == [frames.MEMORY_BYTES, frames.CPU_S, 0]
    if names != ["lo"]:
        pytest.skip("this kernel gives no network namespace to its users")
    assert reached == 101  # the network is unreachable
