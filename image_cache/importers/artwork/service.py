"""Artwork for pages and housekeeping: the cover editor, the search for missing covers, the audit, what covers look like."""

import logging
import time
from collections.abc import Callable

from image_cache.config import Settings
from image_cache.covers import NAMESPACE, ImageCache
from image_cache.covers.appearance import AppearanceJob
from image_cache.covers.own_covers import OwnCovers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.imaging.decoder import Decoder
from image_cache.importers.artwork.audit import CoverAudit
from image_cache.importers.artwork.choose import CoverEditor
from image_cache.importers.artwork.record_images import RecordImages
from image_cache.importers.artwork.search import KIND, ArtworkSearch
from image_cache.importers.artwork.table import ArtworkTable
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.models import TaskState
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.records.orders.appearance_table import RecordAppearanceTable
from image_cache.tasks import TaskRunner

logger = logging.getLogger(__name__)

FIRST_SEARCH_S = 60.0  # a search does not compete with the start of the server
AUDIT_S = 5.0  # how often the audit checks whether there are new covers


class ArtworkService:
    """The artwork of one vault. Any thread."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        *,
        covers: ImageCache,
        own: OwnCovers,
        decoder: Decoder,
        fetcher: LazyHttpClient,
        appearances: RecordAppearanceTable,
        discogs: DiscogsConnection,
        tasks: TaskRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        rows = ArtworkTable(catalog)
        self.appearances = appearances
        self.editor = CoverEditor(settings, rows, covers=covers, own=own, decoder=decoder, tasks=tasks, clock=clock)
        self.images = RecordImages(catalog, self.editor)
        self.audit = CoverAudit(rows, covers, AppearanceJob(covers, decoder), appearances, catalog.locks(covers.cache.disk.root))
        self._covers = covers
        self._tasks = tasks
        self._has_audited = False
        tasks.register(KIND, ArtworkSearch(settings, rows, covers, fetcher, discogs=discogs, clock=clock).run)

    def search(self) -> TaskState | None:
        """Return the search that runs or waits, None if there is none."""
        latest = self._tasks.latest(KIND)
        return None if latest is None or latest.is_over else latest

    def periodic_jobs(self) -> list[PeriodicJob]:
        return [
            PeriodicJob("survey", AUDIT_S, self._audit, first_s=AUDIT_S),
            PeriodicJob("finding", FIRST_SEARCH_S, self._start_search, first_s=FIRST_SEARCH_S),
        ]

    def _audit(self) -> None:
        if self._has_audited or self._covers.registry.summary(NAMESPACE)[0]:
            self._has_audited = True
            self.audit.run()

    def _start_search(self) -> None:
        try:
            self.editor.start_search_if_due()
        except DatabaseError as error:
            logger.warning("cover search deferred reason=%s", error)
