"""Rendering with Pillow. Runs in the decoder's child only; the web process never imports this module."""

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import AvifImagePlugin, Image, ImageFile, ImageFilter
from PIL import WebPImagePlugin as _registers_webp  # noqa: F401

from image_cache.errors import UNKNOWN_FORMAT, ImageRejected
from image_cache.imaging import barcode, heic
from image_cache.imaging.color_profiles import BROKEN, to_srgb
from image_cache.imaging.palette import GRID_PX, analyse_pixels, tint
from image_cache.imaging.sniff import (
    COEFFICIENT_SLACK,
    MAX_SCANS,
    REFERENCE_BUDGET_BYTES,
    avif_kind,
    canvas,
    decode_cost,
    exif_orientation,
    exif_taken,
    gif_frames,
    jpeg_layout,
    max_pixels,
    sniff,
)
from image_cache.imaging.variants import Facts, ImageAppearance, Rendered, Variant, cover_variants, fit

ImageFile.LOAD_TRUNCATED_IMAGES = False  # half a cover that is cached for a year is worse than none
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each thread would cost 8 MB of stack

REDUCING_GAP = 3.0  # first a box filter, down to three times the result: not visible, and a third of the cost for large PNGs
STRIP_ROWS = 64
BOX = Image.Resampling.BOX
PALETTE_PX = 48  # edge of the image from which a palette is computed
CHAIN_FACTOR = 3  # a variant is made from the smallest image that is at least so many times larger

_SHRINKABLE = ("L", "RGB", "CMYK")
# Two endings for a JPEG without one. If they give different pixels, more is missing than the end marker.
_ENDINGS = (b"\xff\xd9", b"\x5a" * 256 + b"\xff\xd9")
_TRANSPOSE_NAMES = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"  # EXIF codes 2 to 8
_TRANSPOSES = {code: Image.Transpose[name] for code, name in enumerate(_TRANSPOSE_NAMES.split(), 2)}


def probe(body: bytes, *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> Facts:
    """Read the header. Raises `ImageRejected` if the format is not supported or decoding could exceed the budget."""
    with _rejecting(body):
        return _open(body, budget_bytes)[0]


def render(
    body: bytes, variants: Sequence[Variant], *, budget_bytes: int = REFERENCE_BUDGET_BYTES, analyses: bool = False
) -> Rendered:
    """Decode once and render every variant: oriented, in sRGB, with alpha, only the first frame, without metadata.

    Variants with a source are made from its bytes: those that are rendered along, or `body` itself if all of them have one. Of the
    others the largest is made from the decoded pixels, the rest from larger variants, so their bytes depend slightly on which
    of them are rendered together: request the same set for the same kind of image. Raises `ImageRejected`.
    """
    originals = [variant for variant in variants if not variant.source]
    derived = [variant for variant in variants if variant.source]
    with _rejecting(body):
        rendered = _render_originals(body, originals, budget_bytes) if originals else _facts_of_source(body, budget_bytes)
        blobs = dict(rendered.variants)
        pixels: Image.Image | None = None
        for name in dict.fromkeys(variant.source for variant in derived):
            source = blobs[name] if originals else body
            pixels = _open(source, budget_bytes)[1]
            for variant in derived:
                if variant.source == name:
                    blobs[variant.name] = _derive(pixels, source, variant)
        appearance = None
        if analyses:
            appearance = _analyse(pixels or _open(max(blobs.values(), key=len), budget_bytes)[1])
        return replace(rendered, variants={v.name: blobs[v.name] for v in variants}, appearance=appearance)


def _derive(pixels: Image.Image, source: bytes, variant: Variant) -> bytes:
    """Make one variant from the decoded bytes of another, each on its own: so it does not matter which are made together."""
    size = fit(pixels.size, variant.edge_px)
    if size == pixels.size:
        return source
    return webp(to_srgb(_resize(pixels, size), None), variant.quality, variant.method, variant.blur_px)


def _facts_of_source(body: bytes, budget_bytes: int) -> Rendered:
    """Return what is known of a variant from which others are made. Its tint is that of its original, which is known."""
    facts, _ = _open(body, budget_bytes)
    return Rendered({}, facts.width, facts.height, "#808080", 0, 0.0)


def _render_originals(body: bytes, variants: Sequence[Variant], budget_bytes: int) -> Rendered:
    facts, image = _open(body, budget_bytes)
    order = sorted(variants, key=lambda variant: variant.edge_px, reverse=True)
    largest = order[0]
    size = fit(image.size, largest.edge_px)
    draft = (size[0] * largest.draft, size[1] * largest.draft)
    if facts.format == "JPEG":
        image.draft("RGB", draft)
    try:
        heic.load(image) if facts.format == "HEIC" else image.load()
    except OSError:
        if facts.format != "JPEG":
            raise
        image = _load_without_end(body, draft, budget_bytes)
    transpose, profile = _orientation(image), image.info.get("icc_profile")
    pixels = to_srgb(_resize(image, size), profile)
    if transpose is not None:
        pixels = pixels.transpose(transpose)
    width, height = (facts.height, facts.width) if _is_sideways(transpose) else (facts.width, facts.height)

    made = [pixels]
    encoded: dict[tuple[tuple[int, int], int, int, int], bytes] = {}
    blobs: dict[str, bytes] = {}
    for variant in order:
        goal = fit((width, height), variant.edge_px)
        image = _shrink(made, goal)
        recipe = (goal, variant.quality, variant.method, variant.blur_px)
        if recipe not in encoded:  # several variants of a small original are the same image
            encoded[recipe] = webp(image, *recipe[1:])
        blobs[variant.name] = encoded[recipe]
    tiny = made[-1].resize((16, 16), BOX).convert("RGBA")
    average, hue, chroma = tint(tiny.tobytes())
    return Rendered({v.name: blobs[v.name] for v in variants}, width, height, average, hue, chroma)


def to_jpeg(webp: bytes, quality: int = 85, *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> bytes:
    """Return a rendered variant as JPEG for browsers without WebP; transparent pixels become white."""
    with _rejecting(webp):
        out = io.BytesIO()
        _on_white(_open(webp, budget_bytes)[1]).save(out, "JPEG", quality=quality, optimize=True)
        return out.getvalue()


def analyse(webp: bytes, *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> ImageAppearance:
    """Analyse a rendered variant; transparent pixels count as white."""
    with _rejecting(webp):
        return _analyse(_open(webp, budget_bytes)[1])


def read_barcode(body: bytes, *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> tuple[str, bool]:
    """Return the barcode in a photograph; see `barcode.read`. Raises `ImageRejected`."""
    with _rejecting(body):
        facts, image = _open(body, budget_bytes)
        if facts.format == "JPEG":
            image.draft("L", (barcode.LONG_EDGE_PX * 3 // 4, barcode.LONG_EDGE_PX))
        heic.load(image) if facts.format == "HEIC" else image.load()
        return barcode.read(_on_white(image))


def _analyse(image: Image.Image) -> ImageAppearance:
    shown = _on_white(image)
    small = shown.resize((PALETTE_PX, PALETTE_PX), BOX)
    grey = shown.convert("L").resize((GRID_PX, GRID_PX), BOX)
    return analyse_pixels(small.tobytes(), grey.tobytes())


def _on_white(image: Image.Image) -> Image.Image:
    is_clear = image.mode == "RGBA"
    return (Image.alpha_composite(Image.new("RGBA", image.size, "white"), image) if is_clear else image).convert("RGB")


def grey_webp(pixels: bytes, size: tuple[int, int], shown: tuple[int, int]) -> bytes:
    """Return grey pixels, row by row, as a WebP of the size `shown`."""
    image = Image.frombytes("L", size, pixels)
    return webp(image.resize(shown, Image.Resampling.BICUBIC).convert("RGB"), 85, 4)


def render_pair(body: bytes) -> tuple[bytes, bytes]:
    """Return (600 px, 150 px) by the default recipe. For benchmarks: the budget is large enough for all of their images."""
    table = {variant.name: variant for variant in cover_variants()}
    variants = render(body, (table["detail"], table["thumbnails"]), budget_bytes=8 << 30).variants
    return variants["detail"], variants["thumbnails"]


def warm_up() -> None:
    """Import what Pillow imports on first use, so that forked processes share the memory."""
    from PIL import TiffImagePlugin as _reads_exif  # noqa: F401

    Image.preinit()


# --- opening


def _open(body: bytes, budget_bytes: int) -> tuple[Facts, Image.Image]:
    """Open an image without decoding its pixels. Raises `ImageRejected` if that would cost too much."""
    format_ = sniff(body)
    if format_ is None:
        raise ImageRejected("not a supported image (JPEG, PNG, GIF, WebP, BMP or AVIF)", kind=UNKNOWN_FORMAT)
    if format_ == "HEIC":
        heic.register()
    kind, bytes_per_px, size = avif_kind(body) if format_ == "AVIF" else format_, 0.0, canvas(body, format_)
    if format_ == "JPEG":
        layout = jpeg_layout(body)
        if layout is None or layout.scans > MAX_SCANS:
            raise ImageRejected(f"JPEG with more than {MAX_SCANS} scans, or with too many segments")
        size = layout.size
        if layout.holds_coefficients:
            kind, bytes_per_px = "JPEG in several scans", layout.coefficient_bytes * COEFFICIENT_SLACK
    if size is not None:
        decode_cost(size, kind, bytes_per_px, budget_bytes)
    Image.MAX_IMAGE_PIXELS = max_pixels(budget_bytes)  # Pillow's own limit is a second line of defence
    image = Image.open(io.BytesIO(body), formats=("HEIF" if format_ == "HEIC" else format_,))
    cost = decode_cost(image.size, kind, bytes_per_px, budget_bytes)
    exif = image.info.get("exif")
    taken_at = exif_taken(exif) if isinstance(exif, bytes) else ""
    return Facts(format_, image.width, image.height, image.mode, cost, _frames(body, format_, image), taken_at), image


def _frames(body: bytes, format_: str, image: Image.Image) -> int:
    if format_ == "GIF":
        return gif_frames(body)  # Pillow would seek through all of them
    return 1 if format_ in ("JPEG", "HEIC") else int(getattr(image, "n_frames", 1))


def _load_without_end(body: bytes, draft: tuple[int, int], budget_bytes: int) -> Image.Image:
    """Decode a JPEG that has all of its pixels but no end marker, as browsers do. Raises `ImageRejected` for half an image."""
    whole: list[Image.Image] = []
    for ending in _ENDINGS:
        _, image = _open(body + ending, budget_bytes)
        image.draft("RGB", draft)
        image.load()
        whole.append(image)
    if whole[0].tobytes() != whole[1].tobytes():
        raise ImageRejected("incomplete JPEG: its end is missing. Download or save it again")
    return whole[0]


@contextlib.contextmanager
def _rejecting(body: bytes) -> Iterator[None]:
    """Turn what Pillow raises on invalid bytes into `ImageRejected`; its bomb warning too, and ignore its other warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            limit = f"{(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.1f}"
            raise ImageRejected(f"{sniff(body)} too large: over the limit of {limit} megapixels for any format") from error
        except BROKEN as error:
            # The message of a Pillow error may quote the image, and its type means nothing to the reader.
            raise ImageRejected(
                f"corrupt {sniff(body) or 'image'}: its data cannot be read. Download or save it again"
            ) from error


# --- pixels


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the decoded image, resized, in a mode that can be filtered.

    Other modes are converted strip by strip and reduced on the way: a complete second copy, and a third one for premultiplied
    alpha, would cost more memory than decoding.
    """
    if image.mode in _SHRINKABLE and not image.has_transparency_data:
        if image.size == size:
            return image
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    width, height = image.size
    factor = max(1, int(min(width / size[0], height / size[1]) / REDUCING_GAP))
    reduced: Image.Image | None = None
    for top in range(0, height, STRIP_ROWS * factor):
        strip = _to_plain_mode(image.crop((0, top, width, min(height, top + STRIP_ROWS * factor))))
        if factor > 1:
            strip = strip.reduce(factor)
        if reduced is None:
            reduced = Image.new(strip.mode, (strip.width, math.ceil(height / factor)))
        reduced.paste(strip, (0, top // factor))
    if reduced is None or reduced.size == size:
        return reduced or image
    return reduced.resize(size, Image.Resampling.LANCZOS, box=(0, 0, width / factor, height / factor))


def _to_plain_mode(image: Image.Image) -> Image.Image:
    """Convert to L, RGB, CMYK, or premultiplied RGBA, so that the colour of transparent pixels does not bleed."""
    if image.mode.startswith("I;16"):
        return image.point(lambda value: value / 257).convert("L")
    if image.has_transparency_data:
        if image.mode != "RGBA":
            image = image.convert("RGBA")
        return image.convert("RGBa")
    if image.mode in _SHRINKABLE:
        return image
    return image.convert("L" if image.mode in ("1", "I", "F") else "RGB")


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return the rotation in EXIF. XMP is ignored, as in browsers: docs/decisions/0021-orientation-as-browsers.md."""
    exif = image.info.get("exif")
    return _TRANSPOSES.get(exif_orientation(exif)) if isinstance(exif, bytes) else None


def _is_sideways(transpose: Image.Transpose | None) -> bool:
    return transpose in (_TRANSPOSES[5], _TRANSPOSES[6], _TRANSPOSES[7], _TRANSPOSES[8])


def _shrink(made: list[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Return an image of this size, made from the smallest one in `made` that is large enough, and add it to `made`."""
    if made[-1].size == size:
        return made[-1]
    large_enough = [image for image in made if max(image.size) >= CHAIN_FACTOR * max(size)]
    made.append(
        (large_enough or made)[-1 if large_enough else 0].resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    )
    return made[-1]


def webp(image: Image.Image, quality: int, method: int, blur_px: int = 0) -> bytes:
    """Encode an image as WebP without metadata, blurred if `blur_px` is given; see `Variant`."""
    if blur_px:  # made from so few pixels that the contents cannot be restored
        tiny = image.convert("RGBA").resize(fit(image.size, blur_px), BOX)
        soft = tiny.resize(image.size, Image.Resampling.BICUBIC)
        image = soft.filter(ImageFilter.GaussianBlur(max(image.size) / blur_px / 3)).convert(image.mode)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=method, exif=b"", xmp=b"", icc_profile=b"")
    return out.getvalue()
