"""Search for missing covers, a task: one record after the other, while the network is available.

What was tried is in `cover_tries`, so a stop, a crash or a pause costs at most the requests of one record.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from image_cache.config import Settings
from image_cache.covers import WARM, ImageCache
from image_cache.errors import OriginDenied, OriginError, OriginUnavailable, SourceRefused
from image_cache.importers.artwork.cover_art_archive import INTERVAL_S as ARCHIVE_S
from image_cache.importers.artwork.cover_art_archive import CoverArtArchive
from image_cache.importers.artwork.musicbrainz import INTERVAL_S, MusicBrainz
from image_cache.importers.artwork.strategies import STRATEGIES, ArtworkClients
from image_cache.importers.artwork.table import ArtworkTable, CoverOffer
from image_cache.importers.discogs.client import DiscogsClient
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.importers.intervals import open_interval
from image_cache.models import Album
from image_cache.net.json_api import JsonApiClient
from image_cache.net.json_values import MALFORMED
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.net.rate_limit import IntervalLimiter
from image_cache.tasks.runner import Task

logger = logging.getLogger(__name__)

KIND = "covers"  # of the task
NO_NETWORK = "Waiting for a network connection."
SPARE_CALLS = 30  # of the 55 a minute that Discogs allows; a sync, whose user waits, goes first
WEEK_S = 7 * 86400.0
NOTHING_S = 4 * WEEK_S  # before a record without any result is searched again: the archive grows
BROKEN_S = 6 * 3600.0  # before a record whose requests keep failing is tried again
MAX_OFFERS = 8
FIRST_REST_S, MAX_REST_S = 60.0, 1800.0  # without a network, doubled each time
PAUSED_S = 15.0  # how often it checks whether fetching is still paused by an operator
MAX_FAILURES = 3  # in a row with one record
STEP_S = 0.25  # how soon a cancel or a stop ends a wait for the rate limit
COUNT_S = 20.0  # how often the rest is counted; in between it decreases by one per record


class ArtworkSearch:
    """Searches for covers. One runs at a time across all processes: it is a task."""

    def __init__(
        self,
        settings: Settings,
        rows: ArtworkTable,
        covers: ImageCache,
        fetcher: LazyHttpClient,
        *,
        discogs: DiscogsConnection | None = None,
        clock: Callable[[], float] = time.time,
        first_rest_s: float = FIRST_REST_S,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._covers = covers
        self._fetcher = fetcher
        self._discogs = discogs
        self._clock = clock
        self._first_rest_s = first_rest_s

    def run(self, task: Task) -> Mapping[str, Any]:
        """Search for every record that is due. The runner of the task."""
        clients = self._clients(task)
        done = found = failures = 0
        rest_s = self._first_rest_s
        left, counted_at = self._rows.count_due(self._clock()), time.monotonic()
        while (album_id := self._rows.due(self._clock())) is not None:
            if time.monotonic() - counted_at > COUNT_S:
                left, counted_at = self._rows.count_due(self._clock()), time.monotonic()
            if self._covers.is_paused():
                task.pause(PAUSED_S, "Paused: an operator has paused fetching.")
                continue
            task.progress(done, done + max(left, 1), f"Searching for covers: {max(left, 1):,} left")
            album = self._rows.album(album_id)
            if album is None:  # deleted a moment ago
                continue
            try:
                found += self._search(clients, album)
            except OriginUnavailable as error:
                failures += 1
                if is_malformed(error) or (error.status is not None and failures >= MAX_FAILURES):
                    self._postpone(album, error)
                    left -= 1
                if is_malformed(error) and failures < MAX_FAILURES:
                    continue
                # Several malformed answers in a row are not about the records: a proxy or a portal answers for the service.
                failures = 0 if error.status is not None and failures >= MAX_FAILURES else failures
                logger.info("cover search paused reason=%s", error)
                task.pause(max(rest_s, min(error.retry_after_s or 0.0, MAX_REST_S)), _why(error))
                rest_s = min(2 * rest_s, MAX_REST_S)
                continue
            rest_s, failures = self._first_rest_s, 0
            done, left = done + 1, left - 1
        message = f"Searched for {done:,} {'cover' if done == 1 else 'covers'}, found {found:,}."
        return {"says": message, "looked_at": done, "found": found}

    def _search(self, clients: ArtworkClients, album: Album) -> bool:
        """Try the strategies for a record until a sure one finds an image; save the result. Return True if a cover was found."""
        known = self._rows.tries(album.id)
        barred = {*known.rejected, album.cover_url}
        wants_choice = album.picture is not None  # a user wants a better one than it has
        offers: dict[str, CoverOffer] = {}
        found: CoverOffer | None = None
        rejections: list[str] = []
        malformed: OriginUnavailable | None = None
        for strategy in STRATEGIES:
            if found is not None or len(offers) >= MAX_OFFERS or not strategy.fits(album):
                continue
            try:
                for offer in strategy.find(clients, album):
                    if offer.url in barred:
                        continue
                    offers.setdefault(offer.url, offer)
                    if offer.is_sure and not wants_choice:
                        found = offer
                        break
                    if len(offers) >= MAX_OFFERS:
                        break
            except OriginUnavailable as error:
                if not is_malformed(error):
                    raise
                malformed = error  # the other strategies may find it all the same
            except OriginError as error:
                rejections.append(_rejection(error))
        if malformed is not None and not offers:
            raise malformed
        tries = replace(
            known,
            tried_at=self._clock(),
            next_at=self._clock() + NOTHING_S,
            strategy=found.strategy if found else "",
            reason="" if found else _reason(offers, rejections),
            offers=tuple(offers.values()),
        )
        has_found = self._rows.record(album.id, tries, found.url if found else None)
        if has_found and found is not None:
            logger.info("cover found album=%s way=%s", album.id, found.strategy)
            self._covers.try_register([found.url])
            self._covers.enqueue_missing([found.url], WARM)
        return has_found

    def _postpone(self, album: Album, error: OriginUnavailable) -> None:
        tries = replace(self._rows.tries(album.id), tried_at=self._clock(), next_at=self._clock() + BROKEN_S, reason=_why(error))
        self._rows.record(album.id, tries, None)

    def _clients(self, task: Task) -> ArtworkClients:
        settings = self._settings

        def wait(seconds: float) -> None:
            end = time.monotonic() + seconds
            task.check()
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(STEP_S, left))
                task.check()

        api = JsonApiClient(self._fetcher, settings.MUSICBRAINZ_API_URL, {})
        return ArtworkClients(
            MusicBrainz(api, self._interval("musicbrainz", INTERVAL_S), wait),
            CoverArtArchive(self._fetcher, settings.COVER_ART_URL, self._interval("coverart", ARCHIVE_S), wait),
            self._discogs_client(task),
        )

    def _interval(self, name: str, interval_s: float) -> IntervalLimiter:
        return open_interval(self._settings, self._rows.db, name, interval_s, clock=self._clock)

    def _discogs_client(self, task: Task) -> DiscogsClient | None:
        try:
            return self._discogs.client(task, spare=SPARE_CALLS) if self._discogs else None
        except SourceRefused:
            return None


def is_malformed(error: OriginUnavailable) -> bool:
    """Return True if the service answered, with something that cannot be read: that concerns one record, not the others."""
    return error.kind == MALFORMED


def _why(error: OriginUnavailable) -> str:
    if is_malformed(error):
        return f"The Cover Art Archive failed: {error.reason}."
    if error.status is not None:
        return "Rate limit reached."
    return NO_NETWORK


def _rejection(error: OriginError) -> str:
    if isinstance(error, OriginDenied):
        return f"Skipped: {error.reason}."
    if error.status == 403:
        return "The service refused the request. Setting VINYL_VAULT_CONTACT may help."
    return f"The service refused the request: {error.reason}."


def _reason(offers: Mapping[str, CoverOffer], rejections: list[str]) -> str:
    if offers:
        return f"{len(offers)} suggestions" if len(offers) > 1 else "1 suggestion"
    return rejections[0] if rejections else "No cover found anywhere"
