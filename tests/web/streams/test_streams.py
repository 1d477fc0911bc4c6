"""Streams in a browser without scripts, and over the API: forms, refusals of single files, bytes, views, invitations, macros."""

import io
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import render_template_string
from PIL import Image

from image_cache.errors import DecoderBusy, StorageError
from image_cache.maintenance.health.examine import examine
from image_cache.models import ImageVisibility, StreamImage, iso_utc
from image_cache.storage.local import LocalStorage
from image_cache.streams import Upload
from image_cache.streams.upload.validation import new_image_id
from image_cache.web.access import Role, declare_access
from image_cache.web.request_body import UploadBuffer
from image_cache.web.streams.uploads import ANIMATED
from tests.cluster.link import Link
from tests.support import openapi
from tests.support.clock import FakeClock
from tests.support.inside import PASSWORD, Inside, form_token
from tests.support.pictures import decoded, encoded, noise
from tests.support.s3 import S3Server
from tests.support.stage import SLUG, Stage, files, multipart, photo
from tests.support.vault import wait_until

PUBLIC, PRIVATE, SUBSCRIBERS = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE, ImageVisibility.SUBSCRIBERS


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault") as inside:
        yield Stage(inside)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stream that tests change; tests must not rely on its contents."""
    with Inside(
        tmp_path_factory.mktemp("used") / "vault", MAX_STREAM_IMAGES_PER_STREAM=1000, MAX_IMAGE_UPLOAD_SIZE_MB=1
    ) as inside:
        yield Stage(inside)


def stored(stage: Stage) -> int:
    return len(stage.streams.rows.images(stage.stream.id))


def test_a_form_with_twenty_photos_and_two_bad_ones_stores_eighteen(used: Stage) -> None:
    bodies = [photo(3000 + n, format_=("JPEG", "PNG", "WEBP", "GIF", "BMP")[n % 5]) for n in range(18)]
    bodies[4:4] = [b"<html>no photo</html>"]
    bodies[9:9] = [photo(1) + bytes(1_200_000)]
    before = stored(used)
    body, kind = multipart({"visibility": "subscribers", "title": "Party"}, tuple(bodies))
    page = used.ask("owner", "POST", f"/streams/{SLUG}/images", data=body, content_type=kind)
    assert page.status_code == 200
    assert "18 of 20 uploaded" in page.text
    assert "Not a supported image" in page.text
    assert "This file is 1.2 MB. The limit is 1 MB." in page.text
    assert stored(used) == before + 18
    image = used.streams.rows.images(used.stream.id)[-1]
    assert (image.title, image.visibility) == ("Party", SUBSCRIBERS)


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"title": "x" * 100_000}, 400, "text"),
        ({"title": "<script>alert(1)</script>"}, 400, "text"),
        ({"description": "<img src=x onerror=alert(1)>"}, 400, "text"),
        ({"visibility": "everyone"}, 400, "text"),
        ({"page": "../../etc"}, 400, "text"),
    ],
)
def test_fields_that_cannot_be_taken_are_refused_with_their_reason(
    used: Stage, fields: dict[str, str], status: int, kind: str
) -> None:
    before = stored(used)
    answer = used.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((photo(4001), "a.jpg"), **fields))
    assert (answer.status_code, answer.json["results"][0]["kind"]) == (status, kind), answer.text
    assert answer.json["results"][0]["reason"].endswith(".")
    assert stored(used) == before


def test_an_upload_without_files_or_to_nowhere_is_refused(used: Stage) -> None:
    assert used.ask("owner", "POST", f"/streams/{SLUG}/images", data={}).status_code == 400
    for slug in ("nowhere", "..", "%2e%2e", "x" * 100, "A"):
        answer = used.ask("owner", "POST", f"/api/streams/{slug}/images", data=files((photo(4002), "a.jpg")))
        assert answer.status_code == 404, slug


def test_too_many_files_for_a_stream_are_refused_one_by_one(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", MAX_STREAM_IMAGES_PER_STREAM=5) as inside:
        stage = Stage(inside)
        answer = stage.ask(
            "owner", "POST", f"/api/streams/{SLUG}/images", data=files(*((photo(n), f"{n}.jpg") for n in range(5000, 5004)))
        )
        assert [row["ok"] for row in answer.json["results"]] == [True, True, False, False]
        assert answer.json["results"][2]["kind"] == "too-many"
        assert "5 of 5 images" in stage.ask("owner", "GET", f"/streams/{SLUG}").text


def test_a_request_over_its_limit_is_cut_before_it_is_read(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", MAX_UPLOAD_REQUEST_MB=1, MAX_IMAGE_UPLOAD_SIZE_MB=1) as inside:
        stage = Stage(inside)
        for actor in ("owner", "other", "stranger"):
            body, kind = multipart({}, (photo(1) + bytes(1_500_000),))
            answer = stage.ask(actor, "POST", f"/streams/{SLUG}/images", data=body, content_type=kind)
            assert answer.status_code == 413, actor
        assert stored(stage) == 3


def test_a_full_disk_refuses_a_file_and_says_so(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault") as inside:
        stage = Stage(inside)
        storage = stage.streams.images.storage
        assert isinstance(storage, LocalStorage)
        storage.floor_bytes = 1 << 60
        answer = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((photo(1), "a.jpg")))
        assert answer.status_code == 507
        assert answer.json["results"][0]["kind"] == "storage"
        assert str(inside.folder) not in answer.text
        assert stored(stage) == 3


WORDS = (
    '"onmouseover="alert(1)',
    "'><",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "{{ 7*7 }}{% raw %}",
    "a < b > c & d",
    "]]>",
    "\u2028line",
    '" autofocus onfocus=alert(1) x="',
    "--></title",
    "`${alert(1)}`",
    'x" srcset="//evil.example/ 1w',
)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))


def test_texts_of_owners_add_no_element_and_no_attribute(stage: Stage) -> None:
    image = stage.images[PUBLIC]

    def shapes(title: str) -> list[list[tuple[str, tuple[str, ...]]]]:
        with stage.streams.rows.db.write() as conn:
            conn.execute(
                "UPDATE stream_images SET title = ?, description = ?, filename = ? WHERE id = ?",
                (title, title, title, image.image_id),
            )
            conn.execute("UPDATE streams SET title = ?, description = ?", (title, title))
        pages = (
            "/streams",
            f"/streams/{SLUG}",
            f"/streams/{SLUG}/images/{image.image_id}",
            f"/streams/{SLUG}/people",
        )
        found = []
        for path in (
            *pages,
            f"/streams/{SLUG}?edit=titles",
            f"/streams/{SLUG}?select=1",
            f"/streams/{SLUG}/move?image={image.image_id}",
        ):
            parser = Elements()
            parser.feed(stage.ask("owner", "GET", path).text)
            found.append(parser.found)
        return found

    plain = shapes("plain")
    for words in (
        *WORDS,
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
    ):  # as an older version may have stored them
        assert shapes(words) == plain, words


def test_private_takes_effect_at_once_at_every_address_handed_out(stage: Stage) -> None:
    image = stage.images[PUBLIC]
    handed_out = [f"/streams/{SLUG}/images/{image.image_id}", f"/api/images/{image.image_id}"]
    handed_out += [f"/streams/{SLUG}/images/{image.image_id}/{size}" for size in ("thumb", "detail", "large", "thumb-blurred")]
    tags = {path: stage.ask("stranger", "GET", path).headers.get("ETag", "") for path in handed_out}
    assert all(stage.ask("stranger", "GET", path).status_code == 200 for path in handed_out)
    changed = stage.ask("owner", "PATCH", f"/api/images/{image.image_id}", json={"visibility": "private"})
    assert changed.status_code == 200
    for path in handed_out:
        assert stage.ask("stranger", "GET", path).status_code == 404
        assert stage.ask("stranger", "GET", path, headers={"If-None-Match": tags[path] or '"x"'}).status_code == 404
    body = stage.ask("owner", "GET", f"/streams/{SLUG}/images/{image.image_id}/detail").data
    public = [stage.inside.folder / "cache/covers", Path("static")]
    assert not any(body in path.read_bytes() for folder in public for path in folder.rglob("*") if path.is_file())
    assert stage.inside.services.covers.cache.memory.stats().entries == 0


def test_all_that_is_kept_of_streams_is_closed_to_others_on_the_machine(stage: Stage) -> None:
    stage.ask("owner", "GET", f"/streams/{SLUG}/images/{stage.images[PRIVATE].image_id}/detail")
    for path in stage.inside.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_bytes_are_what_they_say(stage: Stage) -> None:
    image = stage.images[PRIVATE]
    for size, edge in (("thumb", 90), ("detail", 90)):
        answer = stage.ask("owner", "GET", f"/streams/{SLUG}/images/{image.image_id}/{size}")
        assert answer.mimetype == "image/webp"
        assert max(decoded(answer.data).size) == edge
    part = stage.ask("owner", "GET", f"/streams/{SLUG}/images/{image.image_id}/thumb", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data, part.headers["Content-Range"][:9]) == (206, b"RIFF", "bytes 0-3")
    original = stage.ask("co-owner", "GET", f"/streams/{SLUG}/images/{image.image_id}/original")
    assert Image.open(io.BytesIO(original.data)).format == "JPEG"
    assert (
        original.headers["Content-Disposition"] == f"attachment; filename=\"{image.filename}\"; filename*=UTF-8''{image.filename}"
    )


def test_an_original_is_downloaded_under_its_own_name_and_the_name_is_no_syntax(stage: Stage) -> None:
    upload = Upload(photo(77), 'Fête "des" fleurs; été\u202e.html', PUBLIC)
    image = stage.streams.uploads.store(stage.stream, upload)
    answer = stage.ask("owner", "GET", f"/streams/{SLUG}/images/{image.image_id}/original")
    quoted = "F%C3%AAte%20%22des%22%20fleurs%3B%20%C3%A9t%C3%A9.jpg"
    plain = "Fete _des_ fleurs_ ete.jpg"
    assert answer.headers["Content-Disposition"] == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quoted}"


def test_a_gallery_without_its_rendered_copies_answers_every_request_with_an_image(stage: Stage) -> None:
    """A limit of three renderings refused the other tiles of a gallery with 503 and text, and nothing asked again."""
    images = [stage.add(PUBLIC) for _ in range(12)]
    for image in images:
        stage.streams.images.delete_variants(image.image_id)
    paths = [f"/streams/{SLUG}/images/{image.image_id}/large" for image in images] * 2
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda path: stage.inside.stranger().get(path), paths))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert {answer.mimetype for answer in answers} == {"image/webp"}
    assert all(answer.headers["Cache-Control"] == "no-store" for answer in answers if answer.status_code == 202)
    wait_until(lambda: all(stage.ask("stranger", "GET", path).status_code == 200 for path in paths))


def test_an_image_that_is_hidden_while_a_request_waits_for_it_is_not_sent(stage: Stage) -> None:
    image = stage.images[PUBLIC]
    path = f"/streams/{SLUG}/images/{image.image_id}/large"
    with ThreadPoolExecutor(1) as pool, stage.streams.images._decoder._lock:
        waiting = pool.submit(stage.inside.stranger().get, path)
        wait_until(lambda: stage.streams.images._renders._jobs)
        stage.streams.update_stream_image(SLUG, image.image_id, visibility=PRIVATE)
        answer = waiting.result(30)
    assert answer.status_code == 404
    assert answer.mimetype != "image/webp"


@pytest.mark.slow
def test_an_upload_that_hits_a_limit_of_the_decoder_is_refused_in_words(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was answered 502, as if a server in front had failed. The limit is CPU time: the load of the machine decides nothing."""
    decoder = stage.streams.images._decoder
    monkeypatch.setattr(decoder, "set_time_limits", lambda *_: None)  # the machine may be measured meanwhile
    decoder._limits["cpu_s"] = 0  # for each image the rest of the current second: one of a few large ones hits that
    decoder._drop_child()
    large = encoded(noise("RGB", 4000, 3000), "JPEG", quality=60, progressive=True)
    for number in range(20):
        body, kind = multipart({}, (large + bytes([number]),))  # what follows the end of a JPEG is ignored
        answer = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=body, content_type=kind)
        if answer.status_code != 201:
            break
    words = "Cannot decode this image: more than 10 s of CPU time. Save it smaller or in another format, then try again."
    assert answer.status_code == 422
    assert (answer.json["results"][0]["kind"], answer.json["results"][0]["reason"]) == ("not-an-image", words)


def test_a_late_decoder_is_told_as_late_and_is_not_asked_at_each_look(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It was answered 404, as if the image did not exist, and each further look cost the seconds again."""
    image = stage.add(PUBLIC, body=photo(89))
    stage.streams.images.delete_variants(image.image_id)
    path = f"/streams/{SLUG}/images/{image.image_id}/large"
    decoder = stage.streams.images._decoder
    in_time = decoder._limits["wall_s"]
    decoder._limits["wall_s"] = 0.001
    decoder._drop_child()
    answers = [stage.ask("stranger", "GET", path) for _ in range(3)]
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "60")] * 3
    assert caplog.text.count("variant not rendered") == 1
    decoder._limits["wall_s"] = in_time
    decoder._drop_child()
    stage.streams.images._renders._failed.clear()  # a minute later
    assert stage.ask("stranger", "GET", path).status_code == 200


def test_a_long_thin_png_is_taken(stage: Stage) -> None:
    image = stage.add(PUBLIC, body=encoded(Image.new("RGB", (256, 1), "teal"), "PNG"))
    assert image.dimensions == (256, 1)
    assert stage.ask("stranger", "GET", f"/streams/{SLUG}/images/{image.image_id}/detail").status_code == 200


def test_an_upload_that_finds_no_place_to_wait_is_told_to_retry(stage: Stage) -> None:
    decoder = stage.streams.images._decoder
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool, decoder._lock:
        sent = [pool.submit(stage.streams.upload, stage.stream, Upload(photo(500 + n), "a.jpg"), wait_s=0.5) for n in range(8)]
        refused = [one.exception(60) for one in sent]
    assert {type(error) for error in refused} == {DecoderBusy}
    assert time.monotonic() - began < 5
    assert stage.streams.upload(stage.stream, Upload(photo(500), "a.jpg"), wait_s=20).filename == "a.jpg"


def test_file_names_are_found_by_those_who_see_them_only(stage: Stage) -> None:
    stage.streams.uploads.store(stage.stream, Upload(photo(88), "IMG_4711 Möwe.jpg", PUBLIC, "Harbour"))
    for actor, count in (("owner", 1), ("co-owner", 1), ("stranger", 0), ("subscriber", 0), ("other", 0)):
        for path in (f"/streams/{SLUG}?q=mowe+4711", "/streams?q=img_4711"):
            assert stage.ask(actor, "GET", path).text.count('class="shot ') == count, (actor, path)


def test_a_private_tile_is_kept_but_asked_for_again(stage: Stage) -> None:
    image = stage.images[PRIVATE]
    path = f"/streams/{SLUG}/images/{image.image_id}/tile"
    first = stage.ask("owner", "GET", path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    tag = {"If-None-Match": first.headers["ETag"]}
    assert stage.ask("owner", "GET", path, headers=tag).status_code == 304
    assert stage.ask("stranger", "GET", path, headers=tag).status_code == 404


def test_a_store_that_hangs_costs_seconds_and_does_not_tell_its_bucket(tmp_path: Path) -> None:
    """A store that takes connections and never answers held an upload for a minute, and visitors read bucket and key."""
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "STORAGE": "s3",
            "S3_BUCKET": "hidden-bucket",
            "S3_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "S3_ACCESS_KEY": "key",
            "S3_SECRET_KEY_FILE": tmp_path / "secret",
        }
        with Inside(tmp_path / "vault", **settings) as inside:
            streams = inside.services.streams
            stream = streams.create_stream("An evening", SLUG)
            began = time.monotonic()
            with pytest.raises(StorageError):
                streams.upload(stream, Upload(photo(1), "a.jpg"), wait_s=20)
            assert time.monotonic() - began < 15
            image = StreamImage(
                new_image_id(bytes(16)),
                SLUG,
                "a.jpg",
                f"{SLUG}/a.jpg",
                PUBLIC,
                dimensions=(9, 9),
                format="JPEG",
                created_at=iso_utc(0),
            )
            with streams.rows.db.write() as conn:
                streams.rows.add_image(conn, stream.id, image, bytes(32))
            path = f"/streams/{SLUG}/images/{image.image_id}/thumb"
            streams.images._offline_until = 0.0
            began = time.monotonic()
            answer = inside.stranger().get(path)
            assert time.monotonic() - began < 5
            assert (answer.status_code, answer.mimetype) == (202, "image/webp")
            streams.images._offline_until = time.monotonic() + 60
            answer = inside.stranger().get(path)
            assert (answer.status_code, answer.mimetype) == (503, "image/webp")
            assert b"hidden-bucket" not in answer.data


def test_a_view_is_counted_when_detail_is_served_to_somebody_else(tmp_path: Path) -> None:
    clock = FakeClock()
    with Inside(tmp_path / "vault", clock=clock) as inside:
        stage = Stage(inside)
        stage.streams.view_counts.counters._clock = clock  # the counters of a process have their own clock
        image = stage.images[PUBLIC]
        base = f"/streams/{SLUG}/images/{image.image_id}"

        def views() -> int:
            stage.streams.view_counts.flush()
            found = stage.streams.rows.image(image.image_id)
            assert found is not None
            return found[1].view_count

        tag = stage.ask("owner", "GET", f"{base}/detail").headers["ETag"]
        stage.ask("co-owner", "GET", f"{base}/large")
        for path in ("", "/thumb", "/detail-blurred"):
            stage.ask("stranger", "GET", base + path)
        stage.ask("stranger", "HEAD", f"{base}/detail")
        stage.ask("stranger", "GET", f"{base}/detail", headers={"If-None-Match": tag})
        assert views() == 0
        for _ in range(3):
            stage.ask("stranger", "GET", f"{base}/detail")
            stage.ask("subscriber", "GET", f"{base}/large")
        assert views() == 2
        clock.advance(1801)
        stage.ask("subscriber", "GET", f"{base}/detail")
        assert views() == 3
        chart = stage.ask("owner", "GET", base).text
        assert "3 views in 30 days, 3 on the busiest day." in chart
        assert "views" not in stage.ask("stranger", "GET", base).text
        days = stage.ask("owner", "GET", f"/api/images/{image.image_id}/views?days=2").json["days"]
        assert [day["views"] for day in days] == [0, 3]
        for bad in ("0", "366", "-1", "x", "9" * 5000):
            assert stage.ask("owner", "GET", f"/api/images/{image.image_id}/views?days={bad}").status_code == 400


def test_a_sensitive_image_is_shown_blurred_until_asked_for(stage: Stage) -> None:
    image = stage.add(PUBLIC, title="Careful", is_sensitive=True)
    base = f"/streams/{SLUG}/images/{image.image_id}"
    gallery = stage.ask("stranger", "GET", f"/streams/{SLUG}").text
    assert f"{base}/thumb-blurred" in gallery
    assert f'{base}/thumb"' not in gallery
    page = stage.ask("stranger", "GET", base).text
    assert f"{base}/detail-blurred" in page
    assert f'src="{base}/detail"' not in page
    assert f'src="{base}/detail"' in stage.ask("stranger", "GET", f"{base}?show=1").text
    blurred, sharp = (stage.ask("stranger", "GET", f"{base}/{size}").data for size in ("thumb-blurred", "thumb"))
    assert blurred != sharp


def test_an_owner_works_without_scripts(stage: Stage) -> None:
    """Create, upload, change who may see it, find it, delete it: forms only."""
    made = stage.ask("owner", "POST", "/streams", data={"title": "Ärger im Keller", "visibility": "private"})
    assert made.headers["Location"] == "/streams/arger-im-keller"
    slug = "arger-im-keller"
    assert stage.ask("stranger", "GET", f"/streams/{slug}").status_code == 404, "private, and nothing in it"
    page = stage.ask("owner", "POST", f"/streams/{slug}/images", data=files((photo(1), "a.jpg"), title="Keller", sensitive="1"))
    path = re.search(rf'href="(/streams/{slug}/images/[0-9a-f-]+)"', page.text)[1]  # type: ignore[index]
    assert stage.ask("stranger", "GET", path).status_code == 404
    saved = stage.ask(
        "owner", "POST", path, data={"visibility": "public", "whole": "1", "title": "Keller, hell", "position": "1"}
    )
    assert saved.headers["Location"] == f"{path}?done=public"
    assert "Now visible to everyone." in stage.ask("owner", "GET", f"{path}?done=public").text
    assert stage.ask("stranger", "GET", path).status_code == 200
    assert "Keller, hell" in stage.ask("stranger", "GET", "/streams?q=hell").text
    assert "Ärger im Keller" in stage.ask("stranger", "GET", "/streams").text
    gone = stage.ask("owner", "POST", f"{path}/delete")
    assert "1 image moved to the trash. It stays there for 30 days." in stage.ask("owner", "GET", gone.headers["Location"]).text
    assert stage.ask("owner", "GET", path).status_code == 404
    renamed = stage.ask("owner", "POST", f"/streams/{slug}", data={"title": "Cellar"})
    assert renamed.status_code == 303
    assert "Cellar" in stage.ask("owner", "GET", f"/streams/{slug}").text


def test_a_guest_comes_in_by_a_link(stage: Stage) -> None:
    page = stage.ask(
        "owner", "POST", f"/streams/{SLUG}/people", data={"action": "invite", "role": "subscriber", "days": "3", "uses": "2"}
    )
    link = re.search(r"http://[^<]+(/invite/[\w-]+)", page.text)[1]  # type: ignore[index]
    guest = stage.inside.stranger()
    assert "invited to subscribe to this stream" in guest.get(link).text
    token = form_token(guest, link)
    short = guest.post(link, data={"name": "Gus", "password": "x", "csrf_token": token})
    assert (short.status_code, "at least 8" in short.text) == (403, True)
    joined = guest.post(link, data={"name": "Gus", "password": PASSWORD, "csrf_token": token})
    assert joined.headers["Location"] == f"/streams/{SLUG}"
    assert guest.get(f"/streams/{SLUG}/images/{stage.images[SUBSCRIBERS].image_id}").status_code == 200
    assert guest.get(f"/streams/{SLUG}/images/{stage.images[PRIVATE].image_id}").status_code == 404
    other = stage.ask("other", "POST", link)
    assert other.headers["Location"] == f"/streams/{SLUG}"
    assert stage.ask("other", "GET", f"/streams/{SLUG}/images/{stage.images[SUBSCRIBERS].image_id}").status_code == 200
    assert stage.inside.stranger().get(link).status_code == 404, "used up"
    for action in ({"action": "remove", "name": "other"}, {"action": "remove", "name": "gus"}):
        assert stage.ask("owner", "POST", f"/streams/{SLUG}/people", data=action).status_code == 303
    assert guest.get(f"/streams/{SLUG}/images/{stage.images[SUBSCRIBERS].image_id}").status_code == 404
    for wrong in (
        {},
        {"action": "add", "name": "nobody", "role": "subscriber"},
        {"action": "add", "name": "other", "role": "owner"},
    ):
        assert stage.ask("owner", "POST", f"/streams/{SLUG}/people", data=wrong).status_code == 400
    record = stage.inside.album()
    played = guest.post(f"/album/{record}/played", data={"csrf_token": form_token(guest, f"/album/{record}")})
    assert played.status_code == 403, "who was invited to look changes nothing in the collection"


MACROS = """
{% from "parts/streams.html" import render_stream_image_uploader, render_stream_images_gallery,
   render_stream_image_browser, render_page_cache_manager %}
A{{ render_stream_image_uploader(stream_id="evening", is_owner=True, page="stream_dashboard") }}
B{{ render_stream_images_gallery(stream_id="evening", is_owner=True, user_id="owner", page="stream_dashboard") }}
C{{ render_stream_image_browser(page="stream_browser") }}
D{{ render_page_cache_manager(page="stream_dashboard") }}
E{{ get_cached_image_display(image_id, "evening", "stream") }}
"""


@pytest.mark.parametrize(("actor", "count", "may_upload"), [("stranger", 1, False), ("subscriber", 2, False), ("owner", 3, True)])
def test_the_macros_serve_any_template_and_show_what_the_session_may_see(
    stage: Stage, actor: str, count: int, may_upload: bool
) -> None:
    image_id = stage.images[PRIVATE].image_id

    @declare_access(read=Role.STREAM_POLICY)
    def own_page() -> str:
        return render_template_string(MACROS, image_id=image_id)

    stage.inside.app.add_url_rule("/own", view_func=own_page)
    text = stage.ask(actor, "GET", "/own").text
    gallery = text[text.index("B") : text.index("\nC")]
    assert sum(image.image_id in gallery for image in stage.images.values()) == count
    assert ('enctype="multipart/form-data"' in text) == may_upload
    assert ("Clear page cache" in text) == may_upload
    assert (f"/streams/{SLUG}/images/{image_id}/detail" in text[text.index("\nE") :]) == may_upload
    assert "/sheets/streams.css" in gallery, "a page of another application loads the style sheet of streams"
    assert "js/streams/stream.js" in gallery
    assert ('src="/assets/' in text[: text.index("B<")] and "js/streams/uploader.js" in text) == may_upload


def test_a_page_of_the_cache_is_counted_and_cleared_by_its_name(stage: Stage) -> None:
    stage.ask("owner", "GET", f"/streams/{SLUG}/images/{stage.images[PUBLIC].image_id}/thumb?page=stream_gallery")
    held = stage.ask("owner", "GET", "/api/cache/pages/stream_gallery").json
    assert held["page_items"] == 1
    assert {"memory_used_mb", "memory_max_mb", "cached_items", "ttl_hours"} <= set(held)
    assert stage.ask("owner", "DELETE", "/api/cache/pages/stream_gallery").json["page"] == "stream_gallery"
    assert stage.ask("owner", "GET", "/api/cache/pages/stream_gallery").json["page_items"] == 0
    for page in ("Stream", "x" * 41, "..", "a-b", "%00"):
        assert stage.ask("owner", "GET", f"/api/cache/pages/{page}").status_code in (400, 404), page
    assert stage.ask("owner", "GET", f"/streams/{SLUG}/images/{stage.images[PUBLIC].image_id}/thumb?page=../x").status_code == 400


def test_json_that_is_not_understood_changes_nothing(stage: Stage) -> None:
    path = f"/api/images/{stage.images[PUBLIC].image_id}"
    before = stage.ask("owner", "GET", path).json
    wrong = (
        {"title": 5},
        {"visibility": "all"},
        {"sensitive": "yes"},
        {"position": 0},
        {"position": 10**30},
        {"position": "1"},
        {"position": None},
        {"owner": "me"},
    )
    for body in (*wrong, {"title": None, "x": 1}, {"title": "<b>"}):
        assert stage.ask("owner", "PATCH", path, json=body).status_code == 400, body
    assert stage.ask("owner", "PATCH", path, data=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert stage.ask("owner", "GET", path).json == before
    for body in (
        {"title": ""},
        {"title": 7},
        {"title": "x", "slug": "../x"},
        {"title": "x", "visibility": 1},
        {"title": "x", "owner": "y"},
    ):
        assert stage.ask("owner", "POST", "/api/streams", json=body).status_code == 400, body


def test_the_original_layout_is_taken_in_by_a_command(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "old/stream-7"
    folder.mkdir(parents=True)
    (folder / "a_original.jpg").write_bytes(photo(1))
    table = tmp_path / "old/images_metadata.json"
    table.write_text(json.dumps({"a": {"image_id": "a", "stream_id": "stream-7", "visibility": "public"}}), encoding="utf-8")
    runner = stage.inside.app.test_cli_runner()
    tried = runner.invoke(args=["streams", "import", str(table), "--dry-run", "--owner", "owner"])
    assert "1 images read: 1 would be new in 1 streams, 0 already here, 0 rejected." in tried.output
    assert stage.streams.rows.stream("stream-7") is None
    done = runner.invoke(args=["streams", "import", str(table), "--owner", "owner"])
    assert (done.exit_code, "1 new in 1 streams" in done.output) == (0, True)
    assert stage.ask("owner", "GET", "/streams/stream-7").status_code == 200
    assert "stream-7" in runner.invoke(args=["streams", "list"]).output
    assert runner.invoke(args=["streams", "import", str(table), "--owner", "nobody"]).exit_code == 1


def test_with_the_store_away_a_gallery_shows_what_is_here_and_says_what_is_not(tmp_path: Path) -> None:
    with S3Server(tmp_path / "s3") as server:
        (tmp_path / "secret").write_text(server.options["aws_secret_key"], encoding="utf-8")
        settings = {
            "STORAGE": "s3",
            "S3_BUCKET": server.options["bucket_name"],
            "S3_ENDPOINT": server.endpoint,
            "S3_ACCESS_KEY": server.options["aws_access_key"],
            "S3_SECRET_KEY_FILE": tmp_path / "secret",
        }
        with Inside(tmp_path / "vault", **settings) as inside:
            stage = Stage(inside)
            gone = stage.add(PUBLIC, title="Only in the store")
            stage.streams.images.delete_variants(gone.image_id)
            here = stage.images[PUBLIC]
            assert not list((inside.folder / "state").rglob("*.jpg"))
            server.stop()
            page = stage.ask("stranger", "GET", f"/streams/{SLUG}")
            assert page.status_code == 200
            assert page.text.count(">Unavailable<") == 1
            assert f"/streams/{SLUG}/images/{here.image_id}/thumb" in page.text
            assert stage.ask("stranger", "GET", f"/streams/{SLUG}/images/{here.image_id}/thumb").status_code == 200
            away = stage.ask("stranger", "GET", f"/streams/{SLUG}/images/{gone.image_id}/thumb")
            assert (away.status_code, away.headers["Cache-Control"], bool(away.headers["Retry-After"])) == (503, "no-store", True)
            refused = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((photo(1), "a.jpg")))
            assert (refused.status_code, refused.json["results"][0]["kind"]) == (503, "storage")
            assert int(refused.headers["Retry-After"]) > 0
            server.start()
            stage.streams.images._offline_until = 0.0  # as if the quarter of a minute had passed
            assert stage.ask("stranger", "GET", f"/streams/{SLUG}/images/{gone.image_id}/thumb").status_code == 200


@pytest.mark.slow
@pytest.mark.server
def test_uploads_at_the_same_moment_do_not_take_each_other_for_a_storage_that_is_away(tmp_path: Path) -> None:
    """The second was refused while the first one asked whether the storage is there."""
    with S3Server(tmp_path / "s3") as server, closing(Link(server.port, delay_s=0.3)) as link:
        settings = server.settings(tmp_path / "secret") | {"S3_ENDPOINT": f"http://127.0.0.1:{link.port}"}
        with Inside(tmp_path / "vault", **settings) as inside:
            images = inside.services.streams.images
            assert not images.is_offline()
            link.mode = "delay"
            start = threading.Barrier(3)

            def ask() -> bool:
                start.wait()
                return images.is_offline()

            with ThreadPoolExecutor(3) as pool:
                answers = [pool.submit(ask) for _ in range(3)]
            assert [answer.result() for answer in answers] == [False] * 3
            server.stop()
            assert images.is_offline()


def test_the_api_answers_in_the_shapes_that_are_documented(stage: Stage) -> None:
    document = openapi.load()
    image = f"/api/images/{stage.images[PUBLIC].image_id}"
    asked: list[tuple[str, str, str, dict[str, object]]] = [
        ("POST", "/api/streams", "/api/streams", {"json": {"title": "Another"}}),
        ("GET", "/api/streams", "/api/streams", {}),
        ("GET", "/api/streams?q=title", "/api/streams", {}),
        ("GET", f"/api/streams/{SLUG}", "/api/streams/{slug}", {}),
        ("PATCH", f"/api/streams/{SLUG}", "/api/streams/{slug}", {"json": {"description": "d"}}),
        ("GET", f"/api/streams/{SLUG}/images", "/api/streams/{slug}/images", {}),
        (
            "POST",
            f"/api/streams/{SLUG}/images",
            "/api/streams/{slug}/images",
            {"data": files((photo(1), "a"), (photo(1), "b"), (b"x", "c"))},
        ),
        ("GET", f"/api/streams/{SLUG}/stats", "/api/streams/{slug}/stats", {}),
        ("GET", image, "/api/images/{image_id}", {}),
        ("PATCH", image, "/api/images/{image_id}", {"json": {"title": "New", "sensitive": True, "position": 2}}),
        ("PATCH", image, "/api/images/{image_id}", {"json": {"title": "<b>"}}),
        ("GET", f"{image}/views", "/api/images/{image_id}/views", {}),
        ("GET", "/api/cache/pages/stream_details", "/api/cache/pages/{page}", {}),
        ("DELETE", "/api/cache/pages/stream_details", "/api/cache/pages/{page}", {}),
        ("DELETE", image, "/api/images/{image_id}", {}),
        ("GET", image, "/api/images/{image_id}", {}),
        ("GET", f"/api/streams/{SLUG}/trash", "/api/streams/{slug}/trash", {}),
        (
            "POST",
            f"/api/streams/{SLUG}/trash/restore",
            "/api/streams/{slug}/trash/restore",
            {"json": {"images": [image.rpartition("/")[2], "none"]}},
        ),
        ("DELETE", f"/api/streams/{SLUG}/trash", "/api/streams/{slug}/trash", {}),
        ("DELETE", f"{image}?for_good=perhaps", "/api/images/{image_id}", {}),
        ("DELETE", f"/api/streams/{SLUG}", "/api/streams/{slug}", {}),
        ("POST", f"/api/streams/{SLUG}/restore", "/api/streams/{slug}/restore", {}),
    ]
    for actor in ("stranger", "subscriber", "owner"):
        for method, path, documented, named in asked:
            again = {"data": files((photo(1), "a"), (photo(1), "b"), (b"x", "c"))} if "data" in named else named
            answer = stage.ask(actor, method, path, **again)
            responses = document["paths"][documented][method.lower()]["responses"]
            assert str(answer.status_code) in responses, f"{actor} {method} {path} {answer.status_code} {answer.text[:200]}"
            content = openapi.resolved(document, responses[str(answer.status_code)])["content"]
            openapi.check(document, answer.json, content["application/json"]["schema"])


def test_a_file_over_its_limit_is_thrown_away_while_it_is_read() -> None:
    spool = UploadBuffer(1_000_000)
    for _ in range(30):
        spool.write(bytes(100_000))
    assert (spool.size_bytes, spool.is_too_large) == (3_000_000, True)
    spool.seek(0, os.SEEK_END)
    assert spool.tell() == 0
    spool.close()


def test_a_page_that_needs_an_account_does_not_say_so_twice(stage: Stage) -> None:
    page = stage.client("stranger").get(f"/streams/{SLUG}/people")
    assert page.status_code == 401
    assert "<h1>Log in to continue</h1>" in page.text
    assert "Log in to do this." not in page.text


@pytest.mark.parametrize(("format_", "count"), [("GIF", 3), ("PNG", 3), ("WEBP", 3), ("GIF", 1), ("PNG", 1)])
def test_an_animation_that_becomes_a_still_is_said_to_its_owner(used: Stage, format_: str, count: int) -> None:
    frames = [Image.new("RGB", (40, 30), (60 * n, 200, 7 * count)) for n in range(count)]
    out = io.BytesIO()
    frames[0].save(out, format_, save_all=count > 1, append_images=frames[1:], duration=80)
    answer = used.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((out.getvalue(), "turning")))
    (row,) = answer.json["results"]
    assert row["ok"], row
    document = openapi.load()
    assert row.get("note") == (ANIMATED if count > 1 else None)
    for actor in ("stranger", "owner"):
        assert ("Animation: only the first frame is shown" in used.ask(actor, "GET", row["page_url"]).text) == (count > 1)
        facts = used.ask(actor, "GET", f"/api/images/{row['image_id']}").json
        openapi.check(document, facts, document["components"]["schemas"]["Image"])
        assert facts.get("animated") == (True if count > 1 else None)
    for size in ("original", "download"):
        kept = used.ask("owner", "GET", f"{row['page_url']}/{size}").data
        assert kept == out.getvalue()
    assert getattr(Image.open(io.BytesIO(kept)), "n_frames", 1) == count
    stored = used.streams.rows.image(row["image_id"])
    assert stored is not None
    used.streams.trash.move(used.stream, [row["image_id"]])
    used.streams.trash.restore(used.stream, [row["image_id"]])
    assert used.streams.rows.image(row["image_id"]) == stored
    body, kind = multipart({}, (out.getvalue() + b" ",))
    page = used.ask("owner", "POST", f"/streams/{SLUG}/images", data=body, content_type=kind).text
    assert (ANIMATED in page) == (count > 1)


def test_an_unusable_cache_breaks_no_page(tmp_path: Path) -> None:
    """The start ended with a traceback."""
    taken = tmp_path / "vault" / "cache" / "streams"
    taken.parent.mkdir(parents=True)
    taken.write_text("no folder")
    with Inside(tmp_path / "vault") as inside:
        stage = Stage(inside)
        answer = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((photo(6000), "a.jpg")))
        assert answer.json["stored"] == 1
        assert stage.ask("owner", "GET", f"/streams/{SLUG}").status_code == 200
        assert decoded(stage.ask("owner", "GET", answer.json["results"][0]["thumb_url"]).data).size[0] > 1
        states = {check.name: check.state for check in examine(inside.services.vault)}
        assert (states["Streams"], states["Originals"], states["Images"]) == ("warning", "well", "well")
        image_id = answer.json["results"][0]["image_id"]
        assert inside.services.streams.delete_stream_image(SLUG, image_id)
    assert taken.read_text() == "no folder"
