"""The command line: `cache_monitor.py --action ACTION`. Exit status 0 healthy or done, 1 degraded, 2 unhealthy or not done."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from config import Settings, load_settings
from image_cache import logs
from image_cache.cli.context import CommandContext, CommandOptions, drop_privileges, settings_for_paths
from image_cache.cli.output import Output, wrapped
from image_cache.db.database import DatabaseError
from image_cache.db.diagnosis import advice_for, kind_of, sentence_of
from image_cache.errors import CacheError

logger = logging.getLogger(__name__)

FAILED_EXIT, INTERRUPTED_EXIT = 2, 130
LONGEST_DAYS, LONGEST_S = 36_500.0, 86_400.0


def main(argv: Sequence[str] | None = None, *, stream: TextIO | None = None, clock: Callable[[], float] = time.time) -> int:
    """Run one action and return the exit status. Every failure is one sentence on standard error, with what to do.

    With a `stream` it speaks there, and leaves the logging of the process alone.
    """
    asked = _parser().parse_args(argv)
    out = Output(stream, is_json=asked.json)
    settings: Settings | None = None
    try:
        settings = settings_for_paths(load_settings(), asked.cache_dir, asked.database)
        if stream is None:  # a process of its own. What is wrong is said by the action itself, not by log lines
            logs.to_stderr(logging.DEBUG if settings.DEBUG else logging.CRITICAL)
        return _run(asked, settings, out, clock)
    except BrokenPipeError:  # whoever read has seen enough; Python flushes once more at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT
    except Exception as error:
        logger.debug("action failed", exc_info=True)
        return _fail(out, *_in_words(error, settings))


def _run(asked: argparse.Namespace, settings: Settings, out: Output, clock: Callable[[], float]) -> int:
    action = ACTIONS[asked.action]
    if action.is_mending and os.geteuid() == 0:
        from image_cache.cli.repair import restore_ownership

        restore_ownership(settings)
    drop_privileges(settings, is_reading=action.is_reading)
    os.umask(0o077)
    scene = CommandContext(settings, out, _wanted(asked), clock)
    try:
        return action.run(scene)
    finally:
        scene.reading.close()
        out.flush()


def _in_words(error: Exception, settings: Settings | None) -> tuple[str, str]:
    """Return what happened, and what to do about it."""
    if isinstance(error, CacheError):
        return str(error), error.hint
    if isinstance(error, DatabaseError) and settings is not None:
        kind = kind_of(error)
        is_precious = str(settings.catalog_path) in str(error)
        path = settings.catalog_path if is_precious else settings.index_path
        named = "The catalogue" if is_precious else "The index"
        return f"{named} cannot be used. {sentence_of(kind)}", advice_for(kind, path, is_precious=is_precious)
    if isinstance(error, OSError):
        said = os.strerror(error.errno) if error.errno else str(error)
        return f"{error.filename or 'The system'}: {said}", "Look at free space and permissions."
    return f"Unexpected error, {type(error).__name__}: {error}", "With VINYL_VAULT_DEBUG=1 it says where."


def _fail(out: Output, sentence: str, advice: str = "") -> int:
    sentence = sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
    text = logs.printable(logs.without_secrets(f"{sentence} {advice}".strip()))
    out.json({"verdict": "unhealthy", "error": sentence, "advice": advice})
    width = out.width
    print("\n".join(wrapped(text, width)) if width < 1000 else text, file=sys.stderr)
    return FAILED_EXIT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cache_monitor.py",
        description="Look after the cache of VinylVault, while the service runs or while it is stopped.",
        epilog="actions:\n" + "\n".join(f"  {name:<9} {action.help}" for name, action in ACTIONS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", default="", metavar="URL|DIGEST", help="what explain explains")
    parser.add_argument("--action", choices=list(ACTIONS), default="status", metavar="ACTION", help="one of those below; status")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--cache-dir", type=_path, metavar="DIR", help="the cache folder, when the settings do not name it")
    parser.add_argument("--database", type=_path, metavar="FILE", help="the catalogue (catalog.db), likewise")
    parser.add_argument(
        "--cleanup-days",
        type=_number(LONGEST_DAYS),
        default=30.0,
        metavar="N",
        help="cleanup: remove what nobody looked at for N days (30)",
    )
    parser.add_argument(
        "--monitor-interval",
        type=_number(LONGEST_S),
        metavar="S",
        help="monitor: look every S seconds (2 on a terminal, else 60)",
    )
    parser.add_argument(
        "--url", action="append", default=[], metavar="U", help="probe, preload, explain: this address; repeatable"
    )
    parser.add_argument("--file", metavar="F", help="backup, restore: this file; backup: or a folder, with a slash at its end")
    parser.add_argument("--keep", type=_count, default=7, metavar="N", help="backup into a folder: the last N stay (7)")
    parser.add_argument("--secrets", action="store_true", help="backup: also the key of the sessions, and tokens")
    parser.add_argument("--full", action="store_true", help="backup: also the cache")
    parser.add_argument(
        "--force", action="store_true", help="restore: also over a vault that is not empty, which is kept beside it"
    )
    parser.add_argument("--repair", action="store_true", help="verify: mend what was found")
    parser.add_argument(
        "--wait", type=_number(LONGEST_S), default=0.0, metavar="S", help="health: wait up to S seconds for the service"
    )
    parser.add_argument("--yes", action="store_true", help="clear: do not ask")
    return parser


def _wanted(asked: argparse.Namespace) -> CommandOptions:
    return CommandOptions(
        what=asked.what,
        urls=tuple(asked.url),
        file=None if asked.file is None else _path(asked.file),
        is_folder=(asked.file or "").endswith("/"),
        keep=asked.keep,
        is_full=asked.full,
        has_secrets=asked.secrets,
        is_forced=asked.force,
        cleanup_days=asked.cleanup_days,
        interval_s=asked.monitor_interval,
        is_repairing=asked.repair,
        wait_s=asked.wait,
        is_sure=asked.yes,
    )


def _number(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not 0 <= value <= most:  # also when it is no number at all
            raise argparse.ArgumentTypeError(f"{text} is outside 0 to {most:g}")
        return value

    return number


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is outside 1 to 10000")
    return value


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


@dataclass(frozen=True, slots=True)
class Action:
    """`is_reading`: it changes nothing, whatever it finds. `is_mending`: it gives files back to their owner."""

    help: str
    run: Callable[[CommandContext], int]
    is_reading: bool = False
    is_mending: bool = False


def _status(scene: CommandContext) -> int:
    from image_cache.cli.status import status

    return status(scene)


def _health(scene: CommandContext) -> int:
    from image_cache.cli.status import health

    return health(scene)


def _report(scene: CommandContext) -> int:
    from image_cache.cli.status import report

    return report(scene)


def _monitor(scene: CommandContext) -> int:
    from image_cache.cli.monitor import monitor

    return monitor(scene)


def _explain(scene: CommandContext) -> int:
    from image_cache.cli.explain import explain

    return explain(scene)


def _verify(scene: CommandContext) -> int:
    from image_cache.cli.verify import verify

    return verify(scene)


def _cleanup(scene: CommandContext) -> int:
    from image_cache.cli.actions import cleanup

    return cleanup(scene)


def _clear(scene: CommandContext) -> int:
    from image_cache.cli.actions import clear

    return clear(scene)


def _preload(scene: CommandContext) -> int:
    from image_cache.cli.actions import preload

    return preload(scene)


def _doctor(scene: CommandContext) -> int:
    from image_cache.cli.repair import doctor

    return doctor(scene)


def _probe(scene: CommandContext) -> int:
    from image_cache.cli.explain import probe

    return probe(scene)


def _selftest(scene: CommandContext) -> int:
    from image_cache.cli.selftest import selftest

    return selftest(scene)


def _backup(scene: CommandContext) -> int:
    from image_cache.cli.actions import backup

    return backup(scene)


def _restore(scene: CommandContext) -> int:
    from image_cache.cli.actions import restore

    return restore(scene)


ACTIONS = {
    "status": Action("how it is, at a glance", _status, is_reading=True),
    "health": Action("what is wrong, and what to do; --wait S after a start", _health, is_reading=True),
    "report": Action("everything that the numbers say", _report, is_reading=True),
    "monitor": Action("look on: a live screen, or a line an interval when piped", _monitor, is_reading=True),
    "explain": Action("one cover: what it is, where its bytes are, why it is missing", _explain, is_reading=True),
    "verify": Action("read everything that is kept and compare it with its hash; --repair", _verify),
    "doctor": Action("mend what can be mended without losing anything", _doctor, is_mending=True),
    "cleanup": Action("remove what nobody looked at for --cleanup-days", _cleanup),
    "clear": Action("remove every cached picture", _clear),
    "preload": Action("fetch what is missing, or each --url, with a progress bar", _preload),
    "backup": Action("write what cannot be had again to --file F; --keep N, --secrets, --full", _backup),
    "restore": Action("put a backup back from --file F into an empty vault; --force", _restore),
    "probe": Action("try to fetch --url U and say how far it comes; keeps nothing", _probe, is_reading=True),
    "selftest": Action("try the whole way of a cover in a folder of its own", _selftest, is_reading=True),
}
