"""The register of images: its totals, and rows of images that are registered again."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.db.database import Database
from image_cache.engine.index import Index
from image_cache.engine.key import digest_of
from image_cache.engine.registry import ImageRecord, ImageRegistry
from image_cache.engine.schema import MIGRATIONS
from tests.support.catalogs import Catalogs


@pytest.fixture
def register(catalogs: Catalogs, tmp_path: Path) -> Iterator[ImageRegistry]:
    database = catalogs.open_index(tmp_path / "index.db")
    yield ImageRegistry(database)
    database.close()


def image(name: object, *, spec: str = "a", revision: int = 0, **facts: object) -> ImageRecord:
    known: dict[str, object] = {"identity": f"id {name}", "url": f"https://example.org/{name}", "lane": "example.org", **facts}
    return ImageRecord(digest_of(str(name), spec, str(revision)), "covers", revision=revision, **known)  # type: ignore[arg-type]


def add(register: ImageRegistry, *images: ImageRecord) -> None:
    with register.database.write() as conn:
        register.add(conn, images)


def test_totals_are_what_counting_would_give(register: ImageRegistry) -> None:
    chance = random.Random(3)
    known: set[int] = set()
    for _ in range(300):
        number = chance.randrange(40)
        what = chance.random()
        digest = image(number).digest
        with register.database.write() as conn:
            if what < 0.4:
                register.add(conn, [image(number)])
                known.add(number)
            elif what < 0.6:
                register.record_fetch(conn, image(number, fetched_at=5.0))
            elif what < 0.9:
                register.record_failure(conn, digest, "gone", 9.0, is_final=chance.random() < 0.5)
            elif what < 0.91:
                register.clear(conn, "covers")
        row = register.database.row(
            "SELECT count(*), count(fetched_at), count(*) FILTER (WHERE is_final = 1 AND fetched_at IS NULL) FROM images"
        )
        assert row is not None
        assert register.summary("covers") == tuple(row)


def test_a_cover_that_is_shown_although_its_origin_failed_is_counted_once(register: ImageRegistry) -> None:
    """It counted as fetched and as failed: more covers were done than there were."""
    add(register, image(1))
    with register.database.write() as conn:
        register.record_fetch(conn, image(1, fetched_at=5.0))
        register.record_failure(conn, image(1).digest, "gone", 9.0, is_final=True)
    assert register.summary("covers") == (1, 1, 0)


def test_an_image_that_is_registered_again_keeps_its_facts(register: ImageRegistry) -> None:
    add(register, image(1))
    with register.database.write() as conn:
        register.record_fetch(conn, image(1, etag='"v1"', fetched_at=5.0, width=600, height=500, average="#102030"))
    add(register, image(1, url="https://example.org/other"))
    found = register.get(image(1).digest)
    assert found is not None
    assert (found.url, found.etag, found.width, found.average) == ("https://example.org/other", '"v1"', 600, "#102030")


def test_other_settings_change_the_digest(register: ImageRegistry) -> None:
    add(register, image(1))
    add(register, image(1, spec="b"))
    assert register.get(image(1).digest) is None
    assert register.get(image(1, spec="b").digest) is not None
    assert register.summary("covers")[0] == 1


def test_a_process_that_does_not_know_a_change_reverts_nothing(register: ImageRegistry) -> None:
    add(register, image(1))
    newer = image(1, revision=1)
    with register.database.write() as conn:
        register.revise(conn, image(1).digest, newer.digest, 1)
    add(register, image(1))
    found = register.get(newer.digest)
    assert found is not None
    assert found.revision == 1
    assert register.revisions("covers") == {"id 1": 1}


def test_a_failure_keeps_the_facts_and_a_fetch_clears_the_failure(register: ImageRegistry) -> None:
    add(register, image(1))
    with register.database.write() as conn:
        register.record_fetch(conn, image(1, fetched_at=5.0, fresh_until=9.0, width=600, height=600))
        register.record_failure(conn, image(1).digest, "x" * 900, 50.0, is_final=True, code="404")
    found = register.get(image(1).digest)
    assert found is not None
    assert (found.failures, found.is_final, found.retry_at, found.width, len(found.failure)) == (1, True, 50.0, 600, 200)
    assert found.failure_code == "404"
    with register.database.write() as conn:
        register.record_fetch(conn, found)
    found = register.get(image(1).digest)
    assert found is not None
    assert (found.failures, found.is_final, found.retry_at, found.failure, found.failure_code) == (0, False, 0.0, "", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("answered 404", ("HTTP 404", "404")),
        ("not a picture: the content is none of JPEG, PNG, GIF, WebP, BMP, AVIF", (None, "unknown-format")),
        ("timed out waiting for data", (None, "")),
    ],
)
def test_failures_of_an_older_version_get_their_code(tmp_path: Path, before: str, after: tuple[str | None, str]) -> None:
    """Code looked at the text, so its words could not be changed."""
    old = Database(tmp_path / "index.db", MIGRATIONS[:3], synchronous="NORMAL")
    with old.write() as conn:
        conn.execute(
            "INSERT INTO images (digest, namespace, identity, url, lane, failures, failure) VALUES (?, 'covers', 'a', 'a', 'a', 1, ?)",
            (bytes(32), before),
        )
    old.close()
    index = Index(tmp_path / "index.db")
    found = ImageRegistry(index.database).get(bytes(32).hex())
    index.close()
    assert found is not None
    assert (found.failures, found.failure, found.failure_code) == (1, after[0] or before, after[1])
