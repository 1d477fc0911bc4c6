"""Videos among the uploads: read, a poster, and what their viewers do not get. Imported with the first video."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from typing import IO, BinaryIO

from image_cache.errors import StorageError, UploadTooLarge, VideoRejected
from image_cache.frozen import frozen
from image_cache.imaging.video import frames, mp4

PIECE_BYTES = 1 << 20


@frozen
class OpenVideo:
    """An uploaded video in a file that other processes can read."""

    file: IO[bytes]
    size_bytes: int
    sha256: bytes

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes."""
        self.file.seek(0)
        return iter(lambda: self.file.read(PIECE_BYTES), b"")


@contextlib.contextmanager
def open_video(data: bytes | BinaryIO, max_bytes: int) -> Iterator[OpenVideo]:
    """Yield an uploaded video. Raises `VideoRejected` where there are none, `UploadTooLarge`, `StorageError`."""
    if not max_bytes or not frames.is_installed():
        fix = "change VINYL_VAULT_MAX_VIDEO_UPLOAD_SIZE_MB" if not max_bytes else "install ffmpeg"
        raise VideoRejected(f"This server cannot store videos. An operator can {fix}.")
    with contextlib.ExitStack() as stack:
        try:
            file: IO[bytes]
            if isinstance(data, bytes):
                file = stack.enter_context(tempfile.TemporaryFile())
                file.write(data)
            else:
                file = data
                file.fileno()  # what is small was in memory until now
            file.flush()
            size = file.seek(0, os.SEEK_END)
            if size > max_bytes:
                raise UploadTooLarge(max_bytes, size)
            digest = hashlib.sha256()
            file.seek(0)
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
        except OSError as error:
            raise StorageError("upload", error.strerror or str(error)) from error
        yield OpenVideo(file, size, digest.digest())


def read(opened: OpenVideo, wait_s: float | None) -> tuple[mp4.VideoFacts, bytes]:
    """Return the facts of a video and its poster. Raises `VideoRejected`, `ProgramMissing`, `DecoderBusy`."""
    facts = mp4.read_video(opened.file, opened.size_bytes)
    return facts, frames.poster_of(opened.file, facts.duration_s, wait_s=wait_s)


def upright(coded: tuple[int, int], poster: tuple[int, int]) -> tuple[int, int]:
    """Return the dimensions of a video as it is shown: turned where its poster is."""
    return coded if (coded[0] > coded[1]) == (poster[0] > poster[1]) else (coded[1], coded[0])
