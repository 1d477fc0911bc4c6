"""The tie to Discogs: its token, what is known about it, when it is asked again. The work itself is in `discogs_sync` and others.

Loaded with every server, so it holds nothing heavy: what speaks to Discogs is imported by the task that does it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from config import Settings
from image_cache.covers import ImageCache
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.errors import FieldRejected
from image_cache.importers.discogs.client import TokenFile, looks_like_token
from image_cache.importers.discogs.table import SyncTable
from image_cache.models import Album, TaskState
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher
from image_cache.net.rate_limit import ServiceStateTable
from image_cache.records.library import Library
from image_cache.tasks.runner import Runner, Task, TaskRunner

if TYPE_CHECKING:
    from image_cache.importers.discogs.client import DiscogsClient

logger = logging.getLogger(__name__)

SYNC, TEST, DETAILS = "discogs", "discogs-test", "discogs-details"
NAME = "discogs"
FRESH_S = 6 * 3600.0  # the terms of Discogs: nothing older than its own pages by more
EARLY_S = 600.0  # a refresh begins so much earlier than it has to, and is through before the age shows
AGAIN_S = 900.0  # after a refresh that failed
READ_TIMEOUT_S = 20.0  # a page of a hundred records takes its time over there
SPARE = 5  # calls of each window that a sync leaves to whoever opens a record
SHOWN_S = 2.0  # shorter waits are not worth a word
STEP_S = 0.25
WRONG_SHAPE = "That is no token of Discogs. It is 40 letters, from Settings, Developers."


@dataclass(frozen=True, slots=True)
class DiscogsStatus:
    """How it stands. `pass_at` is when the whole collection was read last, `fault` as in `ServiceState`.

    `is_stale`: longer ago than the terms allow to call it fresh. `is_offline`: the last call got no answer at all.
    """

    has_token: bool = False
    has_untested: bool = False
    account: str = ""
    items: int | None = None
    pass_at: float | None = None
    fault: str = ""
    says: str = ""
    is_stale: bool = False
    is_offline: bool = False


@dataclass(frozen=True, slots=True)
class DataAge:
    """How old the data from Discogs is, for the head and the foot of pages. Fields as in `DiscogsStatus`."""

    pass_at: float | None = None
    is_stale: bool = False
    is_offline: bool = False


class DiscogsService:
    """Discogs for one vault. Any thread. `tasks` is set by whoever runs the tasks of the vault."""

    tasks: TaskRunner

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        library: Library,
        covers: ImageCache,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.catalog = catalog
        self.library = library
        self.covers = covers
        self.clock = clock
        self.tokens = TokenFile(settings.discogs_token_path)
        self.untested = TokenFile(settings.discogs_token_path.with_suffix(".new"))
        self.services = ServiceStateTable(catalog)
        self.rows = SyncTable(catalog)
        self._fetcher = LazyHttpClient(lambda: make_fetcher(settings, read_timeout_s=READ_TIMEOUT_S))

    @property
    def runners(self) -> Mapping[str, Runner]:
        return {SYNC: self._sync, TEST: self._test, DETAILS: self._details}

    def abort(self) -> None:
        """End the call that is under way, at a stop."""
        self._fetcher.close()

    # What pages and commands ask

    def status(self) -> DiscogsStatus:
        state = self.services.state(NAME)
        return DiscogsStatus(
            has_token=self.tokens.exists(),
            has_untested=self.untested.exists(),
            account=state.account,
            items=state.items,
            pass_at=state.pass_at,
            fault=state.fault,
            says=state.says,
            is_stale=self._is_stale(state.pass_at),
            is_offline=state.fault == "away" and self.tokens.exists(),
        )

    def age(self) -> DataAge:
        """Return how old the data is. One row for every page; the token file is looked at only after a call that failed."""
        state = self.services.state(NAME)
        return DataAge(state.pass_at, self._is_stale(state.pass_at), state.fault == "away" and self.tokens.exists())

    def latest(self, kind: str = SYNC) -> TaskState | None:
        return self.tasks.rows.latest(kind)

    def gone(self, most: int = 50) -> tuple[int, list[Album]]:
        """Return how many records left the collection at Discogs, and the first of them."""
        return self.rows.gone(NAME, most)

    # What operators do

    def offer(self, token: str) -> int:
        """Take a token to be tested, and begin the test; returns the task. The old one stays until the new one is known to work.

        Raises `FieldRejected` for what cannot be one, `StorageError`.
        """
        self.keep_untested(token)
        return self.test()

    def keep_untested(self, token: str) -> None:
        """Keep a token until its test. Raises as `offer`."""
        if not looks_like_token(token.strip()):
            raise FieldRejected("token", WRONG_SHAPE)
        self.untested.write(token.strip())

    def test(self) -> int:
        """Begin a test of the token; returns the task."""
        return self.tasks.start(TEST, {})

    def sync(self) -> int:
        """Begin a sync, or find the one that is under way; returns the task."""
        return self.tasks.start(SYNC, {"by": "hand"})

    def forget(self) -> bool:
        """Forget the token and whose it was; tell whether there was one. Records stay. Raises `StorageError`."""
        for kind in (SYNC, TEST, DETAILS):
            latest = self.latest(kind)
            if latest is not None and not latest.is_over:
                self.tasks.cancel(latest.id)
        had = [self.tokens.forget(), self.untested.forget()]
        self.services.forget(NAME)
        self.rows.clear_details()
        return any(had)

    def enqueue_details(self, album: Album) -> bool:
        """Somebody opens a record: ask for its tracks behind, when that was not done yet; tell whether they are on their way.

        No call is made here. Without a token nothing is asked.
        """
        if album.source != NAME or album.detailed_at is not None or not self.tokens.exists():
            return False
        if not self.rows.enqueue_details(album.id, self.clock()) or self.services.state(NAME).fault == "refused":
            return False
        self._begin_details()
        return True

    # Behind

    def run_maintenance(self) -> None:
        """Begin what is due: a refresh of the collection, details that had to wait. A chore of the housekeeper."""
        if not self.tokens.exists():
            return
        now = self.clock()
        try:
            if self.services.state(NAME).fault == "refused":
                return
            if self._is_due(now):
                self.tasks.start(SYNC, {"by": "timer"})
            if self.rows.next_details(now) is not None:
                self._begin_details()
        except DatabaseError as error:
            logger.warning("refresh left for later reason=%s", error)

    def client(self, task: Task, token: str | None = None, *, spare: int = 0) -> "DiscogsClient":
        """Return who speaks to Discogs for a task. Raises `SourceRefused` without a token."""
        from image_cache.errors import SourceRefused
        from image_cache.importers.discogs.client import DiscogsClient
        from image_cache.net.rate_limit import RateLimiter

        token = token or self.tokens.read()
        if token is None:
            raise SourceRefused("token", "No token of Discogs is kept here.")
        pace = RateLimiter(
            self.services,
            NAME,
            calls=self.settings.DISCOGS_CALLS,
            window_s=self.settings.DISCOGS_WINDOW_S,
            clock=self.clock,
        )
        return DiscogsClient(self._fetcher, self.settings.DISCOGS_API_URL, token, pace, _waiter(task), spare=spare)

    def _sync(self, task: Task) -> Mapping[str, Any]:
        from image_cache.importers.discogs.sync import sync

        return sync(task, self)

    def _test(self, task: Task) -> Mapping[str, Any]:
        from image_cache.importers.discogs.sync import test_token

        return test_token(task, self)

    def _details(self, task: Task) -> Mapping[str, Any]:
        from image_cache.importers.discogs.sync import fetch_details

        return fetch_details(task, self)

    def _begin_details(self) -> None:
        """Let the wishes be granted, unless somebody is at it: a page that looks again and again writes nothing."""
        latest = self.latest(DETAILS)
        if latest is None or latest.is_over:
            self.tasks.start(DETAILS, {})

    def _is_due(self, now: float) -> bool:
        """Tell whether a refresh should begin. The first sync is begun by hand: nobody's collection comes in unasked."""
        every_s = self.settings.DISCOGS_REFRESH_HOURS * 3600
        latest = self.latest()
        if not every_s or latest is None or not latest.is_over:
            return False
        wait_s = min(AGAIN_S, every_s) if latest.state == "failed" else every_s - min(EARLY_S, every_s / 10)
        return not latest.updated_at <= now < latest.updated_at + wait_s  # before it: the clock was set back

    def _is_stale(self, pass_at: float | None) -> bool:
        return is_stale(pass_at, self.clock())


def is_stale(pass_at: float | None, now: float) -> bool:
    """Return True if the last full sync is longer ago than the terms of Discogs allow."""
    return pass_at is None or not -FRESH_S < now - pass_at <= FRESH_S


def stale_cover_filter(catalog: CatalogDatabase, clock: Callable[[], float]) -> Callable[[Album], Album]:
    """Return what hides the covers of a collection that was not synced for too long."""
    states = ServiceStateTable(catalog)

    def hide_stale_cover(album: Album) -> Album:
        is_synced = album.source == NAME and album.instance_id and album.cover_url
        if not is_synced or not is_stale(states.state(NAME).pass_at, clock()):
            return album
        return replace(album, cover_url=None)

    return hide_stale_cover


def _waiter(task: Task) -> Callable[[float], None]:
    """Return how a task waits for its turn: a long wait is a pause that people see, any wait ends with a cancel or a stop."""

    def wait(seconds: float) -> None:
        task.check()
        if seconds >= SHOWN_S:
            task.pause(seconds, "Discogs asks for a pause.")
            return
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(STEP_S, left))
            task.check()

    return wait
