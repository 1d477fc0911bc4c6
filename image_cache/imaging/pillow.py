"""Rendering with Pillow. Runs in the decoder's child only; the web process never imports this module."""

import contextlib
import io
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence

from PIL import AvifImagePlugin, Image, ImageCms, ImageFile, ImageFilter
from PIL import WebPImagePlugin as _registers_webp  # noqa: F401

from image_cache.errors import ImageRejected
from image_cache.imaging.palette import GRID_PX, analyse_pixels, tint
from image_cache.imaging.sniff import (
    COEFFICIENT_SLACK,
    MAX_SCANS,
    REFERENCE_BUDGET_BYTES,
    canvas,
    decode_cost,
    jpeg_layout,
    most_pixels,
    sniff,
)
from image_cache.imaging.variants import Facts, ImageAppearance, Rendered, Variant, cover_variants, fit

ImageFile.LOAD_TRUNCATED_IMAGES = False  # half a cover kept for a year is worse than none
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # threads would cost eight megabytes of stack each, and hide from the CPU limit

REDUCING_GAP = 3.0  # a box filter first, down to three times the result: not visible, and large PNGs cost a third
STRIP_ROWS = 64
BOX = Image.Resampling.BOX
LOOK_PX = 48  # edge of what a palette is made from
CHAIN_FACTOR = 3  # a variant is made from the smallest one that is at least so much larger

# What Pillow and its codecs raise on bad bytes. A MemoryError is none of it: the child answers that one itself.
_BROKEN = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, RuntimeError),
    *(AssertionError, BufferError),
    *(struct.error, zlib.error, ImageCms.PyCMSError),
)
_SHRINKABLE = ("L", "RGB", "CMYK")
_ORIENTATION = 0x0112
_TURN_NAMES = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"  # EXIF codes 2 to 8
_TURNS = {code: Image.Transpose[name] for code, name in enumerate(_TURN_NAMES.split(), 2)}
_SRGB_NAME = re.compile(r"sRGB( IEC ?61966[-.]2[-.]1.*| built-in)?\s*")
_PROFILE_SPACES = {"RGB ": ("RGB",), "GRAY": ("L",), "CMYK": ("CMYK",)}


def probe(body: bytes, *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> Facts:
    """Read the header. Raises `ImageRejected` when this is no picture of ours or decoding it could exceed the budget."""
    with _rejecting(body):
        return _open(body, budget_bytes)[0]


def render(body: bytes, variants: Sequence[Variant], *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> Rendered:
    """Decode once and make every variant: turned upright, in sRGB, alpha kept, first frame, nothing but pixels in it.

    The largest is made from the decoded pixels, the others from larger ones, so bytes depend a little on which variants are
    asked for together: ask for the same set for the same kind of picture. Raises `ImageRejected`.
    """
    with _rejecting(body):
        facts, image = _open(body, budget_bytes)
        order = sorted(variants, key=lambda variant: variant.edge_px, reverse=True)
        largest = order[0]
        size = fit(image.size, largest.edge_px)
        if facts.format == "JPEG":
            image.draft("RGB", (size[0] * largest.draft, size[1] * largest.draft))
        image.load()
        turn, profile = _orientation(image), image.info.get("icc_profile")
        pixels = _srgb(_sized(image, size), profile)
        if turn is not None:
            pixels = pixels.transpose(turn)
        width, height = (facts.height, facts.width) if _is_sideways(turn) else (facts.width, facts.height)

        made = [pixels]
        encoded: dict[tuple[tuple[int, int], int, int, int], bytes] = {}
        blobs: dict[str, bytes] = {}
        for variant in order:
            goal = fit((width, height), variant.edge_px)
            picture = _shrunk(made, goal)
            recipe = (goal, variant.quality, variant.method, variant.blur_px)
            if recipe not in encoded:  # a small original fills several variants with the same picture
                encoded[recipe] = webp(picture, *recipe[1:])
            blobs[variant.name] = encoded[recipe]
        few = made[-1].convert("RGBA").resize((16, 16), BOX)
        average, hue, chroma = tint(few.tobytes())
        return Rendered({v.name: blobs[v.name] for v in variants}, width, height, average, hue, chroma)


def to_jpeg(webp: bytes, quality: int = 85, *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> bytes:
    """Return a rendered variant as JPEG for the browsers that know no WebP; what is transparent becomes white."""
    with _rejecting(webp):
        out = io.BytesIO()
        _on_white(_open(webp, budget_bytes)[1]).save(out, "JPEG", quality=quality, optimize=True)
        return out.getvalue()


def analyse(webp: bytes, *, budget_bytes: int = REFERENCE_BUDGET_BYTES) -> ImageAppearance:
    """Return what a rendered variant looks like; what is transparent counts as white."""
    with _rejecting(webp):
        shown = _on_white(_open(webp, budget_bytes)[1])
        few, grey = shown.resize((LOOK_PX, LOOK_PX), BOX), shown.convert("L").resize((GRID_PX, GRID_PX), BOX)
        return analyse_pixels(few.tobytes(), grey.tobytes())


def _on_white(image: Image.Image) -> Image.Image:
    is_clear = image.mode == "RGBA"
    return (Image.alpha_composite(Image.new("RGBA", image.size, "white"), image) if is_clear else image).convert("RGB")


def grey_webp(pixels: bytes, size: tuple[int, int], shown: tuple[int, int]) -> bytes:
    """Return bytes of brightness, row by row, as a WebP of another size."""
    picture = Image.frombytes("L", size, pixels)
    return webp(picture.resize(shown, Image.Resampling.BICUBIC).convert("RGB"), 85, 4)


def render_pair(body: bytes) -> tuple[bytes, bytes]:
    """Return (600 px, 150 px) by the default recipe. For benchmarks: the budget is wide enough for any of their pictures."""
    table = {variant.name: variant for variant in cover_variants()}
    made = render(body, (table["detail"], table["thumbnails"]), budget_bytes=8 << 30).variants
    return made["detail"], made["thumbnails"]


def warm_up() -> None:
    """Import what Pillow imports on first use, so that processes forked from this one share it."""
    from PIL import TiffImagePlugin as _reads_exif  # noqa: F401

    Image.preinit()


# --- opening


def _open(body: bytes, budget_bytes: int) -> tuple[Facts, Image.Image]:
    """Open a picture up to its pixels, and refuse it when they would cost too much."""
    format_ = sniff(body)
    if format_ is None:
        raise ImageRejected("not a picture: the content is none of JPEG, PNG, GIF, WebP, BMP, AVIF")
    kind, bytes_per_px, size = format_, 0.0, canvas(body, format_)
    if format_ == "JPEG":
        layout = jpeg_layout(body)
        if layout is None or layout.scans > MAX_SCANS:
            raise ImageRejected(f"JPEG with more than {MAX_SCANS} scans, or with too many segments")
        size = layout.size
        if layout.holds_coefficients:
            kind, bytes_per_px = "JPEG in several scans", layout.coefficient_bytes * COEFFICIENT_SLACK
    if size is not None:
        decode_cost(size, kind, bytes_per_px, budget_bytes)
    Image.MAX_IMAGE_PIXELS = most_pixels(budget_bytes)  # Pillow's own limit is the second line, behind ours
    image = Image.open(io.BytesIO(body), formats=(format_,))
    cost = decode_cost(image.size, kind, bytes_per_px, budget_bytes)
    return Facts(format_, image.width, image.height, image.mode, cost), image


@contextlib.contextmanager
def _rejecting(body: bytes) -> Iterator[None]:
    """Turn what Pillow raises on bad bytes into `ImageRejected`; make its bomb warning an error and drop its other warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            limit = f"{(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.1f}"
            raise ImageRejected(
                f"{sniff(body)} of more megapixels than the decode budget allows for any format: {limit}"
            ) from error
        except _BROKEN as error:
            # The text of a Pillow error may quote the picture: only its type is ours to show.
            raise ImageRejected(f"broken {sniff(body) or 'picture'}: {type(error).__name__}") from error


# --- pixels


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the decoded picture shrunk to `size`, in a mode that holds colours.

    What has to be converted first is converted in strips and thinned on the way: a whole second copy, and a third one for
    premultiplied alpha, would cost more memory than decoding.
    """
    if image.mode in _SHRINKABLE and not image.has_transparency_data:
        if image.size == size:
            return image
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    width, height = image.size
    factor = max(1, int(min(width / size[0], height / size[1]) / REDUCING_GAP))
    whole: Image.Image | None = None
    for top in range(0, height, STRIP_ROWS * factor):
        strip = _plain(image.crop((0, top, width, min(height, top + STRIP_ROWS * factor))))
        if factor > 1:
            strip = strip.reduce(factor)
        if whole is None:
            whole = Image.new(strip.mode, (strip.width, math.ceil(height / factor)))
        whole.paste(strip, (0, top // factor))
    if whole is None or whole.size == size:
        return whole or image
    return whole.resize(size, Image.Resampling.LANCZOS, box=(0, 0, width / factor, height / factor))


def _plain(image: Image.Image) -> Image.Image:
    """Convert to L, RGB, CMYK, or RGBa: premultiplied, so that the colour of transparent pixels does not bleed."""
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
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:  # broken metadata is no reason to refuse a picture
        return None


def _is_sideways(turn: Image.Transpose | None) -> bool:
    return turn in (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8])


def _srgb(pixels: Image.Image, profile: bytes | None) -> Image.Image:
    """Return RGB, or RGBA when something is transparent, converted to sRGB when the picture came with another usable profile."""
    alpha = None
    if pixels.mode == "RGBa":
        pixels = pixels.convert("RGBA")
        alpha = pixels.getchannel("A")
        pixels = pixels.convert("RGB")
        if alpha.getextrema()[0] == 255:
            alpha = None
    if profile:
        pixels = _converted(pixels, profile)
    if pixels.mode != "RGB":
        pixels = pixels.convert("RGB")
    if alpha is not None:
        pixels.putalpha(alpha)
    return pixels


def _converted(pixels: Image.Image, profile: bytes) -> Image.Image:
    try:
        origin = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if pixels.mode not in _PROFILE_SPACES.get(origin.profile.xcolor_space, ()):
            return pixels  # a profile of another colour space than the pixels says nothing about them
        if _SRGB_NAME.fullmatch(ImageCms.getProfileDescription(origin).strip("\0")):
            return pixels
        done = ImageCms.profileToProfile(pixels, origin, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except _BROKEN:  # a broken profile is ignored, as browsers do
        return pixels
    return pixels if done is None else done


def _shrunk(made: list[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Return a picture of this size, made from the smallest one in `made` that is sharp enough for it, and add it to `made`."""
    if made[-1].size == size:
        return made[-1]
    enough = [picture for picture in made if max(picture.size) >= CHAIN_FACTOR * max(size)]
    made.append((enough or made)[-1 if enough else 0].resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP))
    return made[-1]


def webp(picture: Image.Image, quality: int, method: int, blur_px: int = 0) -> bytes:
    if blur_px:  # made from so few of its pixels that what it shows cannot be brought back
        few = picture.convert("RGBA").resize(fit(picture.size, blur_px), BOX)
        soft = few.resize(picture.size, Image.Resampling.BICUBIC)
        picture = soft.filter(ImageFilter.GaussianBlur(max(picture.size) / blur_px / 3)).convert(picture.mode)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=quality, method=method, exif=b"", xmp=b"", icc_profile=b"")
    return out.getvalue()
