"""Tracklists task: the tracks of all records from Discogs, one release at a time, so that songs are found. Leaves room for users."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from image_cache.covers import ImageCache
from image_cache.errors import OriginError, OriginUnavailable
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.importers.discogs.parse import Details
from image_cache.importers.discogs.table import SyncTable
from image_cache.net.backoff import retry_delay_s
from image_cache.records.library import Library
from image_cache.tasks.runner import Task

AT_A_TIME = 20  # releases in one transaction: each writes whole pages of the card
SHARE = 0.5  # of the calls that Discogs allows; the others are for what users open, and for a sync
UNKNOWN_S = 7 * 86400.0  # before a record without a release number is tried again


class TracklistFetcher:
    """Fetches the tracks that are missing, of the newest records first. One run at a time: it is a task, and continues after a stop."""

    def __init__(
        self,
        connection: DiscogsConnection,
        rows: SyncTable,
        *,
        library: Library,
        covers: ImageCache,
        calls: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._library = library
        self._covers = covers
        self._spare = round(calls * (1 - SHARE))
        self._clock = clock

    def run(self, task: Task) -> Mapping[str, Any]:
        """Fetch until nothing is missing. Ends early, with `is_away`, while Discogs cannot be reached. Raises as the client does."""
        client = self._connection.client(task, spare=self._spare)
        total, done, before = self._rows.count_untracked(), 0, None
        while releases := self._rows.untracked(before, AT_A_TIME):
            fetched: list[tuple[int, Details]] = []
            try:
                for album_id, source_id in releases:
                    task.progress(done + len(fetched), total, "Tracks of all records")
                    before = album_id
                    release = source_id.partition("-")[0]
                    if not release.isdigit():
                        self._put_off(album_id, UNKNOWN_S)
                        continue
                    try:
                        fetched.append((album_id, client.release(release)))
                    except OriginError as error:
                        task.check()
                        if isinstance(error, OriginUnavailable) and error.status is None:
                            return {"records": done + len(fetched), "is_away": True}
                        self._put_off(album_id, retry_delay_s(1, error))
            finally:
                self._save(fetched)
            done += len(fetched)
        return {"records": done, "is_away": False}

    def _save(self, fetched: list[tuple[int, Details]]) -> None:
        if not fetched:
            return
        stored = self._library.detail_many((album_id, one.tracks, one.barcode, one.cover_url) for album_id, one in fetched)
        self._covers.try_register([album.picture for album in stored if album.picture])

    def _put_off(self, album_id: int, seconds: float) -> None:
        now = self._clock()
        with self._rows.db.write() as conn:
            self._rows.put_off_details(conn, album_id, now, now + seconds)
