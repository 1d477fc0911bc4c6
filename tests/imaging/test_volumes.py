"""Previews of volumes: valid ones in the right orientation; broken ones are rejected with a reason and at little cost."""

import gzip
import io
import os
import resource
import struct
import threading
from pathlib import Path

import pytest
from PIL import Image

from image_cache.errors import DecoderFailed, FileRejected
from image_cache.imaging.volume import preview as previewing
from image_cache.imaging.volume.preview import Preview, Previewer
from tests.support.corpora import corpus, rows_to_test
from tests.support.inside import Inside
from tests.support.origin import Origin
from tests.support.volumes import nifti, serve

pytestmark = pytest.mark.decoder


def look(tmp_path: Path, body: bytes, name: str = "x.nii") -> Preview:
    path = tmp_path / "file"
    path.write_bytes(body)
    return Previewer().preview(path, name, str(hash(body)))


def facts(preview: Preview) -> dict[str, str]:
    return dict(preview.facts)


@pytest.mark.corpus
@pytest.mark.parametrize("row", rows_to_test("nifti/MANIFEST.csv"), ids=lambda row: row["file"])
def test_the_corpus_is_as_its_manifest_says(row: dict[str, str]) -> None:
    path = corpus("nifti") / row["file"]
    previewer = Previewer()
    if row["valid"] != "yes":
        with pytest.raises(FileRejected) as caught:
            previewer.preview(path, row["file"], row["sha256"])
        assert caught.value.expected
        assert caught.value.found
        assert row["file"] in str(caught.value)
        return
    preview = previewer.preview(path, row["file"], row["sha256"])
    shown = facts(preview)
    assert shown["Voxels"].replace(" ", "").removeprefix("1x1x1x1x") == row["shape"]
    assert shown["Type"] in (row["dtype"], {">i2": "int16", ">f4": "float32"}.get(row["dtype"]))
    assert preview.refusal == ""
    assert len(preview.slices) == (1 if row["reader"] == "Cifti2Image" else 3)
    for one in preview.slices:
        with Image.open(io.BytesIO(one.body)) as picture:
            assert (picture.format, picture.size) == ("WEBP", (one.width, one.height))
            assert max(picture.size) == 320


@pytest.mark.corpus
@pytest.mark.slow
def test_a_file_of_several_gzip_members_shows_what_one_shows() -> None:
    folder, previewer = corpus("nifti"), Previewer()
    one = previewer.preview(folder / "example4d.nii.gz", "a.nii.gz", "1")
    two = previewer.preview(folder / "multi_member.nii.gz", "b.nii.gz", "2")
    assert one.slices == two.slices


def test_up_in_the_world_is_up_in_the_slice(tmp_path: Path) -> None:
    size = 8
    voxels = bytearray(size**3 * 2)
    for z in range(size):
        for y in range(size):
            for x in range(size):
                bright = (z >= 4) * 400 + (y >= 4) * 200 + (x >= 4) * 100  # brighter towards the top, the front, the right
                struct.pack_into("<h", voxels, ((z * size + y) * size + x) * 2, bright)
    preview = look(tmp_path, nifti((size, size, size), bytes(voxels)))
    assert facts(preview)["Orientation"] == "RAS"
    for one in preview.slices:
        with Image.open(io.BytesIO(one.body)) as picture:
            grey = picture.convert("L")
            corners = {name: grey.getpixel(at) for name, at in (("up", (60, 60)), ("down", (60, 260)), ("right", (260, 60)))}
            assert corners["up"] > corners["down"], one.name  # type: ignore[operator]
            assert corners["right"] > corners["up"], one.name  # type: ignore[operator]
    assert [one.name for one in preview.slices] == ["Sagittal", "Coronal", "Axial"]


def test_a_slice_of_each_plane_is_chosen_by_its_number(tmp_path: Path) -> None:
    """Each plane across the z axis has one value: its number. A number beyond the last slice means the last."""
    size = 8
    voxels = b"".join(struct.pack("<h", z * 100) * size * size for z in range(size))
    path = tmp_path / "file"
    path.write_bytes(nifti((size, size, size), voxels))
    previewer = Previewer()

    def grey(number: int) -> tuple[int, int]:
        one = previewer.preview(path, "x.nii", "1", (4, 4, number)).slices[2]
        with Image.open(io.BytesIO(one.body)) as picture:
            return one.index, int(picture.convert("L").getpixel((160, 160)))  # type: ignore[arg-type]

    middle = previewer.preview(path, "x.nii", "1")
    assert [one.index for one in middle.slices] == [5, 5, 5]
    shown = [grey(number) for number in (1, 3, 5, 8)]
    assert [index for index, _ in shown] == [1, 3, 5, 8]
    assert [value for _, value in shown] == sorted({value for _, value in shown}), "brighter towards the top"
    assert grey(99) == shown[-1]
    assert grey(0) == shown[0]
    assert previewer.preview(path, "x.nii", "1", (5, 5, 5)).slices == middle.slices


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"", "x.nii"),
        (b"short", "x.nii"),
        (b"short", "x.mgz"),
        (b"\x1f\x8b", "x.nii.gz"),
        (gzip.compress(b"short", mtime=0), "x.nii.gz"),
        (gzip.compress(b"short", mtime=0), "x.mgz"),
        (nifti((8, 8, 8)), "x.nii"),
        (gzip.compress(nifti((8, 8, 8)), mtime=0), "x.nii.gz"),
        (nifti((0, 8, 8)), "x.nii"),
        (nifti((32767, 32767, 32767)), "x.nii"),
        (nifti((8, 8, 8), bytes(1024), offset=float("nan")), "x.nii"),
        (nifti((8, 8, 8), bytes(1024), offset=1e30), "x.nii"),
        (nifti((8, 8, 8), bytes(1024), kind=9999), "x.nii"),
        (os.urandom(5000), "x.nii"),
        (os.urandom(5000), "x.mgh"),
        (gzip.compress(nifti((8, 8, 8), bytes(1024)) + bytes(40_000_000), mtime=0), "x.nii.gz"),
    ],
)
def test_a_broken_volume_is_rejected_with_a_reason(tmp_path: Path, body: bytes, name: str) -> None:
    with pytest.raises(FileRejected) as caught:
        look(tmp_path, body, name)
    assert caught.value.expected
    assert caught.value.found


def test_colours_and_single_lines_show_their_header_and_no_slices(tmp_path: Path) -> None:
    coloured = look(tmp_path, nifti((4, 4, 4), bytes(192), kind=128, bits=24))
    assert (coloured.slices, bool(coloured.refusal), facts(coloured)["Voxels"]) == ((), True, "4 x 4 x 4")
    line = look(tmp_path, nifti((9,), bytes(18)))
    assert (line.slices, bool(line.refusal)) == ((), True)


def test_values_that_are_not_numbers_are_dark(tmp_path: Path) -> None:
    voxels = struct.pack("<512f", *([float("nan"), float("inf"), -float("inf"), 1.0] * 128))
    preview = look(tmp_path, nifti((8, 8, 8), voxels, kind=16, bits=32))
    assert len(preview.slices) == 3


def test_a_large_compressed_volume_shows_its_header_only(tmp_path: Path) -> None:
    body = gzip.compress(nifti((512, 512, 200)) + bytes(70_000_000), 1)
    preview = look(tmp_path, body, "x.nii.gz")
    assert facts(preview)["Voxels"] == "512 x 512 x 200"
    assert preview.slices == ()
    assert "64 MB" in preview.refusal


@pytest.mark.slow
def test_a_volume_of_two_gigabytes_is_shown_without_reading_it_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "CPU_S", 120)  # it takes 3 of the 12 s, and ten times as long on a busy machine
    monkeypatch.setattr(previewing, "WALL_S", 120.0)
    path = tmp_path / "large.nii"
    with path.open("wb") as file:
        file.write(nifti((1024, 1024, 1000)))
        file.truncate(352 + 1024 * 1024 * 1000 * 2)  # sparse: it uses no disk space
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    preview = Previewer().preview(path, "large.nii", "x")
    assert len(preview.slices) == 3
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before < 150_000  # KB, most of it for the libraries


def test_many_concurrent_viewers_cause_one_child(tmp_path: Path) -> None:
    path = tmp_path / "x.nii"
    path.write_bytes(nifti((8, 8, 8), bytes(1024)))
    previewer = Previewer()
    found: list[Preview] = []
    threads = [threading.Thread(target=lambda: found.append(previewer.preview(path, "x.nii", "x"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1


def test_a_file_that_blocks_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises((FileRejected, DecoderFailed)):  # without a timeout it would never return
        Previewer().preview(path, "x.nii", "x")


@pytest.mark.slow
def test_the_page_of_a_volume_shows_facts_and_slices_and_a_broken_one_says_why(origin: Origin, tmp_path: Path) -> None:
    good, _ = serve(origin, "/good.nii", nifti((8, 8, 8), bytes(range(256)) * 4))
    bad, _ = serve(origin, "/bad.nii", nifti((8, 8, 8)))
    with Inside(tmp_path / "vault", trusted=(origin.base,), FREE_SPACE_FLOOR_MB=0) as inside:
        cache = inside.services.files.cache
        for url in (good, bad):
            cache.get(url)
        owner = inside.logged_in("owner")
        page = owner.get(f"/files/{cache.remote(good).digest}").text
        assert "8 x 8 x 8" in page
        assert page.count('<figure id="plane-') == 3
        picture = owner.get(f"/files/{cache.remote(good).digest}/slice/1.webp")
        assert (picture.status_code, picture.mimetype) == (200, "image/webp")
        assert "sandbox" in picture.headers["Content-Security-Policy"]
        assert inside.stranger().get(f"/files/{cache.remote(good).digest}/slice/1.webp").status_code == 401
        page = owner.get(f"/files/{cache.remote(bad).digest}").text
        assert "No preview: expected 1376 bytes, as its header says, got 352" in page
        assert owner.get(f"/files/{cache.remote(bad).digest}/download").status_code == 200  # immutable
