"""Commands on a vault, and the process that runs one: opens the vault, drops privileges, puts errors in words."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from image_cache import logs
from image_cache.cli.context import CommandContext, settings_for_paths
from image_cache.cli.group import FAILED_EXIT, INTERRUPTED_EXIT, Application, Console
from image_cache.cli.output import Output, wrapped
from image_cache.cli.params import VAULT_OPTIONS
from image_cache.cli.privileges import drop_privileges, restore_ownership
from image_cache.cli.system_user import user_name
from image_cache.config import Settings, load_settings
from image_cache.db.database import DatabaseError
from image_cache.db.diagnosis import advice_for, kind_of, sentence_of
from image_cache.errors import CacheError

logger = logging.getLogger(__name__)


class VaultCommand(click.Command):
    """A command whose callback takes a `CommandContext` and returns the exit status (None is 0).

    `is_reading`: it changes nothing, whatever it finds. `has_ownership_repair`: as root it first gives files back to their owner.
    """

    def __init__(self, *args: Any, is_reading: bool = False, has_ownership_repair: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_reading = is_reading
        self.has_ownership_repair = has_ownership_repair

    def invoke(self, ctx: click.Context) -> None:
        host = InApplication(ctx.obj) if isinstance(ctx.obj, Application) else OwnProcess(ctx.obj or Console())
        ctx.exit(host.run(self, ctx.params))

    def call(self, context: CommandContext, params: Mapping[str, Any]) -> int:
        if self.callback is None:
            raise TypeError(f"{self.name} has no callback")
        return self.callback(context, **params) or 0


class MaintenanceCommand(VaultCommand):
    """A command that looks after the vault: it can write JSON, and work on a vault that the settings do not name."""

    def __init__(self, *args: Any, params: Sequence[click.Parameter] = (), **kwargs: Any) -> None:
        super().__init__(*args, params=[*params, *VAULT_OPTIONS], **kwargs)


@dataclass(slots=True)
class OwnProcess:
    """Runs a command in its own process. Exit status 0 healthy or done, 1 degraded or in part, 2 unhealthy or not done.

    Every failure is one sentence on standard error, with what to do. With a `stream` the output goes there, and the logging of the
    process is left alone.
    """

    console: Console

    def run(self, command: VaultCommand, params: dict[str, Any]) -> int:
        params = dict(params)
        out = Output(self.console.stream, is_json=params.pop("is_json", False))
        settings: Settings | None = None
        try:
            settings = settings_for_paths(load_settings(), params.pop("cache_dir", None), params.pop("database", None))
            if self.console.stream is None:  # the command itself says what is wrong, not log lines
                logs.to_stderr(logging.DEBUG if settings.DEBUG else logging.CRITICAL)
            return self._run(command, params, settings, out)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except BrokenPipeError:  # the reader has seen enough; Python flushes once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except KeyboardInterrupt:
            return INTERRUPTED_EXIT
        except Exception as error:
            logger.debug("action failed", exc_info=True)
            return _fail(out, *_in_words(error, settings))

    def _run(self, command: VaultCommand, params: dict[str, Any], settings: Settings, out: Output) -> int:
        user = user_name()  # before root becomes the user of the service
        if command.has_ownership_repair:
            restore_ownership(settings)
        drop_privileges(settings, is_reading=command.is_reading)
        os.umask(0o077)
        context = CommandContext(settings, out, self.console.clock, user=user)
        try:
            return command.call(context, params)
        finally:
            context.vault.close()
            out.flush()


@dataclass(slots=True)
class InApplication:
    """Runs a command in an application that has the vault open, as `flask --app app` does: failures have exit status 1."""

    host: Application

    def run(self, command: VaultCommand, params: dict[str, Any]) -> int:
        services = self.host.services
        context = CommandContext(services.settings, Output(is_aligned=True), services=services, app=self.host.app)
        try:
            return command.call(context, params)
        except CacheError as error:
            raise click.ClickException(f"{error}. {error.hint}" if error.hint else str(error)) from error
        except DatabaseError as error:
            folder = services.settings.state_dir
            raise click.ClickException(f"Cannot use the databases in {folder}: {error}.") from error


def _in_words(error: Exception, settings: Settings | None) -> tuple[str, str]:
    """Return what happened, and what to do about it."""
    if isinstance(error, CacheError):
        return str(error), error.hint
    if isinstance(error, DatabaseError) and settings is not None and settings.DATABASE and str(error).startswith("PostgreSQL"):
        return f"Cannot use the catalogue. {error}", "Check the server that VINYL_VAULT_DATABASE names."
    if isinstance(error, DatabaseError) and settings is not None:
        kind = kind_of(error)
        is_precious = str(settings.catalog_path) in str(error)
        path = settings.catalog_path if is_precious else settings.index_path
        name = "the catalogue" if is_precious else "the index"
        return f"Cannot use {name}. {sentence_of(kind)}", advice_for(kind, path, is_precious=is_precious)
    if isinstance(error, OSError):
        message = os.strerror(error.errno) if error.errno else str(error)
        return f"{error.filename or 'The system'}: {message}", "Check the free space and permissions."
    return f"Unexpected error: {type(error).__name__}: {error}", "Run again with VINYL_VAULT_DEBUG=1 for a traceback."


def _fail(out: Output, sentence: str, advice: str = "") -> int:
    sentence = sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
    text = logs.printable(logs.without_secrets(f"{sentence} {advice}".strip()))
    out.json({"verdict": "unhealthy", "error": sentence, "advice": advice})
    print("\n".join(wrapped(text, out.width)) if out.is_terminal else text, file=sys.stderr)
    return FAILED_EXIT
