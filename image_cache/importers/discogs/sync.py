"""The sync with Discogs: page by page, each saved with the place where it goes on; what is gone is marked, never deleted.

A pass reads all pages once. Records move between pages when the collection changes meanwhile, and one can be missed for that, so
what seems gone is only believed after a second look that misses it as well.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from image_cache.db.database import Connection
from image_cache.errors import ImportRejected, OriginError, SourceAway, SourceRefused
from image_cache.importers.discogs.parse import FIELDS, CollectionPage, Details
from image_cache.net.backoff import retry_delay_s
from image_cache.tasks.runner import Task

if TYPE_CHECKING:
    from image_cache.importers.discogs.service import DiscogsService

TRIES = 6  # of one call that brings no answer, with growing pauses
FIRST_PAUSE = 1 / 30  # of the window: 2 s, doubled from try to try
GOES_ON_S = 6 * 3600.0  # so long a pass that failed is continued by the next sync
KEPT_REASONS = 20
MAX_PAGES = 10_000

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class SyncPosition:
    """Where a pass is. `page` is the next one to read, `look` 1 or 2; counts are of the records of this look."""

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

    def says(self) -> str:
        again = "Second look, page" if self.look > 1 else "Page"
        return f"{again} {min(self.page, self.pages):,} of {self.pages:,}, {self.saved:,} saved"


def sync(task: Task, link: "DiscogsService") -> Mapping[str, Any]:
    """Run a sync to its end; see `Task`. Raises `SourceRefused`, `SourceAway`, `StorageError`."""
    return _Sync(task, link).run()


class _Sync:
    def __init__(self, task: Task, link: "DiscogsService") -> None:
        from image_cache.importers.discogs.service import NAME, SPARE

        self.task = task
        self.link = link
        self.source = NAME
        self.client = link.client(task, spare=SPARE)

    def run(self) -> Mapping[str, Any]:
        place = self._begin()
        before_at = self.link.services.state(self.source).pass_at
        while True:
            place = self._look(place)
            if place.look > 1 or not self._has_gaps(place):
                return self._finish(place, before_at)
            place = replace(place, look=2, page=1, saved=0, is_steady=True)
            with self.link.catalog.write() as conn:
                self._save(conn, place)

    def _begin(self) -> SyncPosition:
        """Return where to go on, or begin: who is asked for, what the fields of notes are called."""
        if (place := _place(self.task.position)) is not None:
            return place
        self.task.progress(0, None, "Asking Discogs.")
        account = self._patiently(self.client.identity)
        left = self._left_over(account)
        place = left or SyncPosition(account, self._patiently(lambda: self.client.fields(account)))
        with self.link.catalog.write() as conn:
            if left is None:
                self.link.rows.begin(conn, self.source)
            self.link.services.write(conn, self.source, account=account)
            self._save(conn, place)
        return place

    def _left_over(self, account: str) -> SyncPosition | None:
        """Return the place where the last sync failed, when that is not long ago; what was cancelled begins anew."""
        last = self.link.tasks.rows.before(self.source, self.task.id)
        place = _place(last.position) if last is not None and last.state == "failed" else None
        if last is None or place is None or place.account != account:
            return None
        return place if 0 <= self.task.clock() - last.updated_at < GOES_ON_S else None

    def _look(self, place: SyncPosition) -> SyncPosition:
        """Read the pages from `place` on."""
        while place.page <= min(place.pages, MAX_PAGES):
            number, account, fields = place.page, place.account, place.fields
            self.task.progress(place.saved, place.items or None, place.says())
            page = self._patiently(lambda n=number, a=account, f=fields: self.client.page(a, n, f))  # type: ignore[misc]
            if page is None:  # the collection lost a page meanwhile
                return replace(place, is_steady=False, pages=number - 1)
            place = self._take(place, page)
        return place

    def _take(self, place: SyncPosition, page: CollectionPage) -> SyncPosition:
        """Put a page into the catalogue, and where the pass goes on with it; then let its covers be known."""
        rows = [row for row in page.rows if not isinstance(row, ImportRejected)]
        urls = [row.cover_url for row in rows if row.cover_url]
        failing = self.link.covers.failing(urls)
        rejected = [[row.line, row.reason] for row in page.rows if isinstance(row, ImportRejected)]
        after = replace(
            place,
            page=page.number + 1,
            pages=page.pages,
            items=page.items,
            saved=place.saved + len(page.rows),
            is_steady=place.is_steady and (page.number == 1 or page.items >= place.items),
            rejected=(place.rejected + rejected)[:KEPT_REASONS] if place.look == 1 else place.rejected,
        )

        def also(conn: Connection, counts: "Counter[str]") -> None:
            nonlocal after
            total = Counter(place.counts) + counts if place.look == 1 else Counter(place.counts)
            total["rejected"] += len(rejected) if place.look == 1 else 0
            after = replace(after, counts=dict(total))
            self.link.rows.saw(conn, self.source, page.instances)
            self.link.services.write(conn, self.source, items=page.items)
            self._save(conn, after)

        self.link.library.sync_rows(rows, failing=failing, also=also)
        self.link.covers.register(urls)
        self.link.covers.retry_with_url(failing)
        return after

    def _has_gaps(self, place: SyncPosition) -> bool:
        """Tell whether something that was known did not show. An empty collection is taken at its word: nothing is marked for it."""
        return place.items > 0 and (not place.is_steady or self.link.rows.missing(self.source) > 0)

    def _finish(self, place: SyncPosition, before_at: float | None) -> Mapping[str, Any]:
        now = float(int(self.task.clock()))
        counts = {name: place.counts.get(name, 0) for name in ("new", "changed", "same", "rejected")}
        with self.link.catalog.write() as conn:
            is_sure = place.items > 0 and place.is_steady
            gone = self.link.rows.mark_gone(conn, self.source, now, before_at) if is_sure else 0
            self.link.rows.begin(conn, self.source)
            self.link.services.write(conn, self.source, pass_at=now, items=place.items)
            says = _outcome_says(place, counts, gone)
            self.task.save(conn, asdict(place), place.saved, place.items, says)
        return {"says": says, **counts, "gone": gone, "items": place.items, "account": place.account, "reasons": place.rejected}

    def _save(self, conn: Connection, place: SyncPosition) -> None:
        self.task.save(conn, asdict(place), place.saved, place.items or None, place.says())

    def _patiently(self, call: Callable[[], Found]) -> Found:
        """Ask again, with growing pauses, while no good answer comes. Raises `SourceAway` in the end."""
        for tried in range(TRIES):
            try:
                return call()
            except OriginError as error:
                self.task.check()
                if not error.retryable or tried == TRIES - 1:
                    verb = "reached" if error.status is None else "read"
                    says = f"Discogs cannot be {verb}: {error.reason}. What was saved stays; it goes on there."
                    raise SourceAway(says) from error
                pause_s = self.link.settings.DISCOGS_WINDOW_S * FIRST_PAUSE * 2**tried
                pause_s = min(max(pause_s, error.retry_after_s or 0.0), 600.0)
                self._rest(pause_s)
        raise AssertionError("unreachable")

    def _rest(self, seconds: float) -> None:
        if seconds < 1:
            time.sleep(seconds)
        else:
            self.task.pause(seconds, "Discogs does not answer. It is asked again.")


def _place(position: Mapping[str, Any]) -> SyncPosition | None:
    """Return the place that a position of a task holds; None for none, and for one that another version of the program wrote."""
    try:
        return SyncPosition(**position) if position else None
    except TypeError:
        return None


def _outcome_says(place: SyncPosition, counts: Mapping[str, int], gone: int) -> str:
    if not place.items:
        return f"Connected as {place.account}. The collection is empty."
    parts = [f"{counts['new']:,} new", f"{counts['changed']:,} changed", f"{counts['same']:,} the same"]
    parts += [f"{gone:,} gone"] if gone else []
    parts += [f"{counts['rejected']:,} rejected"] if counts["rejected"] else []
    return f"{place.items:,} {'record' if place.items == 1 else 'records'} read: {', '.join(parts)}."


LINGER_S = 20.0  # who opened one record opens the next
LOOK_S = 0.25


def test_token(task: Task, link: "DiscogsService") -> Mapping[str, Any]:
    """Ask whose token it is and how many records there are. One that is not known is forgotten, one that is takes its place.

    Raises `SourceRefused`, `SourceAway`.
    """
    while True:
        fresh = link.untested.read()
        answer = _identity(task, link, fresh)
        if link.untested.read() == fresh:  # otherwise another one was typed meanwhile
            break
    account, items = answer
    if fresh is not None:
        link.tokens.take(link.untested)
    link.services.set("discogs", account=account, items=items)
    says = f"Connected as {account}, {items:,} {'item' if items == 1 else 'items'}."
    says = says if items else f"Connected as {account}. The collection is empty."
    return {"says": says, "account": account, "items": items}


def _identity(task: Task, link: "DiscogsService", fresh: str | None) -> tuple[str, int]:
    try:
        client = link.client(task, fresh)
        account = client.identity()
        page = client.page(account, 1, FIELDS, per_page=1)
    except SourceRefused:
        if fresh is not None:
            link.untested.forget()
            if link.tokens.exists():  # the old one was not refused
                link.services.set("discogs", fault="", says="", failed_at=None)
        raise
    except OriginError as error:
        raise SourceAway(f"Discogs cannot be asked: {error.reason}. The token waits here; test it again.") from error
    return account, page.items if page else 0


def fetch_details(task: Task, link: "DiscogsService") -> Mapping[str, Any]:
    """Ask for the tracks of the records that were opened, the newest wish first, until nobody has wished for a while."""
    done = 0
    client = link.client(task)
    until = time.monotonic() + LINGER_S
    while time.monotonic() < until:
        task.check()
        wish = link.rows.next_details(link.clock())
        if wish is None:
            time.sleep(LOOK_S)
            continue
        album_id, failures = wish
        album = link.library.album(album_id)
        if album is None or not album.release_id.isdigit():
            link.rows.details_failed(album_id, link.clock() + 7 * 86400)
            continue
        try:
            found = client.release(album.release_id)
        except OriginError as error:
            task.check()
            link.rows.details_failed(album_id, link.clock() + retry_delay_s(failures + 1, error))
            continue
        _keep(link, album_id, found)
        done += 1
        until = time.monotonic() + LINGER_S
        task.progress(done, None, "Tracks of records that were opened")
    return {"records": done}


def _keep(link: "DiscogsService", album_id: int, found: Details) -> None:
    kept = link.library.detail(album_id, found.tracks, found.barcode, found.cover_url)
    if kept is not None and kept.picture:
        link.covers.register([kept.picture])
    with link.catalog.write() as conn:
        link.rows.details_done(conn, album_id)
