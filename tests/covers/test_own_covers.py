"""Uploaded covers on this disk, and in a real S3 store that several nodes share."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.config import Settings
from image_cache.covers.build import open_covers
from image_cache.covers.own_covers import OwnCovers
from image_cache.errors import OriginNotFound, StorageError
from image_cache.storage.factory import open_bucket
from image_cache.storage.local import LocalStorage
from tests.support.s3 import BUCKET, S3Server
from tests.support.vault import wait_until

BODY = b"a cover that someone uploaded"
NAME = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def own_of(settings: Settings) -> OwnCovers:
    parts = open_covers(settings)
    parts.close()
    return parts.own


@pytest.mark.server
def test_with_a_shared_catalogue_and_a_store_they_are_in_the_store(s3: S3Server, tmp_path: Path) -> None:
    shared = {**s3.settings(tmp_path / "secret"), "S3_PREFIX": "vault", "DATABASE": "postgresql://u@localhost/x"}
    one, other = (own_of(Settings(DATA_DIR=tmp_path / name, **shared)) for name in ("one", "other"))
    address = one.store(BODY)
    assert (s3.folder / BUCKET / "vault" / "own" / NAME).read_bytes() == BODY
    assert other.fetch(address).body == BODY
    assert other.delete(address)
    with pytest.raises(OriginNotFound):
        one.fetch(address)
    assert not list(tmp_path.rglob(NAME))


@pytest.mark.server
def test_without_either_they_stay_on_the_disk(s3: S3Server, tmp_path: Path) -> None:
    for name, settings in {
        "s3": s3.settings(tmp_path / "secret"),
        "database": {"DATABASE": "postgresql://u@localhost/x"},
    }.items():
        own_of(Settings(DATA_DIR=tmp_path / name, **settings)).store(BODY)
        assert (tmp_path / name / "state" / "own_covers" / NAME).read_bytes() == BODY


@pytest.mark.server
def test_those_of_a_single_node_are_found_at_once_and_moved_later(s3: S3Server, tmp_path: Path) -> None:
    former = LocalStorage(tmp_path / "own_covers")
    former.put(NAME, BODY)
    former.put("f" * 64, b"altered")
    former.put("notes.txt", b"not a cover")
    own = OwnCovers(open_bucket(Settings(**s3.settings(tmp_path / "secret")), "moving"), former)
    assert own.fetch(f"own:{NAME}").body == BODY
    s3.stop()
    try:
        own.move()
        assert former.get(NAME) == BODY
    finally:
        s3.start()
    wait_until(lambda: not is_away(own))
    own.move()
    assert (s3.folder / BUCKET / "moving" / NAME).read_bytes() == BODY
    assert sorted(name for name, _ in former.list()) == ["f" * 64, "notes.txt"]
    assert own.fetch(f"own:{NAME}").body == BODY
    assert own.delete(f"own:{NAME}")


def is_away(own: OwnCovers) -> bool:
    try:
        own.fetch(f"own:{'0' * 64}")
    except OriginNotFound:
        return False
    except StorageError:
        return True
    return False
