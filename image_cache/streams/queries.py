"""What a viewer finds: lists, searches and numbers, made of nothing but what the policy lets him see."""

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from image_cache.errors import NotVisible
from image_cache.models import ImageVisibility, Stream, StreamImage, Viewer, is_member, may_edit, may_see
from image_cache.streams.cache import StreamImageCache
from image_cache.streams.table import StreamTable
from image_cache.streams.validation import SLUG, checked_image_id

STATS_S = 1800.0
SHOWN_OF_EACH = 4
FOUND_MOST = 200
DAY_S = 86400.0
MEMOS_KEPT = 1024


@dataclass(frozen=True, slots=True)
class StreamCard:
    """A stream in a list: how many images the viewer may see, and the first of them."""

    stream: Stream
    count: int
    images: tuple[StreamImage, ...]
    may_edit: bool


class StreamQueries:
    """Any thread, several processes."""

    def __init__(self, rows: StreamTable, cache: StreamImageCache, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = rows
        self._cache = cache
        self._clock = clock
        self._memo: dict[int, tuple[int, float, dict[str, Any]]] = {}  # replaced whole, so unlocked

    def stream(self, viewer: Viewer, slug: str) -> Stream:
        """Return a stream whose page the viewer may open. Raises `NotVisible`."""
        stream = self._rows.stream(slug) if SLUG.fullmatch(slug) else None
        if stream is None:
            raise NotVisible
        if stream.visibility is not ImageVisibility.PUBLIC and not is_member(viewer, stream):
            counts = self._rows.tallies(stream.id).get(stream.id, {})
            if not any(kind in counts for kind in _kinds(viewer, stream)):
                raise NotVisible
        return stream

    def image(self, viewer: Viewer, image_id: str, slug: str | None = None) -> tuple[Stream, StreamImage]:
        """Return an image that the viewer may see, with its stream. Raises `NotVisible`, whatever the reason."""
        found = self._rows.image(checked_image_id(image_id))
        if found is None:
            raise NotVisible
        stream, image = found
        if (slug is not None and slug != stream.slug) or not may_see(viewer, stream, image):
            raise NotVisible
        return stream, self._placed(image)

    def images(self, viewer: Viewer, stream: Stream, text: str = "") -> list[StreamImage]:
        """Return the images of a stream that the viewer may see, in their order; those that answer a search, best first."""
        rows = self._rows.matching(text, stream.id) if text.strip() else self._rows.images(stream.id)
        return [self._placed(image) for image in rows if may_see(viewer, stream, image)]

    def streams(self, viewer: Viewer) -> list[StreamCard]:
        """Return the streams that the viewer may open, the newest first, without pictures."""
        tallies, cards = self._rows.tallies(), []
        for stream in self._rows.streams():
            counts = tallies.get(stream.id, {})
            count = sum(counts[kind][0] for kind in _kinds(viewer, stream) if kind in counts)
            if count or stream.visibility is ImageVisibility.PUBLIC or is_member(viewer, stream):
                cards.append(StreamCard(stream, count, (), may_edit(viewer, stream)))
        return cards

    def with_images(self, viewer: Viewer, cards: Sequence[StreamCard]) -> list[StreamCard]:
        """Return the cards with the first images of each stream: for those of one page."""
        full = []
        for card in cards:
            rows = self._rows.first_images(card.stream.id, _kinds(viewer, card.stream), SHOWN_OF_EACH)
            seen = tuple(self._placed(image) for image in rows if may_see(viewer, card.stream, image))
            full.append(replace(card, images=seen))
        return full

    def search(self, viewer: Viewer, text: str) -> list[tuple[Stream, StreamImage]]:
        """Return the images of all streams that answer a search and that the viewer may see, best first."""
        streams = {stream.slug: stream for stream in self._rows.streams()}
        found: list[tuple[Stream, StreamImage]] = []
        for image in self._rows.matching(text):
            stream = streams.get(image.stream_id)
            if stream is not None and may_see(viewer, stream, image):
                found.append((stream, self._placed(image)))
                if len(found) == FOUND_MOST:
                    break
        return found

    def stats(self, stream: Stream, viewer: Viewer | None = None) -> dict[str, Any]:
        """Return the numbers of a stream: of everything in it, or of what a viewer may see."""
        tallies = self._rows.tallies(stream.id).get(stream.id, {})
        kinds = list(ImageVisibility) if viewer is None else _kinds(viewer, stream)
        seen = {kind: tallies.get(kind, (0, 0, 0)) for kind in kinds}
        counts = {kind.value: seen[kind][0] if kind in seen else 0 for kind in ImageVisibility}
        return {
            "total": sum(counts.values()),
            "public": counts["public"],
            "private": counts["private"],
            "subscribers": counts["subscribers"],
            "total_size_mb": round(sum(size for _, size, _ in seen.values()) / 1e6, 2),
            "most_viewed": max((most for _, _, most in seen.values()), default=0),
        }

    def remembered_stats(self, stream: Stream) -> dict[str, Any]:
        """Return the numbers of a whole stream, kept for 30 minutes or until an image comes, goes or changes its visibility."""
        revision, now = self._rows.revision(), self._clock()
        kept = self._memo.get(stream.id)
        if kept is not None and kept[0] == revision and 0 <= now - kept[1] < STATS_S:
            return dict(kept[2])
        stats = self.stats(stream)
        if len(self._memo) >= MEMOS_KEPT:
            self._memo.clear()
        self._memo[stream.id] = (revision, now, stats)
        return dict(stats)

    def views_by_day(self, image_ids: Sequence[str], days: int = 30) -> dict[str, list[tuple[str, int]]]:
        """Return, for each image, (day, views) of the last days, the oldest first, days without views included."""
        today = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).date()
        names = [(today - datetime.timedelta(days=back)).isoformat() for back in range(days - 1, -1, -1)]
        found = self._rows.views(image_ids, names[0])
        return {image_id: [(day, found.get(image_id, {}).get(day, 0)) for day in names] for image_id in image_ids}

    def _placed(self, image: StreamImage) -> StreamImage:
        return replace(image, thumbnail_path=self._cache.key(image.image_id).path)


def _kinds(viewer: Viewer, stream: Stream) -> list[ImageVisibility]:
    return [kind for kind in ImageVisibility if may_see(viewer, stream, kind)]
