"""Frames of a video, extracted by ffmpeg in a process with resource limits and without a network."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from image_cache.errors import DecoderBusy, ProgramMissing, VideoRejected
from image_cache.resources import SITE

PROGRAM, PACKAGE = "ffmpeg", "ffmpeg"
MEMORY_BYTES = 768 << 20  # of address space; HEVC of 4,096 by 2,304 px in 10 bits takes 0.45 GB, of which 0.28 GB are used
CPU_S = 30
WALL_S = 40.0
FRAME_BYTES = 20_000_000
MAX_TIMESTAMP_S = 24 * 3600.0
POSTER_PX = 1280  # the longest side of a poster: the largest variant has 1,200
POSTER_AT_S = 1.0
# What has no other files in it: a playlist could name any file of this server.
FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,m4v"
# What can be stored is one container, with the codecs that `mp4` lets pass.
STORED_CODECS = "h264,hevc,av1,libdav1d,libaom-av1,vp9,mpeg4"

# The limits are set by a new process that then becomes ffmpeg: setting them between fork and exec is not safe with threads.
_START = (
    "import json, os, resource, sys; root, limits = sys.argv[1:3]; sys.path.insert(0, root);"
    "from image_cache.sandbox.limits import leave_network; leave_network();"
    "[resource.setrlimit(getattr(resource, name), (value, value)) for name, value in json.loads(limits).items()];"
    "os.nice(5); os.execv(sys.argv[3], sys.argv[3:])"
)
_LIMITS = {"RLIMIT_AS": MEMORY_BYTES, "RLIMIT_CPU": CPU_S, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 64}
_ONE = threading.Lock()  # held while a poster is made: two would need the memory of two


def is_installed() -> bool:
    """Return True if this server can store videos."""
    return shutil.which(PROGRAM) is not None


def create_thumbnail_from_video(video_path: str | Path, timestamp: float = 5) -> bytes:
    """Return the frame at `timestamp` seconds as JPEG; the first one if the video is shorter.

    Raises `ProgramMissing` if ffmpeg is not installed, `VideoRejected` if there is no frame.
    """
    program = _program()
    path = Path(video_path).absolute()
    if not path.is_file():
        raise VideoRejected("The video file does not exist.")
    if not 0 <= timestamp <= MAX_TIMESTAMP_S:
        raise VideoRejected("The time must be from 0 to 86,400 seconds.")
    source = ("-format_whitelist", FORMATS, "-i", f"file:{path}")
    frame = _frame(program, source, timestamp) or (_frame(program, source, 0) if timestamp else b"")
    if not frame:
        raise VideoRejected("ffmpeg cannot read a video from this file.")
    return frame


def poster_of(file: IO[bytes], duration_s: float, *, wait_s: float | None = None) -> bytes:
    """Return a frame of an MP4 or QuickTime file as JPEG, upright, at most `POSTER_PX` wide and high.

    ffmpeg gets the open file and no other: as one container that is not guessed, with few decoders, without protocols of networks.
    Raises `ProgramMissing`, `VideoRejected`, or `DecoderBusy` if other videos take longer than `wait_s`.
    """
    program = _program()
    if not _ONE.acquire(timeout=-1 if wait_s is None else wait_s):
        raise DecoderBusy
    try:
        source = ("-codec_whitelist", STORED_CODECS, "-f", "mov", "-enable_drefs", "0", "-i", "file:/proc/self/fd/0")
        scale = f"scale=w='min({POSTER_PX},iw)':h='min({POSTER_PX},ih)':force_original_aspect_ratio=decrease"
        at_s = min(POSTER_AT_S, duration_s / 2)
        frame = _frame(program, source, at_s, scale, file) or _frame(program, source, 0, scale, file)
    finally:
        _ONE.release()
    if not frame:
        raise VideoRejected("The frames of this video cannot be decoded. Export it again as H.264.")
    return frame


def _program() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise ProgramMissing(PROGRAM, PACKAGE)
    return program


def _frame(program: str, source: tuple[str, ...], timestamp: float, scale: str = "", file: IO[bytes] | None = None) -> bytes:
    command = [
        *(sys.executable, "-I", "-c", _START, str(SITE), json.dumps(_LIMITS), program),
        *("-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "file,pipe", "-ss", f"{timestamp:g}", *source),
        *("-an", "-sn", "-dn", "-frames:v", "1", *(("-vf", scale) if scale else ()), "-q:v", "3"),
        *("-f", "image2pipe", "-c:v", "mjpeg", "pipe:1"),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL if file is None else file.fileno(),
            capture_output=True,
            timeout=WALL_S,
            check=False,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise VideoRejected(f"ffmpeg did not finish within {WALL_S:g} s.") from error
    except OSError as error:
        raise VideoRejected(f"ffmpeg could not start: {error.strerror}.") from error
    return done.stdout if done.returncode == 0 and len(done.stdout) <= FRAME_BYTES else b""
