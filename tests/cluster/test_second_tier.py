"""The second tier, on a real S3 server that is stopped, silent, or keeps other bytes than were stored."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from image_cache.cluster.second_tier.tier import MAX_BYTES, PAUSE_S, PREFIX, SecondTier, object_name
from image_cache.engine.key import Key
from image_cache.errors import StorageError
from image_cache.storage.s3 import S3Storage
from tests.cluster.link import Link
from tests.support.clock import FakeClock
from tests.support.pictures import encoded, noise
from tests.support.s3 import BUCKET, KEY, SECRET, S3Server

pytestmark = pytest.mark.server

BODY = hashlib.sha256(b"what the origin sent").digest()
THUMB, DETAIL = (Key("covers", variant, "ab" * 32) for variant in ("thumbnails-2x", "detail"))


def webp(edge_px: int) -> bytes:
    return encoded(noise("RGB", edge_px, edge_px, edge_px), "WEBP")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def link(s3: S3Server) -> Iterator[Link]:
    link = Link(s3.port)
    yield link
    link.close()


@pytest.fixture
def tier(s3: S3Server, link: Link, tmp_path: Path, clock: FakeClock) -> SecondTier:
    options = {**s3.options, "endpoint": f"http://127.0.0.1:{link.port}"}
    return SecondTier(S3Storage(**options, prefix=tmp_path.name, timeout_s=1.0), clock=clock)


def test_what_one_node_stored_another_gets(tier: SecondTier) -> None:
    bodies = {THUMB: webp(30), DETAIL: webp(60)}
    assert tier.get(BODY, THUMB) is None
    assert tier.put(BODY, bodies)
    assert {key: tier.get(BODY, key) for key in bodies} == bodies
    assert sorted(found.variant for found in tier.objects()) == ["detail", "thumbnails-2x"]
    found = next(found for found in tier.objects() if found.variant == "detail")
    assert (found.body, found.digest, found.size_bytes) == (BODY.hex()[:32], DETAIL.digest, len(bodies[DETAIL]))


def test_another_body_of_the_same_image_has_another_name(tier: SecondTier) -> None:
    tier.put(BODY, {DETAIL: webp(60)})
    tier.put(hashlib.sha256(b"changed").digest(), {DETAIL: webp(50)})
    assert tier.get(BODY, DETAIL) == webp(60)


@pytest.mark.parametrize("has_hash", [True, False])
@pytest.mark.parametrize("wrong", ["other", "short", "empty", "text", "huge"])
def test_bytes_that_the_store_altered_are_not_taken(
    tier: SecondTier, s3: S3Server, tmp_path: Path, wrong: str, has_hash: bool
) -> None:
    body = webp(60)
    altered = {"other": webp(61), "short": body[:-1], "empty": b"", "text": b"not found", "huge": b"x" * (MAX_BYTES + 1)}[wrong]
    store = S3Store(
        BUCKET,
        config={"endpoint": s3.endpoint, "access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1"},
        client_options={"allow_http": True},
    )
    attributes = {"sha256": hashlib.sha256(body).hexdigest()} if has_hash else {}
    obstore.put(store, f"{tmp_path.name}/{object_name(BODY, DETAIL)}", altered, attributes=attributes)
    is_taken = wrong == "other" and not has_hash  # an image, and nothing says that it is the wrong one
    assert tier.get(BODY, DETAIL) == (altered if is_taken else None)
    assert not tier.is_away()
    tier.put(BODY, {DETAIL: body})
    assert tier.get(BODY, DETAIL) == body


def test_an_object_without_a_hash_is_taken_by_its_shape(tier: SecondTier, s3: S3Server, tmp_path: Path) -> None:
    """A store may not keep the hash, or have got the object by a copy of the bucket."""
    plain = S3Storage(**s3.options, prefix=tmp_path.name)
    plain.put(object_name(BODY, DETAIL), webp(60))
    plain.put(object_name(BODY, THUMB), webp(30)[:-2] + b"\0")
    assert tier.get(BODY, DETAIL) == webp(60)
    assert tier.get(BODY, THUMB) is None


@pytest.mark.parametrize("mode", ["reset", "blackhole"])
def test_a_store_that_is_away_costs_one_request_and_is_asked_again_later(
    tier: SecondTier, link: Link, clock: FakeClock, mode: str
) -> None:
    tier.put(BODY, {DETAIL: webp(60)})
    link.mode = mode  # type: ignore[assignment]
    assert not tier.put(BODY, {THUMB: webp(30)})
    assert tier.is_away()
    link.mode = "pass"
    began = time.monotonic()
    for _ in range(200):
        with pytest.raises(StorageError):
            tier.get(BODY, DETAIL)
        assert not tier.put(BODY, {THUMB: webp(30)})
    assert time.monotonic() - began < 1, "the store was asked"
    clock.advance(PAUSE_S)
    assert tier.get(BODY, DETAIL) == webp(60)
    assert not tier.is_away()


def test_one_object_that_the_store_cannot_read_says_nothing_about_the_others(
    tier: SecondTier, s3: S3Server, tmp_path: Path
) -> None:
    """It was taken for a store that is away: no node got any cover while one page asked for this one."""
    tier.put(BODY, {THUMB: webp(30), DETAIL: webp(60)})
    (s3.folder / BUCKET / tmp_path.name / object_name(BODY, DETAIL)).unlink()  # the server lists it, and cannot open it
    assert tier.get(BODY, DETAIL) is None
    assert not tier.is_away()
    assert tier.get(BODY, THUMB) == webp(30)


def test_an_answer_that_is_cut_off_is_no_miss(tier: SecondTier, link: Link) -> None:
    """A miss would be taken for a lost object, and the cover fetched from its origin again."""
    tier.put(BODY, {DETAIL: webp(60)})
    link.mode = "reset"
    with pytest.raises(StorageError):
        tier.get(BODY, DETAIL)


def test_all_variants_of_a_body_can_be_deleted_and_nothing_else(tier: SecondTier) -> None:
    other = hashlib.sha256(b"another cover").digest()
    tier.put(BODY, {THUMB: webp(30), DETAIL: webp(60)})
    tier.put(other, {DETAIL: webp(61)})
    assert [tier.delete(found.name) for found in tier.objects_of(BODY)] == [True, True]
    assert tier.objects_of(BODY) == []
    assert [found.body for found in tier.objects()] == [other.hex()[:32]]


def test_what_is_no_rendered_cover_is_neither_listed_nor_deleted(tier: SecondTier, s3: S3Server, tmp_path: Path) -> None:
    """A stream may have the address `r`: its originals are below the same folder."""
    plain = S3Storage(**s3.options, prefix=tmp_path.name)
    name = object_name(BODY, DETAIL)
    originals = [f"{PREFIX}/{'ab' * 16}.jpg", f"{PREFIX}/{'ab' * 16}.webp", f"{name}.webp", f"own/{name}"]
    for original in originals:
        plain.put(original, b"original")
    assert list(tier.objects()) == []
    for original in originals:
        with pytest.raises(StorageError, match="not a rendered cover"):
            tier.delete(original)
        assert plain.get(original) == b"original"
