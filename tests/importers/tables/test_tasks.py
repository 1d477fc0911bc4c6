"""Tables and the demo as tasks: previewed, imported, resumed, moved away; the folder of imports; sleeves that are drawn here."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_cache.covers.local_sources import DrawnCovers
from image_cache.errors import OriginNotFound, OriginUnavailable, StorageError
from image_cache.importers.tables.inbox import KEPT_S, QUIET_S, RETRY_S, ImportsFolder, UploadInbox, file_away
from image_cache.importers.tables.service import TableService
from image_cache.models import TaskState
from image_cache.tasks import TaskRunner
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.vault import wait_until

SMALL = "artist,title,year\nA,One,1970\n,,1971\nC,Three,19999\nD,Four,1972\n"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """A vault in which nothing runs by itself."""
    with Inside(tmp_path / "vault", settled=False) as opened:
        yield opened


def kept(inside: Inside, text: str = SMALL) -> str:
    """Put a table where uploads lie, and return its path."""
    folder = inside.services.settings.intray_dir
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.monotonic_ns()}.table"
    path.write_text(text)
    return str(path)


def ran(inside: Inside, kind: str, path: str, origin: str = "upload", name: str = "mine.csv") -> TaskState:
    return inside.services.tasks.run(kind, {"path": path, "name": name, "origin": origin})


def rows(count: int) -> str:
    return "artist,title\n" + "".join(f"A,Record {n % (count // 2)}\n" for n in range(count))


def in_the_middle(tasks: TaskRunner, task_id: int, act: Callable[[], object]) -> threading.Thread:
    """Begin `act` on a thread when some rows are in and others are to come, however fast they come in and however slow we look.

    Writers take turns: of an import that writes, one batch at most goes in between two turns of ours.
    """
    database, thread = tasks.rows.db, threading.Thread(target=act)
    is_in_line = lambda: len(database._write_lock._waiting) > 1  # noqa: E731  the import, and what ends it
    while not thread.ident:
        with database.write():
            state = tasks.rows.get(task_id)
            assert state is not None
            assert not state.is_over
            if state.position.get("read", 0) > 0:
                thread.start()
                wait_until(lambda: is_in_line() or tasks._stopping.is_set(), every_s=0.001)
    return thread


def test_a_look_says_what_would_happen_and_changes_nothing(inside: Inside) -> None:
    path = kept(inside)
    state = ran(inside, "table-look", path)
    assert state.state == "done"
    found = state.outcome
    assert {name: found[name] for name in ("read", "new", "changed", "same", "rejected_count", "kind", "name")} == {
        "read": 4, "new": 3, "changed": 0, "same": 0, "rejected_count": 1, "kind": "table", "name": "mine.csv",
    }  # fmt: skip
    assert found["rejected"] == [[3, "neither artist nor title"]]
    assert found["report"] == [
        [3, "", "", "rejected: neither artist nor title"],
        [4, "C", "Three", "year must be from 1800 to 2199, not 19999; skipped"],
    ]
    assert [(row["line"], row["title"], row["what"]) for row in found["rows"]] == [
        (2, "One", "new"),
        (4, "Three", "new"),
        (5, "Four", "new"),
    ]
    assert (
        found["says"]
        == "Preview of mine.csv (nothing imported yet): 4 rows read: 3 new, 1 rejected; 1 with a value that was shortened, guessed or skipped."
    )
    assert inside.services.library.count() == 0
    assert Path(path).exists()


def test_a_table_is_taken_in_and_its_file_is_gone(inside: Inside) -> None:
    path = kept(inside, "artist,title,cover_url\nA,One,https://c.example/1.jpg\n")
    state = ran(inside, "table", path)
    assert (state.state, state.outcome["new"], state.outcome["summary"]) == ("done", 1, "1 row read: 1 new.")
    assert inside.services.library.count() == 1
    assert inside.services.covers.peek(["https://c.example/1.jpg"])[0].state == "waiting"
    assert not Path(path).exists()


def test_a_refused_file_is_named_as_people_know_it_and_is_gone(inside: Inside) -> None:
    path = kept(inside, "listing_id,title\n1,x\n")
    state = ran(inside, "table-look", path, name="stock.csv")
    assert state.message == "stock.csv: this is a Discogs inventory (items for sale). Export your collection instead."
    assert not Path(path).exists()
    gone = ran(inside, "table", path, name="stock.csv")
    assert (gone.state, gone.message) == ("failed", "stock.csv: No such file or directory.")


def test_a_task_counts_rows_and_not_the_bytes_of_its_table(inside: Inside) -> None:
    state = ran(inside, "table", kept(inside))
    assert (state.done, state.total) == (4, 4), "the dashboard shows them as 4 of 4"


@pytest.mark.slow
def test_an_import_that_was_stopped_goes_on_at_the_next_start(inside: Inside) -> None:
    path, count = kept(inside, rows(20_000)), 20_000
    catalog = inside.services.catalog

    def runner() -> TaskRunner:
        services = inside.services
        tasks = TaskRunner(catalog, catalog.locks(services.settings.state_dir))
        TableService(services.settings, services.library, services.covers, tasks)
        return tasks

    first = runner()
    first.serve()
    task_id = first.start("table", {"path": path, "name": "long.csv", "origin": "upload"})
    in_the_middle(first, task_id, lambda: first.close(60)).join()
    assert first.close(), "its thread has ended"
    stopped = first.rows.get(task_id)
    assert stopped is not None
    assert stopped.state == "waiting"
    assert 0 < stopped.position["read"] < count
    assert inside.services.library.count() == stopped.position["read"]
    assert 0 < stopped.done < (stopped.total or 0)
    second = runner()
    second.start_waiting()
    wait_until(lambda: second.rows.get(task_id).is_over, 120)  # type: ignore[union-attr]
    ended = second.rows.get(task_id)
    assert ended is not None
    assert (ended.state, ended.outcome["read"], ended.outcome["new"]) == ("done", count, count)
    assert inside.services.library.count() == count
    assert not Path(path).exists()
    second.close()


def test_a_cancelled_import_keeps_what_was_saved_and_clears_its_file_away(inside: Inside) -> None:
    path, tasks = kept(inside, rows(20_000)), inside.services.tasks
    tasks.serve()
    task_id = tasks.start("table", {"path": path, "name": "long.csv", "origin": "upload"})
    in_the_middle(tasks, task_id, lambda: tasks.cancel(task_id)).join()
    wait_until(lambda: tasks.rows.get(task_id).is_over)  # type: ignore[union-attr]
    state = tasks.rows.get(task_id)
    assert state is not None
    assert (state.state, inside.services.library.count()) == ("cancelled", state.position["read"])
    wait_until(lambda: not Path(path).exists())


# --- the folder


def test_a_table_in_the_folder_is_taken_in_and_lies_in_done_with_its_report(inside: Inside) -> None:
    folder = inside.services.settings.imports_dir
    folder.mkdir(parents=True)
    path = folder / "mine.csv"
    path.write_text(SMALL)
    assert ran(inside, "table", str(path), "folder").state == "done"
    assert not path.exists()
    assert (folder / "done" / "mine.csv").read_text() == SMALL
    report = (folder / "done" / "mine.csv.report.txt").read_text()
    assert report == (
        "4 rows read: 3 new, 1 rejected; 1 with a value that was shortened, guessed or skipped.\n"
        "row 3: rejected: neither artist nor title\nrow 4: C, Three: year must be from 1800 to 2199, not 19999; skipped\n"
    )
    path.write_text(SMALL)
    assert ran(inside, "table", str(path), "folder").outcome["same"] == 3
    assert sorted(found.name for found in (folder / "done").iterdir()) == [
        "mine-2.csv", "mine-2.csv.report.txt", "mine.csv", "mine.csv.report.txt",
    ]  # fmt: skip


def test_a_table_whose_name_is_not_utf8_is_taken_in_and_named_with_its_bytes(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault") as inside:
        folder = inside.services.settings.imports_dir
        folder.mkdir(exist_ok=True)
        for name, text in ((b"caf\xe9.csv", "artist,title\nA,B\n"), (b"bad\xff.csv", "")):
            (folder / os.fsdecode(name)).write_text(text)
        done, refused = (
            Path(os.fsdecode(os.fsencode(folder) + name)) for name in (b"/done/caf\xe9.csv", b"/refused/bad\xff.csv")
        )
        wait_until(lambda: done.exists() and refused.exists(), 60)
        wait_until(lambda: not inside.services.tasks.open())
        assert inside.services.library.count() == 1
        assert done.with_name(f"{done.name}.report.txt").read_text() == "1 row read: 1 new.\n"
        assert refused.with_name(f"{refused.name}.report.txt").read_text() == "bad\\xff.csv: the file is empty.\n"
        page = inside.client(accept="text/html").get("/import/table")
        assert page.status_code == 200
        assert "caf\\xe9.csv" in page.text


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("listing_id,title\n1,x\n", "x.csv: this is a Discogs inventory (items for sale). Export your collection instead.\n"),
        ("title,artist,year\n,,1\n", "1 row read: 0 new, 1 rejected.\nrow 2: rejected: neither artist nor title\n"),
        ("", "x.csv: the file is empty.\n"),
    ],
)
def test_a_table_that_is_of_no_use_lies_in_refused_and_says_why(inside: Inside, text: str, report: str) -> None:
    folder = inside.services.settings.imports_dir
    folder.mkdir(parents=True)
    (folder / "x.csv").write_text(text)
    ran(inside, "table", str(folder / "x.csv"), "folder", "x.csv")
    assert [found.name for found in folder.iterdir()] == ["refused"]
    assert (folder / "refused" / "x.csv.report.txt").read_text() == report


class Watched:
    """A folder that is looked into under a clock of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.begun, self.is_free = folder, FakeClock(0.0), list[str](), True  # before any file was made
        folder.mkdir(exist_ok=True)
        self.imports = ImportsFolder(folder, self._start, self.clock)

    def _start(self, path: Path) -> bool:
        if self.is_free:
            self.begun.append(path.name)
        return self.is_free

    def look(self, after_s: float = 0.0) -> list[str]:
        self.clock.now += after_s
        self.imports.poll()
        return self.begun


def test_a_file_that_still_grows_is_left_until_it_is_quiet(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "imports")
    (watched.folder / "a.csv").write_text("title\n")
    assert watched.look() == []
    (watched.folder / "a.csv").write_text("title\nOne\n")
    assert watched.look(QUIET_S) == []
    assert watched.look(QUIET_S - 1) == []
    assert watched.look(1) == ["a.csv"]


def test_a_file_of_long_ago_is_taken_at_the_second_look(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "imports")
    watched.clock.now = time.time()
    (watched.folder / "a.csv").write_text("title\n")
    os.utime(watched.folder / "a.csv", (1, 1))
    assert watched.look() == []
    assert watched.look(0.1) == ["a.csv"]


def test_a_file_that_was_tried_and_stays_is_tried_again_much_later_or_when_it_changed(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "imports")
    (watched.folder / "a.csv").write_text("title\n")
    watched.look()
    watched.is_free = False
    assert watched.look(QUIET_S) == []
    watched.is_free = True
    assert watched.look(1) == ["a.csv"]
    assert watched.look(QUIET_S) == ["a.csv"]
    assert watched.look(RETRY_S) == ["a.csv"] * 2
    (watched.folder / "a.csv").write_text("title\nTwo\n")
    watched.look()
    assert watched.look(QUIET_S) == ["a.csv"] * 3


def test_only_plain_tables_are_taken_from_the_folder(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "imports")
    (tmp_path / "elsewhere.csv").write_text("title\n")
    (watched.folder / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    for name in (".half.csv", "picture.jpg", "a.csv.report.txt~"):
        (watched.folder / name).write_text("title\n")
    (watched.folder / "folder.csv").mkdir()
    os.mkfifo(watched.folder / "pipe.csv")
    watched.look()
    assert watched.look(QUIET_S) == []
    (watched.folder / "B.JSON").write_text("[]")
    watched.look()
    assert watched.look(QUIET_S) == ["B.JSON"]


def test_a_folder_that_is_not_there_or_cannot_be_written_is_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ImportsFolder(tmp_path / "nowhere", lambda path: True).poll()
    file_away(tmp_path / "gone.csv", is_refused=False, report="")
    assert "table not moved" in caplog.text


@pytest.mark.slow
def test_a_table_that_somebody_puts_there_comes_in_by_itself(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", settled=False) as inside:
        folder = inside.services.settings.imports_dir
        folder.mkdir(parents=True)
        (folder / "mine.csv").write_text(SMALL)
        os.utime(folder / "mine.csv", (1, 1))  # of long ago: it need not lie still for a while
        inside.services.start()
        wait_until((folder / "done" / "mine.csv.report.txt").exists, 60)
        assert inside.services.library.count() == 3


# --- uploads


def test_uploads_are_closed_to_others_and_forgotten_after_a_day(tmp_path: Path) -> None:
    clock = FakeClock(time.time())
    intray = UploadInbox(tmp_path / "intray", clock)
    with (tmp_path / "x").open("w+b") as file:
        file.write(b"title\n")
        file.seek(0)
        path = intray.store(file)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"title\n"
    assert intray.has(str(path))
    assert not intray.has(str(tmp_path / "x"))
    intray.delete(str(tmp_path / "x"))
    assert (tmp_path / "x").exists()
    with (tmp_path / "x").open("rb") as file, pytest.raises(StorageError, match="must stay free"):
        UploadInbox(tmp_path / "intray", clock, floor_bytes=1 << 60).store(file)
    clock.now += KEPT_S + 60
    intray.delete_expired()
    assert list((tmp_path / "intray").iterdir()) == []


# --- the demo


@pytest.fixture
def drawn() -> Iterator[DrawnCovers]:
    covers = DrawnCovers()
    yield covers
    covers.close()


def test_a_sleeve_is_drawn_in_another_process_and_the_same_every_time(drawn: DrawnCovers) -> None:
    from image_cache.demo.records import pictures

    jpg = next(name for name in pictures() if name.endswith(".jpg"))
    png = next(name for name in pictures() if name.endswith(".png"))
    first = drawn.fetch(f"demo:{jpg}")
    assert first.body.startswith(b"\xff\xd8")
    assert drawn.fetch(f"demo:{png}").body.startswith(b"\x89PNG")
    assert drawn.fetch(f"demo:{jpg}").body == first.body


@pytest.mark.parametrize("name", ["nobody-nothing.jpg", "../records.py", "", "x\ny.jpg", "A.jpg", "x.jpg\n"])
def test_what_is_not_in_the_demo_is_not_found(drawn: DrawnCovers, name: str) -> None:
    with pytest.raises(OriginNotFound):
        drawn.fetch(f"demo:{name}")


def test_a_studio_that_dies_is_started_anew_and_none_is_left_behind(drawn: DrawnCovers) -> None:
    drawn.fetch(f"demo:{_sleeve()}")
    child = drawn._child
    assert child is not None
    child.kill()
    child.wait()
    assert drawn.fetch(f"demo:{_sleeve()}").body
    second = drawn._child
    assert second is not None
    drawn.close()
    assert second.poll() is not None
    with pytest.raises(OriginUnavailable):
        drawn.fetch(f"demo:{_sleeve()}")


def test_an_idle_studio_is_ended(drawn: DrawnCovers) -> None:
    drawn.fetch(f"demo:{_sleeve()}")
    child = drawn._child
    assert child is not None
    drawn.close_idle()
    assert child.poll() is None
    drawn._used_at -= 3600
    drawn.close_idle()
    assert child.poll() is not None


def test_a_close_does_not_wait_for_the_sleeve_that_is_drawn(drawn: DrawnCovers) -> None:
    ended: list[Exception | None] = []

    def draw() -> None:
        try:
            while True:
                drawn.fetch(f"demo:{_sleeve()}")
        except OriginUnavailable as error:
            ended.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    wait_until(lambda: drawn._child is not None)
    drawn.close()
    thread.join(60)
    assert len(ended) == 1


@pytest.mark.slow
def test_the_demo_comes_in_with_its_covers_and_goes_with_one_call(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault") as inside:
        own = inside.album(title="Mine")
        state = inside.services.tasks.run("demo", {})
        assert state.outcome["new"] == 240
        assert inside.services.library.count() == 241
        demo = next(album for album in inside.services.library.albums() if album.source == "demo")
        inside.services.covers.enqueue_missing([demo.cover_url])
        wait_until(lambda: inside.services.covers.peek([demo.cover_url])[0].state == "ready", 90)
        inside.services.library.record_play(demo.id)
        assert inside.services.tasks.run("demo", {}).outcome["new"] == 0
        assert inside.services.library.remove_source("demo") == 240
        assert [album.id for album in inside.services.library.albums()] == [own]


def _sleeve() -> str:
    from image_cache.demo.records import pictures

    return next(iter(pictures()))
