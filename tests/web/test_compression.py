"""gzip for text, and the mask of the token that makes it safe (BREACH)."""

import gzip
import re

import pytest

from image_cache.web.compression import unmask
from tests.support.inside import NAME, PASSWORD, Inside, form_token

ZIPPED = {"Accept-Encoding": "br;q=1.0, gzip;q=0.8"}


@pytest.mark.parametrize("path", ["/about", "/login", "/assets/x/app.js", "/assets/x/style.css", "/api/streams"])
def test_text_is_compressed_for_who_takes_it_and_is_the_same_text(inside: Inside, path: str) -> None:
    inside.account()
    client = inside.stranger()
    plain, packed = client.get(path), client.get(path, headers=ZIPPED)
    assert plain.headers.get("Content-Encoding") is None
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "Accept-Encoding" in packed.headers["Vary"]
    if len(plain.data) < 1000:
        assert packed.headers.get("Content-Encoding") is None
        return
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < 0.6 * len(plain.data)
    without_token = re.compile(rb"~[A-Za-z0-9_=-]{100,}")
    assert without_token.sub(b"", gzip.decompress(packed.data)) == without_token.sub(b"", plain.data)


@pytest.mark.parametrize("accepted", ["gzip;q=0", "identity", "br", ""])
def test_who_does_not_take_it_gets_plain_text(inside: Inside, accepted: str) -> None:
    assert inside.stranger().get("/about", headers={"Accept-Encoding": accepted}).headers.get("Content-Encoding") is None


def test_images_fonts_and_parts_stay_as_they_are(inside: Inside) -> None:
    client = inside.stranger()
    for path in ("/cache/placeholders/placeholder_thumbnails.webp", "/assets/x/fonts/archivo-latin.woff2"):
        assert client.get(path, headers=ZIPPED).headers.get("Content-Encoding") is None
    part = client.get("/assets/x/style.css", headers={**ZIPPED, "Range": "bytes=0-99"})
    assert part.status_code == 206
    assert part.headers.get("Content-Encoding") is None


def test_a_file_that_a_browser_has_is_not_sent_again(inside: Inside) -> None:
    client = inside.stranger()
    first = client.get("/assets/x/style.css", headers=ZIPPED)
    again = client.get("/assets/x/style.css", headers={**ZIPPED, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_token_is_another_text_in_every_answer_and_means_the_same(inside: Inside) -> None:
    inside.account()
    client = inside.stranger()
    tokens = [form_token(client) for _ in range(3)]
    assert len(set(tokens)) == 3
    payloads = {(unmask(token) or "").partition(".")[0] for token in tokens}
    (payload,) = payloads
    assert len(payload) > 12
    assert not any(payload[:12] in token for token in tokens)
    for token in tokens[:1]:
        assert client.post("/login", data={"name": NAME, "password": PASSWORD, "csrf_token": token}).status_code == 303


@pytest.mark.parametrize("token", ["~", "~a", "~AAAA", "~////", "~" + "A" * 400, "x", "~é"])
def test_a_broken_token_is_refused(inside: Inside, token: str) -> None:
    inside.account()
    client = inside.stranger()
    form_token(client)
    answer = client.post("/login", data={"name": NAME, "password": PASSWORD, "csrf_token": token})
    assert answer.status_code in (400, 403)
