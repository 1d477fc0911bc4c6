"""Images over HTTP: the short way, the long way, their JPEG siblings, and what stands in for them."""

import io
import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from werkzeug.test import Client

from image_cache.covers import NAMESPACE
from image_cache.engine.key import Key
from tests.support.inside import Inside, shape
from tests.support.origin import Origin, jpeg
from tests.support.statements import traced
from tests.support.vault import wait_until

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def _origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def stocked(_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Inside, str]]:
    """A vault with one cover, for tests that only look."""
    with Inside(tmp_path_factory.mktemp("stocked") / "vault", trusted=(_origin.base,)) as opened:
        yield opened, opened.cover(_origin)


@pytest.mark.parametrize("suffix", ["webp", "jpg"])
@pytest.mark.parametrize("variant", ["thumbnails", "detail"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", ["", "right", "weak", "list", "any", "wrong"])
def test_the_short_way_answers_like_the_long_one(
    stocked: tuple[Inside, str], variant: str, suffix: str, method: str, condition: str
) -> None:
    inside, digest = stocked
    path = f"/cache/{variant}/{digest}.{suffix}"
    first = inside.slow_way().get(path)  # now it is in memory
    assert first.status_code == 200
    etag = first.headers["ETag"]
    tags = {"right": etag, "weak": f"W/{etag}", "list": f'"x", {etag}', "any": "*", "wrong": '"x"'}
    headers = {"If-None-Match": tags[condition]} if condition else {}
    hits = inside.services.covers.cache.memory.stats().hits
    short = Client(inside.app.wsgi_app).open(path, method=method, headers=headers)
    assert inside.services.covers.cache.memory.stats().hits == hits + 1
    assert shape(short) == shape(inside.slow_way().open(path, method=method, headers=headers))
    if condition in ("", "wrong"):
        assert short.status_code == 200
        assert short.headers["Content-Length"] == str(len(first.data))
        assert short.data == (first.data if method == "GET" else b"")
    else:
        assert short.status_code == 304
        assert not short.data
        assert "Content-Type" not in short.headers
    assert short.headers["Cache-Control"] == FOREVER
    assert short.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_a_picture_does_not_depend_on_who_asks_and_how(stocked: tuple[Inside, str]) -> None:
    inside, digest = stocked
    path = f"/cache/detail/{digest}.webp"
    answers = [
        shape(way.get(path, headers={name: value}))
        for way in (inside.client(), inside.slow_way())
        for name, value in (
            ("Host", "localhost:5000"),
            ("Host", "evil.example"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-For", "6.6.6.6"),
            ("X-Forwarded-Prefix", "/evil"),
            ("Accept", "image/png"),
            ("Accept-Encoding", "gzip"),
            ("Cookie", "vinylvault=nonsense"),
        )
    ]
    assert all(answer == answers[0] for answer in answers)
    assert not any("evil" in value for _, value in answers[0][1])


def test_the_jpeg_sibling_is_a_jpeg_of_the_same_size_and_is_made_once(stocked: tuple[Inside, str]) -> None:
    inside, digest = stocked
    answers = [inside.client().get(f"/cache/detail/{digest}.{suffix}") for suffix in ("webp", "jpg", "jpg")]
    pictures = [Image.open(io.BytesIO(answer.data)) for answer in answers]
    assert [picture.format for picture in pictures] == ["WEBP", "JPEG", "JPEG"]
    assert pictures[0].size == pictures[1].size
    assert [answer.content_type for answer in answers] == ["image/webp", "image/jpeg", "image/jpeg"]
    assert answers[1].data == answers[2].data
    assert len({answer.headers["ETag"] for answer in answers}) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/cache/detail.jpg/{digest}.webp",  # the key of the JPEG, but not its address
        "/cache/detail/{digest}",
        "/cache/detail/{digest}.png",
        "/cache/detail/{digest}.webp.webp",
        "/cache/detail/{digest}.jpg.webp",
        "/cache/detail//{digest}.webp",
        "/cache/huge/{digest}.webp",
        "/cache/covers/detail/{digest}.webp",
    ],
)
def test_a_cover_has_one_address_and_no_other(stocked: tuple[Inside, str], path: str) -> None:
    inside, digest = stocked
    assert inside.client().get(f"/cache/detail/{digest}.jpg").status_code == 200
    answers = [way.get(path.format(digest=digest)) for way in (inside.client(cookies=False), inside.slow_way())]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert inside.client().get(f"/cache/detail/{digest.upper()}.webp").status_code == 404


def test_10000_warm_hits_run_no_sql(stocked: tuple[Inside, str]) -> None:
    inside, digest = stocked
    paths = [f"/cache/thumbnails/{digest}.webp", f"/cache/detail/{digest}.webp"]
    client = Client(inside.app.wsgi_app)
    for path in paths:
        assert client.get(path).status_code == 200
    statements, others = (traced(database) for database in (inside.services.covers.cache.index.database, inside.services.catalog))
    environ = {"REQUEST_METHOD": "GET", "SERVER_NAME": "localhost", "SERVER_PORT": "5000", "wsgi.url_scheme": "http"}
    answers: list[str] = []
    for path in itertools.islice(itertools.cycle(paths), 10_000):
        body = inside.app.wsgi_app({**environ, "PATH_INFO": path}, lambda status, headers: answers.append(status))
        assert b"".join(body)
    assert answers == ["200 OK"] * 10_000
    assert [*statements, *others] == []
    inside.client().get("/about")
    assert [*statements, *others], "the trace sees what is run"


def test_a_cold_cover_is_fetched_once_by_the_pool_whoever_asks(inside: Inside, origin: Origin) -> None:
    url = origin.put("/cold.jpg", jpeg(300, 300))
    inside.services.covers.register([url])
    digest = inside.services.covers.digest_of(url)
    client = inside.client()
    for method, variant, suffix in itertools.product(("GET", "HEAD"), ("thumbnails", "detail"), ("webp", "jpg")):
        answer = client.open(f"/cache/{variant}/{digest}.{suffix}", method=method)
        if answer.status_code == 200:  # the pool was faster
            continue
        assert answer.status_code == 202
        assert answer.headers["Cache-Control"] == "no-store"
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.content_type == "image/webp"
        assert "ETag" not in answer.headers
    wait_until(lambda: client.get(f"/cache/thumbnails/{digest}.webp").status_code == 200)
    assert client.get(f"/cache/detail/{digest}.webp").status_code == 200
    assert origin.count() == 1


def test_a_size_that_is_not_made_yet_is_shown_by_a_larger_one_that_nobody_may_keep(inside: Inside, origin: Origin) -> None:
    covers = inside.services.covers
    url = origin.put("/a.jpg", jpeg(900, 900))
    covers.register([url])
    covers.enqueue_missing([url])
    digest, client = covers.digest_of(url), inside.client()
    wait_until(lambda: covers.get(digest, "detail") is not None)
    first = client.get(f"/cache/thumbnails/{digest}.webp")
    assert (first.status_code, first.mimetype, first.headers["Cache-Control"]) == (202, "image/webp", "no-store")
    assert first.data == client.get(f"/cache/thumbnails-2x/{digest}.webp").data
    assert "ETag" not in first.headers
    wait_until(lambda: client.get(f"/cache/thumbnails/{digest}.webp").headers["Cache-Control"] == FOREVER)
    second = client.get(f"/cache/thumbnails/{digest}.webp")
    assert (second.status_code, second.headers["Cache-Control"]) == (200, FOREVER)
    assert second.data not in (b"", first.data)
    assert origin.count() == 1


def test_a_digest_that_nobody_registered_is_a_placeholder_and_no_job(inside: Inside, origin: Origin) -> None:
    client = inside.client()
    for digest in ("0" * 64, "f" * 64):
        answer = client.get(f"/cache/detail/{digest}.webp")
        assert answer.status_code == 404
        assert answer.content_type == "image/webp"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Retry-After" not in answer.headers
    assert inside.services.covers.jobs.depth() == 0
    assert origin.count() == 0


def test_a_cover_that_does_not_exist_is_given_up_after_one_request(inside: Inside, origin: Origin) -> None:
    url = origin.put("/gone.jpg", status=404)
    inside.services.covers.register([url])
    path = f"/cache/detail/{inside.services.covers.digest_of(url)}.webp"
    client = inside.client()
    assert client.get(path).status_code == 202
    wait_until(lambda: client.get(path).status_code == 404)
    for _ in range(5):
        assert client.get(path).status_code == 404
    assert origin.count() == 1


def test_when_the_index_is_broken_a_miss_is_still_a_placeholder(inside: Inside) -> None:
    broken = inside.folder / "cache/index.db"
    while not broken.is_dir():
        inside.services.covers.cache.index.close()
        for path in broken.parent.glob("index.db*"):
            path.unlink(missing_ok=True)
        with suppress(FileExistsError):  # a thread of the service was faster and made a new one
            broken.mkdir()
    inside.services.covers.cache.index.close()
    answer = inside.client().get(f"/cache/detail/{'1' * 64}.webp")
    assert answer.status_code == 202
    assert answer.content_type == "image/webp"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("kind", ["thumbnails", "detail", "thumbnails-2x", "detail-2x", "stream_thumb"])
def test_every_variant_has_a_drawn_placeholder(stocked: tuple[Inside, str], kind: str) -> None:
    client = stocked[0].client()
    answer = client.get(f"/cache/placeholders/placeholder_{kind}.webp")
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.data)).format == "WEBP"
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    again = client.get(f"/cache/placeholders/placeholder_{kind}.webp", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("kind", ["nope", "..%2fthumbnails", "detail%00", "", "x" * 5000, "../../../etc/passwd"])
def test_other_placeholders_do_not_exist(stocked: tuple[Inside, str], kind: str) -> None:
    assert stocked[0].client().get(f"/cache/placeholders/placeholder_{kind}.webp").status_code == 404


def test_a_planted_link_in_the_cache_is_not_followed(inside: Inside, origin: Origin, tmp_path: Path) -> None:
    digest = inside.cover(origin)
    secret = tmp_path / "secret"
    secret.write_bytes(b"RIFF\x10\x00\x00\x00WEBPVP8 secret")
    path = inside.folder / f"cache/covers/detail/{digest[:2]}/{digest}.webp"
    inside.services.covers.cache.memory.clear()
    path.unlink()
    path.symlink_to(secret)
    answer = inside.client().get(f"/cache/detail/{digest}.webp")
    assert answer.status_code in (202, 404)
    assert b"secret" not in answer.data
    assert secret.exists()


def test_a_warm_hit_is_quick(stocked: tuple[Inside, str]) -> None:
    """A guard against a lock or a file on the short way; what it costs exactly is measured in the benchmarks."""
    inside, digest = stocked
    client = Client(inside.app.wsgi_app)
    path = f"/cache/thumbnails/{digest}.webp"
    client.get(path)

    def ten_s() -> float:
        started = time.perf_counter()
        for _ in range(10):
            client.get(path)
        return time.perf_counter() - started

    assert min(ten_s() for _ in range(20)) < 0.05  # the quickest, because others use this server too


def test_a_jpeg_does_not_wait_for_a_busy_decoder(stocked: tuple[Inside, str]) -> None:
    """A request for a JPEG waited for as long as other images took to decode: half a minute with hostile ones."""
    inside, digest = stocked
    path = f"/cache/thumbnails/{digest}.jpg"
    inside.services.covers.cache.delete([Key(NAMESPACE, "thumbnails.jpg", digest)])
    began = time.monotonic()
    with inside.services.covers._decoder._lock:
        answer = inside.client().get(path)
    assert time.monotonic() - began < 3
    assert (answer.status_code, answer.mimetype, bool(answer.headers["Retry-After"])) == (202, "image/webp", True)
    assert inside.client().get(path).mimetype == "image/jpeg"
