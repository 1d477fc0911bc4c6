"""What decoding a picture may cost, known from its header. Arithmetic only."""

from image_cache.errors import ImageRejected

# Most megapixels at a budget of 256 MB; other budgets scale them. They come from measured peak memory per pixel: PNG 12 bytes,
# GIF 7, BMP and AVIF 14, WebP 20 (Pillow decodes every WebP through the animation decoder). A JPEG in one scan shrinks while it
# is decoded and needs hardly any; its figure bounds the time. With several scans libjpeg keeps all coefficients.
REFERENCE_BUDGET_BYTES = 256 << 20
MEGAPIXELS = {"JPEG": 100, "JPEG in several scans": 50, "GIF": 32, "PNG": 20, "BMP": 16, "AVIF": 16, "WEBP": 12}
COEFFICIENT_SLACK = 1.25  # what libjpeg and the pixels need besides the coefficients
MAX_SIDE_PX = 65_535
MAX_ASPECT = 200


def most_pixels(budget_bytes: int) -> int:
    """Return the pixels of the largest picture that any format may have under this budget."""
    return int(max(MEGAPIXELS.values()) * 1e6 * budget_bytes / REFERENCE_BUDGET_BYTES)


def decode_cost(size: tuple[int, int], kind: str, bytes_per_px: float, budget_bytes: int) -> int:
    """Return what decoding may need, in bytes, by the figure of its kind and by `bytes_per_px` where that is known (else 0).

    Raises `ImageRejected` that names the limit.
    """
    width, height = size
    if min(size) < 1:
        raise ImageRejected(f"{kind} of {width}x{height} px has no pixels")
    if max(size) > MAX_SIDE_PX:
        raise ImageRejected(f"{kind} of {width}x{height} px: a side may have {MAX_SIDE_PX} px")
    if max(size) > MAX_ASPECT * min(size):
        raise ImageRejected(f"{kind} of {width}x{height} px: the sides may differ by a factor of {MAX_ASPECT}")
    scale = budget_bytes / REFERENCE_BUDGET_BYTES
    limit_px = int(MEGAPIXELS[kind] * 1e6 * scale)
    if bytes_per_px:
        limit_px = min(limit_px, int(budget_bytes / bytes_per_px))
    if width * height > limit_px:
        raise ImageRejected(
            f"{kind} of {width}x{height} px: {width * height / 1e6:.1f} megapixels, the decode budget allows {limit_px / 1e6:.1f}"
        )
    return width * height * budget_bytes // limit_px
