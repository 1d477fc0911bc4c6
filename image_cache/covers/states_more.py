"""What the row of an image says about it now."""

from image_cache.engine.registry import ImageRecord
from image_cache.models import Cover

# Times further ahead than any back-off were written by a clock that was wrong; they keep nobody away.
LONGEST_REST_S, LONGEST_FINAL_REST_S = 2 * 3600.0, 60 * 86400.0


def is_given_up(image: ImageRecord, now: float) -> bool:
    """Tell whether a page should say that there is no picture, for the time being."""
    return image.is_final and is_resting(image, now)


def is_resting(image: ImageRecord, now: float) -> bool:
    """Tell whether the last load failed and it is too early for the next one."""
    longest_s = LONGEST_FINAL_REST_S if image.is_final else LONGEST_REST_S
    return image.failures > 0 and now < image.retry_at <= now + longest_s


def cover(image: ImageRecord, state: str) -> Cover:
    edge_px = max(image.width or 0, image.height or 0) or None
    return Cover(image.digest, state, image.average, image.hue, image.chroma, image.retry_at or None, edge_px)
