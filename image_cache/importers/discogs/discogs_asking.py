"""The small questions to Discogs: whose token this is, and what stands on one record."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from image_cache.errors import OriginError, SourceAway, SourceRefused
from image_cache.importers.discogs.parse import FIELDS, Details
from image_cache.net.backoff import retry_delay_s
from image_cache.tasks.runner import Task

if TYPE_CHECKING:
    from image_cache.importers.discogs.service import DiscogsService

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
        wish = link.rows.next_wish(link.clock())
        if wish is None:
            time.sleep(LOOK_S)
            continue
        album_id, failures = wish
        album = link.library.album(album_id)
        if album is None or not album.release_id.isdigit():
            link.rows.wish_failed(album_id, link.clock() + 7 * 86400)
            continue
        try:
            found = client.release(album.release_id)
        except OriginError as error:
            task.check()
            link.rows.wish_failed(album_id, link.clock() + retry_delay_s(failures + 1, error))
            continue
        _keep(link, album_id, found)
        done += 1
        until = time.monotonic() + LINGER_S
        task.progress(done, None, "Tracks of records that were opened")
    return {"records": done}


def _keep(link: "DiscogsService", album_id: int, found: Details) -> None:
    kept = link.library.detail(album_id, found.tracks, found.barcode, found.cover_url)
    if kept is not None and kept.picture:
        link.covers.remember([kept.picture])
    with link.catalog.write() as conn:
        link.rows.wish_granted(conn, album_id)
