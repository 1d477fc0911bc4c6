"""The demo: a collection that imports, sleeves that draw, an origin that is a real process."""

import datetime
import hashlib
import http.client
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from image_cache.demo import sleeves
from image_cache.demo.painting import cast, paint
from image_cache.demo.photographs import draw_photograph, photographs
from image_cache.demo.record import DemoRecord
from image_cache.demo.records import entries, pictures, records, slug_of
from image_cache.demo.scenes import SCENES
from image_cache.demo.volumes import VOLUMES, draw_volume
from image_cache.imaging.volume.preview import Previewer
from tests.support.operator import environment
from tests.support.ports import free_port
from tests.support.servers import about_to_start
from tests.support.vault import wait_until

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "source", "source_id", "artist", "title", "year", "genres", "styles", "formats", "label", "catno", "rating",
    "media_condition", "sleeve_condition", "notes", "added", "plays", "tracks", "cover_url",
}  # fmt: skip
NEAR = 8  # sleeves that a phone shows at once
FIRST = next(iter(pictures()))


def in_order() -> list[DemoRecord]:
    """Return the records as they stand on the wall."""
    return sorted(entries(), key=lambda entry: slug_of(entry.artist.removeprefix("The "), entry.title))


def test_the_collection_holds_240_records_each_under_its_own_name() -> None:
    names = [record["source_id"] for record in records()]
    assert len(names) == 240
    assert len(set(names)) == 240
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


def test_every_record_has_what_the_import_needs() -> None:
    for record in records("http://127.0.0.1:5077"):
        assert set(record) == KEYS
        assert record["source"] == "demo"
        assert record["artist"]
        assert record["title"]
        assert 1952 <= record["year"] <= 2024
        assert record["genres"]
        assert record["styles"]
        assert record["formats"][0] in {"LP", "2xLP", '12"', '7"', "CD"}
        assert 1 <= record["rating"] <= 5
        assert record["plays"] >= 0
        assert datetime.date.fromisoformat(record["added"]).year > record["year"]
        assert re.fullmatch(r"http://127\.0\.0\.1:5077/sleeves/[a-z0-9-]+\.(jpg|png)", record["cover_url"])


def test_every_record_has_a_tracklist_with_durations_and_no_title_twice() -> None:
    for record in records():
        tracks = record["tracks"]
        assert 2 <= len(tracks) <= 12
        assert len({track["title"] for track in tracks}) == len(tracks)
        assert len({track["position"] for track in tracks}) == len(tracks)
        assert all(re.fullmatch(r"\d{1,2}:[0-5]\d", track["duration"]) for track in tracks)


def test_a_house_never_gives_a_number_twice() -> None:
    numbers = [(record["label"], record["catno"]) for record in records()]
    assert len(set(numbers)) == len(numbers)


def test_the_artists_are_spread_over_the_whole_alphabet() -> None:
    initials = {slug[0] for slug in (name.removeprefix("the-") for name in pictures())}
    assert initials == set("abcdefghijklmnopqrstuvwxyz")


def test_neighbours_never_wear_the_same_family() -> None:
    families = [cast()[entry][0] for entry in in_order()]
    for place, family in enumerate(families):
        assert family not in families[max(0, place - NEAR) : place], f"{family} at {place}"


def test_every_family_is_worn_by_a_record() -> None:
    assert {family for family, _ in cast().values()} == set(sleeves.FAMILIES)
    assert len(sleeves.FAMILIES) >= 40


@pytest.mark.parametrize("family", sorted(sleeves.FAMILIES))
def test_a_family_draws_the_longest_and_the_shortest_names(family: str) -> None:
    for artist, title in (("Mamadou Keliane & Orchestre du Plateau", "Stands in the Cellar Until It Speaks"), ("Łu", "Ö")):
        subject = sleeves.Subject(artist, title, "Penstock", "PST 1", 1961, worn=0.5)
        picture = sleeves.draw(subject, family, size_px=60)
        assert picture.size == (60, 60)
        assert len(picture.getcolors(3600) or []) > 20


def test_the_same_record_is_drawn_to_the_same_bytes() -> None:
    entry = pictures()[FIRST]
    assert paint(entry) == paint(entry)


@pytest.mark.slow
def test_neighbours_can_be_told_apart_at_a_glance() -> None:
    """Reduced to 12 by 12, as an eye in passing sees them, two sleeves that stand near each other differ by 7% at least."""
    glances: list[Image.Image] = []
    for entry in in_order():
        subject = sleeves.Subject(entry.artist, entry.title, entry.label, "", entry.year)
        glances.append(sleeves.draw(subject, *cast()[entry], size_px=48).resize((12, 12), Image.Resampling.BOX))
    for place, glance in enumerate(glances):
        for other in glances[max(0, place - NEAR) : place]:
            assert sum(ImageStat.Stat(ImageChops.difference(glance, other)).mean) / 3 > 0.07 * 255, in_order()[place]


class OriginProcess:
    """A running demo origin."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        about_to_start()
        command = [sys.executable, "-m", "image_cache.demo.origin", "--port", "0", "--dir", str(folder), *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.line)
        assert found, self.line
        self.port = int(found[1])

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OriginProcess]:
    running = OriginProcess(tmp_path_factory.mktemp("origin"))
    yield running
    assert running.stop() == (0, "")


@pytest.mark.server
def test_the_origin_draws_a_sleeve_and_says_what_it_is(origin: OriginProcess) -> None:
    status, headers, body = origin.get(f"/sleeves/{FIRST}")
    assert status == 200
    assert headers["content-type"] == "image/jpeg"
    assert int(headers["content-length"]) == len(body)
    assert headers["etag"].startswith('"')
    assert "last-modified" in headers
    assert "max-age" in headers["cache-control"]
    assert Image.open(io.BytesIO(body)).size == (800, 800)


@pytest.mark.server
def test_the_origin_answers_304_to_whom_has_it(origin: OriginProcess) -> None:
    _, headers, _ = origin.get(f"/sleeves/{FIRST}")
    for condition in (
        {"If_None_Match": headers["etag"]},
        {"If_None_Match": f'"other", W/{headers["etag"]}'},
        {"If_Modified_Since": headers["last-modified"]},
    ):
        status, again, body = origin.get(f"/sleeves/{FIRST}", **condition)
        assert (status, body) == (304, b"")
        assert again["etag"] == headers["etag"]
    assert origin.get(f"/sleeves/{FIRST}", If_None_Match='"other"', If_Modified_Since=headers["last-modified"])[0] == 200
    assert origin.get(f"/sleeves/{FIRST}", If_Modified_Since="yesterday")[0] == 200


@pytest.mark.server
@pytest.mark.parametrize(
    "path", ["/sleeves/nobody-nothing.jpg", "/sleeves/", "/sleeves/../../etc/passwd", "/", "/sleeves/%2e%2e/x"]
)
def test_the_origin_answers_404_to_what_it_does_not_have(origin: OriginProcess, path: str) -> None:
    assert origin.get(path)[0] == 404


@pytest.mark.server
def test_the_origin_keeps_the_connection_and_answers_head(origin: OriginProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=20)
    connection.request("HEAD", f"/sleeves/{FIRST}")
    first = connection.getresponse()
    assert (first.status, first.read()) == (200, b"")
    used = connection.sock
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b"ok\n"
    assert connection.sock is used
    connection.close()


@pytest.mark.server
def test_a_png_of_the_collection_is_a_png(origin: OriginProcess) -> None:
    name = next(name for name in pictures() if name.endswith(".png"))
    _, headers, body = origin.get(f"/sleeves/{name}")
    assert headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(body)).format == "PNG"


@pytest.mark.server
def test_many_at_once_get_one_drawing_and_no_half_file(tmp_path: Path) -> None:
    running = OriginProcess(tmp_path)
    start, bodies = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        bodies.append(running.get(f"/sleeves/{FIRST}")[2])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(bodies)) == 1
    assert [path.name for path in tmp_path.rglob("*.*")] == [FIRST]
    assert running.stop(signal.SIGINT) == (0, "")


@pytest.mark.server
def test_the_origin_waits_as_a_far_one_would(tmp_path: Path) -> None:
    running = OriginProcess(tmp_path, "--delay-ms", "150")
    began = time.monotonic()
    running.get("/sleeves/nobody.jpg")
    assert time.monotonic() - began >= 0.15
    running.stop()


@pytest.mark.server
def test_the_origin_leaves_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    running = OriginProcess(tmp_path, "--parent", str(parent.pid))
    assert running.get("/health")[0] == 200
    assert parent.stdin is not None
    parent.stdin.close()
    parent.wait(timeout=60)
    assert running.process.wait(timeout=60) == 0
    running.stop()


def is_running(pid: int) -> bool:
    """Return True unless the process has ended; one that no parent waits for any more has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.server
def test_a_demo_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    """Nothing of the command can run after SIGKILL: its server and its origin must see for themselves that it is gone."""
    port, origin_port = free_port(), free_port()
    env = environment(tmp_path / "demo", HOST="127.0.0.1", PORT=str(port), DEMO_ORIGIN_PORT=str(origin_port))
    about_to_start()
    command = subprocess.Popen(
        [sys.executable, "-m", "image_cache.cli", "demo"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    pids: list[int] = []
    try:
        wait_until(lambda: answers(port), 120)
        pids = [int(text) for text in children.read_text(encoding="ascii").split()]
        assert len(pids) == 2, "a server and an origin"
        command.kill()
        command.wait(60)
        wait_until(lambda: not any(map(is_running, pids)), 60)
        assert not answers(port)
        assert not answers(origin_port)
    finally:
        command.kill()
        command.wait(60)
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGTERM)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.server
def test_an_edition_of_another_day_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "edition-0000").mkdir()
    (tmp_path / "edition-0000" / "old.jpg").write_bytes(b"old")
    (tmp_path / "mine").mkdir()
    running = OriginProcess(tmp_path)
    running.stop()
    kept = {path.name for path in tmp_path.iterdir()}
    assert "mine" in kept
    assert "edition-0000" not in kept
    assert os.path.isdir(tmp_path / next(name for name in kept if name.startswith("edition-")))


@pytest.mark.server
def test_a_volume_can_be_resumed_and_shows_what_is_in_it(origin: OriginProcess, tmp_path: Path) -> None:
    volume = next(volume for volume in VOLUMES.values() if not volume.is_slow)
    status, headers, body = origin.get(f"/files/{volume.name}")
    assert (status, headers["accept-ranges"]) == (200, "bytes")
    status, rest, end = origin.get(f"/files/{volume.name}", Range="bytes=1000-", If_Range=headers["etag"])
    assert (status, end) == (206, body[1000:])
    assert rest["content-range"] == f"bytes 1000-{len(body) - 1}/{len(body)}"
    assert origin.get(f"/files/{volume.name}", Range="bytes=1000-", If_Range='"older"')[::2] == (200, body)
    assert origin.get(f"/files/{volume.name}", Range=f"bytes={len(body)}-")[0] == 416
    assert origin.get("/files/nobody.nii")[0] == 404


@pytest.mark.parametrize("name", sorted(VOLUMES))
def test_a_volume_is_one_that_the_previews_read(name: str, tmp_path: Path) -> None:
    body = draw_volume(VOLUMES[name])
    assert body == draw_volume(VOLUMES[name])
    (tmp_path / name).write_bytes(body)
    found = Previewer().preview(tmp_path / name, name, hashlib.sha256(body).hexdigest())
    assert found.refusal == ""
    assert len(found.slices) == 3
    assert dict(found.facts)["Format"] == "NIfTI-1"


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_photograph_is_drawn_the_same_each_time(scene: str) -> None:
    photograph = next(one for one in photographs().values() if one.scene == scene)
    body = draw_photograph(photograph)
    assert body == draw_photograph(photograph)
    picture = Image.open(io.BytesIO(body))
    assert sorted(picture.size) == [540, 720]
    assert len(picture.resize((40, 40)).getcolors(1600) or []) > 100
    assert len(body) < 400_000
