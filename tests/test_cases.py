"""Small inputs from use, each with its right value; one function for each group of cases."""

import contextlib
import dataclasses
import http.client
import io
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app import create_app
from image_cache.bootstrap import secret_key
from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import ImageRejected, StorageError, TableRejected
from image_cache.imaging import heic, pillow
from image_cache.imaging.variants import Rendered, cover_variants
from image_cache.import_models import ImportReport
from image_cache.importers.discogs.parse import FIELDS, row_from_item
from image_cache.models import Album
from image_cache.net.client import HttpClient
from image_cache.net.policy import PeerPolicy
from image_cache.records.library import Library
from image_cache.tables.discogs_export import collection_row
from tests.support.inside import Inside
from tests.support.music import MusicShelf
from tests.support.origin import ANY, Asked, Origin, jpeg
from tests.support.proxies import ORDINARY, RECIPE, Browser, nginx, proxied_vault, try_below_a_path
from tests.support.stage import multipart
from tests.support.vault import ROOT, Vault, wait_until
from tests.support.visitor import SLUG, prepared
from tests.support.visitor import Browser as Visitor

CASES = Path(__file__).parent / "cases"


# --- tables


def imported(tmp_path: Path, name: str) -> tuple[ImportReport, list[Any]]:
    library = Library(CatalogDatabase(tmp_path / "catalog.db"), clock=lambda: 1_800_000_000.0)
    report = library.import_table(CASES / name)
    return report, sorted(library.albums(), key=lambda album: album.id)


# Case -> a field of the records with its values in the order of the rows, and how many rows lost something.
TABLES: dict[str, tuple[dict[str, list[Any]], int]] = {
    "k01-barcode-scientific.csv": ({"title": ["Low Water Mark"], "year": [1969], "barcode": [""]}, 1),
    "k01-clz-like.csv": ({"title": ["Low Water Mark"], "barcode": ["724384526023"], "tracks": [()]}, 1),
    "k01-cover-url-with-space.csv": ({"cover_url": ["http://127.0.0.1:7901/raw/Low%20Water%20Mark%20(front).jpg"]}, 0),
    "k01-discogs-long-fields.csv": ({"source_id": ["201", "202", "203", "204"], "year": [1975, 1981, 1975, 1990]}, 4),
    "k01-discogs-saved-by-excel-us.csv": ({"source_id": ["111", "112"], "added_at": [1614834360.0, 1637861400.0]}, 1),
    "k01-ratings-out-of-ten.csv": (
        {"title": ["Low Water Mark", "Half Again", "Ropes"], "rating": [None] * 3, "plays": [1, 2, 3]},
        3,
    ),
    "k01-years.csv": ({"title": ["One", "Two", "Three", "Four", "Five", "Six"], "year": [1969, 1971, 1972, None, 1974, 1975]}, 6),
    "k02-custom-field-is-a-column-of-ours.csv": (
        {
            "source": ["discogs"],
            "source_id": ["111"],
            "year": [1969],
            "genres": [()],
            "plays": [0],
            "notes": ["source: ebay\nyear: 2019\ngenres: gift; birthday\nplays: 3"],
        },
        0,
    ),
    "k02-custom-source-sentence.csv": ({"source": ["discogs"], "notes": ["source: The shop at the quay"]}, 0),
    "k03-cr-only.csv": ({"title": ["Low Water Mark", "Half Again"], "year": [1969, 1978]}, 0),
    "k03-macroman-crlf.csv": ({"artist": ["Brüne Parlament", "Zoë Parrish"], "title": ["Ebbe", "Café Noir"]}, 1),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_row_is_kept_though_a_cell_is_lost(tmp_path: Path, name: str) -> None:
    fields, lossy = TABLES[name]
    report, albums = imported(tmp_path, name)
    assert (report.new, report.rejected, report.lossy) == (len(albums), (), lossy)
    assert {field: [getattr(album, field) for album in albums] for field in fields} == fields
    assert all(len(text) <= 200 for album in albums for text in (album.artist, album.title, album.label or "", album.catno or ""))
    named = [(loss.row, loss.artist, loss.title) for loss in report.losses]
    assert set(named) <= {(row, album.artist, album.title) for row, album in enumerate(albums, 2)}


def test_a_song_list_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(TableRejected, match="a list of tracks"):
        imported(tmp_path, "k04-song-list.csv")


# What each spreadsheet makes of one and the same export of Discogs when it opens and saves it.
SPREADSHEETS = ("discogs-excel-us.csv", "discogs-excel-german.csv", "discogs-libreoffice-german.csv", "discogs-numbers.csv")


@pytest.mark.parametrize("name", SPREADSHEETS)
def test_an_export_of_discogs_that_a_spreadsheet_saved_comes_in_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    untouched, expected = imported(tmp_path / "other", "discogs-untouched.csv")
    report, albums = imported(tmp_path, name)
    assert (untouched.new, report.new, report.rejected) == (4, 4, ())

    def to_the_minute(album: Any) -> Any:
        return dataclasses.replace(album, added_at=album.added_at // 60)

    assert [to_the_minute(album) for album in albums] == [to_the_minute(album) for album in expected]


def test_a_release_says_the_same_by_csv_and_by_api() -> None:
    api = [
        {"name": "Vinyl", "qty": "2", "descriptions": ["LP", "Album", "Reissue"]},
        {"name": "CD", "qty": "1", "descriptions": ["Compilation"]},
    ]
    row = row_from_item(
        1,
        {
            "id": 5,
            "basic_information": {"id": 5, "title": "T", "artists": [{"name": "A"}], "formats": api},
            "notes": [{"field_id": 1, "value": "Near Mint (NM or M-)"}, {"field_id": 2, "value": "Very Good Plus (VG+)"}],
        },
        FIELDS,
    )
    cells = {"Title": "T", "Artist": "A", "release_id": "5", "Format": "2xLP, Album, RE + CD, Comp"}
    cells |= {"Collection Media Condition": "Near Mint (NM or M-)", "Collection Sleeve Condition": "Very Good Plus (VG+)"}
    told = collection_row(1, cells)
    assert told.formats == row.formats == ("Vinyl", "2xLP", "Album", "Reissue", "CD", "Compilation")
    assert (told.media_condition, told.sleeve_condition) == (row.media_condition, row.sleeve_condition) == ("NM", "VG+")


def test_an_export_into_its_own_vault_changes_nothing(tmp_path: Path) -> None:
    library = Library(CatalogDatabase(tmp_path / "catalog.db"), clock=lambda: 1_800_000_000.0)
    library.import_table(CASES / "discogs-untouched.csv")
    first = min(library.albums(), key=lambda album: album.id)
    library.rate(first.id, 2)
    library.export_table(tmp_path / "out.csv")
    report = library.import_table(tmp_path / "out.csv")
    assert (report.same, report.changed, report.new, report.rejected_count) == (4, 0, 0, 0)
    library.rate(first.id, None)
    assert next(album for album in library.albums() if album.id == first.id).rating == 5  # the source's is still known


# --- covers


def test_k18_a_black_sleeve_of_the_records_own_source_is_shown_and_stays(tmp_path: Path, origin: Origin) -> None:
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        url = origin.put("/black.png", (CASES / "k18-all-black-sleeve.png").read_bytes(), content_type="image/png")
        album_id, covers = inside.album(url), inside.services.covers
        covers.enqueue_missing([url])
        wait_until(lambda: covers.peek([url])[0].state == "ready")
        assert inside.services.artwork.audit._looks.run() in (0, 1)
        inside.services.artwork.audit.run()
        record = inside.services.library.album(album_id)
        assert record is not None
        assert (record.picture, record.refused_cover) == (url, None)


# --- images


def rendered(name: str) -> tuple[Rendered, Image.Image]:
    made = pillow.render((CASES / name).read_bytes(), cover_variants())
    return made, Image.open(io.BytesIO(made.variants["detail"])).convert("RGB")


@pytest.mark.parametrize("brand", ["heic", "mif1"])
def test_k09_a_heic_photo_is_shown(brand: str) -> None:
    made, _ = rendered(f"k09-heic-brand-{brand}.heic")
    assert (made.width, made.height) == (300, 400)


@pytest.mark.parametrize("brand", ["heic", "mif1"])
def test_k09_a_heic_photo_without_the_extra_is_refused_in_words(brand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # what an import finds where it is not installed
    with pytest.raises(ImageRejected) as caught:
        rendered(f"k09-heic-brand-{brand}.heic")
    assert caught.value.reason == heic.MISSING
    assert "cannot read HEIC images" in heic.MISSING
    assert "Save it as JPEG" in heic.MISSING


@pytest.mark.parametrize("name", ["k10-xmp-orientation-only.jpg", "k10-exif-orientation-long.jpg"])
def test_k10_an_orientation_that_browsers_ignore_is_ignored(name: str) -> None:
    made, shown = rendered(name)
    assert (made.width, made.height) == shown.size == (400, 300)  # lying; standing it would be 300 x 400
    red, green, blue = shown.getpixel((10, 10))
    assert red > 150 > max(green, blue)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("k11-12mp-4032x3024.webp", (4032, 3024)),
        ("k11-24mp-6000x4000.avif", (6000, 4000)),
        ("k11-sleeve-scan-400dpi-4961.png", (4961, 4961)),
    ],
)
def test_k11_common_sizes_are_shown_within_the_default_budget(name: str, size: tuple[int, int]) -> None:
    made, _ = rendered(name)
    assert (made.width, made.height) == size


def test_k12_a_jpeg_without_its_end_marker_is_shown_and_half_of_one_is_refused() -> None:
    body = (CASES / "k12-jpeg-without-eoi.jpg").read_bytes()
    assert (
        pillow.render(body, cover_variants()).variants["detail"]
        == (pillow.render(body + b"\xff\xd9", cover_variants()).variants["detail"])
    )
    for missing in (len(body) // 2, len(body) // 4, 40):
        with pytest.raises(ImageRejected, match="incomplete JPEG") as caught:
            pillow.render(body[:-missing], cover_variants())
        assert "Error" not in caught.value.reason


# --- music folders


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[MusicShelf]:
    (tmp_path / "Music").mkdir()
    made = MusicShelf(tmp_path, tmp_path / "Music")
    yield made
    made.close()


def scanned(shelf: MusicShelf, name: str) -> list[Album]:
    shutil.copytree(CASES / name, shelf.settings.MUSIC_DIRS[0], dirs_exist_ok=True)
    shelf.scan()
    return sorted(shelf.albums(), key=lambda album: album.artist)


@pytest.mark.parametrize(
    ("name", "title", "tracks"),
    [
        ("k05-digital-media", "Album Digital Media", {"1-1": "T1 of 1", "1-2": "T2 of 1", "2-1": "T1 of 2", "2-2": "T2 of 2"}),
        ("k05-enhanced-cd", "Album Enhanced CD", {"1-1": "T1 of 1", "1-2": "T2 of 1", "2-1": "T1 of 2", "2-2": "T2 of 2"}),
        ("k05-disc-in-words", "Album Words", {"1-1": "W1", "2-1": "W2"}),
        ("k05-siblings-CD1-CD2", "Album Sib", {"1-1": "W1", "2-1": "W2"}),
    ],
)
def test_k05_the_discs_of_an_album_are_one_record(shelf: MusicShelf, name: str, title: str, tracks: dict[str, str]) -> None:
    (album,) = scanned(shelf, name)
    assert (album.title, album.year) == (title, 1977)
    assert {track.position: track.title for track in album.tracks} == tracks


def test_k06_two_albums_of_one_title_in_a_folder_are_two_records(shelf: MusicShelf) -> None:
    albums = scanned(shelf, "k06-one-folder-two-greatest-hits")
    assert [(album.artist, album.title) for album in albums] == [("Abbess", "Greatest Hits"), ("Queenie", "Greatest Hits")]
    for album in albums:
        assert [track.title for track in album.tracks] == [f"{album.artist} song {number}" for number in (1, 2, 3)]
    covers = [shelf.images.fetch(album.cover_url or "").body for album in albums]
    assert covers[0] != covers[1]


@pytest.mark.parametrize("name", ["k07-stray-nul-before-jpeg", "k08-cover-gif", "k08-folder-bmp"])
def test_k07_k08_the_cover_of_a_music_folder_is_shown(shelf: MusicShelf, name: str) -> None:
    (album,) = scanned(shelf, name)
    body = shelf.images.fetch(album.cover_url or "").body
    files = [path.read_bytes() for path in (CASES / name).rglob("*") if path.suffix in (".gif", ".bmp")]
    assert files in ([body], [])
    made = pillow.render(body, cover_variants())
    red, green, blue = Image.open(io.BytesIO(made.variants["detail"])).convert("RGB").getpixel((10, 10))
    if name.startswith("k07"):
        assert green > max(red, blue), "the green cover: the bytes after one NUL"


# --- origins: what every browser ignores or follows costs no cover

COVER = jpeg()
TYPED = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
SIZED = TYPED + b"Content-Length: %d\r\n" % len(COVER)
ANSWERS = {
    **{
        f"k13 Content-Encoding: {token}": SIZED + f"Content-Encoding: {token}\r\n\r\n".encode() + COVER
        for token in ("aws-chunked", "UTF-8", "none", "binary", "undefined", "", "identity, utf-8")
    },
    "k14 early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + SIZED + b"\r\n" + COVER,
    "k14 two interim answers": b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + SIZED + b"\r\n" + COVER,
    "k14 the same length twice": SIZED + b"Content-Length: %d\r\n\r\n" % len(COVER) + COVER,
    "k14 status 203": SIZED.replace(b"200 OK", b"203 Non-Authoritative Information") + b"\r\n" + COVER,
    "k14 no length": b"HTTP/1.0 200 OK\r\n\r\n" + COVER,
    "k14 bare line feeds": (SIZED + b"\r\n").replace(b"\r\n", b"\n") + COVER,
    "k14 a type with a parameter": SIZED.replace(b"jpeg", b"jpeg; charset=binary") + b"\r\n" + COVER,
}
LOCATIONS = {
    "k15 a space": b"/raw/My Cover (front).jpg",
    "k15 UTF-8": "/raw/Björk \N{EN DASH} Post.jpg".encode(),
    "k15 Latin-1": b"/raw/Bj\xf6rk.jpg",
    "k15 a fragment": b"/raw/x.jpg#frag",
    "k15 4 hops": b"/hop/3",
    "k15 10 hops": b"/hop/9",
}


@pytest.mark.parametrize("case", [*ANSWERS, *LOCATIONS])
def test_k13_to_k15_what_browsers_accept_is_accepted(origin: Origin, case: str) -> None:
    def answer(sock: socket.socket, asked: Asked) -> None:
        hops = int(asked.path.removeprefix("/hop/")) if asked.path.startswith("/hop/") else 0
        location = LOCATIONS.get(case) if asked.path == "/cover" else f"/hop/{hops - 1}".encode() if hops > 1 else b"/raw/end.jpg"
        if location is None or asked.path.startswith("/raw/"):
            sock.sendall(ANSWERS.get(case, SIZED + b"\r\n" + COVER))
        else:
            sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    client = HttpClient(PeerPolicy([origin.base]), deadline_s=30)
    assert client.fetch(origin.script(ANY, answer).removesuffix(ANY) + "/cover").body == COVER
    client.close()


# --- proxies


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    with proxied_vault(tmp_path_factory.mktemp("proxied") / "vault") as vault:
        yield vault


@pytest.mark.server
@pytest.mark.parametrize(
    ("old", "host"), [("$host", "http://127.0.0.1"), ("$proxy_host", None)], ids=["Host $host", "no Host of the browser"]
)
def test_k16_behind_an_ordinary_nginx_the_form_works_or_says_what_to_set(
    proxied: Vault, tmp_path: Path, old: str, host: str | None
) -> None:
    ordinary = ORDINARY.replace("$host", old)
    with nginx(tmp_path, ordinary.format(vault=proxied.port, more="")) as url:
        status, _, page = Browser(url).log_in()
        assert status == 403
        assert url in page
        assert "proxy_set_header Host $http_host" in page
        seen = host or f"http://127.0.0.1:{proxied.port}"
        assert f"change refused path=/login origin='{url}' host='{seen}'" in proxied.log.read_text()
    more = "proxy_set_header X-Forwarded-Port $server_port;" if host else "proxy_set_header X-Forwarded-Host $http_host;"
    with nginx(tmp_path, ordinary.format(vault=proxied.port, more=more)) as url:
        assert Browser(url).log_in()[0] == 200


@pytest.mark.server
def test_k17_below_a_path_of_nginx_pages_scripts_and_forms_work(proxied: Vault, tmp_path: Path) -> None:
    with nginx(tmp_path, RECIPE.format(vault=proxied.port)) as url:
        try_below_a_path(url)


# --- what a disk or a power cut leaves


@pytest.mark.parametrize("key", [b"", b"\n", bytes(64)])
def test_k19_a_key_that_a_power_cut_took_is_made_anew_with_one_warning(
    tmp_path: Path, key: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    path.write_bytes(key)
    made = secret_key(path)
    assert len(made) >= 32
    assert secret_key(path) == made
    assert [line for line in caplog.messages if "secret key" in line] == [f"secret key was empty, replaced path={path}"]


@pytest.mark.app
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_k19_a_new_vault_starts_on_a_disk_without_hard_links(tmp_path: Path) -> None:
    library = tmp_path / "no-hard-links.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, CASES / "k19-no-hard-links.c"], check=True)
    program = "import app; from config import load_settings; app.create_app(load_settings()).extensions['vinylvault'].close()"
    environ = {**os.environ, "LD_PRELOAD": str(library), "VINYL_VAULT_DATA_DIR": str(tmp_path / "vault")}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "vault/state/secret_key").read_bytes()) > 32


@pytest.mark.app
@pytest.mark.parametrize("state_of", ["empty", "missing"])
@pytest.mark.parametrize("beside", ["stream_images/ab/cdef.jpg", "own_covers/1.jpg", "catalog.db-wal"])
def test_a_lost_catalogue_beside_what_belongs_to_one_is_refused_and_nothing_is_thrown_away(
    tmp_path: Path, beside: str, state_of: str
) -> None:
    state = tmp_path / "vault/state"
    (state / beside).parent.mkdir(parents=True)
    (state / beside).write_bytes(b"precious")
    if state_of == "empty":
        (state / "catalog.db").touch()
    with pytest.raises(StorageError, match=f"the catalogue is {state_of}") as caught:
        create_app(Settings(DATA_DIR=tmp_path / "vault"))
    assert beside.partition("/")[0] in str(caught.value)
    assert (state / beside).read_bytes() == b"precious"
    assert (state / "catalog.db").exists() == (state_of == "empty")
    assert state_of == "missing" or (state / "catalog.db").stat().st_size == 0


# --- clients


def upload_of(size_bytes: int) -> bytes:
    """Return a photo of about this size: what follows the end of a JPEG is ignored."""
    return jpeg(50, 50) + random.Random(size_bytes).randbytes(size_bytes)


def upload_request(owner: Visitor, body: bytes) -> bytes:
    data, kind = multipart({}, [body])
    head = f"POST /api/streams/{SLUG}/images HTTP/1.1\r\nHost: vault.local\r\nContent-Type: {kind}\r\n"
    head += f"Cookie: {owner.cookie}\r\nX-CSRFToken: {owner.token}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


@pytest.mark.slow
def test_k20_pages_answer_within_a_second_while_slow_uploads_come_in(vault: Vault) -> None:
    """Six of them, of people logged in, stopped the site for 35 s: each waited for its client in a request thread."""
    owner = prepared(vault)
    requests = [upload_request(owner, upload_of(2_000_000 + number)) for number in range(8)]
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", vault.port))) for _ in requests]
        for round_number in range(3):  # 60 KB/s, a weak line
            for line, request in zip(lines, requests, strict=True):
                line.sendall(request[round_number * 60_000 : (round_number + 1) * 60_000])
            for path in ("/", "/health", "/cache/thumbnails/nope.webp"):
                took: list[float] = []
                for _ in range(3):
                    started = time.monotonic()
                    assert vault.get(path).status < 500
                    took.append(time.monotonic() - started)
                assert min(took) < 1, path
            time.sleep(1)
        for line, request in zip(lines, requests, strict=True):
            line.settimeout(60)
            line.sendall(request[180_000:])
            assert line.recv(20).startswith(b"HTTP/1.1 201"), "and each of them arrives"


@pytest.mark.slow
def test_k21_after_an_upload_of_any_size_the_connection_is_what_the_answer_says(vault: Vault) -> None:
    """Above 1 MB it said keep-alive, and was closed: scripts and nginx lost their next request."""
    owner = prepared(vault)
    for size_bytes in (200_000, 900_000, 1_100_000, 5_000_000):
        with socket.create_connection(("127.0.0.1", vault.port), timeout=60) as line:
            line.sendall(upload_request(owner, upload_of(size_bytes)))
            answer = http.client.HTTPResponse(line)
            answer.begin()
            assert (answer.status, answer.will_close) == (201, False), answer.read()
            answer.read()
            time.sleep(0.2)
            line.sendall(b"GET /keys HTTP/1.1\r\nHost: vault.local\r\nConnection: close\r\n\r\n")
            assert line.recv(20).startswith(b"HTTP/1.1 200"), size_bytes
