"""Details task: the tracks and barcodes of records that users opened, one release at a time."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from image_cache.covers import ImageCache
from image_cache.errors import OriginError
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.importers.discogs.parse import Details
from image_cache.importers.discogs.table import SyncTable
from image_cache.net.backoff import retry_delay_s
from image_cache.records.library import Library
from image_cache.tasks.runner import Task

LINGER_S = 20.0  # a user who opened one record soon opens the next
POLL_S = 0.25
UNKNOWN_S = 7 * 86400.0  # before a record without a release number is tried again


class DetailsFetcher:
    """Fetches queued details. One run at a time: it is a task."""

    def __init__(
        self,
        connection: DiscogsConnection,
        rows: SyncTable,
        *,
        library: Library,
        covers: ImageCache,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._library = library
        self._covers = covers
        self._clock = clock

    def run(self, task: Task) -> Mapping[str, Any]:
        """Fetch what is queued, the newest first, until nothing was queued for a while."""
        done = 0
        client = self._connection.client(task)
        until = time.monotonic() + LINGER_S
        while time.monotonic() < until:
            task.check()
            queued = self._rows.next_details(self._clock())
            if queued is None:
                time.sleep(POLL_S)
                continue
            album_id, failures = queued
            album = self._library.album(album_id)
            if album is None or not album.release_id.isdigit():
                self._rows.details_failed(album_id, self._clock() + UNKNOWN_S)
                continue
            try:
                details = client.release(album.release_id)
            except OriginError as error:
                task.check()
                self._rows.details_failed(album_id, self._clock() + retry_delay_s(failures + 1, error))
                continue
            self._save(album_id, details)
            done += 1
            until = time.monotonic() + LINGER_S
            task.progress(done, None, "Track lists of opened records")
        return {"records": done}

    def _save(self, album_id: int, details: Details) -> None:
        album = self._library.detail(album_id, details.tracks, details.barcode, details.cover_url)
        if album is not None and album.picture:
            self._covers.try_register([album.picture])
        with self._rows.db.write() as conn:
            self._rows.details_done(conn, album_id)
