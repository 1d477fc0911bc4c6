"""What every action has at hand: settings, the vault opened for reading, the service next door, and where to speak."""

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from config import Settings
from image_cache.cli.output import LAMPS, Output
from image_cache.covers import ImageCache
from image_cache.covers.build import CoverServices, open_covers
from image_cache.errors import CacheError, ConfigError
from image_cache.maintenance.health import Check, examine, megabytes, verdict
from image_cache.maintenance.readonly_vault import ReadonlyVault, open_reading
from image_cache.vault_lock import VaultLock

PATIENCE_S = 2.0
MOST_BYTES = 200_000
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  where to ask when it listens everywhere


@dataclass(frozen=True, slots=True)
class RunningService:
    """The address that the service of these settings listens on. Asking it never raises."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"http://{'[' + self.host + ']' if ':' in self.host else self.host}:{self.port}/"

    def answers(self) -> bool:
        """Tell whether something listens there."""
        try:
            with socket.create_connection((self.host, self.port), timeout=PATIENCE_S):
                return True
        except OSError:
            return False

    def stats(self) -> dict[str, Any] | None:
        """Return its numbers of this moment, with what it has not written yet; None when it does not say."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/api/cache/stats", headers={"Host": f"localhost:{self.port}", "Connection": "close"})
            answer = connection.getresponse()
            found = json.loads(answer.read(MOST_BYTES)) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return found if isinstance(found, dict) and "memory_used_bytes" in found else None

    def check(self, is_answering: bool) -> Check:
        if is_answering:
            return Check("Service", "well", f"It answers on {self.address}.")
        return Check(
            "Service",
            "warning",
            f"It does not answer on {self.address}.",
            "sudo systemctl start vinylvault; journalctl -u vinylvault -n 50 says why it ended.",
        )


def service_of(settings: Settings) -> RunningService:
    return RunningService(EVERYWHERE.get(settings.HOST, settings.HOST), settings.PORT)


EXITS = {"healthy": 0, "degraded": 1, "unhealthy": 2}


class PreconditionFailed(CacheError):
    """An action was not begun, because of what a check found. Nothing was changed."""

    def __init__(self, check: Check) -> None:
        super().__init__(f"{check.name}: {check.message}")
        self.hint = check.advice


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """What was said on the command line, beside the action."""

    what: str = ""
    urls: tuple[str, ...] = ()
    file: Path | None = None
    is_folder: bool = False  # the file was named with a slash at its end
    keep: int = 7
    cleanup_days: float = 30.0
    interval_s: float | None = None
    is_repairing: bool = False
    is_full: bool = False
    has_secrets: bool = False
    is_forced: bool = False
    wait_s: float = 0.0
    is_sure: bool = False


@dataclass(slots=True)
class CommandContext:
    settings: Settings
    out: Output
    wanted: CommandOptions
    clock: Callable[[], float] = time.time
    service: RunningService = field(init=False)
    reading: ReadonlyVault = field(init=False)

    def __post_init__(self) -> None:
        self.service = service_of(self.settings)
        self.reading = open_reading(self.settings, clock=self.clock)

    def checks(self, *, is_deep: bool) -> list[Check]:
        """Look at the service and at the vault behind it."""
        is_answering = self.service.answers()
        return [self.service.check(is_answering), *examine(self.reading, is_served=is_answering, is_deep=is_deep)]

    def require(self, *names: str) -> None:
        """Raise `Refused` for the first of the checks that failed: a change on such ground would make things worse."""
        for check in examine(self.reading, is_deep=False):
            if check.name in names and check.state == "failed":
                raise PreconditionFailed(check)

    def tell(self, checks: Iterable[Check], *, done: Sequence[str] = ()) -> int:
        """Write a line for each check, advice below what needs it; return the exit status. `done`: what was mended, for JSON."""
        known = list(checks)
        column = max(len(check.name) for check in known)
        for check in known:
            if not self.out.is_terminal:
                self.out.line(f"{LAMPS[check.state]}\t{check.name}\t{check.message}")
            else:
                self.out.wrapped(f"{LAMPS[check.state]:<4}  {check.name:<{column}}  ", check.message, state=check.state)
            if check.advice and check.state in ("warning", "failed", "waiting"):
                self.out.wrapped(f"{'':<4}  {'':<{column}}  ", check.advice)
        status = verdict(known)
        worst = reason(known)
        self.out.line()
        self.out.wrapped("", f"{status}{': ' + worst if worst else ''}")
        mended = {"mended": list(done)} if done else {}
        self.out.json({"verdict": status, "reason": worst, **mended, "checks": [as_dict(check) for check in known]})
        return EXITS[status]

    def progress(self, done: int, total: int, name: str) -> None:
        """Draw how far something is, of which it is known how much there is."""
        self.out.bar(done, total, f"{megabytes(done)} of {megabytes(total)}")

    @contextmanager
    def covers(self) -> Iterator[ImageCache]:
        """Open the covers for a change, beside a service that may run, and close them again. Starts no thread.

        Raises `Busy` while the vault is being restored.
        """
        with self.cover_services() as parts:
            yield parts.covers

    @contextmanager
    def cover_services(self, wake: Callable[[], None] = lambda: None) -> Iterator[CoverServices]:
        """Open the covers like `covers`, with the loader. `wake` is called when jobs were enqueued."""
        tenancy = VaultLock.enter(self.settings.state_dir)
        try:
            parts = open_covers(self.settings, clock=self.clock, wake=wake)
            parts.covers.cache.budget_bytes = self.reading.cache.budget_bytes  # as an operator set it while the service ran
            try:
                yield parts
            finally:
                parts.close()
        finally:
            tenancy.close()


def reason(checks: Iterable[Check]) -> str:
    """Return in words why the verdict is not better: the worst checks, at most three."""
    known = list(checks)
    for state in ("failed", "warning"):
        found = [f"{check.name}: {check.message}" for check in known if check.state == state]
        if found:
            return " ".join(found[:3]) + (f" And {len(found) - 3} more." if len(found) > 3 else "")
    return ""


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
            raise ConfigError("--database", f"{database} is neither a catalog.db nor a folder that holds one")
        settings = replace(settings, STATE_DIR=folder.absolute())
    return settings


def drop_privileges(settings: Settings, *, is_reading: bool) -> None:
    """As root, become the user whose vault this is: what root would make, the service could not use. Others stay who they are.

    Raises `Refused` when that user cannot read this program, and something is to be changed.
    """
    folder = next((folder for folder in (settings.state_dir, settings.cache_dir) if folder.is_dir()), None)
    if os.geteuid() != 0 or folder is None or not (facts := folder.stat()).st_uid:
        return
    os.setegid(facts.st_gid)
    os.seteuid(facts.st_uid)
    is_readable = all(os.access(path, os.R_OK, effective_ids=True) for path in (__file__, str(os.__file__)))
    os.seteuid(0)
    os.setegid(0)
    if is_readable:
        os.setgroups([])
        os.setresgid(facts.st_gid, facts.st_gid, facts.st_gid)
        os.setresuid(facts.st_uid, facts.st_uid, facts.st_uid)
    elif not is_reading:
        said = (
            f"The vault belongs to user {facts.st_uid}, who cannot read this program; as root it would be spoilt for the service."
        )
        raise PreconditionFailed(
            Check("Rights", "failed", said, "Run the copy of the program that the service runs, or change who may read it.")
        )
