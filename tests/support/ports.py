"""Ports for servers that have to be told theirs, and for those that come back under their old address."""

import os
import random
import socket
from pathlib import Path

LOWEST = 10_000


def free_port() -> int:
    """Return a port that nothing listens on, outside of the range from which the system takes ports for connections that go out.

    One from that range could be given to any program before the server binds it. Test processes that run side by side have a
    share of the ports each, so that two of them never get the same one before it is bound.
    """
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(LOWEST + number, max(end, LOWEST + number + 1), count)
    dice = random.SystemRandom()  # another run of the tests beside this one has the same seeds
    for _ in range(100):
        port = dice.choice(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {LOWEST} to {end}")
