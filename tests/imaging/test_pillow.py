"""Rendering with Pillow, through the public functions and with real images."""

import io
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from image_cache.errors import ImageRejected
from image_cache.imaging import pillow as imaging
from image_cache.imaging import placeholders
from image_cache.imaging.sniff import jpeg_layout
from image_cache.imaging.variants import Variant, cover_variants
from tests.support import pictures
from tests.support.pictures import decoded, encoded, is_near, noise, quartered

ROOT = Path(__file__).resolve().parents[2]
TABLE = {variant.name: variant for variant in cover_variants()}
PAIR = (TABLE["thumbnails"], TABLE["detail"])
MEGA = 1_000_000


def detail_of(body: bytes) -> Image.Image:
    return decoded(imaging.render(body, PAIR).variants["detail"])


# --- sizes


def test_the_table_has_five_variants_in_a_fixed_order():
    rows = [(v.name, v.edge_px, v.quality, v.method, v.draft) for v in cover_variants()]
    assert rows == [
        ("thumbnails", 150, 85, 2, 1),
        ("thumbnails-2x", 300, 85, 2, 1),
        ("detail", 600, 85, 2, 1),
        ("detail-2x", 1200, 85, 2, 1),
        ("stream_thumb", 200, 85, 2, 1),
    ]
    assert {(v.method, v.draft) for v in cover_variants(recipe="quality")} == {(4, 2)}


def test_no_two_recipes_share_their_canonical_text():
    tables = (cover_variants(), cover_variants(recipe="quality"), cover_variants(quality=86), cover_variants(151, 601))
    specs = [variant.spec for table in tables for variant in table if variant.name != "stream_thumb"]
    assert len(set(specs)) == len(specs) == 16
    assert cover_variants(thumbnail_px=300)[1].spec != cover_variants(detail_px=600)[2].spec


def test_each_variant_fits_its_edge_and_keeps_the_nearest_ratio():
    made = imaging.render(encoded(noise("RGB", 1600, 1200), "JPEG"), cover_variants())
    sizes = {name: decoded(body).size for name, body in made.variants.items()}
    assert sizes == {
        "thumbnails": (150, 113),
        "thumbnails-2x": (300, 225),
        "detail": (600, 450),
        "detail-2x": (1200, 900),
        "stream_thumb": (200, 150),
    }
    assert list(sizes) == [variant.name for variant in cover_variants()]
    assert (made.width, made.height) == (1600, 1200)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (149, 150), (400, 300), (16, 15)])
def test_a_small_image_is_never_enlarged(size):
    made = imaging.render(encoded(noise("RGB", *size), "PNG"), cover_variants())
    for variant in cover_variants():
        width, height = decoded(made.variants[variant.name]).size
        assert (width, height) == size or max(width, height) == variant.edge_px


@pytest.mark.parametrize("size", [(2000, 10), (256, 1), (1, 5000)])
def test_a_very_long_image_keeps_a_pixel(size):
    made = imaging.render(encoded(Image.new("RGB", size, "teal"), "PNG"), PAIR)
    assert sorted(decoded(made.variants["thumbnails"]).size) == [1, 150]


def test_the_same_image_gives_the_same_bytes():
    body = encoded(noise("RGB", 700, 500), "JPEG", quality=90)
    assert imaging.render(body, PAIR) == imaging.render(body, PAIR)


def test_the_benchmark_pair_is_the_default_recipe():
    body = encoded(noise("RGB", 700, 500), "JPEG", quality=90)
    made = imaging.render(body, PAIR).variants
    assert imaging.render_pair(body) == (made["detail"], made["thumbnails"])


@pytest.mark.slow
def test_a_jpeg_is_decoded_small_and_still_sharp():
    picture = Image.effect_mandelbrot((1200, 1200), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    for recipe in ("fast", "quality"):
        detail = {v.name: v for v in cover_variants(recipe=recipe)}["detail"]
        made = decoded(imaging.render(encoded(picture, "JPEG", quality=95), (detail,)).variants["detail"])
        wanted = picture.resize((600, 600), Image.Resampling.LANCZOS)
        assert psnr(made, wanted) > 28


def psnr(a: Image.Image, b: Image.Image) -> float:
    pairs = zip(a.convert("RGB").tobytes(), b.convert("RGB").tobytes(), strict=True)
    squares = [(x - y) ** 2 for x, y in pairs]
    return 10 * math.log10(255**2 / (sum(squares) / len(squares)))


# --- colours and modes


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(format_, orientation):
    # What a camera stores: the upright image, transposed by the inverse of the tag.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> Image.Transpose
    stored = quartered(160, 80)
    if orientation in undo:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format_ == "WEBP" else {"quality": 95} if format_ != "PNG" else {}
    made = imaging.render(encoded(stored, format_, exif=exif, **options), PAIR)
    assert (made.width, made.height) == (160, 80)
    picture = decoded(made.variants["detail"])
    assert picture.size == (160, 80)
    for got, wanted in zip(pictures.quarters_of(picture), pictures.QUARTERS, strict=True):
        assert is_near(got, wanted, 16), orientation


@pytest.mark.parametrize("value", [0, 9, 99, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(value):
    exif = Image.Exif()
    exif[0x0112] = value
    picture = detail_of(encoded(quartered(), "JPEG", exif=exif, quality=95))
    assert is_near(picture.getpixel((5, 5)), pictures.QUARTERS[0])


def test_a_colour_profile_is_converted_and_not_just_dropped():
    profile = pictures.profile_with_red_and_green_swapped()
    body = encoded(Image.new("RGB", (50, 50), (250, 10, 10)), "PNG", icc_profile=profile)
    assert is_near(detail_of(body).getpixel((20, 20)), (10, 250, 10))


def test_srgb_pixels_are_not_changed_by_their_profile():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged = (encoded(noise("RGB", 60, 60), "PNG", **extra) for extra in ({}, {"icc_profile": profile}))
    assert imaging.render(plain, PAIR).variants == imaging.render(tagged, PAIR).variants


@pytest.mark.parametrize("profile", [b"", b"garbage", b"\0" * 200, pictures.profile_with_red_and_green_swapped()[:150]])
def test_a_broken_colour_profile_is_ignored(profile):
    body = encoded(Image.new("RGB", (50, 50), (200, 30, 30)), "PNG", icc_profile=profile)
    assert is_near(detail_of(body).getpixel((20, 20)), (200, 30, 30))


def test_a_profile_of_another_colour_space_is_ignored():
    body = encoded(Image.new("L", (50, 50), 100), "PNG", icc_profile=pictures.profile_with_red_and_green_swapped())
    assert is_near(detail_of(body).getpixel((20, 20)), (100, 100, 100))


def test_alpha_is_kept_and_the_colour_below_it_does_not_bleed():
    picture = Image.new("RGBA", (1300, 1300), (0, 255, 0, 0))
    picture.paste((250, 0, 0, 255), (0, 0, 651, 1300))
    made = detail_of(encoded(picture, "PNG"))
    assert made.mode == "RGBA"
    assert is_near(made.getpixel((100, 300)), (250, 0, 0, 255))
    assert made.getpixel((500, 300))[3] == 0
    edge = [made.getpixel((x, 300)) for x in range(295, 305)]
    assert not [pixel for pixel in edge if pixel[3] > 40 and pixel[1] > 60]


def test_opaque_alpha_is_dropped():
    body = encoded(noise("RGB", 200, 200).convert("RGBA"), "PNG")
    made = imaging.render(body, PAIR)
    assert decoded(made.variants["detail"]).mode == "RGB"


def modes() -> dict[str, tuple[bytes, tuple[int, ...]]]:
    """Encoded images of one colour in every mode that occurs, with the expected colour."""
    palette = Image.new("P", (60, 60), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50] + [0] * 762)
    return {
        "grey": (encoded(Image.new("L", (60, 60), 90), "JPEG"), (90, 90, 90)),
        "grey with alpha": (encoded(Image.new("LA", (60, 60), (90, 128)), "PNG"), (90, 90, 90, 128)),
        "palette": (encoded(palette, "PNG"), (200, 100, 50)),
        "palette gif": (encoded(palette, "GIF"), (200, 100, 50)),
        "palette, transparent": (encoded(palette, "PNG", transparency=1), (0, 0, 0, 0)),
        "palette, half transparent": (encoded(palette, "PNG", transparency=bytes([255, 128])), (200, 100, 50, 128)),
        "one bit": (encoded(Image.new("1", (60, 60), 1), "PNG"), (255, 255, 255)),
        "sixteen bits": (encoded(Image.new("I;16", (60, 60), 0x8080), "PNG"), (128, 128, 128)),
        "cmyk": (encoded(Image.new("CMYK", (60, 60), (0, 255, 255, 0)), "JPEG"), (255, 0, 0)),
        "colour key": (encoded(Image.new("RGB", (60, 60), (9, 9, 9)), "PNG", transparency=(9, 9, 9)), (0, 0, 0, 0)),
        "webp with alpha": (encoded(Image.new("RGBA", (60, 60), (50, 90, 200, 90)), "WEBP"), (50, 90, 200, 90)),
        "bmp": (encoded(Image.new("RGB", (60, 60), (50, 90, 200)), "BMP"), (50, 90, 200)),
        "avif": (encoded(Image.new("RGB", (60, 60), (50, 90, 200)), "AVIF"), (50, 90, 200)),
    }


@pytest.mark.parametrize("mode", modes())
def test_every_mode_shows_its_colour(mode):
    body, wanted = modes()[mode]
    got = detail_of(body).getpixel((30, 30))
    assert got[-1] == 0 if wanted[-1] == 0 else is_near(got, wanted), got


def test_a_large_palette_is_shrunk_as_one_piece():
    """Conversion is done in strips: neither their seams nor an incomplete last strip may be visible."""
    picture = Image.linear_gradient("L").resize((2000, 2013)).convert("P")
    made = imaging.render(encoded(picture, "PNG"), (Variant("small", 200),)).variants["small"]
    wanted = picture.convert("RGB").resize((199, 200), Image.Resampling.LANCZOS)
    assert psnr(decoded(made), wanted) > 40


def test_only_the_first_frame_of_an_animation_is_shown():
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "green")]
    for format_, options in {"GIF": {}, "WEBP": {"lossless": True}, "PNG": {}, "AVIF": {}}.items():
        body = encoded(frames[0], format_, save_all=True, append_images=frames[1:], duration=100, **options)
        assert is_near(detail_of(body).getpixel((20, 20))[:3], (255, 0, 0)), format_


# --- average and tint


def test_the_average_is_the_plain_mean():
    picture = Image.new("RGB", (300, 300), (200, 0, 100))
    picture.paste((0, 100, 0), (0, 0, 150, 300))
    red, green, blue = bytes.fromhex(imaging.render(encoded(picture, "PNG"), PAIR).average[1:])
    assert is_near((red, green, blue), (100, 50, 50), 3)


def test_hue_and_chroma_are_those_of_oklch():
    """Known values of sRGB red, in steps that keep the number of tint URLs small."""
    made = imaging.render(encoded(Image.new("RGB", (100, 100), "red"), "PNG"), PAIR)
    assert (made.hue, made.chroma) == (30, 0.26)


def test_a_muddy_mean_of_orange_and_blue_stays_orange():
    """The plain mean of this cover is a grey; weighted by chroma the hue is that of the orange."""
    picture = Image.new("RGB", (300, 300), (240, 130, 20))
    picture.paste((0, 130, 210), (0, 0, 120, 300))
    assert imaging.render(encoded(picture, "PNG"), PAIR).hue in range(40, 61)


def test_a_grey_cover_has_no_tint():
    made = imaging.render(encoded(Image.linear_gradient("L"), "PNG"), PAIR)
    assert (made.hue, made.chroma) == (0, 0.0)


def test_transparent_pixels_do_not_change_the_colours():
    picture = Image.new("RGBA", (300, 300), (0, 255, 0, 0))
    picture.paste((200, 30, 30, 255), (0, 0, 30, 300))
    made = imaging.render(encoded(picture, "PNG"), PAIR)
    assert is_near(tuple(bytes.fromhex(made.average[1:])), (200, 30, 30), 6)
    assert made.hue in (20, 25, 30)


def test_a_transparent_image_is_grey():
    made = imaging.render(encoded(Image.new("RGBA", (30, 30), (0, 255, 0, 0)), "PNG"), PAIR)
    assert (made.average, made.hue, made.chroma) == ("#808080", 0, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_tint_stays_on_its_grid(seed):
    made = imaging.render(encoded(noise("RGB", 20, 20, seed), "PNG"), PAIR)
    assert re.fullmatch(r"#[0-9a-f]{6}", made.average)
    assert 0 <= made.hue < 360
    assert made.hue % 5 == 0
    assert round(made.chroma / 0.02) == pytest.approx(made.chroma / 0.02)


# --- output


def test_no_metadata_is_kept():
    secret = b"SECRET-52.5200N"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Comment", secret.decode())
    profile = pictures.profile_with_red_and_green_swapped() + secret
    body = noise("RGBA", 90, 90)
    bodies = {
        "JPEG": encoded(body.convert("RGB"), "JPEG", exif=exif, comment=secret, xmp=secret, icc_profile=profile),
        "PNG": encoded(body, "PNG", exif=exif, pnginfo=text, icc_profile=profile),
        "WEBP": encoded(body, "WEBP", exif=exif.tobytes(), xmp=secret, icc_profile=profile),
        "GIF": encoded(body.convert("P"), "GIF", comment=secret),
        "AVIF": encoded(body, "AVIF", exif=exif, xmp=secret, icc_profile=profile),
    }
    for format_, origin in bodies.items():
        origin += b"<script>" + secret  # noqa: PLW2901
        assert secret in origin
        for made in imaging.render(origin, cover_variants()).variants.values():
            assert secret not in made, format_
            assert pictures.riff_chunks(made) <= {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}, format_


def test_the_jpeg_fallback_puts_transparent_pixels_on_white():
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    picture.paste((200, 0, 0, 255), (0, 0, 20, 40))
    webp = imaging.render(encoded(picture, "PNG"), PAIR).variants["detail"]
    jpeg = decoded(imaging.to_jpeg(webp, 90))
    assert jpeg.format == "JPEG"
    assert is_near(jpeg.getpixel((5, 20)), (200, 0, 0))
    assert is_near(jpeg.getpixel((35, 20)), (255, 255, 255))


# --- rejected input


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"GIF",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        b"%!PS-Adobe",
        b"II*\0" + bytes(50),
        b"P6 9 9 255 ",
    ],
)
def test_other_formats_are_rejected(body):
    with pytest.raises(ImageRejected, match="not a supported image"):
        imaging.probe(body)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_a_truncated_image_is_rejected(format_):
    body = encoded(noise("RGB", 120, 120), format_)
    imaging.render(body, PAIR)
    with pytest.raises(ImageRejected, match=f"(incomplete|corrupt) {format_}"):
        imaging.render(body[: len(body) // 2], PAIR)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_the_name_of_the_format_comes_from_the_content(format_):
    facts = imaging.probe(encoded(noise("RGB", 30, 20), format_))
    assert (facts.format, facts.width, facts.height) == (format_, 30, 20)
    assert 0 < facts.cost_bytes < 256 << 20


CAPS = {"JPEG": 100, "PNG": 25, "GIF": 32, "BMP": 16, "WEBP": 13, "AVIF": 25}


@pytest.mark.parametrize("format_", CAPS)
def test_one_pixel_above_the_limit_is_rejected_by_the_header(format_):
    """These files have no pixels at all: rejecting them for their size proves that only the header was read."""
    cap = CAPS[format_] * MEGA
    over = next((n, w) for n in range(cap + 1, cap + 99) for w in range(math.isqrt(n), n // 30_000, -1) if n % w == 0)
    width, height = over[0] // over[1], over[1]
    with pytest.raises(ImageRejected, match=f"{width} \N{MULTIPLICATION SIGN} {height} px is too large: .* megapixels"):
        imaging.probe(pictures.HEADERS[format_](width, height))
    try:  # at the limit they are rejected for another reason
        imaging.render(pictures.HEADERS[format_](5000, cap // 5000), PAIR)
    except ImageRejected as error:
        assert "megapixels" not in error.reason  # noqa: PT017


@pytest.mark.parametrize("format_", CAPS)
def test_the_limits_scale_with_the_budget(format_):
    header = pictures.HEADERS[format_](5000, CAPS[format_] * MEGA // 10_000)
    with pytest.raises(ImageRejected, match=f"the limit is {CAPS[format_] / 4:.1f}"):
        decode_header(header, 64 << 20)
    assert decode_header(header, 128 << 20) <= 128 << 20


def decode_header(body: bytes, budget_bytes: int) -> int:
    """The cost according to the header. A WebP that is only a header cannot be opened, which has nothing to do with its size."""
    try:
        return imaging.probe(body, budget_bytes=budget_bytes).cost_bytes
    except ImageRejected as error:
        if "megapixels" in error.reason:
            raise
        return 0


def test_a_jpeg_that_holds_coefficients_has_a_lower_limit():
    one, many = pictures.jpeg_header(10_000, 6_000), pictures.jpeg_header(10_000, 6_000, scans=10)
    assert imaging.probe(one).cost_bytes < 256 << 20
    with pytest.raises(ImageRejected, match=r"several scans.*60\.0 megapixels, the limit is 50\.0"):
        imaging.probe(many)
    full_colour = pictures.jpeg_header(8_000, 6_000, scans=10, sampling=(0x11, 0x11, 0x11))
    with pytest.raises(ImageRejected, match=r"48\.0 megapixels, the limit is 35\.8"):
        imaging.probe(full_colour)
    cmyk = pictures.jpeg_header(6_000, 5_000, scans=10, sampling=(0x11, 0x11, 0x11, 0x11))
    with pytest.raises(ImageRejected, match=r"30\.0 megapixels, the limit is 26\.8"):
        imaging.probe(cmyk)


def test_more_than_a_hundred_scans_are_rejected_at_once():
    imaging.probe(pictures.jpeg_header(7_000, 7_000, scans=100))
    began = time.thread_time()  # without the time of other processes
    with pytest.raises(ImageRejected, match="more than 100 scans"):
        imaging.probe(pictures.jpeg_header(7_000, 7_000, scans=2_000))
    assert time.thread_time() - began < 0.2


@pytest.mark.parametrize(
    "filling", [b"\xff\x00", b"\xff\xff", b"\xff\xd0", b"\x00", b"\xff\x01", b"\xff\xd8", b"\xff\xfe\x00\x02"]
)
def test_reading_a_hostile_jpeg_takes_bounded_time(filling):
    start = pictures.jpeg_header(100, 100)[:-2]
    began = time.thread_time()
    jpeg_layout(start + filling * (4_000_000 // len(filling)))
    assert time.thread_time() - began < 0.5


def test_a_side_above_the_limit_is_rejected():
    with pytest.raises(ImageRejected, match="a side can have up to 65535 px"):
        imaging.probe(pictures.png_header(65_536, 330))


# --- settings


def test_pillow_is_strict_in_the_process_that_decodes():
    code = (
        "from image_cache.imaging import decoder_worker as decoder_child; from image_cache.imaging import pillow as imaging\n"
        "from PIL import AvifImagePlugin, Image, ImageFile\n"
        "print(ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS is not None, AvifImagePlugin.DEFAULT_MAX_THREADS)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "1"]


def test_pillows_own_bomb_limit_is_always_set():
    imaging.probe(encoded(noise("RGB", 9, 9), "PNG"), budget_bytes=128 << 20)
    assert Image.MAX_IMAGE_PIXELS == 50 * MEGA


def test_the_web_process_never_imports_pillow():
    code = "import sys, image_cache.imaging.decoder, image_cache.imaging.variants; print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- placeholders


@pytest.mark.slow
def test_the_committed_placeholders_are_up_to_date(tmp_path):
    command = [sys.executable, "-m", "image_cache.imaging.placeholders", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    committed = {path.name: decoded(path.read_bytes()) for path in (ROOT / "static/placeholders").glob("*.webp")}
    drawn = {path.name: decoded(path.read_bytes()) for path in tmp_path.iterdir()}
    assert set(committed) == set(drawn) == {"transparent.webp"} | {f"placeholder_{v.name}.webp" for v in cover_variants()}
    for name, picture in drawn.items():
        assert (picture.format, picture.size, picture.mode) == ("WEBP", committed[name].size, committed[name].mode)
        assert picture.tobytes() == committed[name].tobytes() or psnr(picture, committed[name]) > 40
    for variant in cover_variants():
        assert drawn[f"placeholder_{variant.name}.webp"].size == (variant.edge_px, variant.edge_px)
    assert drawn["transparent.webp"].getpixel((0, 0))[3] == 0


def test_the_placeholder_command_explains_itself(capsys):
    assert placeholders.main([]) == 2
    assert "placeholders DIR" in capsys.readouterr().err


def test_errors_never_quote_the_image():
    body = encoded(noise("RGB", 60, 60), "PNG")
    with pytest.raises(ImageRejected) as caught:
        imaging.render(body[:80], PAIR)
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 80


def test_an_image_may_be_rendered_more_than_once():
    """Rendering leaves no state that would change the next image."""
    first = encoded(quartered(), "PNG")
    alone = imaging.render(first, PAIR)
    imaging.render(encoded(noise("CMYK", 80, 80), "JPEG"), PAIR)
    with pytest.raises(ImageRejected):
        imaging.render(b"nothing", PAIR)
    assert imaging.render(first, PAIR) == alone
    assert io.BytesIO(alone.variants["detail"]).read(4) == b"RIFF"
