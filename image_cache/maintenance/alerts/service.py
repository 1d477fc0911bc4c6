"""Alerts of one vault: looks at the verdict once a minute, and sends what turned. Knows no pages.

Messages wait in the catalogue, so that a restart sends nothing twice and forgets nothing. They are sent by a thread that lives
while there is something to send: neither a request nor the housekeeping waits for another server.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.db.database import Connection, DatabaseError
from image_cache.engine.pool import PeriodicJob
from image_cache.errors import CacheError, FieldRejected, OriginDenied
from image_cache.frozen import frozen
from image_cache.maintenance.alerts.destinations import AlertDestination, DestinationFile
from image_cache.maintenance.alerts.send import AlertNotSent, check_destination, send
from image_cache.maintenance.alerts.table import HEALTHY, TEST, AlertDraft, AlertMessage, AlertTable, Turn
from image_cache.maintenance.health.check import Check, verdict

logger = logging.getLogger(__name__)

EVERY_S, HELD_S = 60.0, 55.0  # two looks a minute apart; the second may be a little early
RETRIES_S = (60.0, 600.0)  # after the first and the second try
LOST_S = 300.0  # longer than any sending takes
CHANGED = "health.changed"
PREFIX = "alerts."
TEST_DRAFT = AlertDraft(TEST, "VinylVault sent this test. Alerts arrive here.", {"state": TEST})


@frozen
class AlertChoices:
    """Which turns are sent. `details`: with the advice of the checks, which may name files and addresses."""

    degraded: bool = True
    unhealthy: bool = True
    recovered: bool = True
    details: bool = False


@frozen
class DestinationState:
    """A destination with its newest message; None before the first one."""

    destination: AlertDestination
    last: AlertMessage | None


class Alerts:
    """Any thread, several processes. `checks` runs the health checks of the service."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        checks: Callable[[], Sequence[Check]],
        *,
        clock: Callable[[], float] = time.time,
        retries_s: Sequence[float] = RETRIES_S,
    ) -> None:
        self._settings = settings
        self._file = DestinationFile(settings.alerts_path)
        self._rows = AlertTable(catalog)
        self._choices = SettingsTable(catalog)
        self._checks = checks
        self._clock = clock
        self._retries_s = tuple(retries_s)
        self._locks = catalog.locks(settings.state_dir)
        self._lock = threading.Lock()  # protects the three below
        self._thread: threading.Thread | None = None  # while it sends
        self._has_more = False  # something became due since it looked last
        self._is_closed = False

    def periodic_job(self) -> PeriodicJob:
        return PeriodicJob("alerts", EVERY_S, self.run_maintenance, first_s=EVERY_S)

    def run_maintenance(self) -> None:
        """Look at the verdict, and start sending what is due. Costs one look for a file while there are no destinations."""
        try:
            if self._file.read():
                with self._locks.leading("alerts") as leads:  # one message, not one from each node
                    if leads:
                        self.look(self._checks())
        except (DatabaseError, CacheError, OSError) as error:
            logger.warning("alerts skipped reason=%s", error)

    def look(self, checks: Sequence[Check]) -> Turn | None:
        """Note the verdict of these checks; return the turn if it is announced now."""
        now = self._clock()
        self._rows.give_up_lost(now - LOST_S, now, "VinylVault was stopped while it was sending this.")
        turn = self._rows.look(verdict(checks), now, HELD_S, lambda conn, turn: self._enqueue(conn, turn, checks))
        if turn is not None:
            logger.warning("health turned from=%s to=%s", turn.was, turn.state)
        self.start_sending()
        return turn

    def destinations(self) -> list[DestinationState]:
        return [DestinationState(one, self._rows.last(one.id)) for one in self._file.read()]

    def add(self, destination: AlertDestination) -> None:
        """Add a destination. Raises `FieldRejected`, `StorageError`."""
        try:
            check_destination(self._settings, destination)
        except OriginDenied as error:
            raise FieldRejected("url", f"Enter another URL: {error.reason}.") from error
        self._file.add(destination)
        logger.info("alert destination added kind=%s", destination.kind)

    def remove(self, destination_id: str) -> bool:
        """Remove a destination and what was sent there; return False if there is none."""
        was_there = self._file.remove(destination_id)
        if was_there:
            self._rows.forget(destination_id)
            logger.info("alert destination removed")
        return was_there

    def choices(self) -> AlertChoices:
        stored = self._choices.values(PREFIX)
        chosen = {name: stored[PREFIX + name] == "1" for name in _names() if PREFIX + name in stored}
        return AlertChoices(**chosen)

    def choose(self, choices: AlertChoices) -> None:
        self._choices.set({PREFIX + name: "1" if getattr(choices, name) else "0" for name in _names()})

    def enqueue_test(self, destination_id: str) -> bool:
        """Send a test in the background; return False if there is no such destination."""
        if all(one.id != destination_id for one in self._file.read()):
            return False
        self._rows.add_test(destination_id, TEST_DRAFT, self._clock())
        self.start_sending()
        return True

    def send_test(self, destination: AlertDestination) -> None:
        """Send a test now, and wait for it. Raises `AlertNotSent`."""
        now = self._clock()
        message = AlertMessage(
            id=0,
            destination=destination.id,
            event=TEST,
            text=TEST_DRAFT.text,
            facts=TEST_DRAFT.facts,
            created_at=now,
            state="sending",
            tries=1,
            due_at=now,
            ended_at=0,
            reason="",
        )
        send(self._settings, destination, message)

    def start_sending(self) -> None:
        """Send what is due, in a thread of its own unless one is sending already."""
        if not self._rows.is_due(self._clock()):
            return
        with self._lock:
            if self._is_closed:
                return
            self._has_more = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_due, name="alerts", daemon=True)
                self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Stop after the message that is being sent. Return False if that took longer."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _send_due(self) -> None:
        try:
            while self._is_more_to_send():
                try:
                    while not self._is_closed and (message := self._rows.claim(self._clock())) is not None:
                        self._send(message)
                except (DatabaseError, CacheError) as error:
                    logger.warning("alerts skipped reason=%s", error)
        finally:  # also after an error that no one expected: the next message gets a new thread
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _is_more_to_send(self) -> bool:
        with self._lock:
            if self._is_closed or not self._has_more:
                self._thread = None
                return False
            self._has_more = False
            return True

    def _send(self, message: AlertMessage) -> None:
        destination = next((one for one in self._file.read() if one.id == message.destination), None)
        if destination is None:
            self._rows.end(message.id, self._clock(), "The destination was removed.")
            return
        try:
            send(self._settings, destination, message)
        except AlertNotSent as error:
            logger.warning("alert not sent kind=%s tries=%d reason=%s", destination.kind, message.tries, error.reason)
            now, tried = self._clock(), message.tries - 1
            if error.retryable and message.event != TEST and tried < len(self._retries_s):
                self._rows.retry(message.id, now + self._retries_s[tried], error.reason)
            else:
                self._rows.end(message.id, now, error.reason)
            return
        self._rows.end(message.id, self._clock())
        logger.info("alert sent kind=%s event=%s", destination.kind, message.event)

    def _enqueue(self, conn: Connection, turn: Turn, checks: Sequence[Check]) -> None:
        choices, everyone = self.choices(), [one.id for one in self._file.read()]
        self._rows.supersede(conn, self._clock(), "A newer message took its place.")
        if turn.state == HEALTHY:
            told = self._rows.told(conn, turn.trouble_at)  # who never heard of the trouble needs no news of its end
            everyone = [one for one in everyone if choices.recovered and one in told]
        elif not (choices.unhealthy if turn.state == "unhealthy" else choices.degraded):
            return
        facts = {
            "state": turn.state,
            "was": turn.was,
            "at": _iso(turn.at),
            "since": _iso(turn.trouble_at),
            "what": _worst(checks),
        }
        draft = AlertDraft(CHANGED, text_of(turn, checks, has_details=choices.details), facts)
        self._rows.add(conn, everyone, draft, self._clock())


def text_of(turn: Turn, checks: Sequence[Check], *, has_details: bool) -> str:
    """Return the message in one or two sentences. Without details it has nothing that a visitor of `/health` does not see."""
    if turn.state == HEALTHY:
        return f"VinylVault is healthy again after {lasting(turn.at - turn.trouble_at)}."
    found = [check for check in checks if check.name in _worst(checks)]
    parts = [f"{check.name}: {check.message}" + (f" {check.advice}" if has_details and check.advice else "") for check in found]
    return " ".join(f"VinylVault is {turn.state}: {' '.join(parts)} See /health.".split())  # in one line: it is a subject, too


def lasting(seconds: float) -> str:
    """Format how long something lasted: 40 s, 5 min, 2 h 5 min, 3 days 4 h."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{max(0, int(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days {hours % 24} h" if hours % 24 else f"{hours // 24} days"


def _worst(checks: Sequence[Check]) -> list[str]:
    """Return the names of the checks that the verdict comes from."""
    worst = {"unhealthy": "failed", "degraded": "warning"}.get(verdict(checks))
    return [check.name for check in checks if check.state == worst]


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _names() -> list[str]:
    return [one.name for one in fields(AlertChoices)]
