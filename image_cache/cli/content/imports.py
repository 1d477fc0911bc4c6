"""`sync`, `discogs` and `scan`: records from Discogs and from music folders, as the tasks that the pages start too."""

import time
from pathlib import Path

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.content.report import REPORT, print_report
from image_cache.cli.context import CommandContext
from image_cache.cli.output import Output
from image_cache.cli.services import opened_services
from image_cache.errors import CacheError
from image_cache.import_models import RowLoss
from image_cache.importers.discogs.service import SYNC, TEST
from image_cache.importers.music.folders import below
from image_cache.models import TaskState

SHOWN_PROBLEMS = 20


@click.command("sync", cls=VaultCommand)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the Discogs token from this file first (safer than passing it on the command line).",
)
@REPORT
def sync(context: CommandContext, token_file: Path | None, report_file: Path | None) -> int:
    """Sync your Discogs collection.

    An interrupted sync resumes where it stopped. Safe to run again.
    """
    out = context.out
    with opened_services(context) as services:
        if token_file is not None:
            services.discogs.keep_untested(token_file.read_text(encoding="utf-8", errors="replace"))
            log_action(context, "records", "saved a Discogs token")
            if status := _print_end(out, services.tasks.run(TEST, {}, _Messages(out))):
                return status
        ended = services.tasks.run(SYNC, {"by": "command"}, _Messages(out))
        if ended.state == "done":
            log_action(context, "records", "synced with Discogs")
    status = _print_end(out, ended)
    if status == 0:
        print_report(out, [RowLoss(*line) for line in ended.outcome.get("report", ())], report_file, "number")
    return status


@click.command("discogs", cls=VaultCommand)
@click.option("--forget", is_flag=True, help="Delete the saved token. Records stay.")
def discogs(context: CommandContext, forget: bool) -> None:
    """Show the Discogs connection."""
    out = context.out
    with opened_services(context) as services:
        if forget:
            has_forgotten = services.discogs.forget()
            if has_forgotten:
                log_action(context, "records", "removed the Discogs token")
            out.line("Discogs token deleted." if has_forgotten else "No Discogs token is saved.")
            return
        state = services.discogs.status()
    if not state.has_token:
        out.line("No Discogs token is saved.")
        return
    out.line(
        f"Connected as {state.account}, {state.items or 0:,} items."
        if state.account
        else "A Discogs token is saved but has not been tested."
    )
    if state.pass_at:
        out.line(f"Last synced {time.strftime('%Y-%m-%d %H:%M', time.localtime(state.pass_at))}.")
    if state.fault:
        out.line(state.message)


@click.command("scan", cls=VaultCommand)
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(exists=True, file_okay=False, resolve_path=True))
@REPORT
def scan(context: CommandContext, folder: str | None, report_file: Path | None) -> None:
    """Scan all music folders, or only DIR. If DIR is not inside one of them, it is added."""
    out = context.out

    def draw(state: TaskState) -> None:
        if not state.is_over:
            out.bar(state.done, None, f"{state.done:,} files. {state.message}")

    wanted = {}
    with opened_services(context) as services:
        if folder is not None:
            folders = services.music.roots
            if all(below(root.real_path, folder) is None for root in folders.sync()):
                folders.choose(folder, is_trusted=True)
            wanted = {"dir": folder}
        ended = services.tasks.run("music", wanted, draw, is_here=True)
        if ended.state == "done":
            log_action(context, "records", "scanned the music folders", folder or "")
    out.end_bar()
    if ended.state != "done":
        raise CacheError(ended.message)
    out.line(ended.outcome["says"])
    problems = ended.outcome["problems"]
    for line in problems[:SHOWN_PROBLEMS]:
        out.note(f"  {line}")
    if len(problems) > SHOWN_PROBLEMS:
        out.note(f"  and {len(problems) - SHOWN_PROBLEMS:,} more")
    print_report(out, [RowLoss(*line) for line in ended.outcome["report"]], report_file, "folder")


def _print_end(out: Output, state: TaskState) -> int:
    """Print how a task ended; return 1 if it failed."""
    message = str(state.outcome.get("says") or state.message)
    if state.state != "done":
        out.note(message or "Stopped. The next sync resumes here.")
        return 1
    out.line(message)
    return 0


class _Messages:
    """Prints each new message of a task once."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last = ""

    def __call__(self, state: TaskState) -> None:
        if not state.message or state.message == self._last or state.is_over:
            return
        self._last = message = state.message
        if state.paused_until is not None:
            message = f"{message} Resuming in {max(1, round(state.paused_until - time.time()))} s."
        self._out.note(message)
