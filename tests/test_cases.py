"""Small inputs from use, each with its right value; one function for each group of cases."""

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import ImageRejected, TableRejected
from image_cache.imaging import heic, pillow
from image_cache.imaging.variants import Rendered, cover_variants
from image_cache.importers.discogs.parse import FIELDS, row_from_item
from image_cache.models import ImportReport
from image_cache.records.library import Library
from image_cache.tables.discogs_export import collection_row
from tests.support.inside import Inside
from tests.support.origin import Origin
from tests.support.vault import wait_until

CASES = Path(__file__).parent / "cases"


# --- tables


def imported(tmp_path: Path, name: str) -> tuple[ImportReport, list[Any]]:
    library = Library(CatalogDatabase(tmp_path / "catalog.db"), clock=lambda: 1_800_000_000.0)
    report = library.import_table(CASES / name)
    return report, sorted(library.albums(), key=lambda album: album.id)


# Case -> a field of the records with its values in the order of the rows, and how many rows lost something.
TABLES: dict[str, tuple[dict[str, list[Any]], int]] = {
    "k01-barcode-scientific.csv": ({"title": ["Low Water Mark"], "year": [1969], "barcode": [""]}, 1),
    "k01-clz-like.csv": ({"title": ["Low Water Mark"], "barcode": ["724384526023"], "tracks": [()]}, 0),
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
    with pytest.raises(TableRejected, match="a list of single tracks"):
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
    assert "HEIC photo" in heic.MISSING
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
        with pytest.raises(ImageRejected, match="broken JPEG") as caught:
            pillow.render(body[:-missing], cover_variants())
        assert "Error" not in caught.value.reason
