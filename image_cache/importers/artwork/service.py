"""The care of covers: what is missing, what could be better, what stands where by colour. Light: nothing of it is loaded before it is used.

An idle server, and one whose records all have their covers, carry only this.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from config import Settings
from image_cache.covers import NAMESPACE, ImageCache
from image_cache.covers.own_covers import OwnCovers
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.imaging.decoder import Decoder
from image_cache.models import TaskState
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.tasks import Task, TaskRunner

if TYPE_CHECKING:
    from image_cache.importers.artwork.audit import CoverAudit
    from image_cache.importers.artwork.choose import CoverEditor
    from image_cache.importers.discogs.client import DiscogsClient
    from image_cache.importers.discogs.service import DiscogsService
    from image_cache.records.appearance_table import RecordAppearanceTable

KIND = "covers"  # of the task that looks for covers
FIND_S = 60.0  # the search is quiet: it does not compete with the start of the machine
SPARE_CALLS = 30  # of the 55 a minute that Discogs allows all of this program
SURVEY_S = 5.0  # how often it is asked whether there are new sleeves to look at


class ArtworkService:
    """Gives out the parts of it, each made with its first use. Any thread."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        *,
        covers: ImageCache,
        own: OwnCovers,
        decoder: Decoder,
        fetcher: LazyHttpClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._covers = covers
        self._own = own
        self._decoder = decoder
        self._fetcher = fetcher
        self._clock = clock
        self._tasks: TaskRunner | None = None
        self._discogs: Callable[[Task], DiscogsClient] | None = None
        self._guard = threading.RLock()  # while a part is made; protects the three below
        self._desk: CoverEditor | None = None
        self._survey: CoverAudit | None = None
        self._looks: RecordAppearanceTable | None = None

    def use(self, tasks: TaskRunner, discogs: "DiscogsService | None" = None) -> None:
        """Let searches run here, as tasks of the kind `covers`, and ask Discogs when it has a token."""
        self._tasks = tasks
        if discogs is not None:
            # A sync of people who wait goes first: so many calls of each minute are left to it.
            self._discogs = lambda task: discogs.client(task, spare=SPARE_CALLS)

    def periodic_jobs(self) -> list[PeriodicJob]:
        return [
            PeriodicJob("survey", SURVEY_S, self._look_around, first_s=SURVEY_S),
            PeriodicJob("finding", FIND_S, self._begin_search, first_s=FIND_S),
        ]

    def run_search(self, task: Task) -> Mapping[str, Any]:
        """Look for covers: the runner of the task."""
        from image_cache.importers.artwork.search import ArtworkSearch

        finder = ArtworkSearch(
            self._settings, self.editor.rows, self._covers, self._fetcher, discogs=self._discogs, clock=self._clock
        )
        return finder.run(task)

    def search(self) -> TaskState | None:
        """Return the search that runs or waits, None when there is none."""
        last = self._tasks.rows.latest(KIND) if self._tasks else None
        return None if last is None or last.is_over else last

    @property
    def editor(self) -> "CoverEditor":
        """What people do about the cover of one record."""
        with self._guard:
            if self._desk is None:
                from image_cache.importers.artwork.choose import CoverEditor
                from image_cache.importers.artwork.table import ArtworkTable

                self._desk = CoverEditor(
                    self._settings,
                    ArtworkTable(self._catalog),
                    covers=self._covers,
                    own=self._own,
                    decoder=self._decoder,
                    tasks=self._tasks,
                    clock=self._clock,
                )
            return self._desk

    @property
    def appearances(self) -> "RecordAppearanceTable":
        """What the sleeves of records look like."""
        with self._guard:
            if self._looks is None:
                from image_cache.records.appearance_table import RecordAppearanceTable

                self._looks = RecordAppearanceTable(self._covers.cache.index.database)
            return self._looks

    @property
    def audit(self) -> "CoverAudit":
        """What keeps `looks` true."""
        with self._guard:
            if self._survey is None:
                from image_cache.covers.appearance import AppearanceJob
                from image_cache.importers.artwork.audit import CoverAudit

                self._survey = CoverAudit(
                    self.editor.rows, self._covers, AppearanceJob(self._covers, self._decoder), self.appearances
                )
            return self._survey

    def _look_around(self) -> None:
        if self._survey is not None or self._covers.registry.summary(NAMESPACE)[0]:
            self.audit.run()

    def _begin_search(self) -> None:
        if self._settings.FIND_COVERS and next(self._bare(), None) is not None:
            self.editor.start_search_if_due()

    def _bare(self) -> Iterator[object]:
        """Yield something when a record has no picture, or somebody asked for another one."""
        try:
            yield from self._catalog.rows("SELECT 1 FROM albums WHERE picture IS NULL LIMIT 1")
            yield from self._catalog.rows("SELECT 1 FROM cover_tries WHERE next_at = 0 LIMIT 1")
        except DatabaseError:
            return
