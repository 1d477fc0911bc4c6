"""Variants and their recipes, and the results of rendering: plain values for both sides of the decoder's socket."""

import math

from image_cache.frozen import frozen
from image_cache.imaging.color import Colour

RENDERER_VERSION = 1  # incremented when the same bytes with the same settings would give other pixels


@frozen
class Variant:
    """A recipe for derived bytes: WebP, longest side at most `edge_px`, never larger than the original.

    `method` is libwebp's effort (0 to 6). `draft` is how much larger than the result a JPEG is decoded: with 1 libjpeg may
    shrink it to any size not below the result, with 2 not below twice the result. `blur_px` is the longest side to which the
    image is reduced before it is enlarged again, so that the blur cannot be undone. A variant with a `source` is always made from
    the stored bytes of the variant of that name, never from the original: so it is the same however often it is lost.
    """

    name: str
    edge_px: int
    quality: int = 85
    method: int = 2
    draft: int = 1
    blur_px: int = 0
    source: str = ""

    @property
    def spec(self) -> str:
        """Canonical text of what determines the bytes; part of every key. Not `source`, which would give every cover a new address."""
        return (
            f"{self.name};edge={self.edge_px};quality={self.quality};method={self.method}"
            f";draft={self.draft};renderer={RENDERER_VERSION}"
        ) + (f";blur={self.blur_px}" if self.blur_px else "")


BLUR_PX = 12  # longest side of a blurred image before it is enlarged: colours and rough shapes, no faces, no words
# recipe -> (method, draft)
RECIPES = {"fast": (2, 1), "quality": (4, 2)}


def cover_variants(thumbnail_px: int = 150, detail_px: int = 600, quality: int = 85, recipe: str = "fast") -> tuple[Variant, ...]:
    """Return the variants of covers: two sizes, the same at twice the size for `srcset`, and one for streams.

    What is smaller than `detail` is made from it.
    """
    method, draft = RECIPES[recipe]
    edges = {
        "thumbnails": thumbnail_px,
        "thumbnails-2x": 2 * thumbnail_px,
        "detail": detail_px,
        "detail-2x": 2 * detail_px,
        "stream_thumb": 200,
    }
    return tuple(
        Variant(name, edge_px, quality, method, draft, source="detail" if edge_px <= detail_px and name != "detail" else "")
        for name, edge_px in edges.items()
    )


def stream_variants(quality: int = 85, recipe: str = "fast") -> tuple[Variant, ...]:
    """Return the variants of a stream image: three sizes, and two of them blurred for sensitive images."""
    method, draft = RECIPES[recipe]
    return (
        Variant("stream_thumb", 200, quality, method, draft),
        Variant("stream_detail", 600, quality, method, draft),
        Variant("stream_large", 1200, quality, method, draft),
        Variant("stream_thumb_blurred", 200, quality, method, draft, BLUR_PX),
        Variant("stream_detail_blurred", 600, quality, method, draft, BLUR_PX),
    )


def fit(size: tuple[int, int], edge_px: int) -> tuple[int, int]:
    """Return the size that fits a square of `edge_px`: never enlarged, no side below one pixel, the nearest aspect ratio."""
    longest, shortest = max(size), min(size)
    if longest <= edge_px:
        return size
    exact = shortest * edge_px / longest
    near = (max(1, math.floor(exact)), max(1, math.ceil(exact)))
    # Nearest in ratio, not in pixels: 4:3 at 150 px is 113 high, as in browsers and other tools.
    short = min(near, key=lambda side: abs(longest / shortest - edge_px / side))
    return (edge_px, short) if size[0] >= size[1] else (short, edge_px)


@frozen
class Facts:
    """Facts from the header of an image. Width and height are before orientation; `cost_bytes` is what decoding may need.

    Of several `frames` (an animation) only the first is rendered. `taken_at` is ISO 8601 without a zone, "" if unknown.
    """

    format: str
    width: int
    height: int
    mode: str
    cost_bytes: int
    frames: int = 1
    taken_at: str = ""


@frozen
class Rendered:
    """A rendered image. `variants` maps names to WebP bytes; width and height are those of the original after orientation.

    `average` is "#rrggbb" in sRGB. `hue` (OKLCH degrees, a multiple of 5 below 360) and `chroma` (a multiple of .02) tint a page.
    `appearance` is None unless it was requested.
    """

    variants: dict[str, bytes]
    width: int
    height: int
    average: str
    hue: int
    chroma: float
    appearance: "ImageAppearance | None" = None


@frozen
class ImageAppearance:
    """What an image looks like. `hash` is None if it shows too little to compare; `is_blank`: one colour and nothing else."""

    colours: tuple[Colour, ...]
    hash: int | None
    is_blank: bool
