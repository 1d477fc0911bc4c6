"""Readiness of the server, as the first page shows it: space, rights, clock, network. No request is sent."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from image_cache.web.context import services

ROUTES = (Path("/proc/net/route"), Path("/proc/net/ipv6_route"))


class ReadinessCheck(NamedTuple):
    """A lamp with its text."""

    lamp: str
    message: str


def readiness_checks() -> tuple[ReadinessCheck, ...]:
    return _space(), _rights(), _clock(), _net()


def _space() -> ReadinessCheck:
    free, floor_bytes = services().covers.free_space()
    if free < floor_bytes:
        return ReadinessCheck(
            "warning", f"{free / 1e6:,.0f} MB of disk space free; covers need at least {floor_bytes / 1e6:,.0f} MB"
        )
    return ReadinessCheck("well", f"{free / 1e9:,.0f} GB free" if free >= 10e9 else f"{free / 1e9:,.1f} GB free")


def _rights() -> ReadinessCheck:
    settings = services().settings
    folders = (settings.state_dir, settings.cache_dir, settings.covers_dir)
    if all(os.access(path, os.R_OK | os.W_OK | os.X_OK) for path in folders):
        return ReadinessCheck("well", "Data folders are writable")
    return ReadinessCheck("failed", "Cannot write to its data folders; see the log")


def _clock() -> ReadinessCheck:
    """A Pi has no battery for its clock: until the network sets it, it may show a day before the installation."""
    if time.time() < Path(__file__).stat().st_mtime:
        return ReadinessCheck("warning", "Clock not set yet; dates may be wrong")
    return ReadinessCheck("well", time.strftime("Time: %H:%M"))


def _net(routes: tuple[Path, ...] = ROUTES) -> ReadinessCheck:
    if any(_has_default_route(path) for path in routes):
        return ReadinessCheck("well", "Network connected")
    return ReadinessCheck("waiting", "No network. Importing files, folders and the demo still works")


def _has_default_route(path: Path) -> bool:
    """Return True if a routing table has a default route that does not end at the server itself."""
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except OSError:
        return False
    if path.name == "route":  # interface, destination, gateway, ...
        return any(len(line) > 7 and line[1] == "00000000" and line[7] == "00000000" for line in lines)
    return any(len(line) > 9 and line[0] == "0" * 32 and line[1] == "00" and line[9] != "lo" for line in lines)
