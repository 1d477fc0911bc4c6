"""A folder of links with readable names: in step with the cache, and nothing of a person's is touched."""

from pathlib import Path

import pytest

from image_cache.errors import CacheError
from image_cache.files.disk.link_folder import MARK, update_links
from tests.files.conftest import Make, noise
from tests.support.clock import FakeClock
from tests.support.origin import Origin
from tests.support.volumes import serve


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {MARK}


@pytest.mark.parametrize("is_hard", [False, True])
def test_the_links_follow_the_files(origin: Origin, make: Make, tmp_path: Path, clock: FakeClock, is_hard: bool) -> None:
    store, folder = make(), tmp_path / "links"
    first, volume = serve(origin, "/a/brain.nii", noise(100))
    second, _ = serve(origin, "/b/brain.nii", noise(200))
    for url in (first, second):
        store.get(url)
        clock.advance(1)
    digest = store.remote(second).digest
    report = update_links(store, folder, is_hard=is_hard)
    assert (report.total, len(report.made)) == (2, 2)
    assert names_in(folder) == {"brain.nii", f"brain-{digest[:8]}.nii"}
    assert (folder / "brain.nii").read_bytes() == noise(100)
    assert (folder / "brain.nii").is_symlink() != is_hard
    assert update_links(store, folder, is_hard=is_hard).made == []
    volume.body, volume.etag = noise(150, 2), '"v2"'
    store.get(first, is_forced=True)
    store.invalidate(second)
    report = update_links(store, folder, {store.remote(first).digest: "template 1mm"}, is_hard=is_hard)
    assert sorted(report.removed) == sorted(["brain.nii", f"brain-{digest[:8]}.nii"])
    assert names_in(folder) == {"template_1mm.nii"}
    assert (folder / "template_1mm.nii").read_bytes() == noise(150, 2)


def test_a_file_of_a_person_stays_also_one_that_replaced_a_link(origin: Origin, make: Make, tmp_path: Path) -> None:
    store, folder = make(), tmp_path / "links"
    folder.mkdir()
    (folder / "one.bin").write_text("mine")
    for name in ("one.bin", "two.bin"):
        store.get(serve(origin, f"/{name}", noise(100))[0])
    assert update_links(store, folder).taken == ["one.bin"]
    (folder / "two.bin").unlink()
    (folder / "two.bin").write_text("mine too")
    assert sorted(update_links(store, folder).taken) == ["one.bin", "two.bin"]
    store.clear()
    update_links(store, folder)
    assert {path.name: path.read_text() for path in folder.iterdir() if path.name != MARK} == {
        "one.bin": "mine",
        "two.bin": "mine too",
    }


def test_names_from_a_registry_stay_inside_the_folder(origin: Origin, make: Make, tmp_path: Path) -> None:
    store, folder = make(), tmp_path / "links"
    urls = [serve(origin, f"/{number}.bin", noise(100))[0] for number in range(4)]
    for url in urls:
        store.get(url)
    names = ["../../escape", "/etc/passwd", "..", MARK]
    update_links(store, folder, {store.remote(url).digest: name for url, name in zip(urls, names, strict=True)})
    assert all(path.parent == folder for path in folder.iterdir())
    assert len(names_in(folder)) == 4
    assert not (tmp_path / "escape.bin").exists()


def test_a_mark_that_names_files_elsewhere_removes_none(make: Make, tmp_path: Path) -> None:
    folder, precious = tmp_path / "links", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("x")
    (folder / MARK).write_text(f"{precious.stat().st_ino}-{precious.stat().st_mtime_ns} ../precious\nnonsense\n")
    update_links(make(), folder)
    assert precious.exists()


@pytest.mark.parametrize("where", ["files", "files/ab", "."])
def test_a_folder_in_or_around_the_cache_is_refused(make: Make, tmp_path: Path, where: str) -> None:
    with pytest.raises(CacheError, match="inside the cache"):
        update_links(make(), tmp_path / where)
