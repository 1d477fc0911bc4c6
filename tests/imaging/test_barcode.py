"""Barcodes in photographs: drawn numbers, read in the child; what is no barcode, and what only looks like one."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import zxingcpp
from PIL import Image, ImageDraw, ImageFilter

from image_cache.errors import ImageRejected
from image_cache.imaging.decoder import Decoder

NUMBER = "5099902894225"


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    found = Decoder(400 << 20)
    yield found
    found.close()


def photo(number: str = NUMBER, *, angle: float = 0.0, blur: float = 0.0, kind: Any = None) -> bytes:
    """Draw a barcode on a sleeve, as a photograph would show it."""
    code = zxingcpp.create_barcode(number, kind or zxingcpp.BarcodeFormat.EAN13)
    bars = Image.fromarray(zxingcpp.write_barcode_to_image(code, scale=6)).convert("L")
    sleeve = Image.new("L", (1800, 2400), 200)
    ImageDraw.Draw(sleeve).rectangle((200, 200, 1600, 900), fill=90)
    sleeve.paste(bars, (400, 1300))
    out = io.BytesIO()
    sleeve.rotate(angle, fillcolor=200).filter(ImageFilter.GaussianBlur(blur)).convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


@pytest.mark.decoder
@pytest.mark.parametrize(("angle", "blur"), [(0, 0), (8, 1), (-20, 1.5), (90, 0), (180, 1)])
def test_a_photographed_barcode_is_read_however_it_is_held(decoder: Decoder, angle: float, blur: float) -> None:
    assert decoder.barcode(photo(angle=angle, blur=blur)) == (NUMBER, True)


@pytest.mark.decoder
def test_a_upc_has_its_twelve_digits(decoder: Decoder) -> None:
    assert decoder.barcode(photo("720642442524", kind=zxingcpp.BarcodeFormat.UPCA))[0] == "720642442524"


@pytest.mark.decoder
def test_a_photograph_without_a_barcode_has_none(decoder: Decoder) -> None:
    stripes = Image.new("L", (900, 900), 230)
    for x in range(0, 900, 18):
        ImageDraw.Draw(stripes).rectangle((x, 200, x + 8, 700), fill=20)
    out = io.BytesIO()
    stripes.save(out, "PNG")
    assert decoder.barcode(out.getvalue()) == ("", False)


@pytest.mark.decoder
@pytest.mark.parametrize("body", [b"", b"no image", photo()[:3000]])
def test_what_is_no_photograph_is_refused(decoder: Decoder, body: bytes) -> None:
    with pytest.raises(ImageRejected):
        decoder.barcode(body)
