"""Names of covers: the same for the same image, across restarts, lost indexes and processes; new after a change or a clear."""

import json
from pathlib import Path

from image_cache.covers.digests import CoverDigests
from image_cache.db.database import Database
from image_cache.engine.index import Index
from image_cache.engine.key import DIGEST
from image_cache.engine.registry import ImageRecord, ImageRegistry

URL = "https://example.org/a.jpg"
SPEC = "thumbnails;edge=150"


def open_names(folder: Path, spec: str = SPEC) -> CoverDigests:
    index = Index(folder / "index.db").database
    (folder / "covers").mkdir(exist_ok=True)
    names = CoverDigests(ImageRegistry(index), spec, folder / "covers" / "names.json")
    names.open()
    return names


def index_of(names: CoverDigests) -> Database:
    return names._database


def revise(names: CoverDigests, url: str, revision: int) -> str:
    """Move an image to another revision, as the loader does."""
    index = index_of(names)
    register = ImageRegistry(index)
    identity, old = names.of(url)
    new = names.digest_at(identity.name, revision)
    with index.write() as conn:
        register.add(conn, [ImageRecord(old, "covers", identity.name, url, "h", names.revision(identity.name))])
        register.revise(conn, old, new, revision)
        names.revised(conn)
    names.publish()
    return new


def lose_index(names: CoverDigests) -> None:
    index_of(names).close()
    for path in index_of(names).path.parent.glob("index.db*"):
        path.unlink()


def test_a_name_is_a_digest_and_stays_over_a_restart(tmp_path: Path) -> None:
    first = open_names(tmp_path).of(URL)[1]
    assert DIGEST.fullmatch(first)
    assert open_names(tmp_path).of(URL)[1] == first


def test_other_settings_of_the_renderer_are_other_names(tmp_path: Path) -> None:
    assert open_names(tmp_path).of(URL)[1] != open_names(tmp_path, "thumbnails;edge=200").of(URL)[1]


def test_a_new_cache_does_not_give_out_the_names_of_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert open_names(tmp_path / "a").of(URL)[1] != open_names(tmp_path / "b").of(URL)[1]


def test_names_survive_the_loss_of_the_index(tmp_path: Path) -> None:
    names = open_names(tmp_path)
    plain = names.of("https://example.org/b.jpg")[1]
    changed = revise(names, URL, 3)
    assert names.of(URL)[1] == changed
    lose_index(names)
    again = open_names(tmp_path)
    assert (again.of(URL)[1], again.of("https://example.org/b.jpg")[1]) == (changed, plain)


def test_revisions_survive_a_second_restart_after_the_loss(tmp_path: Path) -> None:
    """The mirror was read only into an index without a generation: the restart after that forgot what had no row yet."""
    names = open_names(tmp_path)
    changed = revise(names, URL, 3)
    lose_index(names)
    index_of(open_names(tmp_path)).close()
    assert open_names(tmp_path).of(URL)[1] == changed


def test_names_survive_an_index_that_breaks_under_a_running_process(tmp_path: Path) -> None:
    """Until the index was rebuilt, the generation was read as 0: pages drawn meanwhile carried names that meant nothing."""
    names = open_names(tmp_path)
    before = names.of(URL)[1]
    index_of(names).set_aside()
    names.refresh()
    assert names.of(URL)[1] == before
    (tmp_path / "covers" / "names.json").unlink()
    names.open()
    names.refresh()
    assert names.of(URL)[1] == before


def test_another_process_hears_of_a_change_and_of_a_clear(tmp_path: Path) -> None:
    mine, theirs = open_names(tmp_path), open_names(tmp_path)
    changed = revise(mine, URL, 1)
    assert theirs.of(URL)[1] != changed
    theirs.refresh()
    assert theirs.of(URL)[1] == changed
    with index_of(mine).write() as conn:
        mine.next_generation(conn)
    mine.publish()
    theirs.refresh()
    assert theirs.of(URL)[1] == mine.of(URL)[1] != changed


def test_two_processes_that_clear_one_after_the_other_make_two_generations(tmp_path: Path) -> None:
    """The second one counted from what it remembered: the generation, and so all names, were those of the first clear."""
    mine, theirs = open_names(tmp_path), open_names(tmp_path)
    seen = {mine.of(URL)[1]}
    for names in (mine, theirs):
        with index_of(names).write() as conn:
            names.next_generation(conn)
        names.publish()
        seen.add(names.of(URL)[1])
    assert len(seen) == 3


def test_a_mirror_that_cannot_be_read_costs_new_names_only(tmp_path: Path) -> None:
    names = open_names(tmp_path)
    before = names.of(URL)[1]
    mirror = tmp_path / "covers" / "names.json"
    for text in ("", "{", "[]", '{"generation": "x", "revisions": {}}', '{"generation": 1, "revisions": []}'):
        mirror.write_text(text)
        assert open_names(tmp_path).of(URL)[1] == before
    mirror.write_text("{")
    lose_index(names)
    assert open_names(tmp_path).of(URL)[1] != before
    assert json.loads(mirror.read_text())["revisions"] == {}


def test_only_the_owner_can_read_the_mirror(tmp_path: Path) -> None:
    open_names(tmp_path)
    assert (tmp_path / "covers" / "names.json").stat().st_mode & 0o777 == 0o600
