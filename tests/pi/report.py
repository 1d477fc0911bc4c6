"""Writes benchmarks/PI.md from the results of all cases that ran, in whichever suite and size of memory."""

import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.pi.image import PYTHONS
from tests.pi.order import CASES
from tests.support.vault import ROOT

REPORT = ROOT / "benchmarks/PI.md"
HEAD = """# An emulated Raspberry Pi

Written by `make rehearse-pi`: a whole Debian for arm64 with systemd as process 1, `-M virt -cpu cortex-a53`, an ext4 file
system on a virtual disk, no swap. **Not a Raspberry Pi**: the processor is emulated, 30 to 40 times slower than the one that
emulates it and slower than a Pi, and shares its two cores with other work; there is no SD card, no GPU that takes memory, no
Raspberry Pi OS. Seconds say nothing about a Pi. Memory, counts, limits, recovery and bytes written do. MB are 10^6 bytes.

Each case begins with a copy of the same machine, on which `install.sh` ran once without internet. A power cut is `kill -9`
of the emulator: what the machine had not yet written is lost; what a card loses of what it was given is not tried. A start
may take 15 minutes (`TimeoutStartSec`) instead of 5, because this processor has other work.

Columns: *lowest free* is the least MemAvailable of the whole machine, *peak* the most memory of the service's control group,
*throttled* how often `memory.high` bit, *killed* how many processes the limit ended, *written* all bytes written to the disk
in the case, by the service and by the system. A dash: not measured in that case (it boots the machine, and the counter with
it).
"""


BY_HAND = "\n## What failed, and what was done\n"  # what follows is kept


def write(results: Iterable[dict[str, Any]]) -> None:
    """Write the report; results come as the runner kept them."""
    parts = [HEAD]
    by_run: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in results:
        by_run.setdefault((result["suite"], result["memory_mb"]), []).append(result)
    for (suite, memory_mb), found in sorted(by_run.items()):
        found.sort(key=lambda result: [*("build", "install", "start"), *CASES].index(result["case"]))
        newest = max(found, key=lambda result: result["at"])
        parts.append(f"\n## {suite}, {memory_mb} MB\n\n{newest['machine']}. {_span(found)}.\n")
        parts.append(
            "\n| case | result | minutes | lowest free | peak | throttled | killed | written |\n|---|---|---:|---:|---:|---:|---:|---:|\n"
        )
        parts += [_row(result) for result in found]
        parts.append("\nWhat was seen:\n\n")
        parts += [_figures(result) for result in found]
        missing = [name for name in CASES if name not in {result["case"] for result in found}]
        if missing:
            named = f"Not run: {', '.join(f'`{name}`' for name in missing)}."
            parts.append(f"\n{textwrap.fill(named, 125, break_on_hyphens=False)}\n")
    ran = {suite for suite, _ in by_run}
    parts += [f"\n## {suite}\n\nNot run yet.\n" for suite in PYTHONS if suite not in ran]
    before = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    _, title, by_hand = before.partition(BY_HAND)
    REPORT.write_text("".join([*parts, title, by_hand]), encoding="utf-8")


def kept(base: Path) -> list[dict[str, Any]]:
    """Return the newest result of each case, of all suites and sizes of memory."""
    newest: dict[tuple[str, int, str], dict[str, Any]] = {}
    for path in base.glob("*/results/*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        key = (result["suite"], result["memory_mb"], result["case"])
        if key not in newest or newest[key]["at"] < result["at"]:
            newest[key] = result
    return list(newest.values())


def _span(found: list[dict[str, Any]]) -> str:
    days = sorted({result["at"][:10] for result in found})
    versions = sorted({result["version"].strip() for result in found})
    loads = [result["load"] for result in found]
    return f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, version {', '.join(versions)}, load of this server {min(loads):.0f} to {max(loads):.0f}"


def _row(result: dict[str, Any]) -> str:
    watched = result.get("watched")
    memory = ("-",) * 4
    if watched and watched["available"]:
        has_group = watched["peak"] > 0
        memory = (
            f"{watched['available'] / 1e6:.0f} MB",
            *((f"{watched['peak'] / 1e6:.0f} MB", str(watched["high"]), str(watched["killed"])) if has_group else ("-",) * 3),
        )
    written = "-" if result.get("written") is None else f"{result['written'] / 1e6:.1f} MB"
    outcome = "held" if not result["failure"] else "**failed**"
    return f"| {result['title']} | {outcome} | {result['seconds'] / 60:.0f} | {' | '.join(memory)} | {written} |\n"


def _figures(result: dict[str, Any]) -> str:
    facts = [
        f"{name.replace('_', ' ')} {_text(value)}" for name, value in result["figures"].items() if value not in ("", None, [], {})
    ]
    if result["failure"]:
        facts.append(f"**failed**: {result['failure'].splitlines()[0][:100]}")
    if not facts:
        return ""
    line = f"- `{result['case']}`: {'; '.join(facts)}."
    return textwrap.fill(line, 125, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {count}" for name, count in value.items())
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value)
