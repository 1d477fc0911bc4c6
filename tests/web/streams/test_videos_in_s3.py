"""Videos whose originals are in a bucket: stored, played by ranges, shown by a poster, taken along as a ZIP, deleted for good.

The S3 server is real. Where videos are sent in pieces, a real gunicorn sends them.
"""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.errors import StorageError
from image_cache.models import ImageVisibility, StreamImage
from image_cache.streams import Upload
from image_cache.streams.images import ORPHAN_AGE_S
from image_cache.web.streams.media import VIDEO
from image_cache.web.streams.view_models import address
from tests.support.clock import FakeClock
from tests.support.inside import Inside
from tests.support.s3 import S3Server
from tests.support.stage import ACTORS, SLUG, Stage, edits, multipart
from tests.support.vault import Vault, wait_until
from tests.support.videos import SECRETS, box, video
from tests.support.visitor import Browser, prepared

pytestmark = pytest.mark.server

PUBLIC, PRIVATE = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE
PADDING = 12_000_000  # more than two parts of an upload


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_790_000_000.0)


@pytest.fixture
def stage(tmp_path: Path, store: S3Server, clock: FakeClock) -> Iterator[Stage]:
    with Inside(tmp_path / "vault", clock=clock, **store.settings(tmp_path / "secret")) as inside:
        yield Stage(inside)


def film(stage: Stage, body: bytes, kind: ImageVisibility = PUBLIC) -> StreamImage:
    return stage.streams.uploads.store(stage.stream, Upload(body, "party.mp4", kind, f"Film for {kind.value}"))


def marker_of(body: bytes) -> bytes:
    at = body.index(b"mdat") + 4
    return body[at : at + 1500]


def back(stage: Stage) -> None:
    stage.streams.images._offline_until = 0.0  # as if the quarter of a minute had passed


def test_a_video_is_stored_in_the_bucket_only_and_played_by_ranges(stage: Stage, store: S3Server) -> None:
    body = video(3, colour="teal") + box(b"free", os.urandom(PADDING))
    data, kind = multipart({}, (body,))
    row = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=data, content_type=kind).json["results"][0]
    assert row["ok"], row
    (kept,) = store.files_with(marker_of(body))
    assert kept.read_bytes() == body
    found = stage.streams.rows.image(row["image_id"])
    assert found is not None
    image, state = found[1], stage.inside.folder
    assert not [path for path in state.rglob("*") if path.is_file() and marker_of(body) in path.read_bytes()]
    whole = stage.ask("stranger", "GET", address(image, VIDEO))
    assert (whole.status_code, len(whole.data)) == (200, len(body))
    assert not any(secret in whole.data for secret in SECRETS)
    for wanted, part in (
        ("bytes=0-99", whole.data[:100]),
        ("bytes=1048570-1048590", whole.data[1048570:1048591]),  # over the edge of a piece
        ("bytes=-500", whole.data[-500:]),
    ):
        got = stage.ask("stranger", "GET", address(image, VIDEO), headers={"Range": wanted})
        assert (got.status_code, got.data) == (206, part), wanted
    assert stage.ask("stranger", "GET", address(image, VIDEO), headers={"Range": f"bytes={len(body)}-"}).status_code == 416
    for actor in ACTORS:
        original = stage.ask(actor, "GET", address(image, "original"))
        assert (original.status_code == 200 and original.data == body) is edits(actor)


def test_a_poster_that_was_evicted_is_made_again_from_the_bucket(stage: Stage) -> None:
    image = film(stage, video(3, colour="olive"))
    first = stage.ask("stranger", "GET", address(image, "detail")).data
    stage.streams.images.delete_variants(image.image_id)
    again = stage.ask("stranger", "GET", address(image, "detail"))
    assert (again.status_code, again.data) == (200, first)


def test_a_video_is_moved_and_copied_within_the_bucket(stage: Stage, store: S3Server) -> None:
    me = stage.streams.members.viewer("owner")
    other = stage.streams.create_stream("Other", owner=me)
    body = video(3, colour="navy")
    image = film(stage, body)
    for action, files_there in (("copy", 2), ("move", 2)):
        result, _ = stage.streams.selection.apply(me, stage.stream, action, [image.image_id], other)
        assert bool(result.failed) is (action == "move"), "the same image is there already"
        assert len(store.files_with(marker_of(body))) == files_there


def test_no_byte_is_left_in_the_bucket(stage: Stage, store: S3Server) -> None:
    body = video(3, colour="maroon")
    image = film(stage, body)
    assert len(store.files_with(marker_of(body))) == 1
    stage.ask("owner", "POST", f"{address(image)}/delete")
    assert stage.ask("stranger", "GET", address(image, VIDEO)).status_code == 404
    stage.ask("owner", "POST", f"/streams/{SLUG}/trash/delete", data={"image": image.image_id})
    assert store.files_with(marker_of(body)) == []
    assert not [path for path in store.folder.rglob("*") if image.image_id in path.name]
    assert not [path for path in stage.inside.folder.rglob("*") if image.image_id in path.name]


def test_what_is_deleted_while_the_store_is_away_is_removed_when_it_is_back(
    stage: Stage, store: S3Server, clock: FakeClock
) -> None:
    body = video(3, colour="purple")
    image = film(stage, body)
    store.stop()
    try:
        playing = stage.ask("stranger", "GET", address(image, VIDEO), headers={"Range": "bytes=0-"})
        assert (playing.status_code, bool(playing.headers["Retry-After"])) == (503, True), "no video that breaks off"
        kept = stage.ask("owner", "GET", f"{address(image)}/download")
        assert (kept.status_code, "not responding" in kept.text) == (503, True)
        assert stage.ask("stranger", "GET", address(image, "detail")).status_code == 200, "its poster is here"
        stage.ask("owner", "DELETE", f"/api/images/{image.image_id}?for_good=true")
        assert stage.ask("owner", "GET", address(image, VIDEO)).status_code == 404
    finally:
        store.start()
    back(stage)
    assert len(store.files_with(marker_of(body))) == 1
    clock.advance(ORPHAN_AGE_S + 1)
    stage.streams.images.sweep()
    assert store.files_with(marker_of(body)) == []


def test_an_upload_while_the_store_is_away_leaves_nothing(stage: Stage, store: S3Server) -> None:
    before = len(stage.streams.rows.images(stage.stream.id))
    store.stop()
    try:
        with pytest.raises(StorageError):
            film(stage, video(3, colour="black"))
    finally:
        store.start()
    back(stage)
    assert len(stage.streams.rows.images(stage.stream.id)) == before
    assert film(stage, video(3, colour="black")).is_video, "and the same file is no duplicate"


def test_a_zip_has_every_video_piece_by_piece(tmp_path: Path, store: S3Server) -> None:
    """Of our own server. A video of a bucket was read whole into memory, twice."""
    names = {f"VINYL_VAULT_{name}": str(value) for name, value in store.settings(tmp_path / "secret").items()}
    with Vault(tmp_path / "vault", **names) as vault:
        owner = prepared(vault)
        body = video(3, colour="silver") + box(b"free", os.urandom(40_000_000))
        row = owner.upload(body, visibility="public").json()["results"][0]
        assert row["ok"], row
        peak = peak_of(vault)
        for who in (owner, Browser(vault)):
            got = who.get(f"/streams/{SLUG}/images.zip")
            assert got.status == 200
            (name,) = zipfile.ZipFile(io.BytesIO(got.body)).namelist()
            inside = zipfile.ZipFile(io.BytesIO(got.body)).read(name)
            assert (len(inside), inside == body) == (len(body), who is owner)
        assert peak_of(vault) - peak < 25_000_000
        part = Browser(vault).ask("GET", row["page_url"] + "/video", None, {"Range": "bytes=5000000-5000099"})
        assert (part.status, part.body) == (206, inside[5_000_000:5_000_100])
        owner.ask("DELETE", f"/api/images/{row['image_id']}?for_good=true", None, {})
        wait_until(lambda: store.files_with(marker_of(body)) == [])


def peak_of(vault: Vault) -> int:
    """Return the largest memory that the server ever had, in bytes."""
    lines = [Path(f"/proc/{pid}/status").read_text() for pid in vault.workers()]
    return sum(int(text.split("VmHWM:")[1].split()[0]) * 1024 for text in lines)
