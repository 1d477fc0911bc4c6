"""Discogs connection: the token and whose it is, the rate limit of its account, and a client for each task."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import OriginError, SourceAway, SourceRefused
from image_cache.importers.discogs.client import DiscogsClient
from image_cache.importers.discogs.parse import FIELDS, SOURCE
from image_cache.models import Album
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher
from image_cache.net.rate_limit import RateLimiter, ServiceStateTable
from image_cache.net.token_file import TokenFile
from image_cache.tasks.runner import Task

FRESH_S = 6 * 3600.0  # the terms of Discogs: nothing may be shown as current that is older than its own pages by more than this
READ_TIMEOUT_S = 20.0  # a page of a hundred records takes Discogs a while
SHOWN_S = 2.0  # shorter waits are not shown as a pause
STEP_S = 0.25


class DiscogsConnection:
    """The connection of one vault. Any thread. `untested` holds a new token until it is known to work."""

    def __init__(self, settings: Settings, catalog: CatalogDatabase, *, clock: Callable[[], float] = time.time) -> None:
        self.tokens = TokenFile(settings.discogs_token_path)
        self.untested = TokenFile(settings.discogs_token_path.with_suffix(".new"))
        self.states = ServiceStateTable(catalog)
        self.window_s = settings.DISCOGS_WINDOW_S
        self._base_url = settings.DISCOGS_API_URL
        self._fetcher = LazyHttpClient(lambda: make_fetcher(settings, read_timeout_s=READ_TIMEOUT_S))
        self._rate_limit = RateLimiter(self.states, SOURCE, calls=settings.DISCOGS_CALLS, window_s=self.window_s, clock=clock)
        self._clock = clock

    def client(self, task: Task, token: str | None = None, *, spare: int = 0) -> DiscogsClient:
        """Return a client for a task, with the stored token unless another one is given. Raises `SourceRefused` without a token."""
        token = token or self.tokens.read()
        if token is None:
            raise SourceRefused("token", "No Discogs token is saved.")
        return DiscogsClient(self._fetcher, self._base_url, token, self._rate_limit, _waiter(task), spare=spare)

    def abort(self) -> None:
        """Abort the call that is in progress."""
        self._fetcher.close()

    def is_refused(self) -> bool:
        """Return True if Discogs refused the last call for a reason that a retry does not change."""
        return self.states.state(SOURCE).fault == "refused"

    def is_stale(self, pass_at: float | None) -> bool:
        """Return True if the last full sync is longer ago than the terms of Discogs allow."""
        return pass_at is None or not -FRESH_S < self._clock() - pass_at <= FRESH_S

    def hide_stale_cover(self, album: Album) -> Album:
        """Return the record without its cover if that came from a sync which is stale by now."""
        is_synced = album.source == SOURCE and album.instance_id and album.cover_url
        if not is_synced or not self.is_stale(self.states.state(SOURCE).pass_at):
            return album
        return replace(album, cover_url=None)

    def test_token(self, task: Task) -> Mapping[str, Any]:
        """Task: find out whose token it is and how many records there are. Delete an unknown token; save a new one that works.

        Raises `SourceRefused`, `SourceAway`.
        """
        while True:
            new = self.untested.read()
            account, items = self._identity(task, new)
            if self.untested.read() == new:  # otherwise another token was entered meanwhile
                break
        if new is not None:
            self.tokens.replace_by(self.untested)
        self.states.set(SOURCE, account=account, items=items)
        message = f"Connected as {account}, {items:,} {'item' if items == 1 else 'items'}."
        message = message if items else f"Connected as {account}. Your Discogs collection is empty."
        return {"says": message, "account": account, "items": items}

    def _identity(self, task: Task, new: str | None) -> tuple[str, int]:
        try:
            client = self.client(task, new)
            account = client.identity()
            page = client.page(account, 1, FIELDS, per_page=1)
        except SourceRefused:
            if new is not None:
                self.untested.delete()
                if self.tokens.exists():  # the old one was not refused
                    self.states.set(SOURCE, fault="", says="", failed_at=None)
            raise
        except OriginError as error:
            raise SourceAway(f"Could not reach Discogs: {error.reason}. Your token is saved; test it again later.") from error
        return account, page.items if page else 0


def _waiter(task: Task) -> Callable[[float], None]:
    """Return a function that waits: a long wait is shown as a pause of the task; a cancel or a stop ends any wait."""

    def wait(seconds: float) -> None:
        task.check()
        if seconds >= SHOWN_S:
            task.pause(seconds, "Rate limit reached.")
            return
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(STEP_S, left))
            task.check()

    return wait
