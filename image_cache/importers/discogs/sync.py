"""Collection sync: page by page, each saved together with the position; records that have gone are marked, never deleted.

A pass reads all pages once. Records move between pages if the collection changes meanwhile, and one can be missed because of that:
a record counts as gone only after a second pass has missed it too.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, field, replace
from typing import Any, TypeVar

from image_cache.covers import ImageCache
from image_cache.db.database import Connection
from image_cache.errors import ImportRejected, OriginError, SourceAway
from image_cache.frozen import frozen
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.importers.discogs.parse import SOURCE, CollectionPage
from image_cache.importers.discogs.table import SyncTable
from image_cache.importers.discogs.wants import read_wants
from image_cache.models import TaskState
from image_cache.records.library import Library
from image_cache.tasks.runner import Task

TRIES = 6  # of one call, with growing pauses
FIRST_PAUSE = 1 / 30  # of the window: 2 s, doubled from try to try
SPARE = 5  # calls of each window that a sync leaves to a user who opens a record
RESUMED_S = 6 * 3600.0  # a failed pass is continued by the next sync if it is not older than this
KEPT_REASONS = 20
KEPT_LOSSES = 200  # of what was cut; they are saved with the position
MAX_PAGES = 10_000

T = TypeVar("T")


@frozen
class SyncPosition:
    """How far a sync is. `page` is the next one to read, `look` the number of the pass, 1 or 2; `counts` are those of the first."""

    account: str
    fields: dict[str, str]
    look: int = 1
    page: int = 1
    pages: int = 1
    items: int = 0
    saved: int = 0
    is_steady: bool = True
    counts: dict[str, int] = field(default_factory=dict)
    rejected: list[list[Any]] = field(default_factory=list)
    losses: list[list[Any]] = field(default_factory=list)
    wants: str = ""  # what came of the wantlist, as a sentence

    def message(self) -> str:
        again = "Checking again, page" if self.look > 1 else "Page"
        return f"{again} {min(self.page, self.pages):,} of {self.pages:,}, {self.saved:,} saved"


class CollectionSync:
    """One run of a sync. `previous` is the task of this kind before it, if any: what it could not finish is continued.

    Raises `SourceRefused`, `SourceAway`, `StorageError`.
    """

    def __init__(
        self,
        task: Task,
        connection: DiscogsConnection,
        rows: SyncTable,
        *,
        library: Library,
        covers: ImageCache,
        previous: TaskState | None = None,
    ) -> None:
        self._task = task
        self._client = connection.client(task, spare=SPARE)
        self._states = connection.states
        self._window_s = connection.window_s
        self._rows = rows
        self._library = library
        self._covers = covers
        self._previous = previous
        self._batch = library.batch("Discogs synced", task.id)

    def run(self) -> Mapping[str, Any]:
        position = self._begin()
        before_at = self._states.state(SOURCE).pass_at
        while True:
            position = self._read_pages(position)
            if position.look > 1 or not self._has_gaps(position):
                return self._finish(position, before_at)
            position = replace(position, look=2, page=1, saved=0, is_steady=True)
            with self._rows.db.write() as conn:
                self._save(conn, position)

    def _begin(self) -> SyncPosition:
        """Return the saved position, or begin a pass: request the account and the names of its notes fields."""
        if (position := _position(self._task.position)) is not None:
            return position
        self._task.progress(0, None, "Connecting to Discogs.")
        account = self._retrying(self._client.identity)
        left = self._unfinished(account)
        position = left or SyncPosition(account, self._retrying(lambda: self._client.fields(account)))
        if left is None:  # first, so that a record that comes in finds its place on it
            wants = read_wants(self._task, self._client, account, self._library.wants, self._covers)
            position = replace(position, wants=wants)
        with self._rows.db.write() as conn:
            if left is None:
                self._rows.start_pass(conn, SOURCE)
            self._states.write(conn, SOURCE, account=account)
            self._save(conn, position)
        return position

    def _unfinished(self, account: str) -> SyncPosition | None:
        """Return where the previous sync failed, if that was recently; a cancelled one is not continued."""
        previous = self._previous
        if previous is None or previous.state != "failed" or not 0 <= self._task.clock() - previous.updated_at < RESUMED_S:
            return None
        position = _position(previous.position)
        return position if position is not None and position.account == account else None

    def _read_pages(self, position: SyncPosition) -> SyncPosition:
        """Read and save the pages from `position` on."""
        while position.page <= min(position.pages, MAX_PAGES):
            number, account, fields = position.page, position.account, position.fields
            self._task.progress(position.saved, position.items or None, position.message())
            page = self._retrying(lambda n=number, a=account, f=fields: self._client.page(a, n, f))  # type: ignore[misc]
            if page is None:  # the collection has become a page shorter
                return replace(position, is_steady=False, pages=number - 1)
            position = self._save_page(position, page)
        return position

    def _save_page(self, position: SyncPosition, page: CollectionPage) -> SyncPosition:
        """Save a page and the position after it in one transaction, then register its covers."""
        rows = [row for row in page.rows if not isinstance(row, ImportRejected)]
        urls = [row.cover_url for row in rows if row.cover_url]
        failing = self._covers.urls.failing(urls)
        rejected = [[row.line, row.reason] for row in page.rows if isinstance(row, ImportRejected)]
        lossy = [row for row in rows if row.losses]
        losses = [[row.line, row.artist, row.title, what] for row in lossy for what in row.losses]
        is_first = position.look == 1
        after = replace(
            position,
            page=page.number + 1,
            pages=page.pages,
            items=page.items,
            saved=position.saved + len(page.rows),
            is_steady=position.is_steady and (page.number == 1 or page.items >= position.items),
            rejected=(position.rejected + rejected)[:KEPT_REASONS] if is_first else position.rejected,
            losses=(position.losses + losses)[:KEPT_LOSSES] if is_first else position.losses,
        )

        def also(conn: Connection, counts: "Counter[str]") -> None:
            nonlocal after
            total = Counter(position.counts) + counts if is_first else Counter(position.counts)
            total["rejected"] += len(rejected) if is_first else 0
            total["lossy"] += len(lossy) if is_first else 0
            after = replace(after, counts=dict(total))
            self._rows.mark_seen(conn, SOURCE, page.instances)
            self._states.write(conn, SOURCE, items=page.items)
            self._save(conn, after)

        self._library.sync_rows(rows, failing=failing, also=also, batch=self._batch)
        self._covers.try_register(urls)
        if failing:
            self._covers.urls.retry_with_url(failing)
            self._covers.wake()
        return after

    def _has_gaps(self, position: SyncPosition) -> bool:
        """Return True if a known record was not seen. An empty collection has no gaps: nothing is marked as gone because of it."""
        return position.items > 0 and (not position.is_steady or self._rows.missing(SOURCE) > 0)

    def _finish(self, position: SyncPosition, before_at: float | None) -> Mapping[str, Any]:
        now = float(int(self._task.clock()))
        counts = {name: position.counts.get(name, 0) for name in ("new", "changed", "same", "rejected", "lossy", "hidden")}
        with self._rows.db.write() as conn:
            is_sure = position.items > 0 and position.is_steady
            gone = self._rows.mark_gone(conn, SOURCE, now, before_at) if is_sure else 0
            self._rows.start_pass(conn, SOURCE)
            self._states.write(conn, SOURCE, pass_at=now, items=position.items)
            message = _outcome_message(position, counts, gone)
            self._task.save(conn, asdict(position), position.saved, position.items, message)
        return {
            "says": message,
            **counts,
            "gone": gone,
            "items": position.items,
            "account": position.account,
            "reasons": position.rejected,
            "report": [
                *([line, "", "", f"rejected: {reason}"] for line, reason in position.rejected),
                *position.losses,
            ],
        }

    def _save(self, conn: Connection, position: SyncPosition) -> None:
        self._task.save(conn, asdict(position), position.saved, position.items or None, position.message())

    def _retrying(self, call: Callable[[], T]) -> T:
        """Call, and retry with growing pauses. Raises `SourceAway` when the tries are used up."""
        for tried in range(TRIES):
            try:
                return call()
            except OriginError as error:
                self._task.check()
                if not error.retryable or tried == TRIES - 1:
                    verb = "reach" if error.status is None else "read"
                    message = f"Could not {verb} Discogs: {error.reason}. Saved records stay. The next sync resumes here."
                    raise SourceAway(message) from error
                pause_s = self._window_s * FIRST_PAUSE * 2**tried
                pause_s = min(max(pause_s, error.retry_after_s or 0.0), 600.0)
                self._rest(pause_s)
        raise AssertionError("unreachable")

    def _rest(self, seconds: float) -> None:
        if seconds < 1:
            time.sleep(seconds)
        else:
            self._task.pause(seconds, "No response. Retrying.")


def _position(position: Mapping[str, Any]) -> SyncPosition | None:
    """Return the saved position; None if there is none, or if another version of the program saved it."""
    try:
        return SyncPosition(**position) if position else None
    except TypeError:
        return None


def _outcome_message(position: SyncPosition, counts: Mapping[str, int], gone: int) -> str:
    wants = f" {position.wants}" if position.wants else ""
    if not position.items:
        return f"Connected as {position.account}. Your Discogs collection is empty.{wants}"
    parts = [f"{counts['new']:,} new", f"{counts['changed']:,} updated", f"{counts['same']:,} unchanged"]
    parts += [f"{gone:,} no longer at Discogs"] if gone else []
    parts += [f"{counts['rejected']:,} rejected"] if counts["rejected"] else []
    parts += [f"{counts['hidden']:,} hidden"] if counts["hidden"] else []
    lossy = f"; {counts['lossy']:,} with a shortened text" if counts["lossy"] else ""
    return f"{position.items:,} {'record' if position.items == 1 else 'records'} read: {', '.join(parts)}{lossy}.{wants}"
