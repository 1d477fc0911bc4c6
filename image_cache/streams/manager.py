"""`StreamImageManager`: the documented class for streams, and the service that creates, changes and deletes them.

Its methods trust their caller. Requests read through `queries` with the viewer of the session, and check `may_edit` before a change.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_cache.config import Settings, load_settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.db.open_catalog import open_catalog
from image_cache.engine.shared_counters import WindowCounters
from image_cache.errors import CacheError, DuplicateImage, FieldRejected, NotVisible
from image_cache.filesystem import make_folder
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import stream_variants
from image_cache.imaging.video.frames import create_thumbnail_from_video
from image_cache.models import ANONYMOUS, ImageVisibility, Stream, StreamImage, Viewer
from image_cache.storage.base import Storage
from image_cache.storage.factory import open_storage
from image_cache.storage.local import LocalStorage
from image_cache.streams.cache import StreamImageCache
from image_cache.streams.changes.moving import StreamMoving
from image_cache.streams.changes.selection import StreamSelection
from image_cache.streams.changes.trash import StreamTrash
from image_cache.streams.images import StreamImages
from image_cache.streams.queries import StreamQueries, without_edit_rights
from image_cache.streams.share.member_table import MemberTable
from image_cache.streams.share.members import StreamMembers
from image_cache.streams.share.share_table import ShareTable
from image_cache.streams.share.shares import StreamShares
from image_cache.streams.table import StreamTable
from image_cache.streams.upload.quotas import StreamQuotas
from image_cache.streams.upload.uploads import Upload, UploadLimits, Uploads
from image_cache.streams.upload.validation import (
    SLUG,
    checked_description,
    checked_image_id,
    checked_page,
    checked_slug,
    checked_stream_field,
    checked_title,
    checked_visibility,
    slug_of,
)
from image_cache.streams.view_counts import ViewCounts

MAX_POSITION = 1_000_000
logger = logging.getLogger(__name__)


class StreamImageManager:
    """Everything about streams. Any thread, several processes.

    What is left out is as set: without arguments, or with the folders of the settings, these are the streams of the service, with
    its catalogue and its storage. Another `images_dir` is a separate vault: originals in this folder, `catalog.db` beside it.
    A catalogue, decoder, storage or cache that is passed in is shared with others; the manager closes only its own.

    Raises `ConfigError`, or `StorageError` if the library of the storage is not installed.
    """

    def __init__(
        self,
        images_dir: Path | None = None,
        cache_dir: Path | None = None,
        *,
        settings: Settings | None = None,
        catalog: CatalogDatabase | None = None,
        decoder: Decoder | None = None,
        storage: Storage | None = None,
        cache: StreamImageCache | None = None,
        limits: UploadLimits | None = None,
        counters: WindowCounters | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings = settings or load_settings()
        self.limits = limits or UploadLimits.as_set(settings)
        self.images_dir = Path(images_dir or settings.stream_images_dir).absolute()
        is_as_set = self.images_dir == settings.stream_images_dir.absolute()
        self._own: list[Any] = []
        if catalog is None:
            catalog = open_catalog(settings) if is_as_set else CatalogDatabase(self.images_dir.parent / "catalog.db")
            self._own.append(catalog)
        if decoder is None:
            decoder = Decoder(settings.decode_budget_bytes)
            self._own.append(decoder)
        if storage is None:
            make_folder(self.images_dir)
            storage = open_storage(settings) if is_as_set else LocalStorage(self.images_dir, floor_bytes=settings.floor_bytes)
        self.rows = StreamTable(catalog)
        self.cache = cache or StreamImageCache(cache_dir, settings=settings, clock=clock)
        variants = stream_variants(self.limits.quality, self.limits.recipe)
        self._recipe = "\n".join(variant.spec for variant in variants)
        self.cache.prepare(self._recipe)
        self.images = StreamImages(self.rows, storage, self.cache, decoder, variants, clock=clock)
        self.quotas = StreamQuotas(catalog, self.limits.quota_bytes)
        self.uploads = Uploads(self.rows, self.images, decoder, limits=self.limits, quotas=self.quotas, clock=clock)
        self.members = StreamMembers(MemberTable(catalog), clock=clock)
        self.queries = StreamQueries(self.rows, self.cache, clock=clock)
        self.view_counts = ViewCounts(self.rows, counters=counters, clock=clock)
        self.trash = StreamTrash(self.rows, self.images, self.view_counts, clock=clock)
        moving = StreamMoving(self.rows, self.images, self.limits.max_images, self.quotas, clock=clock)
        self.selection = StreamSelection(self.rows, self.trash, moving, clock=clock)
        self.shares = StreamShares(ShareTable(catalog), self.queries, self.find_stream, self.view_counts.is_first, clock=clock)
        self._clock = clock

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
        """Store an image and return its id; create the stream if there is none. Raises what `Uploads.store` raises."""
        stream = self._stream(stream_id, create=True)
        upload = Upload(image_data, filename, visibility, title, description, page=page)
        return self.upload(stream, upload).image_id

    def try_upload_stream_image(self, *arguments: Any, **named: Any) -> str | None:
        """Like `upload_stream_image`, but return None if it is refused, as older callers expect."""
        try:
            return self.upload_stream_image(*arguments, **named)
        except CacheError as error:
            logger.warning("upload refused reason=%s", error)
            return None

    def get_stream_images(
        self, stream_id: str, user_id: int | str | None = None, is_owner: bool = True, page: str = "stream_gallery"
    ) -> list[StreamImage]:
        """Return the images of a stream that an account may see, in order. `user_id` is the name or id of the account.

        Ownership is looked up. `is_owner` can only take rights away: with False an owner sees what a visitor sees.
        """
        checked_page(page)
        stream = self.find_stream(stream_id)
        if stream is None:
            return []
        viewer = self.members.viewer(user_id)
        return self.queries.images(viewer if is_owner else without_edit_rights(viewer, stream), stream)

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
        """Change what is not None; `position` counts from 1. Applies everywhere at once. Raises `NotVisible` or `FieldRejected`."""
        stream, image = self._image(stream_id, image_id)
        changed = replace(
            image,
            title=image.title if title is None else checked_title(title),
            description=image.description if description is None else checked_description(description),
            visibility=image.visibility if visibility is None else checked_visibility(visibility),
            is_sensitive=image.is_sensitive if is_sensitive is None else is_sensitive,
        )
        if position is not None and (
            isinstance(position, bool) or not isinstance(position, int) or not 1 <= position <= MAX_POSITION
        ):
            raise FieldRejected("position", f"position must be a whole number from 1 to {MAX_POSITION:,}.")
        if not self.rows.update_image(changed, stream.id, position=position):
            raise NotVisible
        return self._image(stream_id, image_id)[1]

    def delete_stream_image(self, stream_id: str, image_id: str) -> bool:
        """Remove an image and every byte of it for good, past the trash; return False if there is none.

        A storage that does not answer is retried later.
        """
        try:
            _, image = self._image(stream_id, image_id)
        except NotVisible:
            return False
        if not self.rows.delete_image(image.image_id):
            return False
        self.images.delete_bytes(image.image_id, image.file_path)
        logger.info("deleted image=%s stream=%s", image_id, stream_id)
        return True

    def get_image_stats(self, stream_id: str) -> dict[str, Any]:
        """Return the figures of all images of a stream; zeros for one that is empty or does not exist."""
        return self.queries.stats(self.find_stream(stream_id) or Stream(0, "", ""))

    def cached_stats(self, stream_id: str) -> dict[str, Any]:
        """Like `get_image_stats`, cached for half an hour or until something changes."""
        stream = self.find_stream(stream_id)
        return self.queries.cached_stats(stream) if stream else self.get_image_stats(stream_id)

    def create_stream_thumbnail_from_video(self, stream_id: str, video_path: str | Path, timestamp: float = 5) -> str:
        """Upload a frame of a video as a public image and return its id; of a frame that is there already, its id. May also raise `ProgramMissing` or `VideoRejected`."""
        frame = create_thumbnail_from_video(video_path, timestamp=timestamp)
        try:
            return self.upload_stream_image(
                stream_id, frame, "auto_thumbnail.jpg", ImageVisibility.PUBLIC, title="Stream Thumbnail", page="stream_auto"
            )
        except DuplicateImage as error:  # the same frame again
            return error.image_id

    def find_stream(self, slug: str) -> Stream | None:
        return self.rows.stream(slug) if isinstance(slug, str) and SLUG.fullmatch(slug) else None

    def create_stream(
        self,
        title: str,
        slug: str = "",
        *,
        description: str = "",
        visibility: ImageVisibility | str = ImageVisibility.PUBLIC,
        owner: Viewer = ANONYMOUS,
    ) -> Stream:
        """Create a stream; without a slug, one is made from the title. Raises `FieldRejected`."""
        title = checked_title(title)
        if not title:
            raise FieldRejected("title", "Enter a title.")
        base = slug or slug_of(title) or "stream"
        new = Stream(
            0,
            checked_slug(base),
            title,
            checked_description(description),
            checked_visibility(visibility),
            owner.account_id,
            created_at=self._clock(),
        )
        for number in range(1, 2 if slug else 100):
            named = new if number == 1 else replace(new, slug=f"{base[:60]}-{number}")
            if self.rows.add_stream(named):
                return self._stream(named.slug)
        raise FieldRejected("slug", "A stream with this address already exists. Choose a different title.")

    def update_stream(self, stream: Stream, changes: Mapping[str, object]) -> Stream:
        """Change title, description, date, cover, what others see, or the visibility of new images. Raises `FieldRejected`."""
        values: dict[str, str] = {}
        for name, value in changes.items():
            if name == "title":
                values[name] = checked_title(value)  # type: ignore[arg-type]  # checked there
                if not values[name]:
                    raise FieldRejected("title", "Enter a title.")
            elif name == "description":
                values[name] = checked_description(value)  # type: ignore[arg-type]
            else:
                values[name] = checked_stream_field(name, value)
        if values:
            self.rows.update_stream(stream.id, values)
        return self._stream(stream.slug)

    def delete_stream(self, stream: Stream) -> int:
        """Remove a stream with every byte of its images for good, past the trash; return how many there were."""
        deleted = self.rows.delete_stream(stream.id)
        for image_id, file_path in deleted:
            self.images.delete_bytes(image_id, file_path)
        self.images.remove_folder(stream.slug)
        logger.info("deleted stream=%s images=%d", stream.slug, len(deleted))
        return len(deleted)

    def upload(self, stream: Stream, upload: Upload, *, wait_s: float | None = None) -> StreamImage:
        """Store one image. Raises what `Uploads.store` raises."""
        return self.uploads.store(stream, upload, wait_s=wait_s)

    def get_page_stats(self, page: str) -> dict[str, float | int | str]:
        """Return what one page holds of the memory tier. Raises `FieldRejected`."""
        return self.cache.get_page_stats(checked_page(page))

    def clear_page_cache(self, page: str) -> int:
        """Drop what a page holds in memory and return how many images no other page held. Raises `FieldRejected`."""
        return self.cache.clear_page_cache(checked_page(page))

    def record_view(self, image_id: str, viewer: str) -> None:
        """Count a view, once for each viewer in half an hour; `viewer` is any text that identifies one."""
        self.view_counts.record(image_id, viewer)

    def view_count(self, image: StreamImage) -> int:
        """Return the views of an image, including those not yet written."""
        return image.view_count + self.view_counts.pending(image.image_id)

    def run_maintenance(self) -> None:
        """Write views and recency, rebuild a lost index, remove the bytes of unfinished uploads, deleted images and an old trash.

        May run in several processes. A disk or storage that refuses fails this run only.
        """
        try:
            self.cache.prepare(self._recipe)
            self.view_counts.flush()
            self.shares.flush()
            self.cache.engine.flush()
            self.images.sweep()
            self.images.refill()
            self.trash.expire()
        except (DatabaseError, CacheError) as error:
            logger.warning("stream housekeeping incomplete reason=%s", error)

    def close(self) -> None:
        """Write what is only in memory, and close what was not passed in."""
        try:
            self.view_counts.flush()
            self.shares.flush()
        except DatabaseError as error:
            logger.warning("views lost reason=%s", error)
        self.images.close()
        self.cache.close()
        for part in self._own:
            part.close()

    def _stream(self, slug: str, *, create: bool = False) -> Stream:
        stream = self.find_stream(checked_slug(slug))
        if stream is None and create:
            if not self.rows.add_stream(Stream(0, slug, slug, created_at=self._clock())) and self.trash.stream(slug):
                raise FieldRejected("stream_id", "This stream is in the trash. Restore it first.")
            stream = self.find_stream(slug)
        if stream is None:
            raise NotVisible
        return stream

    def _image(self, slug: str, image_id: str) -> tuple[Stream, StreamImage]:
        found = self.rows.image(checked_image_id(image_id))
        if found is None or found[0].slug != slug:
            raise NotVisible
        return found
