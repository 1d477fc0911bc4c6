"""Frames of a video, extracted by the real ffmpeg, and the error without it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from image_cache import ImageVisibility, StreamImageManager, create_thumbnail_from_video
from image_cache.errors import ProgramMissing, VideoRejected
from tests.support.pictures import decoded, is_near


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of red, then four of blue."""
    program = shutil.which("ffmpeg")
    assert program, "ffmpeg is missing: install the package ffmpeg"
    path = tmp_path_factory.mktemp("video") / "evening.mp4"
    parts = [*("-f", "lavfi", "-i", "color=red:s=320x180:d=4:r=10"), *("-f", "lavfi", "-i", "color=blue:s=320x180:d=4:r=10")]
    join = ["-filter_complex", "[0][1]concat=n=2:v=1", "-c:v", "mpeg4", "-q:v", "3"]
    subprocess.run([program, "-v", "error", "-nostdin", *parts, *join, str(path)], check=True)
    return path


@pytest.mark.parametrize(("timestamp", "colour"), [(0, (254, 0, 0)), (5, (0, 0, 254)), (600, (254, 0, 0))])
def test_a_frame_is_that_of_its_time_or_the_first_of_a_short_video(
    video: Path, timestamp: float, colour: tuple[int, int, int]
) -> None:
    frame = decoded(create_thumbnail_from_video(video, timestamp=timestamp))
    assert frame.size == (320, 180)
    assert is_near(frame.getpixel((160, 90)), colour, 20)  # type: ignore[arg-type]


def test_a_stream_gets_its_thumbnail_from_a_video(video: Path, tmp_path: Path) -> None:
    manager = StreamImageManager(tmp_path / "stream_images", tmp_path / "cache")
    image_id = manager.create_stream_thumbnail_from_video("evening", video)
    image = manager.get_stream_images("evening")[0]
    assert (image.image_id, image.filename, image.title) == (image_id, "auto_thumbnail.jpg", "Stream Thumbnail")
    assert image.visibility is ImageVisibility.PUBLIC
    assert manager.create_stream_thumbnail_from_video("evening", video) == image_id, "the same frame again is no failure"
    assert manager.cache.get_page_stats("stream_auto")["page_items"] == 1
    manager.close()


@pytest.mark.slow
def test_a_file_that_is_not_a_video_is_rejected(video: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video", encoding="utf-8")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:4,\n{video}\n#EXT-X-ENDLIST\n", encoding="utf-8")
    for path in (text, playlist, tmp_path / "none.mp4", tmp_path):
        with pytest.raises(VideoRejected):
            create_thumbnail_from_video(path)
    for timestamp in (-1, 1e9, float("nan")):
        with pytest.raises(VideoRejected):
            create_thumbnail_from_video(video, timestamp=timestamp)


def test_without_the_program_its_package_is_named(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match="Install the ffmpeg package") as caught:
        create_thumbnail_from_video(video)
    assert caught.value.package == "ffmpeg"
