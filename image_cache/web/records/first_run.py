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
        return ReadinessCheck("warning", f"{free / 1e6:,.0f} MB free, covers need {floor_bytes / 1e6:,.0f}")
    return ReadinessCheck("well", f"{free / 1e9:,.0f} GB free" if free >= 10e9 else f"{free / 1e9:,.1f} GB free")


def _rights() -> ReadinessCheck:
    settings = services().settings
    folders = (settings.state_dir, settings.cache_dir, settings.covers_dir)
    if all(os.access(path, os.R_OK | os.W_OK | os.X_OK) for path in folders):
        return ReadinessCheck("well", "May write where it must")
    return ReadinessCheck("failed", "May not write into its folders, the log says which")


def _clock() -> ReadinessCheck:
    """A Pi has no battery for its clock: until the network sets it, it may show a day before the installation."""
    if time.time() < Path(__file__).stat().st_mtime:
        return ReadinessCheck("warning", "Clock not set yet, ages are unsure")
    return ReadinessCheck("well", time.strftime("Clock at %H:%M"))


def _net(routes: tuple[Path, ...] = ROUTES) -> ReadinessCheck:
    if any(_has_default_route(path) for path in routes):
        return ReadinessCheck("well", "A network is there")
    return ReadinessCheck("waiting", "No network: tables, folder and demo work without")


def _has_default_route(path: Path) -> bool:
    """Return True if a routing table has a default route that does not end at the server itself."""
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except OSError:
        return False
    if path.name == "route":  # interface, destination, gateway, ...
        return any(len(line) > 7 and line[1] == "00000000" and line[7] == "00000000" for line in lines)
    return any(len(line) > 9 and line[0] == "0" * 32 and line[1] == "00" and line[9] != "lo" for line in lines)
