"""Writes benchmarks/CLUSTER.md: one row for each rehearsal that ran, with its figures. Rows of others stay as they are."""

import datetime
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.vault import ROOT

REPORT = ROOT / "benchmarks/CLUSTER.md"
HEAD = """# Many nodes

Written by `make rehearse-cluster`: real nodes (gunicorn as `vinylvault run` starts it), PostgreSQL, Valkey or Redis, an S3 store
(rclone), nginx and an origin that counts, all on one machine. A node loses an engine through a TCP proxy of its own. Counts are
facts; seconds are those of a machine that does everything at once. No throughput of 2 or 4 nodes: they share two cores.

| scenario | result | figures | seconds | when, version, load |
|---|---|---|---:|---|
"""


def write(title: str, *, has_held: bool, figures: Mapping[str, Any], seconds: float) -> None:
    """Write the row of a scenario; the newest replaces the one before."""
    facts = "; ".join(f"{name} {_text(value)}" for name, value in figures.items())
    when = f"{datetime.datetime.now(tz=datetime.UTC).date().isoformat()}, {version()}, {os.getloadavg()[0]:.0f}"
    result = "held" if has_held else "**failed**"
    rows = {**_rows(), title: f"| {title} | {result} | {facts} | {seconds:.0f} | {when} |\n"}
    REPORT.write_text(HEAD + "".join(rows[name] for name in sorted(rows)) + f"\n{machine()}\n", encoding="utf-8")


def _rows() -> dict[str, str]:
    if not REPORT.exists():
        return {}
    lines = REPORT.read_text(encoding="utf-8").splitlines(keepends=True)
    start = HEAD.count("\n")
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines[start:] if line.startswith("| ")}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {count}" for name, count in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


def version() -> str:
    said = subprocess.run(
        ["git", "describe", "--always", "--exclude", "*"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or "unknown"


def machine() -> str:
    """Return what the figures were measured on, in a line."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1]) / 1e6
    kind = f"{names[0]}, {len(names)} cores" if names else f"{os.cpu_count()} cores"
    return f"Machine: {kind}, {memory:.0f} GB, {platform.machine()}, Python {platform.python_version()}."
