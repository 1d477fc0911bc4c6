"""Taking images out: one in its own name, and a ZIP of what the viewer may see, for every viewer and every visibility."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from image_cache.errors import NotVisible, StorageError
from image_cache.models import ImageVisibility, StreamImage
from image_cache.streams import archive
from image_cache.streams.stored_zip import MAX_32, StoredZip, ZipEntry, zip_size
from tests.support.inside import Inside
from tests.support.stage import ACTORS, KINDS, SLUG, Stage, edits, sees


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stream that every test finds as it was made: look, and change nothing."""
    with Inside(tmp_path_factory.mktemp("downloads") / "vault") as inside:
        yield Stage(inside)


def opened(answer: TestResponse) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text[:300]
    assert answer.mimetype == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.data))


def originals(stage: Stage) -> dict[bytes, ImageVisibility]:
    return {stage.streams.images.original(image): kind for kind, image in stage.images.items()}  # type: ignore[misc]


@pytest.mark.parametrize("actor", ACTORS)
def test_a_zip_has_what_the_viewer_may_see_and_originals_for_editors_only(shown: Stage, actor: str) -> None:
    answer = shown.ask(actor, "GET", f"/streams/{SLUG}/images.zip")
    found = opened(answer)
    assert found.testzip() is None
    kinds = [kind for kind in KINDS if sees(actor, kind)]
    assert len(found.namelist()) == len(kinds)
    known = originals(shown)
    bodies = [found.read(name) for name in found.namelist()]
    assert [known.get(body) for body in bodies] == ([*kinds] if edits(actor) else [None] * len(kinds))
    if edits(actor):
        assert [Path(name).suffix for name in found.namelist()] == [".jpg"] * 3
        assert int(answer.headers["Content-Length"]) == len(answer.data)
    else:
        assert found.namelist() == [f"Title of {kind.value}.webp" for kind in kinds]
        assert "Content-Length" not in answer.headers
    assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_a_selection_never_adds_what_the_viewer_may_not_see(shown: Stage, actor: str, kind: ImageVisibility) -> None:
    ids = [shown.images[kind].image_id, "00000000-0000-4000-8000-000000000000"]
    answer = shown.ask(actor, "POST", f"/streams/{SLUG}/images.zip", data={"image": ids})
    if sees(actor, kind):
        assert len(opened(answer).namelist()) == 1
    else:
        assert answer.status_code == 404


@pytest.mark.parametrize("actor", ACTORS)
def test_one_image_comes_in_its_own_name(shown: Stage, actor: str) -> None:
    image = shown.images[ImageVisibility.PUBLIC]
    answer = shown.ask(actor, "GET", f"/streams/{SLUG}/images/{image.image_id}/download")
    assert answer.status_code == 200
    name = answer.headers["Content-Disposition"]
    if edits(actor):
        assert answer.data == shown.streams.images.original(image)
        assert name == f"attachment; filename=\"{image.filename}\"; filename*=UTF-8''{image.filename}"
    else:
        assert answer.data != shown.streams.images.original(image)
        assert name == "attachment; filename=\"Title of public.webp\"; filename*=UTF-8''Title%20of%20public.webp"
    assert answer.headers["Cache-Control"] == ("private, no-cache" if edits(actor) else "public, no-cache")


def image_of(name: str, title: str = "") -> StreamImage:
    return StreamImage(
        "id", SLUG, name, f"{SLUG}/id_original.jpg", title=title, size_bytes=3, created_at="2026-07-11T21:40:00+00:00"
    )


def test_names_are_safe_on_every_system_and_each_occurs_once() -> None:
    names = ("a.jpg", "A.JPG", "b/../c.jpg", 'say "hi": a|b?.jpg', "CON.jpg", " . ", "Ünïcode 🎷.jpg", "a.jpg", "x" * 300)
    assert archive.original_names([image_of(name) for name in names]) == [
        "a.jpg",
        "A (2).jpg",
        "c.jpg",
        "say _hi__ a_b_.jpg",
        "_CON.jpg",
        "image.jpg",
        "Ünïcode 🎷.jpg",
        "a (3).jpg",
        "x" * 100 + ".jpg",
    ]
    assert archive.variant_names([image_of("secret name.jpg"), image_of("b.jpg", "Mira")], "An evening") == [
        "An evening 01.webp",
        "Mira.webp",
    ]


def test_the_format_is_read_by_others_and_its_length_is_known() -> None:
    entries = [ZipEntry(f"Bild {number} é.jpg", number * 1000, 1_790_000_000.0 + number) for number in range(5)]
    made, body = StoredZip(), b""
    for entry in entries:
        data = bytes(entry.size_bytes)
        body += made.begin(entry, zlib.crc32(data)) + data
    body += made.end()
    assert len(body) == zip_size(entries)
    found = zipfile.ZipFile(io.BytesIO(body))
    assert found.testzip() is None
    assert found.namelist() == [entry.name for entry in entries]
    assert {one.compress_type for one in found.infolist()} == {zipfile.ZIP_STORED}


def test_more_than_four_gigabytes_get_fields_of_64_bits() -> None:
    """Only the headers: what lies between them is not written to a disk."""
    entries = [ZipEntry(f"{number}.jpg", 2_000_000_000, 1_790_000_000.0) for number in range(4)]
    made = StoredZip()
    heads = [made.begin(entry, number) for number, entry in enumerate(entries)]
    end = made.end()
    size = sum(map(len, heads)) + 8_000_000_000 + len(end)
    assert zip_size(entries) == size

    class Sparse(io.RawIOBase):
        """A file of that length of which only the end is there."""

        at = 0

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            self.at = offset + {0: 0, 1: self.at, 2: size}[whence]
            return self.at

        def tell(self) -> int:
            return self.at

        def read(self, count: int = -1) -> bytes:
            assert self.at >= size - len(end)
            data = end[self.at - (size - len(end)) :][: count if count >= 0 else None]
            self.at += len(data)
            return data

    found = zipfile.ZipFile(Sparse())  # type: ignore[arg-type]
    offsets = [one.header_offset for one in found.infolist()]
    assert offsets == [sum(map(len, heads[:number])) + number * 2_000_000_000 for number in range(4)]
    assert offsets[-1] > MAX_32


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault") as inside:
        yield Stage(inside)


def test_an_archive_ends_at_the_image_that_was_hidden_meanwhile(stage: Stage) -> None:
    """A client that takes it slowly: the owner of the stream changes their mind in between."""
    images = stage.streams.queries.images(stage.streams.members.viewer("subscriber"), stage.stream)
    assert len(images) == 2
    subscriber = stage.streams.members.viewer("subscriber")
    parts = archive.original_parts(
        stage.streams.images, images, lambda image_id: stage.streams.queries.image(subscriber, image_id)[1]
    )
    assert isinstance(next(parts), bytes)
    file = next(parts)
    assert not isinstance(file, bytes)
    assert file is not None
    stage.streams.update_stream_image(SLUG, images[1].image_id, visibility="private")
    with pytest.raises(NotVisible):
        next(parts)
    assert file.closed


def test_a_missing_original_ends_an_archive_whose_length_was_promised(stage: Stage) -> None:
    image = stage.images[ImageVisibility.PUBLIC]
    stage.streams.images.storage.delete(image.file_path)
    parts = archive.original_parts(stage.streams.images, [image], lambda _: image)
    with pytest.raises(StorageError, match="the original is missing"):
        next(parts)


def test_a_variant_that_is_not_rendered_yet_is_waited_for_without_a_thread(stage: Stage) -> None:
    image = stage.images[ImageVisibility.PUBLIC]
    stage.streams.images.delete_variants(image.image_id)
    made = [part for part in archive.variant_parts(stage.streams.images, [image], "x", lambda _: image) if part is not None]
    found = zipfile.ZipFile(io.BytesIO(b"".join(part for part in made if isinstance(part, bytes))))
    assert found.namelist() == ["Title of public.webp"]
