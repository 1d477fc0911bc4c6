"""Scans of music folders: what becomes of files, what a second scan reads, what happens to what is gone. Real files, real tags."""

import dataclasses
import os
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from image_cache.errors import OriginNotFound, OriginUnavailable
from image_cache.importers.music.folders import MusicRoots
from image_cache.importers.music.scan import MusicScan
from image_cache.models import TaskState
from image_cache.tasks import TaskRunner
from tests.support.music import PICTURE, MusicShelf, collection, mp3, song
from tests.support.vault import wait_until

DAY_S = 86400.0


def record(folder: Path, album: str, tracks: int = 3, artist: str = "Somebody", suffix: str = ".mp3", **other: Any) -> Path:
    for number in range(1, tracks + 1):
        song(folder / f"{number:02}{suffix}", album=album, artist=artist, title=f"Song {number}", track=str(number), **other)
    return folder


def outcome(found: dict[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(found[name] for name in names)


# What files become


@pytest.mark.slow
def test_five_thousand_tagged_files_are_all_found_and_a_second_scan_reads_only_what_changed(
    shelf: MusicShelf, root: Path
) -> None:
    collection(root, albums=500, tracks=10)
    first = shelf.scan()
    assert outcome(first, "files", "folders", "read", "new", "albums", "refused", "left_out") == (5000, 500, 5000, 500, 500, 0, 0)
    albums = shelf.albums()
    assert sorted(album.title for album in albums) == [f"ALBUM{n:05}" for n in range(500)]
    assert all(len(album.tracks) == 10 and album.year == 1911 for album in albums)
    assert {album.formats[1] for album in albums} == {"MP3", "FLAC", "Ogg Vorbis", "AAC"}
    pictured = [album.cover_url for album in albums if album.cover_url]
    assert len(pictured) == 250 + 63
    assert sum(url.endswith("&embedded") for url in pictured) == 63
    assert all(shelf.images.fetch(url).body == PICTURE for url in pictured[:12])

    second = shelf.scan()
    assert outcome(second, "files", "read", "new", "changed", "gone") == (5000, 0, 0, 0, 0)
    changed = root / "ARTIST0000" / "ALBUM00000"
    song(changed / "01 - name.mp3", album="ALBUM00000", artist="ARTIST0000", title="Another", track="1")
    third = shelf.scan()
    assert outcome(third, "read", "changed", "new", "gone") == (10, 1, 0, 0)
    assert shelf.album("ALBUM00000").tracks[0].title == "Another"


def test_an_album_has_what_its_tags_say(shelf: MusicShelf, root: Path) -> None:
    facts = {"label": "Their Own", "catno": "TO 17", "barcode": "12345-67890123", "genre": "Jazz; Soul / Funk", "date": "1971-03"}
    record(root / "x", "The Name", mbid="8f3c9b51-6a86-4a4b-9c0e-1f2d3c4b5a69", suffix=".flac", **facts)
    shelf.scan()
    (album,) = shelf.albums()
    assert (album.source, album.artist, album.title, album.year) == ("music", "Somebody", "The Name", 1971)
    assert (album.label, album.catno, album.barcode) == ("Their Own", "TO 17", "1234567890123")
    assert (album.genres, album.formats) == (("Jazz", "Soul", "Funk"), ("File", "FLAC"))
    assert album.mbid == "8f3c9b51-6a86-4a4b-9c0e-1f2d3c4b5a69"
    assert [(track.position, track.title, track.duration_s) for track in album.tracks] == [
        (str(n), f"Song {n}", 180) for n in (1, 2, 3)
    ]


def test_disc_folders_belong_to_the_folder_above_and_so_do_their_pictures(shelf: MusicShelf, root: Path) -> None:
    box = root / "Somebody" / "The Box"
    record(box / "CD1", "The Box (Disc 1)", tracks=2)
    record(box / "cd 02 - live", "The Box [CD 2]", tracks=2)
    (box / "Folder.JPEG").write_bytes(PICTURE)
    shelf.scan()
    (album,) = shelf.albums()
    assert album.title == "The Box"
    assert [track.position for track in album.tracks] == ["1-1", "1-2", "2-1", "2-2"]
    assert album.cover_url is not None
    assert shelf.images.fetch(album.cover_url).body == PICTURE


def test_a_disc_that_is_an_album_of_its_own_takes_its_own_picture_first(shelf: MusicShelf, root: Path) -> None:
    box = root / "Somebody" / "Singles"
    for number, data in ((1, b"one"), (2, b"two")):
        record(box / f"CD{number}", f"Single {number}", tracks=1)
        (box / f"CD{number}" / "cover.jpg").write_bytes(data)
    (box / "cover.jpg").write_bytes(b"box")
    shelf.scan()
    assert [shelf.images.fetch(shelf.album(f"Single {n}").cover_url or "").body for n in (1, 2)] == [b"one", b"two"]


def test_two_album_tags_in_a_folder_are_two_records_and_a_track_without_one_stays_with_its_own(
    shelf: MusicShelf, root: Path
) -> None:
    record(root / "heap", "One", tracks=1, picture=PICTURE)
    song(root / "heap" / "02.mp3", album="Two", artist="Somebody")
    (root / "heap" / "folder.jpg").write_bytes(b"of which?")
    record(root / "whole", "Three", tracks=2)
    song(root / "whole" / "03 - Found by its name.mp3")
    shelf.scan()
    assert sorted(album.title for album in shelf.albums()) == ["One", "Three", "Two"]
    assert shelf.images.fetch(shelf.album("One").cover_url or "").body == PICTURE
    assert [track.title for track in shelf.album("Three").tracks] == ["Song 1", "Song 2", "Found by its name"]


def test_whose_an_album_is(shelf: MusicShelf, root: Path) -> None:
    cases: list[tuple[list[dict[str, str]], str]] = [
        ([{"albumartist": "Everybody", "artist": "A"}, {"albumartist": "Everybody", "artist": "B"}], "Everybody"),
        ([{"albumartist": "Various Artists", "artist": "A"}, {"albumartist": "Various Artists", "artist": "B"}], "Various"),
        ([{"artist": "A", "compilation": "1"}, {"artist": "A", "compilation": "1"}], "Various"),
        ([{"artist": "A"}, {"artist": "B"}, {"artist": "C"}], "Various"),
        ([{"artist": "A"}, {"artist": "A feat. B"}, {"artist": "A ft. C"}], "A"),
        ([{"artist": "A"}, {"artist": "A"}, {"artist": "B"}], "A"),
        ([{"title": "x"}, {"title": "y"}], "Unknown artist"),
    ]
    for case, (tags, _) in enumerate(cases):
        for number, words in enumerate(tags, 1):
            song(root / f"{case}" / f"{number}.mp3", **{"album": f"Name {case}", "track": str(number), "title": "T", **words})
    shelf.scan()
    assert [shelf.album(f"Name {case}").artist for case in range(len(cases))] == [artist for _, artist in cases]
    assert shelf.album("Name 3").tracks[0].title == "A \N{EN DASH} T"


def test_files_without_tags_are_named_by_their_folders(shelf: MusicShelf, root: Path) -> None:
    cases: list[tuple[str, tuple[str, str, int | None]]] = [
        ("Somebody/1971 - The Name", ("Somebody", "The Name", 1971)),
        ("Somebody/The Name (1971)", ("Somebody", "The Name", 1971)),
        ("Somebody/[1971] The Name", ("Somebody", "The Name", 1971)),
        ("Somebody - The Name", ("Somebody", "The Name", None)),
        ("Somebody - 1971 - The Name", ("Somebody", "The Name", 1971)),
        ("Somebody/The_Name", ("Somebody", "The Name", None)),
        ("Somebody/1984", ("Somebody", "1984", None)),
        ("The Name", ("Unknown artist", "The Name", None)),
    ]
    for number, (folder, _) in enumerate(cases):
        song(root / folder / f"01 - First of {number}.mp3")
        song(root / folder / "02. Second.mp3")
    shelf.scan()
    found = {album.tracks[0].title: (album.artist, album.title, album.year) for album in shelf.albums()}
    assert found == {f"First of {number}": expected for number, (_, expected) in enumerate(cases)}
    assert [(track.position, track.title) for track in shelf.albums()[0].tracks][1] == ("2", "Second")


def test_sides_and_tracks_coded_twice(shelf: MusicShelf, root: Path) -> None:
    for position in ("B1", "A2", "A1"):
        song(root / "x" / f"{position}.flac", album="The Name", artist="A", title=f"Song {position}", track=position)
        song(root / "x" / f"{position}.mp3", album="The Name", artist="A", title=f"Song {position}", track=position)
    shelf.scan()
    assert [track.position for track in shelf.album("The Name").tracks] == ["A1", "A2", "B1"]


def test_names_that_are_no_utf_8_and_markup_in_tags_are_text(shelf: MusicShelf, root: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9 \xff"))
    record(folder, "<b>The\u202e\x07 Name</b>", tracks=1)
    (folder / "cover.jpg").write_bytes(PICTURE)
    shelf.scan()
    (album,) = shelf.albums()
    assert album.title == "<b>The Name</b>"
    assert shelf.images.fetch(album.cover_url or "").body == PICTURE


@pytest.mark.slow
def test_a_heap_without_tags_is_counted_and_said_and_so_are_loose_files(shelf: MusicShelf, root: Path) -> None:
    model = song(root / "loose.mp3")
    heap = root / "Downloads"
    heap.mkdir()
    for number in range(3000):
        os.link(model, heap / f"{number}.mp3")
    record(root / "x", "The Name")
    found = shelf.scan()
    assert outcome(found, "files", "left_out", "albums") == (3004, 3001, 1)
    assert found["says"] == "3,004 files in 3 folders: 1 new. Skipped 3,001 without tags."
    assert found["problems"] == [
        "the music folder: skipped 1 file without tags",
        "Downloads: skipped 3,000 files without tags",
    ]


def test_broken_files_are_named_and_the_others_go_in(shelf: MusicShelf, root: Path) -> None:
    record(root / "x", "The Name", tracks=2)
    (root / "x" / "03 - Cut.flac").write_bytes(b"fLaC\0\0")
    (root / "y").mkdir()
    (root / "y" / "empty.mp3").write_bytes(b"")
    found = shelf.scan()
    assert outcome(found, "refused", "albums", "left_out") == (2, 1, 1)
    assert [line.partition(":")[0] for line in found["problems"]] == ["x/03 - Cut.flac", "y/empty.mp3", "y"]
    assert [track.title for track in shelf.album("The Name").tracks] == ["Song 1", "Song 2", "Cut"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_collection(shelf: MusicShelf, root: Path) -> None:
    """The same scan over five times as many files holds no more, and a heap of untagged files costs its names only."""
    model = root / "model.mp3"
    model.write_bytes(mp3(1))
    peaks = []
    for count in (80, 400):
        for number in range(count):
            folder = root / f"{count}" / f"A{number % 20}" / f"B{number}"
            folder.mkdir(parents=True)
            os.link(model, folder / "1.mp3")
        tracemalloc.start()
        shelf.scan()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


# What changes later


def test_ids_plays_notes_and_stars_survive_new_tags_a_moved_folder_and_a_year_away(shelf: MusicShelf, root: Path) -> None:
    folder = record(root / "Somebody" / "The Name", "The Name")
    record(root / "Somebody" / "Another", "Another")
    shelf.scan()
    kept = shelf.album("The Name").id
    shelf.library.record_play(kept)
    shelf.library.write_notes(kept, "From the shop by the river.")
    shelf.library.rate(kept, 4)

    def check(title: str) -> None:
        found = shelf.album(title)
        assert (found.id, found.plays, found.own_notes, found.rating) == (kept, 1, "From the shop by the river.", 4)
        assert found.gone_at is None
        assert len(shelf.albums()) == 2

    record(folder, "The Right Name")
    assert outcome(shelf.scan(), "new", "changed") == (0, 1)
    check("The Right Name")
    moved = folder.rename(root / "Elsewhere")
    assert outcome(shelf.scan(), "new", "moved", "gone") == (0, 1, 0)
    check("The Right Name")
    away = moved.rename(root.parent / "away")
    assert outcome(shelf.scan(), "gone", "new") == (1, 0)
    assert shelf.album("The Right Name").gone_at == shelf.clock.now
    assert outcome(shelf.scan(), "gone") == (0,)
    away.rename(root / "Back again")
    assert outcome(shelf.scan(), "back", "new") == (1, 0)
    check("The Right Name")


def test_two_copies_of_an_album_are_two_records(shelf: MusicShelf, root: Path) -> None:
    record(root / "lossy", "The Name")
    record(root / "lossless", "The Name", suffix=".flac")
    shelf.scan()
    assert len(shelf.albums()) == 2
    assert outcome(shelf.scan(), "new", "changed", "moved") == (0, 0, 0)


def test_a_picture_that_comes_changes_or_goes_is_seen(shelf: MusicShelf, root: Path) -> None:
    folder = record(root / "x", "The Name", picture=PICTURE)
    shelf.scan()
    embedded = shelf.album("The Name").cover_url or ""
    assert embedded.endswith("&embedded")
    (folder / "cover.png").write_bytes(b"first")
    shelf.scan()
    first = shelf.album("The Name").cover_url or ""
    assert shelf.images.fetch(first).body == b"first"
    (folder / "cover.png").write_bytes(b"second")
    with pytest.raises(OriginNotFound, match="changed"):
        shelf.images.fetch(first)
    shelf.scan()
    assert shelf.images.fetch(shelf.album("The Name").cover_url or "").body == b"second"
    (folder / "cover.png").unlink()
    shelf.scan()
    assert shelf.album("The Name").cover_url == embedded


def test_a_missing_or_empty_root_changes_nothing_and_is_said(shelf: MusicShelf, root: Path) -> None:
    record(root / "x", "The Name", picture=PICTURE)
    record(root / "y", "Another")
    shelf.scan()
    before = shelf.albums()
    away = root.rename(root.parent / "away")
    assert f"Missing: {root}." in shelf.scan()["says"]
    assert "no such file" in shelf.root().message
    with pytest.raises(OriginUnavailable, match="is missing"):
        shelf.images.fetch(before[0].cover_url or "")
    root.mkdir()
    shelf.scan()
    assert shelf.root().message.startswith("This folder is empty")
    with pytest.raises(OriginUnavailable, match="empty"):
        shelf.images.fetch(before[0].cover_url or "")
    assert shelf.albums() == before
    root.rmdir()
    away.rename(root)
    assert outcome(shelf.scan(), "read", "gone", "changed", "back") == (0, 0, 0, 0)
    assert shelf.root().state == "well"
    assert shelf.albums() == before


def table(path: Path, *lines: tuple[str, Path]) -> Path:
    """Write a list of mounts as the kernel does."""
    text = "".join(
        f"{n} 1 {device} / {str(at).replace(' ', chr(92) + '040')} rw - ext4 /dev/x rw\n" for n, (device, at) in enumerate(lines)
    )
    path.write_text(f"9 1 8:1 / / rw - ext4 /dev/root rw\n{text}")
    return path


class Mounted:
    """A scan that is told another list of mounts."""

    def __init__(self, shelf: MusicShelf, path: Path) -> None:
        self.shelf, self.path = shelf, path
        self.roots = MusicRoots(shelf.settings, shelf.catalog, clock=shelf.clock, table=path)

    def scan(self) -> dict[str, Any]:
        scan = MusicScan(self.shelf.catalog, self.roots, self.shelf.images.reader)
        tasks = TaskRunner(self.shelf.catalog, self.shelf.catalog.locks(self.shelf.settings.state_dir), clock=self.shelf.clock)
        tasks.register("music", scan.run)
        ended = tasks.run("music", {})
        assert ended.state == "done", ended.message
        assert tasks.close()
        return ended.outcome


def test_another_disk_in_the_place_of_the_known_one_marks_nothing_as_gone(shelf: MusicShelf, root: Path, tmp_path: Path) -> None:
    record(root / "x", "The Name")
    mounts = tmp_path / "mountinfo"
    mounted = Mounted(shelf, table(mounts, ("8:17", root)))
    mounted.scan()
    (root / "x").rename(tmp_path / "x")
    (root / "z").mkdir()
    table(mounts)
    for _ in range(2):
        assert outcome(mounted.scan(), "gone") == (0,), "the disk is away, and somebody made a folder where it is mounted"
        assert shelf.root().message.startswith("A different drive is mounted here and it has no music")
    record(root / "z", "Of another disk")
    table(mounts, ("8:33", root))
    assert outcome(mounted.scan(), "new", "gone") == (1, 0)
    assert shelf.root().message == "A different drive is mounted here, so no records were marked as missing."
    assert outcome(mounted.scan(), "gone") == (1,), "from now on this is the disk"


def test_a_disk_inside_a_root_that_is_missing_changes_nothing_of_it(shelf: MusicShelf, root: Path, tmp_path: Path) -> None:
    record(root / "stays", "Stays")
    record(root / "goes", "Goes")
    inner = root / "a stick"
    record(inner / "x", "On the stick")
    mounts = tmp_path / "mountinfo"
    mounted = Mounted(shelf, table(mounts, ("8:17", inner)))
    mounted.scan()
    (inner / "x").rename(tmp_path / "x")
    (root / "goes").rename(tmp_path / "goes")
    table(mounts)
    for _ in range(2):
        mounted.scan()
        assert shelf.root().message == f"Not mounted: {inner}. Records from there stay."
    assert [album.title for album in shelf.albums() if album.gone_at] == ["Goes"]


def test_a_folder_that_may_not_be_read_is_said_and_not_judged(shelf: MusicShelf, root: Path) -> None:
    record(root / "x" / "deep", "The Name")
    record(root / "y", "Another")
    shelf.scan()
    deep = root / "x"
    for _ in range(30):
        deep = deep / "d"
    record(deep, "Too deep", tracks=1)
    (root / "x" / "deep").rename(root / "x" / "gone")
    found = shelf.scan()
    assert found["unread"] == 1
    assert "folders deep" in found["problems"][0]
    assert outcome(found, "moved", "gone") == (1, 0)


def test_a_scan_of_one_folder_touches_no_other(shelf: MusicShelf, root: Path) -> None:
    record(root / "x", "X")
    record(root / "y", "Y")
    shelf.scan()
    record(root / "x" / "new", "New")
    record(root / "y" / "new", "Also new")
    (root / "y" / "01.mp3").unlink()
    assert outcome(shelf.scan(dir=str(root / "x")), "new", "changed", "gone", "files") == (1, 0, 0, 6)
    ended = shelf.tasks.run("music", {"dir": str(root / "nowhere")})
    assert (ended.state, ended.message) == ("failed", f"{root}/nowhere: no such file or directory.")
    ended = shelf.tasks.run("music", {"dir": "/etc"})
    assert ended.message.startswith("/etc: it is not inside a music folder")
    assert outcome(shelf.scan(), "new", "changed") == (1, 1)


def test_what_comes_in_later_is_dated_when_it_came(shelf: MusicShelf, root: Path) -> None:
    os.utime(song(root / "x" / "1.mp3", album="Old", artist="A"), (1_000_000_000, 1_000_000_000))
    shelf.scan()
    os.utime(song(root / "y" / "1.mp3", album="New", artist="A"), (1_000_000_000, 1_000_000_000))
    shelf.scan()
    assert (shelf.album("Old").added_at, shelf.album("New").added_at) == (1_000_000_000, shelf.clock.now)


# Links, and what is no file


def test_no_link_leads_out_of_a_root_wherever_it_stands(shelf: MusicShelf, root: Path, tmp_path: Path) -> None:
    outside = record(tmp_path / "outside" / "secret", "Secret")
    (outside / "cover.jpg").write_bytes(b"secret")
    inside = record(root / "x", "The Name")
    (root / "folder").symlink_to(outside)
    (root / "x" / "CD2").symlink_to(outside)
    (root / "x" / "04.mp3").symlink_to(outside / "01.mp3")
    (root / "x" / "cover.jpg").symlink_to(outside / "cover.jpg")
    (root / "loop").symlink_to(root)
    (root / "broken.mp3").symlink_to("/nowhere")
    os.mkfifo(root / "x" / "05.mp3")
    os.mkfifo(root / "x" / "folder.jpg")
    found = shelf.scan()
    assert outcome(found, "albums", "files", "links") == (1, 3, 6)
    assert shelf.album("The Name").cover_url is None

    (inside / "front.jpg").write_bytes(b"mine")
    shelf.scan()
    address = shelf.album("The Name").cover_url or ""
    mark = address.partition("?")[2]
    assert shelf.images.fetch(address).body == b"mine"
    # The very same address, after something on its path became a link.
    (inside / "front.jpg").rename(tmp_path / "front.jpg")
    (inside / "front.jpg").symlink_to(tmp_path / "front.jpg")
    with pytest.raises(OriginNotFound):
        shelf.images.fetch(address)
    inside.rename(tmp_path / "real")
    (tmp_path / "front.jpg").rename(tmp_path / "real" / "front2.jpg")
    (tmp_path / "real" / "front.jpg").unlink()
    (tmp_path / "real" / "front2.jpg").rename(tmp_path / "real" / "front.jpg")
    (root / "x").symlink_to(tmp_path / "real")
    with pytest.raises(OriginNotFound):
        shelf.images.fetch(address)
    for path in (
        "..%2Fx",
        "%2e%2e/x",
        "../outside/secret/cover.jpg",
        "x/..%2f..%2foutside%2fsecret%2fcover.jpg",
        "%00",
        "x//cover.jpg",
    ):
        with pytest.raises(OriginNotFound):
            shelf.images.fetch(f"music:music/{path}?{mark}")
    with pytest.raises(OriginNotFound, match="the music folder elsewhere was removed"):
        shelf.images.fetch(f"music:elsewhere/x/front.jpg?{mark}")


def test_a_root_of_the_settings_may_be_a_link_and_one_that_was_chosen_may_not_become_one(tmp_path: Path) -> None:
    disk, other = tmp_path / "disk", tmp_path / "other"
    record(disk / "music" / "x", "The Name", picture=PICTURE)
    record(other / "x", "Secret", picture=PICTURE)
    (tmp_path / "link").symlink_to(disk / "music")
    shelf = MusicShelf(tmp_path, tmp_path / "link")
    try:
        assert shelf.scan()["albums"] == 1
        assert shelf.images.fetch(shelf.album("The Name").cover_url or "").body == PICTURE
    finally:
        shelf.close()
    shelf = MusicShelf(tmp_path / "2", MUSIC_PARENTS=(str(disk),))
    try:
        shelf.music.roots.choose(str(disk / "music"))
        shelf.scan()
        address = shelf.album("The Name").cover_url or ""
        (disk / "music").rename(tmp_path / "away")
        (disk / "music").symlink_to(other)
        shelf.scan()
        assert [album.title for album in shelf.albums()] == ["The Name"]
        assert shelf.root().state == "gone"
        with pytest.raises(OriginUnavailable):
            shelf.images.fetch(address)
    finally:
        shelf.close()


# Roots


def test_a_page_may_choose_below_the_folders_of_the_settings_only(tmp_path: Path) -> None:
    from image_cache.errors import FolderRejected

    media = tmp_path / "media"
    (media / "stick" / "music").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    (media / "link").symlink_to(tmp_path / "private")
    shelf = MusicShelf(tmp_path, media / "given", MUSIC_PARENTS=(str(media),))
    (media / "given").mkdir()
    roots = shelf.music.roots
    refused = {
        str(tmp_path / "private"): "choose a folder inside",
        str(media / "link"): "choose a folder inside",
        f"{media}/../private": "choose a folder inside",
        str(media): "choose a folder inside",
        str(media / "nothing"): "this folder does not exist",
        str(media / "given" / "deeper"): "this folder does not exist",
        "relative": "enter the full path",
        "": "enter the full path",
        "/": "this is a system folder",
        "/proc/self": "this is a system folder",
        str(shelf.settings.state_dir / "x"): "stores its own data",
        "/media/\ud800": "not valid UTF-8",
    }
    try:
        for path, reason in refused.items():
            with pytest.raises(FolderRejected, match=reason):
                roots.choose(path)
        assert roots.choose(f" {media}/stick/music/ ") == str(media / "stick" / "music")
        for path in (media / "stick" / "music", media / "stick", media / "stick" / "music"):
            with pytest.raises(FolderRejected):
                roots.choose(str(path))
        assert roots.dirs() == [str(media / "given"), str(media / "stick" / "music")]
        assert not roots.drop(str(media / "given"))
        assert roots.drop(str(media / "stick" / "music"))
        assert roots.dirs() == [str(media / "given")]
    finally:
        shelf.close()


def test_a_disk_that_is_mounted_elsewhere_keeps_its_records(tmp_path: Path) -> None:
    record(tmp_path / "a" / "Music" / "x", "The Name")
    record(tmp_path / "b" / "Music" / "y", "Another")
    shelf = MusicShelf(tmp_path, tmp_path / "a" / "Music", tmp_path / "b" / "Music")
    shelf.scan()
    assert sorted(root.name for root in shelf.music.roots.known()) == ["music", "music-2"]
    before = shelf.albums()
    shelf.close()
    (tmp_path / "a").rename(tmp_path / "c")
    shelf = MusicShelf(tmp_path, tmp_path / "c" / "Music", tmp_path / "b" / "Music")
    try:
        assert outcome(shelf.scan(), "new", "gone", "read") == (0, 0, 0)
        assert shelf.albums() == before
    finally:
        shelf.close()


def test_a_scan_starts_when_it_is_time_or_a_disk_comes_or_goes(shelf: MusicShelf, root: Path, tmp_path: Path) -> None:
    mounts = table(tmp_path / "mountinfo", ("8:17", root))
    roots = MusicRoots(shelf.settings, shelf.catalog, clock=shelf.clock, table=mounts)
    mounted = Mounted(shelf, mounts)

    def is_due() -> bool:
        return roots.is_scan_due(shelf.tasks.latest("music"))

    assert is_due(), "never scanned"
    mounted.scan()
    assert not is_due()
    table(mounts)
    assert is_due(), "the disk went"
    mounted.scan()
    assert not is_due()
    table(mounts, ("8:33", root))
    assert is_due(), "a disk came"
    mounted.scan()
    shelf.clock.advance(23 * 3600)
    assert not is_due()
    shelf.clock.advance(3600)
    assert is_due(), "a day later"


def test_a_folder_belongs_to_the_node_that_sees_it(shelf: MusicShelf, tmp_path: Path) -> None:
    """Another node would find the folder missing, and scan again and again."""
    shelf.catalog.node = "ada"
    folder = tmp_path / "chosen"
    folder.mkdir()
    settings = dataclasses.replace(shelf.settings, MUSIC_DIRS=())
    here = MusicRoots(settings, shelf.catalog, clock=shelf.clock)
    here.choose(str(folder), is_trusted=True)
    shelf.catalog.node = "bob"
    there = MusicRoots(settings, shelf.catalog, clock=shelf.clock)
    assert (here.dirs(), there.dirs()) == ([str(folder)], [])
    assert not there.is_scan_due(None)


def test_housekeeping_starts_a_scan_that_is_due_and_only_one(shelf: MusicShelf) -> None:
    shelf.music.run_maintenance()
    shelf.music.run_maintenance()
    assert [state.kind for state in shelf.tasks.open()] == ["music"]


# Tasks


def test_a_cancelled_scan_keeps_what_it_read_and_the_next_one_goes_on(shelf: MusicShelf, root: Path) -> None:
    collection(root, albums=120, tracks=2)
    with held_at(shelf, 50) as task_id:
        assert shelf.tasks.cancel(task_id)
    wait_until(lambda: state_of(shelf, task_id).is_over)
    kept = len(shelf.albums())
    assert state_of(shelf, task_id).state == "cancelled"
    assert 50 <= kept < 120
    found = shelf.scan()
    assert (found["albums"], found["new"], found["gone"]) == (120, 120 - kept, 0)
    assert found["read"] == 2 * (120 - kept)


@contextmanager
def held_at(shelf: MusicShelf, albums: int) -> Iterator[int]:
    """Begin a scan that stands still once it has made so many albums, and continues afterwards; its number."""
    reached, go = threading.Event(), threading.Event()

    def hold(urls: Iterable[str | None]) -> None:
        if len(shelf.albums()) >= albums:
            reached.set()
            go.wait(60)

    shelf.on_register = hold
    task_id = shelf.tasks.start("music", {})
    shelf.tasks.start_waiting()
    try:
        assert reached.wait(60)
        yield task_id
    finally:
        go.set()


def state_of(shelf: MusicShelf, task_id: int) -> TaskState:
    state = shelf.tasks.rows.get(task_id)
    assert state is not None
    return state


def test_a_stop_leaves_the_scan_for_the_next_start(tmp_path: Path, root: Path) -> None:
    collection(root, albums=120, tracks=2)
    first = MusicShelf(tmp_path, root)
    with held_at(first, 50) as task_id:
        first.tasks._stopping.set()  # as its `close` begins, which then waits
    first.close()
    second = MusicShelf(tmp_path, root)
    try:
        assert 50 <= len(second.albums()) < 120
        assert state_of(second, task_id).state == "waiting"
        found = second.scan()
        assert (found["albums"], found["new"], found["read"]) == (120, 120, 240), "counted over both runs"
    finally:
        second.close()


def test_no_folder_is_a_sentence(tmp_path: Path) -> None:
    shelf = MusicShelf(tmp_path)
    try:
        ended = shelf.tasks.run("music", {})
        assert ended.state == "failed"
        assert "No music folders are set up." in ended.message
    finally:
        shelf.close()


# What the report says


def test_music_that_cannot_be_read_is_counted_by_kind_and_a_picture_of_any_kind_is_found(shelf: MusicShelf, root: Path) -> None:
    record(root / "x", "The Name")
    for name in ("a.dff", "b.DFF", "c.tak"):
        (root / "x" / name).write_bytes(b"music")
    (root / "x" / "notes.txt").write_bytes(b"no music")
    found = shelf.scan()
    assert found["others"] == {"DFF": 2, "TAK": 1}
    assert "2 DFF files skipped" in found["says"]
    assert "1 TAK file skipped" in found["says"]
    assert "TXT" not in found["says"]


@pytest.mark.parametrize("suffix", [".wma", ".ape", ".wv", ".mpc", ".dsf"])
def test_a_folder_of_any_kind_that_is_read_is_a_record(shelf: MusicShelf, root: Path, suffix: str) -> None:
    record(root / "x", "The Name", suffix=suffix, picture=PICTURE)
    found = shelf.scan()
    assert outcome(found, "files", "new", "refused") == (3, 1, 0)
    assert found["others"] == {}
    (album,) = shelf.albums()
    assert [track.title for track in album.tracks] == ["Song 1", "Song 2", "Song 3"]
    assert shelf.images.fetch(album.cover_url or "").body == PICTURE


def test_what_is_cut_is_in_the_report_by_folder_artist_and_title_and_the_record_goes_in(shelf: MusicShelf, root: Path) -> None:
    long = " ".join(["Wordy"] * 45)  # 269 characters
    folder = root / "Somebody" / "x"
    record(folder, long, tracks=2, label=long)
    song(folder / "03.mp3", album=long, artist="Somebody", title=long, track="3", genre="g" * 70)
    record(root / "Somebody" / "y", "Short")
    found = shelf.scan()
    album = next(album for album in shelf.albums() if album.title != "Short")
    assert album.title == album.label == album.tracks[2].title == " ".join(["Wordy"] * 33), "cut between two words"
    assert album.genres == ("g" * 60,)
    assert found["lossy"] == 1
    assert "1 record with a shortened text." in found["says"]
    assert sorted(found["report"]) == sorted(
        ["Somebody/x", "Somebody", album.title, f"{what} is too long (maximum {limit} characters); shortened"]
        for what, limit in (("title", 200), ("label", 200), ("title of track 3", 200), ("genre", 60))
    )
    again = shelf.scan()
    assert (again["lossy"], again["report"]) == (0, []), "nothing was read"
