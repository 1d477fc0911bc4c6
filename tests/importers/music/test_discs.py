"""Albums of several discs: tags say which folders are one record, the names of folders where tags are silent. Real files, real scans."""

import shutil
from pathlib import Path

import pytest

from image_cache.records.removal import RecordRemoval
from tests.support.music import PICTURE, MusicShelf, song

RELEASE = "8f3c9b51-6a86-4a4b-9c0e-1f2d3c4b5a69"
OTHER = "00000000-6a86-4a4b-9c0e-1f2d3c4b5a69"


def disc(
    folder: Path, number: int | str = "", *, album: str = "The Set", artist: str = "Band", tracks: int = 2, **other: str
) -> Path:
    """Write a disc: its tracks say which one it is by `number`, "1/2" or nothing."""
    for track in range(1, tracks + 1):
        tags = {"album": album, "artist": artist, "albumartist": artist, "title": f"{folder.name} {track}", "track": str(track)}
        song(folder / f"{track:02}.mp3", **{**tags, "disc": str(number), **other} if number else {**tags, **other})
    return folder


def bare(folder: Path, tracks: int = 2) -> Path:
    """Write a disc whose files have no tags."""
    for track in range(1, tracks + 1):
        song(folder / f"{track:02} - {folder.name} {track}.mp3")
    return folder


# Folder of each disc -> what its tags say of it; the folders of one shape are one record.
TAGGED: dict[str, dict[str, str]] = {
    "digital media": {"The Set (2001)/Digital Media 01": "1/2", "The Set (2001)/Digital Media 02": "2/2"},
    "vinyl of twelve inches": {"The Set/12_ Vinyl 1": "1/2", "The Set/12_ Vinyl 2": "2/2"},
    "one vinyl beside a CD": {"The Set/CD": "1/2", "The Set/12_ Vinyl": "2/2"},
    "SACD and CD": {"The Set/CD": "1/2", "The Set/SACD": "2/2"},
    "words": {"The Set/Disc One": "1", "The Set/Disc Two": "2"},
    "roman numerals": {"The Set/CD I": "1", "The Set/CD II": "2", "The Set/CD III": "3"},
    "enhanced CD": {"The Set/Enhanced CD 01": "1/2", "The Set/Enhanced CD 02": "2/2"},
    "bonus DVD below the album": {"The Set": "1/2", "The Set/Bonus DVD": "2/2"},
    "numbers": {"The Set/1": "1/2", "The Set/2": "2/2"},
    "names of the discs": {"The Set/The Studio": "1/2", "The Set/At the Quay": "2/2"},
    "names of the discs, without a total": {"The Set/The Studio": "1", "The Set/At the Quay": "2"},
    "siblings": {"The Set CD1": "1", "The Set CD2": "2"},
    "siblings in the folder of their artist": {"Band/The Set (Disc 1)": "1/2", "Band/The Set (Disc 2)": "2/2"},
    "siblings whose tags are silent": {"Band/The Set CD1": "", "Band/The Set CD2": ""},
    "discs in words whose tags are silent": {"The Set/Disc One": "", "The Set/Disc Two": ""},
    "disc and title": {"The Set/Disc 1 - Red": "1/2", "The Set/Disc 2 - Blue": "2/2"},
    "brackets": {"The Set/[CD 1]": "1/2", "The Set/(CD 2)": "2/2"},
    "cassettes": {"The Set/Cassette 1": "1/2", "The Set/Cassette 2": "2/2"},
    "LPs": {"The Set/LP1": "1/2", "The Set/LP 2": "2/2"},
    "Blu-ray": {"The Set/CD 01": "1/2", "The Set/Blu-ray 02": "2/2"},
    "one of another kind of folder": {"Band/The Set": "1/2", "Band/The Set bonus tracks": "2/2"},
}


@pytest.mark.parametrize("shape", TAGGED)
def test_the_discs_of_an_album_are_one_record(shelf: MusicShelf, root: Path, shape: str) -> None:
    for folder, number in TAGGED[shape].items():
        disc(root / folder, number)
    found = shelf.scan()
    (album,) = shelf.albums()
    assert (album.artist, album.title) == ("Band", "The Set")
    count = len(TAGGED[shape])
    assert [track.position for track in album.tracks] == [f"{disc}-{track}" for disc in range(1, count + 1) for track in (1, 2)]
    assert len({track.title for track in album.tracks}) == 2 * count
    assert (found["files"], found["albums"], found["gone"]) == (2 * count, 1, 0)
    again = shelf.scan()
    assert [again[name] for name in ("read", "new", "changed", "moved", "back", "gone")] == [0] * 6
    assert list(shelf.albums()) == [album]


@pytest.mark.parametrize(
    "folders",
    [
        ("Band - The Set/Disc 1", "Band - The Set/Disc 2"),
        ("Band/The Set CD1", "Band/The Set CD2"),
        ("Band/The Set", "Band/The Set/Bonus DVD"),
    ],
)
def test_discs_without_tags_are_one_record_by_the_names_of_their_folders(
    shelf: MusicShelf, root: Path, folders: tuple[str, str]
) -> None:
    for folder in folders:
        bare(root / folder)
    shelf.scan()
    (album,) = shelf.albums()
    assert (album.artist, album.title) == ("Band", "The Set")
    assert [track.position for track in album.tracks] == ["1-1", "1-2", "2-1", "2-2"]


def test_what_only_looks_like_one_album_stays_several(shelf: MusicShelf, root: Path) -> None:
    disc(root / "copies" / "lossy", "1/1", album="Twice")
    disc(root / "copies" / "lossless", "1/1", album="Twice")
    disc(root / "two of one name" / "a", "1/2", album="Hits", artist="Abbess")
    disc(root / "two of one name" / "b", "2/2", album="Hits", artist="Queenie")
    disc(root / "pressings" / "a", "1/2", album="Same", mbid=RELEASE)
    disc(root / "pressings" / "b", "2/2", album="Same", mbid=OTHER)
    disc(root / "far" / "a" / "x", "1/2", album="Far")
    disc(root / "far" / "b" / "y", "2/2", album="Far")
    disc(root / "series" / "Vol 1", album="Series, Vol 1")
    disc(root / "series" / "Vol 2", album="Series, Vol 2")
    shelf.scan()
    titles = sorted(album.title for album in shelf.albums())
    assert titles == ["Far", "Far", "Hits", "Hits", "Same", "Same", "Series, Vol 1", "Series, Vol 2", "Twice", "Twice"]


def test_a_release_of_musicbrainz_is_one_album_whoever_its_discs_name_as_artist(shelf: MusicShelf, root: Path) -> None:
    disc(root / "a", "1/2", artist="Band", mbid=RELEASE)
    disc(root / "b", "2/2", artist="Band & Orchestra", mbid=RELEASE)
    shelf.scan()
    (album,) = shelf.albums()
    assert [track.position for track in album.tracks] == ["1-1", "1-2", "2-1", "2-2"]


@pytest.mark.parametrize("folders", [("Red", "Blue"), ("Box/CD1", "Box/CD2")])
def test_a_release_of_musicbrainz_is_one_album_whatever_its_discs_are_called(
    shelf: MusicShelf, root: Path, folders: tuple[str, str]
) -> None:
    for folder, number, album in zip(folders, ("1/2", "2/2"), ("The Set: Red", "The Set: Blue"), strict=True):
        disc(root / folder, number, album=album, mbid=RELEASE)
    disc(root / "heap", "1", album="Copied", mbid=OTHER)
    song(root / "heap" / "9.mp3", album="Pasted", artist="Band", albumartist="Band", title="T", track="1", mbid=OTHER)
    shelf.scan()
    assert sorted(album.title for album in shelf.albums()) == ["Copied", "Pasted", "The Set"]
    assert [track.position for track in shelf.album("The Set").tracks] == ["1-1", "1-2", "2-1", "2-2"]
    again = shelf.scan()
    assert [again[name] for name in ("read", "new", "changed", "moved", "gone")] == [0] * 5


def test_two_copies_of_a_set_are_two_records(shelf: MusicShelf, root: Path) -> None:
    for copy in ("flac", "mp3"):
        for number in (1, 2):
            disc(root / f"The Set {copy} CD{number}", f"{number}/2")
    shelf.scan()
    assert [len(album.tracks) for album in shelf.albums()] == [4, 4]
    assert all(len({track.title.split()[2] for track in album.tracks}) == 1 for album in shelf.albums())


def test_a_flat_folder_of_downloads_stays_many_albums(shelf: MusicShelf, root: Path) -> None:
    heap = root / "Downloads"
    for artist in ("Abbess", "Queenie", "Ropes"):
        for album in ("Greatest Hits", "Live", f"Only by {artist}"):
            for track in (1, 2, 3):
                tags = {"album": album, "artist": artist, "title": f"{artist} {track}", "track": str(track)}
                song(
                    heap / f"{artist} - {album} - {track:02}.mp3", **tags, **({"albumartist": artist} if album == "Live" else {})
                )
    shelf.scan()
    found = sorted((album.artist, album.title, len(album.tracks)) for album in shelf.albums())
    assert found == [
        (artist, album, 3)
        for artist in ("Abbess", "Queenie", "Ropes")
        for album in ("Greatest Hits", "Live", f"Only by {artist}")
    ]
    before = {album.id: album.source_id for album in shelf.albums()}
    song(heap / "Ropes - Live - 04.mp3", album="Live", artist="Ropes", albumartist="Ropes", title="More", track="4")
    found = shelf.scan()
    assert [found[name] for name in ("new", "changed", "moved", "gone")] == [0, 1, 0, 0]
    assert {album.id: album.source_id for album in shelf.albums()} == before


def test_a_compilation_in_one_folder_stays_one_record(shelf: MusicShelf, root: Path) -> None:
    for track, artist in enumerate(("A", "B", "C", "A"), 1):
        song(root / "x" / f"{track}.mp3", album="Mixed", artist=artist, title=f"T{track}", track=str(track))
    song(root / "y" / "1.mp3", album="Named", artist="A", albumartist="Band", title="T1", track="1")
    song(root / "y" / "2.mp3", album="Named", artist="A", title="T2", track="2")
    shelf.scan()
    assert sorted((album.artist, album.title, len(album.tracks)) for album in shelf.albums()) == [
        ("Band", "Named", 2),
        ("Various", "Mixed", 4),
    ]


# What changes later


def test_a_second_album_of_that_title_leaves_the_first_its_record(shelf: MusicShelf, root: Path) -> None:
    disc(root / "heap", album="Hits", artist="Queenie")
    shelf.scan()
    kept = shelf.album("Hits")
    shelf.library.record_play(kept.id)
    for track in (1, 2):
        song(root / "heap" / f"a{track}.mp3", album="Hits", artist="Abbess", albumartist="Abbess", title="A", track=str(track))
    found = shelf.scan()
    assert [found[name] for name in ("new", "gone")] == [1, 0]
    assert [(album.artist, album.plays) for album in shelf.albums() if album.id == kept.id] == [("Queenie", 1)]


@pytest.mark.parametrize(
    "folders", [("The Set CD1", "The Set CD2"), ("The Set/Red", "The Set/Blue"), ("The Set/CD 1", "The Set/CD 2")]
)
def test_a_disc_that_comes_changes_or_goes_changes_its_record(shelf: MusicShelf, root: Path, folders: tuple[str, str]) -> None:
    first, second = (root / folder for folder in folders)
    disc(first, "1")
    shelf.scan()
    kept = shelf.album("The Set")
    shelf.library.write_notes(kept.id, "From the shop by the river.")
    disc(second, "2", tracks=3)
    found = shelf.scan()
    assert [found[name] for name in ("new", "changed", "gone", "files")] == [0, 1, 0, 5]
    (album,) = shelf.albums()
    assert (album.id, album.own_notes, len(album.tracks)) == (kept.id, "From the shop by the river.", 5)
    disc(second, "2", tracks=3)
    song(second / "01.mp3", album="The Set", artist="Band", albumartist="Band", title="Another", track="1", disc="2")
    found = shelf.scan(dir=str(second)) if second.parent != first.parent or "CD 1" not in folders[0] else shelf.scan()
    assert [found[name] for name in ("new", "changed", "gone")] == [0, 1, 0]
    assert [track.title for track in shelf.album("The Set").tracks][2] == "Another"
    assert shelf.root().files == 5
    shutil.rmtree(second)
    found = shelf.scan()
    assert [found[name] for name in ("new", "changed", "gone")] == [0, 1, 0]
    (album,) = shelf.albums()
    assert (album.id, [track.position for track in album.tracks]) == (kept.id, ["1", "2"])
    disc(second, "2")
    shutil.rmtree(first)
    found = shelf.scan()
    assert [found[name] for name in ("new", "gone")] == [0, 0]
    (album,) = shelf.albums()
    assert (album.id, album.gone_at, album.own_notes) == (kept.id, None, "From the shop by the river.")


def test_two_discs_that_are_told_apart_by_new_tags_are_two_records_again(shelf: MusicShelf, root: Path) -> None:
    disc(root / "a", "1/2")
    disc(root / "b", "2/2")
    shelf.scan()
    disc(root / "b", album="Another")
    found = shelf.scan()
    assert [found[name] for name in ("new", "changed", "gone")] == [1, 1, 0]
    assert sorted((album.title, len(album.tracks)) for album in shelf.albums()) == [("Another", 2), ("The Set", 2)]


@pytest.mark.sqlite_only  # writes rows in words of its own
def test_records_of_single_discs_in_an_older_vault_become_one_and_lose_nothing(shelf: MusicShelf, root: Path) -> None:
    """What an older scan left: a record for each disc. Plays and notes move to the one that stays; the others are gone."""
    folders = [root / "The Set" / f"Digital Media 0{number}" for number in (1, 2)]
    for number, folder in enumerate(folders, 1):
        disc(folder, album=f"Disc {number}")  # two records, as long as their tags say nothing else
        (folder / "cover.jpg").write_bytes(PICTURE)
    shelf.scan()
    one, two = (shelf.album(f"Disc {number}") for number in (1, 2))
    assert one.id != two.id
    shelf.library.record_play(one.id)
    for _ in range(2):
        shelf.clock.now += 60
        shelf.library.record_play(two.id)
    shelf.library.write_notes(one.id, "First.")
    shelf.library.write_notes(two.id, "Second.")
    shelf.library.rate(two.id, 4)
    # As the version before stored them: one folder and one record for each disc, both under the title of the set.
    with shelf.catalog.write() as conn:
        root_id = conn.execute("SELECT id FROM music_roots").fetchone()[0]
        for album, path in ((one, "The%20Set/Digital%20Media%2001"), (two, "The%20Set/Digital%20Media%2002")):
            conn.execute(
                "INSERT OR REPLACE INTO music_folders (root_id, path, mark, files, left_out) VALUES (?, ?, x'01', 2, 0)",
                (root_id, path),
            )
            conn.execute(
                "UPDATE albums SET title = 'The Set', title_sort = 'set', source_id = ? WHERE id = ?",
                (f"old-{album.id}", album.id),
            )
            conn.execute("INSERT OR REPLACE INTO music_albums SELECT ?, id FROM music_folders WHERE path = ?", (album.id, path))
        conn.execute("DELETE FROM music_folders WHERE path = 'The%20Set'")
    for number, folder in enumerate(folders, 1):
        disc(folder, f"{number}/2")
    found = shelf.scan()
    assert [found[name] for name in ("new", "changed", "gone")] == [0, 1, 1]
    by_id = {album.id: album for album in shelf.albums()}
    assert by_id[one.id].gone_at is None
    assert (by_id[one.id].plays, by_id[one.id].own_notes, by_id[one.id].rating) == (3, "First.\nSecond.", 4)
    assert by_id[one.id].last_played_at == shelf.clock.now
    assert [track.position for track in by_id[one.id].tracks] == ["1-1", "1-2", "2-1", "2-2"]
    assert by_id[two.id].gone_at is not None
    assert (by_id[two.id].plays, by_id[two.id].own_notes, by_id[two.id].rating) == (0, "", None)
    again = shelf.scan()
    assert [again[name] for name in ("read", "new", "changed", "back", "gone")] == [0] * 5


def test_siblings_of_an_older_vault_become_one_and_lose_nothing(shelf: MusicShelf, root: Path) -> None:
    for number in (1, 2):
        disc(root / f"The Set CD{number}", album=f"Disc {number}")
    shelf.scan()
    one, two = (shelf.album(f"Disc {number}") for number in (1, 2))
    shelf.library.record_play(two.id)
    for number in (1, 2):
        disc(root / f"The Set CD{number}", f"{number}/2")
    found = shelf.scan()
    assert [found[name] for name in ("new", "gone")] == [0, 1]
    by_id = {album.id: album for album in shelf.albums()}
    assert (by_id[one.id].gone_at, by_id[one.id].plays, len(by_id[one.id].tracks)) == (None, 1, 4)
    assert by_id[two.id].gone_at is not None


def test_a_removed_record_comes_back_with_all_its_discs(shelf: MusicShelf, root: Path) -> None:
    disc(root / "The Set CD1", "1/2")
    disc(root / "The Set CD2", "2/2")
    shelf.scan()
    RecordRemoval(shelf.catalog, None, None).remove([shelf.album("The Set").id])
    assert shelf.scan()["new"] == 1
    assert len(shelf.album("The Set").tracks) == 4


# Covers


def test_the_cover_beside_all_discs_is_that_of_the_record(shelf: MusicShelf, root: Path) -> None:
    for name in ("Red", "Blue"):
        disc(root / "The Set" / name, {"Red": "1/2", "Blue": "2/2"}[name])
    (root / "The Set" / "cover.jpg").write_bytes(PICTURE)
    shelf.scan()
    (album,) = shelf.albums()
    assert shelf.images.fetch(album.cover_url or "").body == PICTURE
