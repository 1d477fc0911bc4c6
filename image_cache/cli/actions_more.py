"""The actions of the command, by name. What they need is imported when they run: `status` must be quick on a Pi."""

from collections.abc import Callable
from dataclasses import dataclass

from image_cache.cli.context import CommandContext


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
    from image_cache.cli.chores import cleanup

    return cleanup(scene)


def _clear(scene: CommandContext) -> int:
    from image_cache.cli.chores import clear

    return clear(scene)


def _preload(scene: CommandContext) -> int:
    from image_cache.cli.actions import preload

    return preload(scene)


def _doctor(scene: CommandContext) -> int:
    from image_cache.cli.repair import doctor

    return doctor(scene)


def _probe(scene: CommandContext) -> int:
    from image_cache.cli.probe import probe

    return probe(scene)


def _selftest(scene: CommandContext) -> int:
    from image_cache.cli.selftest import selftest

    return selftest(scene)


def _backup(scene: CommandContext) -> int:
    from image_cache.cli.safety import backup

    return backup(scene)


def _restore(scene: CommandContext) -> int:
    from image_cache.cli.safety import restore

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
