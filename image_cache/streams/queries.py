"""Queries for a viewer: streams, images, searches and figures of exactly what the policy lets the viewer see."""

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from image_cache.errors import NotVisible
from image_cache.frozen import frozen
from image_cache.models import ImageVisibility, Stream, StreamImage, Viewer
from image_cache.streams.cache import StreamImageCache
from image_cache.streams.table import StreamTable
from image_cache.streams.upload.validation import SLUG, checked_image_id
from image_cache.text import fold
from image_cache.visibility import is_member, may_edit, may_see

STATS_S = 1800.0
MAX_FOUND = 200
DAY_S = 86400.0
MAX_CACHED_STATS = 1024


@frozen
class StreamCard:
    """A stream in a list: how many images the viewer may see, and the one that stands for it."""

    stream: Stream
    count: int
    cover: StreamImage | None
    may_edit: bool


class StreamQueries:
    """Reads streams for viewers. Any thread, several processes."""

    def __init__(self, rows: StreamTable, cache: StreamImageCache, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = rows
        self._cache = cache
        self._clock = clock
        self._cached_stats: dict[int, tuple[int, float, dict[str, Any]]] = {}  # values are replaced whole, so unlocked

    def stream(self, viewer: Viewer, slug: str) -> Stream:
        """Return a stream whose page the viewer may open. Raises `NotVisible`."""
        stream = self._rows.stream(slug) if SLUG.fullmatch(slug) else None
        if stream is None:
            raise NotVisible
        if stream.visibility is not ImageVisibility.PUBLIC and not is_member(viewer, stream):
            counts = self._rows.totals(stream.id).get(stream.id, {})
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
        return stream, self._with_thumbnail_path(image)

    def images(self, viewer: Viewer, stream: Stream, text: str = "") -> list[StreamImage]:
        """Return the images of a stream that the viewer may see, in order; with `text` those that match it, best first.

        Those who edit the stream see the names of the files, and so find images by them; for others names stay hidden.
        """
        if text.strip():
            rows = self._rows.search(text, stream.id)
            if may_edit(viewer, stream):
                rows = _with_named(rows, self._rows.images(stream.id), text)
        else:
            rows = self._rows.images(stream.id)
        return [self._with_thumbnail_path(image) for image in rows if may_see(viewer, stream, image)]

    def all_images(self, stream: Stream) -> list[StreamImage]:
        """Return all images of a stream, regardless of the viewer: for the privacy check only."""
        return self._rows.images(stream.id)

    def streams(self, viewer: Viewer) -> list[StreamCard]:
        """Return the streams that the viewer may open, the newest event first, without their covers."""
        totals, cards = self._rows.totals(), []
        for stream in self._rows.streams():
            counts = totals.get(stream.id, {})
            count = sum(counts[kind][0] for kind in _kinds(viewer, stream) if kind in counts)
            if count or stream.visibility is ImageVisibility.PUBLIC or is_member(viewer, stream):
                cards.append(StreamCard(stream, count, None, may_edit(viewer, stream)))
        return sorted(cards, key=_event_day, reverse=True)

    def with_covers(self, viewer: Viewer, cards: Sequence[StreamCard]) -> list[StreamCard]:
        """Return the cards with the cover of each stream, as far as this viewer may see it: call it for those of one page."""
        full = []
        for card in cards:
            image = self._rows.cover(card.stream, _kinds(viewer, card.stream))
            if image is not None and may_see(viewer, card.stream, image):
                card = replace(card, cover=self._with_thumbnail_path(image))  # noqa: PLW2901
            full.append(card)
        return full

    def search(self, viewer: Viewer, text: str) -> list[tuple[Stream, StreamImage]]:
        """Return the images of all streams that match a search and that the viewer may see, best first."""
        streams = {stream.slug: stream for stream in self._rows.streams()}
        found: list[tuple[Stream, StreamImage]] = []
        edited = [image for stream in streams.values() if may_edit(viewer, stream) for image in self._rows.images(stream.id)]
        for image in _with_named(self._rows.search(text), edited, text):
            stream = streams.get(image.stream_id)
            if stream is not None and may_see(viewer, stream, image):
                found.append((stream, self._with_thumbnail_path(image)))
                if len(found) == MAX_FOUND:
                    break
        return found

    def stats(self, stream: Stream, viewer: Viewer | None = None) -> dict[str, Any]:
        """Return the figures of a stream: of everything in it, or of what a viewer may see."""
        totals = self._rows.totals(stream.id).get(stream.id, {})
        kinds = list(ImageVisibility) if viewer is None else _kinds(viewer, stream)
        seen = {kind: totals.get(kind, (0, 0, 0)) for kind in kinds}
        counts = {kind.value: seen[kind][0] if kind in seen else 0 for kind in ImageVisibility}
        return {
            "total": sum(counts.values()),
            "public": counts["public"],
            "private": counts["private"],
            "subscribers": counts["subscribers"],
            "total_size_mb": round(sum(size for _, size, _ in seen.values()) / 1e6, 2),
            "most_viewed": max((most for _, _, most in seen.values()), default=0),
        }

    def cached_stats(self, stream: Stream) -> dict[str, Any]:
        """Return the figures of a whole stream, cached for 30 minutes or until an image is added, deleted or changes visibility."""
        revision, now = self._rows.revision(), self._clock()
        cached = self._cached_stats.get(stream.id)
        if cached is not None and cached[0] == revision and 0 <= now - cached[1] < STATS_S:
            return dict(cached[2])
        stats = self.stats(stream)
        if len(self._cached_stats) >= MAX_CACHED_STATS:
            self._cached_stats.clear()
        self._cached_stats[stream.id] = (revision, now, stats)
        return dict(stats)

    def views_by_day(self, image_ids: Sequence[str], days: int = 30) -> dict[str, list[tuple[str, int]]]:
        """Return (day, views) of the last days for each image, the oldest first, including days without views."""
        today = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).date()
        names = [(today - datetime.timedelta(days=back)).isoformat() for back in range(days - 1, -1, -1)]
        found = self._rows.views(image_ids, names[0])
        return {image_id: [(day, found.get(image_id, {}).get(day, 0)) for day in names] for image_id in image_ids}

    def _with_thumbnail_path(self, image: StreamImage) -> StreamImage:
        return replace(image, thumbnail_path=self._cache.key(image.image_id).path)


def _with_named(rows: list[StreamImage], more: Sequence[StreamImage], text: str) -> list[StreamImage]:
    """Return `rows` and those of `more` whose file name has every word of a search."""
    words, known = fold(text).split(), {image.image_id for image in rows}
    named = [image for image in more if image.image_id not in known and all(word in fold(image.filename) for word in words)]
    return rows + (named if words else [])


def _event_day(card: StreamCard) -> str:
    """Return the ISO date of the event, or of the creation of a stream that has no such date."""
    try:
        return datetime.date.fromisoformat(card.stream.event_date).isoformat()
    except ValueError:
        return datetime.datetime.fromtimestamp(card.stream.created_at, datetime.UTC).date().isoformat()


def without_edit_rights(viewer: Viewer, stream: Stream) -> Viewer:
    """Return the viewer without any right to edit the stream."""
    role = "" if stream.owner_id is None else viewer.role
    return replace(viewer, role=role, owns=viewer.owns - {stream.id}, co_owns=viewer.co_owns - {stream.id})


def _kinds(viewer: Viewer, stream: Stream) -> list[ImageVisibility]:
    return [kind for kind in ImageVisibility if may_see(viewer, stream, kind)]
