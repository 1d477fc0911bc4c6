"""Tags and images of music files, read in a child process: what each kind says, and what hostile files cannot do."""

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from image_cache.errors import DecoderFailed
from image_cache.importers.music.tags.reader import TagReader, TagReadRefused, Tags
from tests.support import music
from tests.support.music import PICTURE, SECONDS, atom, song

Answer = TypeVar("Answer")

WORDS = {
    "title": "Łódź",
    "artist": "Somebody",
    "albumartist": "Everybody",
    "album": "The Name",
    "date": "1971-03-02",
    "genre": "Jazz",
    "label": "Their Own",
    "catno": "TO 17",
    "barcode": "1234567890123",
    "mbid": "8f3c9b51-6a86-4a4b-9c0e-1f2d3c4b5a69",
    "track": "3",
    "disc": "2",
    "compilation": "1",
}
KINDS = {
    ".mp3": "MP3",
    ".flac": "FLAC",
    ".ogg": "Ogg Vorbis",
    ".opus": "Opus",
    ".m4a": "AAC",
    ".wma": "WMA",
    ".ape": "APE",
    ".wv": "WavPack",
    ".mpc": "MPC",
    ".dsf": "DSF",
}


@pytest.fixture(scope="module")
def reader() -> Iterator[TagReader]:
    made = TagReader(128 << 20)
    yield made
    made.close()


def tags_of(reader: TagReader, *paths: Path) -> list[Tags | TagReadRefused]:
    return asked(paths, reader.tags)


def picture_of(reader: TagReader, path: Path) -> bytes | None:
    return asked([path], lambda files: reader.picture(files[0]))


def asked(paths: Sequence[Path], ask: Callable[[list[int]], Answer]) -> Answer:
    files = [os.open(path, os.O_RDONLY) for path in paths]
    try:
        return ask(files)
    finally:
        for file in files:
            os.close(file)


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_says_the_same(reader: TagReader, tmp_path: Path, suffix: str) -> None:
    path = song(tmp_path / f"a{suffix}", picture=PICTURE, **WORDS)
    (found,) = tags_of(reader, path)
    assert isinstance(found, Tags)
    said = {name: getattr(found, name) for name in WORDS if name != "genre"}
    assert said == {name: value for name, value in WORDS.items() if name != "genre"}
    assert (found.kind, found.genres, found.has_picture) == (KINDS[suffix], ("Jazz",), True)
    assert found.seconds == (1 if suffix == ".mp3" else SECONDS)
    assert picture_of(reader, path) == PICTURE


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus"])
@pytest.mark.parametrize(("disc", "told"), [("1", "1/2"), ("1/3", "1/3")])
def test_how_many_discs_there_are_may_have_a_tag_of_its_own(
    reader: TagReader, tmp_path: Path, suffix: str, disc: str, told: str
) -> None:
    path = song(tmp_path / f"a{suffix}", album="The Name", disc=disc, disctotal="2")
    (found,) = tags_of(reader, path)
    assert isinstance(found, Tags)
    assert found.disc == told


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_without_tags_says_nothing(reader: TagReader, tmp_path: Path, suffix: str) -> None:
    path = song(tmp_path / f"a{suffix}")
    (found,) = tags_of(reader, path)
    assert isinstance(found, Tags)
    assert (found.album, found.artist, found.has_picture) == ("", "", False)
    assert picture_of(reader, path) is None


@pytest.mark.parametrize("suffix", KINDS)
def test_a_stray_nul_before_a_picture_is_no_part_of_it(reader: TagReader, tmp_path: Path, suffix: str) -> None:
    path = song(tmp_path / f"a{suffix}", picture=b"\0" + PICTURE)
    (found,) = tags_of(reader, path)
    assert isinstance(found, Tags)
    assert found.has_picture
    assert picture_of(reader, path) == PICTURE


@pytest.mark.parametrize("suffix", [".wma", ".ape", ".wv", ".mpc", ".dsf"])
def test_a_file_that_ends_anywhere_is_refused_or_read_in_part(reader: TagReader, tmp_path: Path, suffix: str) -> None:
    body = song(tmp_path / f"a{suffix}", picture=PICTURE, **WORDS).read_bytes()
    before = reader.processes()
    steps = range(0, len(body), max(1, len(body) // 40))
    paths = [song(tmp_path / f"{end}{suffix}", body=body[:end]) for end in steps]
    for found in tags_of(reader, *paths):
        assert isinstance(found, Tags) or (found.reason and "too long" not in found.reason)
    assert reader.processes() == before, "no child died of it"


def wav_with_tags() -> bytes:
    tag = id3(frame(b"TALB", b"\3The Name"))
    parts = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", 8000) + bytes(8000)
    parts += b"id3 " + struct.pack("<I", len(tag)) + tag
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WAVE" + parts


def aiff_with_tags() -> bytes:
    tag = id3(frame(b"TALB", b"\3The Name"))
    common = b"COMM" + struct.pack(">IHIH", 18, 1, 8000, 8) + bytes.fromhex("400bfa00000000000000")
    parts = common + b"ID3 " + struct.pack(">I", len(tag)) + tag
    return b"FORM" + struct.pack(">I", len(parts) + 4) + b"AIFF" + parts


def frame(name: bytes, body: bytes, flags: int = 0) -> bytes:
    return name + struct.pack(">IH", len(body), flags) + body


def id3(frames: bytes) -> bytes:
    size = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frames


@pytest.mark.parametrize(("name", "body"), [("a.wav", wav_with_tags()), ("a.aiff", aiff_with_tags())])
def test_uncompressed_files_have_tags_too(reader: TagReader, tmp_path: Path, name: str, body: bytes) -> None:
    (found,) = tags_of(reader, song(tmp_path / name, body=body))
    assert isinstance(found, Tags)
    assert (found.album, found.seconds) == ("The Name", 1)


def test_what_a_file_is_is_told_by_its_bytes_not_by_its_name(reader: TagReader, tmp_path: Path) -> None:
    path = song(tmp_path / "a.flac", **WORDS)
    found = tags_of(reader, path.rename(tmp_path / "a.mp3"))[0]
    assert isinstance(found, Tags)
    assert found.kind == "FLAC"


def test_the_front_cover_comes_before_other_pictures_and_links_are_none(reader: TagReader, tmp_path: Path) -> None:
    back, front = b"\xff\xd8\xffback", b"\xff\xd8\xfffront"
    pictures = b"".join(
        frame(b"APIC", b"\0" + mime + b"\0" + bytes([kind]) + name + b"\0" + data)
        for mime, kind, name, data in (
            (b"image/jpeg", 4, b"b", back),
            (b"-->", 3, b"l", b"http://127.0.0.1/front.jpg"),
            (b"image/jpeg", 3, b"f", front),
        )
    )
    path = song(tmp_path / "a.mp3", body=id3(pictures) + music.mp3())
    assert picture_of(reader, path) == front
    only_link = song(tmp_path / "b.mp3", body=id3(frame(b"APIC", b"\0-->\0\3\0http://127.0.0.1/x.jpg")) + music.mp3())
    assert picture_of(reader, only_link) is None
    (found,) = tags_of(reader, only_link)
    assert isinstance(found, Tags)
    assert not found.has_picture


def test_a_malformed_picture_does_not_spoil_the_rest_of_the_tag(reader: TagReader, tmp_path: Path) -> None:
    path = song(tmp_path / "a.flac", album="The Name", picture=PICTURE)
    body = path.read_bytes()
    at = body.index(b"image/jpeg") - 4
    path.write_bytes(body[:at] + b"\xff\xff\xff\xff" + body[at + 4 :])
    (found,) = tags_of(reader, path)
    assert isinstance(found, Tags)
    assert (found.album, found.has_picture) == ("The Name", False)


@pytest.mark.parametrize(("suffix", "size_mb"), [(".mp3", 50), (".m4a", 11), (".flac", 11), (".ogg", 11)])
@pytest.mark.slow
def test_a_picture_of_50_mb_is_passed_over_and_the_tag_is_read(
    reader: TagReader, tmp_path: Path, suffix: str, size_mb: int
) -> None:
    path = song(tmp_path / f"a{suffix}", album="The Name", picture=b"\xff\xd8\xff" + bytes(size_mb * 1_000_000))
    (found,) = tags_of(reader, path)
    assert isinstance(found, Tags)
    assert (found.album, found.has_picture, found.has_large_picture) == ("The Name", False, True)
    assert picture_of(reader, path) is None


def deep_atoms() -> bytes:
    body = b""
    for _ in range(3000):
        body = atom(b"moov", body)
    return atom(b"ftyp", b"M4A ") + body


HOSTILE = {
    "empty.mp3": b"",
    "text.mp3": b"hello " * 100,
    "half.flac": music.flac()[:20],
    "half.ogg": music.vorbis()[:90],
    "half.m4a": music.m4a()[:120],
    "deep.m4a": deep_atoms(),
    "endless.m4a": atom(b"ftyp", b"M4A ") + atom(b"moov", b"\0\0\0\0moov" + bytes(100)),
    "huge.m4a": atom(b"ftyp", b"M4A ") + b"\xff\xff\xff\xffmoov" + bytes(100),
    "unfolds.mp3": id3(frame(b"APIC", struct.pack(">I", 400_000_000) + zlib.compress(bytes(400_000_000), 1), 0x80)) + music.mp3(),
    "long.mp3": b"ID3\3\0\0\x7f\x7f\x7f\x7f" + bytes(100),
    "zero.mp3": bytes(5000),
    "zero.wav": b"RIFF" + struct.pack("<I", 0) + b"WAVE" + bytes(64),
}


def test_hostile_files_are_refused_one_by_one_and_the_others_are_read(reader: TagReader, tmp_path: Path) -> None:
    good = song(tmp_path / "good.mp3", album="The Name")
    paths = [song(tmp_path / name, body=body) for name, body in HOSTILE.items()]
    found = tags_of(reader, good, *paths, good)
    assert isinstance(found[0], Tags)
    assert found[0] == found[-1]
    reasons = {path.name: one.reason for path, one in zip(paths, found[1:-1], strict=True) if isinstance(one, TagReadRefused)}
    assert set(reasons) >= set(HOSTILE) - {"zero.wav"}
    assert "too much memory" in reasons["unfolds.mp3"]
    for path in paths:
        with contextlib.suppress(DecoderFailed):
            assert picture_of(reader, path) is None


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_left_and_the_next_one_is_read(tmp_path: Path) -> None:
    """A tag of a million small frames is copied once for each of them."""
    slow = song(tmp_path / "slow.mp3", body=id3(frame(b"XXXX", b"x") * 500_000) + music.mp3())
    good = song(tmp_path / "good.mp3", album="The Name")
    hasty = TagReader(128 << 20, cpu_s=1, wall_s=1.0)
    try:
        found = tags_of(hasty, good, slow, good)
        assert found[1] == TagReadRefused("reading its tag timed out")
        assert found[0] == found[2] == tags_of(hasty, good)[0]
        with pytest.raises(DecoderFailed):
            picture_of(hasty, slow)
    finally:
        hasty.close()


def test_no_child_is_left_after_closing_and_none_is_started_again(tmp_path: Path) -> None:
    path = song(tmp_path / "good.mp3", album="The Name")
    made = TagReader(128 << 20)
    tags_of(made, path)
    (child,) = made.processes()
    made.close()
    assert not Path(f"/proc/{child}").exists()
    with pytest.raises(DecoderFailed):
        tags_of(made, path)


def test_a_child_that_left_is_replaced(tmp_path: Path) -> None:
    path = song(tmp_path / "good.mp3", album="The Name")
    made = TagReader(128 << 20)
    try:
        first = tags_of(made, path)
        os.kill(made.processes()[0], 9)
        assert tags_of(made, path) == first
    finally:
        made.close()


def test_the_child_outlives_the_thread_that_asked_first(tmp_path: Path) -> None:
    """A scan ends with its thread; the worker that wants a cover in that moment must not see the child die."""
    path = song(tmp_path / "x.mp3", title="The Name", picture=PICTURE)
    made = TagReader(128 << 20)
    try:
        scan = threading.Thread(target=tags_of, args=(made, path))
        scan.start()
        scan.join()
        (child,) = made.processes()
        assert [picture_of(made, path) for _ in range(20)] == [PICTURE] * 20
        assert made.processes() == (child,)
    finally:
        made.close()
