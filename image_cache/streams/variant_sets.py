"""Which variants of stream images are rendered together, and which of them are missing in the cache."""

from collections.abc import Collection

from image_cache.models import StreamImage
from image_cache.streams.cache import StreamImageCache
from image_cache.streams.table import StreamTable

MAX_REFILL, REFILL_PART = 2000, 200  # variants at a time; images of one statement
# Rendered together: one decode makes them all, and together they always have the same bytes.
SETS = (
    ("stream_thumb", "stream_detail"),
    ("stream_thumb_blurred", "stream_detail_blurred"),
    ("stream_large",),
)


def unrendered(rows: StreamTable, cache: StreamImageCache, tried: Collection[tuple[str, str]]) -> list[tuple[StreamImage, str]]:
    """Return one variant of each set that pages show and that is not cached, at most so many, of what was not tried yet."""
    wanted: list[tuple[StreamImage, str]] = []
    for stream in rows.streams():
        images = rows.images(stream.id)
        for start in range(0, len(images), REFILL_PART):
            part = images[start : start + REFILL_PART]
            keys = {image.image_id: cache.key(image.image_id).digest for image in part}
            stored = cache.engine.index.variants_of(list(keys.values()))
            for image in part:
                names = [SETS[0][0]] + ([SETS[1][0]] if image.is_sensitive else [])
                have = stored.get(keys[image.image_id], set())
                wanted += [(image, name) for name in names if name not in have and (image.image_id, name) not in tried]
            if len(wanted) >= MAX_REFILL:
                return wanted[:MAX_REFILL]
    return wanted
