"""Where the samples of a video are, as its tables say."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_cache.errors import VideoRejected
from image_cache.imaging.video.mask import Range


@dataclass(slots=True)
class VideoTrack:
    """A track of a video: `sizes` of its samples, `runs` of (first chunk from 1, samples of each), offsets of its `chunks`."""

    kind: bytes = b""
    codec: bytes = b""
    dimensions: tuple[int, int] = (0, 0)
    sizes: "array[int]" = field(default_factory=lambda: array("I"))
    runs: list[tuple[int, int]] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)


def chunks_of(track: VideoTrack) -> Iterator[Range]:
    """Yield where the chunks of a track are in the file. Raises `VideoRejected`."""
    sample, run = 0, -1
    for number, start in enumerate(track.chunks, 1):
        while run + 1 < len(track.runs) and track.runs[run + 1][0] <= number:
            run += 1
        if run < 0:
            raise VideoRejected("This video is damaged: its index has a gap.")
        stop = min(sample + track.runs[run][1], len(track.sizes))
        length = sum(track.sizes[sample:stop])
        if length:
            yield start, start + length
        sample = stop
