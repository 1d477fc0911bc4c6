"""Ports for servers that have to be told theirs, and for those that come back under their old address."""

import random
import socket
from pathlib import Path

LOWEST = 10_000


def free_port() -> int:
    """Return a port that nobody listens on, out of those that the system gives to nobody by itself.

    One that it chose would be given to any connection that goes out, of any program, before the server binds it.
    """
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    dice = random.SystemRandom()  # whoever runs beside has the same seeds
    for _ in range(100):
        port = dice.randrange(LOWEST, max(end, LOWEST + 1))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {LOWEST} to {end}")
