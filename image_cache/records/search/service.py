"""Background work of the search: records that are not in its index yet are added, as a task that continues after a stop."""

import logging
from collections.abc import Mapping
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.records.search.index_table import SearchIndexTable
from image_cache.tasks.runner import Task, TaskRunner

logger = logging.getLogger(__name__)

KIND = "search"  # of the task


class SearchIndexer:
    """Keeps the index of the search complete: after an update of the program, a restored backup, an import that was killed."""

    def __init__(self, catalog: CatalogDatabase, tasks: TaskRunner) -> None:
        self._index = SearchIndexTable(catalog)
        self._tasks = tasks
        tasks.register(KIND, self._run)

    def run_maintenance(self) -> None:
        """Start the task if records are missing. A periodic job."""
        try:
            if self._index.pending():
                self._tasks.start(KIND, {})
        except DatabaseError as error:
            logger.warning("search index deferred reason=%s", error)

    def _run(self, task: Task) -> Mapping[str, Any]:
        total = self._index.pending()
        task.progress(0, total, "Preparing the search")
        count = self._index.catch_up(lambda done: task.progress(done, total, "Preparing the search"))
        return {"records": count}
