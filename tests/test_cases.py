"""Inputs that people brought, each with its right value. The files are in `tests/cases`; the bytes are the case."""

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from image_cache.errors import ImageRejected
from image_cache.imaging import heic, pillow
from image_cache.imaging.variants import Rendered, cover_variants

CASES = Path(__file__).parent / "cases"


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
    assert (made.width, made.height) == shown.size == (200, 150)
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
