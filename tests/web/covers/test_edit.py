"""The pages about covers: who sees them, what is missing, what is chosen or uploaded, and what a sync leaves alone."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from image_cache.import_models import ImportRow
from image_cache.importers.artwork.table import CoverOffer, CoverTries
from image_cache.models import Album
from tests.support.inside import Inside, page_token
from tests.support.origin import Origin, jpeg
from tests.support.pictures import encoded, noise
from tests.support.ports import free_port
from tests.support.vault import wait_until


def put(inside: Inside, title: str = "Blue Hour", **facts: Any) -> int:
    row = ImportRow(line=1, **{"title": title, "artist": "The Lanterns", "source": "discogs", "source_id": title, **facts})
    inside.services.library.import_rows([row])
    return max(album.id for album in inside.services.library.albums())


def album(inside: Inside, album_id: int) -> Album:
    found = inside.services.library.album(album_id)
    assert found is not None
    return found


def post(client: FlaskClient, path: str, **data: Any) -> Any:
    return client.post(path, data={"csrf_token": page_token(client), **data}, headers={"Accept": "text/html"})


def picture(seed: int = 1) -> bytes:
    return encoded(noise("RGB", 640, 640, seed), "JPEG")


def send(client: FlaskClient, album_id: int, body: bytes, name: str = "front.jpg") -> Any:
    return post(client, f"/album/{album_id}/cover/upload", picture=(io.BytesIO(body), name))


def offer(inside: Inside, album_id: int, *urls: str) -> None:
    offers = tuple(CoverOffer(url, f"Front {n}", "names") for n, url in enumerate(urls))
    inside.services.artwork.editor.rows.record(album_id, CoverTries(1.0, 9e9, "", "2 suggestions", offers), None)


PLACES = ("/covers/missing", "/covers/audit", "/album/1/cover")


@pytest.mark.parametrize("path", PLACES)
def test_strangers_and_viewers_find_the_door(inside: Inside, path: str) -> None:
    put(inside)
    assert inside.stranger().get(path).status_code == 401
    assert "Log in" in inside.stranger().get(path).text or "code" in inside.stranger().get(path).text
    assert inside.logged_in("viewer").get(path).status_code == 403


@pytest.mark.parametrize("role", ["owner", "operator"])
def test_those_who_may_change_the_collection_see_the_pages(inside: Inside, role: str) -> None:
    put(inside)
    client = inside.logged_in(role)
    assert {client.get(path).status_code for path in PLACES} == {200}
    assert client.get("/album/99/cover").status_code == 404
    assert client.get("/covers/missing?page=2").status_code == 404


def test_strangers_change_nothing(inside: Inside) -> None:
    album_id = put(inside)
    client = inside.stranger()
    for action in ("again", "choose", "remove", "believe", "upload"):
        assert post(client, f"/album/{album_id}/cover/{action}", address="https://x.example/1.jpg").status_code == 401
    assert inside.services.artwork.editor.rows.tries(album_id) == CoverTries(next_at=1.0)


def test_the_list_says_what_was_tried_for_each(inside: Inside, origin: Origin) -> None:
    put(inside, "Nothing yet")
    put(inside, "Has one", cover_url=origin.put("/1.jpg", jpeg()))
    tried, some, asked = put(inside, "Tried"), put(inside, "Some"), put(inside, "Asked")
    rows = inside.services.artwork.editor.rows
    rows.record(tried, CoverTries(1.0, 9e9, "", "No cover found anywhere"), None)
    offer(inside, some, "https://covers.example/1.jpg", "https://covers.example/2.jpg")
    rows.request_search([asked])
    text = inside.logged_in().get("/covers/missing").text
    assert "Has one" not in text
    assert "Not searched yet" in text
    assert "No cover found anywhere. Searched on" in text
    assert "See 2 suggestions" in text
    assert "Search queued" in text
    assert re.search(r"Missing covers<sup[^>]*>4<", text)


def test_covers_that_their_source_does_not_send_are_missing_too(tmp_path: Path, origin: Origin) -> None:
    """The page said "Every record has a cover" while three of four had none."""
    dead = f"http://127.0.0.1:{free_port()}"
    with Inside(tmp_path / "vault", trusted=(origin.base, dead)) as inside:
        urls = {
            "Here": origin.put("/1.jpg", jpeg(400, 400)),
            "Gone": origin.url("/404.jpg"),
            "Broken": origin.put("/500.jpg", status=500),
            "Dead": f"{dead}/1.jpg",
        }
        ids = {title: put(inside, title, cover_url=url) for title, url in urls.items()}
        client = inside.logged_in("owner")
        text = client.get("/covers/missing").text
        assert "Loading 4 covers" in text
        assert "Every record has a cover" not in text
        inside.services.covers.register(urls.values())
        inside.services.covers.enqueue_missing(urls.values())
        wait_until(lambda: inside.services.cover_pages.count_unfetched() == 3)
        text = ""

        def all_refused() -> bool:  # one that is just being tried again says so instead
            nonlocal text
            text = client.get("/covers/missing").text
            return len(re.findall("Given up: |Download failed: ", text)) == 3

        wait_until(all_refused)
        assert re.search(r"Missing covers<sup[^>]*>3<", text)
        assert "Given up: HTTP 404. Next retry: " in text
        assert "Download failed: HTTP 500. Next retry: " in text
        assert ">Here<" not in text
        assert "3 records without a cover" in client.get("/covers/audit").text
        origin.put("/500.jpg", jpeg(400, 400))
        assert post(client, f"/album/{ids['Broken']}/cover/believe", back="missing").status_code == 303
        wait_until(lambda: inside.services.cover_pages.count_unfetched() == 2)
        for title in ("Gone", "Dead"):
            send(client, ids[title], picture())
        wait_until(lambda: "Every record has a cover" in client.get("/covers/missing").text)


def test_an_offered_picture_is_shown_by_our_own_cache_and_chosen_for_good(inside: Inside, origin: Origin) -> None:
    album_id = put(inside)
    urls = [origin.put(f"/offer{n}.jpg", jpeg(300, 300, (40 * n, 90, 20))) for n in range(2)]
    offer(inside, album_id, *urls)
    client = inside.logged_in()
    page = client.get(f"/album/{album_id}/cover").text
    digests = [cover.digest for cover in inside.services.covers.peek(urls)]
    assert all(f"/cache/thumbnails-2x/{digest}.webp" in page for digest in digests)
    assert not re.search(rf'src="{origin.base}', page.replace("data-original-src", ""))
    wait_until(lambda: {one.state for one in inside.services.covers.peek(urls)} == {"ready"})
    assert post(client, f"/album/{album_id}/cover/choose", address=urls[1]).status_code == 303
    assert album(inside, album_id).picture == urls[1]
    put(inside, cover_url=origin.put("/theirs.jpg", jpeg()))  # the next sync brings an image of the source
    assert album(inside, album_id).picture == urls[1]
    assert "Chosen by you" in client.get(f"/album/{album_id}/cover").text
    post(client, f"/album/{album_id}/cover/remove")
    assert album(inside, album_id).picture == origin.url("/theirs.jpg")


def test_only_what_was_offered_can_be_chosen(inside: Inside, origin: Origin) -> None:
    album_id = put(inside)
    url = origin.put("/secret.jpg", jpeg())
    client = inside.logged_in()
    for address in (url, "", "own:" + "0" * 64, "file:///etc/passwd", "music:x"):
        assert post(client, f"/album/{album_id}/cover/choose", address=address).status_code == 409
    assert album(inside, album_id).picture is None
    assert origin.count() == 0


def test_an_own_picture_is_the_cover_through_every_sync_and_gone_when_it_is_removed(inside: Inside, origin: Origin) -> None:
    album_id = put(inside, cover_url=origin.put("/theirs.jpg", jpeg()))
    client = inside.logged_in("owner")
    body = picture()
    assert send(client, album_id, body).status_code == 303
    own = album(inside, album_id).picture
    assert own is not None
    assert own.startswith("own:")
    wait_until(lambda: inside.services.covers.peek([own])[0].state == "ready")
    put(inside, cover_url=origin.put("/new.jpg", jpeg()))
    assert album(inside, album_id).picture == own
    assert "Uploaded by you" in client.get(f"/album/{album_id}/cover").text
    kept = inside.folder / "state/own_covers" / own.removeprefix("own:")
    assert kept.read_bytes() == body
    post(client, f"/album/{album_id}/cover/remove")
    assert album(inside, album_id).picture == origin.url("/new.jpg")
    assert not kept.exists()


def test_an_own_picture_of_two_records_stays_until_both_let_go(inside: Inside) -> None:
    first, second = put(inside, "One"), put(inside, "Two")
    client = inside.logged_in()
    for album_id in (first, second):
        send(client, album_id, picture())
    kept = inside.folder / "state/own_covers" / str(album(inside, first).own_cover).removeprefix("own:")
    post(client, f"/album/{first}/cover/remove")
    assert kept.exists()
    send(client, second, picture(2))  # another image in its place
    assert not kept.exists()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 415, "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "Not a supported image"),
        (jpeg(640, 640)[:3000], 415, "orrupt"),
        (b"\xff\xd8" + b"x" * 300_000, 413, "The limit is 0.2 MB"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(tmp_path: Path, body: bytes, status: int, says: str) -> None:
    with Inside(tmp_path / "vault", MAX_IMAGE_UPLOAD_SIZE_MB=0.2) as inside:
        album_id = put(inside)
        answer = send(inside.logged_in(), album_id, body)
        assert answer.status_code == status
        assert says in answer.text
        assert album(inside, album_id).own_cover is None
        assert not list((inside.folder / "state").glob("own_covers/*"))


def test_a_form_without_a_file_says_so(inside: Inside) -> None:
    album_id = put(inside)
    answer = post(inside.logged_in(), f"/album/{album_id}/cover/upload")
    assert (answer.status_code, "Choose a file first" in answer.text) == (415, True)


def test_a_dead_address_is_passed_over_and_can_be_believed_again(tmp_path: Path, origin: Origin) -> None:
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        url = origin.url("/gone.jpg")
        album_id = put(inside, cover_url=url)
        client = inside.logged_in()
        client.get(f"/album/{album_id}")
        wait_until(lambda: inside.services.covers.peek([url])[0].state == "failed")
        assert "HTTP 404" in client.get(f"/album/{album_id}/cover").text
        assert "No cover found" in client.get(f"/album/{album_id}").text
        post(client, f"/album/{album_id}/cover/again")
        assert album(inside, album_id).picture is None
        origin.put("/gone.jpg", jpeg(400, 400))
        post(client, f"/album/{album_id}/cover/believe")
        assert album(inside, album_id).picture == url
        wait_until(lambda: inside.services.covers.peek([url])[0].state == "ready")


def test_a_user_says_that_a_sleeve_is_right_and_takes_it_back(inside: Inside, origin: Origin) -> None:
    url = origin.put("/black.png", encoded(Image.new("RGB", (400, 400), (8, 8, 8)), "PNG"))
    ids = [put(inside, title, cover_url=url) for title in ("One", "Two", "Three")]
    inside.services.covers.register([url])
    inside.services.covers.enqueue_missing([url])
    wait_until(lambda: inside.services.cover_pages.count_flaws()["dummy"] == 3)
    client, place = inside.logged_in("owner"), f"/album/{ids[0]}/cover"
    for page in (f"/album/{ids[0]}", place, "/covers/audit"):
        assert re.search("Show it anyway|Show its original cover", client.get(page).text), page
    answer = post(client, f"{place}/choose", address=url, back="audit")
    assert answer.headers["Location"] == "/covers/audit?kind=dummy"
    assert album(inside, ids[0]).picture == url
    assert client.get("/covers/audit?kind=dummy").text.count("Show it anyway") == 2
    text = client.get(place).text
    assert "Undo my choice" in text
    assert "Show it anyway" not in text
    post(client, f"{place}/remove")
    assert album(inside, ids[0]).picture is None
    assert "Show it anyway" in client.get(place).text


def test_a_picture_with_a_place_in_it_is_shown_without_it(inside: Inside) -> None:
    """What is uploaded is kept as it is, and shown rendered: nothing of its metadata gets out."""
    album_id = put(inside)
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    body = encoded(noise("RGB", 300, 300), "JPEG", exif=exif)
    send(inside.logged_in(), album_id, body)
    own = album(inside, album_id).picture
    wait_until(lambda: inside.services.covers.peek([own])[0].state == "ready")
    digest = inside.services.covers.peek([own])[0].digest
    assert b"taken at home" not in inside.client().get(f"/cache/detail/{digest}.webp").data
