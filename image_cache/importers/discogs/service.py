"""Discogs for pages, commands and housekeeping: token, status, when a sync is due. The tasks are in `sync` and `details`."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from image_cache.config import Settings
from image_cache.covers import ImageCache
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.errors import FieldRejected
from image_cache.frozen import frozen
from image_cache.importers.discogs.client import AWAY
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.importers.discogs.details import DetailsFetcher
from image_cache.importers.discogs.parse import SOURCE
from image_cache.importers.discogs.table import SyncTable
from image_cache.importers.discogs.tracklists import TracklistFetcher
from image_cache.importers.discogs.values import ValueFetcher
from image_cache.models import Album, TaskState
from image_cache.net.token_file import looks_like_token
from image_cache.records.library import Library
from image_cache.records.table import AlbumTable
from image_cache.records.values.table import ValuesTable
from image_cache.records.wants.wantlist import bought_sentence
from image_cache.tasks.runner import Task, TaskRunner

logger = logging.getLogger(__name__)

# The kinds of tasks.
SYNC, TEST, DETAILS, TRACKS, VALUES = "discogs", "discogs-test", "discogs-details", "discogs-tracks", "discogs-values"
EARLY_S = 600.0  # a sync starts this much before it is due, so that it ends before the page calls the collection stale
RETRY_S = 900.0  # after a sync that failed, and before the tracks are requested again
SETTLED_S = 60.0  # after a sync, before the tracks of its records are requested
WRONG_SHAPE = "This is not a Discogs token. A token has 40 characters; create one in Discogs under Settings, Developers."


@frozen
class DiscogsStatus:
    """The state of the connection. `pass_at` is when the whole collection was read last, `fault` as in `ServiceState`.

    `is_stale`: longer ago than the terms allow. `is_offline`: the last call got no response at all.
    """

    has_token: bool = False
    has_untested: bool = False
    account: str = ""
    items: int | None = None
    pass_at: float | None = None
    fault: str = ""
    message: str = ""
    is_stale: bool = False
    is_offline: bool = False


@frozen
class DataAge:
    """How old the data from Discogs is, for the head and the foot of pages. Fields as in `DiscogsStatus`."""

    pass_at: float | None = None
    is_stale: bool = False
    is_offline: bool = False


class DiscogsService:
    """Discogs for one vault. Any thread."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        connection: DiscogsConnection,
        *,
        library: Library,
        covers: ImageCache,
        tasks: TaskRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.connection = connection
        self.refresh_hours = settings.DISCOGS_REFRESH_HOURS
        self.rows = SyncTable(catalog)
        self.tokens = connection.tokens
        self._albums = AlbumTable(catalog)
        self._library = library
        self._covers = covers
        self._tasks = tasks
        tasks.register(SYNC, self._sync)
        tasks.register(TEST, connection.test_token)
        self._has_tracks = settings.DISCOGS_TRACKS
        tracks = TracklistFetcher(
            connection, self.rows, library=library, covers=covers, calls=settings.DISCOGS_CALLS, clock=clock
        )
        tasks.register(TRACKS, tracks.run)
        self._has_values = settings.DISCOGS_VALUES
        self._values = ValueFetcher(
            connection, ValuesTable(catalog), calls=settings.DISCOGS_CALLS, currency=settings.CURRENCY, clock=clock
        )
        tasks.register(VALUES, self._values.run)
        tasks.register(DETAILS, DetailsFetcher(connection, self.rows, library=library, covers=covers, clock=clock).run)

    # What pages and commands ask

    def status(self) -> DiscogsStatus:
        state = self.connection.states.state(SOURCE)
        return DiscogsStatus(
            has_token=self.tokens.exists(),
            has_untested=self.connection.untested.exists(),
            account=state.account,
            items=state.items,
            pass_at=state.pass_at,
            fault=state.fault,
            message=state.says,
            is_stale=self.connection.is_stale(state.pass_at),
            is_offline=state.fault == AWAY and self.tokens.exists(),
        )

    def age(self) -> DataAge:
        """Return how old the data is. One row for every page; the token file is read only after a call that failed."""
        state = self.connection.states.state(SOURCE)
        return DataAge(state.pass_at, self.connection.is_stale(state.pass_at), state.fault == AWAY and self.tokens.exists())

    def latest(self, kind: str = SYNC) -> TaskState | None:
        return self._tasks.latest(kind)

    def gone(self, limit: int = 50) -> tuple[int, list[Album]]:
        """Return how many records are no longer at Discogs, and the first of them."""
        return self._albums.gone(SOURCE, limit)

    # What operators do

    def store_token(self, token: str) -> int:
        """Store a new token and start its test; return the task. The old token stays until the new one is known to work.

        Raises `FieldRejected` for text that cannot be a token, `StorageError`.
        """
        self.keep_untested(token)
        return self.test()

    def keep_untested(self, token: str) -> None:
        """Store a new token until its test. Raises as `offer`."""
        if not looks_like_token(token.strip()):
            raise FieldRejected("token", WRONG_SHAPE)
        self.connection.untested.write(token.strip())

    def test(self) -> int:
        """Start a test of the token, where it is; return the task."""
        return self._tasks.start(TEST, {}, is_here=True)

    def sync(self) -> int:
        """Start a sync, unless one is in progress; return the task."""
        return self._tasks.start(SYNC, {"by": "hand"})

    def forget(self) -> bool:
        """Delete the token and the account it belongs to; return True if there was a token. Records stay. Raises `StorageError`."""
        for kind in (SYNC, TEST, DETAILS, TRACKS, VALUES):
            latest = self.latest(kind)
            if latest is not None and not latest.is_over:
                self._tasks.cancel(latest.id)
        had = [self.tokens.delete(), self.connection.untested.delete()]
        self.connection.states.reset(SOURCE)
        self.rows.clear_details()
        return any(had)

    def enqueue_details(self, album: Album) -> bool:
        """Queue the details of a record that a user opened, unless it has them; return True if they will be fetched.

        Calls nothing itself. Without a token nothing is queued.
        """
        if album.source != SOURCE or album.detailed_at is not None or not self.tokens.exists():
            return False
        if not self.rows.enqueue_details(album.id, self.clock()) or self.connection.is_refused():
            return False
        self._start_details()
        return True

    # In the background

    def run_maintenance(self) -> None:
        """Start what is due: a sync, details that had to wait. A periodic job."""
        if not self.tokens.exists():
            return
        now = self.clock()
        try:
            if self.connection.is_refused():
                return
            if self._is_due(now):
                self._tasks.start(SYNC, {"by": "timer"})
            if self.rows.next_details(now) is not None:
                self._start_details()
            if self._has_tracks and self._is_time_for(TRACKS, now) and self.rows.untracked(None, 1):
                self._tasks.start(TRACKS, {})
            elif self._has_values and self._is_time_for(VALUES, now) and self._values.is_due():
                self._tasks.start(VALUES, {})
        except DatabaseError as error:
            logger.warning("sync deferred reason=%s", error)

    def abort(self) -> None:
        """Abort the call that is in progress; the service is stopping."""
        self.connection.abort()

    def _sync(self, task: Task) -> Mapping[str, Any]:
        from image_cache.importers.discogs.sync import CollectionSync  # for vaults with a token

        previous = self._tasks.rows.before(SYNC, task.id)
        run = CollectionSync(task, self.connection, self.rows, library=self._library, covers=self._covers, previous=previous)
        before = self._library.wants.table.count_bought()
        outcome = dict(run.run())
        outcome["says"] += bought_sentence(self._library.wants.table.count_bought() - before)
        return outcome

    def _start_details(self) -> None:
        """Start the task unless it is in progress: a page that polls then writes nothing."""
        latest = self.latest(DETAILS)
        if latest is None or latest.is_over:
            self._tasks.start(DETAILS, {})

    def _is_time_for(self, kind: str, now: float) -> bool:
        """Return True after a sync, unless a task of this kind runs, or ended a moment ago."""
        pass_at, latest = self.connection.states.state(SOURCE).pass_at, self.latest(kind)
        if pass_at is None or now < pass_at + SETTLED_S or (latest is not None and not latest.is_over):
            return False
        return latest is None or not latest.updated_at <= now < latest.updated_at + RETRY_S

    def _is_due(self, now: float) -> bool:
        """Return True if a sync should start. The first one is started by hand: no collection is imported without a request."""
        every_s = self.refresh_hours * 3600
        latest = self.latest()
        if not every_s or latest is None or not latest.is_over:
            return False
        wait_s = min(RETRY_S, every_s) if latest.state == "failed" else every_s - min(EARLY_S, every_s / 10)
        return not latest.updated_at <= now < latest.updated_at + wait_s  # before it: the clock was set back
