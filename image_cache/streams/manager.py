"""`StreamImageManager`: streams of images that owners upload, for those whom they allow. The documented class, and the way in.

The methods with a stream's name and no viewer are for scripts and trust their caller. What answers a request goes through
`listing` with the viewer of the session, or asks `may_edit` first.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.shared_counters import SharedCounters
from image_cache.errors import CacheError, FieldRejected, NotVisible
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import stream_variants
from image_cache.models import STRANGER, ImageVisibility, Stream, StreamImage, Viewer
from image_cache.storage.base import Storage
from image_cache.storage.local import LocalStorage
from image_cache.streams.cache import StreamImageCache
from image_cache.streams.images import StreamImages
from image_cache.streams.members import MemberTable, StreamMembers
from image_cache.streams.queries import StreamQueries
from image_cache.streams.table import StreamTable
from image_cache.streams.uploads import Upload, Uploads
from image_cache.streams.validation import (
    SLUG,
    checked_description,
    checked_image_id,
    checked_page,
    checked_slug,
    checked_title,
    checked_visibility,
    slug_of,
)
from image_cache.streams.view_counts import ViewCounts

logger = logging.getLogger(__name__)

DECODE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What an owner may upload, and how it is rendered."""

    max_bytes: int = 20_000_000
    max_images: int = 50
    quality: int = 85
    recipe: str = "fast"


class StreamImageManager:
    """Everything about streams. Any thread, several processes. Made of two folders it brings the rest along by itself.

    `parts` gives it a catalogue, decoder, storage or cache that it shares with others; those it does not close.
    """

    def __init__(
        self,
        images_dir: Path,
        cache_dir: Path,
        *,
        catalog: CatalogDatabase | None = None,
        decoder: Decoder | None = None,
        storage: Storage | None = None,
        cache: StreamImageCache | None = None,
        limits: UploadLimits | None = None,
        windows: SharedCounters | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        limits = limits or UploadLimits()
        self.images_dir = Path(images_dir)
        self._own: list[Any] = []
        if catalog is None:
            catalog = CatalogDatabase(self.images_dir.parent / "catalog.db")
            self._own.append(catalog)
        if decoder is None:
            decoder = Decoder(DECODE_BYTES)
            self._own.append(decoder)
        self.rows = StreamTable(catalog)
        self.cache = cache or StreamImageCache(cache_dir, clock=clock)
        variants = stream_variants(limits.quality, limits.recipe)
        self.cache.repair()
        self.cache.use_recipe("\n".join(variant.spec for variant in variants))
        storage = storage or LocalStorage(self.images_dir)
        self.images = StreamImages(self.rows, storage, self.cache, decoder, variants, clock=clock)
        self.uploads = Uploads(
            self.rows, self.images, decoder, max_bytes=limits.max_bytes, max_images=limits.max_images, clock=clock
        )
        self.members = StreamMembers(MemberTable(catalog), clock=clock)
        self.queries = StreamQueries(self.rows, self.cache, clock=clock)
        self.view_counts = ViewCounts(self.rows, windows=windows, clock=clock)
        self._clock = clock

    # Documented

    def upload_stream_image(  # noqa: PLR0917  the documented order
        self,
        stream_id: str,
        image_data: bytes,
        filename: str,
        visibility: ImageVisibility = ImageVisibility.PUBLIC,
        title: str = "",
        description: str = "",
        page: str = "stream_details",
    ) -> str:
        """Store an image; returns its id. A stream of this name is made when there is none. Raises what `Uploads.take` raises."""
        stream = self._stream(stream_id, is_made=True)
        upload = Upload(image_data, filename, visibility, title, description, page=page)
        return self.uploads.store(stream, upload).image_id

    def try_upload_stream_image(self, *arguments: Any, **named: Any) -> str | None:
        """Like `upload_stream_image`, but None for whatever refuses it, as callers of old expect."""
        try:
            return self.upload_stream_image(*arguments, **named)
        except CacheError as error:
            logger.warning("upload refused reason=%s", error)
            return None

    def get_stream_images(
        self, stream_id: str, user_id: int | str | None = None, is_owner: bool = True, page: str = "stream_gallery"
    ) -> list[StreamImage]:
        """Return what an account may see of a stream, in its order. `user_id` is the name or number of the account.

        Whether it is the owner is looked up. `is_owner` can only take away: with False an owner sees what a stranger sees.
        """
        checked_page(page)
        stream = self._find(stream_id)
        if stream is None:
            return []
        viewer = self.members.viewer(user_id)
        return self.queries.images(viewer if is_owner else narrowed(viewer, stream), stream)

    def update_stream_image(
        self,
        stream_id: str,
        image_id: str,
        *,
        title: str | None = None,
        description: str | None = None,
        visibility: ImageVisibility | str | None = None,
        is_sensitive: bool | None = None,
        position: int | None = None,
    ) -> StreamImage:
        """Change what is not None; `position` counts from 1. Raises `NotVisible` or `FieldRejected`. Holds everywhere at once."""
        stream, image = self._image(stream_id, image_id)
        changed = replace(
            image,
            title=image.title if title is None else checked_title(title),
            description=image.description if description is None else checked_description(description),
            visibility=image.visibility if visibility is None else checked_visibility(visibility),
            is_sensitive=image.is_sensitive if is_sensitive is None else is_sensitive,
        )
        if position is not None and (isinstance(position, bool) or not isinstance(position, int) or position < 1):
            raise FieldRejected("position", "A position is a whole number from 1.")
        if not self.rows.update_image(changed, stream.id, at=position):
            raise NotVisible
        return self._image(stream_id, image_id)[1]

    def delete_stream_image(self, stream_id: str, image_id: str) -> bool:
        """Remove an image and every byte of it; False when there is none. Bytes in a storage that is away go when it is back."""
        try:
            _, image = self._image(stream_id, image_id)
        except NotVisible:
            return False
        if not self.rows.delete_image(image.image_id):
            return False
        self.images.destroy(image.image_id, image.file_path)
        logger.info("deleted image=%s stream=%s", image_id, stream_id)
        return True

    def get_image_stats(self, stream_id: str) -> dict[str, Any]:
        """Return the numbers of all images of a stream; zeros for one that is empty or not there."""
        stream = self._find(stream_id)
        return self.queries.stats(stream or Stream(0, "", ""))

    def remembered_stats(self, stream_id: str) -> dict[str, Any]:
        """Like `get_image_stats`, kept for half an hour or until something changes."""
        stream = self._find(stream_id)
        return self.queries.remembered_stats(stream) if stream else self.get_image_stats(stream_id)

    def create_stream_thumbnail_from_video(self, stream_id: str, video_path: str | Path, timestamp: float = 5) -> str:
        """Upload a frame of a video as a public image; returns its id. Raises `ProgramMissing` or `VideoRejected` as well."""
        from image_cache.imaging.video import create_thumbnail_from_video

        frame = create_thumbnail_from_video(video_path, timestamp=timestamp)
        return self.upload_stream_image(
            stream_id, frame, "auto_thumbnail.jpg", ImageVisibility.PUBLIC, title="Stream Thumbnail", page="stream_auto"
        )

    # Streams

    def create_stream(
        self,
        title: str,
        slug: str = "",
        *,
        description: str = "",
        visibility: ImageVisibility | str = ImageVisibility.PUBLIC,
        owner: Viewer = STRANGER,
    ) -> Stream:
        """Make a stream. Without a slug one is made from the title. Raises `FieldRejected`."""
        title = checked_title(title)
        if not title:
            raise FieldRejected("title", "A stream needs a title.")
        base = slug or slug_of(title) or "stream"
        made = Stream(
            0,
            checked_slug(base),
            title,
            checked_description(description),
            checked_visibility(visibility),
            owner.account_id,
            created_at=self._clock(),
        )
        for number in range(1, 2 if slug else 100):
            named = made if number == 1 else replace(made, slug=f"{base[:60]}-{number}")
            if self.rows.add_stream(named):
                return self._stream(named.slug)
        raise FieldRejected("slug", "There is a stream with this address already.")

    def update_stream(self, stream: Stream, changes: Mapping[str, object]) -> Stream:
        """Change title, description or visibility (that of new images). Raises `FieldRejected`."""
        values: dict[str, str] = {}
        for name, value in changes.items():
            if name == "title":
                values[name] = checked_title(value)  # type: ignore[arg-type]  # checked there
                if not values[name]:
                    raise FieldRejected("title", "A stream needs a title.")
            elif name == "description":
                values[name] = checked_description(value)  # type: ignore[arg-type]
            elif name == "visibility":
                values[name] = checked_visibility(value).value
            else:
                raise FieldRejected(name[:40], "That cannot be changed.")
        if values:
            self.rows.update_stream(stream.id, values)
        return self._stream(stream.slug)

    def delete_stream(self, stream: Stream) -> int:
        """Remove a stream with every byte of its images; returns how many there were."""
        gone = self.rows.delete_stream(stream.id)
        for image_id, file_path in gone:
            self.images.destroy(image_id, file_path)
        self.images.forget_folder(stream.slug)
        logger.info("deleted stream=%s images=%d", stream.slug, len(gone))
        return len(gone)

    def run_maintenance(self) -> None:
        """Write views and recency, rebuild a lost index, remove the bytes of unfinished uploads and of what was deleted.

        For a housekeeper, in any number of processes. A disk or storage that refuses costs this run only.
        """
        try:
            self.cache.repair()
            self.view_counts.flush()
            self.cache.engine.flush()
            self.images.sweep()
        except (DatabaseError, CacheError) as error:
            logger.warning("streams left untended reason=%s", error)

    def close(self) -> None:
        """Write what is only in memory, and close what belongs to nobody else."""
        try:
            self.view_counts.flush()
        except DatabaseError as error:
            logger.warning("views lost reason=%s", error)
        self.cache.close()
        for part in self._own:
            part.close()

    def _find(self, slug: str) -> Stream | None:
        return self.rows.stream(slug) if isinstance(slug, str) and SLUG.fullmatch(slug) else None

    def _stream(self, slug: str, *, is_made: bool = False) -> Stream:
        stream = self._find(checked_slug(slug))
        if stream is None and is_made:
            self.rows.add_stream(Stream(0, slug, slug, created_at=self._clock()))
            stream = self._find(slug)
        if stream is None:
            raise NotVisible
        return stream

    def _image(self, slug: str, image_id: str) -> tuple[Stream, StreamImage]:
        found = self.rows.image(checked_image_id(image_id))
        if found is None or found[0].slug != slug:
            raise NotVisible
        return found


def narrowed(viewer: Viewer, stream: Stream) -> Viewer:
    """Return the viewer without any right to edit the stream."""
    role = "" if stream.owner_id is None else viewer.role
    return replace(viewer, role=role, owns=viewer.owns - {stream.id}, co_owns=viewer.co_owns - {stream.id})
