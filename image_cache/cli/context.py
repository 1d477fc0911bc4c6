"""What a command works with: the settings, a read-only view of the vault, the running service, and its output."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_cache.cli.output import LAMPS, Output
from image_cache.cli.system_user import user_name
from image_cache.config import Settings
from image_cache.errors import CacheError, ConfigError
from image_cache.frozen import frozen
from image_cache.maintenance.health.check import Check, verdict
from image_cache.maintenance.health.examine import examine
from image_cache.maintenance.readonly_vault import ReadonlyVault, open_readonly
from image_cache.resources import log_command, service_command
from image_cache.units import megabytes

if TYPE_CHECKING:
    from flask import Flask

    from image_cache.services import Services  # opening them takes most of a second on a Pi: only where a command needs them

SERVICE_TIMEOUT_S = 2.0
MAX_STATS_BYTES = 200_000
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  whom to ask when it listens on all addresses
EXITS = {"healthy": 0, "degraded": 1, "unhealthy": 2}


@frozen
class RunningService:
    """The address that the service of these settings listens on. Asking it never raises."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"http://{'[' + self.host + ']' if ':' in self.host else self.host}:{self.port}/"

    def answers(self) -> bool:
        """Return True if something listens there."""
        try:
            with socket.create_connection((self.host, self.port), timeout=SERVICE_TIMEOUT_S):
                return True
        except OSError:
            return False

    def stats(self) -> dict[str, Any] | None:
        """Return its current figures, with what it has not written yet; None when it does not answer with any."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SERVICE_TIMEOUT_S)
        try:
            connection.request("GET", "/api/cache/stats", headers={"Host": f"localhost:{self.port}", "Connection": "close"})
            answer = connection.getresponse()
            found = json.loads(answer.read(MAX_STATS_BYTES)) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return found if isinstance(found, dict) and "memory_used_bytes" in found else None

    def check(self, is_answering: bool) -> Check:
        if is_answering:
            return Check("Service", "well", f"Running at {self.address}.")
        return Check(
            "Service",
            "warning",
            f"Not responding at {self.address}.",
            f"Start it: {service_command('start')}. To see why it stopped, check {log_command()}.",
        )


def service_of(settings: Settings) -> RunningService:
    return RunningService(LOOPBACK.get(settings.HOST, settings.HOST), settings.PORT)


class PreconditionFailed(CacheError):
    """A command was not begun because a check failed. Nothing was changed."""

    def __init__(self, check: Check) -> None:
        super().__init__(f"{check.name}: {check.message}")
        self.hint = check.advice


@dataclass(slots=True)
class CommandContext:
    """`app` runs the command, with its `services`; None: a command that needs them opens its own. `user`: who typed it."""

    settings: Settings
    out: Output
    clock: Callable[[], float] = time.time
    services: "Services | None" = None
    app: "Flask | None" = None
    user: str = field(default_factory=user_name)
    service: RunningService = field(init=False)
    vault: ReadonlyVault = field(init=False)

    def __post_init__(self) -> None:
        self.service = service_of(self.settings)
        self.vault = open_readonly(self.settings, clock=self.clock) if self.services is None else self.services.vault

    def reopen(self) -> None:
        """See what was changed since: a reader keeps to the file that it opened."""
        self.vault.close()
        self.vault = open_readonly(self.settings, clock=self.clock)

    def checks(self, *, is_deep: bool) -> list[Check]:
        """Check the service and the vault that it serves."""
        is_answering = self.service.answers()
        return [self.service.check(is_answering), *examine(self.vault, is_served=is_answering, is_deep=is_deep)]

    def require(self, *names: str) -> None:
        """Raise `PreconditionFailed` for the first of these checks that failed: a change would make things worse."""
        for check in examine(self.vault, is_deep=False):
            if check.name in names and check.state == "failed":
                raise PreconditionFailed(check)

    def print_checks(self, checks: Iterable[Check], *, repaired: Sequence[str] = ()) -> int:
        """Write a line for each check, advice below those that need it; return the exit status. `repaired` is for JSON."""
        known = list(checks)
        column = max(len(check.name) for check in known)
        for check in known:
            if not self.out.is_terminal:
                self.out.line(f"{LAMPS[check.state]}\t{check.name}\t{check.message}")
            else:
                self.out.wrapped(f"{LAMPS[check.state]:<4}  {check.name:<{column}}  ", check.message, state=check.state)
            if check.advice and check.state in ("warning", "failed", "waiting"):
                self.out.wrapped(f"{'':<4}  {'':<{column}}  ", check.advice)
        status, worst = verdict(known), reason(known)
        self.out.line()
        self.out.wrapped("", verdict_line(known))
        details = {"mended": list(repaired)} if repaired else {}
        self.out.json({"verdict": status, "reason": worst, **details, "checks": [as_dict(check) for check in known]})
        return EXITS[status]

    def progress(self, done: int, total: int, name: str) -> None:
        """Draw how many of the bytes are done."""
        self.out.bar(done, total, f"{megabytes(done)} of {megabytes(total)}")


def reason(checks: Iterable[Check]) -> str:
    """Return why the verdict is not better: the worst checks, at most three."""
    known = list(checks)
    for state in ("failed", "warning"):
        found = [f"{check.name}: {check.message}" for check in known if check.state == state]
        if found:
            return " ".join(found[:3]) + (f" And {len(found) - 3} more." if len(found) > 3 else "")
    return ""


def verdict_line(checks: Iterable[Check]) -> str:
    """Return the verdict, with the reason if it is not healthy."""
    known = list(checks)
    worst = reason(known)
    return f"{verdict(known)}{': ' + worst if worst else ''}"


def as_dict(check: Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state, "message": check.message, "advice": check.advice}


def settings_for_paths(settings: Settings, cache_dir: Path | None, database: Path | None) -> Settings:
    """Return the settings for a vault elsewhere. `database`: a catalog.db or index.db, or the folder of a catalogue.

    Raises `ConfigError`.
    """
    if database is not None and database.name == "index.db":
        cache_dir, database = cache_dir or database.parent, None
    if cache_dir is not None:
        settings = replace(settings, CACHE_DIR=cache_dir.absolute(), COVERS_DIR=None, FILES_DIR=None)
    if database is not None:
        folder = database.parent if database.name == "catalog.db" else database
        if folder.exists() and not folder.is_dir():
            raise ConfigError("--database", f"{database} is neither a catalog.db file nor a folder that contains one")
        settings = replace(settings, STATE_DIR=folder.absolute(), DATABASE="")
    return settings
