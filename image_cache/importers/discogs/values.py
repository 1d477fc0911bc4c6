"""Values task: what Discogs asks for each record, one release at a time, dated. It leaves most calls to everything else."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from image_cache.errors import OriginError, OriginNotFound, OriginUnavailable
from image_cache.importers.discogs.client import DiscogsClient
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.records.filters.sets import NO_GRADE, grade_of
from image_cache.records.values.table import ValuesTable
from image_cache.tasks.runner import Task

AT_A_TIME = 20  # records in one transaction: each writes whole pages of the card
SHARE = 0.4  # of the calls that Discogs allows
AGE_S = 30 * 86400.0  # after which a record is valued again
LOWEST = "lowest offer"
TRIES = 3  # releases in a row without suggestions, after which none are requested: the account has no settings of a seller


class ValueFetcher:
    """Fetches the values that are missing or old. One run at a time: it is a task, and continues after a stop."""

    def __init__(
        self,
        connection: DiscogsConnection,
        rows: ValuesTable,
        *,
        calls: int,
        currency: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._spare = round(calls * (1 - SHARE))
        self._currency = currency
        self._clock = clock

    def is_due(self) -> bool:
        return bool(self._rows.due(self._clock() - AGE_S, 1))

    def run(self, task: Task) -> Mapping[str, Any]:
        """Fetch until nothing is due. Ends early, with `is_away`, while Discogs cannot be reached. Raises as the client does."""
        client = self._connection.client(task, spare=self._spare)
        before = self._clock() - AGE_S
        total, done, tries = self._rows.count_due(before), 0, TRIES
        while records := self._rows.due(before, AT_A_TIME):
            found: list[tuple[int, str, str]] = []
            try:
                for album_id, source_id, condition in records:
                    task.progress(done + len(found), total, "Values of all records")
                    value, tries = self._value(task, client, source_id, condition, tries)
                    found.append((album_id, *value))
            except OriginUnavailable as error:
                task.check()
                if error.status is None:
                    return {"records": done + len(found), "is_away": True}
                raise
            finally:
                self._save(found)
            done += len(found)
        return {"records": done, "is_away": False}

    def _value(
        self, task: Task, client: DiscogsClient, source_id: str, condition: str, tries: int
    ) -> tuple[tuple[str, str], int]:
        """Return (value, where it is from) of a record, and how many failures in a row are left before suggestions are given up.

        Suggestions are by grade, and Discogs makes them only for accounts with the settings of a seller.
        """
        release, grade = source_id.partition("-")[0], grade_of(condition)
        if not release.isdigit():
            return ("", ""), tries
        if tries and grade != NO_GRADE:
            try:
                suggested, tries = client.suggestions(release).get(grade), TRIES
            except OriginError as error:
                task.check()
                if isinstance(error, OriginUnavailable) and error.status is None:
                    raise
                suggested, tries = None, tries - 1 if isinstance(error, OriginNotFound) else 0
            if suggested:
                return (suggested, f"suggested for {grade}"), tries
        try:
            lowest = client.lowest_price(release, self._currency)
        except OriginNotFound:  # the release was merged or removed there
            lowest = ""
        return (lowest, LOWEST if lowest else ""), tries

    def _save(self, found: list[tuple[int, str, str]]) -> None:
        if found:
            with self._rows.db.write() as conn:
                self._rows.put(conn, found, self._clock())
