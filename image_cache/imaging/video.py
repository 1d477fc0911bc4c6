"""Frames of a video, extracted by ffmpeg in a process with resource limits."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from image_cache.errors import ProgramMissing, VideoRejected

PROGRAM, PACKAGE = "ffmpeg", "ffmpeg"
MEMORY_BYTES = 1 << 30
CPU_S = 30
WALL_S = 40.0
FRAME_BYTES = 20_000_000
MAX_TIMESTAMP_S = 24 * 3600.0

# The limits are set by a new process that then becomes ffmpeg: setting them between fork and exec is not safe with threads.
_START = (
    "import json, os, resource, sys; limits = json.loads(sys.argv[1]);"
    "[resource.setrlimit(getattr(resource, name), (value, value)) for name, value in limits.items()];"
    "os.nice(5); os.execv(sys.argv[2], sys.argv[2:])"
)
_LIMITS = {"RLIMIT_AS": MEMORY_BYTES, "RLIMIT_CPU": CPU_S, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 64}


def create_thumbnail_from_video(video_path: str | Path, timestamp: float = 5) -> bytes:
    """Return the frame at `timestamp` seconds as JPEG; the first one if the video is shorter.

    Raises `ProgramMissing` if ffmpeg is not installed, `VideoRejected` if there is no frame.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise ProgramMissing(PROGRAM, PACKAGE)
    path = Path(video_path).absolute()
    if not path.is_file():
        raise VideoRejected("The video file does not exist.")
    if not 0 <= timestamp <= MAX_TIMESTAMP_S:
        raise VideoRejected("The time must be from 0 to 86,400 seconds.")
    frame = _frame(program, path, timestamp) or (_frame(program, path, 0) if timestamp else b"")
    if not frame:
        raise VideoRejected("ffmpeg cannot read a video from this file.")
    return frame


def _frame(program: str, path: Path, timestamp: float) -> bytes:
    command = [
        *(sys.executable, "-I", "-c", _START, json.dumps(_LIMITS), program),
        *("-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "file,pipe", "-ss", f"{timestamp:g}"),
        # A playlist could name other files on this server: only self-contained formats are opened.
        *("-format_whitelist", "mov,mp4,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,m4v"),
        *("-i", f"file:{path}", "-an", "-frames:v", "1", "-q:v", "3", "-f", "image2pipe", "-c:v", "mjpeg", "pipe:1"),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
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
